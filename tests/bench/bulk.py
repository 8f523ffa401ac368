"""Contests over many records: a file of lines into a durable log, and all of it out again."""

import contextlib
import functools
import os

from contest import Contest, Contestant, Failed
from workbench import disk_bytes, file_bytes

SYNCED = "on disk"
RAM = "no: in memory"
CACHE = "no: page cache"
# Into librdkafka's mock of a cluster, in the same process.
KCAT = ("kcat", "-P", "-q", "-b", "mock", "-X", "test.mock.num.brokers=1", "-X", "log_level=0", "-t", "t")
PIPELINE = 1000  # records a transaction, a pipeline, a window


# ---- Producing ----

def dd(bench, path):
    with bench.fresh() as place:
        copy = os.path.join(place, "copy")
        return bench.timed("dd", f"if={path}", f"of={copy}", "bs=1M", "conv=fdatasync", "status=none")


def leat_produce(bench, path, count, *settings):
    with bench.fresh() as place:
        bench.leat(place, "topic", "create", "t", *settings)
        os.sync()
        figures = bench.timed(bench.leat_path, "-D", place, "produce", "t", "-f", path)
        bench.expect("leat", "records", bench.records(place), count)
        topic = os.path.join(place, "topics", "t")
        figures["disk_bytes_per_record"] = disk_bytes(topic) / count
        figures["log_ratio"] = os.path.getsize(path) / file_bytes(topic, ".log")
        return figures


def sqlite_produce(bench, path, count):
    with bench.fresh() as place:
        database = os.path.join(place, "db")
        program = bench.programs["peer_sqlite"]
        bench.output(program, "create", database)
        os.sync()
        figures = bench.timed(program, "bulk", database, PIPELINE, stdin=path)
        bench.expect("SQLite", "rows", int(bench.output(program, "count", database)), count)
        return figures | {"disk_bytes_per_record": disk_bytes(place) / count}


def server_produce(bench, path, count, peer):
    program = bench.programs["peer_" + peer]
    with bench.fresh() as place, bench.server(peer, place) as port:
        figures = bench.timed(program, "bulk", port, PIPELINE, stdin=path)
        bench.expect(peer, "records", int(bench.output(program, "count", port)), count)
        return figures | {"disk_bytes_per_record": disk_bytes(place) / count}


def kcat_produce(bench, path):
    return bench.timed(*KCAT, "-l", path)


@contextlib.contextmanager
def produce_stage(count, size, bench):
    path = bench.lines(count, size)
    call = functools.partial
    contestants = [
        Contestant("dd conv=fdatasync", "limit", SYNCED, call(dd, bench, path)),
        Contestant("leat", "leat", SYNCED, call(leat_produce, bench, path, count)),
        Contestant("leat, no proofs", "leat", SYNCED, call(leat_produce, bench, path, count, "--proofs", "off")),
        Contestant("leat, LZ4", "leat", SYNCED, call(leat_produce, bench, path, count, "--compression-type", "lz4")),
    ]
    if "sqlite" in bench.peers:
        contestants.append(Contestant("SQLite", "peer", SYNCED, call(sqlite_produce, bench, path, count)))
    if "redis" in bench.peers:
        contestants.append(Contestant("Redis", "peer", SYNCED, call(server_produce, bench, path, count, "redis")))
    if "nats" in bench.peers:
        contestants.append(Contestant("NATS", "peer", CACHE, call(server_produce, bench, path, count, "nats")))
    if "kcat" in bench.peers:
        contestants.append(Contestant("kcat", "peer", RAM, call(kcat_produce, bench, path)))
    yield contestants


# ---- Consuming ----

def read_all(bench, who, wanted_bytes, pipe, *command):
    figures = bench.timed(*command, pipe=pipe)
    if pipe:
        bench.expect(who, "bytes", figures["bytes"], wanted_bytes)
    return figures


def leat_consume(bench, place, wanted_bytes, pipe):
    return read_all(bench, "leat", wanted_bytes, pipe, bench.leat_path, "-D", place, "consume", "t", "-B", "-d")


def filled_log(bench, stack, path, *settings):
    place = stack.enter_context(bench.fresh())
    bench.leat(place, "topic", "create", "t", *settings)
    bench.leat(place, "produce", "t", "-f", path)
    return place


