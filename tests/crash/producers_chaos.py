#!/usr/bin/python3
"""Eight producers and four consumers of a topic are killed every few milliseconds and started again: row 10 of the scorecard.

    producers_chaos.py [--seconds N] [--roots KILLS] [--seed N] [--results FILE] [--self-test]

Rounds of some seconds, each with a topic of its own, so that minutes of it take no more memory than one. Two of the consumers
follow, two are members of a group. In the end: what was acknowledged is what is read at the place the receipt names, each key
is in one partition and each producer's records of it in order and without gaps, offsets are dense and none is given twice; no
reader goes back, skips, or reads what another does not. What is committed never goes back and is never behind the end (row 14; with
owners and deliveries, groups_chaos.py shows more of it). With --roots, producers of a topic with proofs are killed so many
times instead, and each root of before is proved to be continued by the one after: row 23.
"""

import argparse
import collections
import contextlib
import dataclasses
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "scenarios"))
import processes  # noqa: E402
import results  # noqa: E402
from processes import LEAT, leat  # noqa: E402

PRODUCERS, FOLLOWERS, MEMBERS = 8, 2, 2
KEYS = 16
ROUND_SECONDS = 5
KILL_EVERY = (0.002, 0.008)  # seconds
PATIENCE = 90 if processes.SLOW else 30
SHOWN = 20
FORM = "{{partition}} {{offset}} {{key}} {{value}}"


def keyed(life):
    return life % 4 != 0


def value_of(life, number):
    return f"{life}-{number}-" + "x" * (number * 7 % 60) + "."


def record_of(life, number):
    """What the producer reads of its record: a line with a key, or without."""
    return f"k{number % KEYS}:{value_of(life, number)}\n" if keyed(life) else f"{value_of(life, number)}\n"


@dataclasses.dataclass
class Seen:
    """All that was seen of a round, and what it must obey."""

    ends: list = dataclasses.field(default_factory=list)  # of each partition, in the end
    truth: list = dataclasses.field(default_factory=list)  # [(partition, offset, key, value)] as one reader gets it in the end
    given: dict = dataclasses.field(default_factory=dict)  # producer -> how many records it was given at most
    receipts: dict = dataclasses.field(default_factory=dict)  # producer -> [(partition, offset)]
    finished: set = dataclasses.field(default_factory=set)  # producers that ended with 0
    readers: dict = dataclasses.field(default_factory=dict)  # name -> its records, in the order it wrote them
    group: list = dataclasses.field(default_factory=list)  # the names of those readers that are members
    samples: list = dataclasses.field(default_factory=list)  # [({partition: committed}, [end])], the ends asked afterwards
    ahead: bool = False  # a member reads what is not committed: it may be ahead of the ends that others are shown meanwhile


def check_log(seen):
    following = collections.Counter()
    numbers = {}
    places = collections.defaultdict(set)
    for partition, offset, key, value in seen.truth:
        if offset != following[partition]:
            yield "offsets", f"partition {partition} has {offset} where {following[partition]} was due"
        following[partition] = offset + 1
        match = re.fullmatch(r"(\d+)-(\d+)-x*\.", value)
        life, number = (int(match[1]), int(match[2])) if match else (-1, -1)
        if number >= seen.given.get(life, -1) or value != value_of(life, number):
            yield "phantom", f"{partition} {offset}: nobody was given {value!r}"
            continue
        if key != (f"k{number % KEYS}" if keyed(life) else "null"):
            yield "phantom", f"{partition} {offset}: {value!r} has the key {key}"
        if keyed(life):
            places[key].add(partition)
            due = numbers.get((life, key), number % KEYS - KEYS) + KEYS
            if number != due:
                yield "key order", f"{partition} {offset}: producer {life}'s record {number} of {key} where {due} was due"
            numbers[life, key] = number
        else:
            if number <= numbers.get((life, partition), -1):
                yield "order", f"{partition} {offset}: producer {life}'s record {number} behind its {numbers[life, partition]}"
            numbers[life, partition] = number
    for key, partitions in places.items():
        if len(partitions) != 1:
            yield "key order", f"{key} is in the partitions {sorted(partitions)}"
    for value, times in collections.Counter(value for *_, value in seen.truth).items():
        if times > 1:
            yield "twice", f"{value!r} is there {times} times"
    for partition, end in enumerate(seen.ends):
        if following[partition] != end:
            yield "offsets", f"partition {partition} ends at {end}, and {following[partition]} records were read"


