#!/usr/bin/python3
"""A few cuts and copies of real_cuts.py, for every run of the tests; and that it finds what is wrong."""

import sys

import real_cuts

sys.exit(real_cuts.run(__file__, ["--self-test"]) or real_cuts.run(__file__, ["--cuts", "6", "--copies", "10"]))
