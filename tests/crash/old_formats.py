#!/usr/bin/python3
"""Directories of another format version than this leat's, and kept ones of its own: row 24 of the scorecard.

    old_formats.py [--golden] [--seed N] [--results FILE] [--self-test] [--make-golden]

In each kind of file that says a version, or whose parts do, that is made an older, newer or unknown one; then each of some
commands either gives what it gave before, or ends with 76 or 78 and names the file. What another version wrote is never
altered, but for the state page, which is disposable. tests/golden/v1 holds a directory of format version 1 and what it reads
as; --make-golden wrote it, and is not to be run again for version 1: a later leat has to read that one, and a later version
gets a directory of its own beside it.
"""

import argparse
import gzip
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tarfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "scenarios"))
import damage_sweep  # noqa: E402
import processes  # noqa: E402
import results  # noqa: E402
from damage_sweep import bytes_of, files_of, must, run  # noqa: E402
from processes import fail  # noqa: E402

GOLDEN = os.path.join(processes.ROOT, "tests", "golden")
REFUSALS = {76, 78}
DISPOSABLE = "state"
# Leaves that cannot be used count as lost. Where they were all that is left of retired records, that is said: no proof, 2.
WITHOUT_PROOF = (".leaves", 2, b"the hashes of retired records")
CRC_AT, CRC_FROM, CODEC_AT = 17, 21, 22

# What is asked of a directory; the answers of those that read are compared.
READING = {
    "topics": ["topic", "list", "-O", "json"],
    "records of t": ["consume", "t", "-Bd", "-O", "jsonl"],
    "records of u": ["consume", "u", "-Bd", "-O", "jsonl"],
    "by time": ["consume", "u", "--since", "1700001200", "-d", "-n", "1", "-F", "{{offset}}"],
    "root": ["inspect", "checkpoint", "u"],
    "root of 300": ["inspect", "checkpoint", "u", "--size", "300"],
    "consumers": ["consumer", "describe", "c", "-O", "json"],
}
WRITING = {
    "produce": ["produce", "u"],
    "produce as p": ["produce", "u", "--framing", "json", "--batch-size", "1KiB", "--producer-id", "p"],
    "consume as c": ["consume", "t", "-c", "c", "-d", "-n", "3", "-O", "none"],
    "create": ["topic", "create", "other"],
    "set": ["topic", "set", "u", "retention-records=500"],
    "trim": ["topic", "trim", "u", "--keep", "300", "--yes"],
}


def answers(directory):
    found = {}
    for name, arguments in READING.items():
        done = run(directory, *arguments)
        found[name] = (done.returncode, settled(name, done.stdout), done.stderr)
    return found


def settled(name, text):
    """Without what is not in the files: an age, and how many blocks a file system takes for them."""
    if name == "consumers":
        return re.sub(rb'"last_seen":"?[^",}]*"?', b"", text)
    return re.sub(rb'"size":\d+', b"", text) if name == "topics" else text


def crc32c(text):
    crc = 0xFFFFFFFF
    for byte in text:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


# ---- the versions


def batch_places(text):
    places, at = [], 0
    while at + 12 <= len(text):
        places.append(at)
        at += 12 + int.from_bytes(text[at + 8:at + 12], "big")
    return places


def with_batch(which, change):
    def changed(text):
        places = batch_places(text)
        at = places[which]
        batch = bytearray(text[at:places[which + 1] if which + 1 < len(places) and which >= 0 else None])
        change(batch)
        return text[:at] + bytes(batch) + text[at + len(batch):]
    return changed


def message_format(version):
    def change(batch):
        batch[16] = version
    return change


def unknown_codec(batch):
    """A codec that a later version may have, in a batch that is whole."""
    batch[CODEC_AT] = batch[CODEC_AT] & ~7 | 5
    struct.pack_into(">I", batch, CRC_AT, crc32c(batch[CRC_FROM:]))


def magic(version):
    return lambda text: text[:6] + version + text[8:]


