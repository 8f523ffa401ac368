#!/usr/bin/python3
"""The ClickHouse sink and a real ClickHouse: a batch is one block or nothing, whatever the user's profile says; what its exceptions
mean; a server that stops, hangs and comes back. Skipped where clickhouse-server is not installed."""

import os
import signal
import threading
import time

import driving
import real_servers
from driving import Driver, check, check_between, check_in

ROWS = 5000


def row(n, timestamp=1732150000):
    return None, f'{{"partition":{n % 8},"offset":{n},"timestamp":{timestamp}}}'


def blocks(server, table):
    return int(server.ask(f"SELECT count() FROM system.parts WHERE table = '{table}' AND level = 0")[0][0])


def count(server, table):
    return int(server.ask(f"SELECT count() FROM {table}")[0][0])


def whole_batches(server):
    server.ask("CREATE TABLE whole (partition UInt32, offset UInt64, timestamp DateTime) ENGINE = MergeTree ORDER BY (partition, offset)")
    for number, compression in enumerate(["none", "gzip"]):
        driver = Driver("clickhouse", server.settings("default.whole", f'compression = "{compression}"\n'))
        check(f"rows, {compression}", driver.deliver(*map(row, range(ROWS)))[0], "delivered")
        check(f"all are there, {compression}", count(server, "whole"), ROWS * (number + 1))
        check(f"as one block, {compression}", blocks(server, "whole"), number + 1)
        outcome, _ = driver.deliver(*map(row, range(ROWS - 1)), row(ROWS, '"never"'))
        check_in(f"a bad row, {compression}", "failed bad_data", outcome)
        check_in(f"which one, {compression}", f"(at row {ROWS})", outcome)
        check(f"nothing of the batch is there, {compression}", count(server, "whole"), ROWS * (number + 1))
        driver.end()
    values = server.ask("SELECT min(offset), max(offset), uniqExact(offset), min(toUnixTimestamp(timestamp)) FROM whole")
    check("what was sent", values, [["0", str(ROWS - 1), str(ROWS), "1732150000"]])
    driver = Driver("clickhouse", server.settings("whole"))
    outcome, _ = driver.deliver(row(1), (None, ""), (None, None), row(2), (None, '{"offset":1}{"offset":2}'))
    check("what is no row", [part.split("=")[0] for part in outcome.split(" ") if "=" in part], ["1", "2", "4"])
    check("the others", count(server, "whole"), 2 * ROWS + 2)
    driver.end()


def what_exceptions_mean(server):
    server.ask("CREATE TABLE letters (k UInt32, e Enum8('a' = 1)) ENGINE = MergeTree ORDER BY k")
    # Not a test of ClickHouse, but of what the sink knows of it.
    for table, value, expected in [
            ("nowhere", "{}", "not_found"), ("nowhere.t", "{}", "not_found"), ("whole", '{"other":1}', "bad_data"),
            ("whole", '{"offset":"x"}', "bad_data"), ("whole", '{"offset":-1}', "bad_data"), ("whole", '{"offset":[1]}', "bad_data"),
            ("whole", '{"offset":1,"offset":2}', "bad_data"), ("letters", '{"e":"b"}', "bad_data"), ("letters", '{"e":7}', "bad_data")]:
        driver = Driver("clickhouse", server.settings(table))
        check_in(f"{value} into {table}", f"failed {expected}:", driver.deliver((None, value))[0])
        driver.end()
    for name, settings, expected in [
            ("a reader", server.settings("whole").replace(f'"{real_servers.USER}"', '"reader"').replace("password_file", "#"), "permission"),
            ("nobody", server.settings("whole").replace(f'"{real_servers.USER}"', '"nobody"'), "permission"),
            ("no password", server.settings("whole").replace("password_file", "#"), "permission"),
            ("lz4", server.settings("whole", 'compression = "lz4"\n'), "configuration"),
            ("a setting that it does not know", server.settings("whole", 'settings = { no_such = "1" }\n'), "configuration")]:
        driver = Driver("clickhouse", settings)
        check_in(name, f"failed {expected}:", driver.deliver(row(1))[0])
        driver.end()


