#!/usr/bin/python3
"""A shorter producers_chaos.py, for every run of the tests; and that it finds what is wrong."""

import sys

import producers_chaos

sys.exit(producers_chaos.main(["--self-test"]) or producers_chaos.main(["--seconds", "8"])
         or producers_chaos.main(["--roots", "30"]))
