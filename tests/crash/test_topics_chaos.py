#!/usr/bin/python3
"""A shorter topics_chaos.py, for every run of the tests; and that it finds what is wrong."""

import sys

import topics_chaos

sys.exit(topics_chaos.main(["--self-test"]) or topics_chaos.main(["--seconds", "6"]))
