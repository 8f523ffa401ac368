#!/usr/bin/python3
"""A topic is created, deleted and created again under load, with kills of everyone, also of who deletes: row 15 of the scorecard.

    topics_chaos.py [--seconds N] [--seed N] [--results FILE] [--self-test]

Rounds of some lives of one name; the last life stays, and is read when all is quiet. What is given to a producer after its
topic is gone is never acknowledged, not even when there is a new topic of that name; what was acknowledged in the last life
is there; no record of an earlier life is in a later one, nor read beside its records by anyone; whoever has a deleted topic
open ends with 66, and nobody does whose topic was there all the time; a group's offsets of an earlier life count as none.
"""

import argparse
import collections
import contextlib
import dataclasses
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

TOPIC = "again"
PARTITIONS = 2
PRODUCERS, READERS = 4, 2
LIVES = 12  # of a round
PATIENCE = 60 if processes.SLOW else 20
SHOWN = 20
FORM = "{{partition}} {{offset}} {{value}}"


@dataclasses.dataclass
class Life:
    """Of the topic, in moments of the steady clock; the last one of a round does not end."""

    create_started: float
    created: float = float("inf")
    delete_started: float = float("inf")
    gone: float = float("inf")


@dataclasses.dataclass
class Process:
    """Of a producer or reader, what was seen of it from outside."""

    name: str
    started: float
    ended: float = float("inf")
    status: int = 0
    said: str = ""  # its complaint
    killed: bool = False
    asked: bool = False  # it was told to end in the end, or its input ended
    life: int | None = None  # the life it certainly has open, for it had written something before the next began
    given: list = dataclasses.field(default_factory=list)  # [(moment before, records given so far)]
    receipts: list = dataclasses.field(default_factory=list)  # [(partition, offset)]
    read: list = dataclasses.field(default_factory=list)  # [(partition, offset, value)]

    def given_at(self, number):
        """A moment before the record was given."""
        return next((moment for moment, count in self.given if count > number), float("inf"))

    def value(self, number):
        return f"{self.name}.{number}"


@dataclasses.dataclass
class Seen:
    lives: list = dataclasses.field(default_factory=list)
    processes: list = dataclasses.field(default_factory=list)
    truth: list = dataclasses.field(default_factory=list)  # the last life's records
    group: list = dataclasses.field(default_factory=list)  # and as a group gets them that had read in earlier ones


def check_ends(seen):
    """Who ends with 66 had met a deletion; who has a deleted topic open ends so."""
    absent = [(a.delete_started, b.created) for a, b in zip(seen.lives, seen.lives[1:])]
    absent = [(0.0, seen.lives[0].created), *absent]
    for p in seen.processes:
        if p.status == 66:
            if not any(start < p.ended and p.started < end for start, end in absent):
                yield "status", f"{p.name} ended with 66, and the topic was there all the time"
        elif not (p.killed and p.status == -signal.SIGKILL) and not (p.asked and p.status in (0, -signal.SIGTERM)):
            yield "status", f"{p.name} ended with {p.status}: {p.said}"
        if p.life is not None and p.ended > seen.lives[p.life].gone + PATIENCE:
            yield "stuck", f"{p.name} still has life {p.life} open, {PATIENCE} s after its end"


def check_late(seen):
    """Nothing is acknowledged that was given when the topic was gone."""
    for p in seen.processes:
        if p.life is None:
            continue
        for number in range(len(p.receipts) - 1, -1, -1):
            if p.given_at(number) <= seen.lives[p.life].gone:
                break
            yield "late", f"{p.value(number)} was given after the end of life {p.life}, and acknowledged at {p.receipts[number]}"


def check_last_life(seen):
    last = len(seen.lives) - 1
    before = seen.lives[last - 1].gone if last else 0.0
    by_name = {p.name: p for p in seen.processes}
    at, following = {}, collections.Counter()
    present = set()
    for partition, offset, value in seen.truth:
        if offset != following[partition]:
            yield "offsets", f"partition {partition} has {offset} where {following[partition]} was due"
        following[partition] = offset + 1
        at[partition, offset] = value
        name, number = parted(value)
        p = by_name.get(name)
        if p is None or not p.given or number >= p.given[-1][1]:
            yield "phantom", f"{partition} {offset}: nobody was given {value!r}"
            continue
        present.add(name)
        if p.life not in (None, last) or p.ended < seen.lives[last].create_started:
            yield "earlier", f"{partition} {offset}: {value!r} is of an earlier life"
    if len(set(at.values())) != len(at):
        yield "twice", "a record is there twice"
    for p in seen.processes:
        for number, place in enumerate(p.receipts):
            # Of a producer one of whose records is in this life, they all are: it has one topic open.
            if at.get(place) != p.value(number) and (p.name in present or p.started > before or p.given_at(number) > before):
                yield "lost", f"{p.value(number)} was acknowledged at {place} in the last life, where {at.get(place)!r} is"
    if seen.group != seen.truth:
        yield "group", f"the group was given {len(seen.group)} records of the last life, which has {len(seen.truth)}"


