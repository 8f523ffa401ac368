"""Helpers of the tests of `leat process`: pipelines that are started, asked, killed."""

import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "store"))
from servers import BUILD, LEAT, SKIPPED, SLOW, check, check_in, finish  # noqa: E402, F401

PATIENCE = 240 if SLOW else 60


def need_leat_net():
    """Ends the test, visibly skipped, where this build has no program that runs pipelines."""
    if not os.access(os.path.join(BUILD, "leat-net"), os.X_OK):
        print("leat-net is not built: librdkafka-dev is missing")
        sys.exit(SKIPPED)


def leat(*arguments, stdin=b"", place=None, status=0):
    """The output of a command that must end with `status`."""
    where = ["-D", place] if place else []
    done = subprocess.run([LEAT, *where, *arguments], input=stdin, capture_output=True, timeout=PATIENCE)
    if done.returncode != status:
        sys.exit(f"{' '.join(arguments)} ended with {done.returncode}, not {status}: {done.stderr.decode()}")
    return done.stdout


def write_pipeline(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def records_of(topic, place=None):
    """Every record of a topic, as consume -O jsonl has it."""
    return [json.loads(line) for line in leat("consume", topic, "-Bd", "-O", "jsonl", place=place).splitlines()]


def committed(group, place=None):
    """{partition: next offset to read} of a group with one topic."""
    shown = leat("consumer", "list", "-O", "json", place=place)
    return {row["partition"]: row["offset"] + 1 for row in json.loads(shown)
            if row["consumer"] == group and row["offset"] is not None}


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"waited too long for {what}")
        time.sleep(0.01)


class Member:
    """A running `leat process`."""

    def __init__(self, path, *flags, place=None, stdout=subprocess.DEVNULL):
        where = ["-D", place] if place else []
        self.errors = open(f"{path}.{time.monotonic_ns()}.errors", "w+b")
        # In the session of the test, which ends with it.
        self.process = subprocess.Popen([LEAT, *where, "process", path, *flags], stdin=subprocess.DEVNULL, stdout=stdout,
                                        stderr=self.errors)

    def running(self):
        return self.process.poll() is None

    def said(self):
        self.errors.seek(0)
        return self.errors.read().decode("utf-8", "backslashreplace")

    def kill(self):
        # Its programs are in groups of their own and end with their input.
        self.process.kill()
        self.process.wait()

    def stop(self, number=signal.SIGTERM):
        """Ends it in order; its status."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self):
        try:
            return self.process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            sys.exit(f"a pipeline did not end: {self.said()}")
