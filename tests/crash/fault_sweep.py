#!/usr/bin/python3
"""Faults at every place of every command that writes: rows 1, 2, 5, 7 and 8 of the scorecard.

    tests/crash/fault_sweep.py [SWEEP...] [--seconds N] [--only WORD] [--seed N] [--results FILE] [--self-test]

    kill    SIGKILL at each system call that others could see, one run each
    serve   the same of `leat store serve`
    error   EIO, ENOSPC and EINTR at each I/O call, once and (EIO, ENOSPC) from then on
    torn    the active segment cut at each byte, with the page of then, an older one, and none
    limit   a file size limit at each byte (short writes, then EFBIG) in place of a full disk
    memory  ENOMEM at each mmap; address space limits from the least that leat starts with, and 64 MiB

After each the checks of writing_commands.py hold. A command that meets an error ends with 0 or with a message and a status of its
own: never by a signal, never with 70 ("our bug"), never after having acknowledged what is not so. With --seconds, each sweep takes
a seeded choice of its points and says how many of them.
"""

import argparse
import collections
import dataclasses
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

import disk_model
import results
from store_command import served
from writing_commands import COMMANDS, LINES, Outcome, Place, Wrong, expect, joined, shuffled

from processes import strace_works

SKIPPED = 77
# Calls that change nothing anyone else can see; the rest of a command's calls are the points of the kill sweep.
UNSEEN = set("""execve brk arch_prctl set_tid_address set_robust_list rseq prlimit64 readlinkat readlink getrandom mprotect
    rt_sigaction rt_sigprocmask sigaltstack uname munmap read pread64 newfstatat fstat statx lseek ioctl poll getpid gettid
    getcwd getdents64 exit_group exit clock_gettime sched_yield madvise sched_getaffinity geteuid getuid umask fstatfs dup
    fadvise64 membarrier access faccessat faccessat2 restart_syscall clock_nanosleep nanosleep epoll_wait ppoll sysinfo tgkill""".split())
# What is not I/O, or what the run-time library does before main.
NO_ERRORS = set("""execve brk arch_prctl set_tid_address set_robust_list rseq getrandom mprotect mmap munmap madvise rt_sigaction
    rt_sigprocmask sigaltstack exit_group exit futex clone clone3 getpid gettid geteuid getuid sched_yield sched_getaffinity
    restart_syscall clock_nanosleep nanosleep tgkill uname umask close membarrier prlimit64 readlink ioctl poll ppoll sysinfo""".split())
# Statuses of cli.md that say that something could not be done.
HONEST = {1, 65, 66, 69, 73, 74, 75, 77, 78}


@dataclasses.dataclass
class Point:
    """One fault of one command."""
    name: str
    run: object  # (place) -> None, or raises Wrong; returns whether the fault came about


class Sweep:
    def __init__(self, name, row, options, directory):
        self.name, self.row, self.options, self.directory = name, row, options, directory
        self.points = self.tried = self.hit = 0
        self.slowest, self.violations = 0.0, []

    def go(self, points):
        """Runs the points, all or as many as there is time for."""
        started = time.monotonic()
        self.points = len(points)
        for point in shuffled(points, self.options.seed) if self.options.seconds else points:
            if self.options.seconds and time.monotonic() - started > self.options.seconds:
                break
            place = Place(os.path.join(self.directory, "place"))
            self.tried += 1
            try:
                self.hit += bool(point.run(place))
            except Wrong as wrong:
                self.violations.append((point.name, str(wrong)))
                if len(self.violations) <= self.options.show:
                    print(f"{self.name}: {point.name}\n   {wrong}", flush=True)
            self.slowest = max(self.slowest, place.slowest)
        self.report(time.monotonic() - started)

    def report(self, seconds):
        kinds = collections.Counter(re.sub(r"\d+", "N", re.sub(r"/\S+/place/", "", text))[:160] for _, text in self.violations)
        for kind, count in kinds.most_common(12):
            print(f"   {count} times: {kind}")
        print(f"{self.name}: {self.tried:,} of {self.points:,} points, {self.hit:,} faults came about, {len(self.violations)} violations, "
              f"slowest command after it {self.slowest * 1000:.0f} ms, {seconds:.0f} s", flush=True)
        if not self.hit and not self.violations:
            self.violations.append(("the sweep", "no fault came about"))
            print(f"{self.name}: not one fault came about: this shows nothing")
        if self.options.results:
            again = f"tests/crash/fault_sweep.py {self.name} --seed {self.options.seed}"
            results.write(self.options.results, self.row, self.name, self.tried, len(self.violations), self.slowest, self.options.seed,
                          again + (f" --seconds {self.options.seconds:g}" if self.options.seconds else ""))


