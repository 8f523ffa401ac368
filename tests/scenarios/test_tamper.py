#!/usr/bin/python3
"""One bit of one byte of one file is flipped, again and again: every byte of a small log with --full, else a part of them.

Each flip is found by `inspect verify --deep`, or harms nobody: everything reads as it was written. Whatever was flipped, no
record is ever read that is not one that was written, at its own offset.
"""

import concurrent.futures
import os
import subprocess
import sys

import processes
from processes import LEAT, fail, leat

FULL = "--full" in sys.argv
# Of the files that are mostly padding or words shared by living processes, so many bytes each.
SAMPLE = 2000 if FULL else 20
EVERY = 1 if FULL else 40  # of the others, every so many bytes
WHOLE_BYTES_MAX = 7_000


def build(directory):
    os.environ["LEAT_DATA_DIR"] = directory
    leat("topic", "create", "t")
    for first, codec in ((0, "none"), (100, "lz4"), (200, "zstd")):
        lines = "".join(f"k{n % 7}:value {n}\n" for n in range(first, first + 100))
        leat("produce", "t", "--key-separator", ":", "--compression", codec, "--producer-id", f"p{first}", input=lines.encode())
    leat("consume", "t", "-c", "c", "-B", "-n", "50")
    leat("consume", "t", "-c", "c", "-B", "-n", "50")
    # As a tree is kept when segments are retired: the first block of 256 is whole.
    leat("topic", "trim", "t", "--keep", "300", "--yes")


def run(directory, *arguments):
    return subprocess.run([LEAT, "-D", directory, *arguments], capture_output=True, timeout=60)


def read(directory):
    """(status, {offset: record}); the same offset twice is a failure."""
    done = run(directory, "consume", "t", "-Bd", "-F", "{{offset}} {{key}} {{value}} {{time}}")
    records = {}
    for line in done.stdout.splitlines():
        offset = line.split(b" ", 1)[0]
        if offset in records:
            fail(f"offset {offset} was read twice")
        records[offset] = line
    return done.returncode, records


def files_of(directory):
    for path, _, names in os.walk(directory):
        for name in names:
            yield os.path.relpath(os.path.join(path, name), directory)


def flips(generator, directory):
    """(file, byte, bit)"""
    chosen = []
    for name in sorted(files_of(directory)):
        size = os.path.getsize(os.path.join(directory, name))
        places = range(generator.randrange(EVERY), size, EVERY) if size <= WHOLE_BYTES_MAX else generator.sample(range(size), SAMPLE)
        chosen += [(name, byte, generator.randrange(8)) for byte in places]
    generator.shuffle(chosen)
    return chosen


def flip(directory, name, byte, bit):
    with open(os.path.join(directory, name), "r+b") as file:
        file.seek(byte)
        old = file.read(1)
        file.seek(byte)
        file.write(bytes([old[0] ^ 1 << bit]))


def attempt(directory, written, place):
    """A complaint, or None, and whether verify found it."""
    flip(directory, *place)
    verified = run(directory, "inspect", "verify", "--deep")
    status, records = read(directory)
    flip(directory, *place)
    altered = [offset for offset, line in records.items() if written.get(offset) != line]
    where = f"bit {place[2]} of byte {place[1]} of {place[0]}"
    if altered:
        return f"{where}: offset {altered[0].decode()} reads as {records[altered[0]]!r}", True
    if verified.returncode < 0 or status < 0:
        return f"{where}: verify ended with {verified.returncode}, consume with {status}", True
    if verified.returncode == 0 and (status != 0 or records != written):
        return f"{where}: verify found nothing, but consume ended with {status} after {len(records)} records", False
    if status == 0 and records != written:
        return f"{where}: {len(written) - len(records)} records are missing, and consume did not say so", False
    return None, verified.returncode != 0


def work(directory, written, places):
    return [attempt(directory, written, place) for place in places]


generator = processes.seeded()
# Two made alike, not one copied: in a copy nobody knows how much had been acknowledged, and a last batch that does not read is
# taken for an unfinished write.
directories = [os.path.abspath(f"data-{n}") for n in range(2)]
written = []
for directory in directories:
    build(directory)
    status, records = read(directory)
    if status or len(records) != 300 or run(directory, "inspect", "verify", "--deep").returncode:
        fail("the log is not whole to begin with")
    written.append(records)
places = flips(generator, directories[0])
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    outcomes = [outcome for part in pool.map(lambda n: work(directories[n], written[n], places[n::2]), range(2)) for outcome in part]
complaints = [complaint for complaint, _ in outcomes if complaint]
for complaint in complaints[:10]:
    print(complaint)
if complaints:
    fail(f"{len(complaints)} of {len(outcomes)} flips went wrong")
found = sum(found for _, found in outcomes)
if found < len(outcomes) // 10:
    fail(f"only {found} of {len(outcomes)} flips were found: nothing was shown")
print(f"{len(outcomes)} flips: {found} found by verify, the others harmed nobody; no record was ever read altered")
