#!/usr/bin/python3
"""A source that gains partitions while its store runs: they are served without a restart, by the primary and by a replica, and what
was there stays; after a kill as well. In a directory, and on the cluster that LEAT_TEST_KAFKA=host:port names (librdkafka's mock
has topics of a fixed size)."""

import json
import os
import sys
import time

import servers
from servers import Server, check, leat


def put(records, partition, *pairs):
    """To one partition: a key that is new goes where the test says, not where its hash does."""
    for key, value in pairs:
        records.put(key, value)
    lines = "".join(line + "\n" for line in records.lines).encode()
    records.lines = []
    receipts = leat("produce", records.topic, "--framing", "json", "-O", "text", "-p", str(partition), stdin=lines, place=records.place)
    return {partition: int(receipts.decode().split()[-1])}


def wait_until_held(server, count):
    deadline = time.monotonic() + servers.PATIENCE * 2
    while True:
        rows = server.json("/status")["partitions"]
        if len(rows) == count and all(row["ready"] for row in rows):
            return
        if time.monotonic() > deadline:
            sys.exit(f"{len(rows)} partitions are held, not {count}: {server.lines}")
        time.sleep(0.1)


def grows(place, source, env):
    leat("topic", "create", source, "-p", "1", place=place)
    records = servers.Records(source, place=place)
    put(records, 0, *((f"old-{n}", f"value-{n}") for n in range(50)))
    settings = {"place": place, "env": env, "source": source}
    store = f"store-of-{source}"
    flags = ("--auto-flush-time", "50ms", "--changelog", f"{store}-log")
    server = Server(store, *flags, **settings)
    replica = Server(store, *flags, "--replica-only", "--wait-for-replicas", **settings)
    wait_until_held(server, 1)
    wait_until_held(replica, 1)
    leat("topic", "add-partition", source, "-c", "2", place=place)
    last = put(records, 2, *((f"new-{n}", f"value-{n}") for n in range(50)), ("old-1", None))
    wait_until_held(server, 3)
    # A deletion in another partition than the value's is none there.
    records.model["old-1"] = "value-1"
    last |= put(records, 0, ("old-2", None), ("old-3", "changed"))
    server.wait_for(last)
    check(f"{source}: the primary", server.contents(), records.model)
    wait_until_held(replica, 3)
    replica.wait_for(last)
    check(f"{source}: the replica", replica.contents(), records.model)
    check(f"{source}: a flush of all", server.ask(f"/flush-store/{store}", method="POST")[0], 200)
    server.kill()
    last = put(records, 1, *((f"late-{n}", f"value-{n}") for n in range(20)))
    server = Server(store, *flags, **settings)
    server.wait_for(last)
    check(f"{source}: after a kill", server.contents(), records.model)
    replica.wait_for(last)
    check(f"{source}: the replica after it", replica.contents(), records.model)
    for one in (server, replica):
        check(f"{source}: its end", one.stop(), -15)


def main():
    servers.need_leat_net()
    grows(None, "source", {})
    rows = json.loads(leat("partition", "list", "store-of-source-log", "-O", "json"))
    check("partitions of the changelog", len(rows), 3)
    if "LEAT_TEST_KAFKA" in os.environ:
        grows("kafka://" + os.environ["LEAT_TEST_KAFKA"], f"grown-{os.getpid()}", {"HOME": os.getcwd()})
    servers.finish("partitions that came later are served")


if __name__ == "__main__":
    main()
