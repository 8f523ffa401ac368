#!/usr/bin/python3
"""The kept corpora of all fuzz targets and some changes of them, for every run of the tests; needs no clang."""

import sys

import run

try:
    sys.exit(run.main(["--smoke"]))
except run.Wrong as wrong:
    sys.exit(str(wrong))
