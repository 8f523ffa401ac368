"""How cost grows: with processes, partitions, records and topics. Each row is the median of its runs."""

import json
import os
import shutil
import statistics
import time

from contest import say
from singles import SIZE, embedded, fill, topic
from workbench import disk_bytes

BYTES_MOST = 12 << 30
# Of a record of 100 bytes on disk, with room to spare.
BYTES_A_RECORD = 120


class Scope:
    """How far each thing is taken."""

    def __init__(self, full):
        self.processes = (1, 2, 8, 16) if full else (1, 8)
        self.partitions = (1, 16, 256) if full else (1, 16)
        self.records = (10_000, 1_000_000, 100_000_000) if full else (10_000, 100_000)
        self.topics = 10_000 if full else 200
        self.operations = 1500 if full else 200


def rates(bench, runs, processes, count, partitions):
    found = []
    for number in range(runs):
        say(f"scale: {processes} processes, {partitions} partitions, round {number + 1} of {runs}")
        os.sync()
        found.append(embedded(bench, "writers", processes, count, SIZE, settings=("-p", str(partitions)))["per_second"])
    rate = statistics.median(found)
    return {"records/s": round(rate), "us a record": round(1e6 / rate, 2)}


def by_processes(bench, scope, runs):
    rows = [{"processes": number, **rates(bench, runs, number, scope.operations, 1)} for number in scope.processes]
    return {"key": "scale-processes", "title": "Producer processes on one partition, each waiting for every receipt", "rows": rows}


def by_partitions(bench, scope, runs):
    rows = [{"partitions": number, **rates(bench, runs, 8, scope.operations, number)} for number in scope.partitions]
    return {"key": "scale-partitions", "title": "8 producer processes over partitions in turn, each waiting for every receipt",
            "rows": rows}


def command_p50(bench, *command, repeat=20):
    figures = bench.timed(*command, repeat=repeat)
    return round(figures["p50_us"]), figures["peak_kib"] / 1024


def middle_time(bench, place, offset):
    line = bench.leat(place, "consume", "t", "-d", "--start", offset, "-n", "1", "-O", "jsonl")
    return json.loads(line)["timestamp"]


def log_row(bench, place, records):
    """Everything that is asked of one log of `records`."""
    filled = fill(bench, place, records)
    os.sync()
    consume = [bench.leat_path, "-D", place, "consume", "t", "-d"]
    middle = str(records // 2)
    moment = str(middle_time(bench, place, middle))
    opened = bench.tool("subject_embedded", "open", place, "t", bench.sizes.starts)
    start, start_mib = command_p50(bench, *consume, "--start", middle, "-n", "1")
    since, since_mib = command_p50(bench, *consume, "--since", moment, "-n", "1")
    tail, tail_mib = command_p50(bench, *consume, "-T", "1")
    return {
        "records": records,
        "produce, s": round(filled["seconds"], 3),
        "us a record": round(filled["seconds"] * 1e6 / records, 3),
        "disk, B a record": round(disk_bytes(os.path.join(place, "topics", "t")) / records, 2),
        "open, us": round(opened["p50_us"], 1),
        "--start middle -n 1, us": start,
        "--since middle -n 1, us": since,
        "-T 1, us": tail,
        "peak memory, MiB": round(max(filled["peak_kib"] / 1024, start_mib, since_mib, tail_mib), 1),
    }


def fits(bench, records):
    wanted = records * BYTES_A_RECORD
    if wanted <= min(BYTES_MOST, shutil.disk_usage(bench.directory).free):
        return True
    print(f"skipped: a log of {records:,} records; {wanted / 2**30:.1f} GiB of disk are too much here")
    return False


def by_records(bench, scope):
    rows = []
    for records in scope.records:
        if fits(bench, records):
            say(f"scale: a log of {records:,} records")
            with topic(bench) as place:
                rows.append(log_row(bench, place, records))
    return {"key": "scale-records", "title": "One log of records of 100 B; the commands are whole processes, p50", "rows": rows}


def create_topics(bench, place, count):
    names = [f"topic-{number:05}" for number in range(count)]
    begun = time.monotonic()
    for first in range(0, count, 500):
        say(f"scale: topic {first} of {count}")
        bench.leat(place, "topic", "create", *names[first:first + 500])
    return names, time.monotonic() - begun


def topics_row(bench, count):
    with bench.fresh() as place:
        names, seconds = create_topics(bench, place, count)
        found = len(bench.leat(place, "topic", "list", "--names").split())
        bench.expect("leat topic list", "topics", found, count)
        leat = [bench.leat_path, "-D", place]
        listing, listing_mib = command_p50(bench, *leat, "topic", "list", "--names", repeat=5)
        table, table_mib = command_p50(bench, *leat, "topic", "list", repeat=5)
        opened = bench.tool("subject_embedded", "open", place, names[count // 2], bench.sizes.starts)
        return {"topics": count, "create, us each": round(seconds * 1e6 / count), "list --names, ms": round(listing / 1000, 2),
                "list, ms": round(table / 1000, 2), "open one, us": round(opened["p50_us"], 1),
                "peak memory, MiB": round(max(listing_mib, table_mib), 1)}


def by_topics(bench, scope):
    return {"key": "scale-topics", "title": "Topics in one directory",
            "rows": [topics_row(bench, count) for count in (scope.topics // 100, scope.topics)]}


def measure(bench, full, runs, only):
    """The tables, in order."""
    scope = Scope(full)
    parts = {"scale-processes": lambda: by_processes(bench, scope, runs),
             "scale-partitions": lambda: by_partitions(bench, scope, runs),
             "scale-records": lambda: by_records(bench, scope),
             "scale-topics": lambda: by_topics(bench, scope)}
    tables = [part() for key, part in parts.items() if only in key]
    say("")
    return tables
