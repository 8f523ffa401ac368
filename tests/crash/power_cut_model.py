#!/usr/bin/python3
"""Every state a power cut may leave behind (see disk_model.py), opened with leat: row 3 of the scorecard.

    tests/crash/power_cut_model.py [--only NAME] [--limit N | --full] [--seed N] [--results FILE] [--keep DIR] [--self-test]

Each scenario runs a few commands under strace. At every moment at which something is about to become durable, and at the end, the
states allowed then are built in a scratch directory, all where they are no more than --limit, else a seeded choice. Of
each: whatever was acknowledged by then (a receipt printed, a command ended with 0) is there, nothing torn or never sent is read,
offsets are dense and none is given twice, and the next commands work. Power cuts are no damage: exit 76 is a violation, too.

A violation is printed with its scenario, moment, number and what of the disk was lost; --keep leaves the directory of each. The seed
repeats the choices; how many versions of a mapped page are seen, and so the numbers, may differ from run to run.
"""

import argparse
import collections
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scenarios"))
import disk_model  # noqa: E402
import results  # noqa: E402
from processes import LEAT, strace_works  # noqa: E402
from writing_commands import Wrong, expect  # noqa: E402

ROW = 3
KEYED = ["--key-separator", ":"]
SKIPPED = 77


# ---- what may and what must be there

class Topic:
    def __init__(self, partitions=1, compacted=False, retention=None):
        self.may_exist, self.must_exist = True, False
        self.partitions = {partitions}           # the counts there may be
        self.sent = collections.defaultdict(list)  # partition -> the lines given to it, in order
        self.acknowledged = collections.Counter()  # partition -> how many of them
        self.start = [0, 0]                      # the log starts between these
        self.retention = retention               # keeps exactly so many
        self.compacted = compacted
        self.settings = {}                       # setting -> the values it may have
        self.damaged = set()                     # offsets that are, until repair has ended well
        self.lost = set()                        # offsets that no longer count
        self.named = None                        # (input, flags) of a producer with an id


class Knowledge:
    """What the user of a run knows by now: topics, and per (consumer, topic) the next offsets that may be stored, None for none."""

    def __init__(self):
        self.topics, self.consumers = {}, {}


class Step:
    """A command of a scenario, and what it changes in the user's knowledge when it begins, tells something, and has ended well."""

    line_by_line = False  # whether each line waits for the receipt of the one before

    def __init__(self, *command, given="", begins=lambda k: None, told=lambda k, text: None, ended=lambda k: None):
        self.command, self.given, self.begins, self.told, self.ended = command, given, begins, told, ended


def create(name, partitions=1, *flags, **kinds):
    def begins(k):
        k.topics[name] = Topic(partitions, **kinds)

    def ended(k):
        k.topics[name].must_exist = True
    return Step("topic", "create", name, "-p", str(partitions), *flags, begins=begins, ended=ended)


def one_by_one(step):
    step.line_by_line = True
    return step


def delete(name):
    def begins(k):
        k.topics[name].must_exist = False
        for place, allowed in k.consumers.items():
            if place[1] == name:
                allowed.append(None)

    def ended(k):
        k.topics[name].may_exist = False
        for place in list(k.consumers):
            if place[1] == name:
                k.consumers[place] = [None]
    return Step("topic", "delete", name, begins=begins, ended=ended)


def produce(name, lines, *flags, partition=0):
    def begins(k):
        k.topics[name].sent[partition] += lines
        if "--producer-id" in flags and lines:
            k.topics[name].named = lines, flags

    def told(k, text):
        for line in text.splitlines():
            topic, where, offset = line.split()
            expected = k.topics[name].acknowledged[partition]
            expect((topic, int(where), int(offset)) == (name, partition, expected), f"the receipt {line!r}, not {expected}, came")
            k.topics[name].acknowledged[partition] += 1

    def ended(k):
        expect(k.topics[name].acknowledged[partition] == len(k.topics[name].sent[partition]), "a receipt is missing")
    return Step("produce", name, "-O", "text", "-p", str(partition), *flags, given="".join(line + "\n" for line in lines),
                begins=begins, told=told, ended=ended)


