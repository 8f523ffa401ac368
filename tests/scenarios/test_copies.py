#!/usr/bin/python3
"""Copies are killed at random moments, again and again, while their source is written to; each record is at the destination once.

The source has gaps (compaction), retention works on either side, the destination is recovered from backups and torn appends, and
consumers go on where they were. Order is kept in each partition, nothing is twice, nothing is missing.
"""

import json
import os
import shutil
import signal
import subprocess
import threading
import time

import processes
from processes import LEAT, fail, leat

KILLS = 15 if processes.SLOW else 60
PARTITIONS = 3


def place(name):
    return os.path.abspath(name)


def at(directory, *arguments, **options):
    return leat("-D", directory, *arguments, **options)


def records(directory, topic):
    """What each partition holds: all but the offsets, which may differ."""
    found = {p: [] for p in range(PARTITIONS)}
    for line in at(directory, "consume", topic, "-Bd", "-O", "jsonl").splitlines():
        row = json.loads(line)
        found[row["partition"]].append((row["timestamp"], row["key"], row["value"]))
    return found


def compare(source, destination, topic, who):
    due, there = records(source, topic), records(destination, topic)
    for partition, expected in due.items():
        got = there[partition]
        if got == expected:
            continue
        twice, missing = len(got) - len(set(got)), len(set(expected) - set(got))
        fail(f"{who}: partition {partition} holds {len(got)} records instead of {len(expected)}: {twice} twice, {missing} missing")
    return sum(map(len, due.values()))


class Writer:
    """Produces numbered records in small batches to the source until it is told to end."""

    def __init__(self, source, topic):
        self.ending = threading.Event()
        self.process = subprocess.Popen([LEAT, "-D", source, "produce", topic, "--key-separator", ":", "--batch-size", "2KiB"],
                                        stdin=subprocess.PIPE)
        self.thread = threading.Thread(target=self.write)
        self.thread.start()

    def write(self):
        number = 0
        while not self.ending.is_set():
            for _ in range(40):
                self.process.stdin.write(f"k{number % 97}:{number} {'x' * (number * 31 % 300)}\n".encode())
                number += 1
            self.process.stdin.flush()
            time.sleep(0.002)

    def end(self):
        self.ending.set()
        self.thread.join()
        self.process.stdin.close()
        if self.process.wait():
            fail(f"the producer at the source ends with {self.process.returncode}")


def kill_one(source, destination, generator, strace, *flags):
    """Starts a copy and kills it, by time or at a system call; whether it was killed."""
    arguments = [LEAT, "copy", source, destination, "-q", *flags]
    delay = generator.choice([0.005, 0.02, 0.1, 0.4]) * generator.uniform(0.5, 1.5)
    if strace and generator.random() < 0.3:
        call, number = generator.choice(["pwritev", "fdatasync", "pwrite64", "openat2", "renameat", "fcntl", "flock"]), generator.choice([1, 2, 3, 5, 8, 21, 55])
        arguments = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={call}:signal=KILL:when={number}", *arguments]
        delay = 1.5
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    try:
        _, said = process.communicate(timeout=delay)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        _, said = process.communicate()
    if process.returncode not in (0, -signal.SIGKILL, 128 + signal.SIGKILL):
        fail(f"{' '.join(arguments)}: status {process.returncode}: {said.decode().strip()}")
    return process.returncode != 0


def recovered(destination, topic, generator):
    """The destination is put back from a copy of itself, without its state, as after a power cut."""
    shutil.copytree(destination, destination + "+")
    shutil.rmtree(destination)
    os.rename(destination + "+", destination)
    if generator.random() < 0.5:
        os.unlink(os.path.join(destination, "topics", topic, "state"))


