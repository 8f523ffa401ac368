#!/usr/bin/python3
"""The wall clock goes back a year, and ahead: row 19 of the scorecard.

    tests/crash/clock_changes.py [--sequences N] [--seconds N] [--seed N] [--results FILE] [--self-test]

Random sequences of commands, each with a clock of its own (preloaded.c: a year back, a year ahead, days and moments off, right),
against a model. After each: the records are those sent, in order, offsets dense from the log start on; each has the time of the
clock that its producer had; retention by age has taken nothing that was younger than the limit by the clock of that command; and
reading from a time on shows every record that has this time or a later one.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

import results
from preload_sweep import LEAT, SKIPPED, Preloaded, Wrong, expect, why_not

DAY_MS = 24 * 3600 * 1000
YEAR_MS = 365 * DAY_MS
RETENTION_MS = 7 * DAY_MS
CLOCKS = (0, 0, -YEAR_MS, YEAR_MS, -DAY_MS, DAY_MS, -3600 * 1000, -1500, 1500)
STEPS = 12


class Sequence:
    def __init__(self, directory, preloaded, seed):
        self.random = random.Random(seed)
        self.directory, self.preloaded = os.path.join(directory, "data"), preloaded
        shutil.rmtree(self.directory, ignore_errors=True)
        self.start, self.sent = 0, []  # sent: (value, the clock before and after) by offset
        self.times = {}  # offset -> timestamp as first read
        self.retired = self.slowest = self.checked = 0
        self.retention = self.random.random() < 0.7
        flags = ["--retention-time", "7d"] if self.retention else []
        self.leat(0, "topic", "create", "t", "--segment-size", "64KiB", *flags)

    def leat(self, offset_ms, *arguments, given=""):
        started = time.monotonic()
        variables = self.preloaded.variables(clock_offset_ms=offset_ms)
        done = subprocess.run([LEAT, "-D", self.directory, *arguments], env={**os.environ, **variables}, input=given, text=True,
                              capture_output=True, timeout=60, check=False)
        self.slowest = max(self.slowest, time.monotonic() - started)
        expect(done.returncode == 0, f"leat {' '.join(arguments)}, clock {offset_ms:+} ms: status {done.returncode}: {done.stderr}")
        return done.stdout

    def read(self, offset_ms, *flags):
        """[(offset, timestamp, value)]"""
        lines = self.leat(offset_ms, "consume", "t", "-d", "-O", "jsonl", *(flags or ("-B",))).splitlines()
        return [(r["offset"], r["timestamp"], r["value"].split()[0]) for r in map(json.loads, lines)]

    def step(self):
        offset_ms = self.random.choice(CLOCKS)
        before = self.now(offset_ms)
        size = self.random.choice((1, 1, 3, 8))
        values = [f"r{len(self.sent) + i}" for i in range(size)]
        receipts = self.leat(offset_ms, "produce", "t", "-O", "text", "--batch-size", self.random.choice(("1", "16000", "64KiB")),
                             given="".join(value.ljust(9000, " ") + "\n" for value in values))
        after = self.now(offset_ms)
        expect(receipts == "".join(f"t 0 {len(self.sent) + i}\n" for i in range(size)), f"the receipts are {receipts!r}")
        self.sent += [(value, before, after) for value in values]
        self.check(after)

    @staticmethod
    def now(offset_ms):
        return int(time.time() * 1000) + offset_ms

    def check(self, clock):
        """clock: of the command that was the last to write."""
        shown = self.read(self.random.choice(CLOCKS))
        expect(shown, "no record is left; the active segment is never removed")
        start = shown[0][0]
        expect([offset for offset, _, _ in shown] == list(range(start, len(self.sent))), "offsets are not dense, or not in order")
        for offset, timestamp, value in shown:
            name, before, after = self.sent[offset]
            expect(value == name, f"offset {offset} holds {value}, sent was {name}")
            expect(before - 5 <= timestamp <= after + 5, f"offset {offset} is of {timestamp}, the clock was {before} to {after}")
            expect(self.times.setdefault(offset, timestamp) == timestamp, f"the time of offset {offset} has changed")
        self.check_retired(start, clock)
        self.check_since(shown)

    def check_retired(self, start, clock):
        expect(start >= self.start, "the log start went back")
        for offset in range(self.start, start):
            # It may have come and gone within the same command.
            due = self.times.get(offset, self.sent[offset][1]) + RETENTION_MS
            expect(self.retention and due <= clock, f"offset {offset} was retired {(due - clock) // 1000} s early")
        self.retired += start - self.start
        self.start = start

    def check_since(self, shown):
        stamps = [timestamp for _, timestamp, _ in shown]
        for moment in {self.random.choice(stamps) + self.random.choice((-1, 0, 1)), self.now(0), max(stamps), min(stamps)}:
            due = {offset for offset, timestamp, _ in shown if timestamp >= moment}
            found = [offset for offset, _, _ in self.read(self.random.choice(CLOCKS), "--since", str(moment))]
            expect(due <= set(found), f"--since {moment} does not show offsets {sorted(due - set(found))[:5]}")
            first = min(due, default=None)
            expect(not due or found[0] == first, f"--since {moment} begins at {found[:1]}, the first of that time is {first}")
            self.checked += len(due)


def run(directory, preloaded, options):
    started = time.monotonic()
    steps = retired = checked = 0
    slowest, violations = 0.0, []
    for number in range(options.sequences):
        if options.seconds and time.monotonic() - started > options.seconds:
            break
        sequence = Sequence(directory, preloaded, options.seed * 1000 + number)
        try:
            for _ in range(STEPS):
                steps += 1
                sequence.step()
        except Wrong as wrong:
            violations.append(str(wrong))
            print(f"sequence {number}: {str(wrong)[:300]}", flush=True)
        retired, checked = retired + sequence.retired, checked + sequence.checked
        slowest = max(slowest, sequence.slowest)
    if not violations and (not retired or not checked):
        violations.append("nothing was retired, or nothing was found by time: this shows nothing")
        print(violations[-1])
    print(f"clock changes: {steps:,} changes, {retired:,} retired, {checked:,} found by time, {len(violations)} violations, "
          f"slowest command {slowest * 1000:.0f} ms, {time.monotonic() - started:.0f} s", flush=True)
    if options.results:
        again = f"tests/crash/clock_changes.py --seed {options.seed} --sequences {options.sequences}"
        results.write(options.results, 19, "clock changes", steps, len(violations), slowest, options.seed, again)
    return not violations


# ---- proof that it can fail

def self_test(directory, preloaded):
    missed = []

    def finds(name, spoil):
        sequence = Sequence(directory, preloaded, 1)
        sequence.retention = True
        for _ in range(4):
            sequence.step()
        try:
            spoil(sequence)
            sequence.check(sequence.now(0))
            missed.append(name)
            print(f"   {name}: NOT FOUND")
        except Wrong as wrong:
            print(f"   {name}: found: {str(wrong)[:110]}")

    def early(sequence):
        # What is there now is a year too young to go, by a clock of a year ago.
        sequence.leat(0, "topic", "trim", "t", "--keep", "1", "--yes")
        sequence.check(sequence.now(-YEAR_MS))

    def forgetful(sequence):
        read = sequence.read
        sequence.read = lambda clock, *flags: read(clock, *flags)[1 if flags else 0:]

    def swapped(sequence):
        sequence.sent[-1], sequence.sent[-2] = sequence.sent[-2], sequence.sent[-1]

    def dated(sequence):
        value, before, after = sequence.sent[-1]
        sequence.sent[-1] = (value, before - YEAR_MS, after - YEAR_MS)

    finds("records that go a year early", early)
    finds("a reader by time that misses the first", forgetful)
    finds("records in another order", swapped)
    finds("a record with the time of another clock", dated)
    print(f"self-test: {len(missed)} wrong outcomes not found")
    return not missed


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Writes and reads while the wall clock jumps.")
    parser.add_argument("--sequences", type=int, default=100)
    parser.add_argument("--seconds", type=float, help="end after this long")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("LEAT_SEED", random.SystemRandom().randrange(10**6))))
    parser.add_argument("--results", help="append a row to this file")
    parser.add_argument("--self-test", action="store_true", help="show that wrong outcomes are found, and end")
    options = parser.parse_args(arguments)
    if why_not():
        print(why_not())
        return SKIPPED
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="leat-clock-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as directory:
        preloaded = Preloaded(directory)
        if options.self_test:
            return 0 if self_test(directory, preloaded) else 1
        return 0 if run(directory, preloaded, options) else 1


if __name__ == "__main__":
    sys.exit(main())
