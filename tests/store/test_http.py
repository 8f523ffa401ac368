#!/usr/bin/python3
"""What a store answers over HTTP, what it refuses, and what it bears: the resources, caching, waiting, tokens, limits, slow and
hostile clients."""

import base64
import json
import os
import re
import socket
import threading
import time

import servers
from servers import Server, check, check_in, leat


def exchange(port, request, timeout=10.0, pause=None):
    """What comes back for raw bytes, until the server closes or says nothing for a while."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as client:
        for part in request if isinstance(request, list) else [request]:
            try:
                client.sendall(part)
            except (BrokenPipeError, ConnectionResetError):
                break
            if pause:
                time.sleep(pause)
        answer = b""
        client.settimeout(timeout)
        try:
            while True:
                more = client.recv(65536)
                if not more:
                    return answer, True
                answer += more
        except (TimeoutError, ConnectionResetError) as error:
            return answer, isinstance(error, ConnectionResetError)


def status_of(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else None


def check_values(server, records):
    status, headers, body = server.ask("/stores/s/plain")
    check("a value", (status, body), (200, b"v"))
    check("its type", headers["Content-Type"], "application/octet-stream")
    check("no sniffing", headers["X-Content-Type-Options"], "nosniff")
    partition, offset = headers["Leat-Offset"].split(":")
    check("its tag", re.sub('"[0-9a-f]{8}-', '"CHANGELOG-', headers["ETag"]), f'"CHANGELOG-{partition}-{offset}"')
    check("HEAD", server.ask("/stores/s/plain", method="HEAD")[::2], (200, b""))
    check("HEAD's length", server.ask("/stores/s/plain", method="HEAD")[1]["Content-Length"], "1")
    for tag, expected in [(headers["ETag"], 304), ("*", 304), (f'"x", W/{headers["ETag"]}', 304), ('"x"', 200), ("", 200)]:
        check(f"If-None-Match {tag}", server.ask("/stores/s/plain", headers={"If-None-Match": tag})[0], expected)
    check("absent", server.ask("/stores/s/absent")[0], 404)
    check("absent, HEAD", server.ask("/stores/s/absent", method="HEAD")[::2], (404, b""))
    check("deleted", server.ask("/stores/s/deleted")[0], 404)
    for target, value in [("/stores/s/a%2Fb", b"slash"), ("/stores/s/a/b", b"slash"), ("/stores/s/%C3%A4%20%25", b"umlaut"),
                          ("/stores/s/a%00b", b"nul"), ("/stores/s/", b"empty key"), ("/stores/s/empty", b""),
                          ("/stores/s/YS9i?encoding=base64", b"slash"), ("/stores/s/gA?encoding=base64", b"not text"),
                          ("/stores/s/gA%3D%3D?encoding=base64", b"not text"), ("/stores/s/%80", b"not text"),
                          ("/stores/s/a+b", b"plus"), ("/stores/%73/plain", b"v")]:
        check(target, server.ask(target)[::2], (200, value))
    for target, expected in [("/stores/s/%", 400), ("/stores/s/%4", 400), ("/stores/s/%zz", 400), ("/stores/s/a?x=%z", 400),
                             ("/stores/s/a?encoding=base64", 400), ("/stores/s/YS9i?encoding=hex", 400), ("/stores/other/a", 404),
                             ("/stores/s?limit=0", 400), ("/stores/s?limit=1001", 400), ("/stores/s?limit=x", 400),
                             ("/stores/s?after=!", 400), ("/stores/s?after=YQ", 400), ("/stores/s?after=MCN4", 400), ("/nothing", 404), ("/stores", 404),
                             ("/stores/s/plain?at-least=x", 400), ("/stores/s/plain?at-least=0:0&timeout=x", 200),
                             ("/stores/s/plain?at-least=9:0", 421), ("/stores/s/plain?at-least=0:999999&timeout=x", 400)]:
        check(target, server.ask(target)[0], expected)
    check("everything", server.contents(), records)
    check("in pages", server.contents(limit=7), records)
    check("one by one", server.contents(limit=1), records)
    check("a prefix", {item["key"] for item in server.json("/stores/s?prefix=many-1&limit=1000")["items"]},
          {key for key in records if isinstance(key, str) and key.startswith("many-1")})
    page = server.json("/stores/s?limit=1")
    check("a page's size", (len(page["items"]), page["next"] is not None), (1, True))


def check_many(server):
    body = json.dumps({"keys": ["plain", "absent", "a/b"], "keys_b64": ["gA=="]})
    items = server.json("/stores/s/get", method="POST", body=body)["items"]
    check("many", [item.get("value", item.get("missing")) for item in items], ["v", "absent", "slash", "not text"])
    check("many, a key that is not text", items[3]["key_b64"], "gA==")
    check("none", server.json("/stores/s/get", method="POST", body='{"keys":[]}')["items"], [])
    for bad in ["", "[]", "{", '{"keys":"a"}', '{"keys":[1]}', '{"keys":[["a"]]}', '{"key":["a"]}', '{"keys_b64":["?"]}', '{"keys":["\\ud800"]}',
                '{"keys":["a"]} x', json.dumps({"keys": ["a"] * 1001})]:
        check(f"not keys: {bad[:20]}", server.ask("/stores/s/get", method="POST", body=bad)[0], 400)
    check("deep", server.ask("/stores/s/get", method="POST", body="[" * 100000)[0], 400)


def check_methods(server):
    for target, method, allowed in [("/stores/s/plain", "DELETE", "GET, HEAD"), ("/stores/s/plain", "POST", "GET, HEAD"),
                                    ("/stores/s", "PUT", "GET, HEAD"), ("/flush-store/s", "GET", "POST"), ("/", "POST", "GET, HEAD"),
                                    ("/metrics", "POST", "GET, HEAD"), ("/stores/s/get", "PUT", "GET, HEAD, POST")]:
        status, headers, _ = server.ask(target, method=method)
        check(f"{method} {target}", (status, headers["Allow"]), (405, allowed))


def check_flush_and_waiting(server):
    check("not visible yet", server.get("fresh"), None)
    last = servers.Records("source")
    last.put("fresh", "1")
    place, offset = next(iter(last.send().items()))
    began = time.monotonic()
    check("read your writes", server.get("fresh", f"?at-least={place}:{offset}"), "1")
    check("in no time", time.monotonic() - began < (10 if servers.SLOW else 2), True)
    began = time.monotonic()
    check("too early", server.ask(f"/stores/s/fresh?at-least={place}:{offset + 1}&timeout=300ms")[0], 504)
    check("the timeout", 0.25 < time.monotonic() - began < 10, True)
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(server.get("fresh", f"?at-least={place}:{offset + 1}&timeout=20s")))
    waiting.start()
    time.sleep(0.2)
    check("others are answered meanwhile", server.get("plain"), "v")
    last.put("fresh", "2")
    last.send()
    waiting.join()
    check("woken", answers, ["2"])
    last.put("fresh", "3")
    last.send()
    seen = f"at-least={place}:{offset + 2}"
    page = server.json(f"/stores/s?prefix=fresh&limit=1000&{seen}")
    check("a page waits, too", [item["value"] for item in page["items"]], ["3"])
    last.put("fresh", "4")
    last.send()
    many = server.json(f"/stores/s/get?at-least={place}:0&at-least={place}:{offset + 3}", method="POST", body='{"keys":["fresh"]}')
    check("and so do many, for each of several", [item["value"] for item in many["items"]], ["4"])
    late = f"at-least={place}:{offset + 9}&timeout=10ms"
    for target, method in [("/stores/s", "GET"), ("/stores/s/get", "POST"), ("/stores/s/fresh", "GET")]:
        check(f"{method} {target}, too early", server.ask(f"{target}?at-least={place}:0&{late}", method=method, body='{"keys":[]}')[0], 504)
        check(f"{method} {target}, elsewhere", server.ask(f"{target}?at-least=9:0", method=method, body='{"keys":[]}')[0], 421)
    last.put("flushed", "x")
    last.send()
    deadline = time.monotonic() + servers.PATIENCE
    while True:
        applied = {row["partition"]: row["next_offset"] for row in server.json("/flush-store/s", method="POST")["applied"]}
        if server.get("flushed") == "x" or time.monotonic() > deadline:
            break
    check("flushed", server.get("flushed"), "x")
    check("the flush says how far", sum(applied.values()) >= 5, True)
    check("flush of another", server.ask("/flush-store/other", method="POST")[0], 404)


def check_others(server):
    check("healthz", server.ask("/healthz")[0], 200)
    check("readyz", json.loads(server.ask("/readyz")[2]), {"ready": True})
    document = server.json("/openapi.json")
    check("openapi", document["openapi"].startswith("3."), True)
    for path in document["paths"]:
        target = path.replace("{id}", "s").replace("{key}", "plain")
        method = "get" if "get" in document["paths"][path] else "post"
        status = server.ask(target, method=method.upper(), body='{"keys":[]}' if method == "post" else None)[0]
        check(f"openapi, {path}", str(status) in document["paths"][path][method]["responses"], True)
    status, headers, page = server.ask("/")
    check("the page", (status, headers["Content-Type"], b"<title>leat store" in page), (200, "text/html; charset=utf-8", True))
    status, headers, metrics = server.ask("/metrics")
    check("metrics", (status, headers["Content-Type"].split(";")[0]), (200, "text/plain"))
    for line in ["leat_store_keys{store=\"s\",partition=\"0\",role=\"primary\"} ", "leat_http_requests_total{status=\"404\"} ",
                 "process_resident_memory_bytes "]:
        check_in("metrics", line, metrics.decode())
    for line in metrics.decode().splitlines():
        check(f"a metric: {line}", line.startswith("# ") or len(line.rsplit(" ", 1)) == 2 and float(line.rsplit(" ", 1)[1]) >= 0, True)
    check("status", sorted(server.json("/status"))[:3], ["changelog", "partitions", "ready"])


def check_connections(server):
    port = server.port
    one = b"GET /stores/s/plain HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer, _ = exchange(port, one * 50 + one.replace(b"Host: localhost", b"Host: localhost\r\nConnection: close"))
    check("pipelined", answer.count(b"HTTP/1.1 200"), 51)
    answer, closed = exchange(port, [one[:10], one[10:25], one[25:]], timeout=1.0, pause=0.05)
    check("in pieces, and kept alive", (answer.count(b"HTTP/1.1 200"), closed), (1, False))
    # What tells the length of a body in two ways, or in one that others may read differently, and other malformed requests.
    post = b"POST /stores/s/get HTTP/1.1\r\nHost: localhost\r\n"
    chunked = b"Transfer-Encoding: chunked\r\n"
    body = b'11\r\n{"keys":["plain"]}\r\n0\r\n\r\n'.replace(b"11", b"12")
    check("chunked", status_of(exchange(port, post + chunked + b"\r\n" + body, timeout=1.0)[0]), 200)
    for name, request in [
            ("CL and TE", post + chunked + b"Content-Length: 5\r\n\r\n" + body),
            ("TE and CL", post + b"Content-Length: 5\r\n" + chunked + b"\r\n" + body),
            ("two CL", post + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
            ("the same CL twice", post + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
            ("a list in CL", post + b"Content-Length: 5, 5\r\n\r\nhello"),
            ("CL with a sign", post + b"Content-Length: +5\r\n\r\nhello"),
            ("a negative CL", post + b"Content-Length: -5\r\n\r\nhello"),
            ("a huge CL", post + b"Content-Length: 99999999999999999999999\r\n\r\nhello"),
            ("CL in hex", post + b"Content-Length: 0x5\r\n\r\nhello"),
            ("another TE", post + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + body),
            ("TE identity", post + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}"),
            ("two TE", post + chunked + chunked + b"\r\n" + body),
            ("a disguised TE", post + b"Transfer-Encoding: xchunked\r\n\r\n" + body),
            ("TE with a tab", post + b"Transfer-Encoding:\tchunked\x0b\r\n\r\n" + body),
            ("two hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
            ("no host", b"GET / HTTP/1.1\r\n\r\n"),
            ("a negative chunk", post + chunked + b"\r\n-5\r\nhello\r\n0\r\n\r\n"),
            ("a huge chunk", post + chunked + b"\r\nffffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
            ("a chunk that is no number", post + chunked + b"\r\nxyz\r\nhello\r\n0\r\n\r\n"),
            ("a line without version", b"GET /stores/s/plain\r\n\r\n"),
            ("a header of 64 KiB", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 65536 + b"\r\n\r\n"),
            ("very many headers", b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 20000 + b"\r\n"),
            ("a line of 64 KiB", b"GET /" + b"a" * 65536 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            ("a body announced too large", post + b"Content-Length: 2000000\r\n\r\n{"),
            ("a body that becomes too large", post + chunked + b"\r\n" + b"10000\r\n" + (b"a" * 65536 + b"\r\n10000\r\n") * 40)]:
        answer, closed = exchange(port, request, timeout=3.0)
        # Refused with a status, or closed without a word; never answered with success, and never left open. (Of refusals of its own,
        # libmicrohttpd 0.9.75 sends the header twice.)
        statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", answer)]
        check(name, (all(400 <= status <= 505 for status in statuses), closed), (True, True))
    check("still there", server.get("plain"), "v")


def check_load(server):
    """Slow clients, and more than there may be, leave the others be; memory stays."""
    before = resident(server)
    slow = []
    for _ in range(100):
        client = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        client.sendall(b"GET /stores/s/plain HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        slow.append(client)
    for _ in range(5):
        for client in slow:
            client.sendall(b"a")
        check("beside slow clients", server.get("plain"), "v")
    check("memory beside slow clients", resident(server) - before < 32 << 20, True)
    for client in slow:
        client.close()


def check_deadline():
    """A header that drips, and a connection that says nothing, are cut off; so are connections above the limit."""
    server = Server("few", "--max-connections", "20", source="source")
    clients = []
    for _ in range(60):
        client = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        clients.append(client)
    refused = 0
    for client in clients:
        client.settimeout(0.2 if refused else 1.0)
        try:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            refused += client.recv(100) == b""
        except (ConnectionResetError, BrokenPipeError, TimeoutError):
            refused += 1
    check("connections above the limit", 40 <= refused < 60, True)
    descriptors = len(os.listdir(f"/proc/{server.process.pid}/fd"))
    check("descriptors", descriptors < 120, True)
    for client in clients:
        client.close()
    deadline = time.monotonic() + servers.PATIENCE
    while True:
        try:
            check("after them", server.ask("/healthz")[0], 200)
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    check("its end", server.stop(), -15)


def check_hosts(server):
    """What a web page whose name leads here, by its own server's doing, would send."""
    for host, expected in [("localhost", 404), ("LOCALHOST:8080", 404), ("127.0.0.1", 404), ("[::1]:80", 404), ("10.0.0.1:1", 404),
                           ("prices.localhost.", 404), ("evil.example", 421), ("evil.example:8080", 421), ("127.0.0.1.evil.example", 421),
                           ("localhost.evil.example", 421), ("xlocalhost", 421)]:
        check(f"host {host}", server.ask(f"/stores/{server.store}/nobody", headers={"Host": host})[0], expected)


