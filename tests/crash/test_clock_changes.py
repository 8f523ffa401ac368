#!/usr/bin/python3
"""Some sequences of clock_changes.py, for every run of the tests; and that it finds what is wrong."""

import sys

import clock_changes

sys.exit(clock_changes.main(["--self-test"]) or clock_changes.main(["--seconds", "8"]))
