#!/usr/bin/python3
"""Some of the points of preload_sweep.py, for every run of the tests; and that it finds what is wrong."""

import sys

import preload_sweep

sys.exit(preload_sweep.main(["--self-test"]) or preload_sweep.main(["--seconds", "5"]))
