"""What was seen of a consumer group while its members came, went, were stopped and killed, and what that must obey.

All of it is seen from outside: the lines each member wrote, between which two moments it wrote each, the commits as `consumer
list` shows them, when a member was killed, what producers were given and what they acknowledged. Each check is an
implication that holds however the moments fall within their bounds, so that no delay of a pipe or of the one who watches
can raise a false alarm:

* A member that gives a partition up in order has committed all it wrote; only one that is killed leaves something to be
  delivered again. So an offset delivered twice, or after a later one, takes a kill of the former owner before.
* A member's own offsets in a partition never go back, not even when it lost the partition and got it again.
* Whoever delivers an offset, the one before was delivered before: nothing is skipped.
* Commits never go back, are never ahead of what was delivered, and nothing behind a commit that was seen is delivered after.
"""

import bisect
import collections
import dataclasses
import math
from typing import NamedTuple


class Delivery(NamedTuple):
    """A record that a member wrote out, after one moment and before another."""

    member: int
    place: tuple  # (topic, partition)
    offset: int
    value: str  # "PRODUCER SEQUENCE"
    after: float
    before: float


class Sample(NamedTuple):
    """What was committed at some moment between two."""

    started: float
    ended: float
    following: dict  # place -> the next offset to read


class Violation(NamedTuple):
    kind: str
    text: str


@dataclasses.dataclass
class History:
    killed: dict = dataclasses.field(default_factory=dict)  # member -> the moment before its SIGKILL was sent
    deliveries: list = dataclasses.field(default_factory=list)  # each member's in the order it wrote them
    samples: list = dataclasses.field(default_factory=list)  # in the order of time
    produced: dict = dataclasses.field(default_factory=dict)  # producer -> (topic, how many records it was given)
    acknowledged: dict = dataclasses.field(default_factory=dict)  # value -> (topic, partition, offset)

    def killed_at(self, member):
        return self.killed.get(member, math.inf)

    def by_place(self):
        places = collections.defaultdict(list)
        for delivery in self.deliveries:
            places[delivery.place].append(delivery)
        return places

    def delivered_again(self):
        return len(self.deliveries) - len({(d.place, d.offset) for d in self.deliveries})


def name(place):
    return f"{place[0]}[{place[1]}]"


def check_positions(history):
    """Within a member offsets go up, and each follows one that was delivered before it."""
    for place, deliveries in history.by_place().items():
        of_offset = collections.defaultdict(list)
        for delivery in deliveries:
            of_offset[delivery.offset].append(delivery)
        previous = {}
        for d in deliveries:
            prior = previous.get(d.member)
            previous[d.member] = d
            if prior and d.offset <= prior.offset:
                yield Violation("back", f"{name(place)}: member {d.member} delivered {d.offset} behind its own {prior.offset}")
            elif d.offset and not (prior and d.offset == prior.offset + 1):
                # Others had the partition since the member's own last record there.
                since = prior.after if prior else -math.inf
                if not any(o.member != d.member and since < o.before and o.after < d.before
                           for o in of_offset[d.offset - 1]):
                    behind = f" behind its own {prior.offset}" if prior else ""
                    yield Violation("gap", f"{name(place)}: member {d.member} delivered {d.offset}{behind}, "
                                           f"but nobody had delivered {d.offset - 1} meanwhile")


def check_owners(history):
    """What has been delivered is delivered again only behind a kill of who had it."""
    for place, deliveries in history.by_place().items():
        of_offset = collections.defaultdict(list)
        for delivery in deliveries:
            of_offset[delivery.offset].append(delivery)
        for offset, several in of_offset.items():
            several.sort(key=lambda d: history.killed_at(d.member))
            for former, later in zip(several, several[1:]):
                if history.killed_at(former.member) >= later.before:
                    yield Violation("twice", f"{name(place)}: {offset} was delivered by member {former.member}, which had not "
                                             f"been killed, and by member {later.member}")
        yield from check_order(history, place, deliveries)


