#!/usr/bin/python3
"""python3-kafka decodes every sealed and cleanly closed .log to what was produced, and agrees with the partitioner.

Plain, lz4 and zstd; keys, headers, nulls and timestamps.
"""

import base64
import importlib.util
import json
import os
import random
import subprocess
import sys

ROOT = os.environ["LEAT_ROOT"]
HERE = os.path.join(ROOT, "tests", "interop")
LEAT = os.environ["LEAT"]
RECORDS = 4000

for module in ("kafka", "lz4", "zstandard"):
    if importlib.util.find_spec(module) is None:
        print(f"the Debian package python3-{module} is not installed")
        sys.exit(77)

seed = int(os.environ.get("LEAT_SEED", random.SystemRandom().randrange(10**6)))
print(f"seed {seed}")
generator = random.Random(seed)


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, **options)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: status {done.returncode}")
    return done.stdout


def some_bytes(limit):
    return generator.choice([None, b"", generator.randbytes(generator.randint(1, limit)), b"text " * generator.randint(1, 40)])


def make_records():
    for n in range(RECORDS):
        yield {
            "key": some_bytes(20),
            "value": some_bytes(600),
            "headers": [[name, some_bytes(9)] for name in ("a", "b", "\u20ac")[: generator.randint(0, 3)]],
            "timestamp": 1_700_000_000_000 + n * 3 - generator.randint(0, 10**6),
        }


def base64_or_none(data):
    return None if data is None else base64.b64encode(data).decode()


def envelope(record):
    """The line leat reads for a record."""
    line = {"headers": [[n, None] if v is None else [n, None, base64_or_none(v)] for n, v in record["headers"]],
            "timestamp": record["timestamp"]}
    for name in ("key", "value"):
        if record[name] is None:
            line[name] = None
        else:
            line[name + "_b64"] = base64_or_none(record[name])
    return json.dumps(line)


def decoded(record):
    """The line decode_log.py prints for it, without its offsets."""
    return {"key": base64_or_none(record["key"]), "value": base64_or_none(record["value"]),
            "headers": [[n, base64_or_none(v)] for n, v in record["headers"]], "timestamp": record["timestamp"]}


for codec in ("none", "lz4", "zstd"):
    records = list(make_records())
    run(LEAT, "topic", "create", codec, "--segment-size", "256KiB", "--compression-type", codec)
    run(LEAT, "produce", codec, "--framing", "json", "--batch-size", "16KiB", input="\n".join(map(envelope, records)).encode())
    folder = os.path.join(os.environ["LEAT_DATA_DIR"], "topics", codec, "0")
    segments = sorted(os.path.join(folder, n) for n in os.listdir(folder) if n.endswith(".log"))
    lines = run(sys.executable, os.path.join(HERE, "decode_log.py"), *segments).decode().splitlines()
    if len(lines) != RECORDS:
        sys.exit(f"{codec}: {len(lines)} records decoded instead of {RECORDS}")
    for offset, (line, record) in enumerate(zip(lines, records)):
        got = json.loads(line)
        got.pop("base_offset")
        if got.pop("offset") != offset or got != decoded(record):
            sys.exit(f"{codec}: offset {offset} decodes to {line}, produced was {record}")
    print(f"{codec}: {RECORDS} records in {len(segments)} segments, the same")

keys = [b"a", b"user-42", "\u20ac".encode()] + [generator.randbytes(generator.randint(1, 24)).replace(b"\0", b"\1")
                                               for _ in range(2000)]
for partitions in (2, 3, 8, 100):
    topic = f"keys-{partitions}"
    run(LEAT, "topic", "create", topic, "-p", str(partitions))
    lines = "".join(json.dumps({"key_b64": base64.b64encode(k).decode(), "value": str(n)}) + "\n" for n, k in enumerate(keys))
    run(LEAT, "produce", topic, "--framing", "json", input=lines.encode())
    shown = run(LEAT, "consume", topic, "-Bd", "-F", "{{value}} {{partition}}").decode().split("\n")[:-1]
    ours = [int(place) for _, place in sorted((int(n), p) for n, p in map(str.split, shown))]
    theirs = [int(n) for n in run(sys.executable, os.path.join(HERE, "murmur2.py"), "-0", str(partitions),
                                  input=b"\0".join(keys) + b"\0").split()]
    if ours != theirs:
        sys.exit(f"the partitioner differs for {partitions} partitions")
    print(f"{partitions} partitions: {len(keys)} keys, the same")
