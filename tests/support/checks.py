"""Checks that go on after a failure, so that one run shows all that is wrong; finish() ends the test with what they found."""

import os
import sys

SLOW = bool(os.environ.get("LEAT_SANITIZER"))
FAILURES = []


def fail(name, what):
    FAILURES.append(name)
    print(f"FAILED {name}: {what}")


def check(name, found, expected):
    if found != expected:
        fail(name, f"{found!r}, expected {expected!r}")


def check_in(name, part, text):
    if part not in text:
        fail(name, f"{part!r} is not in {text!r}")


def check_between(name, found, least, most):
    """`most` is for a machine that has nothing else to do."""
    if not least <= found <= most * (5 if SLOW else 2):
        fail(name, f"{found!r}, expected {least!r} to {most!r}")


def finish(sentence):
    if FAILURES:
        sys.exit(f"{len(FAILURES)} checks failed")
    print(sentence)
