#!/usr/bin/python3
"""`leat process` as a command: what --check prints and refuses, statuses of every ending, signals, what is committed, figures."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time

import pipelines
from pipelines import LEAT, Member, check, check_in, committed, finish, leat, records_of, wait_until

SOURCE = '[source]\ntopics = ["in"]\ngroup = "{group}"\nreset = "earliest"\n'
STDOUT = '[[stage]]\nkind = "sink"\nsink = "stdout"\n'


def run(text, *flags, path="p.toml", stdin=b""):
    """(status, stdout, stderr) of a run over a pipeline."""
    pipelines.write_pipeline(path, text)
    done = subprocess.run([LEAT, "process", path, *flags], input=stdin, capture_output=True, timeout=pipelines.PATIENCE)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def numbers(topic, count, begin=0):
    leat("produce", topic, stdin="".join(f"{n}\n" for n in range(begin, begin + count)).encode())


def check_graph():
    text = SOURCE.format(group="g") + '[[stage]]\nkind = "map"\ncommand = ["cat"]\nconcurrency = 2\n' + STDOUT
    status, out, err = run(text, "--check")
    check("graph", (status, err), (0, ""))
    check_in("graph", "1-map   map: command cat", out.replace("1-map     ", "1-map   "))
    status, out, _ = run(text, "--check", "-O", "json")
    check("graph as JSON", [row["name"] for row in json.loads(out)], ["source", "1-map", "2-sink", "error"])
    check("graph of stdin", subprocess.run([LEAT, "process", "-", "--check"], input=text.encode(), capture_output=True).returncode, 0)
    # Nothing of it needs to be there.
    missing = text.replace('"in"', '"nowhere"').replace('"cat"', '"/nonexistent"')
    check("--check opens nothing", run(missing, "--check")[0], 0)


def check_refusals():
    status, out, err = run(SOURCE.format(group="g") + STDOUT.replace("kind", "knid"))
    check("an unknown key", (status, out), (78, ""))
    check_in("an unknown key", "leat: error: p.toml:6:1: unknown key \"knid\" in [[stage]] 1\nhint: did you mean \"kind\"?", err)
    status, _, err = run(SOURCE.format(group="g") + "resett = 1\n" + STDOUT)
    check_in("a misspelt key", "leat: error: p.toml:5:1: unknown key \"resett\" in [source]\nhint: did you mean \"reset\"?", err)
    check("a syntax error", run("[source")[0], 78)
    check("no file", subprocess.run([LEAT, "process", "none.toml"], capture_output=True).returncode, 66)
    check("no topic", run(SOURCE.format(group="g").replace("in", "inn", 1) + STDOUT, "-d")[0], 66)
    check("no program", run(SOURCE.format(group="g") + '[[stage]]\nkind = "map"\ncommand = ["/nonexistent"]\n' + STDOUT, "-d")[0], 66)
    check("no topic to write to", run(SOURCE.format(group="g") + '[[stage]]\nkind = "sink"\nsink = "topic"\ntopic = "none"\n', "-d")[0], 66)
    check("no directory to write to", run(SOURCE.format(group="g") + '[[stage]]\nkind = "sink"\nsink = "file"\npath = "no/file"\n', "-d")[0], 66)
    check("two metrics on one port", refuse_port(), 75)
    check("nothing committed by all that", committed("g"), {})


def refuse_port():
    member = Member(pipelines.write_pipeline("m.toml", SOURCE.format(group="metrics") + STDOUT), "--metrics", "127.0.0.1:0")
    wait_until(lambda: "metrics at" in member.said(), "metrics")
    port = re.search(r"metrics at http://127.0.0.1:(\d+)/metrics", member.said())[1]
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=pipelines.PATIENCE)
    wait_until(lambda: scrape(connection).get('leat_process_records_open{group="metrics"}') == "0" and
               scrape(connection).get('leat_process_source_lag{group="metrics",topic="in",partition="0"}') == "0", "the figures")
    figures = scrape(connection)
    check("records read", figures['leat_process_records_read_total{group="metrics"}'], "100")
    check("delivered", figures['leat_process_stage_out_total{group="metrics",stage="1-sink",kind="sink"}'], "100")
    connection.request("GET", "/other")
    check("another page", connection.getresponse().status, 404)
    status = subprocess.run([LEAT, "process", "m.toml", "--metrics", f"127.0.0.1:{port}"], capture_output=True,
                            timeout=pipelines.PATIENCE).returncode
    check("metrics: ended in order", member.stop(), -signal.SIGTERM)
    return status


def scrape(connection):
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


def check_endings():
    text = SOURCE.format(group="ends") + STDOUT
    status, out, err = run(text, "-d")
    check("-d", (status, out.split(), err), (0, [str(n) for n in range(100)], ""))
    check("-d commits", committed("ends"), {0: 100})
    check("-d again", run(text, "-d"), (0, "", ""))
    refused = SOURCE.format(group="refused") + '[[stage]]\nname = "parse"\nkind = "map"\nbuiltin = "json_field"\nfield = "a"\n' + STDOUT
    status, out, err = run(refused, "-d")
    check("a refused record", (status, out), (65, ""))
    check_in("a refused record", "leat: error: stage \"parse\" refuses record in/0/0: the value has no member \"a\"\nhint: ", err)
    status, out, err = run(refused + '[error]\nsink = "stderr"\n', "-d")
    check("put aside", (status, out, err.count("\n")), (0, "", 100))
    check_in("put aside", '"headers":[["leat-stage","parse"],["leat-error","the value has no member \\"a\\""],["leat-source","in/0/99"]]', err)
    down = SOURCE.format(group="down") + '[[stage]]\nkind = "sink"\nsink = "command"\ncommand = "exit 1"\n[error]\nretries = 2\nbackoff = "1ms"\n'
    status, _, err = run(down, "-d")
    check("a sink that is down", (status, committed("down").get(0, 0)), (69, 0))
    check_in("a sink that is down", "leat: error: /bin/sh -c exit 1: exit status 1 (after 2 retries)", err)
    broken = SOURCE.format(group="broken") + '[[stage]]\nkind = "map"\ncommand = "exit 3"\nrestarts = 0\n' + STDOUT + '[error]\nsink = "stderr"\n'
    status, _, err = run(broken, "-d")
    check("a program that is broken", status, 69)
    check_in("a program that is broken", "whatever it is given", err)
    halves = SOURCE.format(group="halves") + ('[[stage]]\nkind = "sink"\nsink = "command"\ncommand = "if grep -qx 42; then exit 65; fi"\n'
                                              '[error]\nsink = "stderr"\n')
    status, _, err = run(halves, "-d")
    check("a bad record in a batch", (status, err.count("\n"), committed("halves")), (0, 1, {0: 100}))
    check_in("a bad record in a batch", '"leat-source","in/0/42"', err)
    both = refused.replace("refused", "both") + '[error]\nsink = "command"\ncommand = "exit 65"\n'
    status, _, err = run(both, "-d")
    check("nothing takes it", status, 65)
    check_in("nothing takes it", "and [error] refuses it: ", err)


def check_signals():
    for number in (signal.SIGTERM, signal.SIGINT):
        for shutdown, delivered in (("flush", 100), ("drop", 90)):
            name = f"{number.name} {shutdown}"
            group = f"signal-{number}-{shutdown}"
            path = f"{group}.out"
            member = Member(pipelines.write_pipeline(f"{group}.toml", SOURCE.format(group=group) + (
                f'[[stage]]\nkind = "sink"\nsink = "file"\npath = "{path}"\nmax_records = 45\nmax_wait = "1h"\n'
                f'on_shutdown = "{shutdown}"\n')))
            wait_until(lambda: os.path.exists(path) and open(path).read().count("\n") == 90, f"{name}: two batches")
            check(name, member.stop(number), -number)
            check(f"{name}: delivered", open(path).read().count("\n"), delivered)
            check(f"{name}: committed", committed(group), {0: delivered})
    stuck = Member(pipelines.write_pipeline("stuck.toml", SOURCE.format(group="stuck") + (
        '[[stage]]\nkind = "sink"\nsink = "command"\ncommand = "touch hanging; sleep 1000"\n[commit]\nshutdown_timeout = "100ms"\n')))
    wait_until(lambda: os.path.exists("hanging"), "a sink that hangs")
    check("a sink that hangs", stuck.stop(), -signal.SIGTERM)
    check_in("a sink that hangs", "stopped with records still open after 100 ms", stuck.said())
    check("a sink that hangs: committed", committed("stuck").get(0, 0), 0)
    pipelines.write_pipeline("head.toml", SOURCE.format(group="head") + STDOUT)
    shell = subprocess.run(["bash", "-c", f"{LEAT} process head.toml | head -n 3 >/dev/null; echo ${{PIPESTATUS[0]}}"],
                           capture_output=True, timeout=pipelines.PATIENCE)
    check("a reader that goes away", (shell.stdout.split()[-1:], shell.stderr), ([b"141"], b""))
    numbers("in", 50000, 100)
    shell = subprocess.run(["bash", "-c", f"{LEAT} process head.toml | head -n 3 >/dev/null; echo ${{PIPESTATUS[0]}}"],
                           capture_output=True, timeout=pipelines.PATIENCE)
    check("a reader that goes away while it is written to", (shell.stdout.split()[-1:], shell.stderr), ([b"141"], b""))


def check_exactly_once():
    """A reduce by partition into a topic of the same directory, killed again and again."""
    leat("topic", "create", "many", "-p", "3")
    leat("topic", "create", "sums", "-p", "2")
    leat("produce", "many", stdin="".join(f"{n}\n" for n in range(6000)).encode())
    path = pipelines.write_pipeline("sums.toml", (
        '[source]\ntopics = ["many"]\ngroup = "sums"\nreset = "earliest"\nqueue_records = 100\n'
        '[[stage]]\nkind = "reduce"\nbuiltin = "lines"\ngroup_by = "partition"\nmax_records = 7\nmax_wait = "5ms"\n'
        '[[stage]]\nkind = "sink"\nsink = "topic"\ntopic = "sums"\nmax_records = 3\n'
        '[commit]\nevery = "30ms"\n'))
    kills = 0
    deadline = time.monotonic() + pipelines.PATIENCE
    while sum(committed("sums").values()) < 6000 and time.monotonic() < deadline and kills < 12:
        member = Member(path)
        time.sleep(0.02 + 0.015 * kills)
        member.kill()
        kills += 1
    check("killed: the last run", run(open(path).read(), "-d", path=path)[0], 0)
    lines = [int(n) for record in records_of("sums") for n in record["value"].split()]
    check("every record in one batch", (len(lines), sorted(lines) == list(range(6000))), (6000, True))


def main():
    pipelines.need_leat_net()
    leat("topic", "create", "in")
    numbers("in", 100)
    check_graph()
    check_refusals()
    check_endings()
    check_exactly_once()
    check_signals()
    finish("graphs, refusals, endings, signals and figures are as they should be")


if __name__ == "__main__":
    main()
