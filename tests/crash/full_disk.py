#!/usr/bin/python3
"""A file system without space left, at every level of fullness: row 7 of the scorecard.

    tests/crash/full_disk.py [--seconds N] [--only WORD] [--fills N] [--seed N] [--results FILE] [--self-test]

    levels  every writing command (see writing_commands.py) on an ext4 of 24 MiB that is full but for 0, 1, 2, ... blocks of 1 KiB,
            up to as many as it takes; with the page of the topics there already, and with none
    fills   producers that append until the disk is full, then a trim that makes room on the full disk, again and again

A command that finds no space ends with 74 and says so; what it printed is so; a batch is there whole or not at all; what is there
can be read while the disk is full. When there is space again, everything works.
"""

import argparse
import errno
import os
import random
import sys
import tempfile
import threading
import time

import real_cuts
import results
from fault_sweep import check_honest
from real_cuts import Disk, Sender, Skip, Threads, check_records
from writing_commands import COMMANDS, LINES, Outcome, Place, Wrong, expect, shuffled

ROW = 7
SKIPPED = 77
BLOCK = 1024
MEBIBYTES = 24
LEVELS_MOST = 400  # no command needs more blocks
LEVELS_SOME = 30   # most need no more: what is tried of each where there is no time to find out
NO_SPACE = "No space left on device"