def check_receipts(seen):
    value_at = {(partition, offset): value for partition, offset, _, value in seen.truth}
    named = collections.Counter(place for places in seen.receipts.values() for place in places)
    for place, times in named.items():
        if times > 1:
            yield "offset twice", f"{place} was acknowledged {times} times"
    for life, places in seen.receipts.items():
        for number, place in enumerate(places):
            if value_at.get(place) != value_of(life, number):
                there = value_at.get(place)
                yield "lost", f"producer {life}'s record {number} was acknowledged at {place}, where {there!r} is read"
        if life in seen.finished and len(places) != seen.given[life]:
            yield "lost", f"producer {life} ended well, with {len(places)} receipts for {seen.given[life]} records"


def check_readers(seen):
    at = {(partition, offset): (key, value) for partition, offset, key, value in seen.truth}
    for who, records in seen.readers.items():
        last = {}
        for partition, offset, key, value in records:
            if at.get((partition, offset)) != (key, value):
                yield "other", f"{who} read {(key, value)} at {(partition, offset)}, where {at.get((partition, offset))} is"
            if partition in last and offset <= last[partition]:
                yield "back", f"{who} read {offset} of partition {partition} behind {last[partition]}"
            elif partition in last and offset != last[partition] + 1 and who not in seen.group:
                yield "skipped", f"{who} read {offset} of partition {partition} behind {last[partition]}"
            last[partition] = offset
    got = {(partition, offset) for who in seen.group for partition, offset, _, _ in seen.readers[who]}
    for place in at.keys() - got if seen.group else ():
        yield "skipped", f"no member of the group read {place}"


def check_commits(seen):
    latest = collections.Counter()
    for committed, ends in seen.samples:
        for partition in latest.keys() - committed.keys():
            yield "commit", f"the commit {latest[partition]} of partition {partition} is forgotten"
        for partition, following in committed.items():
            if following < latest[partition]:
                yield "commit", f"partition {partition} was committed at {latest[partition]}, then at {following}"
            if following > (seen.ends if seen.ahead else ends)[partition]:
                yield "commit", f"partition {partition} was committed at {following}, and ends at {ends[partition]}"
        latest.update({p: following - latest[p] for p, following in committed.items()})


def violations(seen):
    return [found for check in (check_log, check_receipts, check_readers, check_commits) for found in check(seen)]


# ---- the processes


class Process:
    """One life of a producer or consumer; what it prints goes to files."""

    def __init__(self, name, arguments, feed=False):
        self.name, self.killed, self.asked = name, False, None
        with open(f"{name}.out", "wb") as output, open(f"{name}.err", "wb") as errors:
            self.process = subprocess.Popen([LEAT, *arguments], stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
                                            stdout=output, stderr=errors)

    def kill(self):
        self.killed = True
        self.process.kill()
        self.process.wait()

    def complaint(self):
        status = self.process.wait()
        # One that had ended as it was to has not been killed.
        if status in (-signal.SIGKILL if self.killed else None, -self.asked if self.asked else 0):
            return None
        with open(f"{self.name}.err", encoding="utf-8", errors="replace") as file:
            return "status", f"{self.name} ended with {status}: {file.read()[-300:].strip()}"

    def lines(self):
        """Its whole lines; a killed one may leave a last one in parts."""
        with open(f"{self.name}.out", encoding="ascii", errors="replace") as file:
            return [line[:-1] for line in file if line.endswith("\n")]


