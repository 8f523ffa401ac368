#!/usr/bin/python3
"""A shorter takeover.py, for every run of the tests."""

import sys

import takeover

sys.exit(takeover.main(["--kills", "40"]))
