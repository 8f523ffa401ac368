#!/usr/bin/python3
"""How fast pipelines are: through stages that pass on what they get, beside `consume -O none`; and into ClickHouse, beside
clickhouse-client inserting the same rows. Run by hand, or by `./dev bench --pipe`; what is not installed is left out, visibly.

    tests/bench/pipe.py [--build DIR] [--records N] [--rounds N] [--directory DIR] [--results FILE]

All in turn, round by round, so that what disturbs one disturbs all; ratios are of the medians.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "pipe")]
import real_servers  # noqa: E402
import record  # noqa: E402

PARTITIONS = 4
TABLE = "CREATE TABLE {} (partition UInt32, offset UInt64, timestamp DateTime) ENGINE = MergeTree ORDER BY (partition, offset)"
SOURCE = '[source]\ntopics = ["rows"]\ngroup = "{group}"\nreset = "earliest"\n\n'
STAGES = {
    "a sink alone": "",
    "a template": '[[stage]]\nkind = "par_map"\nbuiltin = "template"\ntemplate = "{{value}}"\n\n',
    "cat": '[[stage]]\nkind = "par_map"\ncommand = ["cat"]\nframing = "lines"\n\n',
}


class Place:
    def __init__(self, options, directory):
        self.leat = os.path.join(os.path.abspath(options.build), "leat")
        self.directory, self.records, self.groups = directory, options.records, 0
        self.environment = {**os.environ, "LEAT_DATA_DIR": os.path.join(directory, "data"), "HOME": directory}
        self.rows = os.path.join(directory, "rows")
        with open(self.rows, "w", encoding="ascii") as file:
            file.writelines(f'{{"partition":{n % PARTITIONS},"offset":{n},"timestamp":{1732150000 + n // 1000}}}\n' for n in range(self.records))
        self.run("topic", "create", "rows", "-p", str(PARTITIONS))
        self.run("produce", "rows", "-f", self.rows)

    def run(self, *arguments):
        """Seconds that a command takes; its output goes nowhere."""
        began = time.monotonic()
        subprocess.run([self.leat, *arguments], env=self.environment, check=True, stdout=subprocess.DEVNULL)
        return time.monotonic() - began

    def process(self, pipeline):
        """Seconds from the first record to the last, by a group of its own."""
        self.groups += 1
        path = os.path.join(self.directory, "pipeline.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(SOURCE.format(group=f"bench-{self.groups}") + pipeline)
        return self.run("process", path, "-d", "-q")


def to_stdout(stage):
    return stage + '[[stage]]\nkind = "sink"\nsink = "stdout"\nmax_records = 10000\n'


def client(server, rows):
    began = time.monotonic()
    with open(rows, "rb") as file:
        subprocess.run(["clickhouse-client", "--port", str(server.tcp), "--query", "INSERT INTO by_client FORMAT JSONEachRow"], stdin=file, check=True)
    return time.monotonic() - began


def to_clickhouse(server, batch):
    return f'[[stage]]\nkind = "reduce"\nsink = "clickhouse"\n{server.settings("by_leat")}max_records = {batch}\nmax_bytes = "64MiB"\n'


def subjects(place, server):
    """What is measured, each a function that gives seconds."""
    table = {"consume -O none": lambda: place.run("consume", "rows", "-Bd", "-O", "none")}
    for name, stage in STAGES.items():
        table[f"process, {name}"] = lambda stage=stage: place.process(to_stdout(stage))
    if server:
        table["clickhouse-client"] = lambda: client(server, place.rows)
        for batch in (10_000, 100_000):
            table[f"process, {batch:,} rows a batch"] = lambda batch=batch: place.process(to_clickhouse(server, batch))
    return table


def measure(options, place, server):
    seconds = {}
    for _ in range(options.rounds):
        for name, measured in subjects(place, server).items():
            for table in ("by_client", "by_leat") if server else ():
                server.ask(f"DROP TABLE IF EXISTS {table}")
                server.ask(TABLE.format(table))
            seconds.setdefault(name, []).append(measured())
            if server and ("client" in name or "rows a batch" in name):
                rows = server.ask("SELECT count() FROM " + ("by_client" if "client" in name else "by_leat"))
                if rows != [[str(options.records)]]:
                    sys.exit(f"{name}: {rows} rows of {options.records}")
    rates = {name: options.records / statistics.median(times) for name, times in seconds.items()}
    rows = []
    for name, rate in rates.items():
        beside = "clickhouse-client" if "batch" in name else "consume -O none"
        ratio = "" if name == beside or name == "clickhouse-client" else f"; {rate / rates[beside]:.2f} of {beside}"
        rows.append((name, f"{rate:,.0f} a second", f"{min(seconds[name]):.2f} to {max(seconds[name]):.2f} s{ratio}"))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=os.path.join(HERE, "..", "..", "build"))
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", help="where the data go (default: a new one below TMPDIR)")
    parser.add_argument("--results", default="", metavar="FILE", help="also write the table there, as Markdown")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory, prefix="leat-pipe-bench-") as directory:
        found = record.note_machine(directory, os.path.join(options.build, "leat"))
        place = Place(options, directory)
        if shutil.which("clickhouse-server") and shutil.which("clickhouse-client"):
            with real_servers.clickhouse(os.path.join(directory, "clickhouse")) as server:
                rows = measure(options, place, server)
        else:
            print("clickhouse-server or clickhouse-client is not installed: without ClickHouse")
            rows = measure(options, place, None)
    setting = f"{options.records:,} records of {PARTITIONS} partitions, {options.rounds} rounds"
    record.show(options.results, "Pipelines", setting, rows, found)


if __name__ == "__main__":
    main()
