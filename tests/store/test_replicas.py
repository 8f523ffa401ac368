#!/usr/bin/python3
"""Two processes of one store share out its partitions, and each keeps replicas of the other's: when one is killed, every key is
still answered by the other, and what it misses meanwhile is there when it is back."""

import json
import random
import sys

import servers
from servers import Server, check, leat

ROUNDS = 3 if servers.SLOW else 6


def change(records, generator, count):
    for _ in range(count):
        key = f"key-{generator.randrange(300)}"
        records.put(key, None if generator.random() < 0.2 else f"{generator.random()}")
    return records.send()


def halves():
    left = ["--partitions", "0,1", "--replica-partitions", "2,3"]
    right = ["--partitions", "2,3", "--replica-partitions", "0,1"]
    return left, right


def follow(server, places):
    """Until replicas, too, have come so far. A replica's position is that of the last change that it knows."""
    server.wait_for(places)


def main():
    servers.need_leat_net()
    generator = random.Random(5)
    leat("topic", "create", "source", "-p", "4")
    records = servers.Records("source")
    flags = halves()
    running = [Server("s", *one, "--auto-flush-time", "20ms", wait=False) for one in flags]
    for server in running:
        server.wait_ready()
    for number in range(ROUNDS):
        places = change(records, generator, 500)
        for server in running:
            follow(server, places)
            check(f"round {number}, both up", server.contents(), records.model)
        gone = number % 2
        running[gone].kill()
        alive = running[1 - gone]
        for key, value in records.model.items():
            check(f"round {number}, {key} of the one left", alive.get(key), value)
        check(f"round {number}, absent", alive.get("never"), None)
        places = change(records, generator, 200)
        running[gone] = Server("s", *flags[gone], "--auto-flush-time", "20ms")
        for server in running:
            follow(server, places)
            check(f"round {number}, back again", server.contents(), records.model)
    # A copy of everything that only reads, and one that knows where a key belongs that it does not have.
    copy = Server("s", "--replica-only", "--wait-for-replicas")
    check("a copy", copy.contents(), records.model)
    part = Server("s", "--replica-only", "--replica-partitions", "3", "--wait-for-replicas")
    answers = [part.ask(f"/stores/s/{key}") for key in records.model]
    elsewhere = [json.loads(body)["error"] for status, _, body in answers if status == 421]
    check("some are here, some elsewhere", {status for status, _, _ in answers}, {200, 421})
    check("and where is said", all("partition" in error for error in elsewhere), True)
    check("roles", {row["role"] for row in part.json("/status")["partitions"]}, {"replica"})
    blind = Server("s", "--replica-only", "--wait-for-replicas", source=None, env={"STORE_ID": "s"})
    check("a copy that knows no source", blind.contents(), records.model)
    for server in [*running, copy, part, blind]:
        check("its end", server.stop(), -15)
    leat("topic", "delete", "source")
    copy = Server("s", "--replica-only", "--wait-for-replicas")
    check("a copy of what has no source any more", copy.contents(), records.model)
    check("its end", copy.stop(), -15)
    leat("topic", "create", "source", "-p", "4")
    refused = Server("s", "--partitions", "0", "--replica-partitions", "0", wait=False)
    check("both roles for a partition", refused.process.returncode, 2)
    refused = Server("s", "--partitions", "7", wait=False)
    check("no such partition", refused.process.returncode, 66)
    servers.finish(f"{ROUNDS} rounds, {len(records.model)} keys, each answered by whoever was left")


if __name__ == "__main__":
    sys.exit(main())
