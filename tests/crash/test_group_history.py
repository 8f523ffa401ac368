#!/usr/bin/python3
"""The checks of group_history.py find out what they are for: right histories pass, each wrong one is named.

The histories are made by hand, as a group without faults would leave them; each wrong one is a right one with a single thing
added or taken away.
"""

import collections
import random
import sys

import group_history
from group_history import Delivery, History, Sample

SEEDS = range(20)


def right_history(seed, kills=True):
    """Two partitions, owners that come, deliver, commit, leave and are killed."""
    generator = random.Random(seed)
    history = History(produced={0: ("t", 0), 1: ("t", 0)})
    owner = {("t", 0): None, ("t", 1): None}
    position, committed, end = collections.Counter(), collections.Counter(), collections.Counter()
    value_at = {}
    members, clock = 0, 0.0

    def tick():
        nonlocal clock
        clock += generator.uniform(0.001, 0.01)
        return clock

    def deliver(member, place, offset):
        # Seen only roughly: the bounds overlap with those of others.
        after = clock - generator.uniform(0, 0.02)
        history.deliveries.append(Delivery(member, place, offset, value_at[place, offset], after, tick() + generator.uniform(0, 0.02)))
        tick()

    def produce(place):
        producer = generator.randrange(2)
        value = f"{producer} {history.produced[producer][1]}"
        history.produced[producer] = ("t", history.produced[producer][1] + 1)
        value_at[place, end[place]] = value
        if generator.random() < 0.9 or not kills:
            history.acknowledged[value] = (*place, end[place])
        end[place] += 1

    def claim(place):
        nonlocal members
        living = [m for m in owner.values() if m is not None]
        if living and generator.random() < 0.3:
            owner[place] = living[0]
        else:
            owner[place] = members
            members += 1
        position[place] = committed[place]
        tick()

    for step in range(600):
        place = generator.choice(list(owner))
        if owner[place] is None:
            claim(place)
        event = generator.random()
        if event < 0.85:
            if position[place] == end[place]:
                produce(place)
            deliver(owner[place], place, position[place])
            position[place] += 1
        elif event < 0.92:
            committed[place] = position[place]
        elif event < 0.96:
            committed[place], owner[place] = position[place], None
        elif event < 0.98 and kills:
            killed = owner[place]
            history.killed[killed] = tick()
            owner.update((p, None) for p, o in owner.items() if o == killed)
            tick()
        if step % 20 == 0:
            following = {p: committed[p] for p in owner}
            history.samples.append(Sample(clock, tick(), following))
    # All leave in order, and one more reads what is left.
    for place in owner:
        for offset in range(committed[place] if owner[place] is None else position[place], end[place]):
            deliver(members, place, offset)
    history.samples.append(Sample(tick(), tick(), dict(end)))
    return history


# ---- What can be wrong; each function spoils a right history. ----


