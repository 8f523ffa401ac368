#!/usr/bin/python3
"""A sync fails once, then "succeeds": row 6 of the scorecard.

    tests/crash/failed_syncs.py [SWEEP...] [--seconds N] [--seed N] [--results FILE] [--self-test]

    shared    three producers append to one partition and wait for each other's syncs; number N of all of them fails, one, two or
              three in a row, and whoever it happens to lives, dies within it, or dies at one of its next calls
    commands  each sync of every command that writes fails: once, twice, or from then on

preloaded.c holds the model of a disk: what a failed sync was to make durable is lost, though it still reads well and the next
sync returns 0. (strace's errors leave the bytes where they are: a false acknowledgement would never be missed.) Then producers
and a reader come, as if nothing had been, and the power fails: lost bytes turn into what the disk had before, once in place and
once in a copy of the directory, whose page is not believed. Every record that was acknowledged, before and after, must be there,
where it was said to be, once; and every record a reader was shown.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

import preload_sweep
import results
from preload_sweep import COMMANDS, LEAT, SKIPPED, Place, Preloaded, Wrong, expect, fault_sweep, finish, shuffled

PRODUCERS, RECORDS = 3, 20
# The calls after its failed sync at which whoever it happened to is killed; 0 is within it, None never.
DEATHS = (None, 0, 1, 2, 3, 4, 5, 6, 8)
HONEST_AFTER_CUT = {0, 74}


class Runner:
    """Counts points and violations, and chooses among them as long as there is time."""

    def __init__(self, name, options):
        self.name, self.options = name, options
        self.tried = self.hit = 0
        self.slowest, self.violations = 0.0, []

    def go(self, points, run):
        """run(point) returns (whether the fault came about, seconds of the slowest command after it)."""
        started = time.monotonic()
        for point in shuffled(points, self.options.seed):
            if self.options.seconds and time.monotonic() - started > self.options.seconds:
                break
            self.tried += 1
            try:
                hit, slowest = run(point)
                self.hit += bool(hit)
                self.slowest = max(self.slowest, slowest)
            except Wrong as wrong:
                self.violations.append((point, str(wrong)))
                if len(self.violations) <= self.options.show:
                    print(f"{self.name}: {point}\n   {wrong}", flush=True)
        if not self.hit and not self.violations:
            self.violations.append(("the sweep", "no fault came about"))
            print(f"{self.name}: not one fault came about: this shows nothing")
        print(f"{self.name}: {self.tried:,} of {len(points):,} points, {self.hit:,} faults came about, "
              f"{len(self.violations)} violations, slowest command after it {self.slowest * 1000:.0f} ms, "
              f"{time.monotonic() - started:.0f} s", flush=True)
        return not self.violations


class Log:
    """One topic of one partition, its producers with a disk that fails."""

    def __init__(self, directory, preloaded):
        self.directory, self.preloaded = os.path.join(directory, "data"), preloaded
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.rmtree(self.directory + ".copy", ignore_errors=True)
        self.slowest = 0.0
        self.acknowledged = {}  # offset -> value
        self.shown = {}  # what a reader saw
        self.sent = []
        preloaded.clear()
        self.run([], "topic", "create", "t")

    def environment(self, faults, directory=None):
        return {**os.environ, "LEAT_DATA_DIR": directory or self.directory,
                **(self.preloaded.variables(disk=1, **dict(faults)) if faults is not None else {})}

    def run(self, faults, *arguments, given="", directory=None):
        started = time.monotonic()
        try:
            done = subprocess.run([LEAT, *arguments], env=self.environment(faults, directory), input=given,
                                  capture_output=True, text=True, timeout=60)
        except subprocess.TimeoutExpired:
            raise Wrong(f"leat {' '.join(arguments)} does not end") from None
        self.slowest = max(self.slowest, time.monotonic() - started)
        return done

    def produce_together(self, faults):
        """Three at once, each record flushed by itself as it comes, and one who reads what is durable; returns their statuses."""
        running = []
        reader = subprocess.Popen([LEAT, "consume", "t", "-B", "--unbuffered", "-F", "{{offset}} {{value}}"],
                                  env=self.environment(faults), text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for n in range(PRODUCERS):
            values = [f"p{n}-{i}" for i in range(RECORDS)]
            running.append((values, subprocess.Popen(
                [LEAT, "produce", "t", "-O", "text", "--batch-size", "1"], env=self.environment(faults), text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)))
        for i in range(RECORDS):
            for values, process in running:
                feed(process, values[i])
            time.sleep(0.0005)
        statuses = []
        for values, process in running:
            self.sent += values
            try:
                printed, said = process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                reader.kill()
                raise Wrong("a producer waits for ever after a failed sync") from None
            self.take_receipts(printed, values)
            statuses.append((process.returncode, said))
        self.end_reader(reader)
        return statuses

    def end_reader(self, reader):
        """A failed sync may be the reader's own; what it has printed, whole lines of it, must stay."""
        reader.terminate()
        printed, _ = reader.communicate(timeout=60)
        self.shown.update((int(offset), value) for offset, value in (line.split() for line in printed.split("\n")[:-1]))

    def take_receipts(self, printed, values):
        """Receipts come in the order of the records of one producer."""
        for line, value in zip(printed.split("\n")[:-1], values):
            topic, partition, offset = line.split()
            expect((topic, partition) == ("t", "0"), f"a receipt says {line}")
            expect(int(offset) not in self.acknowledged,
                                 f"offset {offset} was acknowledged for {self.acknowledged.get(int(offset))} and for {value}")
            self.acknowledged[int(offset)] = value

    def produce(self, value, faults=(), directory=None):
        done = self.run(faults, "produce", "t", "-O", "text", given=value + "\n", directory=directory)
        self.sent.append(value)
        self.take_receipts(done.stdout, [value])
        return done

    def read(self, faults=(), directory=None):
        done = self.run(faults, "consume", "t", "-Bd", "-F", "{{offset}} {{value}}", directory=directory)
        expect(done.returncode == 0, f"reading: status {done.returncode}: {done.stderr}")
        return {int(offset): value for offset, value in (line.split() for line in done.stdout.splitlines())}

    def lose_power(self):
        """What was lost is lost: in place, and first in a copy."""
        chunks = self.preloaded.lost()
        paths = {os.stat(path).st_ino: path for path in files_below(self.directory)}
        shutil.copytree(self.directory, self.directory + ".copy")
        for chunk in chunks:
            if chunk.inode in paths:
                for path in (paths[chunk.inode], paths[chunk.inode].replace(self.directory, self.directory + ".copy", 1)):
                    restore(path, chunk)
        return sum(chunk.inode in paths for chunk in chunks)

    def check_kept(self, where, directory):
        there = self.read(None, directory)
        for what, due in (("acknowledged", self.acknowledged), ("shown to a reader", self.shown)):
            for offset, value in due.items():
                expect(there.get(offset) == value,
                                     f"{where}: offset {offset} was {what} as {value} and holds {there.get(offset)}")
        expect(sorted(there) == list(range(len(there))), f"{where}: offsets are not dense: {sorted(there)}")
        expect(len(set(there.values())) == len(there), f"{where}: a record is there twice")
        expect(set(there.values()) <= set(self.sent), f"{where}: a record nobody sent")
        done = self.run(None, "produce", "t", "-O", "text", given="last\n", directory=directory)
        expect(done.stdout == f"t 0 {len(there)}\n", f"{where}: the next record: {done.stdout} {done.stderr}")


