#!/usr/bin/python3
"""Some runs of late_errors.py, for every run of the tests; and that it finds what is wrong."""

import sys

import late_errors

sys.exit(late_errors.run(__file__, ["--self-test"]) or late_errors.run(__file__, ["--runs", "7"]))
