#!/usr/bin/python3
"""How fast a store is: answers beside nginx and redis, ingestion beside `consume`, memory beside the payload, start-up, and the
latency of reads while changes are applied. Run by hand, or by `./dev bench --store`; what is not installed is left out, visibly.

    tests/bench/store.py [--build DIR] [--keys N] [--seconds N] [--rounds N] [--directory DIR] [--results FILE]

Prints a table; says the load of the machine beside it, as other work on it spoils the figures.
"""

import argparse
import contextlib
import http.client
import json
import mmap
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import record  # noqa: E402
import servers  # noqa: E402

VALUE_BYTES = 200
KEY_BYTES = 16
CONNECTIONS = 64
RATE = 50_000  # changes a second, beside which latency is measured


class Place:
    def __init__(self, options, directory):
        self.leat = os.path.join(os.path.abspath(options.build), "leat")
        self.directory = directory
        self.environment = {**os.environ, "LEAT_DATA_DIR": os.path.join(directory, "data"), "HOME": directory}

    def run(self, *arguments, stdin=None):
        return subprocess.run([self.leat, *arguments], env=self.environment, stdin=stdin, check=True, capture_output=True).stdout

    def serve(self, store, *flags):
        process = subprocess.Popen([self.leat, "store", "serve", store, "--source", "source", "--listen", "127.0.0.1:0", *flags],
                                   env=self.environment, stderr=subprocess.PIPE, cwd=self.directory)
        while True:
            line = process.stderr.readline().decode()
            if not line:
                sys.exit("the store does not start")
            found = re.search(r":(\d+)$", line.strip())
            if found:
                threading.Thread(target=process.stderr.read, daemon=True).start()
                return process, int(found[1])


def ask(port, target):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", target)
    response = connection.getresponse()
    return response.status, response.read()


def wait_until(port, target, good):
    while True:
        with contextlib.suppress(OSError):
            if good(*ask(port, target)):
                return
        time.sleep(0.01)


def write_lines(path, keys):
    block = 100_000
    with open(path, "w", encoding="ascii") as file:
        for first in range(0, keys, block):
            file.write("".join(f"key-{n:012}:{n:0{VALUE_BYTES}}\n" for n in range(first, min(first + block, keys))))


def wrk(url, seconds, connections=CONNECTIONS):
    """Requests a second, and percentiles in ms; every answer must be a good one."""
    done = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", url], capture_output=True, text=True, check=True)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        sys.exit(f"wrk on {url}:\n{done.stdout}")
    unit = {"us": 0.001, "ms": 1.0, "s": 1000.0}
    percentiles = {p: float(n) * unit[u] for p, n, u in re.findall(r"^\s+(\d+)%\s+([\d.]+)(us|ms|s)$", done.stdout, re.MULTILINE)}
    return float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1]), percentiles


@contextlib.contextmanager
def nginx(directory):
    """nginx with as many workers as processors, serving one file of 200 bytes without a log."""
    root = os.path.join(directory, "nginx")
    os.makedirs(os.path.join(root, "www"))
    with open(os.path.join(root, "www", "value"), "w", encoding="ascii") as file:
        file.write("v" * VALUE_BYTES)
    port = servers.free_port()
    with open(os.path.join(root, "nginx.conf"), "w", encoding="ascii") as file:
        file.write(f"""daemon off; worker_processes auto; pid {root}/pid; error_log {root}/error.log;
events {{ worker_connections 1024; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; open_file_cache max=10;
  client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
  server {{ listen 127.0.0.1:{port}; root {root}/www; }} }}
""")
    os.chmod(directory, 0o755)
    os.chmod(root, 0o755)
    process = subprocess.Popen(["nginx", "-p", root, "-c", os.path.join(root, "nginx.conf")], stderr=subprocess.DEVNULL)
    try:
        servers.wait_for(port, process, "nginx", os.path.join(root, "error.log"))
        yield port
    finally:
        process.terminate()
        process.wait()