def killed_while_written_to(generator, strace):
    source, destination, topic = place("source"), place("destination"), "live"
    at(source, "topic", "create", topic, "-p", str(PARTITIONS), "--segment-size", "256KiB")
    writer = Writer(source, topic)
    kills = 0
    while kills < KILLS:
        flags = [] if generator.random() < 0.5 else ["-d"]
        kills += kill_one(source, destination, generator, strace, *flags)
        if generator.random() < 0.2 and os.path.exists(os.path.join(destination, "topics", topic, "state")):
            recovered(destination, topic, generator)
    writer.end()
    leat("copy", source, destination, "-d", "-q")
    count = compare(source, destination, topic, f"after {kills} kills")
    at(destination, "inspect", "verify", "--deep")
    print(f"{kills} kills while {count} records were produced at the source: each is at the destination once, in order", flush=True)


def killed_over_gaps(generator, strace):
    """A compacted source: offsets with gaps of every size, more of them between two runs; retention at the destination."""
    kills = 0
    for number in range(4):
        source, destination, topic = place(f"gaps-{number}"), place(f"gaps-to-{number}"), "latest"
        at(source, "topic", "create", topic, "-p", str(PARTITIONS), "--segment-size", "64KiB", "--cleanup", "compact")
        at(destination, "topic", "create", topic, "-p", str(PARTITIONS), "--segment-size", "64KiB", "--cleanup", "delete")
        seen, total = {p: [] for p in range(PARTITIONS)}, 0
        for burst in range(6):
            lines = "".join(f"k{generator.randrange(200)}:{total + n} {'y' * 200}\n" for n in range(600))
            at(source, "produce", topic, "--key-separator", ":", "--batch-size", "1KiB", input=lines.encode())
            total += 600
            # What is there now is what is to be copied: nothing goes until the next burst.
            due = {p: got[:] for p, got in records(source, topic).items()}
            while generator.random() < 0.8:
                kills += kill_one(source, destination, generator, strace, "-d")
            leat("copy", source, destination, "-d", "-q")
            for p in range(PARTITIONS):
                new = [record for record in due[p] if record not in seen[p]]
                seen[p] += new
        if records(destination, topic) != seen:
            fail(f"gaps, round {number}: the destination does not hold what was at the source, each once")
        rows = json.loads(at(destination, "inspect", "dump", topic, "-O", "json"))
        if len(rows) < 20:
            fail("gaps: hardly any batch was copied: nothing was shown")
    print(f"{kills} kills over compacted sources: what was there when it was copied is there once", flush=True)


def consumers_go_on(generator):
    """Wherever a consumer stands, on a source with gaps, it goes on with the same record."""
    source, destination, topic = place("gaps-0"), place("consumers"), "latest"
    ends = {row["partition"]: (row["start"], row["end"]) for row in json.loads(at(source, "partition", "list", topic, "-O", "json"))}
    for number in range(25):
        with open("positions", "w", encoding="ascii") as file:
            for partition, (start, end) in ends.items():
                file.write(f"{topic} {partition} {generator.randint(start, end)}\n")
        at(source, "consumer", "seek", f"c{number}", "--to-file", "positions", "--yes", stderr=subprocess.DEVNULL)
    leat("copy", source, destination, "-d", "--consumers", "-q")
    for number in range(25):
        rest = [sorted(at(where, "consume", topic, "-c", f"c{number}", "-d", "--offset-strategy", "none").splitlines()) for where in (source, destination)]
        if rest[0] != rest[1]:
            fail(f"consumer c{number} reads {len(rest[1])} records at the destination and {len(rest[0])} at the source")
    print("25 consumers go on with the same records at the destination", flush=True)


def two_at_once(generator):
    source, destination, topic = place("source"), place("twice"), "live"
    runs = [subprocess.Popen([LEAT, "copy", source, destination, "-d", "-q"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(6)]
    ends = sorted(run.communicate() and run.returncode for run in runs)
    if set(ends) - {0, 75} or 0 not in ends:
        fail(f"six copies at once end with {ends}")
    compare(source, destination, topic, "six copies at once")
    print(f"six copies at once end with {ends}, each record is there once", flush=True)


def main():
    with processes.workplace():
        generator = processes.seeded()
        strace = processes.strace_works()
        killed_while_written_to(generator, strace)
        two_at_once(generator)
        killed_over_gaps(generator, strace)
        consumers_go_on(generator)


main()
