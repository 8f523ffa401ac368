#!/usr/bin/python3
"""The demo of the document on map and reduce: its pipeline, its table and its two checks, with a real ClickHouse. Skipped where
clickhouse-server is not installed."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "pipe"))
import chaos  # noqa: E402
import driving  # noqa: E402
import map_reduce_document as document  # noqa: E402
import real_servers  # noqa: E402

LEAT = os.path.join(driving.BUILD, "leat")
RECORDS = 20_000


def leat(*arguments, stdin=b""):
    done = subprocess.run([LEAT, *arguments], input=stdin, capture_output=True, timeout=200)
    driving.check(f"leat {arguments[0]}", (done.returncode, done.stderr), (0, b""))
    return done.stdout


def main():
    real_servers.need("clickhouse-server")
    with real_servers.clickhouse("clickhouse") as server:
        # With ORDER BY where the document has PRIMARY KEY alone: this old a server asks for it.
        server.ask(chaos.TABLE.format("kmr_consumer_ingest"))
        leat("topic", "create", "ingest-performance-metrics", "-p", "4")
        with open("demo.toml", "w", encoding="utf-8") as file:
            file.write(document.pipeline('sink = "clickhouse"', f'url = "{server.url.replace("127.0.0.1", "localhost")}"',
                                         'table = "kmr_consumer_ingest"'))
        driving.check_in("its graph", b"clickhouse", leat("process", "--check", "demo.toml"))
        half = RECORDS // 2
        for first in (0, half):
            leat("produce", "ingest-performance-metrics", stdin="".join(f"any message {n}\n" for n in range(first, first + half)).encode())
            leat("process", "demo.toml", "-d")
            rows = server.ask(chaos.MISSING.format("kmr_consumer_ingest"))
            driving.check("delta", [delta for _, _, _, delta in rows], ["0"] * 4)
            driving.check("rows", sum(int(occ) for _, _, occ, _ in rows), first + half)
            driving.check("double writes", server.ask(chaos.DOUBLES.format("kmr_consumer_ingest")), [])
        recent = server.ask("SELECT count() FROM kmr_consumer_ingest WHERE timestamp BETWEEN now() - 3600 AND now() + 60")
        driving.check("times are those of the records", recent, [[str(RECORDS)]])
    driving.finish(f"the document's demo: {RECORDS} messages in two runs, none missing, none twice")


if __name__ == "__main__":
    main()