def on_file(place, file):
    """What restricts strace to the calls on a file, by whichever name."""
    return ["-P", os.path.join(place.directory, file), "-P", os.path.basename(file)] if file else []


def calls(directory, command, file=None):
    """{system call: how many times the command makes it}, or makes it on a file."""
    place = Place(os.path.join(directory, "counted"))
    log = os.path.join(directory, "calls")
    place.attempt(command, ["strace", "-f", "-qq", "-o", log, *on_file(place, file)])
    counts = collections.Counter()
    with open(log, encoding="utf-8", errors="replace") as file:
        for line in file:
            if match := re.match(r"\d+ +(\w+)\(", line):
                counts[match[1]] += 1
    return counts


def injected(place, command, injections, file=None):
    """The outcome of the command with those faults, and whether strace has injected any."""
    log = place.directory + ".log"
    prefix = ["strace", "-f", "-qq", "-o", log, *on_file(place, file), *(part for i in injections for part in ("-e", f"inject={i}"))]
    outcome = place.attempt(command, prefix)
    with open(log, encoding="utf-8", errors="replace") as file:
        return outcome, "(INJECTED)" in file.read()


def check_honest(command, outcome, mute=False):
    """mute: what fails is writing, so that there need be no message."""
    status, said = outcome.status, outcome.complaints[-300:]
    expect(0 <= status < 128, f"{command}: ended by signal {-status if status < 0 else status - 128}: {said}")
    if status:
        expect(status in HONEST, f"{command}: status {status}: {said}")
        expect(mute or "leat: error:" in said, f"{command}: status {status} without a message: {said!r}")


def kill_points(directory, options, commands=COMMANDS):
    def point(command, file, call, n):
        def run(place):
            outcome, _ = injected(place, command, [f"{call}:signal=KILL:when={n}"], file)
            finish(place, command, outcome)
            return outcome.status in (-9, 137)
        return Point(f"{command}, killed at {call} number {n}" + (f" of {file}" if file else ""), run)
    return [point(command, file, call, n) for command in chosen(options, commands)
            for file in (None, *command.watched)
            for call, times in sorted(calls(directory, command, file).items())
            if call not in UNSEEN | command.unseen for n in range(1, times + 1)]


def serve_points(directory, options):
    return kill_points(directory, options, served())


def finish(place, command, outcome):
    command.after(place, outcome)
    place.check_rest()


def error_points(directory, options, kinds=("EIO", "ENOSPC", "EINTR", "EIO+", "ENOSPC+")):
    def point(command, call, n, kind):
        def run(place):
            outcome, hit = injected(place, command, [f"{call}:error={kind.rstrip('+')}:when={n}{'+' if kind.endswith('+') else ''}"])
            check_honest(command, outcome, mute=call == "write")
            finish(place, command, outcome)
            return hit
        return Point(f"{command}, {kind} at {call} number {n}", run)
    return [point(command, call, n, kind) for command in chosen(options) for call, times in sorted(calls(directory, command).items())
            if call not in NO_ERRORS for n in range(1, times + 1) for kind in kinds]


def limit_points(directory, options):
    """A file size limit: the write that crosses it is short, the next one fails."""
    command = next(c for c in COMMANDS if c.arguments[:2] == ["produce", "old"] and "--producer-id" not in c.arguments)

    def point(limit):
        def run(place):
            outcome = place.attempt(command, ["prlimit", f"--fsize={limit}", "--"])
            check_honest(command, outcome)
            finish(place, command, outcome)
            return not outcome.done
        return Point(f"{command}, file size limit {limit}", run)
    place = Place(os.path.join(directory, "counted"))
    log = os.path.join(place.directory, "data/topics/old/0/00000000000000000000.log")
    before = os.path.getsize(log)
    place.attempt(command)
    return [point(limit) for limit in range(before - 3, os.path.getsize(log) + 3)]


