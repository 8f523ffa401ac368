"""Input for `produce -O text` that comes line by line, each when the receipt of the one before is there: every record is an append
and a commit of its own."""

import os
import subprocess
import tempfile
import time


def run(command, given, environment, output, patience=120):
    """The exit status and what was said on stderr; receipts go to the file `output`."""
    with open(output, "wb") as out, tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=out, stderr=complaints)
        deadline = time.monotonic() + patience
        try:
            feed(process, given.splitlines(keepends=True), output, deadline)
            status = process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        complaints.seek(0)
        return status, complaints.read()


def feed(process, lines, output, deadline):
    try:
        for number, line in enumerate(lines, 1):
            process.stdin.write(line)
            process.stdin.flush()
            while receipts(output) < number and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.0005)
        process.stdin.close()
    except BrokenPipeError:
        pass


def receipts(output):
    with open(output, "rb") as file:
        return file.read().count(b"\n") if os.fstat(file.fileno()).st_size else 0
