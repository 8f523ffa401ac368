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

PARTS = [(program, ["--self-test"]) for program in (hostile_names, hostile_bytes, terminal_escapes, file_modes)] + SHORT

wrong = [f"{program.__name__} {' '.join(arguments)}" for program, arguments in PARTS if program.main(arguments) not in (0, SKIPPED)]
for part in wrong:
    print(f"not as it must be: {part}")
sys.exit(1 if wrong else 0)
