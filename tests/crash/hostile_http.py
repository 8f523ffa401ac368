#!/usr/bin/python3
"""Requests that no client sends to `leat store serve`: row 37 of the scorecard.

    tests/crash/hostile_http.py [--points N] [--seed N] [--results FILE] [--self-test]

Each point is a request that is malformed, ambiguous, too large, cut off, or slow, made by a seeded choice of changes to good ones. Of
the server must hold: a request whose length is told in two ways is never answered with success; it goes on answering others; its
memory and descriptors stay bounded; connections that are left open are closed in the end, those of clients that ask for much and
take none of it, too.
"""

import argparse
import contextlib
import os
import random
import re
import socket
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "store"))
import results  # noqa: E402
import servers  # noqa: E402

MEMORY_MAX = 64 << 20  # more than before
LARGE = 4 << 20
HOARDERS = 100
HOARD_MAX = 320 << 20  # of the answers that they do not take, and what is around them
GOOD = b"GET /stores/s/k HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /stores/s/get HTTP/1.1\r\nHost: localhost\r\n"
BODY = b'{"keys":["k"]}'
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def ambiguous(generator):
    """A request whose body others might take to be longer or shorter."""
    length = b"Content-Length: %d\r\n" % len(BODY)
    other = b"Content-Length: " + generator.choice([b"0", b"5", b"15", b"-1", b"+14", b"0x0e", b"14, 14", b"14 14", b"1e1", b"", b"\xb2",
                                                    b"99999999999999999999", b"18446744073709551630", b"4294967310"]) + b"\r\n"
    encoding = b"Transfer-Encoding: " + generator.choice([b"chunked", b"Chunked", b"gzip", b"identity", b"chunked, chunked", b"gzip, chunked",
                                                          b"xchunked", b"chunked;q=1", b"\x0bchunked", b"chunk"]) + b"\r\n"
    headers = [length, generator.choice([other, encoding, b"content-length: 15\r\n", b"CONTENT-LENGTH: 14\r\n" if generator.random() < 0.5 else other])]
    generator.shuffle(headers)
    return POST + b"".join(headers) + b"\r\n" + generator.choice([BODY, b"e\r\n" + BODY + b"\r\n0\r\n\r\n"])


def mangled(generator):
    """A good request with bytes changed, doubled, cut or put in."""
    request = bytearray(generator.choice([GOOD, POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY,
                                          POST + CHUNKED + b"\r\ne\r\n" + BODY + b"\r\n0\r\n\r\n"]))
    for _ in range(generator.randrange(1, 6)):
        at = generator.randrange(len(request))
        kind = generator.randrange(4)
        if kind == 0:
            request[at] = generator.choice(b"\0\r\n\t :%/?\x7f\xff0A")
        elif kind == 1:
            request[at:at] = bytes(generator.choice([b"\r\n", b"\0", b"\r", b"\n", b"%", b"a" * generator.choice([10, 5000, 40000])]))
        elif kind == 2:
            del request[at:at + generator.randrange(1, 20)]
        else:
            request[at:at] = request[at:at + 40]
        if not request:
            request = bytearray(b"\r\n")
    return bytes(request)


