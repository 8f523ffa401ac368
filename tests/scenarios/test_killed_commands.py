#!/usr/bin/python3
"""Every command that writes is killed at each of its system calls in turn; afterwards the next commands work.

A topic beside it keeps its records whatever happens, what the killed command was working on is either as before or as after
it, a producer's receipts hold, and nothing that was left half made stands in the way.
"""

import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys

from processes import LEAT, SLOW, fail

# Calls that change nothing anyone else can see; the rest of a command's calls are its points.
HARMLESS = set("""execve brk arch_prctl set_tid_address set_robust_list rseq prlimit64 readlinkat readlink getrandom mprotect
    rt_sigaction rt_sigprocmask sigaltstack uname munmap read pread64 newfstatat fstat statx lseek ioctl poll getpid gettid
    getcwd getdents64 exit_group exit clock_gettime sched_yield madvise sched_getaffinity geteuid getuid umask fstatfs dup
    fadvise64 access faccessat faccessat2 restart_syscall clock_nanosleep nanosleep epoll_wait ppoll sysinfo tgkill""".split())
LINES = [f"line {n}" for n in range(40)]


class Place:
    """A data directory with topics `keep` and `old`, and consumer c0 of `old` at offset 5."""

    def __init__(self, name):
        self.directory = os.path.abspath(name)
        shutil.rmtree(self.directory, ignore_errors=True)
        self.environment = {**os.environ, "LEAT_DATA_DIR": self.directory}
        for topic in ("keep", "old"):
            self.leat("topic", "create", topic)
            self.leat("produce", topic, input="\n".join(LINES[:20]) + "\n")
        self.leat("consume", "old", "-c", "c0", "-B", "-n", "5")

    def run(self, *arguments, prefix=(), **options):
        return subprocess.run([*prefix, LEAT, *arguments], env=self.environment, capture_output=True, text=True, **options)

    def leat(self, *arguments, **options):
        options.setdefault("input", "")
        done = self.run(*arguments, timeout=30, **options)
        if done.returncode:
            raise AssertionError(f"leat {' '.join(arguments)}: status {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def values(self, topic):
        return self.leat("consume", topic, "-Bd").splitlines()

    def names(self):
        return self.leat("topic", "list", "--names").splitlines()


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def after_create(place, _):
    if "new" not in place.names():
        place.leat("topic", "create", "new", "-p", "2")
    place.leat("produce", "new", "-p", "1", input="first\n")
    expect(place.values("new") == ["first"], "the new topic does not hold what was produced into it")


def after_delete(place, _):
    if "old" in place.names():
        expect(place.values("old") == LINES[:20], "the topic is there, its records are not")
        place.leat("topic", "delete", "old")
    expect("old" not in place.names(), "the topic is still there")
    place.leat("topic", "create", "old")
    expect(place.values("old") == [], "a new topic of that name has old records")
    expect(place.leat("consumer", "list", "-O", "json").strip() == "[]", "a deleted topic's consumer is listed")


def after_add_partition(place, _):
    count = len(json.loads(place.leat("partition", "list", "old", "-O", "json")))
    expect(count in (1, 3), f"{count} partitions")
    place.leat("produce", "old", "-p", str(count - 1), input="more\n")
    expect(sorted(place.values("old")) == sorted(LINES[:20] + ["more"]), "records are missing")


def after_set(place, _):
    # The limit is in force or not; both are whole.
    expect(place.values("old") in (LINES[:20], LINES[15:20]), "neither all records nor the last five")
    place.leat("topic", "set", "old", "retention-records=5")
    expect(place.values("old") == LINES[15:20], "the limit is not in force")


def after_trim(place, _):
    expect(place.values("old") in (LINES[:20], LINES[17:20]), "neither all records nor the last three")
    place.leat("topic", "trim", "old", "--keep", "3", "--yes")
    expect(place.values("old") == LINES[17:20], "not trimmed")


def after_produce(place, printed):
    before = place.values("old")
    receipt = place.leat("produce", "old", "-O", "text", input="next\n")
    values = place.values("old")
    expect(receipt == f"old 0 {len(values) - 1}\n", f"the next record went to {receipt}, {len(values)} are there")
    # What was not acknowledged may have come to light with the next producer, but nothing has gone.
    expect(values[: len(before)] == before, "a record that was read has gone")
    sent_before = values[20:-1]
    expect(values == LINES[:20] + LINES[: len(sent_before)] + ["next"], "what is there is not a beginning of what was sent")
    for number, line in enumerate(printed.split("\n")[:-1]):
        expect(line == f"old 0 {20 + number}", f"record {number} was acknowledged as {line}")
        expect(number < len(sent_before), f"record {number} was acknowledged, it is not there")


def after_consume(place, printed):
    listed = json.loads(place.leat("consumer", "list", "-O", "json"))
    expect([c["offset"] for c in listed] in ([4], [19]), f"committed is {listed}")
    seen = printed.splitlines()
    left = place.leat("consume", "old", "-c", "c0", "-d").splitlines()
    expect(left in (LINES[5:20], []) and (left or seen == LINES[5:20]), "records were skipped")


def after_consumer_delete(place, _):
    if json.loads(place.leat("consumer", "list", "-O", "json")):
        place.leat("consumer", "delete", "c0")
    expect(len(place.leat("consume", "old", "-c", "c0", "-Bd").splitlines()) == 20, "the consumer is not gone")


COMMANDS = [
    (["topic", "create", "new", "-p", "2"], after_create),
    (["topic", "delete", "old"], after_delete),
    (["topic", "add-partition", "old", "-c", "2"], after_add_partition),
    (["topic", "set", "old", "retention-records=5"], after_set),
    (["topic", "trim", "old", "--keep", "3", "--yes"], after_trim),
    (["produce", "old", "-O", "text", "--batch-size", "50"], after_produce),
    (["consume", "old", "-c", "c0", "-d"], after_consume),
    (["consumer", "delete", "c0"], after_consumer_delete),
]


def points(place, command):
    """[(system call, how many times)] that the command makes."""
    place.run(*command, prefix=["strace", "-f", "-qq", "-o", "calls-" + os.path.basename(place.directory)], input=sent(command))
    counts = {}
    with open("calls-" + os.path.basename(place.directory), encoding="utf-8", errors="replace") as file:
        for line in file:
            match = re.match(r"\d+ +(\w+)\(", line)
            if match and match[1] not in HARMLESS:
                counts[match[1]] = counts.get(match[1], 0) + 1
    return sorted(counts.items())


def sent(command):
    return "\n".join(LINES) + "\n" if command[0] == "produce" else ""


def sweep(number):
    command, check = COMMANDS[number]
    place = Place(f"place-{number}")
    killed = 0
    for call, times in points(place, command):
        for n in range(1, min(times, 1 if SLOW else 60) + 1):
            place = Place(f"place-{number}")
            inject = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={call}:signal=KILL:when={n}"]
            done = place.run(*command, prefix=inject, input=sent(command), timeout=60)
            killed += done.returncode in (-9, 137)
            try:
                check(place, done.stdout)
                expect(place.values("keep") == LINES[:20], "the topic beside it has lost records")
                place.leat("produce", "keep", input="next\n")
            except AssertionError as error:
                raise AssertionError(f"leat {' '.join(command)}, killed at {call} number {n}: {error}") from None
    return f"leat {' '.join(command)}: {killed} kills"


if not shutil.which("strace") or subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode:
    print("strace does not work here")
    sys.exit(77)
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    for result in [pool.submit(sweep, number) for number in range(len(COMMANDS))]:
        try:
            print(result.result(), flush=True)
        except AssertionError as error:
            fail(str(error))