def middle(history):
    """A delivery in the midst, of a record that was acknowledged, and delivered once by one who was not killed."""
    times = collections.Counter(d.value for d in history.deliveries)
    found = [d for d in history.deliveries if times[d.value] == 1 and d.value in history.acknowledged and d.offset > 20
             and d.member not in history.killed]
    return found[len(found) // 2]


def add_at_end(history, delivery):
    end = max(d.before for d in history.deliveries) + 1
    history.deliveries.append(delivery._replace(after=end, before=end + 0.001))


def without_commits(history, place):
    history.samples = [s._replace(following={p: n for p, n in s.following.items() if p != place}) for s in history.samples]


def without(history, delivery):
    history.deliveries = [d for d in history.deliveries if (d.place, d.offset) != (delivery.place, delivery.offset)]


def two_owners_at_once(history):
    """A member that was stopped goes on with what another has taken over."""
    add_at_end(history, middle(history)._replace(member=999))


def killed_after_the_takeover(history):
    """Its owner is killed, but another has delivered from the partition before."""
    d = middle(history)
    add_at_end(history, d._replace(member=999))
    history.killed[d.member] = history.deliveries[-1].before + 1


def back_behind_who_left(history):
    """An offset that only a killed member had delivered comes again after later ones of somebody who left in order."""
    d = middle(history)
    without_commits(history, d.place)
    history.deliveries[history.deliveries.index(d)] = d._replace(member=998)
    history.killed[998] = d.before + 0.0001
    add_at_end(history, d._replace(member=999))


def own_position_back(history):
    d = middle(history)
    d = next(o for o in history.deliveries if o.member == d.member and o.place == d.place)
    history.killed[d.member] = 10**6
    add_at_end(history, d)


def a_record_skipped(history):
    without(history, middle(history))


def a_record_skipped_that_another_had_before(history):
    """A killed member had delivered it, and who took over leaves it out."""
    d = middle(history)
    before = d.after - 10
    history.deliveries.insert(0, d._replace(member=999, after=before, before=before + 0.0001))
    history.deliveries.remove(d)
    history.killed[999] = before + 0.0002


def lost_at_the_end(history):
    last = max((d for d in history.deliveries if d.place == ("t", 0)), key=lambda d: d.offset)
    history.acknowledged[last.value] = (*last.place, last.offset)
    without(history, last)


def delivered_twice(history):
    d = middle(history)
    history.deliveries.insert(history.deliveries.index(d) + 1, d._replace(member=999))


def one_never_delivered(history):
    topic, count = history.produced[0]
    history.produced[0] = (topic, count + 1)


def commit_goes_back(history):
    place, following = max(history.samples[-1].following.items())
    history.samples.append(Sample(10**6, 10**6, history.samples[-1].following | {place: following - 1}))


def commit_forgotten(history):
    history.samples.append(Sample(10**6, 10**6, {}))


def commit_ahead_of_delivery(history):
    for number, sample in enumerate(history.samples[5:], 5):
        history.samples[number] = sample._replace(following={p: n + 40 for p, n in sample.following.items()})


def commit_ignored(history):
    """Who takes over from a killed member begins below what had been committed."""
    d = middle(history)
    history.killed[d.member] = max(o.before for o in history.deliveries) + 0.5
    add_at_end(history, d._replace(member=999))


def never_produced(history):
    d = middle(history)
    history.deliveries[history.deliveries.index(d)] = d._replace(value=f"0 {10**6}")


def torn_value(history):
    d = middle(history)
    history.deliveries[history.deliveries.index(d)] = d._replace(value=d.value.split()[0])


def at_two_places(history):
    first, second = [d for d in history.deliveries if d.place == ("t", 0)][:2]
    history.deliveries = [d._replace(value=first.value) if (d.place, d.offset) == (second.place, second.offset) else d
                          for d in history.deliveries]


def changed_between_two_readings(history):
    d = middle(history)
    history.killed[d.member] = max(o.before for o in history.deliveries) + 0.5
    add_at_end(history, d._replace(member=999, value="0 0"))


def producer_out_of_order(history):
    mine = [d for d in history.deliveries if d.place == ("t", 0) and d.value.startswith("0 ")]
    a, b = mine[0].value, mine[-1].value
    swapped = {a: b, b: a}
    history.deliveries = [d._replace(value=swapped.get(d.value, d.value)) for d in history.deliveries]


def receipt_names_another_place(history):
    d = middle(history)
    history.acknowledged[d.value] = (*d.place, d.offset + 1)


WRONG = [
    (two_owners_at_once, "twice"),
    (killed_after_the_takeover, "twice"),
    (back_behind_who_left, "order"),
    (own_position_back, "back"),
    (a_record_skipped, "gap"),
    (a_record_skipped, "lost"),
    (a_record_skipped_that_another_had_before, "gap"),
    (lost_at_the_end, "lost"),
    (commit_goes_back, "commit back"),
    (commit_forgotten, "commit back"),
    (commit_ahead_of_delivery, "commit ahead"),
    (commit_ignored, "commit ignored"),
    (never_produced, "phantom"),
    (torn_value, "phantom"),
    (at_two_places, "phantom"),
    (changed_between_two_readings, "content"),
    (producer_out_of_order, "producer order"),
    (receipt_names_another_place, "receipt"),
]
WRONG_WHERE_CALM = [(delivered_twice, "not once"), (delivered_twice, "twice"), (one_never_delivered, "not once")]


def main():
    failures = []
    again = 0
    for seed in SEEDS:
        for kills in (True, False):
            history = right_history(seed, kills)
            again += history.delivered_again()
            failures += [f"a right history (seed {seed}) has {v}" for v in group_history.violations(history, not kills)]
        for spoil, kind in WRONG + WRONG_WHERE_CALM:
            calm = (spoil, kind) in WRONG_WHERE_CALM
            history = right_history(seed, not calm)
            spoil(history)
            found = {violation.kind for violation in group_history.violations(history, calm)}
            if kind not in found:
                failures.append(f"{spoil.__name__} (seed {seed}): {found or 'nothing'} found instead of '{kind}'")
    print("\n".join(failures) or
          f"{len(SEEDS)} x {len(WRONG + WRONG_WHERE_CALM)} wrong histories, all found out; right ones pass, with {again} "
          "records delivered again after kills")
    return 1 if failures or not again else 0


if __name__ == "__main__":
    sys.exit(main())
