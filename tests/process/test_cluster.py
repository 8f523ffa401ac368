#!/usr/bin/python3
"""Three members of a pipeline on Apache Kafka itself, within the cluster: while their source is written they are ended in order and
started again, then killed. No record is missing; none is there twice where nobody was killed, and else no more than were delivered
and not committed. Skipped where Apache Kafka has never been loaded: `./dev kafka` loads it."""

import collections
import os
import random
import signal
import sys
import time

import pipelines
from pipelines import Member, leat

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "kafka"))
import cluster  # noqa: E402

PARTITIONS = 6
MEMBERS = 3
ROUNDS = int(os.environ.get("LEAT_ROUNDS", "5"))
AT_ONCE = 2000  # written in each round
BATCH = 100
QUEUE = 500
BUSY = 75
PIPELINE = """[source]
topics = ["{name}-in"]
group = "{name}"
reset = "earliest"
queue_records = {queue}

[[stage]]
kind = "par_map"
builtin = "template"
template = "{{{{value}}}}"
concurrency = 2

[[stage]]
kind = "reduce"
sink = "topic"
topic = "{name}-out"
max_records = {batch}
max_wait = "20ms"

[commit]
every = "100ms"
"""


class Group:
    """The members, of which some come and go."""

    def __init__(self, url, path):
        self.url, self.path, self.ended = url, path, collections.Counter()
        self.running = [self.start() for _ in range(MEMBERS)]

    def start(self):
        # Brokers that share the machine with much else answer late.
        return Member(self.path, "--lock-timeout", "90s", place=self.url)

    def end(self, place, number):
        member = self.running[place]
        if not member.running():
            sys.exit(f"a member ended by itself with {member.process.returncode}: {member.said()}")
        self.ended[number] += 1
        if number == signal.SIGKILL:
            member.kill()
        elif member.stop(number) == BUSY and "has lost partition" in member.said():
            self.ended[BUSY] += 1  # the group went on without it before it could commit, and it says so
        elif member.process.returncode != -number:
            sys.exit(f"a member ended with {member.process.returncode} and not by signal {number}: {member.said()}")

    def replace(self, place, number):
        self.end(place, number)
        self.running[place] = self.start()

    def end_all(self):
        for place in range(MEMBERS):
            self.end(place, signal.SIGTERM)


def values(url, topic):
    return [int(line) for line in leat("consume", topic, "-Bd", place=url).split()]


def wait_until_there(url, topic, count):
    deadline = time.monotonic() + pipelines.PATIENCE
    while len(set(found := values(url, topic))) < count:
        if time.monotonic() > deadline:
            sys.exit(f"{len(set(found))} of {count} records are in {topic} after {pipelines.PATIENCE} s")
        time.sleep(0.5)


def run(url, name, signals, generator):
    """How many records are there more than once, and how many may be."""
    leat("topic", "create", f"{name}-in", "-p", str(PARTITIONS), place=url)
    leat("topic", "create", f"{name}-out", "-p", "3", place=url)
    path = pipelines.write_pipeline(f"{name}.toml", PIPELINE.format(name=name, batch=BATCH, queue=QUEUE))
    group = Group(url, path)
    written = 0
    for _ in range(ROUNDS):
        lines = "".join(f"{n}\n" for n in range(written, written + AT_ONCE))
        written += AT_ONCE
        leat("produce", f"{name}-in", stdin=lines.encode(), place=url)
        time.sleep(generator.uniform(0.1, 1.5))
        group.replace(generator.randrange(MEMBERS), generator.choice(signals))
    wait_until_there(url, f"{name}-out", written)
    group.end_all()
    found = values(url, f"{name}-out")
    missing = set(range(written)) - set(found)
    doubles = len(found) - len(set(found))
    # All that can be on its way in a member: two queues, what the workers have, and a batch.
    bound = (group.ended[signal.SIGKILL] + group.ended[BUSY]) * (2 * QUEUE + 2 * 256 + BATCH + AT_ONCE)
    print(f"{name}: {written} records, {group.ended[signal.SIGTERM]} members ended, {group.ended[signal.SIGKILL]} killed, "
          f"{group.ended[BUSY]} had lost something; missing {len(missing)}, there twice {doubles}")
    pipelines.check(f"{name}: missing", len(missing), 0)
    pipelines.check(f"{name}: no more than may be is there twice", doubles <= bound, True)
    lag = [line.split()[-1] for line in leat("consumer", "describe", name, place=url).decode().splitlines() if f"{name}-in" in line]
    pipelines.check(f"{name}: partitions with offsets", len(lag), PARTITIONS)


def main():
    pipelines.need_leat_net()
    seed = int(os.environ.get("LEAT_SEED", random.SystemRandom().randrange(10**6)))
    print(f"seed {seed}", flush=True)
    generator = random.Random(seed)
    try:
        with cluster.Cluster(1, "--cached") as kafka:
            run(kafka.url, "orderly", [signal.SIGTERM, signal.SIGINT], generator)
            run(kafka.url, "killed", [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM], generator)
    except cluster.Skip as reason:
        print(reason)
        return pipelines.SKIPPED
    pipelines.finish("members of a pipeline on Apache Kafka come, go and die: no record is missing")
    return 0


if __name__ == "__main__":
    sys.exit(main())
