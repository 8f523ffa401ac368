"""Producing and consuming while something happens to the cluster, and what must hold of it afterwards.

Record number i is the i-th that was given to `leat produce`, and its receipt is the i-th line that came back: so it is known of each
whether it was acknowledged, and where it must be.
"""

import collections
import contextlib
import json
import os
import signal
import subprocess
import threading
import time

LEAT = os.environ.get("LEAT", "leat")
KEYS = 40
# A cluster that is away must be outlasted.
PATIENCE = "90s"


class Wrong(Exception):
    """What must hold does not."""


def leat(*arguments, status=0, stdin=b"", timeout=120):
    """Runs leat to its end; another status than the one expected is wrong. Returns output, errors and seconds."""
    began = time.monotonic()
    done = subprocess.run([LEAT, *arguments], input=stdin, capture_output=True, timeout=timeout)
    if done.returncode != status:
        raise Wrong(f"leat {' '.join(arguments)}: status {done.returncode}, expected {status}: {done.stderr.decode()}")
    return done.stdout.decode(), done.stderr.decode(), time.monotonic() - began


class Producer:
    """`leat produce`, fed with numbered records by a thread; another one takes down the receipts."""

    def __init__(self, url, topic, rate=400):
        self.errors = open(f"producer-{topic}.errors", "w+b")
        self.process = subprocess.Popen(
            [LEAT, "-D", url, "--lock-timeout", PATIENCE, "produce", topic, "--key-separator", ":", "-O", "json"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        self.sent, self.receipts, self.stopping = 0, [], False
        self.threads = [threading.Thread(target=self.feed, args=(rate,)), threading.Thread(target=self.note)]
        for thread in self.threads:
            thread.start()

    def feed(self, rate):
        with contextlib.suppress(BrokenPipeError):
            while not self.stopping:
                lines = "".join(f"key{i % KEYS}:{i}\n" for i in range(self.sent, self.sent + rate // 20))
                self.process.stdin.write(lines.encode())
                self.process.stdin.flush()
                self.sent += rate // 20
                time.sleep(0.05)

    def note(self):
        for line in self.process.stdout:
            if line.endswith(b"\n"):
                receipt = json.loads(line)
                self.receipts.append((receipt["partition"], receipt["offset"]))

    def wait_for_receipts(self, more, seconds=90):
        wanted = len(self.receipts) + more
        deadline = time.monotonic() + seconds
        while len(self.receipts) < wanted:
            if self.process.poll() is not None:
                raise Wrong(f"the producer has ended with {self.process.returncode}: {self.complaint()}")
            if time.monotonic() > deadline:
                raise Wrong(f"no {more} receipts within {seconds} s")
            time.sleep(0.02)

    def complaint(self):
        self.errors.seek(0)
        return self.errors.read().decode()

    def end(self, status=0):
        """At the end of its input everything is acknowledged, or the status says that it is not."""
        self.stopping = True
        self.threads[0].join()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        found = self.process.wait(120)
        self.threads[1].join()
        if found != status:
            raise Wrong(f"the producer ends with {found}, expected {status}: {self.complaint()}")
        if not status and len(self.receipts) != self.sent:
            raise Wrong(f"{self.sent} records, {len(self.receipts)} receipts, and status 0")
        self.errors.close()


class Member:
    """`leat consume -c` in the background; what it prints goes to a file."""

    def __init__(self, url, topic, group, number, *flags):
        self.path, self.errors = f"member-{topic}-{number}", f"member-{topic}-{number}.errors"
        with open(self.path, "wb") as output, open(self.errors, "wb") as errors:
            self.process = subprocess.Popen(
                [LEAT, "-D", url, "--lock-timeout", PATIENCE, "consume", topic, "-B", "-c", group, "--offset-flush", "300ms", "-F",
                 "{{partition}} {{offset}} {{value}}", *flags], stdout=output, stderr=errors)

    def records(self):
        """(partition, offset, number) in the order of printing; a line that a SIGKILL has cut is left out."""
        with open(self.path, encoding="ascii") as file:
            return [tuple(map(int, line.split())) for line in file if line.endswith("\n")]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        self.process.terminate()
        status = self.process.wait(120)
        if status != -signal.SIGTERM:
            with open(self.errors, encoding="utf-8") as file:
                raise Wrong(f"{self.path} ends with {status} and not by SIGTERM: {file.read()}")


def read_all(url, topic):
    """{(partition, offset): number} of everything in the topic, in the order in which it was read."""
    text, _, _ = leat("-D", url, "--lock-timeout", PATIENCE, "consume", topic, "-Bd", "-F", "{{partition}} {{offset}} {{value}}")
    rows = [tuple(map(int, line.split())) for line in text.splitlines()]
    return {(partition, offset): number for partition, offset, number in rows}


def check_log(producer, log):
    """Nothing acknowledged is lost or elsewhere, nothing is there twice, and each partition has the order of the input."""
    for number, place in enumerate(producer.receipts):
        if log.get(place) != number:
            raise Wrong(f"record {number} was acknowledged at {place}, where {log.get(place)} is")
    twice = [number for number, count in collections.Counter(log.values()).items() if count > 1]
    if twice:
        raise Wrong(f"{len(twice)} records are there twice, as {sorted(twice)[:5]}")
    last = {}
    for (partition, offset), number in sorted(log.items()):
        if number <= last.get(partition, -1):
            raise Wrong(f"partition {partition} has record {number} at {offset}, behind {last[partition]}")
        last[partition] = number


def check_group(members, log):
    """Every record was printed by some member, each as it is in the log. Returns how many were printed more than once."""
    printed = collections.Counter()
    for member in members:
        for partition, offset, number in member.records():
            if log.get((partition, offset)) != number:
                raise Wrong(f"{member.path} printed {number} for {partition} {offset}, where {log.get((partition, offset))} is")
            printed[partition, offset] += 1
    missed = sorted(set(log) - set(printed))
    if missed:
        raise Wrong(f"{len(missed)} of {len(log)} records were printed by nobody, as {missed[:5]}")
    return sum(printed.values()) - len(printed)


def wait_for_group(url, group, log, seconds=120):
    """Until the group has committed everything in the log."""
    deadline = time.monotonic() + seconds
    while True:
        text, _, _ = leat("-D", url, "--lock-timeout", PATIENCE, "consumer", "list", "--lag", "-O", "json")
        rows = [row for row in json.loads(text) if row["consumer"] == group]
        if len(rows) == len({partition for partition, _ in log}) and all(row["lag"] == 0 for row in rows):
            return
        if time.monotonic() > deadline:
            raise Wrong(f"the group has not caught up within {seconds} s: {rows}")
        time.sleep(0.2)