def oversized(generator):
    size = generator.choice([20_000, 65_536, 1_000_000])
    return generator.choice([
        b"GET /" + b"a" * size + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * size + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * (size // 6) + b"\r\n", POST + b"Content-Length: %d\r\n\r\n" % (10 * size) + b"a" * size,
        POST + CHUNKED + b"\r\n" + b"ffffff\r\n" + b"a" * size * 2, POST + CHUNKED + b"\r\n" + b"1\r\na\r\n" * size])


def exchange(port, request, generator):
    """What comes back within a moment; sometimes the request is cut off, and sometimes nobody listens."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client, contextlib.suppress(OSError):
        client.sendall(request)
        if generator.random() < 0.2:
            return answer
        client.settimeout(0.05)
        while len(answer) < 1 << 20 and (more := client.recv(65536)):
            answer += more
    return answer


def succeeded(answer):
    return any(200 <= int(status) < 300 for status in re.findall(rb"HTTP/1\.1 (\d+)", answer))


def figures(server):
    with open(f"/proc/{server.process.pid}/statm", encoding="ascii") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    return resident, len(os.listdir(f"/proc/{server.process.pid}/fd"))


def left(server, clients, descriptors, seconds):
    """1 where, of so many clients, some are still connected after a time; there were so many descriptors before them."""
    deadline = time.monotonic() + seconds
    while clients and figures(server)[1] > descriptors + 5 and time.monotonic() < deadline:
        time.sleep(0.5)
    if figures(server)[1] <= descriptors + 5:
        return 0
    print(f"{figures(server)[1]} descriptors, {descriptors} before {len(clients)} clients that are to be cut off")
    return 1


def attack(server, generator, points):
    """The number of violations."""
    violations = 0
    memory, descriptors = figures(server)
    left_open = []
    for number in range(points):
        kind = generator.choice([ambiguous, mangled, oversized, None])
        if kind is None and len(left_open) < 200:
            client = socket.create_connection(("127.0.0.1", server.port), timeout=5)
            client.sendall(GOOD[:generator.randrange(len(GOOD))])
            left_open.append(client)
        else:
            request = (kind or mangled)(generator)
            if succeeded(exchange(server.port, request, generator)) and kind is ambiguous:
                violations += 1
                print(f"point {number}: answered with success: {request!r}")
        if number % 50 == 0 and server.get("k") != "v":
            violations += 1
            print(f"point {number}: a good request is not answered")
    if server.process.poll() is not None:
        print(f"the server ended: {server.rest()}")
        return violations + 1
    now, _ = figures(server)
    if now - memory > MEMORY_MAX and not servers.SLOW:
        violations += 1
        print(f"memory grew by {now - memory} bytes")
    # The time for a header is half a minute.
    violations += left(server, left_open, descriptors, 60)
    for client in left_open:
        client.close()
    return violations


def hoard(server):
    """Clients that do not take their answers: the number of violations."""
    violations = 0
    memory, descriptors = figures(server)
    clients, refused = [], 0
    for _ in range(HOARDERS):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(20)
        client.connect(("127.0.0.1", server.port))
        client.sendall(b"GET /stores/s/large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        refused += client.recv(12) == b"HTTP/1.1 503"
        clients.append(client)
    grown = figures(server)[0] - memory
    if not refused or (grown > HOARD_MAX and not servers.SLOW):  # a sanitizer keeps what was freed
        violations += 1
        print(f"{refused} of {HOARDERS} large answers were refused, memory grew by {grown} bytes")
    if server.get("k") != "v":
        violations += 1
        print("beside large answers, a good request is not answered")
    violations += left(server, clients, descriptors, 120)
    for client in clients:
        client.close()
    return violations


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Hostile requests.")
    parser.add_argument("--points", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--results", help="the file that the figures go to")
    parser.add_argument("--self-test", action="store_true", help="only show that a violation would be seen")
    options = parser.parse_args(arguments)
    if options.self_test:
        seen = succeeded(b"HTTP/1.1 400 Bad\r\n\r\nHTTP/1.1 200 OK\r\n\r\n") and not succeeded(b"HTTP/1.1 400 Bad\r\n\r\n")
        print("a success behind a refusal is " + ("seen" if seen else "not seen"))
        return 0 if seen else 1
    servers.need_leat_net()
    with tempfile.TemporaryDirectory(prefix="leat-http-") as directory:
        os.environ["LEAT_DATA_DIR"] = os.path.join(directory, "data")
        servers.leat("topic", "create", "source")
        records = servers.Records("source")
        records.put("k", "v")
        last = records.send()
        servers.leat("produce", "source", "--framing", "json", "--max-request-size", "8MiB",
                     stdin=f'{{"key":"large","value":"{"x" * LARGE}"}}\n'.encode())
        last[0] += 1
        server = servers.Server("s", "--max-connections", "500")
        server.wait_for(last)
        violations = attack(server, random.Random(options.seed), options.points) + hoard(server)
        server.kill()
    print(f"{options.points} requests, {violations} violations, seed {options.seed}")
    if options.results:
        results.write(options.results, 37, "http", options.points, violations, None, options.seed,
                      f"tests/crash/hostile_http.py --points {options.points} --seed {options.seed}")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
