#!/usr/bin/python3
"""`leat produce --producer-id` of one file is killed again and again and run again from its start, until it succeeds.

Then each line of the file is there exactly once and in order, with keys and without, on 1 and on 7 partitions, while another
producer writes into the same topic: also when retention removes the beginning meanwhile, when the page that
processes share is lost between two runs, and when the directory is a copy whose last batch is torn, as after an unclean
restart. Another input under the same name is refused, and so is a second process. With `--results FILE` a row of the scorecard is
appended to it.
"""

import argparse
import collections
import contextlib
import glob
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "crash"))
import processes  # noqa: E402
import results  # noqa: E402
from processes import LEAT, fail, leat  # noqa: E402

LINES = 5_000 if processes.SLOW else 50_000
KILLS = 6 if processes.SLOW else 26  # for each number of partitions, with keys and without
MIDWAY = 1 if processes.SLOW else KILLS // 3  # kills in the middle of a file; sanitized, most come before it
KEYS = 500
KEYLESS_RUN = 64  # so many records go to a partition before it is the next one's turn
CALLS = ["openat", "pwrite64", "pwritev", "fdatasync", "fsync", "fcntl", "flock", "ftruncate", "rename", "close", "futex", "read"]


class Input:
    """A file of `KEY,NUMBER TEXT` lines."""

    def __init__(self, path, generator, lines=LINES):
        self.path = os.path.abspath(path)
        self.keys = [f"k{generator.randrange(KEYS)}" for _ in range(lines)]
        self.values = [f"{n} {generator.randrange(10**9):x}" for n in range(lines)]
        self.write()

    def write(self):
        with open(self.path, "w", encoding="ascii") as file:
            file.writelines(f"{key},{value}\n" for key, value in zip(self.keys, self.values, strict=True))

    def records(self, keyed):
        """[(key, value)] as they are produced."""
        return list(zip(self.keys, self.values)) if keyed else [("null", f"{k},{v}") for k, v in zip(self.keys, self.values)]


def command(topic, keyed, *flags, file=None, name="load"):
    separator = ["--key-separator", ","] if keyed else []
    return [LEAT, "produce", topic, "--producer-id", name, *separator, *(["-f", file] if file else []), *flags]


