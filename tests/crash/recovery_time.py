#!/usr/bin/python3
"""How long leat takes to open a log, by its size, and after its writer was killed: row 9 of the scorecard.

    recovery_time.py [--large] [--small] [--runs N] [--seed N] [--results FILE]

A log of 1 GiB in several segments whose writer is killed in the midst of appending, time and again: the first `produce` of one
record afterwards, or the first `consume` of the last acknowledged one. And the same commands, and `inspect segments`, on logs of a
thousand, a million and ten million records (--large: 100 million, at most 12 GiB) that were closed in order. Medians of
whole commands, start of the process included. --small takes a tenth and less, to see that it works. Wrong is only what is
read or acknowledged wrongly; times are reported, not judged.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "scenarios"))
import processes  # noqa: E402
import results  # noqa: E402
from processes import LEAT, leat  # noqa: E402

SKIPPED = 77
ROOM_BYTES = 12 << 30
VALUE_BYTES = 90


class Wrong(Exception):
    pass


def line(number):
    return f"{number:012} {number * 2654435761 % 2**32:08x} ".ljust(VALUE_BYTES, ".") + "\n"


def fill(topic, records, segment):
    """A topic of so many records, each of whose contents is known."""
    leat("topic", "create", topic, "--segment-size", segment, "--durability", "os")
    process = subprocess.Popen([LEAT, "produce", topic, "--batch-size", "256KiB"], stdin=subprocess.PIPE)
    block = 20_000
    for first in range(0, records, block):
        process.stdin.write("".join(line(n) for n in range(first, min(first + block, records))).encode())
    process.stdin.close()
    if process.wait():
        raise Wrong(f"filling {topic} ended with {process.returncode}")


def timed(*arguments, given=None):
    """(seconds, what it printed)"""
    started = time.perf_counter()
    done = subprocess.run([LEAT, *arguments], input=given, capture_output=True)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise Wrong(f"leat {' '.join(arguments)}: status {done.returncode}: {done.stderr.decode().strip()}")
    return seconds, done.stdout.decode()


def end_of(topic):
    row, = json.loads(leat("partition", "list", topic, "-O", "json"))
    return row["end"]


def produce_one(topic, expected=None):
    """The receipt names the offset that is due; None: any, for nobody knows what a killed writer has appended."""
    seconds, receipt = timed("produce", topic, "-O", "text", given=b"one more\n")
    offset = int(receipt.split()[2])
    if expected is not None and offset != expected:
        raise Wrong(f"the next record of {topic} went to {offset} instead of {expected}")
    return seconds, offset


def consume_one(topic, offset, value=None):
    seconds, shown = timed("consume", topic, "--start", str(offset), "-d", "-n", "1", "-F", "{{offset}} {{value}}")
    if not shown.startswith(f"{offset} ") or value is not None and shown != f"{offset} {value}\n":
        raise Wrong(f"offset {offset} of {topic} reads as {shown!r}")
    return seconds


def kill_in_the_midst(topic, generator):
    """A writer is killed while it appends; the highest offset it has acknowledged."""
    process = subprocess.Popen([LEAT, "produce", topic, "-O", "text", "--batch-size", "256KiB"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    text = "".join(line(n) for n in range(2000)).encode()
    os.set_blocking(process.stdin.fileno(), False)
    os.set_blocking(process.stdout.fileno(), False)
    end, printed = time.monotonic() + generator.uniform(0.1, 0.4), b""
    while time.monotonic() < end or not printed:
        with contextlib.suppress(BlockingIOError):
            os.write(process.stdin.fileno(), text)
        with contextlib.suppress(BlockingIOError):
            printed = (printed + os.read(process.stdout.fileno(), 1 << 20))[-4096:]
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    return int(printed[:printed.rindex(b"\n")].split()[-1])


def after_kill(topic, runs, generator):
    """[(what, seconds)] of the first command behind each kill: in turn one that writes and one that reads."""
    writing, reading = [], []
    for run in range(runs * 2):
        acknowledged = kill_in_the_midst(topic, generator)
        if run % 2:
            seconds, offset = produce_one(topic)
            if offset <= acknowledged:
                raise Wrong(f"offset {acknowledged} was acknowledged, and {offset} was given out behind it")
            writing.append(seconds)
            consume_one(topic, offset, "one more")
        else:
            reading.append(consume_one(topic, acknowledged))
    return writing, reading


def opening(topic, runs):
    """Seconds of each command, of a log that was closed in order."""
    times = {"produce": [], "consume": [], "inspect": []}
    for _ in range(runs):
        end = end_of(topic)
        times["consume"].append(consume_one(topic, end - 1))
        times["inspect"].append(timed("inspect", "segments", topic)[0])
        times["produce"].append(produce_one(topic, end)[0])
    return times


def milliseconds(seconds):
    return f"{statistics.median(seconds) * 1000:9.2f} {max(seconds) * 1000:9.2f}"


def measure(options, generator):
    sizes = [1000, 100_000, 1_000_000] if options.small else [1000, 1_000_000, 10_000_000]
    sizes += [100_000_000] if options.large else []
    print(f"{'records':>12} {'command':>22} {'median ms':>9} {'max ms':>9}")
    medians, count, worst = {}, 0, 0.0

    def show(name, what, times):
        nonlocal count, worst
        count, worst = count + len(times), max(worst, *times)
        print(f"{name:>12} {what:>22} {milliseconds(times)}", flush=True)

    for records in sizes:
        topic = f"records-{records}"
        fill(topic, records, "1GiB")
        consume_one(topic, records // 2, line(records // 2).rstrip("\n"))
        for what, times in opening(topic, options.runs).items():
            medians.setdefault(what, []).append(statistics.median(times))
            show(f"{records:,}", what, times)
        leat("topic", "delete", topic)
    gigabyte = (1 << 30) // (VALUE_BYTES + 8) // (20 if options.small else 1)
    for segment in ("64MiB", "1GiB"):
        topic = f"killed-{segment}"
        fill(topic, gigabyte, segment)
        writing, reading = after_kill(topic, options.runs, generator)
        show("1 GiB killed", f"produce, {segment}", writing)
        show("1 GiB killed", f"consume, {segment}", reading)
        leat("topic", "delete", topic)
    ratios = {what: values[-1] / values[0] for what, values in medians.items()}
    shown = ", ".join(f"{what} {ratio:.2f} times" for what, ratio in ratios.items())
    print(f"{sizes[-1]:,} records against {sizes[0]:,}: {shown}")
    return count, worst


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Measures how long opening takes, and recovery.")
    parser.add_argument("--large", action="store_true", help="also 100 million records")
    parser.add_argument("--small", action="store_true", help="logs of a tenth and less")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("LEAT_SEED", random.SystemRandom().randrange(10**6))))
    parser.add_argument("--results", help="append a row to this file")
    options = parser.parse_args(arguments)
    if options.results:
        options.results = os.path.abspath(options.results)
    if shutil.disk_usage(os.environ.get("TMPDIR", tempfile.gettempdir())).free < ROOM_BYTES * (2 if options.large else 0.5):
        print("there is too little room on the disk")
        return SKIPPED
    print(f"seed {options.seed}; {os.getloadavg()[0]:.1f} processes want to run on {len(os.sched_getaffinity(0))} processors",
          flush=True)
    with processes.workplace():
        try:
            count, worst = measure(options, random.Random(options.seed))
            wrong = 0
        except Wrong as found:
            print(found)
            count, worst, wrong = 0, None, 1
    if options.results:
        flags = "".join(f" --{name}" for name in ("large", "small") if getattr(options, name))
        results.write(options.results, 9, "recovery_time", count, wrong, worst, options.seed,
                      f"tests/crash/recovery_time.py{flags} --runs {options.runs} --seed {options.seed}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
