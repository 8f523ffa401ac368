"""kcat reads what leat has produced, and leat what kcat has: keys, nulls, headers, times and every compression."""

import json
import shutil
import subprocess

import load

FORMAT = "%T|%p|%K|%k|%S|%s|%h\\n"


def kcat(servers, *arguments, stdin=b""):
    done = subprocess.run(["kcat", "-b", servers, *arguments], input=stdin, capture_output=True, timeout=60)
    if done.returncode:
        raise load.Wrong(f"kcat {' '.join(arguments)}: {done.stderr.decode()}")
    return done.stdout.decode()


def check(nodes, _):
    if not shutil.which("kcat"):
        return "not tested: kcat is not installed"
    read_by_kcat(nodes)
    read_by_leat(nodes)
    return "keys, nulls, headers, times, none, gzip, snappy, lz4 and zstd, both ways"


def read_by_kcat(nodes):
    records = [{"key": "k", "value": "v", "headers": [["h", "w"], ["e", ""]], "timestamp": 1704164645000},
               {"key": None, "value": "no key", "headers": [], "timestamp": 1704164646000},
               {"key": "tombstone", "value": None, "headers": [], "timestamp": 1704164647000},
               {"key": "", "value": "", "headers": [], "timestamp": 1704164648000},
               {"key": "ä", "value": "x" * 5000, "headers": [["ö", "ü"]], "timestamp": 1704164649000}]
    lines = "".join(json.dumps(record) + "\n" for record in records).encode()
    for codec in ("none", "lz4", "zstd"):
        topic = f"to-kcat-{codec}"
        load.leat("-D", nodes.url, "topic", "create", topic)
        load.leat("-D", nodes.url, "produce", topic, "--framing", "json", "--compression", codec, stdin=lines)
        found = kcat(nodes.plain, "-C", "-t", topic, "-e", "-q", "-f", FORMAT).splitlines()
        wanted = []
        for record in records:
            key, value = record["key"], record["value"]
            headers = ",".join(f"{name}={text}" for name, text in record["headers"])
            sizes = [-1 if text is None else len(text.encode()) for text in (key, value)]
            wanted.append(f"{record['timestamp']}|0|{sizes[0]}|{key or ''}|{sizes[1]}|{value or ''}|{headers}")
        if found != wanted:
            raise load.Wrong(f"kcat reads of {topic} {found}, expected {wanted}")


def read_by_leat(nodes):
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        topic = f"from-kcat-{codec}"
        load.leat("-D", nodes.url, "topic", "create", topic)
        lines = "".join(f"key{i}:value {i} {'y' * 100}\n" for i in range(200)).encode()
        kcat(nodes.plain, "-P", "-t", topic, "-K:", "-z", codec, "-H", "name=text", "-H", "null", stdin=lines)
        kcat(nodes.plain, "-P", "-t", topic, "-K:", "-Z", "-z", codec, stdin=b"tombstone:\n")
        rows = [json.loads(line) for line in load.leat("-D", nodes.url, "consume", topic, "-Bd", "-O", "jsonl")[0].splitlines()]
        wanted = [[f"key{i}", f"value {i} {'y' * 100}", [["name", "text"], ["null", None]]] for i in range(200)]
        wanted.append(["tombstone", None, []])
        found = [[row["key"], row["value"], row["headers"]] for row in rows]
        if found != wanted:
            different = [pair for pair in zip(found, wanted) if pair[0] != pair[1]]
            raise load.Wrong(f"{topic}: {len(found)} records, expected {len(wanted)}; {different[:2]}")
        if not all(abs(row["timestamp"] - rows[0]["timestamp"]) < 60000 for row in rows):
            raise load.Wrong(f"{topic}: its times are {[row['timestamp'] for row in rows][:3]}")