def check_token():
    with open("token", "w", encoding="utf-8") as file:
        file.write("correct horse\n".replace(" ", "-"))
    server = Server("guarded", "--token-file", "token")
    for header, expected in [(None, 401), ("Bearer correct-horse", 404), ("bearer correct-horse", 404), ("Bearer correct-hors", 401),
                             ("Bearer correct-horse2", 401), ("Bearer ", 401), ("Basic correct-horse", 401), ("correct-horse", 401)]:
        status, headers, _ = server.ask("/stores/guarded/x", headers={"Authorization": header} if header else {})
        check(f"token {header}", status, expected)
        check(f"token {header}, the scheme", headers["WWW-Authenticate"], "Bearer" if expected == 401 else None)
    for target, expected in [("/metrics", 401), ("/status", 401), ("/stores/guarded", 401), ("/", 200), ("/healthz", 200), ("/readyz", 200),
                             ("/openapi.json", 200)]:
        check(f"without a token, {target}", server.ask(target)[0], expected)
    named = {"Host": "store.example", "Authorization": "Bearer correct-horse"}
    check("by another name, with the token", server.ask("/stores/guarded/x", headers=named)[0], 404)
    check("flush without a token", server.ask("/flush-store/guarded", method="POST")[0], 401)
    server.kill()
    open("empty", "w", encoding="utf-8").close()
    refused = Server("guarded", "--token-file", "empty")
    check("an empty token file", refused.process.returncode, 78)