def check_order(history, place, deliveries):
    """No offset is certainly delivered after a later one, unless who delivered that one had been killed."""
    finished = sorted(deliveries, key=lambda d: d.before)
    done = 0
    highest = -1  # by members that were never killed
    highest_of = {}  # the others, while they may live
    for d in sorted(deliveries, key=lambda d: d.after):
        while finished[done].before < d.after:
            earlier = finished[done]
            done += 1
            if earlier.member in history.killed:
                highest_of[earlier.member] = max(highest_of.get(earlier.member, -1), earlier.offset)
            else:
                highest = max(highest, earlier.offset)
        for member in [m for m in highest_of if history.killed[m] < d.after]:
            del highest_of[member]
        alive = [offset for member, offset in highest_of.items() if history.killed[member] >= d.before]
        if d.offset <= max([highest, *alive]):
            yield Violation("order", f"{name(place)}: member {d.member} delivered {d.offset} after {max([highest, *alive])} had been "
                                     f"delivered by a member that was alive or had left in order")


def check_commits(history):
    latest = {}
    for sample in history.samples:
        for place in latest.keys() - sample.following.keys():
            yield Violation("commit back", f"{name(place)}: the commit {latest.pop(place)} is forgotten")
        for place, following in sample.following.items():
            if following < latest.get(place, 0):
                yield Violation("commit back", f"{name(place)}: the commit went from {latest[place]} to {following}")
            latest[place] = following
    first = {}
    for d in history.deliveries:
        key = d.place, d.offset
        first[key] = min(first.get(key, math.inf), d.after)
    for sample in history.samples:
        for place, following in sample.following.items():
            if following and first.get((place, following - 1), math.inf) >= sample.ended:
                yield Violation("commit ahead", f"{name(place)}: {following} was committed before {following - 1} was delivered")
    ends = [sample.ended for sample in history.samples]
    for d in history.deliveries:
        seen = bisect.bisect_left(ends, d.after)
        if seen and d.offset < (committed := history.samples[seen - 1].following.get(d.place, 0)):
            yield Violation("commit ignored", f"{name(d.place)}: member {d.member} delivered {d.offset} after {committed} "
                                              "had been seen as committed")


def check_records(history):
    """What was delivered was produced, at one place each, in each producer's order, and where the receipt says."""
    place_of, value_at = {}, {}
    for d in history.deliveries:
        here = (*d.place, d.offset)
        if value_at.setdefault(here, d.value) != d.value:
            yield Violation("content", f"{name(d.place)}: {d.offset} is {value_at[here]!r} once, and {d.value!r} another time")
        elif place_of.setdefault(d.value, here) != here:
            yield Violation("phantom", f"record {d.value!r} is at {place_of[d.value]} and again at {here}")
    for value, here in place_of.items():
        producer, _, sequence = value.partition(" ")
        if not (producer.isdecimal() and sequence.isdecimal()) or int(producer) not in history.produced:
            yield Violation("phantom", f"{here}: nobody produced {value!r}")
            continue
        topic, count = history.produced[int(producer)]
        if topic != here[0] or int(sequence) >= count:
            yield Violation("phantom", f"{here}: producer {producer} was given {count} records for {topic}, not {value!r}")
    previous = {}
    for here in sorted(value_at):
        producer, _, sequence = value_at[here].partition(" ")
        if not sequence.isdecimal():
            continue  # said above
        key = here[0], here[1], producer
        if int(sequence) <= previous.get(key, -1):
            yield Violation("producer order", f"{here}: producer {producer}'s record {sequence} behind its {previous[key]}")
        previous[key] = int(sequence)
    for value, here in history.acknowledged.items():
        if value not in place_of:
            yield Violation("lost", f"record {value!r} was acknowledged at {here} and never delivered")
        elif place_of[value] != here:
            yield Violation("receipt", f"record {value!r} was acknowledged at {here}, but is at {place_of[value]}")


def check_exactly_once(history):
    """Where nobody was killed: every record that was produced, once."""
    times = collections.Counter(d.value for d in history.deliveries)
    for producer, (_, count) in history.produced.items():
        for sequence in range(count):
            if times[f"{producer} {sequence}"] != 1:
                yield Violation("not once", f"record {producer} {sequence} was delivered {times[f'{producer} {sequence}']} times")


CHECKS = (check_positions, check_owners, check_commits, check_records)


def violations(history, exactly_once=False):
    checks = (*CHECKS, check_exactly_once) if exactly_once else CHECKS
    return [violation for check in checks for violation in check(history)]
