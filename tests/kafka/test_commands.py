#!/usr/bin/python3
"""The commands on librdkafka's mock cluster. test_cluster.py takes some of it to Apache Kafka itself.

Produces, consumes, resumes and ends as on a directory; hands over to leat-net unseen; what it produces kcat reads, and the reverse.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scenarios"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import processes  # noqa: E402
from checks import FAILURES, check, check_in  # noqa: E402

BUILD = os.environ.get("LEAT_BUILD", os.path.dirname(os.path.abspath(processes.LEAT)))
PLAIN = os.path.join(BUILD, "leat")
NET = os.path.join(BUILD, "leat-net")
MOCK = os.path.join(BUILD, "tests", "mock-cluster")
TOPIC = "commands"


def run(*arguments, program=None, stdin=b"", env=None, timeout=60):
    """Status, output and errors of a command."""
    environment = {**os.environ, **(env or {})}
    done = subprocess.run([program or PLAIN, *arguments], input=stdin, capture_output=True, timeout=timeout, env=environment)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def check_hand_over(url):
    """The plain program becomes leat-net of its own build, and says so where that cannot be."""
    alone = os.path.join(os.getcwd(), "alone", "leat")
    os.makedirs(os.path.dirname(alone), exist_ok=True)
    shutil.copy2(PLAIN, alone)
    status, _, errors = run("-D", url, "topic", "list", program=alone)
    check("without leat-net", status, 69)
    check_in("without leat-net", "leat-net", errors)
    check("without leat-net, no cluster is wanted", run("version", "-D", url, program=alone)[0], 0)
    check("inspect without leat-net", run("-D", url, "inspect", "segments", TOPIC, program=alone)[0], 2)
    installed = os.path.join(os.getcwd(), "prefix", "libexec", "leat")
    os.makedirs(installed, exist_ok=True)
    os.makedirs(os.path.join(os.getcwd(), "prefix", "bin"), exist_ok=True)
    shutil.copy2(NET, installed)
    shutil.copy2(PLAIN, os.path.join("prefix", "bin", "leat"))
    status, names, _ = run("-D", url, "topic", "list", "--names", program=os.path.join(os.getcwd(), "prefix", "bin", "leat"))
    check("installed", (status, TOPIC in names.split()), (0, True))
    # As where librdkafka1 is not installed: a library of another name is not found.
    with open(NET, "rb") as file:
        program = file.read().replace(b"librdkafka.so.1", b"librdkafka.so.0")
    with open(os.path.join(installed, "leat-net"), "wb") as file:
        file.write(program)
    status, _, errors = run("-D", url, "topic", "list", program=os.path.join(os.getcwd(), "prefix", "bin", "leat"))
    check("without librdkafka1", status, 69)
    check_in("without librdkafka1", "leat: error: ", errors)
    check_in("without librdkafka1", "needs librdkafka.so.0, which is not installed\nhint: apt-get install librdkafka1\n", errors)
    status, _, errors = run("-D", url, "topic", "list", program=NET, env={"LEAT_HANDED_OVER_BY": "leat 0.0.0 (other)"})
    check("another build", status, 78)
    check_in("another build", "leat 0.0.0 (other)", errors)


def check_refusals(url):
    for name, status, arguments in [
            ("unknown topic, produce", 66, ("produce", "nowhere")),
            ("unknown topic, consume", 66, ("consume", "nowhere", "-Bd")),
            ("a named producer", 2, ("produce", TOPIC, "--producer-id", "p")),
            ("inspect", 2, ("inspect", "segments", TOPIC)),
            ("repair", 2, ("repair", TOPIC)),
            ("a setting without equal", 2, ("topic", "create", "x", "--retention-records", "5")),
            ("a partition that is not there", 66, ("consume", TOPIC, "-Bd", "-p", "99"))]:
        found, _, errors = run("-D", url, *arguments)
        check(name, found, status)
        check_in(name, "leat: error: ", errors)
    check("an unknown property", run("-D", url + "?bogus=1", "topic", "list")[0], 78)
    check("a secret in the URL", run("-D", url + "?sasl.password=x", "topic", "list")[0], 2)
    began = time.monotonic()
    status, _, errors = run("-D", "kafka://127.0.0.1:1", "--lock-timeout", "1s", "consume", TOPIC, "-Bd")
    check("unreachable", status, 69)
    check_in("unreachable", "kafka://127.0.0.1:1", errors)
    check("unreachable, in time", time.monotonic() - began < 30, True)


def check_settings(url):
    """Properties come from the settings file and the environment; the log comes with -v only."""
    with open("config.toml", "w", encoding="utf-8") as file:
        file.write(f'[defaults]\ndata_dir = "{url}"\n[kafka]\nbogus.property = "1"\n')
    env = {"LEAT_CONFIG": os.path.abspath("config.toml"), "LEAT_DATA_DIR": ""}
    status, _, errors = run("topic", "list", env=env)
    check("[kafka]", status, 78)
    check_in("[kafka]", "bogus.property", errors)
    with open("config.toml", "w", encoding="utf-8") as file:
        file.write(f'[defaults]\ndata_dir = "{url}"\n[kafka]\nclient.id = "me"\ndebug = "broker"\nsocket.timeout.ms = 5000\n')
    status, _, errors = run("topic", "list", "--names", env=env)
    check("[kafka] without -v", (status, errors), (0, ""))
    status, _, errors = run("-v", "topic", "list", "--names", env=env)
    check("[kafka] with -v", status, 0)
    check_in("[kafka] with -v", "kafka: ", errors)
    check("the environment", run("-D", url, "topic", "list", env={"LEAT_KAFKA_BOGUS": "1"})[0], 78)


def check_records(url):
    """The same records, keys and partitions as in a directory; receipts name where each went."""
    lines = "".join(f"key {i % 31}:value {i}\n" for i in range(3000)).encode()
    status, receipts, errors = run("-D", url, "produce", TOPIC, "--key-separator", ":", "-O", "text", stdin=lines)
    check("produce", (status, errors), (0, ""))
    check("receipts", len(receipts.splitlines()), 3000)
    processes.leat("-D", "dir", "topic", "create", TOPIC, "-p", "3")
    run("-D", "dir", "produce", TOPIC, "--key-separator", ":", stdin=lines)
    read = {}
    for place in (url, "dir"):
        status, text, _ = run("-D", place, "consume", TOPIC, "-Bd", "-O", "jsonl")
        check(f"consume {place}", status, 0)
        rows = [json.loads(line) for line in text.splitlines()]
        read[place] = sorted((row["partition"], row["offset"], row["key"], row["value"]) for row in rows)
    check("as in a directory", read[url] == read["dir"], True)
    at = {(row[0], row[1]): row[3] for row in read[url]}
    places = [line.split() for line in receipts.splitlines()]
    check("receipts in order", all(at[(int(p), int(o))] == f"value {i}" for i, (_, p, o) in enumerate(places)), True)
    check("-T", len(run("-D", url, "consume", TOPIC, "-T", "2", "-d")[1].splitlines()), 6)
    check("-n", len(run("-D", url, "consume", TOPIC, "-B", "-n", "7")[1].splitlines()), 7)
    check("-p --start --end", run("-D", url, "consume", TOPIC, "-p", "1", "--start", "5", "--end", "6", "-F", "{{offset}}")[1], "5\n6\n")
    text = run("-D", url, "consume", TOPIC, "-Bd", "-O", "jsonl")[1]
    check("the same order each time", run("-D", url, "consume", TOPIC, "-Bd", "-O", "jsonl")[1] == text, True)


def check_groups(url):
    """-n commits exactly so much; a signal commits what was written; the rest comes next."""
    first = run("-D", url, "consume", TOPIC, "-B", "-c", "c1", "-n", "10")[1].splitlines()
    rest = run("-D", url, "consume", TOPIC, "-B", "-c", "c1", "-d")[1].splitlines()
    check("each once", (len(first), len(rest), len(set(first + rest))), (10, 2990, 3000))
    with subprocess.Popen([PLAIN, "-D", url, "consume", TOPIC, "-c", "c1"], stdout=subprocess.PIPE) as follower:
        time.sleep(6)
        run("-D", url, "produce", TOPIC, stdin=b"later\n")
        check("followed", follower.stdout.readline(), b"later\n")
        follower.send_signal(signal.SIGTERM)
        check("stopped by SIGTERM", follower.wait(30), -signal.SIGTERM)
    check("committed", run("-D", url, "consume", TOPIC, "-c", "c1", "-d")[1], "")


def check_kcat(url):
    """kcat reads what leat has produced, and the reverse."""
    if not shutil.which("kcat"):
        print("not tested with kcat, which is not installed")
        return
    servers = url[len("kafka://"):]
    text = run("-b", servers, "-C", "-t", "kcat", "-e", "-q", "-f", "%k=%s\\n", program="kcat")[1]
    check("kcat, before", text, "")
    run("-D", url, "produce", "kcat", "--key-separator", "=", stdin="a=ä\nb=\n".encode())
    check("kcat -C", run("-b", servers, "-C", "-t", "kcat", "-e", "-q", "-f", "%k=%s\\n", program="kcat")[1], "a=ä\nb=\n")
    run("-b", servers, "-P", "-t", "kcat", "-K", ":", "-H", "h=v", program="kcat", stdin=b"k:from kcat\n")
    row = json.loads(run("-D", url, "consume", "kcat", "-T", "1", "-d", "-O", "jsonl")[1])
    check("kcat -P", (row["key"], row["value"], row["headers"]), ("k", "from kcat", [["h", "v"]]))


def check_administration(url):
    """What the mock has no requests for."""
    name = f"admin-{os.getpid()}"
    base = ("-D", url)
    check("create", run(*base, "topic", "create", name, "-p", "2", "--retention-time", "2d", "--compression-type", "lz4")[:2],
          (0, f'topic "{name}" created\n'))
    check("create again", run(*base, "topic", "create", name)[0], 73)
    check("create --if-not-exists", run(*base, "topic", "create", name, "--if-not-exists")[0], 0)
    check("create --dry-run", run(*base, "topic", "create", name + "-2", "--dry-run")[0], 0)
    check("not created", run(*base, "topic", "describe", name + "-2")[0], 66)
    run(*base, "produce", name, stdin=b"a\nb\nc\nd\n")
    described = json.loads(run(*base, "topic", "describe", name, "-O", "json")[1])[0]
    settings = described.get("settings", described)
    check("described", (settings["compression_type"], settings["retention_time_ms"]), ("lz4", 2 * 86400000))
    check("set", run(*base, "topic", "set", name, "retention-time=none")[0], 0)
    described = json.loads(run(*base, "topic", "describe", name, "-O", "json")[1])[0]
    settings = described.get("settings", described)
    check("set, and the rest kept", (settings["compression_type"], settings["retention_time_ms"]), ("lz4", None))
    check("add-partition", run(*base, "topic", "add-partition", name)[0], 0)
    run(*base, "consume", name, "-Bd", "-c", name, "-O", "none")
    rows = json.loads(run(*base, "consumer", "list", "--lag", "-t", name, "-O", "json")[1])
    check("consumer list", sum(row["lag"] for row in rows), 0)
    check("consumer seek", run(*base, "consumer", "seek", name, "--to", "start", "--yes")[0], 0)
    check("consumed again", len(run(*base, "consume", name, "-c", name, "-d")[1].splitlines()), 4)
    check("consumer describe", run(*base, "consumer", "describe", name)[0], 0)
    check("check consumer", run(*base, "check", "consumer", name, "--lag-crit", "1")[0], 0)
    check("trim", run(*base, "topic", "trim", name, "--keep", "0", "--yes")[0], 0)
    check("trimmed", run(*base, "consume", name, "-Bd")[:2], (0, ""))
    check("consumer delete", run(*base, "consumer", "delete", name)[0], 0)
    check("consumer delete, again", run(*base, "consumer", "delete", name)[0], 66)
    check("delete", run(*base, "topic", "delete", name)[0], 0)
    check("delete, again", run(*base, "topic", "delete", name)[0], 66)


def check_all(url):
    check_hand_over(url)
    check_refusals(url)
    check_settings(url)
    check_records(url)
    check_groups(url)
    check_kcat(url)


def check_real(url):
    """Where topics have to be made first, and can be administered. Returns what is wrong."""
    for name, partitions in ((TOPIC, "3"), ("kcat", "1")):
        run("-D", url, "topic", "create", name, "-p", partitions)
    check_records(url)
    check_groups(url)
    check_kcat(url)
    check_administration(url)
    run("-D", url, "consumer", "delete", "c1")
    run("-D", url, "topic", "delete", TOPIC, "kcat")
    return FAILURES


def main():
    if not os.path.exists(NET) or not os.path.exists(MOCK):
        print("leat-net is not built: librdkafka-dev was not there")
        return 77
    with processes.workplace():
        with subprocess.Popen([MOCK, f"{TOPIC}:3", "kcat:1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as mock:
            check_all("kafka://" + mock.stdout.readline().strip())
            mock.stdin.close()
    print(f"{len(FAILURES)} failures")
    return 1 if FAILURES else 0


if __name__ == "__main__":
    sys.exit(main())
