#!/usr/bin/python3
"""Some of the damages of damage_sweep.py, for every run of the tests; and that it finds what is wrong."""

import sys

import damage_sweep

sys.exit(damage_sweep.main(["--self-test"]) or damage_sweep.main([]))
