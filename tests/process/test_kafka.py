#!/usr/bin/python3
"""Pipelines between a cluster and a directory, both ways and within the cluster: librdkafka's mock."""

import os
import signal
import subprocess
import sys
import time

import pipelines
from pipelines import BUILD, LEAT, Member, check, check_in, finish, leat, records_of, wait_until

MOCK = os.path.join(BUILD, "tests", "mock-cluster")
COUNT = 3000
PARTITIONS = 2
PIPELINE = """[source]
topics = ["{source}"]
group = "{group}"
reset = "earliest"

[[stage]]
kind = "map"
builtin = "template"
template = "{{{{value}}}} at {{{{partition}}}}:{{{{offset}}}}"

[[stage]]
kind = "reduce"
sink = "topic"
topic = "{sink}"
{elsewhere}max_records = 100

[error]
sink = "stderr"
"""

PATIENT = """[source]
topics = ["patience"]
group = "patient"
reset = "earliest"
queue_records = 20

[[stage]]
kind = "sink"
sink = "command"
command = "while test -e {here}/{name}.wait; do sleep 0.1; done; cat >> {here}/{name}.out"
max_records = 50
timeout = "120s"

[commit]
every = "100ms"
"""


def run(name, source, sink, place=None, into=None):
    """One run to the end; `into` is the place of the sink's topic, where it is another."""
    elsewhere = f'data_dir = "{into}"\n' if into else ""
    text = PIPELINE.format(source=source, sink=sink, group=name, elsewhere=elsewhere)
    where = ["-D", place] if place else []
    done = subprocess.run([LEAT, *where, "process", pipelines.write_pipeline(f"{name}.toml", text), "-d"], capture_output=True,
                          text=True, timeout=pipelines.PATIENCE)
    check(name, (done.returncode, done.stderr), (0, ""))


def made_of(topic, place=None):
    """What a pipeline makes of a topic, whatever its order."""
    return sorted(f"{row['value']} at {row['partition']}:{row['offset']}" for row in records_of(topic, place))


def values(topic, place=None):
    return sorted(row["value"] for row in records_of(topic, place))


def check_same(name, found, expected):
    check(name, (len(found), found == expected), (len(expected), True))


def check_ways(url):
    here = os.environ["LEAT_DATA_DIR"]
    leat("topic", "create", "here", "-p", str(PARTITIONS))
    lines = "".join(f"k{n % 50}:{n}\n" for n in range(COUNT)).encode()
    leat("produce", "in", "--key-separator", ":", stdin=lines, place=url)
    run("within", "in", "out", place=url)
    check_same("within the cluster", values("out", url), made_of("in", url))
    run("from", f"{url}/in", "here", into=here)
    check_same("from the cluster", values("here"), made_of("in", url))
    run("into", "here", "back", into=url)
    check_same("into the cluster", values("back", url), made_of("here"))
    for name, source, sink, into in (("from", f"{url}/in", "here", here), ("into", "here", "back", url)):
        run(name, source, sink, into=into)
    check_same("done from the cluster, not done again", values("here"), made_of("in", url))
    check_same("done into the cluster, not done again", values("back", url), made_of("here"))


def check_patient(url):
    """A member whose sink is away for longer than it may be silent stays a member, and keeps what it has."""
    place = url + "?session.timeout.ms=6000&max.poll.interval.ms=6000&heartbeat.interval.ms=300"
    members = []
    for name in ("stuck", "well"):
        text = PATIENT.format(name=name, here=os.getcwd())
        members.append(Member(pipelines.write_pipeline(f"{name}.toml", text), "-v", place=place))
    open("stuck.wait", "wb").close()
    time.sleep(8)  # a partition each by then, whoever came first
    for start in range(0, COUNT, COUNT // 10):
        leat("produce", "patience", stdin="".join(f"{n}\n" for n in range(start, start + COUNT // 10)).encode(), place=url)
    time.sleep(15)
    check("while the sink is away", [member.running() for member in members], [True, True])
    for member in members:
        if not member.running():
            print(member.said())
    check("the other has its own alone", 0 < len(lines_of("well.out")) < COUNT, True)
    os.unlink("stuck.wait")
    wait_until(lambda: len(set(lines_of("well.out") + lines_of("stuck.out"))) == COUNT, "all of it")
    for member in members:
        check("the end", member.stop(), -signal.SIGTERM)
        check("nothing was lost", "has lost partition" in member.said(), False)
    check("each record once", len(lines_of("well.out") + lines_of("stuck.out")), COUNT)


def lines_of(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="ascii") as file:
        return file.read().split()


def check_absent():
    path = pipelines.write_pipeline("absent.toml", PIPELINE.format(source="kafka://127.0.0.1:1/in", sink="here", group="absent", elsewhere=""))
    done = subprocess.run([LEAT, "--lock-timeout", "2s", "process", path, "-d"], capture_output=True, text=True,
                          timeout=pipelines.PATIENCE)
    check("no cluster", done.returncode, 69)
    check_in("no cluster", "127.0.0.1:1", done.stderr)


def main():
    pipelines.need_leat_net()
    if not os.path.exists(MOCK):
        print("the mock cluster is not built: librdkafka-dev is missing")
        return pipelines.SKIPPED
    topics = [f"{name}:{PARTITIONS}" for name in ("in", "out", "back", "patience")]
    with subprocess.Popen([MOCK, *topics], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as mock:
        url = "kafka://" + mock.stdout.readline().strip()
        check_ways(url)
        check_patient(url)
        mock.stdin.close()
    check_absent()
    finish("within a cluster, from it and into it: each record once; a member whose sink is away stays one")
    return 0


if __name__ == "__main__":
    sys.exit(main())
