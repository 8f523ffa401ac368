"""A real cluster for tests, as tests/kafka/broker runs it, and what has to be known of it beside what leat says: who leads a partition,
who coordinates a group, what each node has heard of."""

import os
import shutil
import socket
import struct
import subprocess
import sys
import time

BROKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "broker")
MEMORY = "/dev/shm"
SKIPPED = 77
METADATA, FIND_COORDINATOR = 3, 10


class Skip(Exception):
    """No cluster can be had here; the reason says why, and what to do about it."""


class Fields:
    """Reads an answer's fields, one after the other."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        found = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(">" + form)
        return found[0] if len(found) == 1 else found

    def text(self):
        size = self.take("h")
        self.at += max(0, size)
        return self.data[self.at - max(0, size):self.at].decode()

    def array(self, read):
        return [read() for _ in range(max(0, self.take("i")))]


def ask(port, api, version, body):
    """One request to the node behind a plain port, and the fields of its answer."""
    request = struct.pack(">hhih", api, version, 1, -1) + body
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as stream:
            data = stream.read(struct.unpack(">i", stream.read(4))[0])
    return Fields(data[4:])


def topics_of(port):
    """{topic: {partition: (leader, replicas, replicas in sync)}} as one node knows them; a leader of -1 is none."""
    answer = ask(port, METADATA, 1, struct.pack(">i", -1))
    answer.array(lambda: (answer.take("i"), answer.text(), answer.take("i"), answer.text()))
    answer.take("i")

    def partition():
        _, number, leader = answer.take("hii")
        return number, (leader, answer.array(lambda: answer.take("i")), answer.array(lambda: answer.take("i")))

    def topic():
        answer.take("h")
        name = answer.text()
        answer.take("b")
        return name, dict(answer.array(partition))

    return dict(answer.array(topic))


class Given:
    """A cluster that is there already, and is not to be killed."""

    def __init__(self, servers):
        self.plain, self.url = servers, "kafka://" + servers


class Cluster:
    """Nodes 1 to N; their broker ids are the same numbers. Gone at the end of the `with`."""

    def __init__(self, nodes, *flags):
        self.count, self.flags = nodes, flags
        self.down = set()

    def __enter__(self):
        began = time.monotonic()
        # In memory, where there is enough: Kafka's controllers sync each change, and a busy disk makes them stall for seconds.
        roomy = os.path.isdir(MEMORY) and shutil.disk_usage(MEMORY).free > self.count << 30
        self.process = subprocess.Popen([sys.executable, BROKER, "run", "--nodes", str(self.count), *self.flags],
                                        env={**os.environ, **({"TMPDIR": MEMORY} if roomy else {})},
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.facts = {}
        secured = ("--tls" in self.flags) + ("--sasl" in self.flags)
        wanted = 1 + secured + bool(secured)
        last = ""
        while len(self.facts) < wanted:
            line = self.process.stdout.readline()
            if not line:
                break
            name, equals, value = line.strip().partition("=")
            if equals:
                self.facts[name] = value
            last = line.strip()
        if len(self.facts) < wanted:
            status = self.process.wait()
            raise Skip(last) if status == SKIPPED else RuntimeError(f"tests/kafka/broker ends with status {status}")
        print(f"{self.count} nodes of Apache Kafka after {time.monotonic() - began:.0f} s", flush=True)
        self.servers = self.facts["bootstrap"]
        self.plain = self.facts.get("plain", self.servers)
        self.ports = [int(each.rpartition(":")[2]) for each in self.plain.split(",")]
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    @property
    def url(self):
        """Without TLS and passwords."""
        return "kafka://" + self.plain

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if answer != "ok":
            raise RuntimeError(f"{command}: {answer or 'tests/kafka/broker has ended'}")

    def kill(self, *nodes):
        for node in nodes:
            self.tell(f"kill {node}")
            self.down.add(node)

    def start(self, *nodes):
        for node in nodes:
            self.tell(f"start {node}")
            self.down.discard(node)

    def start_all(self):
        self.start(*sorted(self.down))

    def up(self):
        return [node for node in range(1, self.count + 1) if node not in self.down]

    def topics(self, node=None):
        return topics_of(self.ports[(node or self.up()[0]) - 1])

    def leader(self, topic, partition=0):
        return self.topics().get(topic, {}).get(partition, (-1,))[0]

    def coordinator(self, group):
        """The node that coordinates a group, once there is one."""
        name = group.encode()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            answer = ask(self.ports[self.up()[0] - 1], FIND_COORDINATOR, 0, struct.pack(">h", len(name)) + name)
            error, node = answer.take("hi")
            if not error and node not in self.down:
                return node
            time.sleep(0.1)
        raise RuntimeError(f"nobody coordinates {group} after 60 s")

    def wait_until(self, what, condition, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{what}: not within {seconds} s")
            time.sleep(0.1)

    def wait_for_leaders(self, topic):
        """Until every partition is led by a node that runs."""
        self.wait_until(f"leaders of {topic}", lambda: all(
            each[0] in self.up() for each in self.topics().get(topic, {0: (-1,)}).values()))

    def wait_in_sync(self, topic):
        """Until every replica is in sync again: then any node may be killed."""
        self.wait_until(f"replicas of {topic}", lambda: all(
            len(isr) == len(replicas) for _, replicas, isr in self.topics()[topic].values()), 120)