def check_readers(seen):
    """What a reader gets is of one life: dense from the start, of producers that lived in a common one, where receipts say."""
    by_name = {p.name: p for p in seen.processes}
    for reader in seen.processes:
        following, at = collections.Counter(), {}
        common = set(range(len(seen.lives)))
        for partition, offset, value in reader.read:
            if offset != following[partition]:
                yield "offsets", f"{reader.name} read {offset} of partition {partition} where {following[partition]} was due"
            following[partition] = offset + 1
            at[partition, offset] = value
        if reader.read:
            common &= lives_of(reader, seen)
        for name in {parted(value)[0] for value in at.values()}:
            if name not in by_name:
                yield "phantom", f"{reader.name} read a record of {name!r}"
                continue
            common &= lives_of(by_name[name], seen)
            for number, place in enumerate(by_name[name].receipts):
                if place in at and at[place] != by_name[name].value(number):
                    told = by_name[name].value(number)
                    yield "other", f"{reader.name} read {at[place]!r} at {place}, where {name} was told {told!r} is"
        if not common:
            yield "mixed", f"{reader.name} read records of more than one life"


def lives_of(process, seen):
    """The lives it may have had open."""
    if process.life is not None:
        return {process.life}
    return {n for n, life in enumerate(seen.lives) if process.started < life.gone and life.create_started < process.ended}


def parted(value):
    match = re.fullmatch(r"(producer-\d+)\.(\d+)", value)
    return (match[1], int(match[2])) if match else (value, -1)


def violations(seen):
    return [found for check in (check_ends, check_late, check_last_life, check_readers) for found in check(seen)]


# ---- the processes


class Load(threading.Thread):
    """Keeps producers and readers alive, feeds them, and kills one now and then."""

    def __init__(self, generator):
        super().__init__(daemon=True)
        self.generator, self.seen, self.kills = generator, [], 0
        self.stopping = threading.Event()
        self.living = [None] * (PRODUCERS + READERS)
        self.start()

    def run(self):
        due = time.monotonic() + 0.05
        while not self.stopping.is_set():
            for slot, living in enumerate(self.living):
                if living is None or living[0].poll() is not None:
                    self.reap(slot)
                    self.living[slot] = self.begin(slot)
                elif slot < PRODUCERS:
                    self.feed(*living)
            if time.monotonic() > due:
                process, seen = self.generator.choice(self.living)
                seen.killed = True
                process.kill()
                self.kills += 1
                due = time.monotonic() + self.generator.uniform(0.005, 0.06)
            time.sleep(0.001)

    def begin(self, slot):
        number = len(self.seen)
        name = f"producer-{number}" if slot < PRODUCERS else f"reader-{number}"
        arguments = ["produce", TOPIC, "-O", "text"] if slot < PRODUCERS else ["consume", TOPIC, "-B", "-F", FORM, "--unbuffered"]
        seen = Process(name, time.monotonic())
        with open(f"{name}.out", "wb") as output, open(f"{name}.err", "wb") as complaints:
            process = subprocess.Popen([LEAT, *arguments], stdin=subprocess.PIPE if slot < PRODUCERS else subprocess.DEVNULL,
                                       stdout=output, stderr=complaints)
        if slot < PRODUCERS:
            os.set_blocking(process.stdin.fileno(), False)
        self.seen.append(seen)
        return process, seen

    def feed(self, process, seen):
        count = seen.given[-1][1] if seen.given else 0
        more = self.generator.choice([1, 2, 20])
        text = "".join(f"{seen.value(n)}\n" for n in range(count, count + more)).encode()
        moment = time.monotonic()
        # A pipe takes a write of less than a page whole, or not at all.
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(process.stdin.fileno(), text)
            seen.given.append((moment, count + more))

    def reap(self, slot):
        if self.living[slot] is None:
            return
        process, seen = self.living[slot]
        seen.status = process.wait()
        seen.ended = time.monotonic()
        if process.stdin:
            process.stdin.close()
        with open(f"{seen.name}.out", encoding="ascii", errors="replace") as file:
            lines = [line[:-1] for line in file if line.endswith("\n")]
        with open(f"{seen.name}.err", encoding="utf-8", errors="replace") as file:
            seen.said = file.read().strip()
        for name in ("out", "err"):
            os.unlink(f"{seen.name}.{name}")
        if slot < PRODUCERS:
            seen.receipts = [tuple(map(int, line.split()[1:])) for line in lines]
        else:
            seen.read = [parse(line) for line in lines]

    def note(self, life):
        """Whoever has written something has that life open; to be called while there is no other."""
        for living in self.living:
            if living and living[1].life is None:
                with contextlib.suppress(FileNotFoundError):
                    if os.path.getsize(f"{living[1].name}.out"):
                        living[1].life = life

    def end(self):
        self.stopping.set()
        self.join()
        for slot, (process, seen) in enumerate(self.living):
            seen.asked = True
            if slot < PRODUCERS:
                process.stdin.close()
                process.stdin = None
            else:
                time.sleep(0.1)
                process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
            self.reap(slot)
        return self.seen