def produce_again(name, lines, producer, *flags):
    """The same input a second time under the same name: nothing new is to be sent."""
    step = produce(name, [], "--producer-id", producer, *flags)
    step.given = "".join(line + "\n" for line in lines)
    step.told = lambda k, text: None
    return step


def moves(consumer, name, to, *command, partition=0):
    """A command after which the next offset of the consumer is `to`; while it runs, anything up to there may be stored."""
    place = (consumer, name, partition)

    def begins(k):
        before = k.consumers.get(place, [None])
        k.consumers[place] = before + (list(range(0, to + 1)) if command[0] == "consume" else [to])

    def ended(k):
        k.consumers[place] = [to]
    return Step(*command, begins=begins, ended=ended)


def consume(consumer, name, count, to, *flags):
    return moves(consumer, name, to, "consume", name, "-c", consumer, "-B", "-n", str(count), *flags)


def sets(name, setting, key, value, before):
    def begins(k):
        k.topics[name].settings[key] = [before, value]

    def ended(k):
        k.topics[name].settings[key] = [value]
    return Step("topic", "set", name, setting, begins=begins, ended=ended)


def trim(name, keep):
    def begins(k):
        k.topics[name].start[1] = len(k.topics[name].sent[0]) - keep

    def ended(k):
        k.topics[name].start[0] = k.topics[name].start[1]
    return Step("topic", "trim", name, "--keep", str(keep), "--yes", begins=begins, ended=ended)


def add_partitions(name, before, after):
    def begins(k):
        k.topics[name].partitions = {before, after}

    def ended(k):
        k.topics[name].partitions = {after}
    return Step("topic", "add-partition", name, "-c", str(after - before), begins=begins, ended=ended)


# ---- the check

class Place:
    """A data directory under examination. Times what is run in it."""

    def __init__(self, directory):
        self.directory = directory
        self.environment = {**os.environ, "LEAT_DATA_DIR": os.path.join(directory, "data")}
        self.slowest = 0.0

    def run(self, *arguments, given=""):
        started = time.monotonic()
        try:
            done = subprocess.run([LEAT, *arguments], env=self.environment, input=given.encode(), capture_output=True, timeout=30)
        except subprocess.TimeoutExpired:
            raise Wrong(f"leat {' '.join(arguments)} does not end") from None
        self.slowest = max(self.slowest, time.monotonic() - started)
        return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace").strip()

    def leat(self, *arguments, given=""):
        status, printed, complaints = self.run(*arguments, given=given)
        expect(status == 0, f"leat {' '.join(arguments)}: status {status}: {complaints}")
        return printed

    def records(self, topic, keyed=False):
        """{partition: [(offset, line)]}"""
        found = collections.defaultdict(list)
        form = "{{partition}} {{offset}} " + ("{{key}}:{{value}}" if keyed else "{{value}}")
        for line in self.leat("consume", topic, "-Bd", "-F", form).splitlines():
            partition, offset, value = line.split(" ", 2)
            found[int(partition)].append((int(offset), value))
        return found


def check(place, k, read_first=True):
    """Raises Wrong where the directory is not as the user may expect."""
    status, printed, complaints = place.run("topic", "list", "--names")
    # Before the first topic is there, there may be no directory, or one without the file that makes it ours.
    expect(status == 0 or status in (66, 78) and not any(t.must_exist for t in k.topics.values()),
           f"leat topic list: status {status}: {complaints}")
    names = printed.splitlines() if status == 0 else []
    for name, topic in k.topics.items():
        if name not in names:
            expect(not topic.must_exist, f"topic {name} is not there")
            place.leat("topic", "create", name)
            expect(not place.records(name), f"{name}, made anew, has records")
            expect(place.leat("produce", name, "-O", "text", given="new\n") == f"{name} 0 0\n", f"{name}, made anew, does not begin at 0")
        else:
            expect(topic.may_exist, f"topic {name} was deleted, and is there")
            check_topic(place, name, topic, read_first)
    expect(set(names) <= set(k.topics), f"topics {names} are there")
    check_consumers(place, k, names)
    status, _, complaints = place.run("check", "store")
    expect(status == 0, f"leat check store: status {status}: {complaints}")