def produce_in_full(*arguments, **options):
    """Runs to its end what must succeed."""
    done = subprocess.run(command(*arguments, **options), capture_output=True, text=True, timeout=120)
    if done.returncode:
        fail(f"{' '.join(done.args)}: status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def refused(status, what, *arguments, **options):
    done = subprocess.run(command(*arguments, **options), capture_output=True, text=True, timeout=60)
    if done.returncode != status or not done.stderr.startswith("leat: error: "):
        fail(f"{what}: status {done.returncode} instead of {status}: {done.stderr.strip()}")


class Other(threading.Thread):
    """Writes other records to the topic meanwhile, and counts them by partition."""

    def __init__(self, topic):
        super().__init__(daemon=True)
        self.topic, self.stopping, self.count = topic, threading.Event(), 0
        with open("receipts", "wb") as receipts:
            self.process = subprocess.Popen([LEAT, "produce", topic, "-O", "text"], stdin=subprocess.PIPE, stdout=receipts)
        self.start()

    def run(self):
        while not self.stopping.wait(0.002):
            self.process.stdin.write(f"other {self.count}\nother {self.count + 1}\n".encode())
            self.process.stdin.flush()
            self.count += 2
            if self.count > 20_000:
                return

    def end(self):
        self.stopping.set()
        self.join()
        self.process.stdin.close()
        if status := self.process.wait(60):
            fail(f"the other producer ended with {status}")
        with open("receipts", "rb") as receipts:
            return by_partition(receipts)


class Contents:
    """What is in a topic now."""

    def __init__(self, topic):
        self.rows = {row["partition"]: row for row in json.loads(leat("partition", "list", topic, "-O", "json"))}
        shown = leat("consume", topic, "-Bd", "-F", "{{partition}} {{offset}} {{key}} {{value}}").decode("ascii")
        self.by_partition = {p: [] for p in self.rows}  # [(key, value)] of the input under test
        self.other = {p: [] for p in self.rows}
        following = {p: row["start"] for p, row in self.rows.items()}
        for line in shown.splitlines():
            partition, offset, key, value = line.split(" ", 3)
            partition = int(partition)
            if int(offset) != following[partition]:
                fail(f"{topic}: partition {partition} has offset {offset} where {following[partition]} was due")
            following[partition] += 1
            if value.startswith("other "):
                self.other[partition].append(value)
            else:
                self.by_partition[partition].append((key, value))


def expected_by_partition(records, keyed, partitions, contents):
    """What each partition is to get of the input, in order. Where a key goes is another test's; that it stays there, ours."""
    expected = {p: [] for p in range(partitions)}
    if not keyed:
        for number, record in enumerate(records):
            expected[number // KEYLESS_RUN % partitions].append(record)
        return expected
    partition_of = {key: p for p, got in contents.by_partition.items() for key, _ in got}
    for record in records:
        if record[0] not in partition_of:
            fail(f"no record with the key {record[0]} is there")
        expected[partition_of[record[0]]].append(record)
    return expected


def check(topic, records, keyed, partitions, who):
    """Each record is there exactly once, in order."""
    contents = Contents(topic)
    expected = expected_by_partition(records, keyed, partitions, contents)
    for partition, got in contents.by_partition.items():
        complain_unless_same(got, expected[partition], f"{who}: partition {partition}")
    return contents


def complain_unless_same(got, expected, who):
    if got == expected:
        return
    times = collections.Counter(got)
    twice = [record for record, n in times.items() if n > 1]
    missing = [record for record in expected if record not in times]
    first = next((n for n, (a, b) in enumerate(zip(got, expected)) if a != b), min(len(got), len(expected)))
    fail(f"{who}: {len(got)} records instead of {len(expected)}: {len(twice)} more than once {twice[:2]}, {len(missing)} missing "
         f"{missing[:2]}; record {first} is {got[first:first + 1]} instead of {expected[first:first + 1]}")


class Killer:
    """Runs `leat produce` and kills it, at moments spread over the time it takes on this machine."""

    def __init__(self, generator):
        self.generator, self.strace = generator, processes.strace_works()
        self.kills = 0
        leat("topic", "create", "measured", "--segment-size", "64KiB")
        path = Input("measured.csv", generator).path
        # Not all of the time it takes: most runs are to be killed.
        self.seconds = max(0.06, 0.6 * min(self.measure(path, f"measured-{n}") for n in range(5)))

    @staticmethod
    def measure(path, name):
        started = time.monotonic()
        produce_in_full("measured", True, file=path, name=name)
        return time.monotonic() - started

    def until_done(self, topic, keyed, file, between=lambda: None):
        """Kills it until it succeeds, with something done after each kill; how many kills that took."""
        kills = 0
        # Longer each time: in the end it succeeds on the slowest machine.
        while self.once(topic, keyed, file, self.seconds * (1 + kills / 20)):
            kills += 1
            self.kills += 1
            if kills > 8 * KILLS:
                fail(f"{topic}: killed {kills} times, and no nearer to the end")
            between()
        return kills

    def once(self, topic, keyed, file, seconds):
        """Whether it was killed; else it has succeeded."""
        flags = self.generator.choice([[], ["--batch-size", "1KiB"], ["--batch-size", "16KiB", "--compression", "lz4"]])
        arguments = command(topic, keyed, *flags, file=file)
        delay = self.generator.uniform(0.001, seconds)
        if self.strace and self.generator.random() < 0.3:
            call, number = self.generator.choice(CALLS), self.generator.choice([1, 2, 3, 5, 8, 13, 21, 34])
            arguments = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={call}:signal=KILL:when={number}", *arguments]
            delay = 120
        process = subprocess.Popen(arguments, stderr=subprocess.PIPE)
        try:
            _, said = process.communicate(timeout=delay)
        except subprocess.TimeoutExpired:
            process.kill()
            _, said = process.communicate()
            if delay == 120:
                fail(f"{' '.join(arguments)}: it does not end")
        if process.returncode not in (0, -signal.SIGKILL, 128 + signal.SIGKILL):
            fail(f"{' '.join(arguments)}: status {process.returncode}: {said.decode().strip()}")
        return process.returncode != 0


def killed_and_resumed(partitions, keyed, killer):
    generator = killer.generator
    kills = midway = rounds = 0
    while kills < KILLS or midway < MIDWAY:
        topic = f"{'keyed' if keyed else 'keyless'}-{partitions}-{rounds}"
        # Mostly small segments: then the file goes in by many appends, and kills come between them.
        leat("topic", "create", topic, "-p", str(partitions), "--segment-size", generator.choice(["64KiB", "64KiB", "1GiB"]))
        given = Input("big.csv", generator)
        other = Other(topic)
        lines = []  # of the input, in the topic after each kill
        more = killer.until_done(topic, keyed, given.path, lambda: lines.append(count_lines(topic)))
        others = other.end()
        midway += sum(0 < count < LINES for count in lines)
        contents = check(topic, given.records(keyed), keyed, partitions, f"{topic}, after {more} kills")
        if {p: len(got) for p, got in contents.other.items() if got} != dict(others):
            fail(f"{topic}: the other producer's records are not what was acknowledged")
        kills += more
        rounds += 1
    print(f"{'keyed' if keyed else 'keyless'}, {partitions} partitions: {kills} kills over {rounds} files of {LINES} lines, {midway} of them "
          "midway; each line is there once", flush=True)
    return topic, given


def count_lines(topic):
    """How many records of the input are in the topic."""
    return sum(not line.startswith(b"other ") for line in leat("consume", topic, "-Bd").splitlines())


def with_retention(partitions, keyed, killer):
    """The log's start moves on between the kills; what is gone is counted by the offsets."""
    generator = killer.generator
    kills = rounds = moved = 0
    while kills < KILLS // 2:
        topic = f"retained-{partitions}-{rounds}"
        leat("topic", "create", topic, "-p", str(partitions), "--retention-records", "400", "--segment-size", "64KiB")
        given = Input("big.csv", generator)
        other = Other(topic)
        starts, floods = set(), collections.Counter()

        def between():
            starts.add(ends(topic, "start"))
            if generator.random() < 0.3:
                # So many that nothing of the input is left but its count.
                floods.update(flood(topic, partitions))

        more = killer.until_done(topic, keyed, given.path, between)
        others = other.end() + floods
        contents = Contents(topic)
        expected = {0: given.records(keyed)} if partitions == 1 else expected_by_partition(given.records(keyed), keyed, partitions, contents)
        for partition, got in contents.by_partition.items():
            ours = contents.rows[partition]["end"] - others[partition]
            if ours != len(expected[partition]):
                fail(f"{topic}: partition {partition} was given {ours} records of the input instead of {len(expected[partition])}")
            if contents.rows[partition]["start"] == 0 or len(got) > 400:
                fail(f"{topic}: partition {partition} has kept everything: nothing was shown")
            complain_unless_same(got, expected[partition][len(expected[partition]) - len(got):], f"{topic}: the end of partition {partition}")
        kills += more
        rounds += 1
        moved += max(0, len(starts) - 1)
    if not moved:
        fail("the start did not move between two kills: nothing was shown")
    print(f"retention, {partitions} partitions: {kills} kills over {rounds} files, in {moved} of which the start moved on; the last 400 records of each partition are right", flush=True)


def flood(topic, partitions):
    """Writes as many other records as retention keeps, and rolls; their number by partition."""
    text = "".join(f"other {n:0200}\n" for n in range(450 * partitions)).encode()
    return by_partition(leat("produce", topic, "-O", "text", "--batch-size", "1KiB", input=text).splitlines())


def by_partition(receipts):
    return collections.Counter(int(line.split()[1]) for line in receipts)


def cuts():
    """The files that recovery has put torn bytes into."""
    return glob.glob(os.path.join(os.environ["LEAT_DATA_DIR"], "topics", "*", "*", "cut", "*"))


def without_state(topic, _):
    with contextlib.suppress(FileNotFoundError):  # the killed one came not so far as to make it again
        os.unlink(os.path.join(os.environ["LEAT_DATA_DIR"], "topics", topic, "state"))


def torn_copy(topic, generator):
    """Makes the data directory a copy of itself, as from a backup, in which an append of each partition is torn."""
    old = os.environ["LEAT_DATA_DIR"]
    new = f"{old}+"
    shutil.rmtree(new, ignore_errors=True)
    following = dict(enumerate(ends(topic, "end")))
    shutil.copytree(old, new)
    shutil.rmtree(old)
    os.rename(new, old)
    for partition, offset in following.items():
        folder = os.path.join(old, "topics", topic, str(partition))
        path = max(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".log"))
        with open(path, "r+b") as file:
            head = file.read(12)
            if len(head) == 12:
                # A batch that continues the log, but for its end.
                batch = offset.to_bytes(8, "big") + head[8:] + file.read(int.from_bytes(head[8:], "big"))
                file.seek(0, os.SEEK_END)
                file.write(batch[: generator.randrange(1, len(batch))])


def ends(topic, what):
    return tuple(row[what] for row in json.loads(leat("partition", "list", topic, "-O", "json")))


def after_recovery(name, between, killer):
    """Something happens to the directory between any two runs, while nobody has it open."""
    generator = killer.generator
    kills = rounds = 0
    while kills < KILLS // 2:
        keyed, partitions = rounds % 2 == 0, 3
        topic = f"{name}-{rounds}"
        leat("topic", "create", topic, "-p", str(partitions), "--segment-size", "64KiB")
        given = Input("big.csv", generator)
        produce_in_full(topic, keyed, "-n", str(generator.randrange(LINES // 2)), file=given.path)
        between(topic, generator)
        more = killer.until_done(topic, keyed, given.path, lambda: between(topic, generator))
        check(topic, given.records(keyed), keyed, partitions, f"{topic}, after {more} kills")
        kills += more
        rounds += 1
    print(f"{name}: {kills} kills over {rounds} files, each line once", flush=True)


def refusals(topic, keyed, partitions, given, generator):
    """What a complete input's name is good for afterwards."""
    records = given.records(keyed)
    complete = ends(topic, "end")

    produce_in_full(topic, keyed, file=given.path)
    refused(65, "another input", topic, keyed, file=Input("another.csv", generator).path)
    changed = Input("changed.csv", generator)
    changed.keys, changed.values = list(given.keys), list(given.values)
    changed.values[-1] += "!"
    changed.write()
    refused(65, "an input whose last line differs", topic, keyed, file=changed.path)
    changed.keys, changed.values = given.keys[:LINES // 2], given.values[:LINES // 2]
    changed.write()
    refused(65, "an input that ends sooner", topic, keyed, file=changed.path)
    refused(65, "the same input, with other keys", topic, not keyed, file=given.path)
    if ends(topic, "end") != complete:
        fail(f"{topic}: what was refused or complete has added records: {complete} became {ends(topic, 'end')}")
    check(topic, records, keyed, partitions, f"{topic}, after refusals")

    # The same input with more behind it goes on where it ended.
    given.keys += ["k1", "k2", "k3"]
    given.values += ["more 1", "more 2", "more 3"]
    given.write()
    produce_in_full(topic, keyed, file=given.path)
    check(topic, given.records(keyed), keyed, partitions, f"{topic}, with three lines more")
    print(f"{topic}: complete it adds nothing; four other inputs are refused; with three lines more, three are added", flush=True)


def one_process_at_a_time(generator):
    leat("topic", "create", "one")
    given = Input("one.csv", generator, lines=1)
    first = subprocess.Popen(command("one", False, "-O", "text", name="held"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with open(given.path, "rb") as file:
        first.stdin.write(file.read())
    first.stdin.flush()
    first.stdout.readline()  # acknowledged
    refused(75, "a second process of that name", "one", False, file=given.path, name="held")
    produce_in_full("one", False, file=given.path, name="free")
    first.kill()
    first.wait()
    if produce_in_full("one", False, "-O", "text", file=given.path, name="held") or ends("one", "end") != (2,):
        fail(f"what the killed first process had acknowledged is there again: {ends('one', 'end')}")
    print("a second process of the same name is refused while the first lives", flush=True)


def fresh_directory(name):
    """A data directory for what follows; the one before is removed."""
    shutil.rmtree(os.environ["LEAT_DATA_DIR"], ignore_errors=True)
    os.environ["LEAT_DATA_DIR"] = os.path.abspath(name)


def run(killer):
    generator = killer.generator
    print(f"kills come within {killer.seconds * 1000:.0f} ms", flush=True)
    one_process_at_a_time(generator)
    for partitions in (1, 7):
        for keyed in (True, False):
            fresh_directory(f"{partitions}-{keyed}")
            topic, given = killed_and_resumed(partitions, keyed, killer)
            refusals(topic, keyed, partitions, given, generator)
    with_retention(1, True, killer)
    with_retention(7, False, killer)
    fresh_directory("recovered")
    after_recovery("stateless", without_state, killer)
    fresh_directory("torn")
    after_recovery("torn", torn_copy, killer)
    if not cuts():
        fail("no torn batch was cut: nothing was shown")
    print(f"torn: recovery has cut {len(cuts())} torn batches")


def main():
    parser = argparse.ArgumentParser(description="Kills producers of one input until they have written it exactly once.")
    parser.add_argument("--results", help="append a row to this file")
    options = parser.parse_args()
    path = os.path.abspath(options.results) if options.results else None
    seed = int(os.environ.get("LEAT_SEED", random.SystemRandom().randrange(10**6)))
    with processes.workplace():
        killer = Killer(processes.seeded(seed))
        wrong = 1
        try:
            run(killer)
            wrong = 0
        finally:
            if path:
                results.write(path, 11, "exactly_once", killer.kills, wrong, None, seed,
                              f"LEAT_SEED={seed} tests/scenarios/test_exactly_once.py")


main()
