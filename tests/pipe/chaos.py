#!/usr/bin/python3
"""A pipeline into a real ClickHouse while everything around it fails.

    chaos.py [--records N] [--seed N] [--only-kills]

Eight partitions, three members of `leat process`, the table and the two SQL checks of the document this command was made for. While
records are written, members end by SIGTERM and are started again, and the server is stopped for ten seconds; some rows are such that
the server refuses their batch. Then the same with kill -9.

Promised: no record is missing, those refused are with the error stage, as they were. Without kill -9 no row is there twice; with it,
no more rows than were delivered and not committed when a member was killed.
"""

import argparse
import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import real_servers

BUILD = os.environ.get("LEAT_BUILD", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build"))
LEAT = os.path.join(BUILD, "leat")
PARTITIONS = 8
MEMBERS = 3
BATCH = 2000
COMMIT_SECONDS = 0.2
BAD_EVERY = 99_991  # a row that the server refuses
AWAY_SECONDS = 10
PATIENCE = 120

TABLE = """CREATE TABLE {} (`partition` UInt32, `offset` UInt64, `timestamp` DateTime)
ENGINE = MergeTree ORDER BY (partition, offset, timestamp)"""  # 18.16 wants ORDER BY where newer ones take PRIMARY KEY alone
MISSING = """SELECT partition, (max(offset) - min(offset)) + 1 AS offset_diff, count(offset) AS occ, offset_diff - occ AS delta
FROM (SELECT DISTINCT * FROM {}) GROUP BY partition ORDER BY partition"""
DOUBLES = "SELECT partition, offset, count() AS occ FROM {} GROUP BY partition, offset HAVING occ > 1"

PIPELINE = """[source]
topics = ["{topic}"]
group = "{group}"
reset = "earliest"

[[stage]]
kind = "par_map"
builtin = "template"
template = '{{"partition":{{{{partition}}}},"offset":{{{{offset}}}},"timestamp":{{{{value}}}}}}'

[[stage]]
kind = "reduce"
sink = "clickhouse"
{sink}
max_records = {batch}
max_wait = "100ms"
on_shutdown = "flush"
compression = "gzip"
timeout = "5s"

[commit]
every = "{commit}ms"

[error]
sink = "topic"
topic = "{topic}.refused"
retries = 1000
backoff_max = "1s"
"""


def leat(*arguments, stdin=b""):
    return subprocess.run([LEAT, *arguments], input=stdin, capture_output=True, check=True, timeout=PATIENCE).stdout


class Writer(threading.Thread):
    """Writes records as fast as it is told to."""

    def __init__(self, topic, records, seconds):
        super().__init__()
        self.topic, self.records, self.seconds = topic, records, seconds
        self.bad = []

    def run(self):
        process = subprocess.Popen([LEAT, "produce", self.topic, "--batch-size", "16KiB"], stdin=subprocess.PIPE)
        steps = max(1, int(self.seconds * 20))
        began, sent = time.monotonic(), 0
        for step in range(1, steps + 1):
            upto = self.records * step // steps
            process.stdin.write("".join(self.line(n) for n in range(sent, upto)).encode())
            process.stdin.flush()
            sent = upto
            time.sleep(max(0.0, began + self.seconds * step / steps - time.monotonic()))
        process.stdin.close()
        if process.wait() != 0:
            os._exit(1)

    def line(self, n):
        if n % BAD_EVERY != BAD_EVERY - 1:
            return f"{1732150000 + n}\n"
        self.bad.append(f'"row {n}"')
        return f'"row {n}"\n'


class Sampler(threading.Thread):
    """How far rows and commits had come when."""

    def __init__(self, server, table, group):
        super().__init__(daemon=True)
        self.server, self.table, self.group, self.over = server, table, group, threading.Event()
        self.rows, self.samples = {}, []  # (before, after, last offset committed, last offset there), by partition

    def run(self):
        while not self.over.wait(0.05):
            before = time.monotonic()
            committed = {row["partition"]: row["offset"] for row in consumers(self.group) if row["offset"] is not None}
            # While it is away, nothing comes.
            with contextlib.suppress(OSError, RuntimeError, http.client.HTTPException):
                self.rows = {int(p): int(last) for p, last in self.server.ask(f"SELECT partition, max(offset) FROM {self.table} GROUP BY partition")}
            self.samples.append((before, time.monotonic(), committed, self.rows))

    def in_flight(self, moment):
        """At least as many rows as were there and not committed."""
        committed = next((sample[2] for sample in reversed(self.samples) if sample[1] < moment), {})
        rows = next((sample[3] for sample in self.samples if sample[0] > moment), self.rows)
        return sum(max(0, last - committed.get(partition, -1)) for partition, last in rows.items())


class Members:
    """Three at any time."""

    def __init__(self, pipeline):
        self.pipeline = pipeline
        self.running = [self.start() for _ in range(MEMBERS)]
        self.leaving, self.complaints = [], []
        self.ended = {signal.SIGTERM: [], signal.SIGKILL: []}  # when

    def start(self):
        return subprocess.Popen([LEAT, "process", self.pipeline, "-v"], stderr=open(f"{self.pipeline}.log", "ab"), stdin=subprocess.DEVNULL)  # noqa: SIM115

    def end_one(self, number, kind):
        """Tells a member to end, and starts another in its place at once."""
        self.tell(self.running[number], kind)
        self.running[number] = self.start()

    def tell(self, process, kind):
        if process.poll() is not None:
            self.complaints.append(f"a member ended by itself with {process.returncode}")
            return
        self.ended[kind].append(time.monotonic())
        process.send_signal(kind)
        self.leaving.append((process, kind))

    def end_all(self):
        for process in self.running:
            self.tell(process, signal.SIGTERM)
        for process, kind in self.leaving:
            try:
                status = process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.complaints.append(f"a member does not end after signal {kind}")
                self.show(process)
                process.kill()
                continue
            if status not in (-kind, 128 + kind):
                self.complaints.append(f"a member ended with {status} after signal {kind}")


    @staticmethod
    def show(process):
        """Where its threads are."""
        if shutil.which("gdb"):
            shown = subprocess.run(["gdb", "-p", str(process.pid), "-batch", "-ex", "thread apply all bt 12"], capture_output=True, text=True)
            print(shown.stdout)


def consumers(group, *flags):
    return [row for row in json.loads(leat("consumer", "list", "-O", "json", *flags)) if row["consumer"] == group]


def lag(group):
    mine = consumers(group, "--lag")
    return sum(row["lag"] for row in mine) if len(mine) == PARTITIONS else None


def wait_until_done(group):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if lag(group) == 0:
            return
        time.sleep(0.2)
    sys.exit(f"it does not come to its end: {lag(group)} records are left after {PATIENCE} s")


def trouble(server, members, seconds, kinds, rng):
    """Ends members now and then, and stops the server once."""
    began = time.monotonic()
    away = False
    while time.monotonic() - began < seconds:
        time.sleep(rng.uniform(0.3, 1.0))
        if not away and time.monotonic() - began > seconds / 3:
            away = True
            server.stop()
            gone = time.monotonic()
            while time.monotonic() - gone < AWAY_SECONDS:
                time.sleep(1.5)
                members.end_one(rng.randrange(MEMBERS), rng.choice(kinds))
            server.start()
        else:
            members.end_one(rng.randrange(MEMBERS), rng.choice(kinds))


def run(server, name, records, kinds, rng):
    """One pipeline from its first record to its last; what is wrong with what came of it."""
    table = f"ingest_{name}"
    topic = f"ingest-{name}"
    server.ask(TABLE.format(table))
    leat("topic", "create", topic, "-p", str(PARTITIONS))
    leat("topic", "create", f"{topic}.refused")
    path = os.path.abspath(f"{name}.toml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(PIPELINE.format(topic=topic, group=name, sink=server.settings(table), batch=BATCH, commit=int(COMMIT_SECONDS * 1000)))
    seconds = 30
    began = time.monotonic()
    writer = Writer(topic, records, seconds)
    writer.start()
    sampler = Sampler(server, table, name)
    sampler.start()
    members = Members(path)
    trouble(server, members, seconds, kinds, rng)
    writer.join()
    wait_until_done(name)
    members.end_all()
    sampler.over.set()
    sampler.join()
    complaints = members.complaints
    refused = leat("consume", f"{topic}.refused", "-Bd").decode().splitlines()
    if sorted(set(refused)) != sorted(writer.bad):
        complaints.append(f"the error stage has {len(set(refused))} of {len(writer.bad)} refused records")
    found = server.ask(MISSING.format(table))
    partitions = {row["partition"]: row["records"] for row in json.loads(leat("partition", "list", topic, "-O", "json"))}
    rows = {int(p): int(occ) for p, _, occ, _ in found}
    missing = sum(partitions.values()) - len(writer.bad) - sum(rows.values())
    delta = sum(int(row[3]) for row in found)
    doubles = sum(int(occ) - 1 for _, _, occ in server.ask(DOUBLES.format(table)))
    kills = members.ended[signal.SIGKILL]
    # The last batch of a member may be there after its end.
    bound = sum(sampler.in_flight(kill) + BATCH for kill in kills)
    print(f"{name}: {records} records, {len(members.ended[signal.SIGTERM])} members ended, {len(kills)} killed, {len(writer.bad)} refused; missing {missing}, doubles {doubles} of {bound} that were in flight; the document's check: "
          f"delta {delta} (of these {len(writer.bad)} refused), in {time.monotonic() - began:.0f} s")
    if missing:
        complaints.append(f"{missing} records are missing")
    if doubles > bound:
        complaints.append(f"{doubles} rows are there twice, of {bound} that may be")
    if len(refused) - len(writer.bad) > len(kills):
        complaints.append(f"{len(refused)} records with the error stage for {len(writer.bad)} refused ones")
    return [f"{name}: {complaint}" for complaint in complaints]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--only-kills", action="store_true", help="leave out the run without kill -9")
    options = parser.parse_args()
    why = real_servers.missing("clickhouse-server")
    if why:
        sys.exit(why)
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="leat-pipe-") as directory:
        os.chdir(directory)
        os.environ["LEAT_DATA_DIR"] = os.path.join(directory, "data")
        print(f"seed {options.seed}")
        with real_servers.clickhouse("clickhouse") as server:
            complaints = []
            if not options.only_kills:
                complaints += run(server, "orderly", options.records, [signal.SIGTERM], rng)
            complaints += run(server, "killed", options.records, [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM], rng)
        os.chdir("/")
    for complaint in complaints:
        print(f"FAILED {complaint}")
    sys.exit(bool(complaints))


if __name__ == "__main__":
    main()
