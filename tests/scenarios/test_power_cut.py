#!/usr/bin/python3
"""Cuts ext4 off its disk under running producers, as a power failure does, and mounts it again without a restart.

What was acknowledged before the cut is there afterwards at its place, offsets are dense, and the next producer works. The
boot id and the page that processes share say nothing here: the kernel has not been restarted. What is acknowledged while the
cut is going on does not count: measured with a plain write and fdatasync, 7 of 80 cuts made a sync that was under way return
success without having happened, which a real loss of power does not.
"""

import fcntl
import os
import subprocess
import sys
import threading
import time

import processes
from processes import LEAT, fail, leat

CUTS = 3 if processes.SLOW else 8
EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2


def skip(why):
    print(why)
    sys.exit(77)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        skip(f"{command[0]} does not work here: {done.stderr.strip()}")


def produce(slot, receipts, stopped):
    with open(receipts, "wb") as output:
        process = subprocess.Popen([LEAT, "produce", "t", "-O", "text", "-p", str(slot % 2), "--batch-size", "512"],
                                   stdin=subprocess.PIPE, stdout=output, stderr=subprocess.DEVNULL)
    number = 0
    try:
        while not stopped.is_set():
            process.stdin.write(f"{receipts} {number}\n".encode())
            process.stdin.flush()
            number += 1
            if number % 50 == 0:
                time.sleep(0.001)
        process.stdin.close()
    except BrokenPipeError:
        pass
    process.wait()


if os.geteuid() != 0 or not os.path.exists("/dev/loop-control"):
    skip("a power cut takes root and loop devices")
if "--inside" not in sys.argv:
    # The mounts are this process's alone, and go away with it.
    run("unshare", "--mount", "true")
    os.execvp("unshare", ["unshare", "--mount", sys.executable, os.path.abspath(__file__), "--inside"])

random_generator = processes.seeded()
image, directory = os.path.abspath("image"), os.path.abspath("disk")
with open(image, "wb") as file:
    file.truncate(192 << 20)
run("mkfs.ext4", "-q", "-F", image)
os.mkdir(directory)
run("mount", "-o", "loop", image, directory)
os.environ["LEAT_DATA_DIR"] = directory + "/data"
leat("topic", "create", "t", "-p", "2", "--segment-size", "256KiB")
total = 0
paths = []
acknowledged = {}  # how much of each file of receipts was there before its cut
for cut in range(CUTS):
    stopped = threading.Event()
    round_paths = [f"receipts-{cut}-{slot}" for slot in range(4)]
    paths += round_paths
    threads = [threading.Thread(target=produce, args=(slot, path, stopped)) for slot, path in enumerate(round_paths)]
    for thread in threads:
        thread.start()
    time.sleep(random_generator.uniform(0.1, 0.5) * (10 if processes.SLOW else 1))
    descriptor = os.open(directory, os.O_RDONLY)
    acknowledged |= {path: os.path.getsize(path) for path in round_paths}
    try:
        fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, NO_LOG_FLUSH.to_bytes(4, "little"))
    except OSError as error:
        stopped.set()
        skip(f"this kernel cannot shut ext4 down: {error}")
    os.close(descriptor)
    stopped.set()
    for thread in threads:
        thread.join()
    subprocess.run(["umount", directory], check=True)
    subprocess.run(["mount", "-o", "loop", image, directory], check=True)

    shown = leat("consume", "t", "-Bd", "-F", "{{partition}} {{offset}} {{value}}").decode("ascii")
    records = processes.parse_records(shown.splitlines(keepends=True))
    processes.check_dense(records, f"after cut {cut}")
    there = {(partition, offset): value for partition, offset, value in records}
    total, wrong = 0, []
    for path in paths:
        with open(path, "rb") as file:
            receipts = file.read(acknowledged[path]).decode("ascii").split("\n")[:-1]
        for number, receipt in enumerate(receipts):
            _, partition, offset = receipt.split()
            if there.get((int(partition), int(offset))) != f"{path} {number}":
                wrong.append(f"record {number} of {path} was acknowledged at {receipt}, "
                             f"there is {there.get((int(partition), int(offset)))!r}")
            total += 1
    if wrong:
        fail(f"after cut {cut}: {len(wrong)} of {total} acknowledged records are not in place, the first and last:\n"
             f"{wrong[0]}\n{wrong[-1]}\n{len(records)} were read")
    leat("produce", "t", input=b"after the cut\n", stderr=subprocess.DEVNULL)
if total < CUTS:
    fail("too little was acknowledged to show anything")
print(f"{CUTS} cuts, {total} acknowledged records, all in place")
subprocess.run(["umount", directory], check=True)
