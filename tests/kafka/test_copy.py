#!/usr/bin/python3
"""`leat copy` with a cluster on one side: librdkafka's mock always, and a real one where it can be had.

The real one is LEAT_TEST_KAFKA=host:port, or what tests/kafka/broker starts. There copies are killed at random moments, the cluster
is killed and started again (its own one only), and after that each record is at the destination once; transactions that were
aborted are not copied; consumers go on where they were. The mock forgets the offsets of a transaction, takes nothing of an aborted
one back and lists no groups: a copy to it ends in order, and the next one has to find that it cannot know what is there.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scenarios"))
import processes  # noqa: E402
from cluster import Cluster, Skip  # noqa: E402
from processes import fail  # noqa: E402

BUILD = os.environ.get("LEAT_BUILD", os.path.dirname(os.path.abspath(processes.LEAT)))
LEAT = os.path.join(BUILD, "leat")
NET = os.path.join(BUILD, "leat-net")
MOCK = os.path.join(BUILD, "tests", "mock-cluster")
KILLS = 12
PARTITIONS = 3
SKIPPED = 77


def leat(*arguments, status=0, stdin=b"", timeout=120):
    """What a command prints; its status must be this one."""
    done = subprocess.run([LEAT, *arguments], input=stdin, capture_output=True, timeout=timeout)
    if done.returncode != status:
        fail(f"leat {' '.join(arguments)}: status {done.returncode} instead of {status}: {done.stderr.decode().strip()}")
    return done.stdout.decode() + (done.stderr.decode() if status else "")


def records(place, topic):
    """Partition by partition, all that is to be kept of each record."""
    found = {}
    for line in leat("-D", place, "consume", topic, "-Bd", "-O", "jsonl").splitlines():
        row = json.loads(line)
        found.setdefault(row["partition"], []).append(
            json.dumps([row.get(name) for name in ("timestamp", "key", "value", "key_b64", "value_b64", "headers")]))
    return found


def same(source, destination, topic, who):
    due, there = records(source, topic), records(destination, topic)
    for partition in {*due, *there}:
        expected, got = due.get(partition, []), there.get(partition, [])
        if got != expected:
            fail(f"{who}: partition {partition} holds {len(got)} records instead of {len(expected)}: "
                 f"{len(got) - len(set(got))} twice, {len(set(expected) - set(got))} missing")
    return sum(map(len, due.values()))


def fill(place, topic, first, count):
    lines = "".join(json.dumps({"key": f"k{n % 53}", "value": f"{n} " + "v" * (n % 400), "timestamp": 1_700_000_000_000 + n,
                                "headers": [["n", str(n)], ["null", None]]}) + "\n" for n in range(first, first + count))
    leat("-D", place, "produce", topic, "--framing", "json", stdin=lines.encode())


def copied(*arguments):
    return sum(row["records"] for row in json.loads(leat("copy", *arguments, "-d", "-O", "json")))


def there_and_back(url, topic, remembers=True):
    """From a directory to the cluster and to another directory."""
    leat("-D", "from", "topic", "create", topic, "-p", str(PARTITIONS))
    fill("from", topic, 0, 5000 if remembers else 5100)
    if copied(f"from/{topic}", url) != (5000 if remembers else 5100):
        fail("to the cluster: not all records")
    if remembers:
        fill("from", topic, 5000, 100)
        if copied("from", url, topic) != 100 or copied("from", url, topic) != 0:
            fail("to the cluster: not each record once")
    else:
        leat("copy", "from", url, topic, "-d", status=73)
    same("from", url, topic, "to the cluster")
    if copied(f"{url}/{topic}", "back") != 5100 or copied(url, "back", topic) != 0:
        fail("back: not each record once")
    same("from", "back", topic, "there and back")
    print("5100 records went there and back", flush=True)


def followed(url, topic):
    """A copy that follows brings what comes, and ends in order."""
    before = sum(map(len, records(url, topic).values()))
    process = subprocess.Popen([LEAT, "copy", "from", url, topic, "-O", "json"], stdout=subprocess.PIPE)
    fill("from", topic, 6000, 50)
    deadline = time.monotonic() + 60
    while sum(map(len, records(url, topic).values())) < 5150:
        if time.monotonic() > deadline or process.poll() is not None:
            fail("a copy that follows does not bring what comes")
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    rows = json.loads(process.communicate(timeout=60)[0])
    if process.returncode != -signal.SIGTERM or sum(row["records"] for row in rows) != 5150 - before:
        fail(f"a copy that follows ends with {process.returncode} and {rows}")
    same("from", url, topic, "followed")
    print("a copy that follows ends in order", flush=True)


def refusals(url, topic):
    """What cannot be, on a cluster."""
    leat("copy", url, url + "/", "-d", status=2)
    leat("copy", "from", "kafka://127.0.0.1:1", topic, "-d", "--lock-timeout", "1s", status=69)
    leat("copy", "from", f"{url}/{topic}", "-d", status=2)
    leat("-D", url, "produce", topic, stdin=b"somebody else's\n")
    if "this copy has not put there" not in leat("copy", "from", url, topic, "-d", status=73):
        fail("records of others: another message")
    if copied("from", url, topic, "--merge") != 0:
        fail("merging copies again what is there")


def on_mock():
    # Threads of the mock are shared with nobody.
    with subprocess.Popen([MOCK, f"mocked:{PARTITIONS}", f"followed:{PARTITIONS}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as mock:
        url = "kafka://" + mock.stdout.readline().strip()
        there_and_back(url, "mocked", remembers=False)
        leat("-D", "from", "topic", "create", "followed", "-p", str(PARTITIONS))
        fill("from", "followed", 0, 5100)
        followed(url, "followed")
        mock.stdin.close()
    shutil.rmtree("from")
    shutil.rmtree("back")
    print("on the mock cluster: done", flush=True)


def killed(source, destination, topic, generator, writer, between=lambda kills: None):
    """Copies are killed while the source is written to, then one ends in order."""
    kills, runs, first = 0, 0, 100_000
    while kills < KILLS:
        writer(first)
        first += 1000
        process = subprocess.Popen([LEAT, "copy", source, destination, topic, "-q", "--lock-timeout", "60s",
                                    *generator.choice([[], ["-d"]])], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            process.communicate(timeout=generator.choice([0.1, 0.4, 1, 3]) * generator.uniform(0.5, 1.5))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        if process.returncode not in (0, -signal.SIGKILL):
            fail(f"copy from {source} to {destination}: status {process.returncode}")
        kills += process.returncode != 0
        runs += 1
        between(kills)
    leat("copy", source, destination, topic, "-d", "--lock-timeout", "60s")
    count = same(source, destination, topic, f"{source} to {destination}, after {kills} kills")
    print(f"{source} to {destination}: {kills} kills, {count} records, each there once, in order", flush=True)


def broker_dies(url, cluster):
    """The broker is killed while a copy to it runs; the copy outlasts that, or says 69 and is run again."""
    topic = "outlasting"
    leat("-D", "from", "topic", "create", topic, "-p", str(PARTITIONS))
    fill("from", topic, 0, 60_000)
    process = subprocess.Popen([LEAT, "copy", "from", url, topic, "-q", "--lock-timeout", "90s"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    time.sleep(1.5)
    cluster.tell("kill 1")
    time.sleep(2)
    cluster.tell("start 1")
    fill("from", topic, 60_000, 100)
    deadline = time.monotonic() + 100
    while process.poll() is None and sum(map(len, records(url, topic).values())) < 60_100 and time.monotonic() < deadline:
        time.sleep(0.5)
    process.terminate()
    said = process.communicate(timeout=100)[1].decode()
    if process.returncode not in (-signal.SIGTERM, 69, 74):
        fail(f"a copy whose broker was killed ends with {process.returncode}: {said}")
    leat("copy", "from", url, topic, "-d", "--lock-timeout", "90s", timeout=200)
    same("from", url, topic, "the broker was killed")
    print(f"the broker was killed and started again (the copy ended with {process.returncode}): each record is there once", flush=True)


def consumers(url, topic, generator):
    """On a cluster offsets differ: markers of transactions take some. Consumers go on with the same records all the same."""
    for number in range(6):
        with open("positions", "w", encoding="ascii") as file:
            for row in json.loads(leat("-D", "from", "partition", "list", topic, "-O", "json")):
                file.write(f"{topic} {row['partition']} {generator.randint(row['start'], row['end'])}\n")
        leat("-D", "from", "consumer", "seek", f"c{number}", "--to-file", "positions", "--yes")
    leat("copy", "from", url, topic, "-d", "--consumers")
    leat("copy", url, "consumers-back", topic, "-d", "--consumers")
    for number in range(6):
        rest = [sorted(leat("-D", where, "consume", topic, "-c", f"c{number}", "-d", "--offset-strategy", "none").splitlines())
                for where in ("from", url, "consumers-back")]
        if not rest[0] == rest[1] == rest[2]:
            fail(f"consumer c{number} reads {list(map(len, rest))} records in the directory, in the cluster and back")
    names = {row["consumer"] for row in json.loads(leat("-D", "consumers-back", "consumer", "list", "-O", "json"))}
    if any(name.startswith("leat-copy-") for name in names):
        fail(f"the copies' own groups were copied: {names}")
    print("six consumers go on with the same records, there and back", flush=True)


def taken_over(url, topic):
    """Of two copies at once the later one wins, and the first says so."""
    first = subprocess.Popen([LEAT, "copy", "from", url, topic, "-q"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    time.sleep(4)
    second = threading.Thread(target=lambda: leat("copy", "from", url, topic, "-d", "-q"))
    second.start()
    second.join()
    fill("from", topic, 900_000, 100)
    try:
        said = first.communicate(timeout=60)[1].decode()
    except subprocess.TimeoutExpired:
        first.kill()
        fail("the first of two copies does not notice that it was superseded")
    if first.returncode != 75 or "taken over" not in said:
        fail(f"the first of two copies ends with {first.returncode}: {said}")
    leat("copy", "from", url, topic, "-d")
    same("from", url, topic, "two copies at once")
    print("of two copies at once the first ends with 75, each record is there once", flush=True)


def on_real(url, generator, cluster=None):
    topic = f"copied-{os.getpid()}"
    there_and_back(url, topic)
    followed(url, topic)
    killed("from", url, topic, generator, lambda first: fill("from", topic, first, 1000))
    killed(url, "back", topic, generator, lambda first: None if first > 103_000 else fill("from", topic, first + 500_000, 300)
           or leat("copy", "from", url, topic, "-d"))
    consumers(url, topic, generator)
    taken_over(url, topic)
    if cluster:
        broker_dies(url, cluster)
    refusals(url, topic)
    leat("-D", url, "topic", "delete", topic)


def main():
    if not os.path.exists(NET) or not os.path.exists(MOCK):
        print("leat-net is not built: librdkafka-dev was not there")
        return SKIPPED
    with processes.workplace():
        generator = processes.seeded()
        on_mock()
        servers = os.environ.get("LEAT_TEST_KAFKA")
        if servers:
            on_real("kafka://" + servers, generator)
            return 0
        try:
            with Cluster(1, "--cached") as one:
                on_real(one.url, generator, one)
        except Skip as skip:
            print(f"not tested on a real cluster: {skip}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
