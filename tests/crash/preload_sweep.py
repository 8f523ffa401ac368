#!/usr/bin/python3
"""Failed allocations and short transfers, at each one a command makes: rows 5 and 8 of the scorecard.

    tests/crash/preload_sweep.py [SWEEP...] [--seconds N] [--only WORD] [--seed N] [--results FILE] [--self-test]

    transfers     the Nth read or write since main() began moves one byte, half, all but one: nobody may notice
    allocations   the Nth allocation since then fails, or all from there on: an honest end

The commands are those of writing_commands.py and some that read, of leat-dynamic with preloaded.c in it, which counts and fails
calls one by one; Debian's fiu-run does such things at random, so that a point could not be run again, and is not used. What was
not touched is not looked at again: where the command printed nothing and every file is as before, there is nothing that could be
wrong.
"""

import argparse
import atexit
import dataclasses
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DYNAMIC = os.environ.get("LEAT_DYNAMIC", os.path.join(os.environ.get("LEAT_BUILD", os.path.join(ROOT, "build")), "leat-dynamic"))
SKIPPED = 77


def why_not():
    """Why nothing can be preloaded here, or None."""
    if os.environ.get("LEAT_SANITIZER"):
        return "a sanitizer takes the allocations for itself, so that nothing can be preloaded"
    if not os.access(DYNAMIC, os.X_OK):
        return f"there is no {DYNAMIC}; build it: ninja -C build leat-dynamic"
    return None if shutil.which("gcc") else "gcc is not installed"


if why_not() is None:
    # One that a rebuild in the meantime does not replace, also for the checks: of the same source as what is under test.
    copies = tempfile.mkdtemp(prefix="leat-dynamic-")
    atexit.register(shutil.rmtree, copies, ignore_errors=True)
    os.environ["LEAT"] = shutil.copy2(DYNAMIC, copies)

import disk_model  # noqa: E402
import fault_sweep  # noqa: E402
import results  # noqa: E402
from fault_sweep import Point, Sweep, expect, finish  # noqa: E402
from writing_commands import COMMANDS, LEAT, LINES, Command, Outcome, Place, Wrong, appended, joined, shuffled  # noqa: E402,F401

# struct shared of preloaded.c.
CHUNKS, CHUNK_BYTES, FILES = 4096, 4096, 256
HEAD = struct.Struct("=8Q2IQ")
CHUNK = struct.Struct(f"=6Q{CHUNK_BYTES}s")
CHUNKS_AT = HEAD.size + FILES * 24
SHARED_BYTES = CHUNKS_AT + CHUNKS * CHUNK.size
LOST = 2


@dataclasses.dataclass
class Chunk:
    """Bytes of a file that are not on the disk, and what the disk has in their place."""
    inode: int
    start: int
    old: bytes
    born: int


class Preloaded:
    """The library, compiled into `directory`, and the file it shares with whoever preloads it."""

    def __init__(self, directory):
        self.library = os.path.join(directory, "preloaded.so")
        self.shared = os.path.join(directory, "shared")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "preloaded.c")
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", self.library, source], check=True)
        self.clear()

    def clear(self):
        with open(self.shared, "wb") as file:
            file.truncate(SHARED_BYTES)

    def variables(self, **faults):
        """Of a process that is to meet the faults: LEAT_<name> = value."""
        given = {"LEAT_" + name.upper(): str(value) for name, value in faults.items()}
        return {"LD_PRELOAD": self.library, "LEAT_PRELOADED": self.shared, **given}

    def prefix(self, **faults):
        self.clear()
        return ["env", *(f"{name}={value}" for name, value in self.variables(**faults).items())]

    def counts(self):
        with open(self.shared, "rb") as file:
            values = HEAD.unpack(file.read(HEAD.size))
        names = ("allocations", "transfers", "hits", "syncs", "failed", "killed", "overflow", "used")
        return dict(zip(names, values))

    def lost(self):
        """What the disk does not have though its sync has been dealt with, the latest first."""
        used = self.counts()["used"]
        with open(self.shared, "rb") as file:
            file.seek(CHUNKS_AT)
            chunks = [CHUNK.unpack(file.read(CHUNK.size)) for _ in range(used)]
        found = [(born, n, Chunk(inode, start, old[:length], born))
                 for n, (inode, start, length, state, born, _, old) in enumerate(chunks) if state == LOST]
        return [chunk for _, _, chunk in sorted(found, key=lambda entry: entry[:2], reverse=True)]


