#!/usr/bin/python3
"""A shorter groups_chaos.py, for every run of the tests."""

import sys

import groups_chaos

sys.exit(groups_chaos.main(["--seconds", "25"]))