def check_topic(place, name, topic, read_first):
    if topic.damaged:
        place.leat("repair", name, "--execute", "--yes")
    described = json.loads(place.leat("topic", "describe", name, "-O", "json"))[0]
    for key, allowed in topic.settings.items():
        expect(described[key] in allowed, f"{key} of {name} is {described[key]}, not one of {allowed}")
    count = len(described["partitions"])
    expect(count in topic.partitions, f"{name} has {count} partitions")
    before = check_records(place.records(name, topic.compacted), name, topic, count) if read_first else {}
    marks = {}
    for partition in range(count):
        receipt = place.leat("produce", name, "-p", str(partition), "-O", "text", *(KEYED if topic.compacted else []),
                             given=f"next:{partition}\n").split()
        expect(len(receipt) == 3 and receipt[:2] == [name, str(partition)], f"the next receipt is {receipt}")
        offset = marks[partition] = int(receipt[2])
        expect(offset >= topic.acknowledged[partition], f"offset {offset} of {name}[{partition}] is given twice")
        expect(offset >= before.get(partition, 0), f"offset {offset} of {name}[{partition}] was read already, and is given again")
    check_records(place.records(name, topic.compacted), name, topic, count, marks)


def check_records(records, name, topic, count, marks=None):
    """Checks what was read; `marks`: where `next` was put behind it. {partition: end}"""
    ends = {}
    for partition in range(count):
        found, sent, where = records[partition], topic.sent[partition], f"{name}[{partition}]"
        offsets = [offset for offset, _ in found]
        if not topic.compacted:
            first = offsets[0] if offsets else 0
            due = [n for n in range(first, offsets[-1] + 1 if offsets else first) if n not in topic.lost]
            expect(offsets == due, f"{where}: the offsets are {spans(offsets)}")
        end = offsets[-1] + 1 if offsets else 0
        if marks is not None:
            expect(found and found[-1] == (marks[partition], f"next:{partition}"), f"{where}: the last record is {found[-1:]}, "
                   f"'next' was put at {marks[partition]}")
            end = marks[partition]
            found = found[:-1]
        for offset, value in found:
            expect(offset < len(sent), f"{where}: there is offset {offset}, {len(sent)} records were sent")
            expect(value == sent[offset], f"{where}: offset {offset} is {value[:60]!r}, {sent[offset][:60]!r} was sent")
        ends[partition] = end
        if topic.compacted:
            # The last of each key among the acknowledged ones, unless a later one has come to light.
            there = {value.split(":")[0]: offset for offset, value in found}
            last = {value.split(":")[0]: offset for offset, value in enumerate(sent[: topic.acknowledged[partition]])}
            gone = [key for key, offset in last.items() if there.get(key, -1) < offset]
            expect(not gone, f"{where}: keys {gone} were acknowledged, and are gone")
            continue
        expect(end >= topic.acknowledged[partition] or not offsets and end == 0 and topic.start[1] >= topic.acknowledged[partition],
               f"{where}: {topic.acknowledged[partition]} records were acknowledged, it ends at {end}")
        start = offsets[0] if offsets else end
        lowest, highest = topic.start
        if topic.retention is not None:
            lowest, highest = max(0, topic.acknowledged[partition] - topic.retention), max(0, end + bool(marks) - topic.retention)
        expect(lowest <= start <= max(highest, lowest), f"{where}: begins at {start}, not between {lowest} and {highest}")
    return ends


def spans(offsets):
    return f"{offsets[:3]}...{offsets[-3:]} ({len(offsets)})" if len(offsets) > 8 else str(offsets)


def check_consumers(place, k, names):
    if not k.consumers or "data" not in os.listdir(place.directory):
        return
    listed = {(c["consumer"], c["topic"], c["partition"]): 0 if c["offset"] is None else c["offset"] + 1
              for c in json.loads(place.leat("consumer", "list", "-O", "json"))}
    expect(set(listed) <= set(k.consumers), f"consumers {sorted(listed)} are listed")
    for (consumer, name, partition), allowed in k.consumers.items():
        stored = listed.get((consumer, name, partition))
        expect(stored in allowed, f"the next offset of {consumer} on {name}[{partition}] is {stored}, not one of {allowed}")
        if name not in names:
            continue
        first = place.leat("consume", name, "-c", consumer, "-Bd", "-n", "1", "-F", "{{offset}}").split()
        expect(first == [str(stored or k.topics[name].start[0])] or (stored or 0) < k.topics[name].start[1] or
               k.topics[name].retention is not None, f"{consumer} goes on at {first}, {stored} is stored")


