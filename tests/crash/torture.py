#!/usr/bin/python3
"""Everything of the scorecard that takes long, one after the other: `./dev torture [--minutes N]`.

    tests/crash/torture.py [--minutes N] [--only WORD] [--seed N]

What has an end of its own runs to it; the rest shares what is left of the minutes. The figures go to tests/crash/results/torture.tsv
and with those of `./dev fuzz` and `./dev sanitize` into RESULTS.md. A run keeps the rows of the sweeps that it
does not come to.
"""

import argparse
import dataclasses
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time

import results

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
KEPT = os.path.join(HERE, "results", "torture.tsv")
SKIPPED = 77


@dataclasses.dataclass
class Sweep:
    program: str  # beside this one
    arguments: list
    share: float = 0  # of the time; 0: it takes what it takes
    directory: str = HERE
    has_seed: bool = True

    def __str__(self):
        return " ".join([os.path.relpath(os.path.join(self.directory, self.program), ROOT), *self.arguments])

    def command(self, seconds, seed, rows):
        return [sys.executable, os.path.join(self.directory, self.program), *self.arguments,
                *(["--seconds", f"{seconds * self.share:.0f}"] if self.share else []), *(["--seed", str(seed)] if self.has_seed else []), "--results", rows]


# The shares add up to 1.
SWEEPS = [
    Sweep("seeded_bugs.py", ["--all"], has_seed=False),
    Sweep("fault_sweep.py", ["kill"]),
    Sweep("fault_sweep.py", ["serve"]),
    Sweep("fault_sweep.py", ["torn"]),
    Sweep("fault_sweep.py", ["limit"]),
    Sweep("fault_sweep.py", ["memory"]),
    Sweep("fault_sweep.py", ["error"], 0.25),
    Sweep("power_cut_model.py", ["--limit", "60"]),
    Sweep("real_cuts.py", ["--cuts", "100"]),
    Sweep("preload_sweep.py", [], 0.1),
    Sweep("failed_syncs.py", []),
    Sweep("late_errors.py", []),
    Sweep("full_disk.py", []),
    Sweep("recovery_time.py", []),
    Sweep("producers_chaos.py", [], 0.2),
    Sweep("producers_chaos.py", ["--roots", "100"]),
    Sweep("groups_chaos.py", [], 0.15),
    Sweep("takeover.py", ["--kills", "200"]),
    Sweep("topics_chaos.py", [], 0.1),
    Sweep("slow_reader.py", [], 0.1),
    Sweep("test_exactly_once.py", [], directory=os.path.join(ROOT, "tests", "scenarios"), has_seed=False),
    Sweep("forked_child.py", []),
    Sweep("clock_changes.py", [], 0.05),
    Sweep("damage_sweep.py", []),
    Sweep("old_formats.py", []),
    Sweep("proof_reference.py", []),
    Sweep("hostile_names.py", [], 0.05),
    Sweep("hostile_bytes.py", []),
    Sweep("terminal_escapes.py", []),
    Sweep("file_modes.py", []),
    Sweep("hostile_http.py", ["--points", "3000"]),
]


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    leat = subprocess.run([os.environ["LEAT"], "--version"], capture_output=True, text=True).stdout.strip()
    return (f"torture, {time.strftime('%Y-%m-%d')}: {leat}, Linux {platform.release()}, {os.cpu_count()} x "
            f"{model[1] if model else platform.machine()}")


def run(sweep, seconds, seed):
    """(whether it was right, its rows)"""
    with tempfile.TemporaryDirectory(prefix="leat-torture-") as directory:
        rows = os.path.join(directory, "rows.tsv")
        started = time.monotonic()
        print(f"== {sweep}", flush=True)
        environment = {**os.environ, "HOME": directory, "LEAT_DATA_DIR": os.path.join(directory, "data")}
        done = subprocess.run(sweep.command(seconds, seed, rows), cwd=directory, env=environment)
        print(f"   {time.monotonic() - started:.0f} s", flush=True)
        if done.returncode == SKIPPED:
            print("   could not run here")
        lines = []
        if os.path.exists(rows):
            with open(rows, encoding="utf-8") as file:
                lines = file.read().splitlines()[1:]
        return done.returncode in (0, SKIPPED), lines


def kept():
    """The rows of earlier runs."""
    if not os.path.exists(KEPT):
        return []
    with open(KEPT, encoding="utf-8") as file:
        return [line for line in file.read().splitlines() if line and line[0].isdigit()]


def owner(line):
    """The sweep that a row is of: its command names the program, and of those the one with most of its arguments."""
    command = line.split("\t")[-1]
    named = [sweep for sweep in SWEEPS if sweep.program in command]
    return max((sweep for sweep in named if str(sweep) in command), key=lambda sweep: len(str(sweep)), default=next(iter(named), None))


def keep(lines):
    os.makedirs(os.path.dirname(KEPT), exist_ok=True)
    with open(KEPT, "w", encoding="utf-8") as file:
        file.write("\n".join([f"# {machine()}", "\t".join(results.COLUMNS), *lines, ""]))


def main():
    parser = argparse.ArgumentParser(description="Runs the long sweeps and keeps their figures.")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--only", help="the sweeps whose command holds this")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("LEAT_SEED", random.SystemRandom().randrange(10**6))))
    options = parser.parse_args()
    build = os.environ.setdefault("LEAT_BUILD", os.path.join(ROOT, "build"))
    os.environ.setdefault("LEAT", os.path.join(build, "leat"))
    chosen = [sweep for sweep in SWEEPS if not options.only or options.only in str(sweep)]
    if not chosen:
        parser.error(f"no sweep holds '{options.only}'")
    lines, wrong = kept(), []
    for sweep in chosen:
        # About half of the time goes to what has an end of its own.
        good, rows = run(sweep, options.minutes * 60 / 2, options.seed)
        lines = [line for line in lines if owner(line) is not sweep] + rows
        keep(lines)  # a run that is broken off leaves what it has done
        if not good:
            wrong.append(str(sweep))
    for name in wrong:
        print(f"not as it must be: {name}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
