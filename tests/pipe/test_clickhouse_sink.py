#!/usr/bin/python3
"""The ClickHouse sink and a server that plays ClickHouse, newer and older, and its worst days: what is sent, what is made of
exceptions wherever they stand, and that the same batch has the same token."""

import gzip
import re
import urllib.parse

import driving
import unkind
from driving import Driver, check, check_between, check_in, plan_error
from unkind import answer

OLD = answer(200, b"version 18.16.1\n")
NEW = answer(200, b"insert_deduplication_token\nversion 24.8.1.1\nasync_insert\n")
ROW = (None, '{"a":1}')


def settings(server, more=""):
    return f'url = "http://127.0.0.1:{server.port}"\ntable = "db.t`x"\nuser_env = "WHO"\npassword_env = "WORD"\n' + more


WHO = {"WHO": "ann", "WORD": "s3cret"}


def parameters(request):
    return dict(urllib.parse.parse_qsl(request.target.split("?", 1)[1], keep_blank_values=True))


def what_is_sent():
    server = unkind.Server()
    server.next = [OLD]
    driver = Driver("clickhouse", settings(server, 'settings = { max_memory_usage = "7" }\n'), WHO)
    outcome, _ = driver.deliver(ROW, (None, None), (None, '{"a" : 2}\r\n'), (None, ""), (None, '{"a":1}{"a":2}'), (None, "[1]"), (None, '{"a":}'),
                                (None, '{"a":1}\0'), (None, '{"a":"\n"}'), (None, b'{"a":"\\xff"}'))
    refused = re.findall(r" (\d)=the value is (\w+)", outcome)
    check("no rows", refused, [("1", "null"), ("3", "not"), ("4", "not"), ("5", "not"), ("6", "not"), ("7", "not"), ("8", "not"), ("9", "not")])
    look, insertion = server.take()
    check("who", (insertion.headers["x-clickhouse-user"], insertion.headers["x-clickhouse-key"]), ("ann", "s3cret"))
    check("no secret in the URL", "s3cret" in insertion.target or "ann" in insertion.target, False)
    check("rows", insertion.body, b'{"a":1}\n{"a" : 2}\r\n\n')
    check_in("it asks first", b"system.settings", look.body)
    check("parameters", parameters(insertion),
          {"query": "INSERT INTO `db`.`t\\`x` FORMAT JSONEachRow", "max_insert_block_size": "2", "min_insert_block_size_rows": "2",
           "min_insert_block_size_bytes": "0", "input_format_allow_errors_num": "0", "input_format_allow_errors_ratio": "0",
           "wait_end_of_query": "1", "max_memory_usage": "7"})
    check("nothing but refused ones", driver.deliver((None, "x"))[0], "delivered 0=the value is not a JSON object")
    check("nothing was sent", server.take(), [])
    check("it asks once", (driver.deliver(ROW)[0], len(server.take())), ("delivered", 1))
    driver.end()


def tokens():
    server = unkind.Server()
    server.next = [NEW, answer(503), NEW]
    driver = Driver("clickhouse", settings(server), WHO)
    check_in("lost", "failed unavailable", driver.deliver(ROW, ROW)[0])
    check("again", driver.again()[0], "delivered")
    check("another batch", driver.deliver(ROW, ROW)[0], "delivered")
    sent = [parameters(r) for r in server.take() if "?" in r.target]
    found = [p["insert_deduplication_token"] for p in sent]
    check("the same batch, the same token", (found[0] == found[1], found[1] == found[2]), (True, False))
    check("not later", [p["async_insert"] for p in sent], ["0"] * 3)
    driver.end()
    server.next = [NEW]
    driver = Driver("clickhouse", settings(server, "deduplicate = false\n"), WHO)
    driver.deliver(ROW)
    check("no token", "insert_deduplication_token" in parameters(server.take()[-1]), False)
    driver.end()


