#!/usr/bin/python3
"""Readers that are slow, or stopped for a while, under retention and trimming: row 16 of the scorecard.

    slow_reader.py [--seconds N] [--seed N] [--results FILE] [--self-test]

The value of each record follows from its offset, so that every line a reader writes is checked as it comes: a whole record as
it was written, at its own offset, offsets only rise. Where some are left out, the reader has said which, in a warning
that names them exactly; they are gone from the log indeed; and in the end each reader has come to the log's end.
"""

import argparse
import collections
import contextlib
import fcntl
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "scenarios"))
import processes  # noqa: E402
import results  # noqa: E402
from processes import LEAT, leat  # noqa: E402

ROUND_SECONDS = 4
PATIENCE = 90 if processes.SLOW else 30
SHOWN = 20
PIPE_BYTES = 4096
NOTICE = re.compile(r'leat: warning: topic "\S+" partition 0: offsets (\d+) to (\d+) have been trimmed away; '
                    r"reading goes on at (\d+)")
AT_START = re.compile(r'leat: warning: topic "\S+" partition 0: offset (\d+) has been trimmed away, the log starts at (\d+)')
LETTERS = "abcdefghijklmnopqrstuvwxyz" * 14

# What removes records: settings of the topic, and whether `topic trim` runs all the time.
WAYS = {
    "retention-records": (["--retention-records", "1500"], False),
    "retention-bytes": (["--retention-bytes", "200KiB"], False),
    "trim": ([], True),
    "records and trim": (["--retention-records", "4000"], True),
}


def value_of(offset):
    return f"{offset * 2654435761 % 2**32:08x}" + LETTERS[offset % 26:offset % 26 + offset * 37 % 300]


class Lines:
    """What a reader has written so far, checked as it comes; only the gaps are kept."""

    def __init__(self):
        self.rest, self.first, self.last, self.count = b"", None, None, 0
        self.gaps = []  # [(first left out, next read)]
        self.found = []

    def add(self, piece):
        *lines, self.rest = (self.rest + piece).split(b"\n")
        for line in lines:
            self.line(line)

    def line(self, line):
        match = re.fullmatch(rb"(\d+) (.*)", line)
        offset = int(match[1]) if match else -1
        if not match or match[2] != value_of(offset).encode():
            self.found.append(("garbage", f"{line[:80]!r} behind offset {self.last}"))
            return
        if self.last is not None and offset <= self.last:
            self.found.append(("back", f"{offset} behind {self.last}"))
        elif self.last is not None and offset != self.last + 1:
            self.gaps.append((self.last + 1, offset))
        self.first = offset if self.first is None else self.first
        self.last = offset
        self.count += 1

    def violations(self, said, log_start, partial=False):
        """With what it said on stderr, and the first offset there is now."""
        yield from self.found
        if self.rest and not partial:
            yield "garbage", f"the last line is {self.rest[:80]!r}"
        notices = []
        for line in said.splitlines():
            if match := NOTICE.fullmatch(line):
                first, last, following = map(int, match.groups())
                if following != last + 1:
                    yield "notice", f"reading does not go on behind what is gone: {line}"
                notices.append((first, following))
            elif not AT_START.fullmatch(line):
                yield "notice", f"it said {line!r}"
        # Of each gap every offset is named, and none that was read.
        named = collections.deque(merged(n for n in notices if self.first is not None and self.first < n[1] <= (self.last or 0)))
        for gap in self.gaps:
            if not named or named.popleft() != gap:
                yield "silent", f"the offsets {gap[0]} to {gap[1] - 1} are left out, and the notices are {notices[:10]}"
            if gap[1] > log_start:
                yield "skipped", f"the offsets {gap[0]} to {gap[1] - 1} are left out, and the log starts at {log_start}"
        if named:
            yield "notice", f"said to be gone, and read: {list(named)[:5]}"


def merged(ranges):
    """Adjacent ones made one."""
    whole = []
    for first, end in ranges:
        if whole and whole[-1][1] == first:
            whole[-1] = (whole[-1][0], end)
        else:
            whole.append((first, end))
    return whole