def memory_points(directory, options):
    """The kernel refuses memory: one call of mmap, or all beyond a limit, from where a command that does nothing can just begin."""
    def refused(command, n, more):
        def run(place):
            outcome, hit = injected(place, command, [f"mmap:error=ENOMEM:when={n}{more}"])
            check_honest(command, outcome)
            finish(place, command, outcome)
            return hit
        return Point(f"{command}, ENOMEM at mmap number {n}{more}", run)

    def limited(command, limit):
        def run(place):
            outcome = place.attempt(command, ["prlimit", f"--as={limit}", "--"])
            check_honest(command, outcome)
            expect(outcome.done or limit < 64 << 20, f"{command}: status {outcome.status} with 64 MiB: {outcome.complaints}")
            finish(place, command, outcome)
            return not outcome.done
        return Point(f"{command}, address space of {limit >> 10} KiB", run)
    place = Place(os.path.join(directory, "counted"))
    low, high = 1 << 20, 64 << 20
    while high - low > 4096:
        middle = (low + high) // 2 // 4096 * 4096
        if place.run("version", prefix=["prlimit", f"--as={middle}", "--"]).done:
            high = middle
        else:
            low = middle
    return [refused(command, n, more) for command in chosen(options) for n in range(1, calls(directory, command)["mmap"] + 1)
            for more in ("", "+")] + [
        limited(command, limit) for command in chosen(options) for limit in [*range(high, high + (1 << 20), 16384), 64 << 20]]


def torn_points(directory, options):
    """The log of `old` with five batches behind the twenty lines, cut at each byte of these."""
    place = Place(os.path.join(directory, "torn"))
    log, state = (os.path.join("data/topics/old", name) for name in ("0/00000000000000000000.log", "state"))
    before = disk_model.Disk()
    before.load(place.directory)
    older = before.state({})[state]
    ends = {os.path.getsize(os.path.join(place.directory, log)): 20}  # position -> records before it
    count = 20
    for size in (1, 3, 2, 6, 1):
        place.leat("produce", "old", given=joined(LINES[count:count + size]))
        count += size
        ends[os.path.getsize(os.path.join(place.directory, log))] = count
    after = disk_model.Disk()
    after.load(place.directory)
    whole = after.state({})

    def point(cut, page):
        def run(torn):
            tree = {**whole, log: whole[log][:cut], state: whole[state] if page == "its page" else older}
            if page == "no page":
                del tree[state]
            shutil.rmtree(torn.directory, ignore_errors=True)
            disk_model.build(tree, torn.directory)
            due = max(records for position, records in ends.items() if position <= cut)
            lost = page == "its page" and cut < len(whole[log])
            shown = torn.run("consume", "old", "-Bd")
            expect(shown.printed == joined(LINES[:due]), f"{len(shown.printed.splitlines())} records are read, {due} are whole")
            expect(shown.status == (76 if lost else 0), f"reading: status {shown.status}: {shown.complaints}")
            made = torn.run("produce", "old", "-O", "text", given="next\n")
            expect(made.status == (76 if lost else 0), f"writing: status {made.status}: {made.complaints}")
            if not lost:
                expect(made.printed == f"old 0 {due}\n", f"the next record went to {made.printed!r}")
                expect(torn.values("old") == LINES[:due] + ["next"], "the next record is not behind the others")
                tail = whole[log][max(position for position in ends if position <= cut):cut]
                folder = os.path.join(torn.directory, "data/topics/old/0/cut")
                if tail.strip(b"\0"):  # zeros are not kept
                    expect(os.path.isdir(folder) and len(os.listdir(folder)) == 1, "the torn bytes are not kept")
                    with open(os.path.join(folder, os.listdir(folder)[0]), "rb") as file:
                        expect(file.read() == tail, "what is kept is not what was torn")
                    expect("cut" in made.complaints, f"the torn bytes went without a word: {made.complaints}")
            return True
        return Point(f"old cut at byte {cut}, with {page}", run)
    return [point(cut, page) for cut in range(min(ends), len(whole[log]) + 1) for page in ("its page", "an older page", "no page")]


