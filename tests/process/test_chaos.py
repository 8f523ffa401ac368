#!/usr/bin/python3
"""The commit rule under chaos: three members of a pipeline whose programs die, hang, refuse and delay at random are killed,
ended in order and started again while their source is written. At any moment every record below the committed offset is where the
pipeline ends, or put aside, or was left out by the filter; at the end all are, and in a topic of the same directory none is there
twice. Once with such a topic at the end; once with batches by key, and behind them a program that takes a batch, or a part of it,
or refuses it, dies before or after it has taken it, or hangs."""

import dataclasses
import os
import random
import sys
import threading
import time

import pipelines
from pipelines import Member, committed, leat, records_of

HERE = os.path.dirname(os.path.abspath(__file__))
PARTITIONS = 4
ROUNDS = int(os.environ.get("LEAT_ROUNDS", "14"))
MEMBERS = 3

PIPELINE = """
[source]
topics = ["in-{group}"]
group = "{group}"
reset = "earliest"
queue_records = 200

[[stage]]
kind = "par_map"
concurrency = 2
command = ["{python}", "-S", "-E", "{stage}", "map", "{mood}"]
timeout = "1s"
restarts = 1

[[stage]]
kind = "map"
concurrency = 2
command = ["{python}", "-S", "-E", "{stage}", "map", "{mood}"]
timeout = "1s"
restarts = 1

[[stage]]
kind = "filter"
command = ["{python}", "-S", "-E", "{stage}", "filter", "0"]
timeout = "1s"
restarts = 1

{end}

[error]
sink = "topic"
topic = "dead-{group}"
retries = 100
backoff = "10ms"
backoff_max = "100ms"

[commit]
every = "20ms"
"""
TOPIC = """[[stage]]
kind = "reduce"
sink = "topic"
topic = "out"
max_records = 37
max_wait = "30ms"
on_shutdown = "{shutdown}"
"""
PROGRAM = """[[stage]]
kind = "reduce"
builtin = "lines"
group_by = "key"
max_records = 4
max_wait = "50ms"
on_shutdown = "{shutdown}"

[[stage]]
kind = "reduce"
sink = "command"
command = ["{python}", "-S", "-E", "{sink}", "taken", "{mood}"]
timeout = "2s"
max_records = 20
max_wait = "30ms"
on_shutdown = "{shutdown}"
"""


@dataclasses.dataclass
class Kind:
    """A pipeline by what is at its end."""
    group: str
    end: str
    once: bool  # no record is there twice
    bad: int  # multiples of it are refused there
    rounds: int

    def arrived(self):
        """The numbers of the records that have come to the end, in any order."""
        if self.once:
            return [int(record["value"]) for record in records_of("out")]
        with open("taken", "ab+") as file:
            file.seek(0)
            return [int(number) for number in file.read().split()]

    def fate(self, number):
        """Where a record must end: "out", "dead", or "left out"; moods apart, which may send any record to "dead"."""
        if number % 211 == 0 or number % 97 == 0:
            return "dead"
        if number % 13 == 0:
            return "left out"
        return "dead" if number % self.bad == 0 else "out"


KINDS = [Kind("topic", TOPIC, True, 10**9, ROUNDS), Kind("program", PROGRAM, False, 331, ROUNDS)]


def check(kind, sources, positions, exact):
    """Every record before `positions` has met its fate. What was looked at first is `positions`."""
    seen = kind.arrived()
    dead = {}
    for record in records_of(f"dead-{kind.group}"):
        headers = {name: value for name, value in record["headers"]}
        _, partition, offset = headers["leat-source"].rsplit("/", 2)
        dead[(int(partition), int(offset))] = headers
    there = set(seen)
    if kind.once and len(seen) != len(there):
        sys.exit(f"{len(seen) - len(there)} records are in \"out\" twice")
    for (partition, offset), number in sources.items():
        if offset >= positions.get(partition, 0):
            continue
        if (partition, offset) in dead or number in there or kind.fate(number) == "left out":
            continue
        sys.exit(f"record {partition}/{offset} ({number}) is below the committed offset {positions[partition]} and nowhere")
    wrong = [n for n in there if kind.fate(n) != "out"]
    if wrong:
        sys.exit(f"at the end, though refused or left out: {wrong[:5]}")
    if exact and set(positions.items()) != {(p, end(sources, p)) for p in range(PARTITIONS)}:
        sys.exit(f"the last run left {positions} committed")
    return len(there), len(seen) - len(there), len(dead)