def too_many_parts(server):
    server.ask("CREATE TABLE crowded (offset UInt64) ENGINE = MergeTree ORDER BY offset SETTINGS parts_to_throw_insert = 3, parts_to_delay_insert = 2, "
               "max_bytes_to_merge_at_min_space_in_pool = 1, max_bytes_to_merge_at_max_space_in_pool = 1")
    driver = Driver("clickhouse", server.settings("crowded"))
    outcomes = [driver.deliver((None, f'{{"offset":{n}}}'))[0] for n in range(5)]
    check("the first", outcomes[:3], ["delivered"] * 3)
    check_in("too many", "failed unavailable", outcomes[-1])
    check_in("too many by name", "Code: 252", outcomes[-1])
    driver.end()


def hold(process):
    """Stops a process; returns when each of its threads stands still."""
    process.send_signal(signal.SIGSTOP)
    tasks = f"/proc/{process.pid}/task"
    while any(open(f"{tasks}/{task}/stat", encoding="ascii").read().rpartition(")")[2].split()[0] != "T" for task in os.listdir(tasks)):
        time.sleep(0.001)


def absence(server):
    driver = Driver("clickhouse", server.settings("whole", 'timeout = "1s"\n'))
    before = count(server, "whole")
    check("before", driver.deliver(row(1))[0], "delivered")
    server.stop()
    outcome, took = driver.deliver(row(2))
    check_in("it is not there", "failed unavailable", outcome)
    check_between("it says so at once", took, 0, 500)
    server.start()
    check("it is back", driver.again()[0], "delivered")
    check("once", count(server, "whole"), before + 2)
    hold(server.process)
    outcome, took = driver.deliver(row(3))
    check_in("it hangs", "failed unavailable", outcome)
    check_between("as long as it may", took, 900, 1500)
    driver.tell("stop 200")
    outcome, took = driver.again()
    check("stopped while it hangs", outcome, "failed interrupted: stopped")
    check_between("stopped soon", took, 150, 300)
    server.process.send_signal(signal.SIGCONT)
    check("it goes on", driver.again()[0], "delivered")
    found = count(server, "whole")
    check("no row is missing, and none but those without an answer are there more often", before + 3 <= found <= before + 5, True)
    driver.end()


def stops_between_batches(server):
    """A server that ends in order answers, or takes no more: nothing is there twice, though this one knows no tokens."""
    server.ask("CREATE TABLE stopped (offset UInt64) ENGINE = MergeTree ORDER BY offset")
    driver = Driver("clickhouse", server.settings("stopped"))
    ended = threading.Event()
    sent, failures = [], set()

    def deliver():
        while not ended.is_set():
            first = len(sent) * 100
            outcome, _ = driver.deliver(*((None, f'{{"offset":{n}}}') for n in range(first, first + 100)))
            while outcome != "delivered" and len(failures) < 100:
                failures.add(outcome)
                time.sleep(0.02)
                outcome, _ = driver.again()
            sent.append(first)

    thread = threading.Thread(target=deliver)
    thread.start()
    for _ in range(4):
        time.sleep(0.5)
        server.stop()
        server.start()
    time.sleep(0.5)
    ended.set()
    thread.join()
    check("failures that may not pass", [text for text in failures if not text.startswith("failed unavailable")], [])
    check("it was away", len(failures) > 0, True)
    rows = server.ask("SELECT count(), uniqExact(offset), max(offset) + 1 FROM stopped")[0]
    check("every row, once", rows, [str(len(sent) * 100)] * 3)
    driver.end()


def main():
    real_servers.need("clickhouse-server")
    with real_servers.clickhouse("clickhouse") as server:
        whole_batches(server)
        what_exceptions_mean(server)
        too_many_parts(server)
        absence(server)
        stops_between_batches(server)
        for name in ("server.log", "error.log", "output"):
            with open(server.path(name), encoding="utf-8", errors="replace") as file:
                check(f"no password in {name}", real_servers.PASSWORD in file.read(), False)
    driving.finish("batches of a real ClickHouse are whole or absent, and it may stop, hang and come back")


if __name__ == "__main__":
    main()