def toml(old, new):
    def changed(text):
        if old not in text:
            fail(f"there is no {old!r} to change")
        return text.replace(old, new)
    return changed


def cases(directory):
    """(what, file, change, the status all commands have to end with, or None)"""
    names = sorted(files_of(directory))

    def one(end):
        return next(name for name in names if name.endswith(end))

    version = b"format_version = 1"
    for new in (b"2", b"10", b"4611686018427387904", b"0", b"-1", b'"1"', b"1.5"):
        yield f"format_version = {new.decode()}", "leat.toml", toml(version, b"format_version = " + new), 78
    yield "no format_version", "leat.toml", toml(version + b"\n", b""), 78
    for topic in ("t", "u"):
        yield "a setting of later", f"topics/{topic}/topic.toml", lambda text: text + b'of-later = "1"\n', None
        for log in [name for name in names if name.startswith(f"topics/{topic}/") and name.endswith(".log")]:
            for which in (0, 1, -1):
                for number in (0, 1, 3):
                    yield f"message format {number} in batch {which}", log, with_batch(which, message_format(number)), None
                yield f"codec 5 in batch {which}", log, with_batch(which, unknown_codec), None
    for end in ("topics/u/state", "producers/p", ".producers", "/offsets", ".leaves"):
        for number in (b"00", b"02", b"99"):
            yield f"magic number {number.decode()}", one(end), magic(number), None


# ---- what is expected


def violations_of(what, name, status_due, before, after, expected, outcome, command):
    """before, after: {file: bytes} with the other version in it; outcome: (status, stdout, stderr)."""
    status, printed, said = outcome
    where = f"{name}, {what}: {command}"
    if name.endswith(WITHOUT_PROOF[0]) and status == WITHOUT_PROOF[1] and WITHOUT_PROOF[2] in said:
        pass
    elif status < 0 or status not in REFUSALS | {0}:
        yield f"{where} ended with {status}: {said.decode(errors='replace').strip()[:150]}"
    elif status and os.path.basename(name).encode() not in said:
        yield f"{where} ended with {status} and does not name the file: {said.decode(errors='replace').strip()[:150]}"
    if status_due is not None and status != status_due:
        yield f"{where} ended with {status} instead of {status_due}"
    if status == 0 and expected is not None and printed != expected:
        yield f"{where} gave {printed[:80]!r} instead of {expected[:80]!r}, and said nothing"
    changed = {other for other in before.keys() | after.keys() if after.get(other) != before.get(other)}
    appended = name.endswith(".log") and after.get(name, b"").startswith(before[name])
    if name in changed and not appended and not name.endswith(DISPOSABLE):
        yield f"{where} altered the file"
    for other in changed - {name} if status else ():
        # Who takes part says so: a member's entry, the number of a producer's run.
        if not other.endswith((DISPOSABLE, "/offsets")) and "/producers/" not in other:
            yield f"{where} was refused, and altered {other}"


def snapshot(directory):
    return {name: bytes_of(directory, name) for name in files_of(directory)}


def restore(directory, files):
    """In place: a copy would be another directory to leat."""
    for name in list(files_of(directory)):
        if name not in files:
            os.unlink(os.path.join(directory, name))
    for topic in os.listdir(os.path.join(directory, "topics")):
        if not any(name.startswith(f"topics/{topic}/") for name in files):
            shutil.rmtree(os.path.join(directory, "topics", topic))
    for name, text in files.items():
        path = os.path.join(directory, name)
        if bytes_of(directory, name) != text if os.path.exists(path) else True:
            with open(path, "r+b" if os.path.exists(path) else "wb") as file:
                file.truncate(len(text))
                file.write(text)


