#!/usr/bin/python3
"""The HTTP sink and a real nginx that answers 500, closes, hangs and asks for patience: every record arrives. Skipped where nginx
is not installed."""

import json
import os
import signal
import subprocess
import time

import driving
import real_servers
from driving import Driver, check, check_between, check_in

BATCHES = 10
SIZE = 50


def entries(server):
    if not os.path.exists(server.path("taken.log")):
        return []
    with open(server.path("taken.log"), encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.endswith("\n")]


def taken(server, complete):
    """What it has taken. It answers first, and writes its log then."""
    deadline = time.monotonic() + 10
    while True:
        found = [entry for entry in entries(server) if entry["status"] == "204"]
        if complete(found) or time.monotonic() > deadline:
            return found
        time.sleep(0.01)


def each_arrives(server, kind, body_of):
    """Delivers batches while the server's mood changes, and looks for every record in its log."""
    with open("token", "w", encoding="ascii") as file:
        file.write("t0ken")
    driver = Driver("http", f'url = "http://127.0.0.1:{server.port}/in/{kind}"\nsend = "{kind}"\ntimeout = "300ms"\ntoken_file = "token"\n')
    failures = {}
    for batch in range(BATCHES):
        mood = ["", "fail", "close", "hang", "busy"][batch % 5]
        server.mood(mood)
        outcome, _ = driver.deliver(*((None, f'{{"n":{batch * SIZE + n}}}') for n in range(SIZE)))
        while outcome != "delivered":
            failures.setdefault(mood, outcome)
            server.mood()
            outcome, _ = driver.again()
    driver.end()
    for mood, what in [("fail", "status 500"), ("close", "Empty reply"), ("hang", "timed out"), ("busy", "status 429")]:
        check_in(f"{kind}: {mood}", what, failures.get(mood, "no failure"))
        check_in(f"{kind}: {mood} may pass", "failed unavailable", failures.get(mood, ""))
    check(f"{kind}: no failure without a mood", "" in failures, False)
    def records(found):
        return [n for entry in found if entry["uri"] == f"/in/{kind}" for n in body_of(entry["body"])]

    everything = set(range(BATCHES * SIZE))
    found = taken(server, lambda so_far: set(records(so_far)) == everything)
    check(f"{kind}: missing records", everything - set(records(found)), set())
    check(f"{kind}: no record twice, as no answer was lost", len(records(found)), BATCHES * SIZE)
    check(f"{kind}: who", {entry["who"] for entry in found}, {"Bearer t0ken"})


def through_a_pipeline(server):
    """The same with `leat process`, which tries again by itself."""
    records = 3000
    leat = os.path.join(driving.BUILD, "leat")
    if not os.access(os.path.join(driving.BUILD, "leat-net"), os.X_OK):
        print("leat-net is not built: no pipeline")
        return
    with open("pipeline.toml", "w", encoding="ascii") as file:
        file.write(f"""[source]
topics = ["t"]
group = "g"
reset = "earliest"
[[stage]]
kind = "sink"
sink = "http"
url = "http://127.0.0.1:{server.port}/in/pipeline"
send = "json_lines"
max_records = 100
timeout = "300ms"
[error]
retries = 1000
backoff_max = "200ms"
""")
    subprocess.run([leat, "topic", "create", "t", "-p", "3"], check=True, capture_output=True)
    subprocess.run([leat, "produce", "t"], input="".join(f"{n}\n" for n in range(records // 2)).encode(), check=True)
    process = subprocess.Popen([leat, "process", "pipeline.toml"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for mood in ("fail", "", "close", "", "hang", ""):
        server.mood(mood)
        time.sleep(0.4)
        subprocess.run([leat, "produce", "t"], input="".join(f"{n}\n" for n in range(records // 2, records)).encode() if mood == "hang" else b"",
                       check=True)

    def found(entries):
        return [int(line) for entry in entries if entry["uri"] == "/in/pipeline" for line in entry["body"].splitlines()]

    everything = set(range(records))
    taken(server, lambda so_far: set(found(so_far)) == everything)
    process.terminate()
    check("the pipeline's end", process.wait(timeout=60), -signal.SIGTERM)
    numbers = found(taken(server, lambda _: True))
    check("pipeline: missing records", everything - set(numbers), set())
    check("pipeline: no record twice, as no answer was lost", len(numbers), records)


def too_large(server):
    driver = Driver("http", f'url = "http://127.0.0.1:{server.port}/in"\nsend = "json_array"\n')
    large = '"' + "x" * 600_000 + '"'
    outcome, took = driver.deliver((None, large), (None, large))
    check_in("both are too large", "failed bad_data", outcome)
    check_in("it says why", "status 413", outcome)
    check_between("without waiting", took, 0, 2000)
    check("one of them goes", driver.deliver((None, large))[0], "delivered")
    driver.end()
    driver = Driver("http", f'url = "http://127.0.0.1:{server.port}/in/{{{{key}}}}"\n')
    outcome, _ = driver.deliver(("a/b", "x" * 1_500_000), ("a/../../b", "elsewhere"), ("a/b?c", "small"))
    check("those that cannot be taken", [part in outcome for part in ("0=", "1=", "2=")], [True, True, False])
    check("the other went where it belongs", taken(server, lambda found: found[-1]["uri"] == "/in/a%2Fb%3Fc")[-1]["uri"], "/in/a%2Fb%3Fc")
    driver.end()


def main():
    real_servers.need("nginx")
    with real_servers.nginx("nginx") as server:
        each_arrives(server, "record", lambda body: [json.loads(body)["n"]])
        each_arrives(server, "json_array", lambda body: [row["n"] for row in json.loads(body)])
        each_arrives(server, "json_lines", lambda body: [json.loads(line)["n"] for line in body.splitlines()])
        through_a_pipeline(server)
        too_large(server)
    driving.finish(f"nginx took {3 * BATCHES * SIZE} records, and those of a pipeline, each once, through 500, closed connections, silence and 429")


if __name__ == "__main__":
    main()
