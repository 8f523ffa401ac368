#!/usr/bin/python3
"""Some of the points of fault_sweep.py, for every run of the tests; and that it finds what is wrong. The kills are a test of their own."""

import sys

import fault_sweep

sys.exit(fault_sweep.main(["--self-test"]) or fault_sweep.main(["torn", "error", "limit", "memory", "--seconds", "5"]))
