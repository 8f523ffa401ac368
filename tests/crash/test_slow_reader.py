#!/usr/bin/python3
"""A shorter slow_reader.py, for every run of the tests; and that it finds what is wrong."""

import sys

import slow_reader

sys.exit(slow_reader.main(["--self-test"]) or slow_reader.main(["--seconds", "6"]))
