"""What happens to records, receipts and groups when brokers are killed and come back. Each function is one such story, told on a cluster
of three nodes unless it says otherwise; `random` decides what is left open."""

import json
import re
import signal
import time

from load import Member, Producer, Wrong, check_group, check_log, leat, read_all, wait_for_group

PARTITIONS = 3


class Traffic:
    """One producer and two members of a group on a topic of their own."""

    def __init__(self, cluster, topic):
        self.cluster, self.topic, self.group = cluster, topic, f"group-{topic}"
        leat("-D", cluster.url, "topic", "create", topic, "-p", str(PARTITIONS))
        self.members = []
        self.running = []
        self.producer = Producer(cluster.url, topic)
        self.join()
        self.join()
        self.producer.wait_for_receipts(100)

    def join(self):
        member = Member(self.cluster.url, self.topic, self.group, len(self.members))
        self.members.append(member)
        self.running.append(member)

    def kill_member(self, random):
        member = self.running.pop(random.randrange(len(self.running)))
        member.kill()
        self.join()

    def end(self):
        """Everybody comes to an end in order; then all that was promised must hold."""
        self.producer.end()
        self.cluster.wait_for_leaders(self.topic)
        log = read_all(self.cluster.url, self.topic)
        check_log(self.producer, log)
        if len(log) != self.producer.sent:
            raise Wrong(f"{self.producer.sent} records were acknowledged, and {len(log)} are there")
        wait_for_group(self.cluster.url, self.group, log)
        for member in self.running:
            member.end()
        again = check_group(self.members, log)
        return f"{len(log)} records acknowledged, all there once and in order; the group printed all, {again} of them again"


def without(cluster, traffic, node, random, member_dies=False):
    """A node is away for a while in which records are acknowledged, and comes back; a member of the group may go meanwhile."""
    cluster.kill(node)
    time.sleep(random.random() * 2)
    if member_dies:
        traffic.kill_member(random)
    traffic.producer.wait_for_receipts(400)
    cluster.start(node)
    cluster.wait_in_sync(traffic.topic)
    traffic.producer.wait_for_receipts(100)


def leaders_killed(cluster, random, rounds=3):
    """The leader of a partition is killed while records go to it, and comes back."""
    traffic = Traffic(cluster, "leaders")
    for _ in range(rounds):
        without(cluster, traffic, cluster.leader("leaders", random.randrange(PARTITIONS)), random)
    return traffic.end()


def member_killed(cluster, random, rounds=2):
    """A member of the group is killed while a leader changes: what it had not committed comes again, and nothing is skipped."""
    traffic = Traffic(cluster, "members")
    for _ in range(rounds):
        without(cluster, traffic, cluster.leader("members", random.randrange(PARTITIONS)), random, member_dies=True)
    return traffic.end()


def coordinator_killed(cluster, random, rounds=3):
    """The node that keeps the group's offsets is killed while they are committed."""
    traffic = Traffic(cluster, "coordinator")
    for _ in range(rounds):
        without(cluster, traffic, cluster.coordinator(traffic.group), random, member_dies=random.random() < 0.5)
    return traffic.end()


def member_stopped(cluster, random, rounds=1):
    """A member is stopped for longer than its session: others take over, and when it goes on it is one of them again."""
    traffic = Traffic(cluster, "stopped")
    for _ in range(rounds):
        member = random.choice(traffic.running)
        member.process.send_signal(signal.SIGSTOP)
        cluster.wait_until("a takeover", lambda: members_of(cluster, traffic.group) == len(traffic.running) - 1)
        traffic.producer.wait_for_receipts(400)
        member.process.send_signal(signal.SIGCONT)
        cluster.wait_until("the return", lambda: members_of(cluster, traffic.group) == len(traffic.running))
        traffic.producer.wait_for_receipts(400)
    return traffic.end()


def members_of(cluster, group):
    return len(json.loads(leat("-D", cluster.url, "consumer", "describe", group, "-O", "json")[0])[0]["members"])


def all_killed(cluster, random, rounds=1):
    """The whole cluster is killed: nobody can work, everybody says so in time, and who waits long enough goes on."""
    traffic = Traffic(cluster, "all")
    for _ in range(rounds):
        cluster.wait_in_sync("all")
        nodes = cluster.up()
        random.shuffle(nodes)
        cluster.kill(*nodes)
        unreachable(cluster, "all")
        random.shuffle(nodes)
        cluster.start(*nodes)
        cluster.wait_for_leaders("all")
        traffic.producer.wait_for_receipts(200)
    return traffic.end()