def redis_rate(port, seconds):
    """GETs a second by redis-benchmark, without pipelining, as wrk has none."""
    count = 60_000 * seconds
    done = subprocess.run(["redis-benchmark", "-p", str(port), "-t", "get", "-d", str(VALUE_BYTES), "-c", str(CONNECTIONS), "-n", str(count),
                           "--csv"], capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1].split(",")[1].strip('"'))


def answers(place, port, options, rows):
    """The three in turn, so that what disturbs one disturbs all."""
    rates = {"leat": [], "nginx": [], "redis": []}
    latency = []
    with contextlib.ExitStack() as stack:
        nginx_port = stack.enter_context(nginx(place.directory)) if shutil.which("nginx") else None
        redis_port = None
        if shutil.which("redis-server") and shutil.which("redis-benchmark"):
            redis_directory = os.path.join(place.directory, "redis")
            os.makedirs(redis_directory)
            redis_port = stack.enter_context(servers.redis(redis_directory))
            subprocess.run(["redis-benchmark", "-p", str(redis_port), "-t", "set", "-d", str(VALUE_BYTES), "-n", "1000", "-q"],
                           capture_output=True, check=True)
        for _ in range(options.rounds):
            rate, percentiles = wrk(f"http://127.0.0.1:{port}/stores/s/key-000000000001", options.seconds)
            rates["leat"].append(rate)
            latency.append(percentiles["99"])
            if nginx_port:
                rates["nginx"].append(wrk(f"http://127.0.0.1:{nginx_port}/value", options.seconds)[0])
            if redis_port:
                rates["redis"].append(redis_rate(redis_port, options.seconds))
    ours = statistics.median(rates["leat"])
    rows.append(("GET of 200 bytes, a second", f"{ours:,.0f}", f"p99 {statistics.median(latency):.2f} ms at full load"))
    for name in ("nginx", "redis"):
        if rates[name]:
            other = statistics.median(rates[name])
            rows.append((f"  {name}", f"{other:,.0f}", f"leat is {ours / other:.2f} of it"))
        else:
            rows.append((f"  {name}", "-", "skipped: not installed"))


def beside_changes(place, port, options, rows):
    """Latency of reads while changes are applied at a rate."""
    producer = subprocess.Popen([place.leat, "produce", "source", "--key-separator", ":"], env=place.environment, stdin=subprocess.PIPE)
    stop = threading.Event()
    sent = 0

    def feed():
        nonlocal sent
        began = time.monotonic()
        step = RATE // 50
        while not stop.is_set():
            producer.stdin.write("".join(f"key-{(sent + n) * 7919 % options.keys:012}:{sent:0{VALUE_BYTES}}\n" for n in range(step)).encode())
            producer.stdin.flush()
            sent += step
            time.sleep(max(0.0, began + sent / RATE - time.monotonic()))

    feeder = threading.Thread(target=feed)
    before = applied(port)
    began = time.monotonic()
    feeder.start()
    rate, percentiles = wrk(f"http://127.0.0.1:{port}/stores/s/key-000000000001", options.seconds * 2, connections=8)
    changes = (applied(port) - before) / (time.monotonic() - began)
    stop.set()
    feeder.join()
    producer.stdin.close()
    producer.wait()
    rows.append(("GET beside changes, p99", f"{percentiles['99']:.2f} ms", f"p50 {percentiles['50']:.2f} ms, {rate:,.0f} reads and "
                 f"{changes:,.0f} changes a second, 8 connections"))


def applied(port):
    return sum(row["applied"] for row in json.loads(ask(port, "/status")[1])["partitions"])


