#!/usr/bin/python3
"""Members of a consumer group are killed, stopped, asked to leave and joined by others at random, while producers write.

    groups_chaos.py [--seconds N] [--seed N] [--self-test]

Two topics of 5 and 3 partitions, three producers, up to five members, not all of which read both topics. What each member wrote
is proved right by group_history.py: at most one owner at any instant, nothing lost, nothing skipped, nothing delivered
again but behind a kill, positions and commits that never go back. Then the same without kills: everything exactly once.
"""

import argparse
import contextlib
import heapq
import itertools
import json
import os
import random
import selectors
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "scenarios"))
import group_history  # noqa: E402
import processes  # noqa: E402
import results  # noqa: E402
from processes import LEAT, leat  # noqa: E402

MEMBERS_MAX = 5
PARTITIONS = (5, 3)
CATCH_UP_SECONDS = 60 if processes.SLOW else 20
LEAVE_SECONDS = 30 if processes.SLOW else 10


class Member:
    """A `leat consume` in the group, and all that it wrote, in pieces with the two moments each was written between."""

    def __init__(self, number, group, topics, watcher, flags=()):
        self.number, self.topics = number, topics
        self.pieces = []
        self.killed = None  # the moment before SIGKILL was sent
        self.asked = None  # the signal that asked it to leave
        self.stopped = False
        self.emptied = time.monotonic()  # its pipe was empty at some moment after this
        self.process = subprocess.Popen(
            [LEAT, "consume", *topics, "-c", group, "-B", "--offset-flush", "100ms", "--unbuffered", "-O", "jsonl", *flags],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.ended = threading.Event()  # all it wrote has been read
        watcher.add(self)

    def read(self):
        """Reads all there is; False at the end. What was not there when the pipe was last found empty is younger than that."""
        while True:
            started = time.monotonic()
            try:
                piece = os.read(self.process.stdout.fileno(), 1 << 20)
            except BlockingIOError:
                self.emptied = started
                return True
            if not piece:
                self.ended.set()
                return False
            self.pieces.append((self.emptied, time.monotonic(), piece))

    def lines(self):
        """(after, before, line) of each whole line; a killed member may have left a last one in parts."""
        rest = b""
        for after, before, piece in self.pieces:
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                yield after, before, line

    def status_complaint(self):
        status = self.process.returncode
        expected = -signal.SIGKILL if self.killed else -self.asked if self.asked else 0
        if status == expected:
            return None
        asked = "killed" if self.killed else f"asked by signal {self.asked}" if self.asked else "left alone"
        return f"member {self.number}, {asked}, ended with {status}: {self.process.stderr.read().decode().strip()}"


class Watcher(threading.Thread):
    """Reads every member's pipe as soon as something is in it."""

    def __init__(self):
        super().__init__(daemon=True)
        self.selector = selectors.DefaultSelector()
        self.start()

    def add(self, member):
        self.selector.register(member.process.stdout, selectors.EVENT_READ, member)

    def run(self):
        while True:
            # Looked at again now and then: a pipe added meanwhile is not in a select that has begun, on every kernel.
            for key, _ in self.selector.select(0.05):
                if not key.data.read():
                    self.selector.unregister(key.fileobj)


class Producer(threading.Thread):
    """Keeps one `leat produce` fed at random; when it is killed, another follows, with records of its own."""

    numbers = itertools.count()

    def __init__(self, topics, generator):
        super().__init__(daemon=True)
        self.topics, self.generator = topics, generator
        self.given, self.acknowledged, self.complaints = {}, {}, []
        self.process, self.killed, self.stopping, self.kills = None, False, threading.Event(), 0
        self.turn = threading.Lock()
        self.start()

    def kill(self):
        with self.turn:
            if self.process and self.process.poll() is None:
                self.killed = True
                self.process.kill()

    def run(self):
        while not self.stopping.is_set():
            self.live_once(next(Producer.numbers), self.generator.choice(self.topics))

    def live_once(self, number, topic):
        keyed = self.generator.random() < 0.5
        form = self.generator.choice(["text", "json"])
        receipts = f"receipts-{number}"
        flags = ["--key-separator", ":"] if keyed else []
        with open(receipts, "wb") as output, self.turn:
            self.killed = False
            self.process = subprocess.Popen([LEAT, "produce", topic, "-O", form, *flags], stdin=subprocess.PIPE, stdout=output,
                                            stderr=subprocess.PIPE)
        count = 0
        try:
            while not self.stopping.is_set():
                burst = self.generator.choice([1, 1, 3, 10, 30])
                text = "".join((f"k{n % 17}:" if keyed else "") + f"{number} {n}\n" for n in range(count, count + burst))
                count += burst
                self.process.stdin.write(text.encode())
                self.process.stdin.flush()
                time.sleep(self.generator.uniform(0, 0.02))
            self.process.stdin.close()
        except BrokenPipeError:
            # What the dead one left unread cannot be written either.
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        status = self.process.wait()
        self.kills += status == -signal.SIGKILL
        if status != (-signal.SIGKILL if self.killed else 0) and not (self.killed and status == 0):
            self.complaints.append(f"producer {number} ended with {status}: {self.process.stderr.read().decode().strip()}")
        self.process.stderr.close()
        self.given[number] = (topic, count)
        acknowledged = list(read_receipts(receipts, form))
        if status == 0 and len(acknowledged) != count:
            self.complaints.append(f"producer {number} ended well, with {len(acknowledged)} receipts for {count} records")
        self.acknowledged |= {f"{number} {n}": place for n, place in enumerate(acknowledged)}


def read_receipts(path, form):
    with open(path, encoding="ascii") as file:
        for line in file:
            if not line.endswith("\n"):
                return
            if form == "json":
                receipt = json.loads(line)
                yield receipt["topic"], receipt["partition"], receipt["offset"]
            else:
                topic, partition, offset = line.split()
                yield topic, int(partition), int(offset)


class Sampler(threading.Thread):
    """Asks a few times a second what is committed."""

    def __init__(self, group):
        super().__init__(daemon=True)
        self.group, self.samples, self.stopping, self.complaints = group, [], threading.Event(), []
        self.start()

    def sample(self):
        started = time.monotonic()
        done = subprocess.run([LEAT, "consumer", "list", "-O", "json"], capture_output=True, text=True)
        if done.returncode:
            self.complaints.append(f"leat consumer list: status {done.returncode}: {done.stderr.strip()}")
            return
        # The list shows the last record seen, null where there is none yet.
        following = {(row["topic"], row["partition"]): 0 if row["offset"] is None else row["offset"] + 1
                     for row in json.loads(done.stdout) if row["consumer"] == self.group}
        self.samples.append(group_history.Sample(started, time.monotonic(), following))

    def run(self):
        while not self.stopping.wait(0.2):
            self.sample()


class Run:
    """Some seconds of a group, with or without kills."""

    def __init__(self, name, seconds, generator, kills):
        self.name, self.seconds, self.generator, self.kills = name, seconds, generator, kills
        self.topics = [f"{name}-{partitions}" for partitions in PARTITIONS]
        for topic, partitions in zip(self.topics, PARTITIONS):
            leat("topic", "create", topic, "-p", str(partitions))
        self.counts = dict.fromkeys(["kills", "stops", "joins", "leaves"], 0)
        self.members, self.present = [], []
        self.to_continue = []  # (when, member number, member), a heap
        self.complaints = []
        self.watcher = Watcher()

    # -- what happens to members

    def join(self, topics=None, flags=()):
        topics = topics or self.generator.choice([self.topics, self.topics, self.topics[::-1], self.topics[:1], self.topics[1:]])
        member = Member(len(self.members), self.name, topics, self.watcher, flags)
        self.members.append(member)
        self.present.append(member)
        self.counts["joins"] += 1
        return member

    def kill(self):
        member = self.generator.choice(self.present)
        member.killed = time.monotonic()
        member.process.kill()
        self.present.remove(member)
        if member.process.wait() == -signal.SIGKILL:
            self.counts["kills"] += 1
        else:
            member.killed = None  # it had just ended by itself, as asked or not

    def stop(self):
        running = [m for m in self.present if not m.stopped]
        if not running:
            return
        member = self.generator.choice(running)
        member.process.send_signal(signal.SIGSTOP)
        member.stopped = True
        length = self.generator.choice([self.generator.uniform(0.05, 0.3), self.generator.uniform(0.3, 2)])
        heapq.heappush(self.to_continue, (time.monotonic() + length, member.number, member))
        self.counts["stops"] += 1

    def leave(self):
        member = self.generator.choice(self.present)
        if member.asked:
            return
        member.asked = self.generator.choice([signal.SIGTERM, signal.SIGINT])
        member.asked_at = time.monotonic()
        member.process.send_signal(member.asked)
        self.counts["leaves"] += 1

    def continue_due(self, now):
        while self.to_continue and self.to_continue[0][0] <= now:
            _, _, member = heapq.heappop(self.to_continue)
            if member.process.poll() is None:
                member.process.send_signal(signal.SIGCONT)
            member.stopped = False
            member.asked_at = now  # from now on it can leave

    def look_after(self):
        """Continues who has been stopped long enough, and takes away who is gone."""
        now = time.monotonic()
        self.continue_due(now)
        for member in list(self.present):
            if member.process.poll() is not None:
                self.present.remove(member)
            elif member.asked and not member.stopped and now - member.asked_at > LEAVE_SECONDS:
                self.complaints.append(f"member {member.number} has not left {LEAVE_SECONDS} s after signal {member.asked}")
                self.present.remove(member)
                member.killed = now
                member.process.kill()

    def act(self, producers):
        choices = [(self.stop, 3), (self.leave, 3), (self.join, 8 if len(self.present) < MEMBERS_MAX else 0)]
        if self.kills:
            choices += [(self.kill, 4), (lambda: self.generator.choice(producers).kill(), 1)]
        action = self.generator.choices([c for c, _ in choices], [w for _, w in choices])[0]
        if self.present or action == self.join:
            action()

    # -- the whole

    def run(self):
        """The history of it all, and what else was wrong."""
        sampler = Sampler(self.name)
        producers = [Producer(topics, random.Random(self.generator.random()))
                     for topics in (self.topics[:1], self.topics[1:], self.topics)]
        self.join(self.topics)
        end = time.monotonic() + self.seconds
        # Long enough between two events for a member to get its share, short enough to disturb that, too.
        while (now := time.monotonic()) < end:
            self.look_after()
            self.act(producers)
            wake = min(end, now + self.generator.choice([0.005, 0.03, 0.1, 0.3]))
            while (now := time.monotonic()) < wake:
                time.sleep(min(0.01, wake - now))
                self.look_after()
        for producer in producers:
            producer.stopping.set()
        for producer in producers:
            producer.join()
            self.complaints += producer.complaints
        self.continue_due(float("inf"))
        self.join(self.topics)
        self.catch_up()
        self.all_leave()
        drained = self.join(self.topics, ["-d"])
        self.end_of(drained, CATCH_UP_SECONDS)
        sampler.stopping.set()
        sampler.join()
        sampler.sample()
        self.complaints += sampler.complaints
        self.producer_kills = sum(p.kills for p in producers)
        return self.history(producers, sampler, drained)

    def catch_up(self):
        """Waits until the members that are left have committed all there is: no partition lies idle."""
        deadline = time.monotonic() + CATCH_UP_SECONDS
        while True:
            self.look_after()
            lagging = [f"{row['topic']}[{row['partition']}] by {row['lag']}"
                       for row in json.loads(leat("consumer", "list", "--lag", "-O", "json"))
                       if row["consumer"] == self.name and row["lag"]]
            if not lagging:
                return
            if time.monotonic() > deadline:
                self.complaints.append(f"{CATCH_UP_SECONDS} s after all the group lags behind: {', '.join(lagging)}")
                return
            time.sleep(0.05)

    def all_leave(self):
        for member in self.present:
            if not member.asked:
                member.asked = signal.SIGTERM
                member.process.terminate()
        for member in self.present:
            self.end_of(member, LEAVE_SECONDS)

    def end_of(self, member, seconds):
        try:
            member.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.complaints.append(f"member {member.number} does not end within {seconds} s")
            member.killed = time.monotonic()
            member.process.kill()
            member.process.wait()

    def history(self, producers, sampler, drained):
        history = group_history.History(samples=sampler.samples)
        for producer in producers:
            history.produced |= producer.given
            history.acknowledged |= producer.acknowledged
        for member in self.members:
            member.process.wait()
            if not member.ended.wait(10):
                self.complaints.append(f"member {member.number} has ended, its pipe has not")
            if complaint := member.status_complaint():
                self.complaints.append(complaint)
            if member.killed:
                history.killed[member.number] = member.killed
            got = set()
            for after, before, line in member.lines():
                record = json.loads(line)
                got.add(record["topic"])
                history.deliveries.append(group_history.Delivery(
                    member.number, (record["topic"], record["partition"]), record["offset"], record["value"], after, before))
            if not got <= set(member.topics):
                self.complaints.append(f"member {member.number} reads {member.topics}, and got records of {got}")
        left_over = sum(d.member == drained.number for d in history.deliveries)
        if left_over:
            self.complaints.append(f"{left_over} records came after all had been committed and all members had left in order")
        self.check_ends(history)
        return history

    def check_ends(self, history):
        """All that is in the log was delivered, and is committed."""
        delivered = {}
        for d in history.deliveries:
            delivered[d.place] = max(delivered.get(d.place, 0), d.offset + 1)
        committed = history.samples[-1].following if history.samples else {}
        for row in json.loads(leat("partition", "list", *self.topics, "-O", "json")):
            place, end = (row["topic"], row["partition"]), row["end"]
            if end != delivered.get(place, 0) or end != committed.get(place, 0):
                self.complaints.append(f"{group_history.name(place)} ends at {end}, was delivered up to {delivered.get(place, 0)} and "
                                       f"is committed at {committed.get(place, 0)}")

    def report(self, history, seed):
        """Prints what happened, and says whether it was right."""
        found = group_history.violations(history, exactly_once=not self.kills)
        for complaint in self.complaints[:20]:
            print(f"{self.name}: {complaint}")
        for violation in found[:20]:
            print(f"{self.name}: {violation.kind}: {violation.text}")
        self.violations = len(found) + len(self.complaints)
        kinds = {d.member for d in history.deliveries}
        lost = sum(v.kind == "lost" for v in found)
        counts = self.counts
        print(f"{self.name}: seed {seed}, {self.seconds:g} s, {counts['kills']} kills, {counts['stops']} stops, {counts['joins']} joins, "
              f"{counts['leaves']} leaves, {self.producer_kills} producers killed, {len(kinds)} members got records, "
              f"{len(history.samples)} commits seen, "
              f"{len(history.acknowledged):,} records acknowledged, {lost} lost, {history.delivered_again():,} delivered again "
              f"{'after kills' if self.kills else 'at all'}, {len(found) + len(self.complaints)} violations", flush=True)
        return not found and not self.complaints


def add_rows(options, run):
    for row, what in ((12, "kills"), (13, "stops"), (14, "kills")) if run.kills else ((14, "leaves"),):
        results.write(options.results, row, f"{run.name}: {what} of members in {run.seconds:g} s", run.counts[what], run.violations, None,
                      options.seed, f"tests/crash/groups_chaos.py --seconds {options.seconds:g} --seed {options.seed}")


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Kills, stops and joins members of a consumer group at random, and proves what they got.")
    parser.add_argument("--seconds", type=float, default=60, help="how long there are kills; without them, 0.4 times that")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("LEAT_SEED", random.SystemRandom().randrange(10**6))))
    parser.add_argument("--results", help="append rows for the scorecard to this file")
    parser.add_argument("--self-test", action="store_true", help="show that the checks find wrong histories, and end")
    options = parser.parse_args(arguments)
    if options.self_test:
        import test_group_history
        return test_group_history.main()
    print(f"seed {options.seed}", flush=True)
    generator = random.Random(options.seed)
    with processes.workplace():
        good = True
        for name, seconds, kills in (("calm", options.seconds * 0.4, False), ("chaos", options.seconds, True)):
            run = Run(name, seconds, random.Random(generator.random()), kills)
            good &= run.report(run.run(), options.seed)
            if options.results:
                add_rows(options, run)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