class Reader(threading.Thread):
    """Reads a `leat consume` through a small pipe, a little at a time, with pauses."""

    def __init__(self, name, arguments, generator):
        super().__init__(daemon=True)
        self.name, self.generator, self.lines = name, generator, Lines()
        self.asked, self.hurry, self.stops = False, False, 0
        self.pipe, output = os.pipe()
        fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        with open(f"{name}.err", "wb") as errors:
            self.process = subprocess.Popen([LEAT, "consume", *arguments, "-F", "{{offset}} {{value}}"], stdout=output,
                                            stderr=errors)
        os.close(output)
        self.start()

    def run(self):
        while piece := os.read(self.pipe, 1 << 16 if self.hurry else self.generator.choice([1, 100, 4096])):
            self.lines.add(piece)
            if not self.hurry and self.generator.random() < 0.05:
                self.pause()

    def pause(self):
        length = self.generator.choice([0.001, 0.02, 0.02, 0.3])
        if self.generator.random() < 0.5:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGSTOP)
                self.stops += 1
            time.sleep(length)
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGCONT)
        else:
            time.sleep(length)

    def end(self, following):
        """Lets it come to the end of the log, and asks it to end; what was wrong."""
        self.hurry = True
        deadline = time.monotonic() + PATIENCE
        while self.lines.last != following - 1 and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        last = self.lines.last
        self.asked = self.process.poll() is None
        if self.asked:
            self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.join(PATIENCE)
        os.close(self.pipe)
        with open(f"{self.name}.err", encoding="utf-8", errors="replace") as file:
            said = file.read()
        if self.process.returncode != (-signal.SIGTERM if self.asked else 0):
            yield "status", f"it ended with {self.process.returncode}"
        if last != following - 1 and "-Bd" not in self.process.args:
            yield "stuck", f"it came to {last}, and the log ends at {following}"
        yield from self.lines.violations(said, bounds(self.process.args[2])[0])


def bounds(topic):
    row, = json.loads(leat("partition", "list", topic, "-O", "json"))
    return row["start"], row["end"]


class Writer(threading.Thread):
    """Produces as fast as it goes, with pauses; the record of each offset is known."""

    def __init__(self, topic, generator):
        super().__init__(daemon=True)
        self.generator, self.written, self.stopping = generator, 0, threading.Event()
        self.process = subprocess.Popen(
            [LEAT, "produce", topic, "--compression", generator.choice(["none", "lz4", "zstd"]), "--batch-size",
             generator.choice(["2KiB", "16KiB", "64KiB"])], stdin=subprocess.PIPE)
        self.start()

    def run(self):
        while not self.stopping.is_set():
            burst = self.generator.choice([1, 20, 200, 1000])
            self.process.stdin.write("".join(f"{value_of(n)}\n" for n in range(self.written, self.written + burst)).encode())
            self.process.stdin.flush()
            self.written += burst
            time.sleep(self.generator.choice([0, 0.002, 0.01]))

    def end(self):
        self.stopping.set()
        self.join()
        self.process.stdin.close()
        return self.process.wait(PATIENCE)


def round_of(topic, way, seconds, generator):
    """(figures, what was wrong)"""
    settings, trims = WAYS[way]
    leat("topic", "create", topic, "--segment-size", "64KiB", "--durability", generator.choice(["sync", "os"]), *settings)
    writer = Writer(topic, random.Random(generator.random()))
    readers = [Reader(f"{topic}-{n}", [topic, *flags], random.Random(generator.random()))
               for n, flags in enumerate((["-B"], ["-B", "--isolation", "read_uncommitted"],
                                          ["-B", "-c", "g", "--offset-flush", "50ms"]))]
    end, once = time.monotonic() + seconds, []
    while time.monotonic() < end:
        if trims:
            # Trimming says which groups lose unread records; that is not under test here.
            leat("topic", "trim", topic, "--keep", str(generator.choice([0, 100, 2000])), "--yes", stderr=subprocess.DEVNULL)
        if len(once) < 3 and generator.random() < 0.1:
            once.append(Reader(f"{topic}-once-{len(once)}", [topic, "-Bd"], random.Random(generator.random())))
        time.sleep(generator.uniform(0, 0.1))
    found = [] if (status := writer.end()) == 0 else [("status", f"the producer ended with {status}")]
    following = bounds(topic)[1]
    if following != writer.written:
        found.append(("end", f"the log ends at {following}, and {writer.written} records were written"))
    for reader in readers + once:
        found += [(kind, f"{way}: reader {reader.process.args[3:-2]}: {text}") for kind, text in reader.end(following)]
    readers += once
    figures = {"written": writer.written, "read": sum(r.lines.count for r in readers),
               "gaps": sum(len(r.lines.gaps) for r in readers),
               "gone": sum(b - a for r in readers for a, b in r.lines.gaps), "stops": sum(r.stops for r in readers)}
    leat("topic", "delete", topic, stderr=subprocess.DEVNULL)
    return figures, found


