"""Contests over one record at a time: appending, many writers, a follower, a program for each record, opening, committing."""

import contextlib
import functools
import os
import re

from bulk import CACHE, KCAT, RAM, SYNCED
from contest import Contest, Contestant

SIZE = 100
CREW = 8
COMMIT_SLOT = 32
# Limits that goals name.
PREALLOCATED = "the same, preallocated"
GROUP_COMMIT = "write, one fdatasync for all that wait"
ONE_SHOT = "open, append, fdatasync, exit"


def limit(bench, what, *arguments):
    with bench.fresh() as place:
        return bench.tool("limits", what, os.path.join(place, "file"), *arguments)


@contextlib.contextmanager
def topic(bench, *settings):
    with bench.fresh() as place:
        bench.leat(place, "topic", "create", "t", *settings)
        yield place


def embedded(bench, what, *arguments, settings=()):
    with topic(bench, *settings) as place:
        figures = bench.tool("subject_embedded", what, place, "t", *arguments)
        check_writers(bench, "leat", what, arguments, lambda: bench.records(place))
        return figures


def check_writers(bench, who, what, arguments, count):
    """What all processes said they had written is there."""
    if what == "writers":
        processes, each = arguments[:2]
        bench.expect(who, "records", int(count()), processes * each)


def sqlite(bench, what, *arguments):
    with bench.fresh() as place:
        database = os.path.join(place, "db")
        program = bench.programs["peer_sqlite"]
        bench.output(program, "create", database)
        figures = bench.tool("peer_sqlite", what, database, *arguments)
        check_writers(bench, "SQLite", what, arguments, lambda: bench.output(program, "count", database))
        return figures


def server(bench, peer, what, *arguments):
    with bench.fresh() as place, bench.server(peer, place) as port:
        figures = bench.tool("peer_" + peer, what, port, *arguments)
        check_writers(bench, peer, what, arguments, lambda: bench.output(bench.programs["peer_" + peer], "count", port))
        return figures


def peers(bench, what, *arguments, without=()):
    """Those that are here, doing the same."""
    call = functools.partial
    known = {"sqlite": Contestant("SQLite", "peer", SYNCED, call(sqlite, bench, what, *arguments)),
             "redis": Contestant("Redis", "peer", SYNCED, call(server, bench, "redis", what, *arguments)),
             "nats": Contestant("NATS", "peer", CACHE, call(server, bench, "nats", what, *arguments))}
    return [known[name] for name in known if name in bench.peers and name not in without]


# ---- Appending ----

def command_line_by_line(bench, count):
    with topic(bench) as place:
        return bench.tool("line_by_line", count, SIZE, "--", bench.leat_path, "-D", place, "produce", "t", "-O", "text")


@contextlib.contextmanager
def single_stage(bench):
    count = bench.sizes.operations
    call = functools.partial
    yield [
        Contestant("append + fdatasync", "limit", SYNCED, call(limit, bench, "append", count, SIZE)),
        Contestant(PREALLOCATED, "limit", SYNCED, call(limit, bench, "preallocated", count, SIZE)),
        Contestant("leat", "leat", SYNCED, call(embedded, bench, "single", count, SIZE)),
        Contestant("leat produce, a line and its receipt", "leat", SYNCED, call(command_line_by_line, bench, count)),
        *peers(bench, "single", count, SIZE),
    ]


@contextlib.contextmanager
def writers_stage(bench):
    count = bench.sizes.crew_operations
    call = functools.partial
    yield [
        Contestant("lock over write and fdatasync", "limit", SYNCED, call(limit, bench, "lock", CREW, count, SIZE)),
        Contestant(GROUP_COMMIT, "limit", SYNCED, call(limit, bench, "group", CREW, count, SIZE)),
        Contestant("leat", "leat", SYNCED, call(embedded, bench, "writers", CREW, count, SIZE)),
        *peers(bench, "writers", CREW, count, SIZE),
    ]


@contextlib.contextmanager
def follower_stage(bench):
    count = bench.sizes.operations
    call = functools.partial
    yield [
        Contestant("append + fdatasync, nobody told", "limit", SYNCED, call(limit, bench, "append", count, SIZE)),
        Contestant("leat", "leat", SYNCED, call(embedded, bench, "follow", count, SIZE)),
        *peers(bench, "follow", count, SIZE, without=("sqlite",)),
    ]


@contextlib.contextmanager
def commit_stage(bench):
    count = bench.sizes.operations
    call = functools.partial
    with topic(bench) as place:
        # Commits never point behind the last record; time_each does a twentieth more.
        bench.leat(place, "produce", "t", "-f", bench.lines(count * 2, 10))
        yield [
            Contestant("overwrite in place + fdatasync", "limit", SYNCED, call(limit, bench, "overwrite", count, COMMIT_SLOT)),
            Contestant("leat", "leat", SYNCED, call(bench.tool, "subject_embedded", "commit", place, "t", count)),
        ]


