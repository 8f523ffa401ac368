#!/usr/bin/python3
"""Files of a log are damaged: a bit of any, or whole derived ones. Rows 20 and 21 of the scorecard.

    damage_sweep.py [bits] [derived] [--full] [--only WORD] [--seed N] [--results FILE] [--self-test]

    bits     One bit of one byte of one file is flipped, again and again: with --full every byte of the small files and 2,000
             of each large one. Each flip is found by `inspect verify --deep`, or harms nobody: everything reads as it was
             written. Whatever was flipped, no record is ever read that is not one that was written, at its own offset.
    derived  Index, tree and state files are deleted, cut, emptied, overwritten and made longer, each alone and all at once,
             while nobody has the log open and while a producer does. Reads, roots and lookups by time stay the same, at once;
             with what is written then, the files become what they are in a log that was never damaged. The indexes of
             sealed segments may stay lost: they only shorten a search, and how many did is reported.
"""

import argparse
import concurrent.futures
import contextlib
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "scenarios"))
import processes  # noqa: E402
import results  # noqa: E402
from processes import LEAT, fail  # noqa: E402

WHOLE_BYTES_MAX = 7_000
SHOWN = 20


@contextlib.contextmanager
def in_memory():
    """A working directory where syncs cost nothing, if there is one: nothing here depends on the disk."""
    before = os.getcwd()
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="leat-damage-", dir=memory) as directory:
        os.chdir(directory)
        try:
            yield
        finally:
            os.chdir(before)


def run(directory, *arguments, given=None):
    return subprocess.run([LEAT, "-D", directory, *arguments], input=given, capture_output=True, timeout=60)


def must(directory, *arguments, given=None):
    done = run(directory, *arguments, given=given)
    if done.returncode:
        fail(f"leat {' '.join(arguments)}: status {done.returncode}: {done.stderr.decode().strip()}")
    return done.stdout


def records(first, end):
    """Lines for --framing json whose times rise by a second each, so that two logs made alike are alike byte for byte."""
    return "".join(json.dumps({"key": f"k{n % 7}", "value": f"value {n} " + "x" * (n * 7 % 120),
                               "timestamp": 1_700_000_000_000 + n * 1000}) + "\n" for n in range(first, end)).encode()


def files_of(directory):
    for path, _, names in os.walk(directory):
        for name in names:
            yield os.path.relpath(os.path.join(path, name), directory)


# ---- bits


def build_small(directory):
    """A topic of one small segment, with every codec, producers, a consumer and a trimmed start; and one larger."""
    key = directory + ".key"
    must(directory, "topic", "create", "t")
    for first, codec in ((0, "none"), (100, "lz4"), (200, "zstd")):
        lines = "".join(f"k{n % 7}:value {n}\n" for n in range(first, first + 100))
        must(directory, "produce", "t", "--key-separator", ":", "--compression", codec, "--producer-id", f"p{first}",
             given=lines.encode())
    for _ in range(2):
        must(directory, "consume", "t", "-c", "c", "-B", "-n", "50")
    must(directory, "topic", "trim", "t", "--keep", "300", "--yes")
    must(directory, "topic", "create", "u", "--segment-size", "64KiB")
    must(directory, "produce", "u", "--framing", "json", "--batch-size", "1KiB", "--producer-id", "p", given=records(0, 1600))
    must(directory, "inspect", "keygen", "example.com/log", "--out", key)
    # Keeps leaves, of records that go, for good.
    must(directory, "inspect", "checkpoint", "u", "--size", "300", "--sign", key)
    must(directory, "topic", "trim", "u", "--before", "800", "--yes")
    must(directory, "produce", "u", "--framing", "json", "--batch-size", "1KiB", given=records(1600, 1700))