class Producer(Process):
    def __init__(self, life, topic, generator):
        self.life, self.given, self.pending, self.generator = life, 0, b"", generator
        flags = ["--key-separator", ":"] if keyed(life) else []
        flags += ["--batch-size", generator.choice(["512", "4KiB", "64KiB"])]
        flags += ["--compression", generator.choice(["none", "none", "lz4"])]
        super().__init__(f"producer-{life}", ["produce", topic, "-O", "text", *flags], feed=True)
        os.set_blocking(self.process.stdin.fileno(), False)

    def feed(self):
        if not self.pending:
            burst = self.generator.choice([1, 1, 3, 10, 40])
            self.pending = "".join(record_of(self.life, self.given + n) for n in range(burst)).encode()
            self.given += burst
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            self.pending = self.pending[os.write(self.process.stdin.fileno(), self.pending):]

    def kill(self):
        super().kill()
        self.process.stdin.close()

    def finish(self):
        """All it was given is written, then its input ends; False when it does not read."""
        os.set_blocking(self.process.stdin.fileno(), True)
        with contextlib.suppress(BrokenPipeError):
            if self.pending:
                os.write(self.process.stdin.fileno(), self.pending)
        self.process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)
            return True
        self.kill()
        return False

    def receipts(self):
        return [tuple(map(int, line.split()[1:])) for line in self.lines()]


class Sampler(threading.Thread):
    """Asks again and again what is committed, then where the logs end."""

    def __init__(self, topic):
        super().__init__(daemon=True)
        self.topic, self.samples, self.complaints, self.stopping = topic, [], [], threading.Event()
        self.start()

    def ask(self, *arguments):
        done = subprocess.run([LEAT, *arguments, "-O", "json"], capture_output=True, text=True)
        if done.returncode:
            self.complaints.append(("status", f"leat {' '.join(arguments)}: status {done.returncode}: {done.stderr.strip()}"))
            return None
        return json.loads(done.stdout)

    def run(self):
        while not self.stopping.wait(0.1):
            committed = self.ask("consumer", "list", "-t", self.topic)
            ends = self.ask("partition", "list", self.topic)
            if committed is not None and ends is not None:
                self.samples.append(({row["partition"]: 0 if row["offset"] is None else row["offset"] + 1 for row in committed},
                                     [row["end"] for row in ends]))


class Round:
    def __init__(self, topic, generator):
        self.topic, self.generator = topic, generator
        self.partitions = generator.choice([1, 4])
        leat("topic", "create", topic, "-p", str(self.partitions), "--segment-size", generator.choice(["64KiB", "64KiB", "1GiB"]),
             "--durability", generator.choice(["sync", "sync", "os"]))
        self.seen, self.complaints = Seen(), []
        self.kills = self.lives = 0
        self.living = [self.start(slot) for slot in range(PRODUCERS + FOLLOWERS + MEMBERS)]

    def start(self, slot):
        self.lives += 1
        if slot < PRODUCERS:
            return Producer(self.lives, self.topic, self.generator)
        # What is read first is at times the beginning, else near the end.
        start = self.generator.choice([["-B"], ["-T", "30"], ["-H", "10"]])
        isolation = ["--isolation", self.generator.choice(["read_committed", "read_committed", "read_uncommitted"])]
        if slot < PRODUCERS + FOLLOWERS:
            return Process(f"follower-{self.lives}", ["consume", self.topic, *start, *isolation, "-F", FORM])
        self.seen.ahead |= "read_uncommitted" in isolation
        return Process(f"member-{self.lives}", ["consume", self.topic, "-c", "g", "-B", "--offset-flush", "30ms", "-F", FORM,
                                                "--unbuffered", *isolation])

    def ended(self, process):
        """Notes what a process leaves, and removes its files."""
        if complaint := process.complaint():
            self.complaints.append(complaint)
        if isinstance(process, Producer):
            self.seen.given[process.life] = process.given
            self.seen.receipts[process.life] = process.receipts()
            if process.process.returncode == 0:
                self.seen.finished.add(process.life)
        else:
            self.seen.readers[process.name] = [parse(line) for line in process.lines()]
            if process.name.startswith("member"):
                self.seen.group.append(process.name)
        for suffix in ("out", "err"):
            os.unlink(f"{process.name}.{suffix}")

    def chaos(self, seconds):
        end = time.monotonic() + seconds
        due = time.monotonic()
        while (now := time.monotonic()) < end:
            for process in self.generator.sample(self.living[:PRODUCERS], 3):
                process.feed()
            if now >= due:
                slot = self.generator.randrange(len(self.living))
                process = self.living[slot]
                if process.process.poll() is not None:
                    self.complaints.append(("status", f"{process.name} ended, and nobody asked it to"))
                process.kill()
                self.kills += process.process.returncode == -signal.SIGKILL
                self.ended(process)
                self.living[slot] = self.start(slot)
                due = time.monotonic() + self.generator.uniform(*KILL_EVERY)
            time.sleep(0.0005)

    def run(self, seconds):
        sampler = Sampler(self.topic)
        self.chaos(seconds)
        for process in self.living[:PRODUCERS]:
            if not process.finish():
                self.complaints.append(("stuck", f"{process.name} does not end within {PATIENCE} s"))
            self.ended(process)
        self.seen.ends = [row["end"] for row in json.loads(leat("partition", "list", self.topic, "-O", "json"))]
        # Whoever lives still gets to the end.
        for process in self.living[PRODUCERS:PRODUCERS + FOLLOWERS]:
            self.wait_for_end(process)
        for process in self.living[PRODUCERS:]:
            process.asked = signal.SIGTERM
            process.process.terminate()
            try:
                process.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.complaints.append(("stuck", f"{process.name} does not end on SIGTERM"))
                process.kill()
            self.ended(process)
        sampler.stopping.set()
        sampler.join()
        self.seen.samples, self.complaints = sampler.samples, self.complaints + sampler.complaints
        rest = Process("member-rest", ["consume", self.topic, "-c", "g", "-Bd", "-F", FORM])
        rest.process.wait()
        self.ended(rest)
        self.seen.truth = [parse(line) for line in leat("consume", self.topic, "-Bd", "-F", FORM).decode("ascii").splitlines()]
        if subprocess.run([LEAT, "inspect", "verify", "--deep"], capture_output=True).returncode:
            self.complaints.append(("verify", f"{self.topic}: inspect verify --deep finds damage"))
        leat("topic", "delete", self.topic, stderr=subprocess.DEVNULL)
        return violations(self.seen) + self.complaints

    def wait_for_end(self, process):
        deadline = time.monotonic() + PATIENCE
        path = f"{process.name}.out"
        while True:
            last = {}
            for partition, offset, _, _ in map(parse, process.lines()):
                last[partition] = offset
            # From a tail on, or a little behind the beginning, it need not have seen all; a partition may have nothing for it.
            if all(last.get(p, end - 1) == end - 1 for p, end in enumerate(self.seen.ends)) and (last or not any(self.seen.ends)):
                return
            if time.monotonic() > deadline:
                self.complaints.append(("stuck", f"{path} is at {last} after {PATIENCE} s, and the log ends at {self.seen.ends}"))
                return
            time.sleep(0.05)


