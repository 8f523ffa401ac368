#!/usr/bin/python3
"""Some hundreds of hostile requests, and that a violation would be seen."""

import sys

import hostile_http

sys.exit(hostile_http.main(["--self-test"]) or hostile_http.main(["--points", "300"]))