def read(directory):
    """(status, {(topic, offset): line}); the same offset twice is a failure."""
    status, found = 0, {}
    for topic in ("t", "u"):
        done = run(directory, "consume", topic, "-Bd", "-F", "{{offset}} {{key}} {{value}} {{time}}")
        status = status or done.returncode
        for line in done.stdout.splitlines():
            place = topic, line.split(b" ", 1)[0]
            if place in found:
                fail(f"offset {place} was read twice")
            found[place] = line
    return status, found


def flips(generator, directory, options):
    """(file, byte, bit)"""
    sample, every = (2000, 1) if options.full else (12, 60)
    chosen = []
    for name in sorted(files_of(directory)):
        if options.only and options.only not in name:
            continue
        size = os.path.getsize(os.path.join(directory, name))
        places = range(generator.randrange(every), size, every)
        if size > WHOLE_BYTES_MAX:
            places = generator.sample(range(size), sample)
        chosen += [(name, byte, generator.randrange(8)) for byte in places]
    generator.shuffle(chosen)
    return chosen


def flip(directory, name, byte, bit):
    with open(os.path.join(directory, name), "r+b") as file:
        file.seek(byte)
        old = file.read(1)
        file.seek(byte)
        file.write(bytes([old[0] ^ 1 << bit]))


def judge(where, written, verified, status, found):
    """A complaint, or None."""
    altered = [place for place, line in found.items() if written.get(place) != line]
    if altered:
        return f"{where}: {altered[0]} reads as {found[altered[0]]!r}"
    if verified < 0 or status < 0:
        return f"{where}: verify ended with {verified}, consume with {status}"
    if verified == 0 and (status != 0 or found != written):
        return f"{where}: verify found nothing, but consume ended with {status} after {len(found)} records"
    if status == 0 and found != written:
        return f"{where}: {len(written) - len(found)} records are missing, and consume did not say so"
    return None


def attempt(directory, written, place):
    """(a complaint or None, whether verify found it)"""
    flip(directory, *place)
    verified = run(directory, "inspect", "verify", "--deep").returncode
    status, found = read(directory)
    flip(directory, *place)
    return judge(f"bit {place[2]} of byte {place[1]} of {place[0]}", written, verified, status, found), verified != 0


def bits(options, generator):
    # Two made alike, not one copied: in a copy nobody knows how much had been acknowledged, and a last batch that does not read
    # is taken for an unfinished write.
    directories, written = [os.path.abspath(f"bits-{n}") for n in range(2)], []
    for directory in directories:
        build_small(directory)
        status, found = read(directory)
        if status or len(found) != 1200 or run(directory, "inspect", "verify", "--deep").returncode:
            fail(f"the log is not whole to begin with: status {status}, {len(found)} records")
        written.append(found)
    # What the two have in common, by name.
    places = [p for p in flips(generator, directories[0], options)
              if p[1] < size_or_nothing(os.path.join(directories[1], p[0]))]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        outcomes = [outcome for part in pool.map(lambda n: [attempt(directories[n], written[n], p) for p in places[n::2]], range(2))
                    for outcome in part]
    complaints = [complaint for complaint, _ in outcomes if complaint]
    for complaint in complaints[:SHOWN]:
        print(f"bits: {complaint}")
    found = sum(found for _, found in outcomes)
    if found < len(outcomes) // 20:
        complaints.append("nothing was shown")
        print(f"bits: only {found} of {len(outcomes)} flips were found: nothing was shown")
    kinds = {os.path.splitext(name)[1] or os.path.basename(os.path.dirname(name)) for name, _, _ in places}
    print(f"bits: {len(outcomes):,} flips in files of {len(kinds)} kinds: {found:,} found by verify, the others harmed nobody; "
          f"{len(complaints)} violations", flush=True)
    return len(outcomes), len(complaints)


