"""`leat store serve` among the commands that are killed: it starts on a source with some history, applies it, answers a flush, writes
snapshots, and is ended; killed anywhere, it comes to hold what the source says, and its changelog holds each record once."""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import time

from writing_commands import LEAT, PATIENCE_SECONDS, Command, Outcome, Wrong, expect, joined

# The one that has leat-net beside it.
BUILD = os.environ.get("LEAT_BUILD", os.path.dirname(LEAT))
SERVING = os.path.join(BUILD, "leat")
PARTITIONS = 2
# Keys that come again, and deletions, in several batches.
CHANGES = [(f"k{n % 7}", None if n % 5 == 3 else f"value {n}") for n in range(60)]
SERVE = ["store", "serve", "s", "--source", "orders", "--listen", "127.0.0.1:0", "--auto-flush-count", "10", "--auto-flush-time",
         "10ms", "--snapshot-interval", "1ms"]
# Of the connections, which nobody's data depend on.
NETWORK = frozenset("""socket bind listen accept4 getsockname setsockopt shutdown recvfrom sendto sendmsg epoll_create1 epoll_ctl epoll_pwait
    eventfd2 gettimeofday membarrier futex""".split())


def lines(changes):
    return joined(json.dumps({"key": key, "value": value}) for key, value in changes)


def prepare(place):
    place.leat("topic", "create", "orders", "-p", str(PARTITIONS))
    for first in range(0, 40, 8):
        place.leat("produce", "orders", "--framing", "json", given=lines(CHANGES[first:first + 8]))


def contents(changes):
    held = {}
    for key, value in changes:
        held[key] = value
    return {key: value for key, value in held.items() if value is not None}


def ended(process):
    return process.poll() is not None


def wait_until(process, condition):
    """Whether it came about before the process ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not ended(process):
        if time.monotonic() > deadline:
            raise Wrong("the store does not get there")
        with contextlib.suppress(OSError, http.client.HTTPException):
            if condition():
                return True
        time.sleep(0.002)
    return False


def ask(port, method, target):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    connection.request(method, target)
    response = connection.getresponse()
    return response.status, json.loads(response.read() or b"null")


def has_applied(port, ends):
    return ask(port, "GET", "/readyz")[0] == 200 and all(
        ask(port, "GET", f"/stores/s/none?at-least={partition}:{end - 1}&timeout=60s")[0] == 404 for partition, end in ends.items())


def end(process, prefix):
    """Ends the server in order: what a prefix runs is its first child."""
    pid = process.pid
    if prefix:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            children = file.read().split()
        if not children:
            return
        pid = int(children[0])
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


def serve(place, prefix=(), whole=True):
    """Runs the server until everything is applied and in a snapshot. Printed is what it held then, if it got there."""
    ends = {row["partition"]: row["end"] for row in json.loads(place.leat("partition", "list", "orders", "-O", "json"))}
    process = subprocess.Popen([*prefix, SERVING, *SERVE], env=place.environment, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    held, said = "", ""
    while found := process.stderr.readline().decode():
        said += found
        if match := re.search(r"answers at http://\S+:(\d+)$", found.strip()):
            port = int(match[1])
            snapshots = [os.path.join(place.environment["LEAT_DATA_DIR"], "stores", "s", f"{p}.snapshot") for p in range(PARTITIONS)]
            if wait_until(process, lambda: has_applied(port, ends) and ask(port, "POST", "/flush-store/s")[0] == 200):
                with contextlib.suppress(OSError, http.client.HTTPException):
                    held = json.dumps({item["key"]: item["value"] for item in ask(port, "GET", "/stores/s")[1]["items"]})
                if whole:
                    wait_until(process, lambda: all(os.path.exists(path) for path in snapshots))
            with contextlib.suppress(FileNotFoundError):
                end(process, prefix)
            break
    said += process.stderr.read().decode("utf-8", "replace")
    try:
        status = process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise Wrong("the store does not end") from None
    return Outcome(0 if status == -signal.SIGTERM else status, held, said.strip())


def offline(place):
    return {item["key"]: item["value"] for item in json.loads(place.leat("store", "scan", "s", "-O", "json"))}


def check_changelog(place):
    """Each record of the source once and in order; how many of each partition."""
    counts = []
    for partition in range(PARTITIONS):
        offsets = []
        for line in place.leat("consume", "s-changelog", "-Bd", "-p", str(partition), "-O", "jsonl").splitlines():
            headers = dict(json.loads(line)["headers"])
            if "leat-store" not in headers:
                offsets.append(int(headers["leat-source"]))
        expect(offsets == list(range(len(offsets))), f"partition {partition} of the changelog holds {offsets}")
        counts.append(len(offsets))
    return counts


def after(place, outcome):
    applied = contents(CHANGES[:40])
    expect(not outcome.done or json.loads(outcome.printed) == applied, f"it has ended in order, and held {outcome.printed}")
    there = "s-changelog" in place.names()
    expect(there or not outcome.printed, "what was visible is in no changelog")
    if there and len(json.loads(place.leat("partition", "list", "s-changelog", "-O", "json"))) == PARTITIONS:
        counts = check_changelog(place)
        # What the changelog and any snapshot say together is what the source said so far.
        rows = [json.loads(line) for line in place.leat("consume", "orders", "-Bd", "-O", "jsonl").splitlines()]
        so_far = contents((row["key"], row["value"]) for row in rows if row["offset"] < counts[row["partition"]])
        expect(offline(place) == so_far, f"without a server it says {offline(place)}, the changelog {so_far}")
        expect(not outcome.printed or so_far == applied, "what was visible is not in the changelog")
    place.leat("produce", "orders", "--framing", "json", given=lines(CHANGES[40:]))
    again = serve(place, whole=False)
    expect(again.done, f"started again, it ended with {again.status}: {again.complaints}")
    held, due = json.loads(again.printed or "null"), contents(CHANGES)
    expect(held == due, f"started again, it holds {held}")
    expect(sum(check_changelog(place)) == len(CHANGES), "the changelog does not hold each record of the source")
    expect(offline(place) == due, f"without a server it says {offline(place)}")
    left = [name for name in os.listdir(os.path.join(place.environment["LEAT_DATA_DIR"], "stores", "s")) if name.endswith(".new")]
    expect(not left, f"{left} was left behind")


def served():
    """The command, where this build has it."""
    if not os.access(os.path.join(BUILD, "leat-net"), os.X_OK):
        return []
    said = subprocess.run([SERVING, "store", "serve", "x", "--source", "x"], capture_output=True, text=True).stderr
    return [] if "built" in said else [STORE]


STORE = Command(SERVE, after, prepare=prepare, drive=serve, unseen=NETWORK,
                watched=tuple(f"data/stores/s/{p}.snapshot.new" for p in range(PARTITIONS)))
