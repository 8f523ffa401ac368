#!/usr/bin/python3
"""Syncs that fail once and then succeed, on a file system that has lost what they were to bring to the disk: row 6 of the card.

    tests/crash/late_errors.py [--runs N] [--only KIND] [--seed N] [--results FILE] [--self-test]

Producers and a reader run on forgetful_fs.cc, which is built here. A sync of the log, or of any file, is made to fail once or twice
while they run, then others go on. In the end the file system is cut: what was never synced, and what a failed sync has lost, is
gone, all of it or a choice of its pages. It is mounted again, and the checks of real_cuts.py hold: whatever was acknowledged before
the cut is in place, whoever had asked, and whatever a reader was shown is there.

    sync        the one who syncs is told, as is whoever had the file open
    sync once   ... and nobody else ever is
    sync kill   the one who syncs is killed before it is told; on Linux others that had the file open are told, later ones are not
    any sync    a sync of the page, of an index, of an offsets file
    writeback   the pages are lost in the background; whoever syncs next is told
    write       the same, and a later write fails
    close       the same, and a later close fails
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import real_cuts
import results
from real_cuts import Sender, Skip, Threads, World, check_commits, check_records
from writing_commands import Wrong, expect

HERE = os.path.dirname(os.path.abspath(__file__))
ROW = 6
SKIPPED = 77
KINDS = {"sync": "fail .log {n}", "sync once": "fail .log {n} once", "sync kill": "fail .log {n} kill", "any sync": "fail / {n}",
         "writeback": "writeback .log", "write": "write .log", "close": "close .log"}
ALLOWED = {0, -9, 74}  # a producer is told, or was killed
CUT_OFF = ALLOWED | {66, 76}  # once the whole disk has gone, nothing is found, and nothing reads back


def build(directory):
    """The path of the file system's program, made from its source."""
    for tool in ("g++", "pkg-config"):
        if not shutil.which(tool):
            raise Skip(f"{tool} is not installed")
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "fuse3"], capture_output=True, text=True)
    if flags.returncode:
        raise Skip("libfuse3-dev is not installed")
    if not os.path.exists("/dev/fuse"):
        raise Skip("there is no /dev/fuse")
    program = os.path.join(directory, "forgetful-fs")
    subprocess.run(["g++", "-std=c++2b", "-O1", os.path.join(HERE, "forgetful_fs.cc"), "-o", program, *flags.stdout.split()],
                   check=True)
    return program