# ---- scenarios

def lines(word, count, length=0):
    return [f"{word} {n} ".ljust(length, "x") for n in range(count)]


def keyed(count, length):
    return [f"k{n % 5}:{n} ".ljust(length, "y") for n in range(count)]


def keep(name="keep"):
    """A topic that is there before, and is not to be touched."""
    return [create(name), produce(name, lines(name, 5))]


# name: (what is done before, all of it durable; what is recorded)
SCENARIOS = {
    "first create": ([], [create("a")]),
    "create": (keep(), [create("new", 2), produce("new", lines("in new", 2), partition=1)]),
    "append": ([create("t")], [produce("t", lines("one", 3)), produce("t", lines("two", 2))]),
    "append one by one": ([create("t")], [one_by_one(produce("t", lines("single", 9))), produce("t", lines("then", 2))]),
    "append batches": ([create("t"), produce("t", lines("old", 3))],
                       [produce("t", lines("many", 60, 100), "--batch-size", "700")]),
    "append large": ([create("t")], [produce("t", lines("large", 6, 9000), "--batch-size", "20000"), produce("t", lines("then", 2))]),
    "append twice": ([create("t")],
                     [produce("t", lines(word, 8, 600), "--batch-size", "600") for word in ("a", "b")]),
    "append compressed": ([create("t")], [produce("t", lines("same", 80, 200), "--compression", "zstd", "--batch-size", "2000")]),
    "roll": ([create("t", 1, "--segment-size", "64KiB"), produce("t", lines("old", 1))],
             [produce("t", lines("roll", 9, 16000), "--batch-size", "16000"), produce("t", lines("then", 2))]),
    "commit": ([create("t"), produce("t", lines("one", 20))],
               [consume("c", "t", 5, 5), consume("c", "t", 3, 8), consume("c", "t", 12, 20)]),
    "seek": ([create("t"), produce("t", lines("one", 20)), consume("c", "t", 5, 5)],
             [moves("c", "t", 2, "consumer", "seek", "c", "--to", "2", "--yes"),
              moves("d", "t", 7, "consumer", "seek", "d", "-t", "t", "--to", "7", "--yes")]),
    "consumer delete": ([create("t"), produce("t", lines("one", 20)), consume("c", "t", 5, 5)], [
        Step("consumer", "delete", "c", begins=lambda k: k.consumers[("c", "t", 0)].append(None),
             ended=lambda k: k.consumers.update({("c", "t", 0): [None]}))]),
    "delete": ([*keep(), create("t", 2), produce("t", lines("one", 20)), consume("c", "t", 5, 5)], [delete("t")]),
    "add-partition": ([create("t"), produce("t", lines("one", 5))], [add_partitions("t", 1, 3), produce("t", lines("x", 2), partition=2)]),
    "set": ([create("t"), produce("t", lines("one", 20))],
            [sets("t", "retention-time=7d", "retention_time_ms", 7 * 86400 * 1000, None),
             sets("t", "compression-type=zstd", "compression_type", "zstd", "none")]),
    "trim": ([create("t", 1, "--segment-size", "64KiB"), produce("t", lines("one", 12, 16000), "--batch-size", "16000")],
             [trim("t", 3), produce("t", lines("then", 2))]),
    "retention": ([create("t", 1, "--segment-size", "64KiB", "--retention-records", "4", retention=4)],
                  [produce("t", lines("one", 10, 16000), "--batch-size", "16000"), produce("t", lines("two", 3))]),
    "producer id": ([create("t"), produce("t", lines("before", 2))], [produce("t", lines("once", 6), "--producer-id", "p"),
                                                                     produce_again("t", lines("once", 6), "p")]),
    "producer id rolls": ([create("t", 1, "--segment-size", "64KiB", "--retention-records", "4", retention=4)],
                          [produce("t", lines("once", 9, 16000), "--producer-id", "p", "--batch-size", "16000"),
                           produce_again("t", lines("once", 9, 16000), "p")]),
    "compaction": ([create("t", 1, "--segment-size", "64KiB", "--cleanup", "compact", compacted=True)],
                   [produce("t", keyed(11, 14000), "--batch-size", "14000", *KEYED), produce("t", keyed(13, 10)[11:], *KEYED)]),
    "repair": ([create("t", 1, "--segment-size", "64KiB"), produce("t", lines("one", 10, 16000), "--batch-size", "16000"), "damage"],
               [Step("repair", "t", "--execute", "--yes", begins=lambda k: k.topics["t"].__dict__.update(damaged={5}, lost={5}),
                     ended=lambda k: k.topics["t"].damaged.clear()), produce("t", lines("then", 2))]),
    "recovery": ([create("t"), produce("t", lines("one", 5)), "torn tail"], [produce("t", lines("two", 2))]),
}


