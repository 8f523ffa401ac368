"""A sink of the chaos test: appends the lines of its batch to a file and says so, or fails: before anything is written, in the
middle, or with all of it written; or hangs. A batch with a number that it never bears it refuses. Arguments: FILE MOOD."""

import os
import random
import sys
import time

BAD = 331  # multiples of it are refused

path, mood = sys.argv[1], float(sys.argv[2])
generator = random.Random(os.urandom(8))
batch = sys.stdin.buffer.read()
if any(int(line) % BAD == 0 for line in batch.split()):
    sys.exit(65)
fate = generator.random() / mood if mood else 1
if fate < 0.02:
    time.sleep(60)
if fate < 0.10:
    sys.exit(1)
if fate < 0.15:
    batch = b"".join(line + b"\n" for line in batch.split()[:generator.randrange(len(batch.split()))])
if fate < 0.30:
    time.sleep(generator.uniform(0, 0.1))
file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
if os.write(file, batch) != len(batch):
    os._exit(1)
if fate < 0.20:
    os.kill(os.getpid(), 9)
