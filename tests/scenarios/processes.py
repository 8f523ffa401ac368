"""Helpers of the scenarios that run many processes at once."""

import collections
import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LEAT = os.environ.get("LEAT", os.path.join(ROOT, "build", "leat"))
# Sanitized binaries are many times slower; the same scenarios run with fewer records.
SLOW = bool(os.environ.get("LEAT_SANITIZER"))

# Whoever runs this in the background may have SIGINT ignored, and what is ignored at the start stays so in leat.
signal.signal(signal.SIGINT, signal.default_int_handler)


def seeded(default=None):
    """A random generator whose seed is printed, and may be given as LEAT_SEED to run the same again."""
    seed = int(os.environ.get("LEAT_SEED", default if default is not None else random.SystemRandom().randrange(10**6)))
    print(f"seed {seed}", flush=True)
    return random.Random(seed)


def leat(*arguments, **options):
    """Runs leat to its end and returns its standard output; anything but status 0 ends the scenario."""
    options.setdefault("stdout", subprocess.PIPE)
    done = subprocess.run([LEAT, *arguments], **options)
    if done.returncode:
        sys.exit(f"leat {' '.join(arguments)}: status {done.returncode}")
    return done.stdout


def fail(message):
    sys.exit(message)


@contextlib.contextmanager
def workplace():
    """Where run.py has not given a program directories of its own, makes some; at the end nothing of them is left, nor running."""
    if "LEAT_BUILD" in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="leat-", ignore_cleanup_errors=True) as directory:
        os.chdir(directory)
        os.environ["LEAT_DATA_DIR"] = os.path.join(directory, "data")
        try:
            yield
        finally:
            for child in children():
                os.kill(child, signal.SIGKILL)
            os.chdir(ROOT)


def strace_works():
    if os.environ.get("LEAT_SANITIZER") == "asan":
        return False  # its search for leaks does not work under ptrace
    return bool(shutil.which("strace")) and not subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode


def children():
    """The processes that any thread of this one has started and not yet waited for."""
    found = []
    for thread in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{thread}/children", encoding="ascii") as file:
            found += map(int, file.read().split())
    return found


class Follower:
    """`leat consume` in the background; what it prints goes to a file of `partition offset value` lines."""

    def __init__(self, topic, path, *flags):
        self.path = path
        with open(path, "wb") as output:
            self.process = subprocess.Popen(
                [LEAT, "consume", topic, "-B", "-F", "{{partition}} {{offset}} {{value}}", *flags], stdout=output)

    def count(self):
        with open(self.path, "rb") as file:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))

    def wait_for(self, records, seconds):
        deadline = time.monotonic() + seconds
        while self.count() < records:
            if time.monotonic() > deadline:
                fail(f"{self.path}: {self.count()} of {records} records after {seconds} s; the follower waits for ever")
            if self.process.poll() is not None:
                fail(f"{self.path}: the follower ended with {self.process.returncode}")
            time.sleep(0.02)

    def end(self, seconds=20):
        """Asks it to end and waits for that."""
        self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            fail(f"{self.path}: the follower does not end on SIGTERM")

    def records(self):
        with open(self.path, encoding="ascii") as file:
            return parse_records(file)


def parse_records(lines):
    """[(partition, offset, value)] of the lines a Follower writes; a torn one ends the scenario."""
    found = []
    for line in lines:
        match = re.fullmatch(r"(\d+) (\d+) (.*)\n", line)
        if not match:
            fail(f"not a whole record: {line!r}")
        found.append((int(match[1]), int(match[2]), match[3]))
    return found


def check_dense(records, who):
    """Every partition's offsets run from 0 without a gap, in the order they were read."""
    following = collections.Counter()
    for partition, offset, value in records:
        if offset != following[partition]:
            fail(f"{who}: partition {partition} has offset {offset} ({value}) where {following[partition]} was due")
        following[partition] += 1
    return following