def resident(server):
    with open(f"/proc/{server.process.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def check_json():
    """Where values are JSON, they are embedded as JSON, and served as such."""
    server = Server("json", "--value", "json", source="documents")
    records = servers.Records("documents")
    records.put("a", '{ "x" : [1, 2.50] }')
    records.put("b", "not json")
    server.wait_for(records.send())
    status, headers, body = server.ask("/stores/json/a")
    check("JSON as it is", (status, headers["Content-Type"], body), (200, "application/json", b'{ "x" : [1, 2.50] }'))
    check("JSON in a page", server.contents(), {"a": {"x": [1, 2.5]}, "b": "not json"})
    server.stop()


def check_restoring():
    """Before it is restored a store says so, and answers nothing else."""
    leat("topic", "create", "later", "-p", "1")
    records = servers.Records("later")
    for i in range(60000):
        records.put(f"k{i}", "x" * 200)
    records.send()
    server = Server("slow", "--snapshot-interval", "0", source="later")
    server.wait_for({0: 59999})
    server.kill()
    server = Server("slow", "--snapshot-interval", "0", source="later", wait=False)
    seen = set()
    while server.ask("/readyz")[0] != 200:
        status, headers, _ = server.ask("/stores/slow/k1")
        seen.add(status)
        if status == 503:
            check("when to ask again", headers["Retry-After"], "1")
    check("while it is restored", seen <= {503, 200}, True)
    check("afterwards", server.get("k1"), "x" * 200)
    server.stop()
    return 503 in seen


def main():
    servers.need_leat_net()
    leat("topic", "create", "source", "-p", "3")
    leat("topic", "create", "documents")
    records = servers.Records("source")
    for key, value in [("plain", "v"), ("a/b", "slash"), ("ä %", "umlaut"), ("a\0b", "nul"), ("", "empty key"), ("empty", ""),
                       ("a+b", "plus"), ("deleted", "x"), ("deleted", None)] + [(f"many-{i}", str(i)) for i in range(300)] + [
                           ("long" * 5000 + str(i), str(i)) for i in range(20)]:  # longer than the header of a request may be
        records.put(key, value)
    records.lines.append(json.dumps({"key_b64": base64.b64encode(b"\x80").decode(), "value": "not text"}))
    last = records.send()
    server = Server("s", "--auto-flush-time", "1h", "--auto-flush-count", "1000000", "--max-connections", "500")
    server.wait_for(last)
    check_values(server, {**records.model, b"\x80": "not text"})
    check_many(server)
    check_methods(server)
    check_others(server)
    check_hosts(server)
    check_flush_and_waiting(server)
    check_connections(server)
    check_load(server)
    busy = Server("s")
    check("a second server", busy.process.returncode, 75)
    check_in("a second server", f"pid {server.process.pid}", "".join(busy.lines) + busy.rest()[1])
    taken = Server("t", "--listen", f"127.0.0.1:{server.port}")
    check("a port that is taken", taken.process.returncode, 75)
    status = server.stop()
    check("SIGTERM", status, -15)
    open_to_all = Server("s", "--listen", "0.0.0.0:0")
    open_to_all.process.terminate()
    check_in("a warning", "other machines can reach this", open_to_all.rest()[1])
    check_deadline()
    check_token()
    check_json()
    restoring = check_restoring()
    servers.finish("all answers as they should be" + ("" if restoring else "; it was restored too fast to be seen restoring"))


if __name__ == "__main__":
    main()