class ForgetfulDisk:
    """The file system, mounted; its directory stays when it is cut."""

    def __init__(self, program, directory):
        self.program, self.process = program, None
        self.path, self.kept = os.path.join(directory, "disk"), os.path.join(directory, "kept")

    def __enter__(self):
        for path in (self.path, self.kept):
            os.makedirs(path, exist_ok=True)
        self.mount()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        subprocess.run(["umount", "--lazy", self.path], check=False)
        shutil.rmtree(self.kept)

    def mount(self):
        self.process = subprocess.Popen([self.program, self.path, self.kept], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        outside = os.stat(os.path.dirname(self.path)).st_dev
        for _ in range(200):
            if self.process.poll() is None and os.stat(self.path).st_dev != outside:
                return
            time.sleep(0.01)
        raise Skip("a FUSE file system cannot be mounted here")

    def tell(self, command):
        """Gives a command and returns the answer."""
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def faults(self):
        return int(self.tell("count").split()[1])

    def lost_pages(self):
        return int(self.tell("count").split()[2])

    def cut(self, percent, seed):
        self.tell(f"cut {percent} {seed}")
        self.process.wait()

    def mount_again(self):
        subprocess.run(["umount", self.path], check=True)
        self.mount()


class Reader:
    """Follows a topic; all that it prints must be there in the end."""

    def __init__(self, world):
        self.world, self.path = world, os.path.join(world.scratch, f"read-{time.monotonic_ns()}")
        self.counted = 0

    def follow(self, stopped):
        with open(self.path, "wb") as output:
            process = self.world.start_leat("consume", "t", "-B", "-F", "{{partition}} {{offset}} {{value}}", stdout=output)
        stopped.wait()
        process.terminate()
        real_cuts.ended(process)

    def shown(self):
        with open(self.path, encoding="ascii") as file:
            lines = file.read().split("\n")[:-1]
        return {(int(p), int(o)): v for p, o, v in (line.split(" ", 2) for line in lines)}


class LongSender(Sender):
    """Whose batches fill pages: what shares its page with the next batch is written again with that."""

    length, batch_size = 900, "16KiB"


class Run:
    """One disk, one kind of fault, two phases of activity, a cut."""

    def __init__(self, disk, kind, chance, scratch, durability="sync"):
        self.disk, self.kind, self.chance = disk, kind, chance
        self.world = World(os.path.join(disk.path, "data"), scratch, durability)
        self.reader, self.statuses = Reader(self.world), []
        self.faults = self.lost_pages = 0

    def feed(self, sender, stopped, allowed):
        sender.feed(stopped)
        expect(sender.status in allowed, f"producer {sender.name} ended with {sender.status}: {sender.said()}")

    def phase(self, name, command, cut=None):
        """Producers, a reader and a consumer, and the fault among them. With `cut`, they end by that."""
        stopped = threading.Event()
        senders = [LongSender(self.world, f"{name}-{slot}", "t", slot % 2) for slot in range(4)]
        allowed = ALLOWED if cut is None else CUT_OFF
        work = Threads(stopped, *[(self.feed, sender, stopped, allowed) for sender in senders], (self.reader.follow, stopped),
                       (real_cuts.consume, self.world, stopped))
        time.sleep(self.chance.uniform(0.02, 0.2))
        before = self.disk.faults()
        if command:
            self.disk.tell(command)
            # What comes about depends on who writes; a fault that has not, goes on waiting for the next phase.
            deadline = time.monotonic() + 0.5
            while self.disk.faults() == before and time.monotonic() < deadline:
                time.sleep(0.002)
                if command.startswith("writeback"):  # which finds unsynced pages only at times
                    self.disk.tell(command)
        time.sleep(self.chance.uniform(0, 0.1))
        with self.world.lock:
            self.world.over = cut is not None
            for sender in senders:
                sender.note()
            shown = self.reader.shown()
        self.faults, self.lost_pages = self.disk.faults(), self.disk.lost_pages()
        if cut is not None:
            self.disk.cut(*cut)
        work.end()
        if cut is None:
            for sender in senders:
                sender.note()
            shown = self.reader.shown()
        return shown

    def go(self):
        fault = KINDS[self.kind].format(n=self.chance.randint(1, 30))
        again = self.chance.choice([None, KINDS[self.chance.choice(list(KINDS))].format(n=self.chance.randint(1, 20))])
        shown = self.phase("one", fault)
        shown |= self.phase("two", again)
        shown |= self.phase("three", None, cut=(self.chance.choice((0, 0, 50, 90)), self.chance.randrange(10**6)))
        self.disk.mount_again()
        self.check(shown)

    def check(self, shown):
        self.world.over = False
        started = time.monotonic()
        self.world.leat("topic", "list")
        mark = Sender(self.world, "mark", "t", 0)
        real_cuts.produce_one(self.world, mark)
        self.world.slowest = time.monotonic() - started
        check_commits(self.world, check_records(self.world, "t"))
        there = self.world.records("t")
        gone = [place for place, value in shown.items() if there.get(place) != value]
        expect(not gone, f"{len(gone)} records were shown to a reader, and are gone: {gone[:1]}")
        self.world.leat("check", "store")


def run_all(program, directory, options):
    started, chance = time.monotonic(), random.Random(options.seed)
    tried = faults = lost = acknowledged = 0
    slowest, violations = 0.0, []
    kinds = [kind for kind in KINDS if not options.only or options.only == kind]
    for number in range(options.runs):
        kind = kinds[number % len(kinds)]
        seed = chance.randrange(10**9)
        with ForgetfulDisk(program, directory) as disk, tempfile.TemporaryDirectory(dir=directory) as scratch:
            run = None
            try:
                run = Run(disk, kind, random.Random(seed), scratch)
                run.go()
            except Wrong as wrong:
                violations.append(str(wrong))
                if len(violations) <= 5:
                    print(f"{kind}, number {number}: {wrong}", flush=True)
            tried += 1
            if run:
                faults, lost, slowest = faults + run.faults, lost + run.lost_pages, max(slowest, run.world.slowest)
                acknowledged += sum(len(sender.acknowledged) for sender in run.world.senders)
    print(f"late errors: {tried} runs, {faults} faults, {lost:,} pages lost, {acknowledged:,} records acknowledged, "
          f"{len(violations)} violations, slowest first command {slowest * 1000:.0f} ms, {time.monotonic() - started:.0f} s",
          flush=True)
    if not faults or not lost:
        violations.append("nothing was lost")
        print("nothing was lost: this shows nothing")
    if options.results:
        results.write(options.results, ROW, "late errors, a file system that forgets", faults, len(violations), slowest,
                      options.seed, f"tests/crash/late_errors.py --runs {options.runs} --seed {options.seed}")
    return not violations


def self_test(program, directory, options):
    """A disk that lies about syncs, and a topic whose receipts come before them: both have to be found."""
    missed = 0
    for name, fault, durability in (("a sync that lies", "fail .log 5 lie", "sync"),
                                    ("receipts before the sync", "fail .log 5", "os")):
        found = None
        for attempt in range(8):
            with ForgetfulDisk(program, directory) as disk, tempfile.TemporaryDirectory(dir=directory) as scratch:
                try:
                    run = Run(disk, "sync", random.Random(options.seed + attempt), scratch, durability)
                    shown = run.phase("one", fault, cut=(0, 0))
                    disk.mount_again()
                    run.check(shown)
                except Wrong as wrong:
                    found = wrong
                    break
        print(f"   {name}: {'found: ' + str(found)[:110] if found else 'NOT FOUND'}", flush=True)
        missed += not found
    print(f"self-test: {missed} wrong outcomes not found")
    return not missed


def main(arguments=None):
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description="Lets syncs fail that have lost what they were to bring to the disk.")
    parser.add_argument("--runs", type=int, default=140, help="disks that are written, and cut (default: 140)")
    parser.add_argument("--only", choices=KINDS, help="only this kind of fault")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("LEAT_SEED", random.SystemRandom().randrange(10**6))))
    parser.add_argument("--results", help="append a row to this file")
    parser.add_argument("--self-test", action="store_true", help="show that wrong outcomes are found, and end")
    options = parser.parse_args(arguments)
    # FUSE is not on the list of file systems that leat trusts.
    os.environ["LEAT_ALLOW_FILESYSTEM"] = "any"
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="leat-forgetful-", dir=memory) as directory:
        try:
            program = build(directory)
            print(f"seed {options.seed}", flush=True)
            work = self_test if options.self_test else run_all
            return 0 if work(program, directory, options) else 1
        except Skip as why:
            print(why)
            return SKIPPED


def run(script, arguments=None):
    """main in a mount namespace of its own."""
    return real_cuts.run(script, arguments, main)


if __name__ == "__main__":
    sys.exit(run(__file__))
