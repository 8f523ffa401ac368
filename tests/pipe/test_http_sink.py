#!/usr/bin/python3
"""The HTTP sink and a server that misbehaves: what it sends, and what it makes of answers, of none, and of nonsense."""

import hashlib
import hmac
import json
import os
import shutil
import subprocess
import time

import driving
import unkind
from driving import Driver, check, check_between, check_in, plan_error
from unkind import answer


def url(server, path="/in"):
    return f'url = "http://127.0.0.1:{server.port}{path}"\n'


def what_is_sent():
    server = unkind.Server()
    driver = Driver("http", url(server, "/in/{{ key }}?value={{value}}&at={{topic}}-{{partition}}-{{offset}}") + '''
method = "PUT"
body = '{"was":{{value_json}},"at":{{time_ms}}}'
headers = { X-Key = "<{{key}}>", X-Empty = "", Content-Type = "application/json" }
''')
    check("one with templates", driver.deliver(("a/b?c&d=ü", 'x"y z'))[0], "delivered")
    request, = server.take()
    check("method and target", (request.method, request.target),
          ("PUT", "/in/a%2Fb%3Fc%26d%3D%C3%BC?value=x%22y%20z&at=events-3-0"))
    check("body", json.loads(request.body), {"was": 'x"y z', "at": 1732150000123})
    headers = request.headers
    check("headers", (headers["x-key"].encode("latin-1").decode(), headers["x-empty"], headers["content-type"], headers["content-length"]),
          ("<a/b?c&d=ü>", "", "application/json", str(len(request.body))))
    check("no header that nobody asked for", sorted(headers),
          ["content-length", "content-type", "host", "user-agent", "x-empty", "x-key"])
    outcome, _ = driver.deliver(("..", ".."), ("line\nbreak", "2"), ("good", ".."), (None, "4"), ("a\\..", "5"), ("a/./b", "6"))
    check_in("a name of a directory", "0=\".\" and", outcome)
    check("those within a name", ("4=\"" in outcome, "5=\"" in outcome), (True, True))
    check_in("a break in a header", "1=there is a line break", outcome)
    check("the others went", [r.target.split("?")[0] for r in server.take()], ["/in/good", "/in/null"])
    driver.end()

    driver = Driver("http", url(server))
    check("raw values", driver.deliver(("k", "a\0b\nc"), ("k", None), ("k", ""))[0], "delivered")
    requests = server.take()
    check("raw bodies", [r.body for r in requests], [b"a\0b\nc", b"", b""])
    check("a kept connection", len({r.connection for r in requests}), 1)
    check("type of bytes", requests[0].headers["content-type"], "application/octet-stream")
    driver.end()

    driver = Driver("http", url(server, "/{{key}}") + 'method = "GET"\n')
    check("GET", driver.deliver(("k", "value"))[0], "delivered")
    request, = server.take()
    check("GET has no body", (request.method, request.target, request.body, "content-length" in request.headers), ("GET", "/k", b"", False))
    driver.end()


def batches():
    server = unkind.Server()
    driver = Driver("http", url(server) + 'send = "json_array"\n')
    outcome, _ = driver.deliver((None, '{"a":\n1}'), (None, "not json"), (None, "2"), (None, None), (None, ""))
    check("array", outcome, "delivered 1=it is not JSON 4=it is not JSON")
    request, = server.take()
    check("array body", (json.loads(request.body), request.headers["content-type"]), ([{"a": 1}, 2, None], "application/json"))
    check("nothing is left", driver.deliver((None, "x"))[0], "delivered 0=it is not JSON")
    check("nothing was sent", server.take(), [])
    server.next = [answer(422, b'{"error":"row 2"}')]
    check_in("refused as a whole", "failed bad_data:", driver.deliver((None, "1"), (None, "2"))[0])
    driver.end()

    driver = Driver("http", url(server) + 'send = "json_lines"\nbody = \'{"v":{{value}},"o":{{offset}}}\'\n')
    check("lines", driver.deliver((None, '{"a":\n\n1}'), (None, "7"))[0], "delivered")
    request = server.take()[-1]
    check("lines body", [json.loads(line) for line in request.body.splitlines()], [{"v": {"a": 1}, "o": 0}, {"v": 7, "o": 1}])
    check("type of lines", request.headers["content-type"], "application/x-ndjson")
    driver.end()


