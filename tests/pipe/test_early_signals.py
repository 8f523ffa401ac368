#!/usr/bin/python3
"""A signal at any moment of a start: also while leat hands over to leat-net, a pipeline ends by it, and does not run on."""

import os
import signal
import subprocess
import sys
import time

import driving

LEAT = os.path.join(driving.BUILD, "leat")
ROUNDS = 150
MS = 40 if driving.SLOW else 12  # by then it runs
PATIENCE = 60 if driving.SLOW else 20


def main():
    if not os.access(os.path.join(driving.BUILD, "leat-net"), os.X_OK):
        driving.skip("leat-net is not built: librdkafka-dev is missing")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in its background without it
    subprocess.run([LEAT, "topic", "create", "t"], check=True, capture_output=True)
    with open("pipeline.toml", "w", encoding="ascii") as file:
        file.write('[source]\ntopics = ["t"]\ngroup = "g"\n\n[[stage]]\nkind = "sink"\nsink = "stdout"\n')
    for number in range(ROUNDS):
        kind = (signal.SIGTERM, signal.SIGINT)[number % 2]
        process = subprocess.Popen([LEAT, "process", "pipeline.toml"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait = number * MS / 1000 / ROUNDS
        time.sleep(wait)
        process.send_signal(kind)
        try:
            status = process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            sys.exit(f"a pipeline runs on after {kind!r} {wait * 1000:.1f} ms after its start")
        driving.check(f"its end by {kind!r} after {wait * 1000:.1f} ms", status, -kind)
    driving.finish(f"{ROUNDS} signals in the first {MS} ms ended as many pipelines")


if __name__ == "__main__":
    main()
