#!/usr/bin/python3
"""Real power cuts, and directories that were copied or restored from elsewhere: row 4 of the scorecard.

    tests/crash/real_cuts.py [--cuts N] [--file-system ext4|xfs]... [--copies N] [--seed N] [--results FILE] [--self-test]

A file system on a loop device is cut off its disk, as a power failure does, under producers, consumers of a group and commands that
make, delete and trim topics; then it is mounted again without a restart. The boot id and the page that processes share say nothing
here: the kernel has not been restarted. Half of the cuts write the journal out first, which makes names and sizes durable that
the data is not.

Only what was acknowledged before the cut counts. What is acknowledged while it is going on does not: measured with a plain write
and fdatasync, 7 of 80 cuts made a sync that was under way return success without having happened, which a real loss of power does
not.

The copies are taken of a directory that is being written, or have one part of it older than the rest.
"""

import argparse
import collections
import fcntl
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scenarios"))
import results  # noqa: E402
from processes import LEAT, SLOW  # noqa: E402
from writing_commands import Wrong, expect  # noqa: E402

ROW = 4
SKIPPED = 77
FILE_SYSTEMS = {"ext4": (["mkfs.ext4", "-q", "-F"], 192), "xfs": (["mkfs.xfs", "-q", "-f"], 320)}  # what makes one, MiB
SHUT_DOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN are the same number
FLUSH_JOURNAL, NO_FLUSH = 1, 2
CUTS_OF_ONE_DISK = 10
KEPT = 60  # records that a trim leaves
PATIENCE_SECONDS = 60


class Skip(Exception):
    """What is needed is not there."""


def in_own_namespace(script, arguments):
    """Starts the script again where its mounts are its alone, and go away with it; returns there."""
    if os.geteuid() != 0 or not os.path.exists("/dev/loop-control"):
        raise Skip("this takes root and loop devices")
    if os.environ.get("LEAT_OWN_MOUNTS") == str(os.getpid()):  # unshare becomes the script, it does not fork
        return
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        raise Skip("unshare --mount does not work here")
    os.environ["LEAT_OWN_MOUNTS"] = str(os.getpid())
    os.execvp("unshare", ["unshare", "--mount", sys.executable, os.path.abspath(script), *arguments])


class Disk:
    """A file system of its own on an image, `kind` of FILE_SYSTEMS, to be cut off and mounted again at will."""

    def __init__(self, directory, kind, mebibytes=None, options=()):
        self.kind, self.options = kind, options
        self.mebibytes = mebibytes or FILE_SYSTEMS[kind][1]
        self.image, self.path = os.path.join(directory, "image"), os.path.join(directory, "disk")

    def __enter__(self):
        os.makedirs(self.path, exist_ok=True)
        with open(self.image, "wb") as file:
            file.truncate(self.mebibytes << 20)
        command = FILE_SYSTEMS[self.kind][0]
        if not shutil.which(command[0]):
            raise Skip(f"{command[0]} is not installed")
        subprocess.run([*command, *self.options, self.image], check=True)
        self.mount()
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "--lazy", self.path], check=False)
        os.unlink(self.image)

    def mount(self):
        done = subprocess.run(["mount", "-t", self.kind, "-o", "loop", self.image, self.path], capture_output=True, text=True)
        if done.returncode:
            raise Skip(f"{self.kind} cannot be mounted here: {done.stderr.strip()}")

    def cut(self, flush):
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, SHUT_DOWN, flush.to_bytes(4, "little"))
        except OSError as error:
            raise Skip(f"this kernel cannot shut {self.kind} down: {error}") from None
        finally:
            os.close(descriptor)

    def mount_again(self):
        # A process that was just killed may still be letting go of its files.
        for attempt in range(200):
            done = subprocess.run(["umount", self.path], capture_output=True, text=True)
            if not done.returncode:
                break
            time.sleep(0.05)
        expect(not done.returncode, f"umount: {done.stderr.strip()}")
        self.mount()


# ---- what runs, and what it was told

