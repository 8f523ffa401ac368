#!/usr/bin/python3
"""Apache Kafka itself, three nodes on this machine: the commands beside the same ones on a directory, kcat, TLS and SASL, brokers that
are killed.

    tests/kafka/test_cluster.py [--long] [--seed N] [--only PART]...

PART is one of those below, or the name of a function of faults.py. Without --long it is what takes about a minute, and is skipped where
Apache Kafka has never been loaded: ./dev kafka loads it, and runs everything. Where LEAT_TEST_KAFKA=HOST:PORT names a cluster, which
must be empty, what needs no nodes of its own runs there.
"""

import argparse
import os
import random
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "scenarios")]
import cluster  # noqa: E402
import faults  # noqa: E402
import kcat  # noqa: E402
import load  # noqa: E402
import processes  # noqa: E402
import same_commands  # noqa: E402
import security  # noqa: E402
import test_commands  # noqa: E402

BUILD = os.environ.get("LEAT_BUILD", os.path.dirname(os.path.abspath(processes.LEAT)))
SHORT = ["new_topics", "commands", "security", "leaders_killed"]
LONG = [*SHORT, "kcat", "administration", "benchmarks", "node_down", "member_killed", "member_stopped", "coordinator_killed",
        "too_few_in_sync", "all_killed", "contract"]
# On one node.
ALONE = ["one_node"]
ANYWHERE = ["commands", "kcat", "administration", "contract"]


def new_topics(nodes, _, rounds=5):
    """What was created, enlarged or deleted is so on every node when the command returns."""
    for round_ in range(rounds):
        name = f"new-{round_}"
        load.leat("-D", nodes.url, "topic", "create", name, "-p", "3")
        known = [len(nodes.topics(node).get(name, ())) for node in nodes.up()]
        load.leat("-D", nodes.url, "topic", "add-partition", name, "-q")
        then = [len(nodes.topics(node).get(name, ())) for node in nodes.up()]
        load.leat("-D", nodes.url, "produce", name, "-p", "3", stdin=b"a\n")
        if load.leat("-D", nodes.url, "consume", name, "-Bd")[0] != "a\n":
            raise load.Wrong(f"{name}: what was just written to a new partition is not read")
        for days in (1, 2):
            load.leat("-D", nodes.url, "topic", "set", name, f"retention-time={days}d")
            load.leat("-D", nodes.url, "topic", "set", name, f"retention-bytes={days}GiB")
        described = load.leat("-D", nodes.url, "topic", "describe", name)[0]
        if "2d" not in described or "2GiB" not in described:
            raise load.Wrong(f"{name}: of two settings that were changed one after the other one is lost: {described}")
        load.leat("-D", nodes.url, "topic", "delete", name)
        left = [node for node in nodes.up() if name in nodes.topics(node)]
        if known != [3] * nodes.count or then != [4] * nodes.count or left:
            raise load.Wrong(f"{name}: the nodes know {known} partitions of 3, then {then} of 4, and {left} still have it after deletion")
    return "created, enlarged, changed and deleted topics are so on every node at once"


def commands(nodes, _):
    count, complaints = same_commands.check(nodes.url)
    if complaints:
        raise load.Wrong("\n".join(complaints))
    return f"{count} commands say the same as on a directory"


def administration(nodes, _):
    wrong = test_commands.check_real(nodes.url)
    if wrong:
        raise load.Wrong(", ".join(wrong))
    return "records, groups and what an administrator does, from a shell"


def benchmarks(nodes, _):
    before = load.leat("-D", nodes.url, "topic", "list", "--names")[0]
    for flags in (["produce"], ["consume"], ["e2e"], ["groups", "--rounds", "2"]):
        told = load.leat("-D", nodes.url, "bench", *flags, "--records", "2000", "--size", "50", timeout=240)[0]
        if "2,000" not in told or "replicas" not in told:
            raise load.Wrong(f"bench {flags}: {told}")
    if load.leat("-D", nodes.url, "topic", "list", "--names")[0] != before:
        raise load.Wrong("a benchmark leaves its topic behind")
    return "produce, consume, e2e and groups end, and leave nothing behind"


def contract(nodes, _):
    """The cases of backend.h's contract."""
    for name in load.leat("-D", nodes.url, "topic", "list", "--names")[0].split():
        load.leat("-D", nodes.url, "topic", "delete", name)
    for line in load.leat("-D", nodes.url, "consumer", "list")[0].splitlines()[1:]:
        load.leat("-D", nodes.url, "consumer", "delete", line.split()[0], "--if-exists")
    done = subprocess.run([os.path.join(BUILD, "tests", "kafka-contract")], env={**os.environ, "LEAT_TEST_KAFKA": nodes.plain},
                          capture_output=True, text=True, timeout=900)
    if done.returncode:
        raise load.Wrong(done.stdout + done.stderr)
    return [line for line in done.stdout.splitlines() if "test cases:" in line][-1].replace("[doctest] ", "")


PARTS = {"new_topics": new_topics, "commands": commands, "administration": administration, "benchmarks": benchmarks,
         "contract": contract, "kcat": kcat.check, "security": security.check}


def part(name):
    return PARTS.get(name) or getattr(faults, name)


def run(names, nodes, seed, long):
    failed = 0
    for name in names:
        began = time.monotonic()
        options = {} if long else {"new_topics": {"rounds": 1}, "leaders_killed": {"rounds": 1}, "security": {"brief": True}}.get(name, {})
        try:
            said = part(name)(nodes, random.Random(f"{seed} {name}"), **options)
            print(f"{name}: {said} ({time.monotonic() - began:.0f} s)", flush=True)
        except (load.Wrong, RuntimeError, subprocess.TimeoutExpired) as error:
            failed += 1
            print(f"FAILED {name}, --seed {seed}: {error}", flush=True)
            if isinstance(nodes, cluster.Cluster):
                for child in processes.children():
                    if child != nodes.process.pid:
                        os.kill(child, 9)
                nodes.start_all()
    return failed


def run_all(names, seed, long):
    flags = [] if long else ["--cached"]
    given = os.environ.get("LEAT_TEST_KAFKA")
    if given:
        return run([name for name in names if name in ANYWHERE], cluster.Given(given), seed, long)
    failed = 0
    for count, wanted in ((3, lambda name: name not in ALONE), (1, lambda name: name in ALONE)):
        some = [name for name in names if wanted(name)]
        if some:
            with cluster.Cluster(count, *flags, *(["--tls", "--sasl"] if "security" in some else [])) as nodes:
                failed += run(some, nodes, seed, long)
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("LEAT_SEED", random.SystemRandom().randrange(10**6))))
    parser.add_argument("--only", action="append")
    options = parser.parse_args()
    if not os.path.exists(os.path.join(BUILD, "leat-net")):
        print("leat-net is not built: librdkafka-dev was not there")
        return cluster.SKIPPED
    names = options.only or (LONG + ALONE if options.long else SHORT)
    print(f"seed {options.seed}", flush=True)
    with processes.workplace():
        load.LEAT = os.path.join(BUILD, "leat")
        os.environ["PATH"] = BUILD + ":" + os.environ["PATH"]
        try:
            failed = run_all(names, options.seed, options.long or bool(options.only))
        except cluster.Skip as reason:
            print(reason)
            return cluster.SKIPPED
    print(f"{failed} failures")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