def compression():
    server = unkind.Server()
    unpack = {"gzip": gzip.decompress}
    try:
        import lz4.frame
        unpack["lz4"] = lz4.frame.decompress
        import zstandard
        unpack["zstd"] = lambda packed: zstandard.ZstdDecompressor().decompress(packed)
    except ImportError:
        print("python3-lz4 or python3-zstandard is not installed: not all compressions")
    rows = [(None, '{"a":"%s"}' % ("x" * n)) for n in range(100)]
    for name, plain in unpack.items():
        server.next = [NEW]
        driver = Driver("clickhouse", settings(server, f'compression = "{name}"\n'), WHO)
        check(name, driver.deliver(*rows)[0], "delivered")
        request = server.take()[-1]
        check(f"{name} is named", request.headers["content-encoding"], name)
        check(f"{name} unpacked", plain(request.body).decode(), "".join(value + "\n" for _, value in rows))
        driver.end()


def exceptions():
    server = unkind.Server()
    server.next = [NEW]
    driver = Driver("clickhouse", settings(server, 'timeout = "500ms"\n'), WHO)
    driver.deliver(ROW)

    def refused_with(name, act, expected):
        server.next = [act]
        outcome, took = driver.deliver(ROW)
        check_in(name, f"failed {expected}:", outcome)
        # It looks again at a server that was away.
        server.next = [NEW] if expected == "unavailable" else []
        check(f"after {name}", driver.again()[0], "delivered")
        return took

    old_text = b"Code: %d, e.displayText() = DB::Exception: %s, e.what() = DB::Exception\n"
    new_text = b"Code: %d. DB::Exception: %s. (NAME) (version 24.8.1.1)\n"
    cases = [(27, b"Cannot parse input: (at row 1)", 500, "bad_data"), (60, b"Table db.t doesn't exist", 404, "not_found"),
             (81, b"Database db doesn't exist", 404, "not_found"), (516, b"ann: Authentication failed", 403, "permission"),
             (192, b"Unknown user", 401, "permission"), (252, b"Too many parts (300). Merges are too slow", 500, "unavailable"),
             (252, b"Too many partitions for single INSERT block (more than 100)", 500, "bad_data"), (241, b"Memory limit exceeded: (at row 5)", 500, "unavailable"),
             (115, b"Unknown setting x", 404, "configuration"), (49, b"Unknown element 'y' for enum: (while read the value of key a)", 500, "bad_data"),
             (12345, b"Something new", 500, "unavailable"), (12345, b"Something new: (at row 1)", 500, "bad_data"),
             (27, b"Cannot parse input: before: Code: 60. DB::Exception: x\nCode: 60. DB::Exception: (at row 1)", 400, "bad_data")]
    for number, text, status, expected in cases:
        for form in (old_text, new_text):
            body = form % (number, text)
            # Whatever the status: it is what an answer begins with, and an exception may come later.
            for said in (answer(status, body), answer(200, body), answer(200, b"\n" + body),
                         answer(status, b"no number here", [f"X-ClickHouse-Exception-Code: {number}"]) if b"(" not in text else answer(500, body)):
                refused_with(f"{body}", said, expected)
    refused_with("an answer that is no success", answer(200, b"<html>welcome</html>"), "unavailable")
    for status, expected in [(502, "unavailable"), (429, "unavailable"), (413, "bad_data"), (403, "permission"), (404, "configuration"),
                             (301, "configuration")]:
        refused_with(f"{status}", answer(status), expected)
    for name, act in [("hangs", unkind.hangs), ("breaks off", unkind.breaks_off)]:
        check_between(name, refused_with(name, act, "unavailable"), 0, 800)
    server.next = [unkind.hangs]
    driver.tell("stop 200")
    outcome, took = driver.deliver(ROW)
    check("stopped", outcome, "failed interrupted: stopped")
    check_between("stopped soon", took, 150, 300)
    driver.end()
    driver = Driver("clickhouse", settings(unkind.Server()), WHO)
    check_in("it is not ClickHouse", "failed configuration", driver.deliver(ROW)[0])
    driver.end()


def main():
    driving.need_sinks()
    what_is_sent()
    tokens()
    compression()
    exceptions()
    check_in("no password", "is not set in the environment", plan_error("clickhouse", settings(unkind.Server()), {"WHO": "x"}))
    check("a file that is not there", "No such file" in plan_error("clickhouse", 'url = "http://h"\ntable = "t"\nuser = "x"\npassword_file = "none"\n'),
          True)
    driving.finish("batches are whole, tokens are theirs, and exceptions are understood wherever they stand")


if __name__ == "__main__":
    main()
