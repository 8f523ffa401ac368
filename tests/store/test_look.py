#!/usr/bin/python3
"""get, scan and stats: a store without its server, beside one, behind a kill, with and without snapshots; and a store whose values
a command transforms."""

import json
import os
import shutil
import sys

import servers
from servers import Server, check, check_in, leat


def look(records):
    for key in ("a", "key 2", "-7", "ä"):
        check(f"get {key}", leat("store", "get", "s", "--", key).decode(), records.model[key] + "\n")
    check("get raw", leat("store", "get", "s", "a", "-O", "raw").decode(), records.model["a"])
    item = json.loads(leat("store", "get", "s", "a", "-O", "json"))
    check("get json", (item["key"], item["value"], sorted(item)), ("a", records.model["a"], ["key", "offset", "partition", "value"]))
    leat("store", "get", "s", "gone", status=66)
    found = {item["key"]: item["value"] for item in json.loads(leat("store", "scan", "s", "-O", "json"))}
    check("scan", found, records.model)
    keys = leat("store", "scan", "s", "--keys", "--prefix", "key ").decode().splitlines()
    check("keys with a prefix", sorted(keys), sorted(key for key in records.model if key.startswith("key ")))
    check("some", len(leat("store", "scan", "s", "-n", "3").splitlines()), 3)
    check_in("lines", "[a] " + records.model["a"] + "\n", leat("store", "scan", "s").decode())
    rows = json.loads(leat("store", "stats", "s", "-O", "json"))
    check("stats", (sum(row["keys"] for row in rows), len(rows)), (len(records.model), 2))
    return rows


# Answers each frame with a frame: the value's lines in reverse, so that there are as many newlines as before.
REVERSES = """
import struct, sys
while head := sys.stdin.buffer.read(4):
    value = sys.stdin.buffer.read(struct.unpack(">I", head)[0])
    value = b"\\n".join(reversed(value.split(b"\\n")))
    sys.stdout.buffer.write(struct.pack(">I", len(value)) + value)
    sys.stdout.buffer.flush()
"""


def frames():
    """Values of any bytes go through a transform whose values are frames; lines cannot hold them."""
    leat("topic", "create", "texts")
    records = servers.Records("texts")
    for n, value in enumerate(("a\nb\nc", "", "\n", "x" * 200_000 + "\ny", "one line", "\0\n\u00e9")):
        records.put(f"k{n}", value)
    last = records.send()
    server = Server("v", "--transform", "cat", source="texts", wait=False)
    status, errors = server.rest()
    check("a value that is no line", status, 65)
    check_in("a value that is no line", "--transform-framing u32be", errors)
    with open("reverses.py", "w", encoding="utf-8") as file:
        file.write(REVERSES)
    server = Server("w", "--transform", f"{sys.executable} reverses.py", "--transform-framing", "u32be", source="texts")
    server.wait_for(last)
    check("framed", server.contents(), {key: "\n".join(reversed(value.split("\n"))) for key, value in records.model.items()})
    check("its end", server.stop(), -15)
    for name, answer, sentence in (("too large an answer", "\\377\\377\\377\\376", "larger than a record"),
                                   ("a null", "\\377\\377\\377\\377", "an answer is a null"),
                                   ("too many answers", "\\0\\0\\0\\0" * 20, "more answers")):
        server = Server("x", "--transform", f"printf '{answer}'; cat >/dev/null", "--transform-framing", "u32be", source="texts", wait=False)
        status, errors = server.rest()
        check(name, status, 65)
        check_in(name, sentence, errors)


def configured():
    """What the server was told in .env, in the environment or in [store], a look knows, too; what is another store's, it does not."""
    records = servers.Records("source")
    records.put("told", "so")
    last = records.send()
    with open(".env", "w", encoding="ascii") as file:
        file.write("STORE_ID=y\nSOURCE_TOPIC=source\nCHANGELOG_TOPIC=odd-one\nLEAT_STORE_SNAPSHOT_DIR=elsewhere\n")
    server = Server("y", source=None)
    server.wait_for(last)
    check("its end", server.stop(), -15)
    check("as .env says", leat("store", "get", "y", "told"), b"so\n")
    check("snapshots, too", {row["replayed"] for row in json.loads(leat("store", "stats", "y", "-O", "json"))}, {0})
    leat("store", "get", "other", "told", status=66)
    os.rename(".env", "variables")
    leat("store", "get", "y", "told", status=66)
    check("as a file that is named says", leat("store", "get", "y", "told", "--env-file", "variables"), b"so\n")
    with open("config", "w", encoding="ascii") as file:
        file.write('[store]\nchangelog = "odd-one"\n')
    os.environ["LEAT_CONFIG"] = os.path.abspath("config")
    check("as [store] says", leat("store", "get", "y", "told"), b"so\n")
    del os.environ["LEAT_CONFIG"]
    os.environ["KAFKA_BROKERS"] = "127.0.0.1:1"
    leat("store", "get", "y", "told", "-D", os.environ["LEAT_DATA_DIR"], "--changelog", "odd-one")
    leat("store", "get", "y", "told", "--changelog", "odd-one", status=69)
    del os.environ["KAFKA_BROKERS"]


def main():
    servers.need_leat_net()
    leat("topic", "create", "source", "-p", "2")
    records = servers.Records("source")
    for i in range(200):
        records.put(f"key {i}", f"value {i}")
    for key, value in [("a", "1"), ("-7", "minus"), ("ä", "ü"), ("gone", "x"), ("gone", None)]:
        records.put(key, value)
    last = records.send()
    server = Server("s")
    server.wait_for(last)
    check("without a snapshot", {row["snapshot_at"] for row in look(records)}, {None})
    check("its group shows the lag", "store.s" in leat("consumer", "list").decode(), True)
    server.kill()
    look(records)
    server = Server("s", "--snapshot-dir", "kept")
    records.put("a", "2")
    newest = records.send()
    server.wait_for(newest)
    check("its end", server.stop(), -15)
    check("snapshots elsewhere", sorted(os.listdir("kept/stores/s")), ["0.snapshot", "1.snapshot", "lock"])
    look(records)
    server = Server("s")
    check("its end", server.stop(), -15)
    check("with a snapshot", [row["replayed"] for row in look(records)], [0, 0])
    path = os.path.join(os.environ["LEAT_DATA_DIR"], "stores", "s", "0.snapshot")
    with open(path, "r+b") as file:
        file.seek(100)
        file.write(b"damaged")
    look(records)
    check("verify knows the place", json.loads(leat("inspect", "verify", "-O", "json") or "[]"), [])
    shutil.rmtree(os.path.dirname(path))
    look(records)

    server = Server("t", "--transform", "sed -u 's/^/</; s/$/>/'")
    server.wait_for({**last, **newest})
    check("transformed", server.contents(), {key: f"<{value}>" for key, value in records.model.items()})
    check("its end", server.stop(), -15)
    server = Server("u", "--transform", "head -n 3", wait=False)
    status, errors = server.rest()
    check("a transform that ends", status, 74)
    check_in("a transform that ends", "the transform has ended", errors)
    frames()
    configured()
    servers.finish("as the server has it")


if __name__ == "__main__":
    main()
