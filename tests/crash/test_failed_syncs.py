#!/usr/bin/python3
"""Some of the points of failed_syncs.py, for every run of the tests; and that it finds what is wrong."""

import sys

import failed_syncs

sys.exit(failed_syncs.main(["--self-test"]) or failed_syncs.main(["--seconds", "4"]))