def parse(line):
    match = re.fullmatch(r"(\d+) (\d+) (\S+) (.*)", line)
    return (int(match[1]), int(match[2]), match[3], match[4]) if match else (-1, -1, "", line)


def chaos(options, generator):
    total = collections.Counter()
    end = time.monotonic() + options.seconds
    number = 0
    while (left := end - time.monotonic()) > 0.5:
        one = Round(f"chaos-{number}", random.Random(generator.random()))
        found = one.run(min(ROUND_SECONDS, left))
        for kind, text in found[:SHOWN]:
            print(f"round {number}: {kind}: {text}", flush=True)
        acknowledged = sum(map(len, one.seen.receipts.values()))
        total.update(rounds=1, kills=one.kills, lives=one.lives, acknowledged=acknowledged, read=len(one.seen.truth),
                     violations=len(found), lost=sum(kind == "lost" for kind, _ in found), samples=len(one.seen.samples))
        number += 1
    print(f"seed {options.seed}: {total['rounds']} rounds, {total['kills']:,} kills of {total['lives']:,} processes, "
          f"{total['acknowledged']:,} records acknowledged, {total['read']:,} read, {total['lost']} lost, "
          f"{total['samples']} commits seen, {total['violations']} violations", flush=True)
    if not total["kills"] or not total["acknowledged"]:
        print("nothing was killed, or nothing acknowledged: this shows nothing")
        total["violations"] += 1
    if options.results:
        results.write(options.results, 10, "producers_chaos", total["kills"], total["violations"], None, options.seed,
                      f"tests/crash/producers_chaos.py --seconds {options.seconds:g} --seed {options.seed}")
    return total["violations"]


# ---- roots across kills