def size_or_nothing(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


# ---- derived files

FIRST, MORE, LAST = 1500, 700, 900  # records before the damage, while a producer lives, and after it


def build_derived(directory):
    must(directory, "topic", "create", "u", "--segment-size", "64KiB", "--durability", "os")
    must(directory, "produce", "u", "--framing", "json", "--batch-size", "1KiB", given=records(0, FIRST))


def go_on(directory, first, end):
    must(directory, "produce", "u", "--framing", "json", "--batch-size", "1KiB", given=records(first, end))


def derived_files(directory):
    return sorted(name for name in files_of(directory) if name.endswith(("index", "state")) or "/tree/" in name)


def delete(path, _):
    os.unlink(path)


def cut(path, generator):
    os.truncate(path, generator.randrange(os.path.getsize(path)))


def empty(path, _):
    os.truncate(path, 0)


def overwrite(path, generator):
    with open(path, "r+b") as file:
        file.write(generator.randbytes(os.path.getsize(path)))


def shift(path, generator):
    """As where a block of another file, or an older one, was put in its place."""
    with open(path, "r+b") as file:
        text = file.read()
        at = generator.randrange(1, len(text))
        file.seek(0)
        file.write(text[at:] + text[:at])


def zero(path, _):
    with open(path, "r+b") as file:
        file.write(bytes(os.path.getsize(path)))


def lengthen(path, generator):
    with open(path, "ab") as file:
        file.write(generator.randbytes(100))


DAMAGES = (delete, cut, empty, overwrite, shift, zero, lengthen)


def shown(directory, end):
    """What the log gives: all records, the tree's root at some sizes, the offset of some times, what `partition list` says."""
    answers = {"records": run(directory, "consume", "u", "-Bd", "-F", "{{offset}} {{key}} {{value}} {{time}}").stdout}
    for size in (1, 256, 1000, end):
        root = run(directory, "inspect", "checkpoint", "u", "--size", str(size))
        answers[f"root of {size}"] = (root.returncode, root.stdout)
    for second in (0, 1, 761, 1200, end - 1):
        found = run(directory, "consume", "u", "--since", str(1_700_000_000 + second), "-d", "-n", "1", "-F", "{{offset}}")
        answers[f"second {second}"] = (found.returncode, found.stdout)
    listed = run(directory, "partition", "list", "u", "-O", "json")
    answers["list"] = listed.stderr
    if listed.returncode == 0:
        row, = json.loads(listed.stdout)
        answers["list"] = {k: row[k] for k in ("start", "end", "records")}
    verified = run(directory, "inspect", "verify", "--deep")
    answers["verify"] = verified.returncode
    return answers


def different(answers, expected):
    for what, answer in expected.items():
        if answers[what] != answer:
            yield f"{what}: {str(answers[what])[:150]} instead of {str(answer)[:150]}"


def contents(directory):
    """Of the topic's files those that follow from its records, and the logs."""
    return {name: bytes_of(directory, name) for name in files_of(directory) if name.endswith(("index", ".log")) or "/tree/" in name}


def bytes_of(directory, name):
    with open(os.path.join(directory, name), "rb") as file:
        return file.read()


def indexes_of(log, base):
    """(index, timeindex) as leat-format(5) has it: at the first batch 4096 bytes or more behind the last entry's place."""
    index, timeindex, last, place = b"", b"", 0, 0
    latest = written = -1  # the largest timestamp so far, and the one that was written last
    while place < len(log):
        offset, length = struct.unpack_from(">qi", log, place)
        at_maximum = struct.unpack_from(">q", log, place + 35)[0]
        grown = at_maximum > latest
        latest = max(latest, at_maximum)
        if place - last >= 4096:
            index += struct.pack(">ii", offset - base, place)
            last = place
            if grown and latest > written:
                timeindex += struct.pack(">qi", latest, offset - base)
                written = latest
        place += 12 + length
    return index, timeindex


def rebuilt(found, tree, damaged):
    """(complaints, how many lost indexes of sealed segments stay as they are)"""
    complaints, left = [], 0
    bases = sorted(name[:-len(".log")] for name in found if name.endswith(".log"))
    for stem in bases[:-1]:  # the active one's are made later
        due = indexes_of(found[stem + ".log"], int(os.path.basename(stem)))
        for name, text in zip((stem + ".index", stem + ".timeindex"), due):
            if found.get(name) != text and name in damaged:
                left += 1
            elif found.get(name) != text:
                complaints.append(f"{name} does not follow from the log")
    # The hashes follow from the records alone, however these lie in batches.
    kept = {name: text for name, text in found.items() if "/tree/" in name}
    for name in tree.keys() | kept.keys():
        if kept.get(name) != tree.get(name):
            complaints.append(f"{name} is {'missing' if name not in kept else 'not as in a log that was never damaged'}")
    return complaints, left


class Twin:
    """A log made alike and never damaged, at each of its stages."""

    def __init__(self, directory):
        build_derived(directory)
        self.first = shown(directory, FIRST)
        go_on(directory, FIRST, FIRST + MORE)
        self.more = shown(directory, FIRST + MORE)
        go_on(directory, FIRST + MORE, FIRST + MORE + LAST)
        self.last, self.files = shown(directory, FIRST + MORE + LAST), contents(directory)
        self.tree = {name: text for name, text in self.files.items() if "/tree/" in name}


def one_damage(directory, twin, names, damage, alive, generator):
    """(complaints, indexes that stay lost) of one log that is made, damaged, read and written on."""
    shutil.rmtree(directory, ignore_errors=True)
    build_derived(directory)
    if alive:
        process = subprocess.Popen([LEAT, "-D", directory, "produce", "u", "--framing", "json", "--batch-size", "1KiB",
                                    "-O", "text"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        # Two batches apart, so that this one's page is mapped and its files are open; then it waits for input.
        process.stdin.write(records(FIRST, FIRST + 1))
        process.stdin.flush()
        process.stdout.readline()
    for name in names:
        damage(os.path.join(directory, name), generator)
    complaints = []
    if alive:
        complaints += different(shown(directory, FIRST), {k: v for k, v in twin.first.items() if k.startswith(("root", "second"))})
        said = process.communicate(records(FIRST + 1, FIRST + MORE))[1]
        if process.returncode:
            complaints.append(f"the living producer ended with {process.returncode}: {said.decode().strip()}")
    else:
        complaints += different(shown(directory, FIRST), twin.first)
        go_on(directory, FIRST, FIRST + MORE)
    complaints += different(shown(directory, FIRST + MORE), twin.more)
    go_on(directory, FIRST + MORE, FIRST + MORE + LAST)
    complaints += different(shown(directory, FIRST + MORE + LAST), twin.last)
    more, left = rebuilt(contents(directory), twin.tree, names)
    return complaints + more, left


def derived(options, generator):
    directory = os.path.abspath("derived")
    twin = Twin(os.path.abspath("twin"))
    if (complaints := rebuilt(twin.files, twin.tree, [])[0]) or not twin.tree:
        fail(f"what follows from the log does not, to begin with: {complaints}")
    if twin.last["verify"] or len(twin.last["records"].splitlines()) != FIRST + MORE + LAST:
        fail("the log is not whole to begin with")
    build_derived(directory)
    names = [name for name in derived_files(directory) if not options.only or options.only in name]
    cases = [([name], damage, False) for name in names for damage in DAMAGES]
    cases += [(names, damage, False) for damage in DAMAGES]
    # What a living process has mapped can be taken away, but not be cut or written over: that is no accident it can survive.
    cases += [([name], damage, True) for name in names for damage in (DAMAGES if not name.endswith("state") else [delete])]
    cases += [(names, delete, True)]
    if not options.full:
        cases = generator.sample(cases, min(12, len(cases)))
    violations = left_lost = 0
    slowest = 0.0
    for chosen, damage, alive in cases:
        started = time.monotonic()
        complaints, left = one_damage(directory, twin, chosen, damage, alive, generator)
        slowest = max(slowest, time.monotonic() - started)
        what = chosen[0] if len(chosen) == 1 else f"all {len(chosen)} files"
        for complaint in complaints[:3]:
            print(f"derived: {damage.__name__} {what}{', a producer lives' if alive else ''}: {complaint}")
        violations += len(complaints)
        left_lost += left
    print(f"derived: {len(cases)} damages of {len(names)} files: {left_lost} indexes of sealed segments were not made again, "
          f"{violations} other differences in reads, roots, times and files", flush=True)
    return len(cases), violations


# ---- proof that it can fail


def self_test(generator):
    missed = []

    def expect(what, found):
        if not found:
            missed.append(what)
            print(f"   {what}: NOT FOUND")
        else:
            print(f"   {what}: found: {str(found)[:100]}")

    written = {("t", b"0"): b"0 a", ("t", b"1"): b"1 b"}
    expect("an altered record", judge("", written, 76, 0, {**written, ("t", b"1"): b"1 c"}))
    expect("a record that was never written", judge("", written, 76, 76, {**written, ("t", b"2"): b"2 c"}))
    expect("a record missing without a word", judge("", written, 76, 0, {("t", b"0"): b"0 a"}))
    expect("damage that verify does not find", judge("", written, 0, 76, {("t", b"0"): b"0 a"}))
    expect("a crash", judge("", written, 76, -11, written))
    if judge("", written, 76, 76, {("t", b"0"): b"0 a"}) or judge("", written, 0, 0, written):
        missed.append("what is right is called wrong")
    twin = Twin(os.path.abspath("twin"))

    # Damage to what is not derived stands for a rebuilding that goes wrong.
    directory = os.path.abspath("spoilt")

    def spoilt(name, damage):
        build_derived(directory)
        path = next(n for n in sorted(files_of(directory)) if n.endswith(name))
        damage(os.path.join(directory, path), generator)
        found = list(different(shown(directory, FIRST), twin.first))
        shutil.rmtree(directory)
        return found
    expect("a log with other bytes", spoilt(".log", overwrite))
    expect("a log that is shorter", spoilt(".log", cut))
    expect("another start", spoilt("start", overwrite))
    other = dict(twin.files)
    tree, index = (next(name for name in other if word in name) for word in ("/tree/", ".index"))
    other[tree] = other[tree][:-36] + bytes(36)
    expect("a tree rebuilt otherwise", rebuilt(other, twin.tree, [tree])[0])
    del other[tree]
    expect("a tree not rebuilt", rebuilt(other, twin.tree, [tree])[0])
    for changed in (b"", twin.files[index][8:], twin.files[index] + bytes(8)):
        expect("an undamaged index changed", rebuilt({**twin.files, index: changed}, twin.tree, [tree])[0])
    print(f"self-test: {len(missed)} wrong outcomes not found")
    return not missed


SWEEPS = {"bits": (20, bits), "derived": (21, derived)}


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Damages the files of a log.")
    parser.add_argument("sweeps", nargs="*", metavar="SWEEP", help="of " + ", ".join(SWEEPS) + "; all by default")
    parser.add_argument("--full", action="store_true", help="every byte of small files, and every damage")
    parser.add_argument("--only", help="the files whose name holds this")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("LEAT_SEED", random.SystemRandom().randrange(10**6))))
    parser.add_argument("--results", help="append a row for each sweep to this file")
    parser.add_argument("--self-test", action="store_true", help="show that wrong outcomes are found, and end")
    options = parser.parse_args(arguments)
    for name in options.sweeps:
        if name not in SWEEPS:
            parser.error(f"no sweep '{name}'")
    if options.results:
        options.results = os.path.abspath(options.results)
    print(f"seed {options.seed}", flush=True)
    good = True
    with processes.workplace(), in_memory():
        if options.self_test:
            return 0 if self_test(random.Random(options.seed)) else 1
        for name in options.sweeps or SWEEPS:
            row, sweep = SWEEPS[name]
            points, violations = sweep(options, random.Random(options.seed))
            good &= not violations
            if options.results:
                results.write(options.results, row, name, points, violations, None, options.seed,
                              f"tests/crash/damage_sweep.py {name}{' --full' if options.full else ''} --seed {options.seed}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