def feed(process, value):
    try:
        process.stdin.write(value + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        pass  # it has ended: a failed sync


def files_below(directory):
    return [os.path.join(path, name) for path, _, names in os.walk(directory) for name in names]


def restore(path, chunk):
    with open(path, "r+b") as file:
        file.seek(chunk.start)
        file.write(chunk.old)


def shared_points():
    return [(n, count, death) for n in range(1, 17) for count in (1, 2, 3) for death in DEATHS]


def run_shared(directory, preloaded, mistake=""):
    def run(point):
        number, count, death = point
        log = Log(directory, preloaded)
        log.produce("before")
        preloaded.clear()
        faults = {"fail_sync": f"{number}:{count}", "sync_us": 1000}
        if death is not None:
            faults["kill_after"] = death
        if mistake:
            faults["mistake"] = mistake
        for status, said in log.produce_together(faults):
            expect(status in HONEST_AFTER_CUT or death is not None and status == -9, f"a producer: status {status}: {said}")
            expect(status <= 0 or "leat: error:" in said, f"a producer: status {status} without a message")
        counts = preloaded.counts()
        log.slowest = 0.0
        # The failures have been; those who come now have a disk that says yes to everything.
        later = {"mistake": mistake} if mistake else {}
        if number % 2:
            log.shown.update(log.read(later))
        for value in ("next", "after"):
            done = log.produce(value, later)
            expect(done.returncode == 0, f"the next producer: status {done.returncode}: {done.stderr}")
        log.shown.update(log.read(later))
        expect(not preloaded.counts()["overflow"], "the model has run over: this shows nothing")
        slowest = log.slowest
        log.lose_power()
        log.check_kept("in place", log.directory)
        log.check_kept("in a copy", log.directory + ".copy")
        return counts["failed"], slowest
    return run


def command_points(directory, preloaded):
    points = []
    for number, command in enumerate(COMMANDS):
        place = Place(os.path.join(directory, "place"))
        outcome = place.attempt(command, preloaded.prefix(disk=1))
        expect(outcome.done, f"{command}: {outcome.complaints}")
        points += [(number, n, count) for n in range(1, preloaded.counts()["syncs"] + 1) for count in (1, 2, 10**6)]
    return points


def run_command(directory, preloaded, mistake=""):
    def run(point):
        number, n, count = point
        command = COMMANDS[number]
        place = Place(os.path.join(directory, "place"))
        faults = {"mistake": mistake} if mistake else {}
        outcome = place.attempt(command, preloaded.prefix(disk=1, fail_sync=f"{n}:{count}", **faults))
        fault_sweep.check_honest(command, outcome)
        failed = preloaded.counts()["failed"]
        # The power fails at once: what the command said it did must have reached the disk.
        paths = {os.stat(path).st_ino: path for path in files_below(place.directory)}
        for chunk in preloaded.lost():
            if chunk.inode in paths:
                restore(paths[chunk.inode], chunk)
        finish(place, command, outcome)
        return failed, place.slowest
    return run


SWEEPS = {"shared": "a failed sync among producers", "commands": "a failed sync of each command"}


def sweep(name, directory, preloaded, options):
    runner = Runner(SWEEPS[name], options)
    if name == "shared":
        good = runner.go(shared_points(), run_shared(directory, preloaded))
    else:
        good = runner.go(command_points(directory, preloaded), run_command(directory, preloaded))
    if options.results:
        again = f"tests/crash/failed_syncs.py {name} --seed {options.seed}"
        results.write(options.results, 6, SWEEPS[name], runner.hit, len(runner.violations), runner.slowest, options.seed,
                      again + (f" --seconds {options.seconds:g}" if options.seconds else ""))
    return good


# ---- proof that it can fail

def self_test(directory, preloaded, options):
    """Programs that make mistakes: each of them has to be found."""
    missed = []

    def finds(mistake, name, points, run):
        found = []
        for point in points:
            try:
                run(point)
            except Wrong as wrong:
                found.append(str(wrong))
        print(f"   {name}: {len(found)} of {len(points)} points found it{': ' + found[0][:110] if found else ''}")
        if not found:
            missed.append(mistake)

    choice = shuffled(shared_points(), options.seed)
    finds("retry", "a failed sync is tried again, and believed", [p for p in choice if p[2] is None][:8],
          run_shared(directory, preloaded, "retry"))
    finds("cached", "what was in flight when the leader died is read back from the cache", [p for p in choice if p[2] == 0][:16],
          run_shared(directory, preloaded, "cached"))
    commands = shuffled(command_points(directory, preloaded), options.seed)
    finds("retry", "commands that try again", commands[:40], run_command(directory, preloaded, "retry"))
    print(f"self-test: {len(missed)} mistakes not found")
    return not missed


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Fails syncs, loses their bytes, and looks who was told otherwise.")
    parser.add_argument("sweeps", nargs="*", metavar="SWEEP", help="of " + ", ".join(SWEEPS) + "; all by default")
    parser.add_argument("--seconds", type=float, help="for each sweep; without it, every point is tried")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("LEAT_SEED", random.SystemRandom().randrange(10**6))))
    parser.add_argument("--show", type=int, default=5, help="violations of a sweep that are printed")
    parser.add_argument("--results", help="append a row for each sweep to this file")
    parser.add_argument("--self-test", action="store_true", help="show that mistakes are found, and end")
    options = parser.parse_args(arguments)
    for name in options.sweeps:
        if name not in SWEEPS:
            parser.error(f"no sweep '{name}'")
    if preload_sweep.why_not():
        print(preload_sweep.why_not())
        return SKIPPED
    print(f"seed {options.seed}", flush=True)
    good = True
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="leat-syncs-", dir=memory) as directory:
        preloaded = Preloaded(directory)
        if options.self_test:
            return 0 if self_test(directory, preloaded, options) else 1
        for name in options.sweeps or SWEEPS:
            good &= sweep(name, directory, preloaded, options)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
