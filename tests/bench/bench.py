#!/usr/bin/python3
"""leat against the limits of this machine and against its peers, in one run.

    bench.py [--quick-look] [--only WORD] [--no-peers] [--runs N] [--scale small|full|none] [--results DIR]
             [--build DIR] [--programs DIR] [--leat BINARY] [--work DIR]

Prints tables, and writes RESULTS.md, results.json (every sample) and charts into the results directory. A quick look does
little work and proves nothing; it writes only where --results says, and so does a run of some contests only.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time

import bulk
import charts
import contest
import goals
import machine
import programs
import scale
import singles
import tables
from workbench import QUICK, Sizes, Workbench

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
OURS = ("timed", "line_by_line", "make_lines", "limits", "one_shot", "subject_embedded")
BUSY = 0.7
# peer -> (commands it needs, packages that bring these and the library). Without one the others are still measured.
PEERS = {
    "sqlite": ((), "libsqlite3-dev"),
    "sqlite3": (("sqlite3",), "sqlite3"),
    "redis": (("redis-server", "redis-cli"), "redis-server libhiredis-dev"),
    "nats": (("nats-server",), "nats-server libnats-dev"),
    "kcat": (("kcat",), "kcat"),
}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick-look", action="store_true", help="little work, three runs: whether everything works")
    parser.add_argument("--only", default="", metavar="WORD", help="contests and scale tables whose key holds WORD")
    parser.add_argument("--no-peers", action="store_true", help="the limits and leat alone")
    parser.add_argument("--runs", type=int, metavar="N", help="rounds of each contest (default: 5)")
    parser.add_argument("--scale", choices=("small", "full", "none"), default="small",
                        help="full: up to 100 million records, 12 GiB of disk (default: small)")
    parser.add_argument("--results", metavar="DIR", help="where RESULTS.md, results.json and the charts go (default: tests/bench)")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), metavar="DIR", help="where libleat.a is (default: build)")
    parser.add_argument("--programs", metavar="DIR", help="where the small programs are compiled (default: BUILD/bench)")
    parser.add_argument("--leat", metavar="BINARY", help="default: BUILD/leat")
    parser.add_argument("--work", metavar="DIR", help="a directory on the file system to measure (default: BUILD)")
    options = parser.parse_args()
    options.runs = options.runs or (3 if options.quick_look else 5)
    options.build = os.path.abspath(options.build)
    options.leat = os.path.abspath(options.leat or os.path.join(options.build, "leat"))
    if not options.results and not options.quick_look and not options.only:
        options.results = HERE
    return options


def usable_peers(options, paths):
    """The names of the peers that can be measured; says which cannot."""
    usable = set()
    for peer, (commands, packages) in PEERS.items():
        missing = [command for command in commands if not shutil.which(command)]
        compiled = peer in ("sqlite3", "kcat") or "peer_" + peer in paths
        if not missing and compiled:
            usable.add(peer)
        elif not options.no_peers:
            print(f"skipped: {peer}: {', '.join(missing) or 'its program'} is missing; apt-get install {packages}")
    return set() if options.no_peers else usable


def make_programs(options):
    names = [*OURS] if options.no_peers else list(programs.PROGRAMS)
    paths = programs.compile_all(options.build, options.programs or os.path.join(options.build, "bench"), names)
    lacking = [name for name in OURS if name not in paths]
    if lacking:
        sys.exit(f"nothing can be measured without {', '.join(lacking)}")
    return paths


def find_proof_bench(options):
    path = os.path.join(options.build, "tests", "proof-bench")
    if os.path.exists(path):
        return path
    print(f"skipped: proofs: no {path}; ninja -C {options.build} tests/proof-bench")
    return None


def make_workbench(options, directory):
    paths = make_programs(options)
    sizes = QUICK if options.quick_look else Sizes()
    return Workbench(directory, options.leat, paths, usable_peers(options, paths), sizes, find_proof_bench(options))


def commands(options):
    """How to do the same again, with what changes the work."""
    said = ["--quick-look"] * options.quick_look + ["--no-peers"] * options.no_peers + ["--scale", options.scale]
    said += ["--runs", str(options.runs)] + (["--only", options.only] if options.only else [])
    return ["./dev bench", "# installs and builds what is missing, and runs:", " ".join(["tests/bench/bench.py", *said])]


def measure(options, bench):
    held = [each for each in bulk.contests(bench.sizes) + singles.contests(bench.sizes) if options.only in each.key]
    results = {
        "machine": machine.describe(bench.directory, options.leat),
        "when": time.strftime("%Y-%m-%d", time.gmtime()),
        "runs": options.runs,
        "quick_look": options.quick_look,
        "commands": commands(options),
        "contests": [contest.hold(each, bench, options.runs) for each in held],
    }
    results["contests"] = [each for each in results["contests"] if each["contestants"]]
    tables_wanted = options.scale != "none"
    results["scale"] = scale.measure(bench, options.scale == "full", options.runs, options.only) if tables_wanted else []
    results["machine"]["load at the end"] = f"{machine.load():.2f}"
    results["goals"] = goals.judge_all(results, bench.sizes)
    return results


def keep(results, directory):
    os.makedirs(directory, exist_ok=True)
    results["charts"] = charts.draw(results, directory)
    with open(os.path.join(directory, "results.json"), "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
        file.write("\n")
    with open(os.path.join(directory, "RESULTS.md"), "w", encoding="utf-8") as file:
        file.write(tables.markdown(results))
    print(f"written to {directory}: RESULTS.md, results.json and {len(results['charts'])} charts")


def main():
    options = parse()
    # So that servers are stopped and directories removed on this way out too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if machine.load() > BUSY:
        print(f"warning: the machine is busy (load {machine.load():.1f}): whoever waits for the disk also waits for a processor")
    begun = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="leat-bench-", dir=options.work or options.build) as directory:
            results = measure(options, make_workbench(options, directory))
    except contest.Failed as failure:
        sys.exit(f"\n{failure}")
    if options.quick_look:
        print("A quick look: too little work to mean anything.\n")
    print(tables.text(results))
    if options.results:
        keep(results, options.results)
    print(f"{time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