def secrets():
    server = unkind.Server()
    with open("token", "w", encoding="ascii") as file:
        file.write("t0ken\n")
    driver = Driver("http", url(server) + 'token_file = "token"\nsignature_key_env = "KEY"\nsignature_header = "X-Hub-Signature-256"\n',
                    env={"KEY": "k3y"})
    driver.deliver(("k", "body"))
    headers = server.take()[0].headers
    check("bearer", headers["authorization"], "Bearer t0ken")
    check("signature", headers["x-hub-signature-256"], "sha256=" + hmac.new(b"k3y", b"body", hashlib.sha256).hexdigest())
    server.next = [answer(401, b"who are you")]
    outcome, _ = driver.deliver(("k", "body"))
    check("not allowed", outcome, f"failed permission: http://127.0.0.1:{server.port}/in: status 401: who are you")
    driver.end()
    driver = Driver("http", url(server) + 'user = "me"\npassword_env = "PASSWORD"\nsend = "json_array"\nsignature_key_file = "token"\n'
                    'signature_prefix = ""\n', env={"PASSWORD": "p:w"})
    driver.deliver(("k", "1"))
    request = server.take()[-1]
    check("basic", request.headers["authorization"], "Basic bWU6cDp3")
    check("signature of a batch", request.headers["x-signature-256"], hmac.new(b"t0ken", b"[1]", hashlib.sha256).hexdigest())
    driver.end()
    with open("two lines", "w", encoding="ascii") as file:
        file.write("one\ntwo\n")
    for what, setting in [("has a control character in it", 'token_file = "two lines"'), ("is not set", 'token_env = "NO_SUCH"'),
                          ("No such file", 'token_file = "none"'), ("is empty", 'token_env = "EMPTY"')]:
        said = plan_error("http", url(server) + setting, env={"EMPTY": ""})
        check_in("bad secret", what, said)
        check_in("place of a bad secret", "FILE:3:", said)
    check("a proxy of the environment", Driver("http", url(server), env={"http_proxy": "http://127.0.0.1:1"}).deliver(("k", "v"))[0],
          "delivered")