def parse(line):
    match = re.fullmatch(r"(\d+) (\d+) (.*)", line)
    return (int(match[1]), int(match[2]), match[3]) if match else (-1, -1, line)


class Round:
    def __init__(self, generator):
        self.generator, self.lives, self.killed, self.complaints = generator, [], 0, []

    def run_or_kill(self, *arguments):
        """The status of a command, or None when it was killed in the middle."""
        process = subprocess.Popen([LEAT, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if self.generator.random() < 0.3:
            time.sleep(self.generator.uniform(0, 0.006))
            process.kill()
        said = process.communicate()[1].decode().strip()
        if process.returncode == -signal.SIGKILL:
            self.killed += 1
            return None
        if process.returncode not in (0, 66, 73):
            self.complaints.append(("status", f"leat {' '.join(arguments)}: status {process.returncode}: {said}"))
        return process.returncode

    def there(self):
        if not os.path.exists(os.path.join(os.environ["LEAT_DATA_DIR"], "leat.toml")):
            return False  # the first create was killed before the directory was one
        return TOPIC in leat("topic", "list", "--names").decode().split()

    def create(self):
        life = Life(time.monotonic())
        settings = ["-p", str(PARTITIONS), "--segment-size", self.generator.choice(["64KiB", "1GiB"]),
                    "--durability", self.generator.choice(["sync", "os"])]
        while self.run_or_kill("topic", "create", TOPIC, *settings) is None and not self.there():
            pass
        if not self.there():
            self.complaints.append(("create", "a topic that was created is not there"))
        life.created = time.monotonic()
        self.lives.append(life)

    def delete(self, load):
        life = self.lives[-1]
        life.delete_started = time.monotonic()
        while True:
            status = self.run_or_kill("topic", "delete", TOPIC)
            if status is not None or not self.there():
                break
            life.delete_started = time.monotonic()  # what was killed before it began has deleted nothing
            time.sleep(self.generator.uniform(0, 0.02))
        life.gone = time.monotonic()
        if status == 66 or self.there():
            what = "there" if self.there() else "not there"
            self.complaints.append(("delete", f"deleting ended with {status}, and the topic is {what}"))
        load.note(len(self.lives) - 1)

    def run(self):
        self.create()
        load = Load(random.Random(self.generator.random()))
        for _ in range(LIVES - 1):
            time.sleep(self.generator.choice([0, 0.02, 0.1, 0.3]))
            if self.generator.random() < 0.5:
                subprocess.run([LEAT, "consume", TOPIC, "-c", "g", "-Bd", "-n", "9", "-O", "none"], capture_output=True)
            self.delete(load)
            time.sleep(self.generator.choice([0, 0, 0.005, 0.05]))
            self.create()
        time.sleep(self.generator.uniform(0.05, 0.3))
        self.await_leavers(load)
        seen = Seen(self.lives, load.end())
        self.kills = load.kills
        for name, flags in (("truth", []), ("group", ["-c", "g"])):
            lines = leat("consume", TOPIC, *flags, "-Bd", "-F", FORM).decode("ascii").splitlines()
            setattr(seen, name, [parse(line) for line in lines])
        if subprocess.run([LEAT, "inspect", "verify", "--deep"], capture_output=True).returncode:
            self.complaints.append(("verify", "inspect verify --deep finds damage"))
        leat("topic", "delete", TOPIC, stderr=subprocess.DEVNULL)
        return seen, violations(seen) + self.complaints

    def await_leavers(self, load):
        """Those that have a deleted topic open are given their time to end."""
        def leaving():
            return any(living and living[1].life is not None and living[1].life < len(self.lives) - 1 and living[0].poll() is None
                       for living in load.living)
        deadline = time.monotonic() + PATIENCE + 1
        while leaving() and time.monotonic() < deadline:
            time.sleep(0.02)


def chaos(options, generator):
    total = collections.Counter()
    end = time.monotonic() + options.seconds
    while not total["rounds"] or time.monotonic() < end:
        one = Round(random.Random(generator.random()))
        seen, found = one.run()
        for kind, text in found[:SHOWN]:
            print(f"round {total['rounds']}: {kind}: {text}", flush=True)
        total.update(rounds=1, lives=len(seen.lives), kills=one.kills, killed=one.killed, violations=len(found),
                     there=len(seen.truth), acknowledged=sum(len(p.receipts) for p in seen.processes),
                     left=sum(p.status == 66 for p in seen.processes),
                     opened=sum(p.life is not None for p in seen.processes), read=sum(len(p.read) for p in seen.processes))
    print(f"seed {options.seed}: {total['lives']} lives of a topic in {total['rounds']} rounds, {total['killed']} creates and "
          f"deletes killed, {total['kills']} producers and readers killed, {total['left']:,} ended with 66, {total['opened']} had "
          f"a deleted topic open; {total['acknowledged']:,} records acknowledged, {total['read']:,} read meanwhile, "
          f"{total['there']:,} in the last lives, {total['violations']} violations", flush=True)
    if not total["opened"] or not total["there"]:
        print("nobody had a deleted topic open, or nothing was written in the end: this shows nothing")
        total["violations"] += 1
    if options.results:
        results.write(options.results, 15, "topics_chaos", total["lives"], total["violations"], None, options.seed,
                      f"tests/crash/topics_chaos.py --seconds {options.seconds:g} --seed {options.seed}")
    return total["violations"]


# ---- proof that it can fail


def right():
    """Two lives, a producer and a reader of each, as it is without faults."""
    seen = Seen([Life(1, 2, 10, 11), Life(12, 13)])
    for number, (started, ended, life, status) in enumerate([(3, 11.5, 0, 66), (14, 30, None, 0)]):
        producer = Process(f"producer-{number}", started, ended, status, asked=not status, life=life,
                           given=[(started + n / 10, n + 1) for n in range(100)])
        producer.receipts = [(n % 2, n // 2) for n in range(60 if life == 0 else 100)]
        reader = Process(f"reader-{number + 2}", started, ended, status, asked=not status, life=life)
        reader.read = [(*place, producer.value(n)) for n, place in enumerate(producer.receipts)]
        seen.processes += [producer, reader]
    seen.truth = list(seen.processes[3].read)
    seen.group = list(seen.truth)
    return seen


def self_test():
    def late(seen):
        seen.processes[0].receipts += [(n % 2, n // 2) for n in range(60, 95)]

    def into_the_new_one(seen):
        """A producer of the first life goes on in the second."""
        seen.truth += [(0, 50, "producer-0.70")]
        seen.group = list(seen.truth)

    def mixed(seen):
        seen.processes[3].read[:10] = seen.processes[1].read[:10]

    def silently(seen):
        """Opened in the second life, acknowledged, and nowhere."""
        seen.processes.append(Process("producer-9", 5, 30, asked=True, given=[(5, 1), (20, 2)], receipts=[(0, 70), (0, 71)]))

    cases = [
        ("late", late), ("earlier", into_the_new_one), ("mixed", mixed), ("lost", silently),
        ("lost", lambda s: (s.truth.pop(), s.group.pop())),
        ("lost", lambda s: s.truth.clear()),
        ("offsets", lambda s: s.truth.pop(5)),
        ("group", lambda s: s.group.pop(0)),
        ("twice", lambda s: s.truth.__setitem__(2, (*s.truth[2][:2], s.truth[0][2]))),
        ("phantom", lambda s: s.truth.__setitem__(2, (*s.truth[2][:2], "producer-1.500"))),
        ("offsets", lambda s: s.processes[1].read.pop(7)),
        ("other", lambda s: s.processes[3].read.__setitem__(2, (*s.processes[3].read[2][:2], "producer-1.90"))),
        ("status", lambda s: setattr(s.processes[2], "status", 66)),
        ("status", lambda s: setattr(s.processes[0], "status", 74)),
        ("stuck", lambda s: setattr(s.processes[1], "ended", 12 + PATIENCE)),
    ]
    missed = [f"a right round has {found}" for found in violations(right())]
    for kind, spoil in cases:
        seen = right()
        spoil(seen)
        kinds = {found for found, _ in violations(seen)}
        if kind not in kinds:
            missed.append(f"{kind}: {kinds or 'nothing'} found")
    print("\n".join(missed) or f"self-test: {len(cases)} wrong rounds, all found out")
    return not missed


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Creates, deletes and creates again a topic under load and kills.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("LEAT_SEED", random.SystemRandom().randrange(10**6))))
    parser.add_argument("--results", help="append a row to this file")
    parser.add_argument("--self-test", action="store_true", help="show that wrong outcomes are found, and end")
    options = parser.parse_args(arguments)
    if options.self_test:
        return 0 if self_test() else 1
    if options.results:
        options.results = os.path.abspath(options.results)
    print(f"seed {options.seed}", flush=True)
    with processes.workplace():
        return 1 if chaos(options, random.Random(options.seed)) else 0


if __name__ == "__main__":
    sys.exit(main())