# name: (row of the scorecard, its points)
SWEEPS = {"kill": (1, kill_points), "serve": (1, serve_points), "torn": (2, torn_points), "error": (5, error_points),
          "limit": (7, limit_points), "memory": (8, memory_points)}


def chosen(options, commands=COMMANDS):
    return [command for command in commands if not options.only or options.only in str(command)]


# ---- proof that it can fail

def self_test(directory, options):
    """Outcomes as a faulty leat might leave them, each of which has to be found."""
    missed = []

    def finds(name, command, spoil, outcome=None):
        place = Place(os.path.join(directory, "place"))
        happened = place.attempt(command)
        outcome = outcome or happened
        spoil(place)
        try:
            check_honest(command, outcome)
            finish(place, command, outcome)
            missed.append(name)
            print(f"   {name}: NOT FOUND")
        except Wrong as wrong:
            print(f"   {name}: found: {str(wrong)[:110]}")

    words = ("create", "delete old", "add-partition", "set old", "trim big", "produce old", "--producer-id", "produce latest",
             "consume old", "seek", "consumer delete", "repair big")
    by_word = {word: next(c for c in COMMANDS if word in str(c)) for word in words}

    def nothing(place):
        pass

    def as_before(place, command=None):
        shutil.rmtree(place.directory)
        disk_model.build(Place.template, place.directory)
        if command:
            command.prepare(place)

    def file_of(place, name):
        return os.path.join(place.directory, "data/topics", name)

    def shorter(place):
        log = file_of(place, "old/0/00000000000000000000.log")
        os.truncate(log, os.path.getsize(log) - 1)

    def flipped(place):
        with open(file_of(place, "keep/0/00000000000000000000.log"), "r+b") as file:
            file.seek(80)
            file.write(b"\xff")

    for word, command in by_word.items():
        if word != "produce latest":
            finds(f"{command} says 0 and has done nothing", command, lambda place, command=command: as_before(place, command))
    finds("a receipt for what is not there", by_word["produce old"], as_before, Outcome(74, "old 0 20\n", "leat: error: x"))
    finds("a compacted key that is gone", by_word["produce latest"], as_before, Outcome(74, "latest 0 5\n", "leat: error: x"))
    finds("a log cut behind its receipts", by_word["produce old"], shorter)
    finds("a topic beside it damaged", by_word["create"], flipped)
    for store in served():
        finds("a store that shows what its changelog does not hold", store, lambda place: as_before(place, store))
        finds("a store that has lost its changelog's last records", store,
              lambda place: place.leat("topic", "trim", "s-changelog", "--keep", "3", "--yes"))
    finds("a command that crashes", by_word["create"], nothing, Outcome(-6, "", "terminate called"))
    finds("a command that calls it our bug", by_word["create"], nothing, Outcome(70, "", "leat: error: x"))
    finds("an error without a word", by_word["create"], nothing, Outcome(74, "", ""))
    print(f"self-test: {len(missed)} wrong outcomes not found")
    return not missed


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Injects faults at every place of every command that writes.")
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
    if not strace_works():
        print("strace does not work here")
        return SKIPPED
    print(f"seed {options.seed}", flush=True)
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    good = True
    with tempfile.TemporaryDirectory(prefix="leat-faults-", dir=place) as directory:
        if options.self_test:
            return 0 if self_test(directory, options) else 1
        for name in options.sweeps or SWEEPS:
            if name == "serve" and not served():
                print("serve: not tried: this build cannot")
                continue
            row, points = SWEEPS[name]
            sweep = Sweep(name, row, options, directory)
            sweep.go(points(directory, options))
            good &= not sweep.violations
    if "memory" in (options.sweeps or SWEEPS):
        print("not tried: fiu-run, which preloads a library, and leat is linked statically; ENOMEM from the kernel stands for failed "
              "allocations, the file size limit for short writes")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