def statuses():
    server = unkind.Server()
    driver = Driver("http", url(server) + 'retry_after_max = "2s"\n')
    server.next = [answer(), answer(404, b"no\r\nsuch  \x1b[31mthing"), answer(201)]
    outcome, _ = driver.deliver(("a", "1"), ("b", "2"), ("c", "3"))
    check("one is refused", outcome, f"delivered 1=http://127.0.0.1:{server.port}/in: status 404: no such  [31mthing")
    for status in (408, 500, 503):
        server.next = [answer(status)]
        check_in(f"{status} may pass", f"failed unavailable: http://127.0.0.1:{server.port}/in: status {status}", driver.deliver(("a", "1"))[0])
        check(f"again after {status}", driver.again()[0], "delivered")
    server.next = [answer(301, headers=["Location: http://elsewhere/?secret"])]
    outcome, _ = driver.deliver(("a", "1"))
    check_in("moved", "failed configuration:", outcome)
    check_in("moved where", "it has moved to http://elsewhere/", outcome)
    check("what is behind ? is not shown", "secret" in outcome, False)
    server.take()

    # What was acknowledged before another failed is not sent again with it.
    server.next = [answer(), answer(400), answer(), answer(503), answer(), unkind.closes, unkind.closes]
    batch = [("k", str(n)) for n in range(6)]
    check_in("the fourth fails", "failed unavailable", driver.deliver(*batch)[0])
    check_in("the fifth fails", "failed unavailable", driver.again()[0])
    check_in("the rest", "delivered 1=", driver.again()[0])
    # libcurl itself sends once more what a kept connection lost.
    check("each is acknowledged once", [r.body for r in server.take()], [b"0", b"1", b"2", b"3", b"3", b"4", b"4", b"4", b"5"])

    server.next = [answer(429, headers=["Retry-After: 1"])]
    outcome, took = driver.deliver(("a", "1"))
    check_in("too many", "failed unavailable", outcome)
    check_between("it says so at once", took, 0, 300)
    outcome, took = driver.again()
    check("after a while", outcome, "delivered")
    check_between("as long as it was told", took, 800, 1500)
    server.next = [answer(503, headers=["Retry-After: 100000"])]
    driver.deliver(("a", "1"))
    driver.tell("stop 200")
    outcome, took = driver.again()
    check("stopped while it waits", outcome, "failed interrupted: stopped")
    check_between("stopped soon", took, 150, 300)
    check_between("never longer than allowed", driver.again()[1], 500, 2500)
    driver.end()
    driver = Driver("http", url(server) + 'success_codes = "200,404"\nretry_codes = "410-411"\nstop_codes = "402"\n')
    for status, outcome in [(404, "delivered"), (410, "failed unavailable"), (402, "failed permission"), (500, "delivered 0=")]:
        server.next = [answer(status)]
        check_in(f"own meaning of {status}", outcome, driver.deliver(("a", "1"))[0])
    driver.end()


def several_at_once():
    server = unkind.Server(usual=unkind.late(0.05))
    driver = Driver("http", url(server, "/{{key}}") + "concurrency = 8\n")
    check("keyless", driver.deliver(*((None, str(n)) for n in range(80)))[0], "delivered")
    outcome, took = driver.deliver(*((None, str(n)) for n in range(80)))
    check("again", outcome, "delivered")
    check_between("eight at once", took, 500, 2000)  # one after the other it would be 4000
    requests = server.take()
    check("connections are kept", len({r.connection for r in requests}), 8)
    check("all of them", sorted(int(r.body) for r in requests), sorted(2 * list(range(80))))

    # Those of a key in their order, whatever happens on the way.
    server.usual = answer()
    keyed = [(f"k{n % 5}", str(n)) for n in range(100)]
    server.next = [unkind.late(0.01) if n % 3 else answer(503) if n % 7 == 0 else answer() for n in range(60)]
    outcome, _ = driver.deliver(*keyed)
    tries = 0
    while outcome != "delivered" and tries < 50:
        check_in("it may pass", "failed unavailable", outcome)
        outcome, _ = driver.again()
        tries += 1
    check_between("it failed now and then", tries, 1, 49)
    arrived = {}
    for request in server.take():
        arrived.setdefault(request.target, []).append(int(request.body))
    for key, numbers in arrived.items():
        kept = [n for n, after in zip(numbers, numbers[1:] + [None]) if n != after]
        check(f"{key} in order, none missing", kept, list(range(int(key[2:]), 100, 5)))

    server.next = [answer(400) for _ in range(3)]
    outcome, _ = driver.deliver(*((None, str(n)) for n in range(20)))
    check("three are refused", (outcome.startswith("delivered "), outcome.count("status 400")), (True, 3))
    server.next = [answer(403 if n == 11 else 503) for n in range(16)]
    outcome, _ = driver.deliver(*((None, str(n)) for n in range(8)))
    check_in("nothing gets through", "failed", outcome)
    server.next = [answer(429, headers=["Retry-After: 1"])]
    driver.deliver(*((None, str(n)) for n in range(8)))
    _, took = driver.again()
    check_between("what one connection is told, all heed", took, 700, 1500)
    server.take()
    server.usual = unkind.hangs
    driver.tell("stop 300")
    outcome, took = driver.deliver(*((None, str(n)) for n in range(8)))
    check("all stop", outcome, "failed interrupted: stopped")
    check_between("soon", took, 250, 450)
    driver.end()