def filled_peer(bench, stack, peer, path):
    """What its program is to be told to find the records: a path or a port."""
    place = stack.enter_context(bench.fresh())
    if peer == "sqlite":
        where = os.path.join(place, "db")
    else:
        where = stack.enter_context(bench.server(peer, place))
    bench.timed(bench.programs["peer_" + peer], "bulk", where, PIPELINE, stdin=path)
    return where


@contextlib.contextmanager
def consume_stage(count, size, pipe, bench):
    path = bench.lines(count, size)
    wanted = os.path.getsize(path)
    call = functools.partial
    with contextlib.ExitStack() as stack:
        contestants = [Contestant("cat", "limit", "-", call(read_all, bench, "cat", wanted, pipe, "cat", path))]
        for name, settings in (("leat", []), ("leat, LZ4", ["--compression-type", "lz4"])):
            place = filled_log(bench, stack, path, *settings)
            contestants.append(Contestant(name, "leat", "-", call(leat_consume, bench, place, wanted, pipe)))
        for name, peer in (("SQLite", "sqlite"), ("Redis", "redis"), ("NATS", "nats")):
            # Into a pipe, a good part of the time is its reader's; without one, SQLite stands for the peers.
            if peer in bench.peers and (pipe or peer == "sqlite"):
                try:
                    where = filled_peer(bench, stack, peer, path)
                except Failed as failure:
                    print(f"skipped: {name} in consuming: {failure}")
                    continue
                run = call(read_all, bench, name, wanted, pipe, bench.programs["peer_" + peer], "consume", where)
                contestants.append(Contestant(name, "peer", "-", run))
        yield contestants


# ---- Compression ----

def lz4_tool(bench, path):
    with bench.fresh() as place:
        packed = os.path.join(place, "packed")
        bench.output("lz4", "-1", "-B4", "-q", path, packed)
        return {"log_ratio": os.path.getsize(path) / os.path.getsize(packed)}


@contextlib.contextmanager
def plain_log(bench, path):
    """What leat stores of the lines when it does not compress, as one file."""
    with contextlib.ExitStack() as stack:
        place = filled_log(bench, stack, path)
        log = os.path.join(place, "topics", "t", "0", "0" * 20 + ".log")
        bench.expect("leat", "bytes in one segment", os.path.getsize(log), file_bytes(place, ".log"))
        yield log


def leat_ratio(bench, path, count, log):
    """Of its own plain log, so that only the compression is compared, not what a batch says beside its lines."""
    figures = leat_produce(bench, path, count, "--compression-type", "lz4")
    return figures | {"log_ratio": figures["log_ratio"] * os.path.getsize(log) / os.path.getsize(path)}


@contextlib.contextmanager
def ratio_stage(count, size, bench):
    path = bench.lines(count, size)
    call = functools.partial
    packed = call(leat_produce, bench, path, count, "--compression-type", "lz4")
    with plain_log(bench, path) as log:
        yield [
            Contestant("lz4 -1 -B4 of the lines", "limit", "-", call(lz4_tool, bench, path)),
            Contestant("leat, LZ4, of the lines", "leat", SYNCED, packed),
            Contestant("lz4 -1 -B4 of leat's plain log", "limit", "-", call(lz4_tool, bench, log)),
            Contestant("leat, LZ4, of its plain log", "leat", SYNCED, call(leat_ratio, bench, path, count, log)),
        ]


def contests(sizes):
    call = functools.partial
    small, large = sizes.small_records, sizes.large_records
    found = []
    for key, count, size, name in (("100", small, 100, "100 B"), ("1024", large, 1024, "1 KiB")):
        work = f"{count:,} lines of {name}"
        found += [
            Contest(f"bulk-produce-{key}", f"{work} from a file into a new log", "seconds", "s", call(produce_stage, count, size)),
            Contest(f"bulk-consume-pipe-{key}", f"{work} to a pipe, cache warm", "seconds", "s",
                    call(consume_stage, count, size, True)),
            Contest(f"bulk-consume-null-{key}", f"{work} to /dev/null, cache warm", "seconds", "s",
                    call(consume_stage, count, size, False)),
        ]
    found.append(Contest("lz4-ratio", f"Bytes of {small:,} lines of 100 B for each byte on disk", "log_ratio", "to 1",
                         call(ratio_stage, small, 100), lower_is_better=False))
    return found
