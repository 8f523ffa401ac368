#!/usr/bin/python3
"""The same store on a cluster: librdkafka's mock, and the real one that LEAT_TEST_KAFKA=host:port names. Values, deletions, kills and
restarts, replicas; a second process of the same id takes over, and the first ends."""

import os
import subprocess
import sys
import time

import servers
from servers import Server, check, check_in, leat

MOCK = os.path.join(servers.BUILD, "tests", "mock-cluster")


def until(what, condition):
    deadline = time.monotonic() + servers.PATIENCE * 2
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"waited too long: {what}")
        time.sleep(0.05)


def main_flow(url, source):
    env = {"HOME": os.getcwd()}
    store = f"store-of-{source}"
    place = ["-D", url]
    if source != "source":
        leat(*place, "topic", "create", source, "-p", "2")
    records = servers.Records(source, place=url)
    for i in range(500):
        records.put(f"key-{i % 97}", None if i % 7 == 0 else f"value-{i}")
    last = records.send()
    began = time.monotonic()
    server = Server(store, "--auto-flush-time", "50ms", place=url, env=env, source=source)
    print(f"ready after {time.monotonic() - began:.1f} s")
    server.wait_for(last)
    check("values", server.contents(), records.model)
    for i in range(3):
        server.kill()
        for key in range(20):
            records.put(f"key-{key}", f"again-{i}")
        last = records.send()
        server = Server(store, "--auto-flush-time", "50ms", "--snapshot-interval", "500ms", place=url, env=env, source=source)
        server.wait_for(last)
        check(f"values after kill {i}", server.contents(), records.model)
    # The document's variables do, too.
    settings = {**env, "STORE_ID": store, "SOURCE_TOPIC": source, "CHANGELOG_TOPIC": f"{store}-changelog",
                "KAFKA_BROKERS": url.removeprefix("kafka://"), "USE_REPLICA_ONLY": "true", "WAIT_FOR_REPLICAS": "true",
                "KAFKA_CONSUMER_PROPERTIES": "client.id=me", "KAFKA_CHANGELOG_PROPERTIES": "fetch.wait.max.ms=50"}
    replica = Server(store, env=settings, source=source)
    check("a replica", replica.contents(), records.model)
    records.put("new", "one")
    last = records.send()
    replica.wait_for(last)
    check("a replica follows", replica.get("new"), "one")
    for partition, offset in last.items():
        check("its place", server.ask(f"/stores/{store}/new?at-least={partition}:{offset}")[0], 200)
    server.kill()
    check("a replica alone", replica.contents(), records.model)
    check("ends in order", replica.stop(), -15)
    other = Server("other", "--changelog", f"{store}-changelog", place=url, env=env, source=source, wait=False)
    check("another store's changelog", other.process.returncode, 78)
    offline = leat(*place, "store", "get", store, "new", "--snapshot-dir", "nowhere-yet")
    check("without a server", offline, b"one\n")
    server = Server(store, "--auto-flush-time", "50ms", place=url, env=env, source=source)
    check("back again", server.contents(), records.model)
    return server, records, env, store


def check_fencing(url, source, server, records, env, store):
    second = Server(store, "--auto-flush-time", "50ms", place=url, env=env, source=source)
    records.put("after", "x")
    last = records.send()
    second.wait_for(last)
    check("the second", second.contents(), records.model)
    until("the first ends", lambda: server.process.poll() is not None)
    status, errors = server.rest()
    check("the first is refused", status, 75)
    check_in("the first is refused", "another process writes", errors)
    check("its end", second.stop(), -15)


def main():
    servers.need_leat_net()
    urls = []
    mock = None
    if os.access(MOCK, os.X_OK):
        mock = subprocess.Popen([MOCK, "source:2", "store-of-source-changelog:2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        urls.append(("the mock", "kafka://" + mock.stdout.readline().decode().strip()))
    if "LEAT_TEST_KAFKA" in os.environ:
        urls.append(("Kafka", "kafka://" + os.environ["LEAT_TEST_KAFKA"]))
    if not urls:
        print("no cluster: tests/mock-cluster is not built")
        sys.exit(servers.SKIPPED)
    for name, url in urls:
        print(name, url, flush=True)
        # The mock makes no topics by itself.
        source = "source" if name == "the mock" else f"source-{os.getpid()}"
        running = main_flow(url, source)
        if name != "the mock":
            check_fencing(url, source, *running)
        else:
            check("its end", running[0].stop(), -15)
    if mock:
        mock.stdin.close()
        mock.wait()
    servers.finish(f"a store on {' and on '.join(name for name, _ in urls)}")


if __name__ == "__main__":
    main()