def root_of(topic, *flags):
    """(size, root) of partition 0."""
    row, = json.loads(leat("inspect", "checkpoint", topic, "-O", "json", *flags))
    return row["size"], row["root"]


def continues(topic, old, new):
    """Why the later root does not continue the earlier, or None. The proof is checked without the log."""
    if new[0] < old[0]:
        return f"the tree of {old[0]} has become one of {new[0]}"
    if new[0] == old[0] or old[0] == 0:
        return None if new == old or old[0] == 0 else f"the tree of {old[0]} has two roots"
    made = subprocess.run([LEAT, "inspect", "proof", topic, "--consistency", str(old[0]), str(new[0])], capture_output=True)
    if made.returncode:
        return f"no proof that {new[0]} continues {old[0]}: {made.stderr.decode().strip()}"
    return refused(made.stdout, old, new)


def refused(proof, old, new):
    with open("growth.json", "wb") as file:
        file.write(proof)
    done = subprocess.run([LEAT, "-D", "/nowhere", "inspect", "proof", "--verify", "growth.json", "--old-root", old[1],
                           "--root", new[1]], capture_output=True)
    if done.returncode:
        return f"that {new[0]} continues {old[0]}: status {done.returncode}: {done.stderr.decode().strip()}"
    return None


def roots(options, generator):
    """So many kills; after each the next root continues the last one, and one of long ago."""
    found, kills, rounds, proofs = [], 0, 0, 0
    while kills < options.roots:
        topic = f"roots-{rounds}"
        leat("topic", "create", topic, "--proofs", "on", "--segment-size", generator.choice(["64KiB", "1GiB"]),
             "--durability", generator.choice(["sync", "os"]))
        life = 0
        seen = [root_of(topic)]
        living = []
        for _ in range(min(25, options.roots - kills)):
            while len(living) < 3:
                life += 1
                living.append(Producer(life, topic, generator))
            end = time.monotonic() + generator.uniform(0.005, 0.08)
            while time.monotonic() < end:
                for producer in living:
                    producer.feed()
                time.sleep(0.001)
                if generator.random() < 0.03:
                    seen.append(root_of(topic))
            # One of them, or all: then whoever comes next finds nobody alive.
            for producer in list(living) if generator.random() < 0.5 else [generator.choice(living)]:
                producer.kill()
                kills += 1
                living.remove(producer)
            now = root_of(topic)
            for old in {seen[-1], generator.choice(seen)}:
                proofs += 1
                if complaint := continues(topic, old, now):
                    found.append(f"{topic}, after {kills} kills: {complaint}")
            seen.append(now)
        for producer in living:
            producer.finish()
        for old in set(seen):
            if old[0] and root_of(topic, "--size", str(old[0])) != old:
                found.append(f"{topic}: the tree of {old[0]} has another root in the end")
        if subprocess.run([LEAT, "inspect", "verify", "--deep", topic], capture_output=True).returncode:
            found.append(f"{topic}: inspect verify --deep finds damage")
        rounds += 1
    for text in found[:SHOWN]:
        print(text)
    print(f"seed {options.seed}: {kills} kills, {proofs} proofs that a root continues one of before, "
          f"the last of {seen[-1][0]:,} records, {len(found)} violations", flush=True)
    if seen[-1][0] == 0:
        found.append("no record was written: nothing was shown")
    if options.results:
        results.write(options.results, 23, "roots", kills, len(found), None, options.seed,
                      f"tests/crash/producers_chaos.py --roots {options.roots} --seed {options.seed}")
    return len(found)


# ---- proof that it can fail