def chaos(options, generator):
    total = collections.Counter()
    end, number = time.monotonic() + options.seconds, 0
    length = min(ROUND_SECONDS, options.seconds / len(WAYS))
    while number < len(WAYS) or time.monotonic() < end:
        figures, found = round_of(f"slow-{number}", list(WAYS)[number % len(WAYS)], length, random.Random(generator.random()))
        for kind, text in found[:SHOWN]:
            print(f"round {number}: {kind}: {text}", flush=True)
        total.update(figures, violations=len(found))
        number += 1
    print(f"seed {options.seed}: {number} rounds, {total['written']:,} records written, {total['read']:,} read by slow readers, "
          f"stopped {total['stops']} times; {total['gaps']} times the log start passed one, {total['gone']:,} records named as "
          f"gone, {total['violations']} violations", flush=True)
    if not total["gaps"] or not total["stops"]:
        print("no reader was passed by the log start, or none was stopped: this shows nothing")
        total["violations"] += 1
    if options.results:
        results.write(options.results, 16, "slow_reader", total["gaps"], total["violations"], None, options.seed,
                      f"tests/crash/slow_reader.py --seconds {options.seconds:g} --seed {options.seed}")
    return total["violations"]


# ---- proof that it can fail


def self_test():
    def text(*ranges):
        return "".join(f"{n} {value_of(n)}\n" for r in ranges for n in r).encode()

    def notice(first, following):
        return (f'leat: warning: topic "t" partition 0: offsets {first} to {following - 1} have been trimmed away; '
                f"reading goes on at {following}\n")

    right = text(range(5, 100), range(150, 200), range(300, 310))
    said = 'leat: warning: topic "t" partition 0: offset 0 has been trimmed away, the log starts at 5\n'
    said += notice(100, 150) + notice(200, 250) + notice(250, 300)

    def kinds(wrote, complaints, start=300):
        lines = Lines()
        for at in range(0, len(wrote), 7):
            lines.add(wrote[at:at + 7])
        return {kind for kind, _ in lines.violations(complaints, start)}

    cases = {
        "a record cut short": ("garbage", right.replace(value_of(50).encode(), value_of(50)[:-1].encode()), said),
        "another offset's record": ("garbage", right.replace(b"50 " + value_of(50).encode(), b"50 " + value_of(51).encode()), said),
        "bytes of a segment": ("garbage", right + b"\0\0\0\1\2\xff\n", said),
        "a last line in part": ("garbage", right[:-3], said),
        "an offset again": ("back", right + text([309]), said),
        "a gap without a word": ("silent", right + text([315]), said),
        "a gap named in part": ("silent", right, said.replace("offsets 100 to 149", "offsets 110 to 149")),
        "a notice left out": ("silent", right, said.replace(notice(200, 250), "")),
        "a notice of what was read": ("notice", right, said + notice(20, 30)),
        "another warning": ("notice", right, said + "leat: warning: damaged\n"),
        "skipped what is still there": ("skipped", right, said, 200),
    }
    missed = [f"right lines have {found}" for found in [kinds(right, said)] if found]
    for name, (kind, *spoilt) in cases.items():
        if kind not in (found := kinds(*spoilt)):
            missed.append(f"{name}: {found or 'nothing'} found instead of {kind}")
    print("\n".join(missed) or f"self-test: {len(cases)} wrong readers, all found out")
    return not missed


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Makes readers slow while the log start moves on.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("LEAT_SEED", random.SystemRandom().randrange(10**6))))
    parser.add_argument("--results", help="append a row to this file")
    parser.add_argument("--self-test", action="store_true", help="show that wrong outcomes are found, and end")
    options = parser.parse_args(arguments)
    if options.self_test:
        return 0 if self_test() else 1
    if options.results:
        options.results = os.path.abspath(options.results)
    print(f"seed {options.seed}", flush=True)
    with processes.workplace():
        return 1 if chaos(options, random.Random(options.seed)) else 0


if __name__ == "__main__":
    sys.exit(main())
