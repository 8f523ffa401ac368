#!/usr/bin/python3
"""The session of the document in fluvio_session.txt, command by command with `leat` for `fluvio`, prints what it prints.

Each command runs on a terminal, as there. Ages are compared as ages. One line is ours: under the status line a consumer that
resumes says where; it is checked for and left out of the comparison.
"""

import os
import re
import subprocess
import sys

session = os.path.join(os.environ["LEAT_ROOT"], "tests/scenarios/fluvio_session.txt")
subprocess.run(["leat", "topic", "create", "hello-topic"], check=True, stdout=subprocess.DEVNULL)

with open(session, encoding="utf-8") as file:
    blocks = re.findall(r"(?m)^\$ (.*)\n((?:[^$].*\n)*)", file.read())
assert len(blocks) == 10, len(blocks)


def without_ages(text):
    return re.sub(r"(?m)(  )(\d+[dhm] )?\d+[dhms]$", r"\1AGE", text)


resumed, failures = [], 0
for command, expected in blocks:
    ours = command.replace("fluvio", "leat")
    shown = subprocess.run(["on-terminal", "--", "bash", "-c", ours], capture_output=True, text=True)
    lines = shown.stdout.splitlines(keepends=True)
    status = lines.pop().strip()
    resumed += [line.strip() for line in lines if re.search(r"\bresumes at\b", line)]
    got = "".join(line for line in lines if not re.search(r"\bresumes at\b", line))
    if without_ages(got) != without_ages(expected) or status != "[status 0]":
        failures += 1
        print(f"$ {ours}\n-- the document prints\n{expected}-- leat prints\n{got}{status}")
if resumed != ["c1 resumes at 2"]:
    failures += 1
    print("where consumers resumed:", resumed)
sys.exit(1 if failures else 0)