def attempt(directory, whole, expected, case):
    what, name, change, status_due = case
    found = 0
    refused = 0
    complaints = []
    with_change = {**whole, name: change(whole[name])}
    for command, arguments in {**READING, **WRITING}.items():
        restore(directory, with_change)
        given = damage_sweep.records(0, 1600) if command == "produce as p" else b"one more\n" if command == "produce" else None
        done = run(directory, *arguments, given=given)
        due = expected[command][1] if command in READING else None
        complaints += violations_of(what, name, status_due, with_change, snapshot(directory), due,
                                    (done.returncode, settled(command, done.stdout), done.stderr), command)
        if command == "produce as p" and done.returncode == 0 and not status_due:
            # All of it was there already, whatever version its record of that had.
            shown = run(directory, "partition", "list", "u", "-O", "json")
            if shown.returncode == 0 and (end := json.loads(shown.stdout)[0]["end"]) != 1700:
                complaints.append(f"{name}, {what}: producing as p again made the log end at {end} instead of 1700")
        refused += done.returncode != 0
        found += 1
    restore(directory, whole)
    return complaints, found, refused


def versions(options, generator):
    directory = os.path.abspath("data-of-now")
    damage_sweep.build_small(directory)
    whole, expected = snapshot(directory), answers(directory)
    if wrong := [name for name, (status, _, said) in expected.items() if status or said]:
        fail(f"the directory is not right to begin with: {wrong}: {expected[wrong[0]]}")
    points = refused = 0
    complaints = []
    tried = list(cases(directory))
    for case in tried:
        more, count, times = attempt(directory, whole, expected, case)
        complaints += more
        points += count
        refused += times
    for text in complaints[:options.show]:
        print(f"versions: {text}")
    again = {name: answer[:2] for name, answer in answers(directory).items()}
    if again != {name: answer[:2] for name, answer in expected.items()}:
        fail("what was put back does not read as before: the sweep is wrong")
    print(f"versions: {len(tried)} other versions in {len({name for _, name, _, _ in tried})} files, {points:,} commands, of which "
          f"{refused:,} were refused; {len(complaints)} violations", flush=True)
    return points, len(complaints)


# ---- the kept directories


def golden(options, generator):
    points, complaints = 0, []
    kept = sorted(name for name in os.listdir(GOLDEN) if re.fullmatch(r"v\d+", name)) if os.path.isdir(GOLDEN) else []
    if not kept:
        complaints.append("there is no kept directory")
    for version in kept:
        count, found = check_golden(os.path.join(GOLDEN, version), os.path.abspath(version))
        points += count
        complaints += [f"{version}: {text}" for text in found]
    for text in complaints:
        print(f"golden: {text}")
    print(f"golden: {points} answers of {', '.join(kept)} as they were; {len(complaints)} violations", flush=True)
    return points, len(complaints)


def check_golden(kept, directory):
    with tarfile.open(os.path.join(kept, "data.tar.gz")) as archive:
        archive.extractall(directory)
    expected = kept_answers(kept)
    return len(expected) + 3, list(golden_complaints(directory, expected))


def kept_answers(kept):
    with gzip.open(os.path.join(kept, "answers.json.gz"), "rt", encoding="utf-8") as file:
        return {name: settled(name, text.encode()).decode() for name, text in json.load(file).items()}


def golden_complaints(directory, expected):
    before = snapshot(directory)
    for name, (status, printed, said) in answers(directory).items():
        if status or printed.decode() != expected[name]:
            yield f"{name}: status {status}: {printed[:100]!r} instead of {expected[name][:100]!r}: {said.decode()[:100]}"
    verified = run(directory, "inspect", "verify", "--deep")
    if verified.returncode:
        yield f"inspect verify --deep: {verified.stdout.decode()}"
    if (after := snapshot(directory)) != before:
        yield f"reading has altered {sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))}"
    # Written on: its producer goes on where it was, its consumer as well.
    done = run(directory, *WRITING["produce as p"], "-O", "text", given=damage_sweep.records(0, 1601))
    if done.returncode or done.stdout != b"u 0 1700\n":
        yield f"its producer: status {done.returncode}: {done.stdout[:100]!r} {done.stderr.decode()[:200]}"
    done = run(directory, "consume", "t", "-c", "c", "-d", "-n", "1", "-F", "{{offset}}")
    if done.returncode or done.stdout != b"100\n":
        yield f"its consumer: status {done.returncode}: {done.stdout[:100]!r} {done.stderr.decode()[:200]}"


