#!/usr/bin/python3
"""A store under changes and reads for minutes: does its memory stay flat, and is it right at the end? By hand.

    tests/store/soak.py [--minutes N] [--keys N] [--rate N]

Prints the resident memory every half minute; ends with status 1 when the last third's is more than 5 % above the second's.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time

import servers


def resident(server):
    with open(f"/proc/{server.process.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def change(options, generator, model, stop):
    """Puts values of changing sizes, and deletes, at a rate."""
    producer = subprocess.Popen([servers.LEAT, "produce", "source", "--framing", "json"], stdin=subprocess.PIPE)
    began, sent = time.monotonic(), 0
    while not stop.is_set():
        lines = []
        for _ in range(max(1, options.rate // 50)):
            key = f"key-{generator.randrange(options.keys)}"
            if generator.random() < 0.1:
                lines.append(f'{{"key":"{key}"}}\n')
                model.pop(key, None)
            else:
                model[key] = "v" * generator.randrange(400)
                lines.append(f'{{"key":"{key}","value":"{model[key]}"}}\n')
        producer.stdin.write("".join(lines).encode())
        producer.stdin.flush()
        sent += len(lines)
        time.sleep(max(0.0, began + sent / options.rate - time.monotonic()))
    producer.stdin.close()
    if producer.wait():
        sys.exit("produce failed")
    return sent


def read(server, generator, options, stop):
    connection = server.connect()
    while not stop.is_set():
        connection.request("GET", f"/stores/s/key-{generator.randrange(options.keys)}")
        if connection.getresponse().read() is None:
            return
        time.sleep(0.001)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--keys", type=int, default=200_000)
    parser.add_argument("--rate", type=int, default=10_000)
    options = parser.parse_args()
    servers.need_leat_net()
    with tempfile.TemporaryDirectory(prefix="leat-soak-") as directory:
        os.chdir(directory)
        os.environ["LEAT_DATA_DIR"] = os.path.join(directory, "data")
        servers.leat("topic", "create", "source", "-p", "2", "--retention-bytes", "200MiB")
        servers.leat("topic", "create", "s-changelog", "-p", "2", "--cleanup", "compact", "--segment-size", "64MiB")
        server = servers.Server("s", "--snapshot-interval", "30s")
        stop, model, samples = threading.Event(), {}, []
        threads = [threading.Thread(target=change, args=(options, random.Random(1), model, stop)),
                   threading.Thread(target=read, args=(server, random.Random(2), options, stop))]
        for thread in threads:
            thread.start()
        ends = time.monotonic() + options.minutes * 60
        while time.monotonic() < ends:
            time.sleep(min(30.0, max(0.1, ends - time.monotonic())))
            samples.append(resident(server))
            print(f"{samples[-1] / (1 << 20):7.1f} MiB, {len(model)} keys", flush=True)
        stop.set()
        for thread in threads:
            thread.join()
        time.sleep(3)
        right = server.contents() == model
        applied = sum(row["applied"] for row in server.json("/status")["partitions"])
        server.stop()
        third = max(1, len(samples) // 3)
        growth = max(samples[-third:]) / max(samples[third:-third] or samples[:1]) - 1
        print(f"{applied:,} changes in {options.minutes:g} minutes; the last third {growth * 100:+.1f} % beside the second; "
              f"{'right' if right else 'WRONG'} at the end")
        sys.exit(0 if right and growth < 0.05 else 1)


if __name__ == "__main__":
    main()