def unreachable(cluster, topic):
    """Without any broker every command ends with 69, within the time given, and names them."""
    for command in (["topic", "list"], ["topic", "create", "x"], ["produce", topic], ["consume", topic, "-Bd"],
                    ["consume", topic, "-B", "-c", "nobody"], ["consumer", "list"], ["consumer", "seek", "c", "--to", "start", "--yes"],
                    ["partition", "list", topic]):
        _, errors, seconds = leat("-D", cluster.url, "--lock-timeout", "2s", *command, status=69, stdin=b"a\n")
        for server in cluster.plain.split(","):
            if server not in errors:
                raise Wrong(f"{command}: {server} is not named: {errors}")
        if len(re.findall("^leat: error: ", errors, re.M)) != 1 or "2s" not in errors:
            raise Wrong(f"{command}: not one sentence with the time waited: {errors}")
        if seconds > 7:
            raise Wrong(f"{command}: {seconds:.1f} s with --lock-timeout 2s")


def too_few_in_sync(cluster, random, _=0):
    """Two of three nodes are down: what cannot reach two is not acknowledged, status 69 in time; what was, is there afterwards."""
    leat("-D", cluster.url, "topic", "create", "few", "-p", "1")
    lines = "".join(f"{i}\n" for i in range(50)).encode()
    receipts, _, _ = leat("-D", cluster.url, "produce", "few", "-O", "text", stdin=lines)
    down = random.sample(range(1, cluster.count + 1), 2)
    cluster.kill(*down)
    receipts_then, errors, seconds = leat("-D", cluster.url, "--lock-timeout", "3s", "produce", "few", "-O", "text", stdin=lines, status=69)
    if receipts_then or seconds > 20:
        raise Wrong(f"receipts {receipts_then!r} after {seconds:.1f} s, where too few replicas are there: {errors}")
    cluster.start(*down)
    cluster.wait_in_sync("few")
    values = leat("-D", cluster.url, "consume", "few", "-Bd")[0].split()
    if values[:50] != lines.decode().split() or len(receipts.splitlines()) != 50:
        raise Wrong(f"50 records were acknowledged, and {values[:50]} are there")
    return f"{len(values) - 50} of 50 unacknowledged records are there, and all of 50 acknowledged ones"


def node_down(cluster, random, _=0):
    """With a node down, whichever, everything can be read to its end, counted, listed and created, and ends with 0. The first read
    waits until the cluster has noticed, which it takes seconds for."""
    leat("-D", cluster.url, "topic", "create", "down", "-p", "6")
    lines = "".join(f"key{i}:{i}\n" for i in range(2000)).encode()
    leat("-D", cluster.url, "produce", "down", "--key-separator", ":", stdin=lines)
    nodes = cluster.up()
    random.shuffle(nodes)
    slowest = 0
    for node in nodes:
        cluster.kill(node)
        for flags in ([], ["-c", f"down-{node}"]):
            text, _, seconds = leat("-D", cluster.url, "--lock-timeout", "30s", "consume", "down", "-Bd", *flags)
            slowest = max(slowest, seconds)
            if sorted(map(int, text.split())) != list(range(2000)):
                raise Wrong(f"with node {node} down, {flags}, {len(text.split())} of 2000 records are read")
        leat("-D", cluster.url, "topic", "create", "meanwhile", "-p", "3")
        leat("-D", cluster.url, "produce", "meanwhile", stdin=b"a\n")
        for command in (["topic", "list"], ["partition", "list", "down"], ["consumer", "list", "--lag"],
                        ["consumer", "describe", f"down-{node}"], ["topic", "set", "down", f"retention-time={node}d"],
                        ["consumer", "seek", f"down-{node}", "--to", "start", "--yes"]):
            _, _, seconds = leat("-D", cluster.url, *command)
            if seconds > 6:
                raise Wrong(f"with node {node} down {command} takes {seconds:.1f} s")
        leat("-D", cluster.url, "topic", "delete", "meanwhile")
        cluster.start(node)
        cluster.wait_in_sync("down")
    return f"read, written, listed, created and deleted with each of three nodes down; the slowest read took {slowest:.1f} s"


def one_node(cluster, random, rounds=3):
    """On a cluster of one node: it is killed and started again on its data."""
    traffic = Traffic(cluster, "single")
    for _ in range(rounds):
        cluster.kill(1)
        time.sleep(random.random() * 3)
        cluster.start(1)
        traffic.producer.wait_for_receipts(300)
        if random.random() < 0.5:
            traffic.kill_member(random)
    return traffic.end()