def unharmed(place, outcome):
    """After a command that only reads."""
    expect(place.values("old") == LINES[:20], "a command that reads has changed what it read")
    expect(place.stored("c0") == 4, "a command that reads has moved a consumer")


def older_page(place):
    """Five more acknowledged records of `old`, and the page of before them, as a power cut may leave it."""
    path = os.path.join(place.directory, "data/topics/old/state")
    with open(path, "rb") as file:
        page = file.read()
    place.leat("produce", "old", given=joined(LINES[20:25]))
    with open(path, "r+b") as file:
        file.write(page)


def still_there(place, outcome):
    expect(place.values("old") == LINES[:25], "acknowledged records behind the page's durable end have gone")


RECOVERING = [Command(["produce", "old", "-O", "text", "--batch-size", "200"], appended("old", LINES[:25], LINES), joined(LINES),
                      older_page),
              Command(["consume", "old", "-Bd", "-k"], still_there, prepare=older_page)]
READING = [Command(arguments, unharmed) for arguments in (
    ["consume", "old", "-Bd"], ["consume", "big", "-Bd", "-O", "jsonl"], ["inspect", "verify", "big", "--deep"],
    ["inspect", "dump", "old"], ["check", "consumer", "c0", "--lag-crit", "100"], ["check", "store"],
    ["consumer", "list", "-O", "json"], ["topic", "describe", "old", "-O", "json"])]


def chosen(options):
    return [command for command in [*COMMANDS, *RECOVERING, *READING] if not options.only or options.only in str(command)]


def reference(directory, preloaded, command):
    """The outcome of the command without a fault, and how many calls of each kind it makes."""
    place = Place(os.path.join(directory, "place"))
    outcome = place.attempt(command, preloaded.prefix())
    expect(outcome.done, f"{command}: status {outcome.status} without a fault: {outcome.complaints}")
    return outcome, preloaded.counts()


def steady(command, text):
    """What of its output is the same each time."""
    if command.arguments[:2] == ["check", "store"]:
        return text.split("%")[0].rstrip("0123456789.")  # how full the disk is
    if command.arguments[:2] == ["check", "consumer"]:
        return text.split(",")[0].split("|")[0]  # how old the commit is
    return re.sub(r"cut/(\d+)-\S+", r"cut/\1", text)  # when it was cut


def untouched(place, command, outcome, before):
    if outcome.done or outcome.printed or "--execute" in command.arguments or command in RECOVERING:
        return False
    disk = disk_model.Disk()
    disk.load(place.directory)
    now = disk.state({})
    return now.keys() == before.keys() and all(same(path, now[path], before[path]) for path in now)


def same(path, one, other):
    """A state file names itself in bytes 24 to 43."""
    if os.path.basename(path) == "state" and one and other:
        return one[:24] + one[44:] == other[:24] + other[44:]
    return one == other


def check_end(command, outcome, due):
    """An honest end: its own status and a message; 0 only with all that is to be printed."""
    if command.arguments[0] == "check" and outcome.status == 3:
        expect(outcome.printed or outcome.complaints, f"{command}: status 3 without a word")
        return
    fault_sweep.check_honest(command, outcome)
    expect(not outcome.done or steady(command, outcome.printed) == steady(command, due.printed),
           f"{command}: status 0, but it printed {outcome.printed[-200:]!r} and not {due.printed[-200:]!r}")


def transfer_points(directory, preloaded, options):
    def point(command, due, n, how):
        def run(place):
            outcome = place.attempt(command, preloaded.prefix(cut_transfer=f"{n}:{how}"))
            expect(outcome.done, f"{command}: status {outcome.status}: {outcome.complaints[-300:]}")
            for what, got, wanted in (("printed", outcome.printed, due.printed), ("said", outcome.complaints, due.complaints)):
                expect(steady(command, got) == steady(command, wanted),
                       f"{command}: it {what} {got[-200:]!r} and not {wanted[-200:]!r}")
            hit = preloaded.counts()["hits"]
            finish(place, command, outcome)
            return hit
        return Point(f"{command}, transfer {n} cut to {how}", run)
    points = []
    for command in chosen(options):
        due, counts = reference(directory, preloaded, command)
        points += [point(command, due, n, how) for n in range(1, counts["transfers"] + 1) for how in ("one", "half", "most")]
    return points


