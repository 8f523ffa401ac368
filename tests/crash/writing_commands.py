"""Every command that writes, and what must be so whatever has become of it: the table behind the kill and fault sweeps.

A topic beside it keeps its records whatever happens, what the command was working on is either as before or as after it, a command
that ended with 0 has done it, receipts hold, and nothing that was left half made stands in the way of the next commands.
"""

import dataclasses
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scenarios"))
import disk_model  # noqa: E402
import dripped  # noqa: E402
from processes import LEAT  # noqa: E402

LINES = [f"line {n}" for n in range(40)]
LARGE = [f"large {n} ".ljust(16000, "x") for n in range(12)]
FAR = [f"far {n} ".ljust(2000, "z") for n in range(60)]
KEYED = [f"k{n % 3}:{n} ".ljust(16000, "y") for n in range(12)]
PATIENCE_SECONDS = 60


class Wrong(Exception):
    """What should not be."""


def expect(condition, what):
    if not condition:
        raise Wrong(what)


@dataclasses.dataclass
class Outcome:
    """What became of the command under test."""
    status: int
    printed: str
    complaints: str

    @property
    def done(self):
        return self.status == 0


class Place:
    """A data directory with topics `keep`, `old`, `big` (of three segments) and `latest` (compacted), a consumer c0 of `old` at offset
    5 and a producer p of `old` that has sent nothing. Beside it another one, `source`, with a topic `far` of two partitions and a
    consumer c1 of it. In arguments, PLACE stands for the directory both are in."""

    template = None

    def __init__(self, directory):
        self.directory = directory
        self.environment = {**os.environ, "LEAT_DATA_DIR": os.path.join(directory, "data")}
        self.slowest = 0.0
        if Place.template is None:
            self.fill()
        shutil.rmtree(directory, ignore_errors=True)
        disk_model.build(Place.template, directory)

    def fill(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        os.mkdir(self.directory)
        mistake = self.environment.pop("LEAT_SEEDED_BUG", None)  # of seeded_bugs.py: what is there before is as it should be
        for topic in ("keep", "old"):
            self.leat("topic", "create", topic)
            self.leat("produce", topic, given=joined(LINES[:20]))
        self.leat("consume", "old", "-c", "c0", "-B", "-n", "5")
        self.leat("topic", "create", "big", "--segment-size", "64KiB")
        self.leat("produce", "big", "--batch-size", "16000", given=joined(LARGE[:10]))
        self.leat("topic", "create", "latest", "--segment-size", "64KiB", "--cleanup", "compact")
        self.leat("produce", "latest", "--key-separator", ":", "--batch-size", "16000", given=joined(KEYED[:5]))
        source = ("-D", "PLACE/source")
        self.leat(*source, "topic", "create", "far", "-p", "2", "--segment-size", "64KiB")
        for first in range(0, len(FAR), 5):
            self.leat(*source, "produce", "far", "-p", str(first // 5 % 2), given=joined(FAR[first:first + 5]))
        self.leat(*source, "consume", "far", "-p", "1", "-c", "c1", "-B", "-n", "7")
        disk = disk_model.Disk()
        disk.load(self.directory)
        Place.template = disk.state({})
        if mistake:
            self.environment["LEAT_SEEDED_BUG"] = mistake

    def run(self, *arguments, prefix=(), given="", patience=PATIENCE_SECONDS, line_by_line=False):
        started = time.monotonic()
        arguments = [argument.replace("PLACE", self.directory) for argument in arguments]
        try:
            if line_by_line:
                # Not in the place: that may have no room for it.
                with tempfile.NamedTemporaryFile(encoding="utf-8", errors="replace", mode="r") as output:
                    status, said = dripped.run([*prefix, LEAT, *arguments], given.encode(), self.environment, output.name, patience)
                    return Outcome(status, output.read(), said.decode("utf-8", "replace").strip())
            done = subprocess.run([*prefix, LEAT, *arguments], env=self.environment, input=given.encode(), capture_output=True,
                                  timeout=patience)
        except subprocess.TimeoutExpired:
            raise Wrong(f"leat {' '.join(arguments)} does not end within {patience} s") from None
        if not prefix:
            self.slowest = max(self.slowest, time.monotonic() - started)
        return Outcome(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace").strip())

    def leat(self, *arguments, given=""):
        done = self.run(*arguments, given=given)
        expect(done.done, f"leat {' '.join(arguments)}: status {done.status}: {done.complaints}")
        return done.printed

    def before_attempt(self):
        """What is to be so while the command runs, beside what it asks for."""

    def attempt(self, command, prefix=()):
        """Runs the command under test, behind `prefix`."""
        command.prepare(self)
        self.before_attempt()
        if command.drive:
            return command.drive(self, prefix)
        return self.run(*command.arguments, prefix=prefix, given=command.given, line_by_line=command.line_by_line)

    def values(self, topic, *flags):
        return self.leat("consume", topic, "-Bd", *flags).splitlines()

    def names(self):
        return self.leat("topic", "list", "--names").splitlines()

    def stored(self, consumer):
        """The offset last seen, None for none."""
        return next((c["offset"] for c in json.loads(self.leat("consumer", "list", "-O", "json")) if c["consumer"] == consumer), None)

    def check_rest(self):
        expect(self.values("keep") == LINES[:20], "the topic beside it has lost records")
        self.leat("produce", "keep", given="next\n")
        expect(self.values("keep") == LINES[:20] + ["next"], "the topic beside it cannot be written")
        store = self.run("check", "store")
        expect(store.done, f"leat check store: {store.printed} {store.complaints}")


def joined(lines):
    return "".join(line + "\n" for line in lines)


def after_create(place, outcome):
    expect("new" in place.names() or not outcome.done, "the created topic is not there")
    if "new" not in place.names():
        place.leat("topic", "create", "new", "-p", "2")
    place.leat("produce", "new", "-p", "1", given="first\n")
    expect(place.values("new") == ["first"], "the new topic does not hold what was produced into it")


def after_delete(place, outcome):
    if "old" in place.names():
        expect(not outcome.done, "the deleted topic is there")
        expect(place.values("old") == LINES[:20], "the topic is there, its records are not")
        place.leat("topic", "delete", "old")
    expect("old" not in place.names(), "the topic is still there")
    place.leat("topic", "create", "old")
    expect(place.values("old") == [], "a new topic of that name has old records")
    expect(place.leat("consumer", "list", "-O", "json").strip() == "[]", "a deleted topic's consumer is listed")


def after_add_partition(place, outcome):
    count = len(json.loads(place.leat("partition", "list", "old", "-O", "json")))
    expect(count == 3 or count == 1 and not outcome.done, f"{count} partitions")
    place.leat("produce", "old", "-p", str(count - 1), given="more\n")
    expect(sorted(place.values("old")) == sorted(LINES[:20] + ["more"]), "records are missing")


def after_set(place, outcome):
    # The limit is in force or not; both are whole.
    values = place.values("old")
    expect(values == LINES[15:20] or values == LINES[:20] and not outcome.done, "neither all records nor the last five")
    place.leat("topic", "set", "old", "retention-records=5")
    expect(place.values("old") == LINES[15:20], "the limit is not in force")


def trimmed(topic, lines, keep):
    def after(place, outcome):
        values = place.values(topic)
        expect(values == lines[-keep:] or values == lines and not outcome.done, f"neither all records nor the last {keep}")
        place.leat("topic", "trim", topic, "--keep", str(keep), "--yes")
        expect(place.values(topic) == lines[-keep:], "not trimmed")
        place.leat("produce", topic, given="next\n")
        expect(place.values(topic) == lines[-keep:] + ["next"], "cannot be written after the trim")
    return after


def appended(topic, before, sent):
    def after(place, outcome):
        there = place.values(topic)
        receipt = place.leat("produce", topic, "-O", "text", given="next\n")
        values = place.values(topic)
        expect(receipt == f"{topic} 0 {len(values) - 1}\n", f"the next record went to {receipt}, {len(values)} are there")
        # What was not acknowledged may have come to light with the next producer, but nothing has gone.
        expect(values[: len(there)] == there, "a record that was read has gone")
        new = values[len(before):-1]
        expect(values == before + sent[: len(new)] + ["next"], "what is there is not a beginning of what was sent")
        acknowledged = outcome.printed.split("\n")[:-1]
        for number, line in enumerate(acknowledged):
            expect(line == f"{topic} 0 {len(before) + number}", f"record {number} was acknowledged as {line}")
        expect(len(acknowledged) <= len(new), f"{len(acknowledged)} records were acknowledged, {len(new)} are there")
        expect(not outcome.done or len(new) == len(sent) == len(acknowledged), f"the status is 0, {len(new)} are there")
    return after


def after_named(place, outcome):
    there = place.values("old")
    expect(not outcome.done or len(there) == 60, "the status is 0, records are missing")
    place.leat("produce", "old", "--producer-id", "p", given=joined(LINES))
    expect(place.values("old") == LINES[:20] + LINES, "the same input again does not leave each record once")
    acknowledged = len(outcome.printed.split("\n")[:-1])
    expect(acknowledged <= len(there) - 20, f"{acknowledged} records were acknowledged, {len(there) - 20} were there")


def after_compacted(place, outcome):
    def last(lines):
        return {line.split(":")[0]: line.split(":")[1].split()[0] for line in lines}
    acknowledged = len(outcome.printed.split("\n")[:-1])
    there = last(place.values("latest", "-F", "{{key}}:{{value}}"))
    due = last(KEYED[: 5 + acknowledged])
    expect(all(int(there.get(key, -1)) >= int(number) for key, number in due.items()), f"the last of each key is {there}, due is {due}")
    place.leat("produce", "latest", "--key-separator", ":", given="k9:99\n")
    expect(last(place.values("latest", "-F", "{{key}}:{{value}}"))["k9"] == "99", "the next record is not there")


def after_consume(place, outcome):
    stored = place.stored("c0")
    expect(stored == 19 or stored == 4 and not outcome.done, f"committed is {stored}")
    seen = outcome.printed.splitlines()
    left = place.values("old", "-c", "c0")
    expect(left in (LINES[5:20], []) and (left or seen == LINES[5:20]), "records were skipped")


def after_seek(place, outcome):
    stored = place.stored("c0")
    expect(stored == 1 or stored == 4 and not outcome.done, f"committed is {stored}")
    place.leat("consumer", "seek", "c0", "--to", "2", "--yes")
    expect(place.values("old", "-c", "c0") == LINES[2:20], "the consumer does not go on at 2")


def after_consumer_delete(place, outcome):
    if place.stored("c0") is not None:
        expect(not outcome.done, "the deleted consumer is there")
        place.leat("consumer", "delete", "c0")
    expect(len(place.values("old", "-c", "c0")) == 20, "the consumer is not gone")


def after_copy(place, outcome):
    due = {p: [line for n, line in enumerate(FAR) if n // 5 % 2 == p] for p in (0, 1)}
    for p in (0, 1):
        there = place.values("far", "-p", str(p)) if "far" in place.names() else []
        expect(there == due[p][: len(there)], f"partition {p} is not a beginning of what is copied")
        expect(not outcome.done or there == due[p], "the status is 0, records are missing")
    stored = place.stored("c1")
    expect(stored == 6 or stored is None and not outcome.done, f"the consumer has seen {stored}")
    place.leat(*COPY)
    for p in (0, 1):
        expect(place.values("far", "-p", str(p)) == due[p], f"copied again, partition {p} does not hold each record once")
    expect(place.values("far", "-p", "1", "-c", "c1", "-d") == due[1][7:], "the consumer does not go on where it was")
    rows = json.loads(place.leat(*COPY, "-O", "json"))
    expect([row["records"] for row in rows] == [0, 0], "what was copied is copied once more")


def damage_two(place):
    """One byte of record 5 of `big`, in a sealed segment, and one of record 8, in the active one."""
    for name, position in ((4, 20000), (8, 9000)):
        with open(os.path.join(place.directory, f"data/topics/big/0/{name:020}.log"), "r+b") as file:
            file.seek(position)
            file.write(b"\0")


def after_repair(place, outcome):
    good = LARGE[:5] + LARGE[6:8] + LARGE[9:10]
    if not outcome.done:
        place.leat("repair", "big", "--execute", "--yes")
    expect(place.values("big") == good, "what was not damaged is not all there")
    place.leat("produce", "big", given="next\n")
    expect(place.values("big") == good + ["next"], "cannot be written after the repair")
    folder, kept = os.path.join(place.directory, "data/topics/big/0/cut"), []
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as file:
            kept.append(file.read())
    for line in (LARGE[5], LARGE[8]):
        expect(any(line[:8].encode() in content for content in kept), f"the bytes of {line[:8]} are not kept")


@dataclasses.dataclass
class Command:
    arguments: list
    after: object  # (place, outcome) -> None: raises Wrong where the outcome is not one there may be
    given: str = ""
    prepare: object = lambda place: None
    line_by_line: bool = False  # whether each line waits for the receipt of the one before
    drive: object = None  # (place, prefix) -> Outcome: runs what does not end by itself
    unseen: frozenset = frozenset()  # system calls of it that are no points of the kill sweep
    watched: tuple = ()  # files below the place: the calls on each of them are points by themselves (threads count their own)

    def __str__(self):
        return "leat " + " ".join(self.arguments) + (" line by line" if self.line_by_line else "")


COPY = ["copy", "PLACE/source", "PLACE/data", "-d", "--consumers"]
COMMANDS = [
    Command(["topic", "create", "new", "-p", "2"], after_create),
    Command(["topic", "delete", "old"], after_delete),
    Command(["topic", "add-partition", "old", "-c", "2"], after_add_partition),
    Command(["topic", "set", "old", "retention-records=5"], after_set),
    Command(["topic", "trim", "old", "--keep", "3", "--yes"], trimmed("old", LINES[:20], 3)),
    Command(["topic", "trim", "big", "--keep", "3", "--yes"], trimmed("big", LARGE[:10], 3)),
    Command(["produce", "old", "-O", "text", "--batch-size", "50"], appended("old", LINES[:20], LINES), joined(LINES)),
    Command(["produce", "old", "-O", "text"], appended("old", LINES[:20], LINES[:7]), joined(LINES[:7]), line_by_line=True),
    Command(["produce", "big", "-O", "text", "--batch-size", "16000"], appended("big", LARGE[:10], LARGE[:6]), joined(LARGE[:6])),
    Command(["produce", "old", "-O", "text", "--producer-id", "p", "--batch-size", "200"], after_named, joined(LINES)),
    Command(["produce", "latest", "-O", "text", "--key-separator", ":", "--batch-size", "16000"], after_compacted, joined(KEYED[5:])),
    Command(["consume", "old", "-c", "c0", "-d"], after_consume),
    Command(["consumer", "seek", "c0", "--to", "2", "--yes"], after_seek),
    Command(["consumer", "delete", "c0"], after_consumer_delete),
    Command(["repair", "big", "--execute", "--yes"], after_repair, prepare=damage_two),
    Command(COPY, after_copy),
]


def shuffled(points, seed):
    points = list(points)
    random.Random(seed).shuffle(points)
    return points