def tear_tail(directory):
    """What a writer killed in the middle of its write leaves."""
    log = os.path.join(directory, "data/topics/t/0/00000000000000000000.log")
    with open(log, "ab") as file:
        file.write((5).to_bytes(8, "big") + (700).to_bytes(4, "big") + b"torn" * 100)


def damage(directory):
    """Flips a bit of record 5, in the middle of a sealed segment."""
    with open(os.path.join(directory, "data/topics/t/0/00000000000000000004.log"), "r+b") as file:
        file.seek(20000)
        file.write(b"\0")


SPOIL = {"torn tail": tear_tail, "damage": damage}


class Tally:
    def __init__(self):
        self.effects = self.moments = self.states = 0
        self.violations, self.slowest = [], 0.0


class Run:
    """One scenario."""

    def __init__(self, name, directory, options):
        self.name, self.directory, self.options = name, directory, options
        self.generator = random.Random(f"{options.seed} {name}")
        self.knowledge, self.tally, self.seen = Knowledge(), Tally(), set()

    def run(self):
        prepare, steps = SCENARIOS[self.name]
        home = os.path.join(self.directory, "recorded")
        os.mkdir(home)
        environment = {**os.environ, "LEAT_DATA_DIR": os.path.join(home, "data")}
        for step in prepare:
            if isinstance(step, str):
                SPOIL[step](home)
                continue
            done = subprocess.run([LEAT, *step.command], env=environment, input=step.given.encode(), capture_output=True)
            expect(done.returncode == 0, f"leat {' '.join(step.command)}: status {done.returncode}: {done.stderr.decode()}")
            step.begins(self.knowledge)
            if step.command[0] == "produce":
                step.told(self.knowledge, done.stdout.decode())
            step.ended(self.knowledge)
        recorder = disk_model.Recorder(home, os.path.join(self.directory, "trace"))
        for step in steps:
            step.begins(self.knowledge)
            for event in recorder.run([LEAT, *step.command], environment, step.given.encode(), step.line_by_line):
                if isinstance(event, disk_model.Cut):
                    self.cut(recorder.disk, f"leat {' '.join(step.command)}: {event.before}")
                elif isinstance(event, disk_model.Printed):
                    step.told(self.knowledge, event.text)
                else:
                    expect(event.status == 0, f"leat {' '.join(step.command)}: status {event.status}: {recorder.stderr}")
                    step.ended(self.knowledge)
        self.cut(recorder.disk, "after all")
        self.tally.effects = recorder.disk.effects
        compare(recorder.disk, home)
        return self.tally

    def cut(self, disk, moment):
        self.tally.moments += 1
        variables = disk.variables()
        known = json.dumps([{n: (t.may_exist, t.must_exist, sorted(t.partitions), sorted(t.acknowledged.items()), t.start,
                                 sorted(t.settings.items())) for n, t in self.knowledge.topics.items()},
                            [(place, allowed) for place, allowed in self.knowledge.consumers.items()]])
        for choice in disk_model.choices(variables, self.options.limit, self.generator):
            tree = disk.state(choice)
            print_of = hashlib.sha256(repr((known, sorted(tree.items()))).encode()).digest()
            if print_of in self.seen:
                continue
            self.seen.add(print_of)
            self.tally.states += 1
            number = self.tally.states
            if self.options.number and number != self.options.number:
                continue
            try:
                self.examine(tree, number)
            except Wrong as wrong:
                self.report(disk, variables, choice, moment, number, wrong)

    def examine(self, tree, number, directory=None):
        directory = directory or os.path.join(self.directory, "state")
        shutil.rmtree(directory, ignore_errors=True)
        disk_model.build(tree, directory)
        place = Place(directory)
        try:
            check(place, self.knowledge, read_first=number % 2 == 0)
        finally:
            self.tally.slowest = max(self.tally.slowest, place.slowest)

    def report(self, disk, variables, choice, moment, number, wrong):
        """Prints the violation, with as little lost as shows it still."""
        kind = str(wrong)
        latest = {what: len(values) - 1 for what, values in variables}
        smallest = {**{what: 0 for what in latest}, **choice}
        if len(self.tally.violations) < 6:
            for what in latest:
                if smallest[what] == latest[what]:
                    continue
                trial = {**smallest, what: latest[what]}
                try:
                    self.examine(disk.state(trial), number)
                except Wrong as still:
                    smallest, kind = trial, str(still)
        self.tally.violations.append((moment, number, kind))
        if len(self.tally.violations) <= self.options.show:
            print(f"{self.name}: state {number}, cut before {moment[:300]}\n"
                  f"   {disk_model.describe(smallest, variables)}\n   {kind[:600]}\n"
                  f"   again: tests/crash/power_cut_model.py --only '{self.name}' --limit {self.options.limit} --seed {self.options.seed} "
                  f"--number {number}", flush=True)
        if self.options.keep:
            kept = os.path.join(self.options.keep, f"{self.name.replace(' ', '-')}-{number}")
            shutil.rmtree(kept, ignore_errors=True)
            disk_model.build(disk.state(smallest), kept)