class World:
    """A data directory, all that was ever sent into it, and what of it was acknowledged."""

    def __init__(self, data, scratch, durability="sync"):
        self.data, self.scratch = data, scratch
        self.environment = {**os.environ, "LEAT_DATA_DIR": data}
        self.slowest = 0.0          # of the first command after a cut
        self.senders = []
        self.lock = threading.Lock()
        self.over = False           # the cut has begun: nothing counts any more
        self.there = collections.defaultdict(set)  # topic -> whether it may and may not be there
        self.committed = {}         # (consumer, partition) -> next offset, acknowledged
        self.start = 0              # of the topic `s`, acknowledged
        self.total = 0              # acknowledged records looked at
        self.seen = {}              # topic -> what was read of it after the last cut
        self.leat("topic", "create", "t", "-p", "2", "--segment-size", "128KiB", "--durability", durability)
        self.leat("topic", "create", "s", "--segment-size", "64KiB", "--durability", durability)

    def run(self, *arguments, given=""):
        try:
            done = subprocess.run([LEAT, *arguments], env=self.environment, input=given.encode(), capture_output=True,
                                  timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise Wrong(f"leat {' '.join(arguments)} does not end") from None
        return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace").strip()

    def leat(self, *arguments, given=""):
        status, printed, complaints = self.run(*arguments, given=given)
        expect(status == 0, f"leat {' '.join(arguments)}: status {status}: {complaints}")
        return printed

    def start_leat(self, *arguments, **streams):
        return subprocess.Popen([LEAT, *arguments], env=self.environment, **{"stderr": subprocess.DEVNULL, **streams})

    def tell(self, fact):
        """Runs `fact`, something learned or begun, unless the cut has begun. Returns whether it did."""
        with self.lock:
            if not self.over:
                fact()
            return not self.over

    def records(self, topic):
        """{(partition, offset): value} in the order they were read."""
        found = {}
        for line in self.leat("consume", topic, "-Bd", "-F", "{{partition}} {{offset}} {{value}}").splitlines():
            partition, offset, value = line.split(" ", 2)
            found[int(partition), int(offset)] = value
        return found


class Sender:
    """Records `NAME 0`, `NAME 1`, ... for one partition, filled up with dashes before them; `acknowledged` are the offsets of the
    first of them."""

    length, batch_size = 0, "512"

    def __init__(self, world, name, topic, partition):
        self.world, self.name, self.topic, self.partition = world, name, topic, partition
        self.sent, self.acknowledged, self.status = 0, [], None
        self.receipts, self.complaints = (os.path.join(world.scratch, f"{kind}-{name}") for kind in ("receipts", "complaints"))
        world.senders.append(self)

    def feed(self, stopped):
        """Feeds a producer until it ends or `stopped` is set."""
        with open(self.receipts, "wb") as output, open(self.complaints, "wb") as complaints:
            process = self.world.start_leat("produce", self.topic, "-O", "text", "-p", str(self.partition), "--batch-size",
                                            self.batch_size, stdin=subprocess.PIPE, stdout=output, stderr=complaints)
        try:
            while not stopped.is_set():
                self.sent += 1
                process.stdin.write(f"{self.name} {self.sent - 1}".rjust(self.length, "-").encode() + b"\n")
                process.stdin.flush()
                if self.sent % 20 == 0:
                    time.sleep(0.001)
            process.stdin.close()
        except BrokenPipeError:
            pass
        self.status = ended(process)

    def said(self):
        with open(self.complaints, encoding="utf-8", errors="replace") as file:
            return file.read().strip()

    def note(self):
        """What is acknowledged now; a receipt of which the end is missing does not count."""
        if os.path.exists(self.receipts):
            with open(self.receipts, encoding="ascii") as file:
                for line in file.read().split("\n")[len(self.acknowledged):-1]:
                    self.take(line)

    def take(self, receipt):
        topic, partition, offset = receipt.split()
        expect((topic, int(partition)) == (self.topic, self.partition), f"{self.name}: the receipt {receipt!r} came")
        self.acknowledged.append(int(offset))


def ended(process):
    """Its status."""
    try:
        return process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise Wrong(f"{process.args[1:3]} does not end after the cut") from None


def consume(world, stopped):
    """A member of the group g that commits what it has read and ends, again and again."""
    while not stopped.is_set():
        status, printed, _ = world.run("consume", "t", "-c", "g", "-Bd", "-n", "80", "-F", "{{partition}} {{offset}}")
        ends = {("g", int(p)): int(o) + 1 for p, o in (line.split() for line in printed.splitlines())}
        if status == 0:
            world.tell(lambda: world.committed.update(ends))


def follow(world, stopped):
    """A member of the group h that follows, and commits as it goes."""
    process = world.start_leat("consume", "t", "-c", "h", "-B", "--offset-flush", "20ms", "-O", "none", stdout=subprocess.DEVNULL)
    stopped.wait()
    process.terminate()
    ended(process)


def administrate(world, stopped, cut):
    """Makes and deletes topics, and trims one."""
    before = None
    for number in range(10**6):
        name, sender = f"made-{cut}-{number}", Sender(world, f"admin-{cut}-{number}", "s", 0)

        def attempt(arguments, begun, done, given=""):
            if stopped.is_set() or not world.tell(begun):
                return False
            status, printed, _ = world.run(*arguments, given=given)
            return status == 0 and world.tell(lambda: done(printed))

        def trimmed(printed):
            world.start = int(printed.split("\n")[1].split()[-1])
        steps = [
            (["topic", "create", name], lambda: world.there[name].update({True, False}), lambda _: world.there[name].remove(False)),
            (["produce", "s", "-O", "text", "--batch-size", "2KiB"], lambda: setattr(sender, "sent", 120),
             lambda printed: [sender.take(line) for line in printed.splitlines()],
             "".join(f"{sender.name} {n}\n".rjust(60, "-") for n in range(120))),
            (["topic", "trim", "s", "--keep", str(KEPT), "--yes"], lambda: None, trimmed),
        ]
        if before:
            steps.append((["topic", "delete", before], lambda: world.there[before].add(False),
                          lambda _: world.there[before].remove(True)))
        if not all(attempt(*step) for step in steps):
            return
        before = name


class Threads:
    """The activities of a round; what one of them finds wrong is raised at the end."""

    def __init__(self, stopped, *activities):
        self.stopped, self.wrong = stopped, []
        self.threads = [threading.Thread(target=self.guard, args=activity) for activity in activities]
        for thread in self.threads:
            thread.start()

    def guard(self, function, *arguments):
        try:
            function(*arguments)
        except Exception as wrong:  # of any kind: a thread must not end unheard
            self.wrong.append(wrong)

    def end(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()
        if self.wrong:
            raise self.wrong[0]


def run_until_cut(world, disk, cut, chance):
    """One round of activity that ends with the cut and everything mounted again."""
    world.over = False
    senders = [Sender(world, f"{cut}-{slot}", "t", slot % 2) for slot in range(4)]
    stopped = threading.Event()
    work = Threads(stopped, *[(sender.feed, stopped) for sender in senders], (consume, world, stopped), (follow, world, stopped),
                   (administrate, world, stopped, cut))
    time.sleep(chance.uniform(0.1, 0.6) * (10 if SLOW else 1))
    with world.lock:
        world.over = True
        for sender in senders:
            sender.note()
    try:
        disk.cut(chance.choice((FLUSH_JOURNAL, NO_FLUSH)))
    finally:
        work.end()
    disk.mount_again()


# ---- what must be so afterwards

def check(world, cut, chance):
    """Raises Wrong where something acknowledged is not so."""
    world.over = False
    mark = [Sender(world, f"first-{cut}-{partition}", "t", partition) for partition in (0, 1)]
    steps = [lambda: world.run("consume", "t", "-Bd", "-n", "1"), lambda: produce_one(world, mark[0]),
             lambda: world.run("topic", "list")]
    started = time.monotonic()
    chance.choice(steps)()
    world.slowest = max(world.slowest, time.monotonic() - started)
    check_topics(world)
    check_commits(world, check_records(world, "t"))
    check_records(world, "s")
    for sender in mark + [Sender(world, f"last-{cut}", "s", 0)]:
        if not sender.sent:
            produce_one(world, sender)
    check_records(world, "t")
    check_records(world, "s")
    world.leat("check", "store")


def produce_one(world, sender):
    sender.sent = 1
    sender.take(world.leat("produce", sender.topic, "-p", str(sender.partition), "-O", "text", given=f"{sender.name} 0\n"))


def check_topics(world):
    names = set(world.leat("topic", "list", "--names").splitlines())
    expect({"t", "s"} <= names, f"topics are missing: {names}")
    for name in names - {"t", "s"}:
        expect(name in world.there, f"topic {name} was never made")
    for name, allowed in world.there.items():
        expect((name in names) in allowed, f"topic {name} was {'deleted' if name in names else 'made'}, and is {name in names}")
        if name in names:
            world.leat("topic", "describe", name)
        world.there[name] = {name in names}  # what is so now is on the disk


def check_records(world, topic):
    """Compares what is read with what was sent; returns {partition: end}."""
    records = world.records(topic)
    values = [(partition, value.lstrip("-")) for (partition, _), value in records.items()]
    ends = check_offsets(world, topic, list(records))
    by_sender = collections.defaultdict(list)
    for partition, value in values:
        name, number = value.rsplit(" ", 1)
        by_sender[partition, name].append(int(number))
    known = {(sender.partition, sender.name): sender for sender in world.senders if sender.topic == topic}
    expect(set(by_sender) <= set(known), f"{topic}: records of {sorted(set(by_sender) - set(known))[:3]} are there, never sent")
    for place, numbers in by_sender.items():
        # Whole from its first: only a trim may have taken the beginning.
        first = numbers[0] if topic == "s" else 0
        expect(numbers == list(range(first, first + len(numbers))),
               f"{topic}: {place[1]} is there as {numbers[:3]}...{numbers[-3:]}")
        expect(numbers[-1] < known[place].sent, f"{topic}: {place[1]} {numbers[-1]} is there, {known[place].sent} were sent")
    for sender in known.values():
        lost = [(number, offset) for number, offset in enumerate(sender.acknowledged) if offset >= first_of(records, topic, world)
                and records.get((sender.partition, offset), "").lstrip("-") != f"{sender.name} {number}"]
        expect(not lost, f"{topic}[{sender.partition}]: {len(lost)} of {len(sender.acknowledged)} records of {sender.name} were "
               f"acknowledged, and are not in place; the first (number, offset) is {lost[:1]}")
        world.total += len(sender.acknowledged)
    gone = [place for place, value in world.seen.get(topic, {}).items() if place[1] >= first_of(records, topic, world)
            and records.get(place) != value]
    expect(not gone, f"{topic}: {len(gone)} records that were read after the last cut are gone: {gone[:1]}")
    world.seen[topic] = records
    return ends


def first_of(records, topic, world):
    return max(world.start, min((offset for _, offset in records), default=0)) if topic == "s" else 0


def check_offsets(world, topic, places):
    """Dense from the start of the log; {partition: end}"""
    ends = {}
    for partition in {partition for partition, _ in places}:
        offsets = [offset for where, offset in places if where == partition]
        first = offsets[0] if topic == "s" else 0
        expect(offsets == list(range(first, first + len(offsets))), f"{topic}[{partition}]: offsets are not dense")
        ends[partition] = offsets[-1] + 1
        if topic == "s":
            expect(first >= world.start, f"s begins at {first}, and was trimmed to {world.start}")
            expect(first == 0 or len(offsets) >= KEPT, f"s holds {len(offsets)} records; a trim keeps {KEPT}")
    return ends


def check_commits(world, ends):
    listed = {(c["consumer"], c["partition"]): 0 if c["offset"] is None else c["offset"] + 1
              for c in json.loads(world.leat("consumer", "list", "-O", "json"))}
    for (consumer, partition), following in listed.items():
        expect(following <= ends.get(partition, 0),
               f"{consumer} on t[{partition}] is at {following}, the log ends at {ends.get(partition)}")
    for place, following in world.committed.items():
        expect(listed.get(place, 0) >= following,
               f"{place[0]} committed {following} on t[{place[1]}], and is at {listed.get(place)}")
    world.committed = {place: following for place, following in listed.items() if place[0] == "g"}
    for line in world.leat("consume", "t", "-c", "g", "-Bd", "-n", "1", "-F", "{{partition}} {{offset}}").splitlines():
        partition, offset = map(int, line.split())
        due = listed.get(("g", partition), 0)
        expect(offset == due, f"g goes on at {offset} of t[{partition}], not at {due}")
        world.committed["g", partition] = offset + 1


# ---- the cuts

class Tally:
    """What came of the cuts of one file system, or of the copies."""

    def __init__(self, name, options):
        self.name, self.options = name, options
        self.tried = self.acknowledged = 0
        self.slowest, self.violations = 0.0, []

    def add(self, number, world, wrong):
        self.tried += 1
        if wrong:
            self.violations.append(str(wrong))
            if len(self.violations) <= 5:
                print(f"{self.name}: number {number}: {wrong}", flush=True)
        if world:
            self.slowest = max(self.slowest, world.slowest)

    def report(self, seconds, flags):
        print(f"{self.name}: {self.tried} tried, {self.acknowledged:,} records acknowledged, {len(self.violations)} violations, "
              f"slowest first command {self.slowest * 1000:.0f} ms, {seconds:.0f} s", flush=True)
        if self.options.results:
            results.write(self.options.results, ROW, self.name, self.tried, len(self.violations), self.slowest, self.options.seed,
                          f"tests/crash/real_cuts.py {flags} --seed {self.options.seed}")


def cut_all(kind, directory, options, durability="sync"):
    """The cuts of one file system, on a new disk every so often and after each violation."""
    tally, started, number = Tally(f"real power cuts, {kind}", options), time.monotonic(), 0
    chance = random.Random(f"{options.seed} {kind}")
    while number < options.cuts:
        with Disk(directory, kind) as disk, tempfile.TemporaryDirectory(dir=directory) as scratch:
            world = World(os.path.join(disk.path, "data"), scratch, durability)
            for number in range(number + 1, min(number + CUTS_OF_ONE_DISK, options.cuts) + 1):
                wrong = None
                try:
                    run_until_cut(world, disk, number, chance)
                    check(world, number, chance)
                except Wrong as found:
                    wrong = found
                tally.add(number, world, wrong)
                if wrong:
                    break
            tally.acknowledged += sum(len(sender.acknowledged) for sender in world.senders)
    if tally.acknowledged < tally.tried * 20:
        tally.violations.append("too little was acknowledged to show anything")
        print(tally.violations[-1])
    tally.report(time.monotonic() - started, f"--cuts {options.cuts} --file-system {kind}")
    return tally


# ---- copies

def write_for(world, name, seconds, meanwhile=lambda: None):
    """Two producers and a consumer for so long; `meanwhile` runs in the middle."""
    stopped = threading.Event()
    senders = [Sender(world, f"{name}-{slot}", "t", slot) for slot in (0, 1)]
    work = Threads(stopped, *[(sender.feed, stopped) for sender in senders], (consume, world, stopped))
    time.sleep(seconds / 2)
    for sender in senders:
        sender.note()
    acknowledged = {(s.partition, offset): f"{s.name} {n}" for s in world.senders if s.topic == "t" for n, offset in
                    enumerate(s.acknowledged)}
    meanwhile()
    time.sleep(seconds / 2)
    work.end()
    for sender in senders:
        sender.note()
    return acknowledged


def put_back(saved, path):
    """The files of `saved` take the place of those of `path`, which keep their inodes; what else is there goes."""
    if os.path.isdir(saved):
        for name in os.listdir(path):
            if name not in os.listdir(saved):
                subprocess.run(["rm", "-r", os.path.join(path, name)], check=True)
        for name in os.listdir(saved):
            put_back(os.path.join(saved, name), os.path.join(path, name))
    elif os.path.exists(path):
        with open(saved, "rb") as old, open(path, "r+b") as file:
            file.truncate()
            file.write(old.read())
            file.truncate()
    else:
        shutil.copy2(saved, path)


def copied_live(world, chance, aside):
    """cp while everything runs. What was acknowledged before it began is there."""
    due = write_for(world, "live", chance.uniform(0.2, 0.8), lambda: subprocess.run(["cp", "-a", world.data, aside], check=True))
    world.data = world.environment["LEAT_DATA_DIR"] = aside
    return due, False


def restored(*parts):
    """These parts of the directory are put back to what they were some time ago."""
    def restore(world, chance, aside):
        due = write_for(world, "before", chance.uniform(0.1, 0.4))
        shutil.copytree(world.data, aside)
        due = world.records("t")
        write_for(world, "after", chance.uniform(0.2, 0.4))
        late = world.records("t")
        for part in parts:
            put_back(os.path.join(aside, part), os.path.join(world.data, part))
        log_is_old = any("topics/t/" in part and "state" not in part for part in parts)
        return (due, True) if log_is_old and len(late) > len(due) else (late, False)
    restore.__doc__ = "restored from older: " + ", ".join(parts)
    return restore


def restored_elsewhere(world, chance, aside):
    """The whole topic from an older copy, new inodes and all; only the commits say more."""
    restored()(world, chance, aside)
    shutil.rmtree(os.path.join(world.data, "topics/t"))
    subprocess.run(["cp", "-a", os.path.join(aside, "topics/t"), os.path.join(world.data, "topics/t")], check=True)
    before = {"LEAT_DATA_DIR": aside}
    done = subprocess.run([LEAT, "consume", "t", "-Bd", "-F", "{{partition}} {{offset}} {{value}}"], env={**os.environ, **before},
                          capture_output=True, text=True, check=True)
    return {(int(p), int(o)): v for p, o, v in (line.split(" ", 2) for line in done.stdout.splitlines())}, False


# What is made older than the rest. The log is old: what was acknowledged since is missing, and the page knows.
COPIES = [
    copied_live, copied_live, copied_live, restored("topics/t/0", "topics/t/1"), restored("topics/t/1"), restored("topics/t/state"),
    restored("groups"), restored("topics/t/state", "groups"), restored_elsewhere,
    restored("topics/t/0", "topics/t/1", "groups"),
]


def check_copy(world, due, missing):
    """What was acknowledged and is present is read, nothing else is, and a loss does not go without a word."""
    started = time.monotonic()
    status, printed, complaints = world.run("consume", "t", "-Bd", "-F", "{{partition}} {{offset}} {{value}}")
    world.slowest = time.monotonic() - started
    records = {(int(p), int(o)): v for p, o, v in (line.split(" ", 2) for line in printed.splitlines())}
    ends = check_offsets(world, "t", list(records))
    lost = [place for place, value in due.items() if records.get(place) != value]
    expect(not lost, f"{len(lost)} of {len(due)} acknowledged records are present and not read, the first {lost[:1]}; {complaints}")
    sent = {f"{s.name} {n}" for s in world.senders for n in range(s.sent)}
    phantoms = [value for value in records.values() if value not in sent]
    expect(not phantoms, f"never sent: {phantoms[:1]}")
    expect(len(set(records.values())) == len(records), "a record is there twice")
    expect(status == (76 if missing else 0), f"reading ends with {status}: {complaints}")
    statuses = []
    for partition in (0, 1):
        status, printed, complaints = world.run("produce", "t", "-p", str(partition), "-O", "text", given="next\n")
        expect(status in (0, 76), f"the next produce ends with {status}: {complaints}")
        expect(status == 0 or "missing" in complaints or "damaged" in complaints, f"76 without its reason: {complaints}")
        statuses.append(status)
        if status == 0:
            end = ends.get(partition, 0)
            expect(printed == f"t {partition} {end}\n", f"the next record went to {printed!r}, not {end}")
    expect((76 in statuses) == missing, f"appending ends with {statuses}, records are {'' if missing else 'not '}missing")
    check_consumer_of_copy(world)
    if missing:
        world.leat("repair", "t", "--execute", "--yes")
        for partition in (0, 1):
            world.leat("produce", "t", "-p", str(partition), given="repaired\n")
        after = world.records("t")
        expect(all(after.get(place) == value for place, value in records.items()), "repair has taken records")
    world.total += len(due)


def check_consumer_of_copy(world):
    """A consumer whose offset is past the log's end ends with 76 and says what to do; any other goes on."""
    ends = {p["partition"]: p["end"] for p in json.loads(world.leat("partition", "list", "t", "-O", "json"))}
    stored = {c["partition"]: 0 if c["offset"] is None else c["offset"] + 1
              for c in json.loads(world.leat("consumer", "list", "-O", "json"))}
    beyond = any(following > ends[partition] for partition, following in stored.items())
    status, _, complaints = world.run("consume", "t", "-c", "g", "-Bd", "-O", "none")
    if beyond:
        expect(status == 76 and "hint" in complaints, f"the commits {stored} are past the ends {ends}: {status}: {complaints}")
    else:
        expect(status in (0, 76), f"the consumer ends with {status}: {complaints}")


def copy_all(directory, options):
    tally, started = Tally("copied or restored directories", options), time.monotonic()
    chance = random.Random(f"{options.seed} copies")
    for number in range(options.copies):
        with Disk(directory, "ext4") as disk, tempfile.TemporaryDirectory(dir=directory) as scratch:
            world, wrong, kind = World(os.path.join(disk.path, "data"), scratch), None, COPIES[number % len(COPIES)]
            try:
                check_copy(world, *kind(world, chance, os.path.join(disk.path, "aside")))
            except Wrong as found:
                wrong = f"{kind.__doc__}: {found}"
            tally.add(number, world, wrong)
            tally.acknowledged += sum(len(sender.acknowledged) for sender in world.senders)
    tally.report(time.monotonic() - started, f"--copies {options.copies} --cuts 0")
    return tally


# ---- proof that it can fail

def self_test(directory, options):
    """Outcomes as a faulty leat might leave them, each of which has to be found."""
    missed = []

    def verdict(name, found):
        print(f"   {name}: {'found: ' + str(found)[:110] if found else 'NOT FOUND'}", flush=True)
        if not found:
            missed.append(name)

    for attempt in range(4):  # a cut may come at a moment at which all is durable
        tally = cut_all("ext4", directory, argparse.Namespace(results=None, cuts=3, seed=options.seed + attempt), "os")
        if tally.violations:
            break
    verdict("receipts before the sync", next((v for v in tally.violations if "acknowledged" in v), None))

    def lie_of(name, spoil):
        with Disk(directory, "ext4") as disk, tempfile.TemporaryDirectory(dir=directory) as scratch:
            world = World(os.path.join(disk.path, "data"), scratch)
            sender = Sender(world, "liar", "t", 0)
            sender.sent = 20
            for line in world.leat("produce", "t", "-p", "0", "-O", "text",
                                   given="".join(f"liar {n}\n" for n in range(20))).splitlines():
                sender.take(line)
            check(world, 0, random.Random(0))
            spoil(world, sender)
            try:
                check(world, 1, random.Random(0))
                verdict(name, None)
            except Wrong as wrong:
                verdict(name, wrong)
    lie_of("a receipt for what was never written", lambda world, sender: sender.acknowledged.append(10**6))
    lie_of("a record that nobody sent", lambda world, sender: world.leat("produce", "t", given="stranger 0\n"))
    lie_of("a record beyond what was sent", lambda world, sender: setattr(sender, "sent", 19))
    lie_of("a record that is there twice", lambda world, sender: world.leat("produce", "t", "-p", "0", given="liar 7\n"))
    lie_of("a commit that has gone back", lambda world, sender: world.committed.update({("g", 0): 10**6}))
    lie_of("a topic that has gone", lambda world, sender: world.there["never"].add(True))
    lie_of("a trim that was undone", lambda world, sender: setattr(world, "start", 10**6))
    print(f"self-test: {len(missed)} wrong outcomes not found")
    return not missed


def main(arguments=None):
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description="Cuts real file systems off their disks, and opens copied directories.")
    parser.add_argument("--cuts", type=int, default=100, help="of each file system (default: 100)")
    parser.add_argument("--copies", type=int, default=20, help="directories copied or restored (default: 20)")
    parser.add_argument("--file-system", action="append", choices=FILE_SYSTEMS, help="only this one (repeatable)")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("LEAT_SEED", random.SystemRandom().randrange(10**6))))
    parser.add_argument("--results", help="append a row for each to this file")
    parser.add_argument("--self-test", action="store_true", help="show that wrong outcomes are found, and end")
    options = parser.parse_args(arguments)
    kinds, skipped, tallies = options.file_system or list(FILE_SYSTEMS), [], []
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="leat-real-", dir=memory) as directory:
        print(f"seed {options.seed}", flush=True)
        try:
            if options.self_test:
                return 0 if self_test(directory, options) else 1
            if options.copies:
                tallies.append(copy_all(directory, options))
        except Skip as why:
            print(why)
            return SKIPPED
        for kind in kinds if options.cuts else []:
            try:
                tallies.append(cut_all(kind, directory, options))
            except Skip as why:
                skipped.append(f"{kind}: {why}")
                print(f"not tried, {kind}: {why}", flush=True)
    if skipped and not tallies:
        return SKIPPED
    return 1 if any(tally.violations for tally in tallies) else 0


def run(script, arguments=None, work=main):
    """`work`, a program's main, in a mount namespace of its own: also for the others that mount."""
    try:
        in_own_namespace(script, sys.argv[1:])
    except Skip as why:
        print(why)
        return SKIPPED
    return work(arguments)


if __name__ == "__main__":
    sys.exit(run(__file__))
