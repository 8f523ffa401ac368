#!/usr/bin/python3
"""A store is killed at random moments while its source is written: after every restart it comes to hold exactly what the source
says, and its changelog holds each record of the source once. Now and then its snapshots are lost, or it is ended in order."""

import json
import os
import random
import shutil
import sys
import threading
import time

import servers
from servers import Server, leat

ROUNDS = 8 if servers.SLOW else 25
PARTITIONS = 3


def write(records, generator, stop):
    """Changes, in small batches, until told to stop."""
    while not stop.is_set():
        for _ in range(generator.randrange(1, 400)):
            key = f"key-{generator.randrange(500)}"
            records.put(key, None if generator.random() < 0.2 else f"{generator.random()}")
        records.send()
        time.sleep(generator.uniform(0, 0.05))


def check_changelog(ends):
    """Each record of the source is in the changelog once, in order."""
    shown = leat("consume", "s-changelog", "-Bd", "-O", "jsonl").decode().splitlines()
    offsets = {partition: [] for partition in range(PARTITIONS)}
    for line in shown:
        record = json.loads(line)
        headers = dict(record["headers"])
        if "leat-store" not in headers:
            offsets[record["partition"]].append(int(headers["leat-source"]))
    for partition, found in offsets.items():
        if found != list(range(ends[partition])):
            sys.exit(f"partition {partition}: the changelog has {len(found)} records of {ends[partition]}, "
                     f"{len(set(found))} of them different")
    return len(shown)


def source_ends():
    return {row["partition"]: row["end"] for row in json.loads(leat("partition", "list", "source", "-O", "json"))}


def main():
    servers.need_leat_net()
    seed = int(os.environ.get("LEAT_SEED", random.SystemRandom().randrange(10**6)))
    print(f"seed {seed}", flush=True)
    generator = random.Random(seed)
    leat("topic", "create", "source", "-p", str(PARTITIONS))
    records = servers.Records("source")
    stop = threading.Event()
    writer = threading.Thread(target=write, args=(records, random.Random(seed + 1), stop))
    writer.start()
    kills = ends = lost = 0
    slowest = 0.0
    for number in range(ROUNDS):
        # Often before it is ready.
        server = Server("s", "--auto-flush-time", "20ms", "--snapshot-interval", "100ms", wait=generator.random() < 0.5)
        if server.port is None:
            sys.exit(f"round {number}: it ended with {server.rest()}")
        time.sleep(generator.uniform(0, 0.4) * (5 if servers.SLOW else 1))
        if server.process.poll() is not None:
            sys.exit(f"round {number}: it ended by itself: {server.rest()}")
        if generator.random() < 0.2:
            status = server.stop()
            if status != -15:
                sys.exit(f"round {number}: ended in order with {status}")
            ends += 1
        else:
            server.kill()
            kills += 1
        if generator.random() < 0.2:
            shutil.rmtree(os.path.join(os.environ["LEAT_DATA_DIR"], "stores"), ignore_errors=True)
            lost += 1
    stop.set()
    writer.join()
    began = time.monotonic()
    server = Server("s")
    slowest = time.monotonic() - began
    last = {partition: end - 1 for partition, end in source_ends().items() if end > 0}
    server.wait_for(last)
    found = server.contents()
    if found != records.model:
        wrong = {key for key in found.keys() | records.model.keys() if found.get(key) != records.model.get(key)}
        sys.exit(f"{len(wrong)} keys are wrong, among them {sorted(wrong)[:5]}")
    if server.stop() != -15:
        sys.exit("the last one did not end in order")
    # Without its server it says the same.
    offline = {item["key"]: item["value"] for item in json.loads(leat("store", "scan", "s", "-O", "json"))}
    if offline != records.model:
        sys.exit("store scan says something else")
    count = check_changelog(source_ends())
    print(f"{kills} kills, {ends} ends in order, snapshots lost {lost} times: {len(found)} keys right, {count} records in the "
          f"changelog, each once; the last start took {slowest:.2f} s")


if __name__ == "__main__":
    main()
