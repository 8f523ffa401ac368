#!/usr/bin/python3
"""The at-least-once batch step for shell pipelines (batch_step.sh) is killed in and between all of its parts, and run again.

Each batch is exactly what comes after the commit, and a commit moves only by the seek behind a processed batch: so each
record is processed at least once, and again only where the step was killed before the seek had committed.
"""

import collections
import json
import os
import signal
import subprocess
import time

import processes
from processes import LEAT, fail, leat

PARTITIONS = 3
KILLS = 20 if processes.SLOW else 66
PLACES = ["consume", "process", "processing", "seek", "end"]
CALLS = ["openat", "read", "pread64", "pwrite64", "write", "fdatasync", "fsync", "fcntl", "flock", "rename", "renameat", "close"]
STEP = os.path.join(processes.ROOT, "tests", "scenarios", "batch_step.sh")


class Log:
    """What the topic holds: values by partition."""

    def __init__(self, generator):
        self.generator = generator
        self.values = [[] for _ in range(PARTITIONS)]
        self.count = 0

    def grow(self):
        for partition, values in enumerate(self.values):
            more = [str(self.count + n) for n in range(self.generator.choice([0, 1, 5, 200]))]
            self.count += len(more)
            if more:
                leat("produce", "t", "-p", str(partition), input="".join(v + "\n" for v in more).encode())
                values += more

    def after(self, committed):
        """The lines of a batch that begins at a commit, per partition."""
        return [[f"{p} {offset} {values[offset]}" for offset in range(committed[p], len(values))]
                for p, values in enumerate(self.values)]


def committed():
    """The next offset to read of each partition."""
    rows = json.loads(leat("consumer", "list", "-t", "t", "-O", "json"))
    offsets = {row["partition"]: row["offset"] for row in rows}
    return [0 if offsets.get(p) is None else offsets[p] + 1 for p in range(PARTITIONS)]


def choose_kill(generator, strace):
    """What kills the step next: (a sentence, environment for it, seconds after which it is killed from outside)."""
    how = generator.choice(["place", "time", "call", "call"] if strace else ["place", "time"])
    if how == "place":
        place = generator.choice(PLACES)
        return f"killed before {place}", {"KILL_AT": place}, None
    if how == "time":
        delay = generator.uniform(0, 0.03)
        return f"killed after {delay * 1000:.1f} ms", {}, delay
    part, call, number = generator.choice(["CONSUME", "SEEK"]), generator.choice(CALLS), generator.choice([1, 1, 2, 3, 5, 8, 13])
    return (f"killed at {call} number {number} of {part.lower()}",
            {f"UNDER_{part}": f"strace -f -qq -o /dev/null -e inject={call}:signal=KILL:when={number}"}, None)


def step(round_name, environment, delay):
    """The status of the step's shell; negative when it was killed."""
    process = subprocess.Popen([STEP], env={**os.environ, "LEAT": LEAT, "ROUND": round_name, **environment},
                               stderr=subprocess.PIPE, start_new_session=True)
    if delay is not None:
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGKILL)
    try:
        _, said = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        fail(f"round {round_name}: the step does not end")
    return process.returncode, said.decode().strip()


def run(generator):
    leat("topic", "create", "t", "-p", str(PARTITIONS))
    os.mkdir("done")
    strace = processes.strace_works()
    log = Log(generator)
    kills, rounds, repeated = collections.Counter(), 0, 0
    processed = collections.Counter()
    may_come_again = collections.Counter()  # records whose batch was processed, while its step was killed before the commit
    before = committed()
    while sum(kills.values()) < KILLS or rounds % 4:
        log.grow()
        # Three that are killed, then one that is not.
        what, environment, delay = choose_kill(generator, strace) if rounds % 4 != 3 else ("undisturbed", {}, None)
        round_name = str(rounds)
        rounds += 1
        status, said = step(round_name, environment, delay)
        after = committed()
        who = f"round {round_name}, {what}, status {status}"
        batches = log.after(before)
        done = os.path.exists(f"done/{round_name}")
        if done:
            with open(f"done/{round_name}", encoding="ascii") as file:
                lines = file.read().splitlines()
            for partition in range(PARTITIONS):
                mine = [line for line in lines if line.split()[0] == str(partition)]
                if mine != batches[partition]:
                    fail(f"{who}: partition {partition}'s batch of {len(mine)} records is not the {len(batches[partition])} "
                         f"behind the commit {before[partition]}: {mine[:1]} to {mine[-1:]}")
            repeated += sum(processed[line] > 0 for line in lines)
            processed.update(lines)
        for partition, (old, new) in enumerate(zip(before, after)):
            if new not in (old, len(log.values[partition])) or (new != old and not done):
                fail(f"{who}: partition {partition}'s commit went from {old} to {new}, with the batch "
                     f"{'processed' if done else 'not processed'} and the log's end at {len(log.values[partition])}")
            if done and new == old:
                may_come_again.update(batches[partition])
        if status == 0 and (not done or after != [len(values) for values in log.values]):
            fail(f"{who}: the step has succeeded, and {after} is committed: {said}")
        if what == "undisturbed" and status:
            fail(f"{who}: {said}")
        if status in (-signal.SIGKILL, 128 + signal.SIGKILL):
            kills[what.split()[1]] += 1
        elif status:
            fail(f"{who}: {said}")
        before = after
    for line in (line for batch in log.after([0] * PARTITIONS) for line in batch):
        if not 1 <= processed[line] <= 1 + may_come_again[line]:
            fail(f"{line!r} was processed {processed[line]} times, {may_come_again[line]} of them before a kill")
    # The fewer kills of a slow build may all fall where nothing comes again.
    if len(processed) != log.count or not (repeated or processes.SLOW):
        fail(f"{len(processed)} of {log.count} records were processed, {repeated} of them again: nothing was shown")
    print(f"{sum(kills.values())} kills ({', '.join(f'{n} {how}' for how, n in kills.items())}) in {rounds} rounds: "
          f"{log.count} records, none lost, {repeated} processed again after a kill before the commit")


with processes.workplace():
    run(processes.seeded())