def right():
    """A round as it is without faults: two producers with keys, one without, a follower, two members."""
    seen = Seen(given={1: 60, 2: 60, 4: 40}, finished={1})
    following = collections.Counter()
    seen.receipts = {life: [] for life in seen.given}
    for number in range(60):
        for life in (1, 2, 4):
            if number < seen.given[life] - (5 if life != 1 else 0):
                key = number % KEYS if keyed(life) else None
                partition = (key if key is not None else number // 3) % 2
                place = partition, following[partition]
                following[partition] += 1
                seen.truth.append((*place, "null" if key is None else f"k{key}", value_of(life, number)))
                if life == 1 or number < 30:
                    seen.receipts[life].append(place)
    seen.ends = [following[0], following[1]]
    seen.readers = {"follower": seen.truth[10:], "a": seen.truth[:100], "b": seen.truth[80:]}
    seen.group = ["a", "b"]
    seen.samples = [({0: n, 1: n}, [n + 1, n]) for n in range(0, 50, 10)]
    return seen


def self_test():
    """Each wrong outcome, and what it has to be called."""
    cases = {
        "lost": lambda s: s.truth.pop(),
        "offsets": lambda s: s.truth.pop(50),
        "phantom": lambda s: change(s.truth, 20, 3, "1-70-."),
        "torn": lambda s: change(s.truth, 20, 3, s.truth[20][3][:-1]),
        "key order": lambda s: swap(s.truth, 0, 3 * KEYS),
        "moved key": lambda s: change(s.truth, -1, 0, 1 - s.truth[-1][0]),
        "twice": lambda s: change(s.truth, 20, 3, s.truth[23][3]),
        "offset twice": lambda s: s.receipts[2].append(s.receipts[1][0]),
        "receipt missing": lambda s: s.receipts[1].pop(),
        "back": lambda s: s.readers["follower"].append(s.truth[100]),
        "skipped": lambda s: s.readers["follower"].pop(30),
        "skipped by all": lambda s: s.readers.update(a=s.truth[:50]),
        "other": lambda s: change(s.readers["b"], 5, 3, "1-0-."),
        "commit": lambda s: s.samples.append(({0: 5, 1: 40}, [90, 90])),
        "commit forgotten": lambda s: s.samples.append(({0: 50}, [90, 90])),
        "commit ahead": lambda s: s.samples.append(({0: 50, 1: 91}, [90, 90])),
    }
    called = {"torn": "phantom", "moved key": "key order", "receipt missing": "lost", "skipped by all": "skipped",
              "commit forgotten": "commit", "commit ahead": "commit"}
    missed = [f"a right round has {found}" for found in violations(right())]
    for name, spoil in cases.items():
        seen = right()
        spoil(seen)
        kinds = {kind for kind, _ in violations(seen)}
        if called.get(name, name) not in kinds:
            missed.append(f"{name}: {kinds or 'nothing'} found")
    missed += root_self_test()
    print("\n".join(missed) or f"self-test: {len(cases)} wrong rounds and a log written anew, all found out")
    return not missed


def change(records, at, column, value):
    records[at] = (*records[at][:column], value, *records[at][column + 1:])


def swap(records, one, other):
    a, b = records[one], records[other]
    records[one], records[other] = (*a[:3], b[3]), (*b[:3], a[3])


def root_self_test():
    """A log written anew with one record changed, and a proof with another root, are refused."""
    def fill(changed):
        leat("topic", "create", "anew")
        leat("produce", "anew", "--timestamp", "2024-01-01", input="".join(f"{n + (n == changed)}\n" for n in range(600)).encode())
    fill(None)
    old = root_of("anew", "--size", "400")
    shorter, whole = root_of("anew", "--size", "300"), root_of("anew")
    missed = [] if continues("anew", old, whole) is None else ["a right root is refused"]
    if continues("anew", whole, old) is None:
        missed.append("a tree that has become smaller is not found")
    leat("topic", "delete", "anew")
    fill(200)
    if continues("anew", old, root_of("anew")) is None:
        missed.append("a log written anew is not found")
    if continues("anew", (400, shorter[1]), root_of("anew")) is None:
        missed.append("another root is not found")
    leat("topic", "delete", "anew")
    return missed


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Kills producers and consumers all the time, and checks what is left.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--roots", type=int, help="instead: so many kills of producers of a topic with proofs")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("LEAT_SEED", random.SystemRandom().randrange(10**6))))
    parser.add_argument("--results", help="append a row to this file")
    parser.add_argument("--self-test", action="store_true", help="show that wrong outcomes are found, and end")
    options = parser.parse_args(arguments)
    if options.results:
        options.results = os.path.abspath(options.results)
    print(f"seed {options.seed}", flush=True)
    generator = random.Random(options.seed)
    with processes.workplace():
        if options.self_test:
            return 0 if self_test() else 1
        return 1 if (roots if options.roots else chaos)(options, generator) else 0


if __name__ == "__main__":
    sys.exit(main())
