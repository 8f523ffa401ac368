#!/usr/bin/python3
"""Proofs of small trees against RFC 6962 as it is written, some mutations, and that proof_reference.py finds what is wrong."""

import sys

import proof_reference

sys.exit(proof_reference.main(["--self-test"]) or proof_reference.main(["--sizes", "120", "--points", "150"]))
