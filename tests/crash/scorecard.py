#!/usr/bin/python3
"""The scorecard: tests/crash/RESULTS.md, made from the figures that are kept in tests/crash/results/*.tsv.

    tests/crash/scorecard.py            writes RESULTS.md
    tests/crash/scorecard.py --check    only says what is wrong: a line without a figure, a violation, a promise in the README
                                        that no line backs, a RESULTS.md that is not what the figures make

Each program that finds a figure appends rows to one of these files (results.py): torture.tsv by `./dev torture`, fuzz.tsv by
`./dev fuzz`, threads.tsv by `./dev sanitize`.
"""

import argparse
import glob
import os
import re
import sys

import results

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
OUTPUT = os.path.join(HERE, "RESULTS.md")
# number: (what is done to it, what must hold)
LINES = {
    0: ("leat with a mistake built in", "the sweep that is for it catches it"),
    1: ("SIGKILL at every system call of every writing command", "nothing acknowledged is lost, nothing appears, nothing is twice"),
    2: ("the active segment is cut at every byte", "all whole batches are read, the torn one is cut and kept"),
    3: ("power cut, as a model: every legal state of the disk", "what was acknowledged is there; the next append works"),
    4: ("power cut, for real, on ext4 and xfs; directories copied or restored", "as 3; what a copy lacks is reported"),
    5: ("EIO, ENOSPC, EINTR, short transfers at every I/O call", "an error and its exit code, or nothing at all; no false acknowledgement"),
    6: ("fdatasync fails once and then \"succeeds\"", "no later acknowledgement covers those bytes"),
    7: ("no space in the middle of a batch", "the batch is absent; works again when there is space"),
    8: ("failed allocations; little memory", "a clean exit"),
    9: ("recovery of 1 GiB; opening at any size", "milliseconds, whatever the size"),
    10: ("8 producers, 4 consumers, a kill every few ms", "acknowledged is a subset of read; order by key; no offset twice; never back"),
    11: ("an input sent again under its producer id after a kill", "each record once"),
    12: ("a member of a group is killed", "never two owners; another goes on"),
    13: ("a member is stopped (SIGSTOP) and goes on", "never two owners, no commit by the one who lost"),
    14: ("commit against kill", "committed offsets never go back, nor past the durable end"),
    15: ("topics deleted and created anew under load", "no acknowledgement into a deleted topic"),
    16: ("retention under a slow reader", "a whole record, or \"trimmed away\""),
    17: ("a forked child outlives its parent", "the locks are free"),
    18: ("ThreadSanitizer over all that has threads", "no report"),
    19: ("the clock goes back and forth by a year", "order and offsets the same, nothing retired early, found by time"),
    20: ("any bit of any file flipped", "found, or harmless; wrong data never read"),
    21: ("index, tree and state deleted or damaged", "made again, the same"),
    22: ("proofs against an independent RFC 6962", "the same; no altered proof accepted"),
    23: ("roots before and after crashes", "consistent"),
    24: ("a directory of another format", "opened, or refused by name"),
    25: ("fuzzed: segments and batches", "no finding"),
    26: ("fuzzed: codecs", "no finding"),
    27: ("fuzzed: index", "no finding"),
    28: ("fuzzed: offsets and state", "no finding"),
    29: ("fuzzed: TOML", "no finding"),
    30: ("fuzzed: proofs and checkpoints", "no finding"),
    31: ("fuzzed: framings, JSON records, envelopes", "no finding"),
    32: ("fuzzed: sequences of operations against a model", "no finding"),
    33: ("names that lead elsewhere; symbolic links", "refused"),
    34: ("headers that claim 4 GiB, decompression bombs", "memory stays under the cap"),
    35: ("escape sequences in records", "escaped on a terminal, exact in a pipe"),
    36: ("umask 0; secrets", "0600 and 0700; secrets nowhere to be seen"),
    37: ("HTTP: malformed, ambiguous, oversized, slow requests", "refused or closed; memory and descriptors bounded"),
}


def figures():
    """([comments], {number: [row as a dictionary]})"""
    comments, rows = [], {}
    for path in sorted(glob.glob(os.path.join(HERE, "results", "*.tsv"))):
        with open(path, encoding="utf-8") as file:
            for line in file.read().splitlines():
                if line.startswith("#"):
                    comments.append(line[1:].strip())
                    continue
                row = dict(zip(results.COLUMNS, line.split("\t")))
                if row["row"] != "row":
                    for number in re.findall(r"\d+", row["row"]):
                        rows.setdefault(int(number), []).append(row)
    return comments, rows


def with_commas(number):
    return f"{int(number):,}" if number.isdigit() else number


def text_of(comments, rows):
    lines = ["# What leat was put through, and what came of it", "",
             "Made by `tests/crash/scorecard.py` from `tests/crash/results/`. Points are faults that came about, states that were opened, or",
             "inputs that were tried; violations are those after which something that must hold did not. The worst time is that of the",
             "slowest command that came after a fault: recovery is in it.", ""]
    lines += [f"* {comment}" for comment in comments] + [""]
    lines += ["| | fault | must hold | sweep | points | violations | worst ms | seed |", "|---|---|---|---|--:|--:|--:|---|"]
    for number, (fault, hold) in LINES.items():
        for place, row in enumerate(rows.get(number, [])):
            first = (number or "", fault, hold) if place == 0 else ("", "", "")
            lines.append("| {} | {} | {} | {} | {} | {} | {} | {} |".format(
                *first, row["sweep"], with_commas(row["points"]), with_commas(row["violations"]), row["worst_recovery_ms"], row["seed"]))
    lines += ["", "To see a line again:", "", "```sh"]
    commands = dict.fromkeys(row["command"] for number in LINES for row in rows.get(number, []))
    lines += [*commands, "```", ""]
    return "\n".join(lines)


def promises():
    """[(line of the README's "What happens when", the numbers it names)]"""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        section = re.search(r"(?ms)^#+ What happens when\n(.*?)^#", file.read())
    if not section:
        return []
    rows = [line for line in section[1].splitlines() if line.startswith("|")][2:]
    return [(line, [int(n) for n in re.findall(r"\d+", line.strip("| ").split("|")[-1])]) for line in rows]


def complaints(rows, text):
    found = []
    for number, (fault, _) in LINES.items():
        if not rows.get(number):
            found.append(f"line {number} ({fault}) has no figure")
        for row in rows.get(number, []):
            if row["violations"] != "0":
                found.append(f"line {number}: {row['violations']} violations in {row['sweep']}")
            if row["points"] == "0":
                found.append(f"line {number}: {row['sweep']} has tried nothing")
    if not promises():
        found.append('the README has no table "What happens when"')
    for line, numbers in promises():
        if not numbers or any(not rows.get(number) for number in numbers):
            found.append(f"no figure backs: {line}")
    if not os.path.exists(OUTPUT):
        found.append("there is no RESULTS.md")
    else:
        with open(OUTPUT, encoding="utf-8") as file:
            if file.read() != text:
                found.append("RESULTS.md is not what the figures make: run tests/crash/scorecard.py")
    return found


def main():
    parser = argparse.ArgumentParser(description="Makes RESULTS.md of the kept figures, or checks it.")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    comments, rows = figures()
    text = text_of(comments, rows)
    if not options.check:
        with open(OUTPUT, "w", encoding="utf-8") as file:
            file.write(text)
    found = complaints(rows, text)
    print("\n".join(found) or f"{len(LINES)} lines, {sum(map(len, rows.values()))} figures, all as they must be")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
