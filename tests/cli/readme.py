"""Runs the tour of README.md: in its ```console blocks a line that begins with `$ ` is a command, what follows is its output."""

import difflib
import os
import re
import subprocess

import case


def sessions(text):
    """[(command, expected output)] of all console blocks, in order. A command goes on over lines that end in a backslash."""
    found = []
    for block in re.findall(r"(?ms)^```console\n(.*?)^```$", text):
        command, output = None, []
        for line in block.splitlines():
            if command is not None and command.endswith("\\") and not output:
                command += "\n" + line.removeprefix("> ")
            elif line.startswith("$ "):
                if command is not None:
                    found.append((command, output))
                command, output = line[2:], []
            else:
                output.append(line)
        if command is not None:
            found.append((command, output))
    return found


def check(path, directory, environment):
    """'' when every command prints what README.md says, else the difference."""
    if not os.path.exists(path):
        return "there is no README.md"
    with open(path, encoding="utf-8") as file:
        pairs = sessions(file.read())
    if len(pairs) < 8:
        return f"README.md shows only {len(pairs)} commands"
    # One shell for all of them, as the reader's; a mark between two commands tells their outputs apart.
    mark = "====8<===="
    script = "exec 2>&1\n" + "".join(f"{command}\nprintf '%s\\n' '{mark}'\n" for command, _ in pairs)
    done = subprocess.run(["bash", "-c", script], cwd=os.path.join(directory, "work"), env=environment, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    outputs = done.stdout.split(mark + "\n")
    complaints = []
    for (command, expected), got in zip(pairs, outputs + [""] * len(pairs)):
        want = case.normalise("\n".join(expected).rstrip(), directory).split("\n")
        have = case.normalise(got.rstrip("\n"), directory).split("\n")
        want = [re.sub(r"\b\d{4}-\d\d-\d\dT[0-9:.]+Z", lambda m: "TIME".ljust(len(m[0]), "_"), line) for line in want]
        want = [re.sub(r"\b1[678]\d{11}\b", "MS", line) for line in want]
        if want != have:
            complaints.append(f"$ {command}")
            complaints += difflib.unified_diff(want, have, "README.md", "got", lineterm="")
    return "\n".join(complaints)