# ---- A program for each record ----

def one_shot(bench, *command, text="x", count=None):
    """`count` tells how many records there are, where somebody can be asked."""
    before = int(count()) if count else 0
    figures = bench.timed(*command, feed=text, repeat=bench.sizes.starts)
    if count:
        bench.expect(command[0], "records", int(count()), before + bench.sizes.starts)
    return {key: figures[key] for key in ("p50_us", "peak_kib")}


def one_shot_peers(bench, stack):
    call = functools.partial
    found = []
    if "sqlite" in bench.peers and "sqlite3" in bench.peers:
        database = os.path.join(stack.enter_context(bench.fresh()), "db")
        bench.output(bench.programs["peer_sqlite"], "create", database)
        count = call(bench.output, bench.programs["peer_sqlite"], "count", database)
        insert = "INSERT INTO t(value) VALUES('x');"
        found.append(Contestant("sqlite3", "peer", SYNCED, call(one_shot, bench, "sqlite3", database, text=insert, count=count)))
    if "redis" in bench.peers:
        port = stack.enter_context(bench.server("redis", stack.enter_context(bench.fresh())))
        count = call(bench.output, bench.programs["peer_redis"], "count", port)
        found.append(Contestant("redis-cli", "peer", SYNCED,
                                call(one_shot, bench, "redis-cli", "-p", port, "-x", "XADD", "s", "*", "v", count=count)))
    if "kcat" in bench.peers:
        found.append(Contestant("kcat", "peer", RAM, call(one_shot, bench, *KCAT)))
    return found


@contextlib.contextmanager
def one_shot_stage(bench):
    call = functools.partial
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(topic(bench))
        file = os.path.join(stack.enter_context(bench.fresh()), "file")
        yield [
            Contestant(ONE_SHOT, "limit", SYNCED, call(one_shot, bench, bench.programs["one_shot"], file)),
            Contestant("leat produce", "leat", SYNCED, call(one_shot, bench, bench.leat_path, "-D", place, "produce", "t",
                                                            count=call(bench.records, place))),
            *one_shot_peers(bench, stack),
        ]


# ---- Opening ----

def opened_name(records):
    return f"leat, {records:,} records"


def fill(bench, place, records):
    """Returns the peak of memory and the seconds. Feeds one file as often as it takes."""
    part = min(records, 1_000_000)
    files = [word for _ in range(records // part) for word in ("-f", bench.lines(part, SIZE))]
    figures = bench.timed(bench.leat_path, "-D", place, "produce", "t", *files)
    bench.expect("leat", "records", bench.records(place), records // part * part)
    return figures


@contextlib.contextmanager
def open_stage(bench):
    call = functools.partial
    with contextlib.ExitStack() as stack:
        contestants = []
        for records in bench.sizes.opened:
            place = stack.enter_context(topic(bench))
            fill(bench, place, records)
            run = call(bench.tool, "subject_embedded", "open", place, "t", bench.sizes.starts * 3)
            contestants.append(Contestant(opened_name(records), "leat", "-", run))
        yield contestants


# ---- Proofs ----

def proof_figures(bench):
    text = bench.output(bench.proof_bench, 100_000)
    found = dict(re.findall(r"(make a proof|verify it)\s+([\d.]+) us p50", text))
    make, verify = float(found["make a proof"]), float(found["verify it"])
    return {"make_us": make, "verify_us": verify, "p50_us": make + verify}


@contextlib.contextmanager
def proof_stage(bench):
    yield [Contestant("leat", "leat", "-", functools.partial(proof_figures, bench))] if bench.proof_bench else []


def contests(sizes):
    rate = {"figure": "per_second", "unit": "records/s", "lower_is_better": False}
    p50 = {"figure": "p50_us", "unit": "us"}
    return [
        Contest("single", "One record of 100 B at a time, each durable before the next, p50", stage=single_stage, **p50),
        Contest("writers", f"{CREW} processes, one partition, {sizes.crew_operations:,} records of 100 B each, every one waiting "
                "for its receipt", stage=writers_stage, **rate),
        Contest("follower", "From before a record of 100 B is sent until a follower in another process has it, p50",
                stage=follower_stage, **p50),
        Contest("one-shot", "echo x | TOOL: start, one record, end, p50", stage=one_shot_stage, **p50),
        Contest("open", "Open directory, producer and reader at the end, and close them, p50", stage=open_stage, **p50),
        Contest("commit", "Store a consumer's offset, p50", stage=commit_stage, **p50),
        Contest("proof", "Make a proof of a record among 100,000 and verify it, p50", stage=proof_stage, **p50),
    ]
