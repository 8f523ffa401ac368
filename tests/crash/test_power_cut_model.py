#!/usr/bin/python3
"""A smaller choice of the states of power_cut_model.py, for every run of the tests; and that it finds what is wrong."""

import sys

import power_cut_model

sys.exit(power_cut_model.main(["--self-test", "--limit", "3"]) or power_cut_model.main(["--limit", "3"]))