class Ballast:
    """A file that takes all the space there is, but for some blocks."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "ballast")

    def fill(self, free_blocks):
        os.sync()  # what was removed is free only then
        with open(self.path, "ab", buffering=0) as file:
            for size in (1 << 20, BLOCK):
                self.grow(file, size)
            file.truncate(max(0, file.tell() - free_blocks * BLOCK))
            os.fsync(file.fileno())

    def grow(self, file, step):
        size = os.fstat(file.fileno()).st_size
        while True:
            try:
                os.posix_fallocate(file.fileno(), size, step)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                os.ftruncate(file.fileno(), size)
                file.seek(0, os.SEEK_END)
                return
            size += step

    def release(self):
        if os.path.exists(self.path):
            os.unlink(self.path)


class FullPlace(Place):
    """The place of writing_commands.py on a disk that is filled up before the command under test."""

    def __init__(self, disk, free_blocks, warm):
        self.ballast, self.free_blocks = Ballast(disk.path), free_blocks
        self.ballast.release()
        super().__init__(os.path.join(disk.path, "place"))
        for topic in ("keep", "old", "big", "latest") if warm else ():
            self.leat("produce", topic)  # makes its page anew: this directory is a copy

    def before_attempt(self):
        self.ballast.fill(self.free_blocks)


def check(place, command, outcome):
    """What must be so while the disk is full, and when it is not any more."""
    check_honest(command, outcome)
    if not outcome.done:
        expect(outcome.status == 74, f"{command}: status {outcome.status}: {outcome.complaints}")
        expect(NO_SPACE in outcome.complaints, f"{command} does not say why: {outcome.complaints}")
    expect(place.values("keep") == LINES[:20], "the topic beside it cannot be read")
    if "old" in place.names():
        place.values("old")
    place.ballast.release()
    command.after(place, outcome)
    place.check_rest()


class Levels:
    """The levels of all commands."""

    def __init__(self, directory, options):
        self.directory, self.options = directory, options
        self.tried = self.hit = 0
        self.slowest, self.violations, self.needed = 0.0, [], {}

    def go(self):
        started = time.monotonic()
        commands = [c for c in COMMANDS if not self.options.only or self.options.only in str(c)]
        with Disk(self.directory, "ext4", MEBIBYTES, ("-b", str(BLOCK), "-m", "0", "-N", "4096")) as disk:
            points = [(command, warm) for command in commands for warm in (True, False)]
            for command, warm in points:
                self.needed[str(command), warm] = LEVELS_SOME if self.options.seconds else self.find_need(disk, command, warm)
            levels = [(command, warm, level) for command, warm in points for level in range(self.needed[str(command), warm] + 2)]
            for command, warm, level in shuffled(levels, self.options.seed) if self.options.seconds else levels:
                if self.options.seconds and time.monotonic() - started > self.options.seconds:
                    break
                self.attempt(disk, command, warm, level)
        print(f"levels: {self.tried:,} of {len(levels):,} points, {self.hit:,} found no space, {len(self.violations)} violations, "
              f"slowest command after it {self.slowest * 1000:.0f} ms, {time.monotonic() - started:.0f} s", flush=True)
        if not self.hit:
            self.violations.append("no command ran out of space")
            print("no command ran out of space: this shows nothing")

    def find_need(self, disk, command, warm):
        """About the blocks that the command needs to end well."""
        low, high = -1, LEVELS_MOST
        while high - low > 1:
            middle = (low + high) // 2
            if FullPlace(disk, middle, warm).attempt(command).done:
                high = middle
            else:
                low = middle
        return high

    def attempt(self, disk, command, warm, level):
        place = FullPlace(disk, level, warm)
        self.tried += 1
        try:
            outcome = place.attempt(command)
            self.hit += not outcome.done
            check(place, command, outcome)
        except Wrong as wrong:
            self.violations.append(str(wrong))
            if len(self.violations) <= self.options.show:
                print(f"{command}, {level} blocks free, {'with' if warm else 'without'} a page:\n   {wrong}", flush=True)
        self.slowest = max(self.slowest, place.slowest)


# ---- many producers until nothing fits

def append_until_full(world, name, least):
    """Producers that go on until the disk is full: all of them are told."""
    stopped = threading.Event()
    senders = [LongSender(world, f"{name}-{slot}", "t", slot % 2) for slot in range(3)]
    work = Threads(stopped, *[(sender.feed, stopped) for sender in senders])
    for thread in work.threads:
        thread.join(120)
    expect(not any(thread.is_alive() for thread in work.threads), "producers go on, on a full disk")
    work.end()
    for sender in senders:
        sender.note()
        expect(sender.status == 74, f"a producer on a full disk ended with {sender.status}: {sender.said()}")
    expect(sum(len(sender.acknowledged) for sender in senders) >= least, "nothing was appended before the disk was full")
    return senders


class LongSender(Sender):
    length, batch_size = 300, "4KiB"


def fill(disk, scratch, chance):
    """Returns the world and how often the disk was full."""
    world = real_cuts.World(os.path.join(disk.path, "data"), scratch)
    ballast = Ballast(disk.path)
    ballast.fill(chance.randint(300, 3000))
    for number in range(3):
        append_until_full(world, f"fill{number}", 10)
        check_records_from(world)
        started = time.monotonic()
        # What is kept is only the last segment of each partition: the rest makes room.
        world.leat("topic", "trim", "t", "--keep", "20", "--yes")
        for partition in (0, 1):
            sender = Sender(world, f"room-{number}-{partition}", "t", partition)
            real_cuts.produce_one(world, sender)
        world.slowest = max(world.slowest, time.monotonic() - started)
    ballast.release()
    check_records_from(world)
    world.leat("check", "store")
    return world


def check_records_from(world):
    """check_records() of a topic that is trimmed: what is there is dense and was sent, and what was acknowledged is there."""
    records = world.records("t")
    for partition in (0, 1):
        offsets = [offset for where, offset in records if where == partition]
        expect(offsets == list(range(offsets[0], offsets[-1] + 1)), f"t[{partition}]: offsets are not dense")
        for sender in (s for s in world.senders if s.partition == partition):
            lost = [(n, o) for n, o in enumerate(sender.acknowledged) if o >= offsets[0]
                    and records.get((partition, o), "").lstrip("-") != f"{sender.name} {n}"]
            expect(not lost, f"{len(lost)} acknowledged records of {sender.name} are not in place, the first is {lost[:1]}")
    sent = {f"{s.name} {n}" for s in world.senders for n in range(s.sent)}
    values = [value.lstrip("-") for value in records.values()]
    expect(set(values) <= sent and len(set(values)) == len(values), "a record is there twice, or was never sent")


def fill_all(directory, options):
    started, chance = time.monotonic(), random.Random(options.seed)
    violations, slowest, acknowledged = [], 0.0, 0
    for number in range(options.fills):
        with Disk(directory, "ext4", MEBIBYTES, ("-b", str(BLOCK), "-m", "0")) as disk, \
                tempfile.TemporaryDirectory(dir=directory) as scratch:
            try:
                world = fill(disk, scratch, chance)
                slowest = max(slowest, world.slowest)
                acknowledged += sum(len(sender.acknowledged) for sender in world.senders)
            except Wrong as wrong:
                violations.append(str(wrong))
                print(f"fills, number {number}: {wrong}", flush=True)
    print(f"fills: {options.fills} disks, each full 3 times, {acknowledged:,} records acknowledged, {len(violations)} violations, "
          f"slowest trim and append on a full disk {slowest * 1000:.0f} ms, {time.monotonic() - started:.0f} s", flush=True)
    return violations, slowest


# ---- proof that it can fail

def self_test(directory, options):
    missed = []
    by_word = {word: next(c for c in COMMANDS if word in str(c)) for word in ("produce old", "create")}
    with Disk(directory, "ext4", MEBIBYTES, ("-b", str(BLOCK), "-m", "0", "-N", "4096")) as disk:
        def finds(name, command, outcome):
            place = FullPlace(disk, 0, True)
            happened = place.attempt(command)
            expect(happened.status == 74, f"{command}: status {happened.status} on a full disk")
            try:
                check(place, command, outcome or happened)
                missed.append(name)
                print(f"   {name}: NOT FOUND")
            except Wrong as wrong:
                print(f"   {name}: found: {str(wrong)[:110]}")
        said = f"leat: error: x: {NO_SPACE}"
        finds("a receipt on a full disk", by_word["produce old"], Outcome(74, "old 0 20\n", said))
        finds("0 on a full disk", by_word["produce old"], Outcome(0, "", ""))
        finds("a topic that could not be made", by_word["create"], Outcome(0, "", ""))
        finds("another status", by_word["create"], Outcome(73, "", said))
        finds("another reason", by_word["create"], Outcome(74, "", "leat: error: x"))
    with Disk(directory, "ext4", MEBIBYTES) as disk, tempfile.TemporaryDirectory(dir=directory) as scratch:
        world = real_cuts.World(os.path.join(disk.path, "data"), scratch)
        for partition in (0, 1):
            real_cuts.produce_one(world, Sender(world, f"one-{partition}", "t", partition))
        world.senders[0].acknowledged.append(1)
        try:
            check_records_from(world)
            missed.append("a receipt too many")
        except Wrong as wrong:
            print(f"   a receipt too many: found: {wrong}")
    print(f"self-test: {len(missed)} wrong outcomes not found")
    return not missed


def main(arguments=None):
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description="Fills a disk up under every command that writes.")
    parser.add_argument("--seconds", type=float, help="for the levels; without it, every point is tried")
    parser.add_argument("--only", help="the commands whose text holds this")
    parser.add_argument("--fills", type=int, default=20, help="disks that producers fill up (default: 20)")
    parser.add_argument("--show", type=int, default=8, help="violations that are printed")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("LEAT_SEED", random.SystemRandom().randrange(10**6))))
    parser.add_argument("--results", help="append a row to this file")
    parser.add_argument("--self-test", action="store_true", help="show that wrong outcomes are found, and end")
    options = parser.parse_args(arguments)
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="leat-full-", dir=memory) as directory:
        print(f"seed {options.seed}", flush=True)
        try:
            if options.self_test:
                return 0 if self_test(directory, options) else 1
            levels = Levels(directory, options)
            levels.go()
            violations, slowest = fill_all(directory, options)
        except Skip as why:
            print(why)
            return SKIPPED
    violations += levels.violations
    if options.results:
        results.write(options.results, ROW, "a full disk", levels.tried + 3 * options.fills, len(violations),
                      max(slowest, levels.slowest), options.seed, f"tests/crash/full_disk.py --seed {options.seed}"
                      + (f" --seconds {options.seconds:g}" if options.seconds else ""))
    return 1 if violations else 0


def run(script, arguments=None):
    """main in a mount namespace of its own."""
    return real_cuts.run(script, arguments, main)


if __name__ == "__main__":
    sys.exit(run(__file__))
