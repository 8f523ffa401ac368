#!/usr/bin/python3
"""Some rounds of forked_child.py, for every run of the tests; and that it finds a lock that is held on."""

import sys

import forked_child

sys.exit(forked_child.main(["--self-test"]) or forked_child.main(["--rounds", "4"]))
