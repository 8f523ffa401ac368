#!/usr/bin/python3
"""Commands that write are killed at their system calls; afterwards the next commands work. All of the points: fault_sweep.py kill serve."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "crash"))
import fault_sweep  # noqa: E402

sys.exit(fault_sweep.main(["kill", "--seconds", "20"]) or fault_sweep.main(["serve", "--seconds", "10"]))
