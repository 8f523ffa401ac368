"""A contest: several contestants do the same work in turn (A B C, C B A, ...), so that what drifts drifts for all, and nobody
always comes behind the same one."""

import dataclasses
import os
import statistics
import sys
import time
import typing


class Failed(Exception):
    """Somebody did not do the work: the figures would be worth nothing."""


@dataclasses.dataclass
class Contestant:
    name: str
    kind: str  # limit, leat or peer
    durable: str  # what an acknowledgement means
    run: typing.Callable  # -> {figure: number}


@dataclasses.dataclass
class Contest:
    """`stage(bench)` is a context that yields the contestants, with whatever they need in place."""
    key: str
    title: str
    figure: str  # which figure of a run counts
    unit: str
    stage: typing.Callable
    lower_is_better: bool = True


def settle():
    """What the one before has left dirty is written out, and a moment given to what the kernel does after that."""
    os.sync()
    time.sleep(0.05)


def say(what):
    """Progress, on one line of standard error."""
    print(f"\r{what:100}" if what else "\r" + " " * 100 + "\r", end="", file=sys.stderr, flush=True)


def give_up(contest, contestant, failure):
    """Without a peer the rest goes on; without leat or a limit it means nothing."""
    if contestant.kind != "peer":
        raise failure
    say("")
    print(f"skipped: {contestant.name} in {contest.key}: {failure}")


def hold(contest, bench, runs):
    """Everybody's figures of every round, as they go into results.json."""
    with contest.stage(bench) as contestants:
        contestants = list(contestants)
        samples = {contestant.name: [] for contestant in contestants}
        for number in range(runs):
            for contestant in contestants[::-1] if number % 2 else contestants[:]:
                say(f"{contest.key}: round {number + 1} of {runs}: {contestant.name}")
                settle()
                try:
                    samples[contestant.name].append(contestant.run())
                except Failed as failure:
                    give_up(contest, contestant, failure)
                    contestants.remove(contestant)
        say("")
    return {
        "key": contest.key, "title": contest.title, "figure": contest.figure, "unit": contest.unit,
        "lower_is_better": contest.lower_is_better,
        "contestants": [{"name": each.name, "kind": each.kind, "durable": each.durable, "samples": samples[each.name]}
                        for each in contestants],
    }


def find(results, key, name):
    """A contestant's entry, or None when it did not take part."""
    for contest in results["contests"]:
        if contest["key"] == key:
            return next((each for each in contest["contestants"] if each["name"] == name), None)
    return None


def figures(entry, figure):
    return [sample[figure] for sample in entry["samples"] if figure in sample]


def median(entry, figure):
    return statistics.median(figures(entry, figure))
