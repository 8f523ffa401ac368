#!/usr/bin/python3
"""Each of six mistakes is caught by the sweep that has to catch it."""

import sys

import seeded_bugs

sys.exit(seeded_bugs.main([]))
