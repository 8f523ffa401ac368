#!/usr/bin/python3
"""Some of the levels of full_disk.py, for every run of the tests; and that it finds what is wrong."""

import sys

import full_disk

sys.exit(full_disk.run(__file__, ["--self-test"]) or full_disk.run(__file__, ["--seconds", "12", "--fills", "2"]))
