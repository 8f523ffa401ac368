"""Checks coverage.tsv: columns command, expectation, tests. The third names tests, or says `later: issue N`."""

import re


def check(path, names):
    """(complaints, number of rows left to later issues). `names` are the tests there are."""
    complaints, later, known, seen = [], 0, set(names), set()
    with open(path, encoding="utf-8") as file:
        lines = [(n, line.rstrip("\n")) for n, line in enumerate(file, 1) if line.strip() and not line.startswith("#")]
    for number, line in lines:
        fields = line.split("\t")
        if len(fields) != 3 or not all(f.strip() for f in fields):
            complaints.append(f"coverage.tsv:{number}: three columns expected: {line}")
            continue
        if (fields[0], fields[1]) in seen:
            complaints.append(f"coverage.tsv:{number}: the row is there twice: {fields[0]}, {fields[1]}")
        seen.add((fields[0], fields[1]))
        if re.fullmatch(r"later: issue \d+", fields[2]):
            later += 1
            continue
        for name in fields[2].split():
            if name not in known:
                complaints.append(f"coverage.tsv:{number}: there is no test '{name}'")
    commands = {fields.split("\t")[0] for _, fields in lines}
    for needed in [f"exit {n}" for n in (0, 1, 2, 65, 66, 69, 70, 73, 74, 75, 76, 77, 78, "128+n")]:
        if needed not in commands:
            complaints.append(f"coverage.tsv: no row for {needed}")
    return complaints, later
