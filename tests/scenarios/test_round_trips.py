#!/usr/bin/python3
"""100 MB of random bytes go in and out unchanged, in every framing, and a topic is copied by JSON.

Values hold NULs, newlines and invalid UTF-8; some are empty, some are null, some of the greatest size.
"""

import base64
import hashlib
import json
import os
import struct
import subprocess

import processes
from processes import LEAT, fail, leat

MIB = 1 << 20
TOTAL = (4 if processes.SLOW else 100) * 1000 * 1000
RECORD_MAX = 8 * MIB


def digest(stream):
    whole = hashlib.sha256()
    for chunk in iter(lambda: stream.read(MIB), b""):
        whole.update(chunk)
    return whole.hexdigest()


def output_digest(*arguments):
    process = subprocess.Popen([LEAT, *arguments], stdout=subprocess.PIPE)
    answer = digest(process.stdout)
    if process.wait():
        fail(f"leat {' '.join(arguments)}: status {process.returncode}")
    return answer


def file_digest(path):
    with open(path, "rb") as file:
        return digest(file)


def same(what, expected, got):
    if expected != got:
        fail(f"{what}: what came out is not what went in")
    print(f"{what}: the same")


def values(generator, total):
    """Values of all sizes: None, empty, a few bytes, some pages, up to the greatest."""
    sizes = [0, 1, 2, RECORD_MAX if total > RECORD_MAX * 2 else MIB]
    left = total
    while left > 0:
        size = sizes.pop() if sizes else generator.choice([0, generator.randint(1, 200), generator.randint(1, 70000)])
        size = min(size, left) if size else 0
        left -= max(size, 1)
        yield None if generator.random() < 0.02 else generator.randbytes(size)


def u32be(generator):
    with open("input", "wb") as file:
        for value in values(generator, TOTAL):
            file.write(b"\xff\xff\xff\xff" if value is None else struct.pack(">I", len(value)) + value)
    leat("topic", "create", "binary", "--compression-type", "lz4", "--max-record-size", "8MiB")
    leat("produce", "binary", "--framing", "u32be", "--max-request-size", "8MiB", "-f", "input")
    same(f"u32be, {os.path.getsize('input') / 1e6:.0f} MB", file_digest("input"),
         output_digest("consume", "binary", "-Bd", "--framing", "u32be"))


def nul(generator):
    with open("input", "wb") as file:
        for value in values(generator, TOTAL // 8):
            file.write((value or b"").replace(b"\0", b"\1") + b"\0")
    leat("topic", "create", "nul", "-p", "1")
    leat("produce", "nul", "-0", "--max-request-size", "8MiB", "-f", "input")
    same("nul", file_digest("input"), output_digest("consume", "nul", "-Bd", "--framing", "nul"))


def raw(generator):
    with open("input", "wb") as file:
        file.write(generator.randbytes(RECORD_MAX))
    leat("topic", "create", "raw")
    leat("produce", "raw", "--raw", "--max-request-size", "8MiB", "-f", "input")
    same("raw, one record of the greatest size", file_digest("input"), output_digest("consume", "raw", "-Bd", "-O", "raw"))
    with open("input", "ab") as file:
        file.write(b"x")
    done = subprocess.run([LEAT, "produce", "raw", "--raw", "--max-request-size", "16MiB", "-f", "input"],
                          stderr=subprocess.PIPE, text=True)
    if done.returncode != 65:
        fail(f"a byte more than the greatest size: status {done.returncode}, {done.stderr}")


def lines(generator):
    with open("input", "wb") as file:
        for value in values(generator, TOTAL // 8):
            file.write((value or b"").replace(b"\n", b"\r") + b"\n")
    leat("topic", "create", "lines")
    leat("produce", "lines", "--max-request-size", "8MiB", "-f", "input", "--compression", "zstd")
    same("lines", file_digest("input"), output_digest("consume", "lines", "-Bd"))


def envelope(name, data):
    return {name: None} if data is None else {name + "_b64": base64.b64encode(data).decode()}


def copy_by_json(generator):
    """Everything a record has goes through JSON: keys, nulls, headers, timestamps."""
    count = 0
    with open("input", "w", encoding="ascii") as file:
        for value in values(generator, TOTAL // 8):
            record = envelope("value", value)
            record |= envelope("key", generator.choice([None, b"", generator.randbytes(12)]))
            record["headers"] = [["h", generator.choice(["text", "", "\u20ac", "\0"])], ["n", None],
                                 ["b", None, base64.b64encode(generator.randbytes(5)).decode()]][: generator.randint(0, 3)]
            record["timestamp"] = 1_700_000_000_000 + generator.randint(-10**9, 10**9)
            file.write(json.dumps(record) + "\n")
            count += 1
    for topic in "ab":
        leat("topic", "create", topic)
    leat("produce", "a", "--framing", "json", "--max-request-size", "16MiB", "-f", "input")
    reader = subprocess.Popen([LEAT, "consume", "a", "-Bd", "-O", "jsonl"], stdout=subprocess.PIPE)
    leat("produce", "b", "--framing", "json", "--max-request-size", "16MiB", stdin=reader.stdout)
    if reader.wait():
        fail("the reading half of the copy failed")

    def contents(topic):
        for line in leat("consume", topic, "-Bd", "-O", "jsonl").splitlines():
            record = json.loads(line)
            if record.pop("topic") != topic:
                fail("a record of another topic")
            yield record

    def data(record, name):
        if name + "_b64" in record:
            return base64.b64decode(record[name + "_b64"])
        return None if record.get(name) is None else record[name].encode()

    pairs = 0
    with open("input", encoding="ascii") as file:
        for line, a, b in zip(file, contents("a"), contents("b"), strict=True):
            sent = json.loads(line)
            headers = [h for h in a.get("headers", [])]
            if a != b:
                fail(f"the copy differs at offset {a['offset']}")
            if any(data(sent, n) != data(a, n) for n in ("key", "value")) or a["timestamp"] != sent["timestamp"]:
                fail(f"offset {a['offset']} is not what was sent")
            if [h[0] for h in headers] != [h[0] for h in sent["headers"]] or \
                    [header_bytes(h) for h in headers] != [header_bytes(h) for h in sent["headers"]]:
                fail(f"offset {a['offset']} has other headers: {headers}")
            pairs += 1
    if pairs != count:
        fail(f"{pairs} records instead of {count}")
    print(f"copy by JSON: {count} records, the same")


def header_bytes(header):
    if len(header) == 3:
        return base64.b64decode(header[2])
    return None if header[1] is None else header[1].encode()


random_generator = processes.seeded()
u32be(random_generator)
nul(random_generator)
raw(random_generator)
lines(random_generator)
copy_by_json(random_generator)
