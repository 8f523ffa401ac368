#!/usr/bin/python3
"""old_formats.py, for every run of the tests; and that it finds what is wrong."""

import sys

import old_formats

sys.exit(old_formats.main(["--self-test"]) or old_formats.main([]))
