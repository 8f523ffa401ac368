#!/usr/bin/python3
"""Go's transparency log packages read our exports, agree with our proofs, and make the same signatures.

A topic grows, and is exported into the same directory again and again; the size of each tree is chosen around the places
where tiles become whole.
"""

import json
import os
import random
import shutil
import subprocess
import sys

ROOT = os.environ["LEAT_ROOT"]
LEAT = os.environ["LEAT"]
GO, SOURCES = "/usr/bin/go", "/usr/share/gocode"
SIZES = [1, 2, 200, 255, 256, 257, 511, 768, 1000, 65535, 65536, 65537, 70000, 257000]

if not os.access(GO, os.X_OK) or not os.path.isdir(f"{SOURCES}/src/golang.org/x/mod/sumdb/tlog"):
    print("the Debian packages golang-go and golang-golang-x-mod-dev are not installed")
    sys.exit(77)

seed = int(os.environ.get("LEAT_SEED", random.SystemRandom().randrange(10**6)))
print(f"seed {seed}")
generator = random.Random(seed)


def run(*command, status=0, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, **options)
    if done.returncode != status:
        sys.exit(f"{' '.join(command)}: status {done.returncode}")
    return done.stdout


def leat(*arguments, **options):
    return run(LEAT, *arguments, **options)


def lines(count):
    for _ in range(count):
        yield generator.choice([b"", b"k:v", generator.randbytes(generator.randint(1, 80)).replace(b"\n", b"-")])


def produce(count):
    """Random batches, codecs and segments: none of it may show in the tree."""
    while count > 0:
        some = min(count, generator.randint(1, 30000))
        leat("produce", "t", "--batch-size", generator.choice(["1KiB", "64KiB"] if some < 3000 else ["64KiB"]), "--compression",
             generator.choice(["none", "lz4", "zstd"]), input=b"".join(line + b"\n" for line in lines(some)))
        count -= some


def path_of(*arguments):
    return json.loads(leat("inspect", "proof", "t", *map(str, arguments)))["path"]


os.mkdir("go")
run(GO, "build", "-o", "tlog", f"{ROOT}/tests/interop/tlog/main.go", env={
    **os.environ, "GO111MODULE": "off", "GOPATH": SOURCES, "GOFLAGS": "", "GOROOT": "", "GOCACHE": os.path.abspath("go"),
    "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"})
key = leat("inspect", "keygen", "leat/t/0", "--out", "key").decode().strip()
leat("topic", "create", "t", "--segment-size", "1MiB")

checkpoints, size = [], 0
for number, wanted in enumerate([0] + SIZES):
    produce(wanted - size)
    size = wanted
    said = leat("inspect", "proof", "t", "--export-tlog", "export", "--sign", "key").decode()
    if not said.startswith(f"export holds {size} record"):
        sys.exit(said)
    got_size, root = run("./tlog", "check", "export", key, *checkpoints).decode().split()
    ours = json.loads(leat("inspect", "checkpoint", "t", "-O", "json"))[0]
    if (int(got_size), root) != (ours["size"], ours["root"]):
        sys.exit(f"{size} records: Go says {got_size} {root}, and leat {ours}")
    checkpoints.append(f"checkpoint-{number}")
    shutil.copy("export/checkpoint", checkpoints[-1])
    for offset in {0, size // 2, size - 1} if size else ():
        if run("./tlog", "prove", "export", key, str(offset)).decode().split() != path_of(offset):
            sys.exit(f"another inclusion path for {offset} of {size}")
    for old in {1, size // 3, size - 1} - {0, -1} if size > 1 else ():
        if run("./tlog", "prove", "export", key, str(old), str(size)).decode().split() != path_of("--consistency", old, size):
            sys.exit(f"another consistency path from {old} to {size}")
print(f"exports of {len(checkpoints)} sizes up to {size} records: Go reads each, continues all before, and finds the same paths")

leat("inspect", "proof", "t", "--export-tlog", "at-once", "--sign", "key")
run("./tlog", "check", "at-once", key, *checkpoints)
with open("export/checkpoint", "rb") as grown, open("at-once/checkpoint", "rb") as at_once:
    if grown.read() != at_once.read():
        sys.exit("the checkpoint of an export that grew is not that of one made at once")
text = leat("inspect", "checkpoint", "t")
with open("key", encoding="ascii") as secret:
    signed = run("./tlog", "sign", secret.read().strip(), input=text)
if signed != leat("inspect", "checkpoint", "t", "--sign", "key"):
    sys.exit(f"Go signs the checkpoint as {signed.decode()}")
print("a checkpoint signed by Go is the one signed by leat")

# A tile that was changed is noticed: the check checks something.
with open("at-once/tile/0/017", "r+b") as file:
    file.seek(77)
    byte = file.read(1)[0]
    file.seek(77)
    file.write(bytes([byte ^ 1]))
run("./tlog", "check", "at-once", key, status=1, stderr=subprocess.DEVNULL)
print("a changed tile is noticed")