def end(sources, partition):
    return 1 + max(offset for p, offset in sources if p == partition)


class Source:
    """Records that are written while the pipeline runs; the number in each says which it is."""

    def __init__(self, topic, generator):
        self.topic, self.generator, self.number, self.stop = topic, generator, 0, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)  # a failure ends all of it

    def write(self):
        count = self.generator.randrange(1, 60)
        lines = [f"k{(self.number + i) % 17}:{self.number + i}" for i in range(1, count + 1)]
        self.number += count
        leat("produce", self.topic, "--key-separator", ":", stdin=("\n".join(lines) + "\n").encode())

    def run(self):
        while not self.stop.is_set():
            self.write()
            time.sleep(self.generator.uniform(0, 0.05))


def snapshot(kind):
    return {(r["partition"], r["offset"]): int(r["value"]) for r in records_of(f"in-{kind.group}")}


def pipelines_of(kind):
    """Files of the same pipeline, in different moods."""
    here = {"python": sys.executable, "stage": os.path.join(HERE, "moody_stage.py"), "sink": os.path.join(HERE, "moody_sink.py")}
    paths = []
    for shutdown in ("flush", "drop"):
        for mood in ("0", "1"):
            last = kind.end.format(**here, mood=mood, shutdown=shutdown)
            text = PIPELINE.format(**here, mood=mood, group=kind.group, end=last)
            paths.append(pipelines.write_pipeline(f"{kind.group}-{shutdown}-{mood}.toml", text))
    return paths


def run(kind, seed):
    generator = random.Random(seed)
    leat("topic", "create", f"dead-{kind.group}")
    paths = pipelines_of(kind)
    leat("topic", "create", f"in-{kind.group}", "-p", str(PARTITIONS))
    source = Source(f"in-{kind.group}", random.Random(seed + 1))
    source.write()
    source.thread.start()
    members = [Member(generator.choice(paths)) for _ in range(MEMBERS)]
    kills = ends = 0
    for number in range(kind.rounds):
        time.sleep(generator.uniform(0.05, 0.5) * (4 if pipelines.SLOW else 1))
        place = generator.randrange(MEMBERS)
        member = members[place]
        if not member.running():
            sys.exit(f"round {number}: a member ended by itself with {member.process.returncode}: {member.said()}")
        if generator.random() < 0.35:
            if member.stop() != -15:
                sys.exit(f"round {number}: ended in order with {member.process.returncode}: {member.said()}")
            ends += 1
        else:
            member.kill()
            kills += 1
        if number % 4 == 3:
            positions = committed(kind.group)
            check(kind, snapshot(kind), positions, False)
        members[place] = Member(generator.choice(paths))
    source.stop.set()
    source.thread.join()
    for member in members:
        if generator.random() < 0.5:
            member.kill()
        elif member.stop() != -15:
            sys.exit(f"at the end: ended in order with {member.process.returncode}: {member.said()}")
    last = Member(paths[0], "-d")
    if last.wait() != 0:
        sys.exit(f"the last run ended with {last.process.returncode}: {last.said()}")
    sources = snapshot(kind)
    there, again, dead = check(kind, sources, committed(kind.group), True)
    print(f"{kind.group}: {kills} kills, {ends} ends in order: {len(sources)} records, {there} delivered, {again} of them again, "
          f"{dead} put aside", flush=True)


def main():
    pipelines.need_leat_net()
    seed = int(os.environ.get("LEAT_SEED", random.SystemRandom().randrange(10**6)))
    print(f"seed {seed}", flush=True)
    leat("topic", "create", "out", "-p", "3")
    for kind in KINDS:
        run(kind, seed)


if __name__ == "__main__":
    main()
