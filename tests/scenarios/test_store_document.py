#!/usr/bin/python3
"""The document's store: its configuration in a .env file, its two endpoints, a restart from the changelog, and a replica."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "store"))
import servers  # noqa: E402
from servers import check, leat  # noqa: E402

ENV = """# The minimal configuration
STORE_ID="test"
SOURCE_TOPIC="test-input"
CHANGELOG_TOPIC="test-changelog"

INITIAL_CAPACITY=5000
AUTO_FLUSH_COUNT=1000
AUTO_FLUSH_SECONDS=3600
READER_POOL_SIZE=1000
PARTITIONS=0,1,2
"""


class Configured(servers.Server):
    """A server that takes everything but its address from .env."""

    def __init__(self, **more):
        super().__init__("test", source=None, **more)


def main():
    servers.need_leat_net()
    with open(".env", "w", encoding="ascii") as file:
        file.write(ENV)
    leat("topic", "create", "test-input", "-p", "3")
    records = servers.Records("test-input")
    for i in range(100):
        records.put(f"key-{i}", f"value-{i}")
    records.send()
    server = Configured()
    check("a store's items are not to be seen before a flush, unless so many wait", server.get("key-1"), None)
    applied = {}
    for _ in range(100):
        applied = server.json("/flush-store/test", method="POST")["applied"]
        if sum(row["next_offset"] for row in applied) == 100:
            break
    check("flushed", server.get("key-1"), "value-1")
    check("each item as last updated", server.contents(), records.model)
    records.put("key-1", "changed")
    records.put("key-2", None)
    last = records.send()
    server.kill()
    server = Configured()
    server.wait_for(last)
    check("after a restart", server.contents(), records.model)
    replica = Configured(env={"USE_REPLICA_ONLY": "true", "WAIT_FOR_REPLICAS": "true", "PARTITIONS": ""})
    check("a replica", replica.contents(), records.model)
    server.kill()
    check("a replica while its primary is down", replica.get("key-1"), "changed")
    check("its end", replica.stop(), -15)
    servers.finish("the document's store, as it says")


if __name__ == "__main__":
    main()
