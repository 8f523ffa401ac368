#!/usr/bin/python3
"""Eight processes produce 5,000 records each into one topic at once, of 1 partition and again of 4, while four others follow.

Every follower reads every record exactly once, each producer's records in order, offsets dense; no process waits for ever.
"""

import random
import subprocess
import threading

import processes
from processes import LEAT, fail, leat

PRODUCERS, FOLLOWERS = 8, 4
RECORDS = 500 if processes.SLOW else 5000


def feed(process, producer, generator):
    """Writes the records in bursts of 1 to 60, so that many appends of many sizes happen."""
    number = 0
    while number < RECORDS:
        burst = min(generator.randint(1, 60), RECORDS - number)
        process.stdin.write("".join(f"p{producer}:{producer}-{n}\n" for n in range(number, number + burst)).encode())
        process.stdin.flush()
        number += burst
    process.stdin.close()


def run(partitions, generator):
    topic = f"shared-{partitions}"
    leat("topic", "create", topic, "-p", str(partitions))
    total = PRODUCERS * RECORDS
    followers = [processes.Follower(topic, f"follower-{partitions}-{n}") for n in range(FOLLOWERS)]
    producers, feeders = [], []
    for n in range(PRODUCERS):
        process = subprocess.Popen([LEAT, "produce", topic, "--key-separator", ":", "--batch-size", "4KiB"],
                                   stdin=subprocess.PIPE)
        producers.append(process)
        feeders.append(threading.Thread(target=feed, args=(process, n, random.Random(generator.random()))))
    for feeder in feeders:
        feeder.start()
    for n, process in enumerate(producers):
        try:
            status = process.wait(100)
        except subprocess.TimeoutExpired:
            fail(f"producer {n} waits for ever")
        if status:
            fail(f"producer {n} ended with {status}")
    for follower in followers:
        follower.wait_for(total, 30)
        follower.end()
        records = follower.records()
        if len(records) != total:
            fail(f"{follower.path}: {len(records)} records instead of {total}")
        processes.check_dense(records, follower.path)
        following = [0] * PRODUCERS
        for _, _, value in records:
            producer, number = map(int, value.split("-"))
            if number != following[producer]:
                fail(f"{follower.path}: producer {producer}'s record {number} where {following[producer]} was due")
            following[producer] += 1
    print(f"{partitions} partitions: {PRODUCERS} x {RECORDS} records, read by {FOLLOWERS} followers")


random_generator = processes.seeded()
run(1, random_generator)
run(4, random_generator)