def resident(process):
    with open(f"/proc/{process.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def least(place, options):
    """Records a second of what no store can do without, and nothing else: the source's bytes are read, written to other files that are
    synced, and copied to fresh memory, a thread for each partition. Python only makes the calls."""
    block = 1 << 20

    def work(partition):
        folder = os.path.join(place.environment["LEAT_DATA_DIR"], "topics", "source", str(partition))
        path = os.path.join(place.directory, f"least.{partition}")
        kept, buffer = [], bytearray(block)
        out = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        for name in sorted(name for name in os.listdir(folder) if name.endswith(".log")):
            source, position = os.open(os.path.join(folder, name), os.O_RDONLY), 0
            while count := os.preadv(source, [buffer], position):
                os.write(out, memoryview(buffer)[:count])
                kept.append(mmap.mmap(-1, block))
                os.preadv(source, [kept[-1]], position)
                position += count
            os.close(source)
        os.fdatasync(out)
        os.close(out)
        os.unlink(path)
        for one in kept:
            one.close()

    began = time.monotonic()
    threads = [threading.Thread(target=work, args=(partition,)) for partition in range(options.partitions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return options.keys / (time.monotonic() - began)


def measure(options, directory):
    place = Place(options, directory)
    rows = []
    lines = os.path.join(directory, "lines")
    write_lines(lines, options.keys)
    place.run("topic", "create", "source", "-p", str(options.partitions))
    with open(lines, "rb") as file:
        place.run("produce", "source", "--key-separator", ":", stdin=file)
    os.unlink(lines)

    rates = {"read": [], "least": [], "ingested": []}
    process = None
    for number in range(options.rounds):
        if process:
            process.kill()
            process.wait()
            place.run("topic", "delete", f"s{number - 1}-changelog")  # its memory is there for the next, as that of `least` is
        began = time.monotonic()
        place.run("consume", "source", "-Bd", "-O", "none")
        rates["read"].append(options.keys / (time.monotonic() - began))
        rates["least"].append(least(place, options))
        began = time.monotonic()
        process, port = place.serve(f"s{number}" if number + 1 < options.rounds else "s")
        wait_until(port, "/status", lambda status, body: status == 200 and sum(row["keys"] for row in json.loads(body)["partitions"]) >= options.keys)
        rates["ingested"].append(options.keys / (time.monotonic() - began))
    read, floor, ingest = (statistics.median(rates[name]) for name in ("read", "least", "ingested"))
    rows.append(("ingested, records a second", f"{ingest:,.0f}", f"{ingest / read:.2f} of consume -O none, which reads {read:,.0f}"))
    rows.append(("the least: read, write, sync, keep", f"{floor:,.0f}", f"{floor / read:.2f} of consume -O none; leat is {ingest / floor:.2f} of it"))
    payload = options.keys * (KEY_BYTES + VALUE_BYTES)
    rows.append(("memory a key beside the payload", f"{(resident(process) - payload) / options.keys:.1f} bytes", "of all that the process has in use"))
    answers(place, port, options, rows)
    beside_changes(place, port, options, rows)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait()
    rows.append(("end, with a snapshot written", f"{time.monotonic() - began:.1f} s", ""))
    for name, lose in (("start from the snapshot", False), ("start from the changelog alone", True)):
        if lose:
            shutil.rmtree(os.path.join(place.environment["LEAT_DATA_DIR"], "stores"))
        began = time.monotonic()
        process, port = place.serve("s")
        wait_until(port, "/readyz", lambda status, _: status == 200)
        rows.append((name, f"{time.monotonic() - began:.2f} s", f"{options.keys:,} keys; files in the page cache"))
        process.kill()
        process.wait()
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=os.path.join(HERE, "..", "..", "build"))
    parser.add_argument("--keys", type=int, default=5_000_000)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", help="where the data go (default: a new one below TMPDIR)")
    parser.add_argument("--results", default="", metavar="FILE", help="also write the table there, as Markdown")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed: apt-get install wrk")
    with tempfile.TemporaryDirectory(dir=options.directory, prefix="leat-store-bench-") as directory:
        found = record.note_machine(directory, os.path.join(options.build, "leat"))
        rows = measure(options, directory)
    setting = f"{options.keys:,} keys of {KEY_BYTES} bytes with values of {VALUE_BYTES} in {options.partitions} partitions"
    record.show(options.results, "A store over HTTP", setting, rows, found)


if __name__ == "__main__":
    main()
