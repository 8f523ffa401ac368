#!/usr/bin/python3
"""Which sweep catches which mistake: the sweeps are run on a leat that makes one, on purpose.

    tests/crash/seeded_bugs.py [--all] [--bug NAME]... [--results FILE]

leat-seeded (tests/support/seeded_bugs.cc) makes the mistake that LEAT_SEEDED_BUG names:

    acknowledge-before-write   receipts go out, the bytes go to the file when the process ends
    no-fdatasync               what is written is never synced
    no-directory-sync          names made in a directory are never synced
    no-crc-check               every checksum is right
    no-tail-cut                a torn tail stays, and the next batch is put behind it
    sync-retried               a sync that failed is tried again, and its second answer believed

By default each is shown to the sweeps that have to catch it (CATCHES). With --all every sweep sees every mistake, and none at all,
where it has to find nothing; the table of what came of it is printed. Exits with 1 when one that has to catch does not.
"""

import argparse
import os
import subprocess
import sys
import time

import results

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("LEAT_BUILD", os.path.join(os.path.dirname(os.path.dirname(HERE)), "build"))
SKIPPED = 77
# A few seconds of each, with a seed that is kept, so that it catches the same every time.
SWEEPS = {
    "kill": ["fault_sweep.py", "kill", "--only", "produce", "--seconds", "6", "--seed", "1"],
    "torn": ["fault_sweep.py", "torn", "--seconds", "3", "--seed", "1"],
    "error": ["fault_sweep.py", "error", "--only", "produce old", "--seconds", "6", "--seed", "1"],
    "limit": ["fault_sweep.py", "limit", "--seconds", "3", "--seed", "1"],
    "power cut": ["power_cut_model.py", "--limit", "3", "--only", "append", "--only", "create", "--only", "roll", "--seed", "1"],
    "damage": ["damage_sweep.py", "bits", "--seed", "1"],
    "failed sync": ["failed_syncs.py", "--seconds", "8", "--seed", "1"],
}
CATCHES = {
    "acknowledge-before-write": ["kill", "power cut"],
    "no-fdatasync": ["power cut"],
    "no-directory-sync": ["power cut"],
    "no-crc-check": ["damage"],
    "no-tail-cut": ["torn"],
    "sync-retried": ["failed sync"],
}
NONE = "none"


def run(sweep, bug):
    """Whether the sweep finds violations in a leat with that mistake; None where it cannot run."""
    environment = {**os.environ, "LEAT": os.path.join(BUILD, "tests", "leat-seeded"),
                   "LEAT_DYNAMIC": os.path.join(BUILD, "tests", "leat-seeded-dynamic")}
    environment.pop("LEAT_SEEDED_BUG", None)
    if bug != NONE:
        environment["LEAT_SEEDED_BUG"] = bug
    program, *arguments = SWEEPS[sweep]
    done = subprocess.run([sys.executable, os.path.join(HERE, program), *arguments], env=environment, capture_output=True, text=True)
    if done.returncode == SKIPPED:
        print(f"{sweep} cannot run here: {(done.stdout.strip().splitlines() or ['it says not why'])[-1]}")
        return None
    # Some mistakes show before there is any fault.
    if ".Wrong:" in done.stderr and bug != NONE:
        return True
    if done.returncode not in (0, 1) or "Traceback" in done.stderr:
        sys.exit(f"{sweep} with {bug}: status {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    if bug == NONE and done.returncode:
        print(done.stdout[-2000:])
    return done.returncode == 1


def print_table(found, sweeps):
    def word(bug, sweep):
        outcome = found.get((bug, sweep), "")
        return {True: "caught", False: "-", None: "not run", "": ""}[outcome]
    width = max(map(len, CATCHES)) + 2
    print("".join([" " * width, *(f"{sweep:13}" for sweep in sweeps)]).rstrip())
    for bug in [*CATCHES, NONE]:
        print("".join([f"{bug:{width}}", *(f"{word(bug, sweep):13}" for sweep in sweeps)]).rstrip())


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Shows which sweep catches which mistake.")
    parser.add_argument("--all", action="store_true", help="every sweep on every mistake")
    parser.add_argument("--bug", action="append", choices=list(CATCHES), help="only this one")
    parser.add_argument("--results", help="append rows for the scorecard to this file")
    options = parser.parse_args(arguments)
    if not os.access(os.path.join(BUILD, "tests", "leat-seeded"), os.X_OK):
        print(f"there is no {BUILD}/tests/leat-seeded")
        return SKIPPED
    found, wrong, started = {}, [], time.monotonic()
    for bug in [*(options.bug or CATCHES), NONE]:
        for sweep in SWEEPS:
            needed = sweep in CATCHES.get(bug, [])
            if not (needed or options.all):
                continue
            caught = found[bug, sweep] = run(sweep, bug)
            if caught is not None and (bug == NONE and caught or needed and not caught):
                wrong.append(f"{sweep} has {'found something where there is nothing' if bug == NONE else f'not caught {bug}'}")
    print_table(found, [sweep for sweep in SWEEPS if any(sweep == s for _, s in found)])
    for line in wrong:
        print(line)
    caught = sum(any(found.get((bug, sweep)) for sweep in CATCHES[bug]) for bug in CATCHES)
    print(f"{caught} of {len(options.bug or CATCHES)} mistakes caught, {len(found)} runs, {time.monotonic() - started:.0f} s")
    if options.results:
        for bug in options.bug or CATCHES:
            catchers = [sweep for sweep in SWEEPS if found.get((bug, sweep))]
            results.write(options.results, "0", f"{bug}: caught by {', '.join(catchers) or 'nothing'}", len(found),
                          int(not catchers), None, 1, "tests/crash/seeded_bugs.py" + (" --all" if options.all else ""))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
