#!/usr/bin/python3
"""How many instructions fixed runs of leat take, beside what they took when the figures were last kept.

    tests/bench/instructions.py [--accept] [--leat BINARY]

Counted by valgrind's callgrind, they are the same whatever else the machine does, to a few in a thousand. More than 3 % over
the kept figure is a failure; so much under it asks for the new one to be kept (--accept writes tests/bench/instructions.tsv).
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
KEPT = os.path.join(HERE, "instructions.tsv")
SKIPPED = 77
ALLOWED = 0.03
RECORDS = 50_000
# name: (arguments, what it is given)
RUNS = {
    "version": (["version"], None),
    "produce one record": (["produce", "one"], b"a record\n"),
    "produce 100 B": (["produce", "plain"], "lines"),
    "produce 100 B, no proofs": (["produce", "bare"], "lines"),
    "produce 100 B, keyed, lz4": (["produce", "keyed", "--key-separator", " ", "--compression", "lz4"], "lines"),
    "produce 100 B with receipts": (["produce", "receipts", "-O", "text"], "lines"),
    "consume 100 B": (["consume", "plain", "-Bd"], None),
    "consume 100 B, lz4, keys": (["consume", "keyed", "-Bd", "-k"], None),
    "consume as JSON": (["consume", "plain", "-Bd", "-O", "jsonl"], None),
    "consume from the middle": (["consume", "plain", "-d", "--start", str(RECORDS // 2), "-n", "1"], None),
    "verify": (["inspect", "verify", "plain", "--deep"], None),
}
TOPICS = [["one"], ["plain"], ["bare", "--proofs", "off"], ["keyed"], ["receipts"]]


def lines():
    return b"".join(b"%08d %s\n" % (n, (b"%x" % (n * 2654435761 % 2**32)).ljust(91, b".")) for n in range(RECORDS))


def count(leat, arguments, given, environment):
    """The instructions of one run, all threads."""
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", leat, *arguments], input=given or b"",
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    found = re.search(rb"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        sys.exit(f"leat {' '.join(arguments)}: status {done.returncode}\n{done.stderr.decode('utf-8', 'replace')[-2000:]}")
    return int(found[1])


def measure(leat):
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="leat-instructions-", dir=place) as directory:
        environment = {"PATH": os.environ["PATH"], "HOME": directory, "LEAT_DATA_DIR": os.path.join(directory, "data"), "LC_ALL": "C.UTF-8"}
        for topic in TOPICS:
            subprocess.run([leat, "topic", "create", *topic], check=True, env=environment, stdout=subprocess.DEVNULL)
        given = lines()
        return {name: count(leat, arguments, given if content == "lines" else content, environment)
                for name, (arguments, content) in RUNS.items()}


def kept():
    with open(KEPT, encoding="utf-8") as file:
        return {name: int(number) for name, number in (line.rstrip("\n").split("\t") for line in file)}


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Compares instruction counts with kept ones.")
    parser.add_argument("--accept", action="store_true", help="keep what is counted now")
    parser.add_argument("--leat", default=os.environ.get("LEAT", os.path.join(HERE, "..", "..", "build", "leat")))
    options = parser.parse_args(arguments)
    if os.environ.get("LEAT_SANITIZER"):
        print("the figures are those of a release build")
        return SKIPPED
    if not shutil.which("valgrind"):
        print("valgrind is not installed")
        return SKIPPED
    before, now = kept() if os.path.exists(KEPT) else {}, measure(options.leat)
    if options.accept:
        with open(KEPT, "w", encoding="utf-8") as file:
            file.writelines(f"{name}\t{number}\n" for name, number in now.items())
    worse = []
    for name, number in now.items():
        ratio = number / before[name] - 1 if name in before else 0
        print(f"{name:30} {number:15,}  {ratio:+7.2%}{'' if name in before else '  (new)'}")
        if ratio > ALLOWED:
            worse.append(name)
    if worse and not options.accept:
        print(f"more than {ALLOWED:.0%} more than before: {', '.join(worse)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