def compare(disk, home):
    """The model, everything kept, is what really lies on the disk: else it has misunderstood a call."""
    everything = disk.state({what: len(values) - 1 for what, values in disk.variables()})
    real = disk_model.Disk()
    real.load(home)
    expect(real.state({}) == everything, "the model's directory is not the real one: " + ", ".join(sorted(
        path for path in set(everything) | set(real.state({})) if everything.get(path) != real.state({}).get(path))))


# ---- proof that it can fail

def self_test(directory, options):
    """Hand-made wrong outcomes, each of which has to be found."""
    missed = []

    def finds(name, wrong, scenario, spoil):
        """`spoil` makes the model forget to sync, or the run's user believe more than is so."""
        run = Run(scenario, os.path.join(directory, f"self-{len(os.listdir(directory))}"), options)
        os.mkdir(run.directory)
        # Of few states, all may show another of the outcomes that are wrong.
        limit = max(options.limit, 10)
        run.options = argparse.Namespace(**{**vars(options), "limit": limit, "show": 0, "keep": None, "number": 0})
        undo = spoil(run)
        try:
            tally = run.run()
        except Wrong as found:
            tally = Tally()
            tally.violations.append(("", 0, str(found)))
        finally:
            undo()
        hit = [kind for _, _, kind in tally.violations if any(words in kind for words in wrong.split("|"))]
        verdict = f"found: {hit[0][:90]}" if hit else f"NOT FOUND {tally.violations[:1]}"
        print(f"   {name}: {verdict} ({len(tally.violations)} of {tally.states} states)", flush=True)
        if not hit:
            missed.append(name)

    def patch(owner, name, value):
        before = getattr(owner, name)
        setattr(owner, name, value)
        return lambda: setattr(owner, name, before)

    def no_sync_of(kind):
        real = disk_model.Recorder.play_fdatasync

        def play(self, descriptors, strings, arguments, result, at):
            node = self.node(descriptors)
            if not isinstance(node, kind):
                real(self, descriptors, strings, arguments, result, at)
        undo = [patch(disk_model.Recorder, name, play) for name in ("play_fdatasync", "play_fsync")]
        return lambda: [u() for u in undo]

    def acknowledged_early(run):
        step = SCENARIOS["append"][1][0]
        undo = [patch(step, "begins", lambda k, real=step.begins: (real(k), k.topics["t"].acknowledged.update({0: 3}))),
                patch(step, "told", lambda k, text: None)]
        return lambda: [u() for u in undo]

    def damaged(run):
        real = run.examine

        def examine(tree, number, directory=None):
            flipped = {p: c[:70] + bytes([c[70] ^ 1]) + c[71:] if c and p.endswith(".log") and len(c) > 70 else c for p, c in tree.items()}
            real(flipped, number, directory)
        return patch(run, "examine", examine)

    finds("files never synced", "acknowledged", "append", lambda run: no_sync_of(disk_model.FileNode))
    finds("directories never synced", "is not there", "create", lambda run: no_sync_of(disk_model.DirectoryNode))
    finds("directories never synced at a roll", "acknowledged", "roll", lambda run: no_sync_of(disk_model.DirectoryNode))
    # A record that was promised too early is missing, or, once another has its place, its offset is given out again.
    finds("receipts before the sync", "acknowledged|is given twice", "append", acknowledged_early)
    finds("a flipped bit", "", "append", damaged)
    finds("an offset file never synced", "next offset", "commit", lambda run: no_sync_of(disk_model.FileNode))
    finds("a write the model misses", "the model's directory is not the real one", "append",
          lambda run: patch(disk_model.Recorder, "play_pwritev", lambda *_: None))
    print(f"self-test: {len(missed)} wrong outcomes not found")
    return not missed


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Opens every disk state that a power cut may leave behind.")
    parser.add_argument("--only", action="append", help="the scenario of this name")
    parser.add_argument("--limit", type=int, default=60, help="states tried at a moment that allows more")
    parser.add_argument("--full", action="store_true", help="--limit 2000")
    parser.add_argument("--seconds", type=float, help="begin no further scenario after so long, and say so")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("LEAT_SEED", random.SystemRandom().randrange(10**6))))
    parser.add_argument("--number", type=int, default=0, help="examine only the state of this number")
    parser.add_argument("--show", type=int, default=5, help="violations of a scenario that are printed")
    parser.add_argument("--keep", help="a directory for the state of each violation")
    parser.add_argument("--results", help="append a row for the scorecard to this file")
    parser.add_argument("--self-test", action="store_true", help="show that wrong outcomes are found, and end")
    options = parser.parse_args(arguments)
    options.limit = 2000 if options.full else options.limit
    if not strace_works():
        print("strace does not work here")
        return SKIPPED
    print(f"seed {options.seed}", flush=True)
    for name in options.only or []:
        if name not in SCENARIOS:
            sys.exit(f"no scenario '{name}'; there are: {', '.join(SCENARIOS)}")
    # Memory is as good a disk as any for states that are built and thrown away.
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="leat-cuts-", dir=place) as directory:
        if options.self_test:
            return 0 if self_test(directory, options) else 1
        return run_all(directory, options)