def make_golden():
    kept = os.path.join(GOLDEN, "v1")
    if os.path.exists(kept):
        fail(f"{kept} is there: what was written then is what counts")
    directory = os.path.abspath("made")
    damage_sweep.build_small(directory)
    os.makedirs(kept)
    with gzip.open(os.path.join(kept, "answers.json.gz"), "wt", encoding="utf-8") as file:
        json.dump({name: printed.decode() for name, (_, printed, _) in answers(directory).items()}, file, indent=1)
        file.write("\n")
    with tarfile.open(os.path.join(kept, "data.tar.gz"), "w:gz", compresslevel=9) as archive:
        archive.add(directory, ".")
    print(f"{kept}: {sum(os.path.getsize(os.path.join(kept, name)) for name in os.listdir(kept)):,} bytes")
    return 0


# ---- proof that it can fail


def self_test():
    missed = []
    before = {"leat.toml": b"2", "a.log": b"x"}
    right = (78, b"", b"leat: error: d/leat.toml:1:1: format version 2")

    def expect(what, due, after=None, outcome=right, status_due=78, expected=None):
        found = list(violations_of("v2", "leat.toml", status_due, before, after or before, expected, outcome, "produce"))
        if bool(found) != due:
            missed.append(f"{what}: {found or 'nothing'} found")
    expect("a right refusal", False)
    expect("a right answer", False, outcome=(0, b"a", b""), status_due=None, expected=b"a")
    expect("opened all the same", True, outcome=(0, b"", b""))
    expect("refused with another status", True, outcome=(74, *right[1:]), status_due=None)
    expect("a crash", True, outcome=(-11, b"", b"leat.toml"), status_due=None)
    expect("refused without the file's name", True, outcome=(78, b"", b"leat: error: no"))
    expect("other records without a word", True, outcome=(0, b"b", b""), status_due=None, expected=b"a")
    expect("its file altered", True, after={**before, "leat.toml": b"1"})
    expect("another file altered", True, after={**before, "a.log": b""})
    expect("a file made", True, after={**before, "b.log": b""})
    if crc32c(b"123456789") != 0xE3069283:
        missed.append("the checksum is wrong")
    kept = os.path.join(GOLDEN, "v1")
    for name in ("records of u", "root", "consumers"):
        directory = os.path.abspath("spoilt")
        with tarfile.open(os.path.join(kept, "data.tar.gz")) as archive:
            archive.extractall(directory)
        expected = kept_answers(kept)
        if found := list(golden_complaints(directory, {**expected, name: expected[name][:-2]})):
            shutil.rmtree(directory)
        else:
            missed.append(f"another answer for {name}: {found}")
    print("\n".join(missed) or "self-test: 8 wrong outcomes and 3 wrong answers, all found out")
    return not missed


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Opens directories of other format versions.")
    parser.add_argument("--golden", action="store_true", help="the kept directories only")
    parser.add_argument("--make-golden", action="store_true", help="write the directory of today's version that is to be kept")
    parser.add_argument("--show", type=int, default=20, help="violations that are printed")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("LEAT_SEED", random.SystemRandom().randrange(10**6))))
    parser.add_argument("--results", help="append a row to this file")
    parser.add_argument("--self-test", action="store_true", help="show that wrong outcomes are found, and end")
    options = parser.parse_args(arguments)
    if options.results:
        options.results = os.path.abspath(options.results)
    with processes.workplace(), damage_sweep.in_memory():
        if options.make_golden:
            return make_golden()
        if options.self_test:
            return 0 if self_test() else 1
        outcomes = [sweep(options, random.Random(options.seed)) for sweep in ((golden,) if options.golden else (golden, versions))]
    points, violations = (sum(numbers) for numbers in zip(*outcomes))
    if options.results:
        results.write(options.results, 24, "old_formats", points, violations, None, options.seed, "tests/crash/old_formats.py")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