def allocation_points(directory, preloaded, options):
    def point(command, due, n, more):
        def run(place):
            outcome = place.attempt(command, preloaded.prefix(fail_allocation=f"{n}{more}"))
            hit = preloaded.counts()["hits"]
            check_end(command, outcome, due)
            if not untouched(place, command, outcome, Place.template):
                finish(place, command, outcome)
            return hit
        return Point(f"{command}, allocation {n}{more} fails", run)
    points = []
    for command in chosen(options):
        due, counts = reference(directory, preloaded, command)
        points += [point(command, due, n, more) for n in range(1, counts["allocations"] + 1) for more in ("", "+")]
    return points


# name: (row of the scorecard, what it is called there, its points)
SWEEPS = {"transfers": (5, "short transfers", transfer_points), "allocations": (8, "failed allocations", allocation_points)}


def sweep(name, directory, preloaded, options):
    """Whether it found nothing wrong."""
    row, title, points = SWEEPS[name]
    file, options.results = options.results, None
    run = Sweep(title, row, options, directory)
    run.go(points(directory, preloaded, options))
    options.results = file
    if file:
        again = f"tests/crash/preload_sweep.py {name} --seed {options.seed}"
        results.write(file, row, title, run.tried, len(run.violations), run.slowest, options.seed,
                      again + (f" --seconds {options.seconds:g}" if options.seconds else ""))
    return not run.violations


# ---- proof that it can fail

def self_test(directory, preloaded):
    """The library does what it says, and outcomes as a faulty leat might leave them are found."""
    missed = []

    def finds(name, check):
        try:
            check()
            missed.append(name)
            print(f"   {name}: NOT FOUND")
        except Wrong as wrong:
            print(f"   {name}: found: {str(wrong)[:110]}")

    produce, read = COMMANDS[6], READING[0]
    due, counts = reference(directory, preloaded, read)
    wrote, _ = reference(directory, preloaded, produce)
    for kind in ("allocations", "transfers"):
        if not counts[kind]:
            missed.append(kind)
            print(f"   no {kind} are counted: NOT FOUND")
    # dd tells how much one read moved: the library really cuts it.
    done = subprocess.run([*preloaded.prefix(cut_transfer="1:half"), "dd", "if=/dev/zero", "of=/dev/null", "bs=1000", "count=1"],
                          capture_output=True, text=True, check=False)
    if "500 bytes" not in done.stderr:
        missed.append("a short transfer")
        print(f"   a transfer is not cut: {done.stderr}")
    finds("a program that ends at a short read", lambda: check_end(read, Outcome(0, due.printed[:40], ""), due))
    finds("a crash for want of memory", lambda: check_end(read, Outcome(-6, "", "terminate called"), due))
    finds("our bug", lambda: check_end(read, Outcome(70, "", "leat: error: this is a bug in leat"), due))
    finds("an end without a message", lambda: check_end(read, Outcome(74, "", ""), due))
    finds("a listing that is empty for want of memory", lambda: check_end(READING[6], Outcome(0, "[]\n", ""), due))
    finds("receipts without records", lambda: finish(Place(os.path.join(directory, "place")), produce, wrote))
    place = Place(os.path.join(directory, "place"))
    if untouched(place, produce, wrote, Place.template) or not untouched(place, produce, Outcome(74, "", "x"), Place.template):
        missed.append("a changed file")
    print(f"self-test: {len(missed)} wrong outcomes not found")
    return not missed


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Fails each allocation and cuts each transfer of every command.")
    parser.add_argument("sweeps", nargs="*", metavar="SWEEP", help="of " + ", ".join(SWEEPS) + "; all by default")
    parser.add_argument("--seconds", type=float, help="for each sweep; without it, every point is tried")
    parser.add_argument("--only", help="the commands whose text holds this")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("LEAT_SEED", random.SystemRandom().randrange(10**6))))
    parser.add_argument("--show", type=int, default=5, help="violations of a sweep that are printed")
    parser.add_argument("--results", help="append a row for each sweep to this file")
    parser.add_argument("--self-test", action="store_true", help="show that wrong outcomes are found, and end")
    options = parser.parse_args(arguments)
    for name in options.sweeps:
        if name not in SWEEPS:
            parser.error(f"no sweep '{name}'")
    if why_not():
        print(why_not())
        return SKIPPED
    print(f"seed {options.seed}", flush=True)
    good = True
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="leat-preload-", dir=memory) as directory:
        preloaded = Preloaded(directory)
        if options.self_test:
            return 0 if self_test(directory, preloaded) else 1
        for name in options.sweeps or SWEEPS:
            good &= sweep(name, directory, preloaded, options)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
