#!/usr/bin/python3
"""The map-reduce document's demo, as its file reads, with a file in place of ClickHouse: messages are sent to
ingest-performance-metrics while three members process them, one is killed and one is ended in order; then the document's two
questions are asked of what came out: is anything missing, is anything there twice."""

import collections
import glob
import json
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "process"))
import map_reduce_document as document  # noqa: E402
import pipelines  # noqa: E402
from pipelines import Member, committed, leat  # noqa: E402

PIPELINE = document.pipeline('sink = "file"', 'path = "kmr_consumer_ingest.jsonl"', 'rotate_bytes = "64KiB"')
PARTITIONS = 8
MESSAGES = 40_000


def rows():
    """What is in the finished files, and in those that are still open."""
    found = []
    for path in glob.glob("kmr_consumer_ingest.*.jsonl") + glob.glob(".kmr_consumer_ingest.jsonl.*.open"):
        with open(path, "rb") as file:
            found += [json.loads(line) for line in file if line.endswith(b"\n")]
    return found


def main():
    pipelines.need_leat_net()
    generator = random.Random(int(os.environ.get("LEAT_SEED", random.SystemRandom().randrange(10**6))))
    topic = "ingest-performance-metrics"
    leat("topic", "create", topic, "-p", str(PARTITIONS))
    path = pipelines.write_pipeline("pipeline.toml", PIPELINE)
    members = [Member(path) for _ in range(3)]
    for begin in range(0, MESSAGES, 4000):
        leat("produce", topic, stdin="".join(f"any message {n}\n" for n in range(begin, begin + 4000)).encode())
        if begin == 12_000:
            members[0].kill()
        if begin == 20_000:
            members[1].stop()
            members[0] = Member(path)
        time.sleep(generator.uniform(0, 0.1))
    for member in (members[0], members[2]):
        if member.stop() != -15 or member.said():
            sys.exit(f"a member ended with {member.process.returncode}: {member.said()}")
    last = Member(path, "-d")
    if last.wait() != 0:
        sys.exit(f"the last run ended with {last.process.returncode}: {last.said()}")
    ends = {row["partition"]: row["end"] for row in json.loads(leat("partition", "list", topic, "-O", "json"))}
    # A partition that got no record has no offset either.
    if committed("test-map-reduce-consumer") != {partition: end for partition, end in ends.items() if end}:
        sys.exit(f"committed {committed('test-map-reduce-consumer')}, the log ends at {ends}")
    count = collections.Counter((row["partition"], row["offset"]) for row in rows())
    for partition, end in ends.items():
        delta = end - sum(1 for p, _ in count if p == partition)
        if delta != 0:
            sys.exit(f"partition {partition}: {delta} messages are missing")
    twice = sum(n - 1 for n in count.values())
    # What the killed member had delivered and not committed: two seconds' worth at most.
    if twice > 12_000:
        sys.exit(f"{twice} rows are there twice")
    left = glob.glob(".kmr_consumer_ingest.jsonl.*.open")
    if len(left) > 1:  # the killed member's, when nobody has taken it over
        sys.exit(f"files that were not finished: {left}")
    print(f"{sum(ends.values())} messages, none missing, {twice} rows twice after a kill")


if __name__ == "__main__":
    main()
