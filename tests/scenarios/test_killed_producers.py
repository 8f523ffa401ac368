#!/usr/bin/python3
"""Producers are killed at random moments, more than 200 times, while others write and four follow.

What was acknowledged (a receipt was printed) is there, at the place the receipt names; nothing is torn, nothing twice, each
producer's records are in order and without gaps, offsets are dense, and the next producer always works.
"""

import os
import random
import re
import subprocess
import threading
import time

import processes
from processes import LEAT, fail, leat

SLOTS = 8
KILLS = 24 if processes.SLOW else 104  # for each number of partitions


class Run:
    """One producer process that will be killed."""

    def __init__(self, topic, number):
        self.number = number
        self.receipts_path = f"receipts-{topic}-{number}"
        self.killed = False


complaints = []


def produce(topic, run, delay):
    """Feeds a producer numbered records in small batches without end, and kills it after `delay` seconds."""
    with open(run.receipts_path, "wb") as receipts:
        process = subprocess.Popen([LEAT, "produce", topic, "-O", "text", "--key", f"k{run.number}", "--batch-size", "512"],
                                   stdin=subprocess.PIPE, stdout=receipts, stderr=subprocess.PIPE)
    killer = threading.Timer(delay, process.kill)
    killer.start()
    try:
        for first in range(0, 10**9, 20):
            process.stdin.write("".join(f"{run.number}-{n}\n" for n in range(first, first + 20)).encode())
            process.stdin.flush()
            time.sleep(0.0005)
    except BrokenPipeError:
        pass
    status = process.wait()
    killer.cancel()
    if status != -9:
        complaints.append(f"producer {run.number} ended by itself with {status}: {process.stderr.read().decode().strip()}")
        return
    process.stderr.close()
    run.killed = True


def slot(topic, runs, turn, generator, partitions):
    while True:
        with turn:
            if len(runs) >= KILLS:
                return
            run = Run(topic, len(runs))
            runs.append(run)
        produce(topic, run, generator.uniform(0.005, 0.15) * (10 if processes.SLOW else 1))


def acknowledged(run):
    """[(partition, offset)] of the whole receipts, in the order of the records; a torn last line was never flushed whole."""
    with open(run.receipts_path, "rb") as file:
        text = file.read()
    places = []
    for line in text.split(b"\n")[:-1]:
        match = re.fullmatch(rb"\S+ (\d+) (\d+)", line)
        if not match:
            fail(f"{run.receipts_path}: not a receipt: {line!r}")
        places.append((int(match[1]), int(match[2])))
    return places


def check(records, runs, who):
    processes.check_dense(records, who)
    place = {}
    following = {}
    for partition, offset, value in records:
        match = re.fullmatch(r"(\d+)-(\d+)", value)
        if not match:
            fail(f"{who}: a torn record: {value!r}")
        run, number = int(match[1]), int(match[2])
        if number != following.get(run, 0):
            fail(f"{who}: producer {run}'s record {number} where {following.get(run, 0)} was due")
        following[run] = number + 1
        place[run, number] = (partition, offset)
    for run in runs:
        for number, receipt in enumerate(acknowledged(run)):
            if place.get((run.number, number)) != receipt:
                fail(f"{who}: producer {run.number}'s record {number} was acknowledged at {receipt}, "
                     f"but is at {place.get((run.number, number))}")


def run_all(partitions, generator):
    topic = f"killed-{partitions}"
    leat("topic", "create", topic, "-p", str(partitions))
    followers = [processes.Follower(topic, f"follower-{partitions}-{n}") for n in range(4)]
    runs, turn = [], threading.Lock()
    slots = [threading.Thread(target=slot, args=(topic, runs, turn, random.Random(generator.random()), partitions))
             for _ in range(SLOTS)]
    for thread in slots:
        thread.start()
    for thread in slots:
        thread.join()
    if complaints:
        fail("\n".join(complaints))
    killed = sum(run.killed for run in runs)
    if killed < KILLS:
        fail(f"only {killed} producers were killed")
    # One more works at once, and clears away what the killed ones left half written.
    started = time.monotonic()
    for partition in range(partitions):
        leat("produce", topic, "-p", str(partition), input=f"{KILLS + partition}-0\n".encode())
    recovered = time.monotonic() - started
    shown = leat("consume", topic, "-Bd", "-F", "{{partition}} {{offset}} {{value}}").decode("ascii")
    records = processes.parse_records(shown.splitlines(keepends=True))
    check(records, runs, "a new reader")
    for follower in followers:
        follower.wait_for(len(records), 30)
        follower.end()
        check(follower.records(), runs, follower.path)
    total = sum(len(acknowledged(run)) for run in runs)
    if total < KILLS:
        fail(f"only {total} records were acknowledged: nothing was shown")
    cuts = sum(len(files) for _, _, files in os.walk(f"{os.environ['LEAT_DATA_DIR']}/topics/{topic}"))
    print(f"{partitions} partitions: {killed} kills, {total} acknowledged, {len(records)} read, all in place; "
          f"the next producer took {recovered:.3f} s; {cuts} files")


random_generator = processes.seeded()
run_all(1, random_generator)
run_all(4, random_generator)