def bad_manners():
    server = unkind.Server()
    driver = Driver("http", url(server) + 'timeout = "500ms"\n')
    limits = [("hangs", unkind.hangs), ("drips", unkind.drips), ("never ends", unkind.never_ends)]
    for name, act in limits:
        server.next = [act]
        outcome, took = driver.deliver(("a", "1"))
        check_in(name, "failed unavailable", outcome)
        check_between(f"{name}: as long as it may", took, 400, 800)
    server.next = [unkind.late(0.3)]
    check("late, but not too late", driver.deliver(("a", "1"))[0], "delivered")
    for name, act, code in [("half an answer", unkind.breaks_off, "unavailable"), ("headers without an end", unkind.never_ends_its_headers, "unavailable"),
                            ("no HTTP", b"220 smtp.example ESMTP\r\n", "configuration")]:
        server.next = [act]
        check_in(name, f"failed {code}", driver.deliver(("a", "1"))[0])
        check(f"after {name}", driver.again()[0], "delivered")
    server.next = [unkind.closes] * 3
    check_in("closes", "failed unavailable", driver.deliver(("a", "1"))[0])
    server.next = []
    server.next = [answer(200, b"x" * 10_000_000)]
    check("a long answer", driver.deliver(("a", "1"))[0], "delivered")
    server.next = [answer(400, b"x" * 10_000_000)]
    check("a long reason", len(driver.deliver(("a", "1"))[0]) < 500, True)
    driver.end()
    driver = Driver("http", url(server))
    server.next = [unkind.hangs]
    driver.tell("stop 300")
    outcome, took = driver.deliver(("a", "1"))
    check("stopped while it hangs", outcome, "failed interrupted: stopped")
    check_between("stopped soon", took, 250, 400)
    server.close()
    time.sleep(0.1)
    outcome, took = driver.deliver(("a", "1"))
    check_in("nobody listens", "failed unavailable", outcome)
    driver.end()
    driver = Driver("http", 'url = "http://no-such-host.invalid/"\n')
    check_in("no such host", "failed unavailable", driver.deliver(("a", "1"))[0])
    driver.end()


def certificates():
    if not shutil.which("openssl"):
        print("openssl is not installed: no certificates")
        return
    def make(name, alternatives):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
                        f"subjectAltName={alternatives}", "-keyout", f"{name}.key", "-out", f"{name}.crt"], check=True, capture_output=True)
        with open(f"{name}.pem", "wb") as both:
            for part in ("key", "crt"):
                with open(f"{name}.{part}", "rb") as file:
                    both.write(file.read())
    make("right", "IP:127.0.0.1")
    make("wrong", "DNS:elsewhere")
    for name, trusted, expected in [("right", "right", "delivered"), ("right", None, "failed configuration"), ("wrong", "wrong", "failed configuration"),
                                    ("right", "wrong", "failed configuration"), ("right", "missing", "failed configuration")]:
        server = unkind.Server(certificate=f"{name}.pem")
        settings = f'url = "https://127.0.0.1:{server.port}/"\n'
        if trusted:
            settings += f'ca_file = "{os.path.abspath(trusted)}.crt"\n'
        driver = Driver("http", settings)
        check_in(f"certificate {name}, trusted {trusted}", expected, driver.deliver(("a", "1"))[0])
        check(f"sent with {name}, trusted {trusted}", len(server.take()), int(expected == "delivered"))
        driver.end()


def main():
    driving.need_sinks()
    what_is_sent()
    batches()
    secrets()
    statuses()
    several_at_once()
    bad_manners()
    certificates()
    driving.finish("requests as they are told to be; answers, silence and nonsense are understood")


if __name__ == "__main__":
    main()