def general(kind):
    """A violation without what differs from state to state."""
    return re.sub(r"\d+", "N", re.sub(r"/\S*/state/", "", kind))[:200]


def run_all(directory, options):
    started, total = time.monotonic(), Tally()
    left = []
    for name in options.only or SCENARIOS:
        if options.seconds and time.monotonic() - started > options.seconds:
            left.append(name)
            continue
        run = Run(name, os.path.join(directory, name.replace(" ", "-")), options)
        os.mkdir(run.directory)
        try:
            tally = run.run()
        except (Wrong, disk_model.Unknown) as wrong:
            tally = run.tally
            tally.violations.append(("the run itself", 0, str(wrong)))
            print(f"{name}: {type(wrong).__name__}: {wrong}", flush=True)
        shutil.rmtree(run.directory)
        for kind, count in collections.Counter(general(kind) for _, _, kind in tally.violations).most_common():
            print(f"   {count} times: {kind}")
        print(f"{name}: {tally.effects} effects, {tally.moments} moments, {tally.states:,} states, {len(tally.violations)} violations, "
              f"slowest command {tally.slowest * 1000:.0f} ms", flush=True)
        total.effects += tally.effects
        total.states += tally.states
        total.violations += tally.violations
        total.slowest = max(total.slowest, tally.slowest)
    if left:
        print(f"no time was left for: {', '.join(left)}")
    print(f"power cut model: {total.states:,} states, {len(total.violations)} violations, {time.monotonic() - started:.0f} s")
    if options.results:
        results.write(options.results, ROW, "power-cut model, strict", total.states, len(total.violations), total.slowest, options.seed,
                      f"tests/crash/power_cut_model.py --limit {options.limit} --seed {options.seed}")
    return 1 if total.violations else 0


if __name__ == "__main__":
    sys.exit(main())
