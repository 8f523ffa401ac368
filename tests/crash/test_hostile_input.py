#!/usr/bin/python3
"""Some of the points of the programs about hostile names, bytes, escapes and modes, and that these find what is wrong."""

import sys

import file_modes
import hostile_bytes
import hostile_names
import terminal_escapes

SKIPPED = 77
SHORT = [(hostile_names, ["names", "--points", "40"]), (hostile_names, ["files", "--points", "60"]),
         (hostile_bytes, ["claims", "--points", "30"]), (hostile_bytes, ["bombs", "--points", "3"]),
         (terminal_escapes, ["--points", "120"]), (file_modes, [])]

statuses = [program.main(["--self-test"]) for program in (hostile_names, hostile_bytes, terminal_escapes, file_modes)]
statuses += [program.main(arguments) for program, arguments in SHORT]
sys.exit(0 if set(statuses) <= {0, SKIPPED} else 1)
