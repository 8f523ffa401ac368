"""Where everything is measured: a temporary directory, the programs, and runs of them that return figures."""

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import tempfile

import servers
from contest import Failed

PATIENCE = 900


@dataclasses.dataclass
class Sizes:
    """How much work each measurement is."""
    small_records: int = 1_000_000  # of 100 bytes
    large_records: int = 200_000  # of 1 KiB
    operations: int = 2000  # one at a time
    crew_operations: int = 1500  # each of several processes
    starts: int = 200  # of a whole program
    opened: tuple = (1000, 100_000, 1_000_000, 10_000_000)  # records of the logs that are opened


QUICK = Sizes(50_000, 10_000, 300, 200, 30, (1000, 100_000))


class Workbench:
    """`programs` and `peers` hold what can be used here."""

    def __init__(self, directory, leat, programs, peers, sizes, proof_bench):
        self.directory, self.leat_path, self.programs, self.peers = directory, leat, programs, peers
        self.sizes, self.proof_bench = sizes, proof_bench
        self.files = {}

    @contextlib.contextmanager
    def fresh(self):
        """A new empty directory, removed at the end; its removal is written out before anything else is measured."""
        path = tempfile.mkdtemp(dir=self.directory)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            os.sync()

    def lines(self, count, size):
        """A file of lines of `size` bytes and a newline, made once."""
        if (count, size) not in self.files:
            path = os.path.join(self.directory, f"lines-{count}-{size}")
            with open(path, "wb") as file:
                subprocess.run([self.programs["make_lines"], str(count), str(size), "1"], stdout=file, check=True)
            self.expect("make_lines", "bytes", os.path.getsize(path), count * (size + 1))
            self.files[count, size] = path
        return self.files[count, size]

    def output(self, *command):
        command = [str(word) for word in command]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        except subprocess.TimeoutExpired as late:
            raise Failed(f"{' '.join(command)}: not done after {PATIENCE} s") from late
        if done.returncode:
            raise Failed(f"{' '.join(command)}: status {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def tool(self, name, *arguments):
        """What one of the programs has measured."""
        return json.loads(self.output(self.programs[name], *arguments))

    def timed(self, *command, stdin=None, feed=None, pipe=False, repeat=1):
        """A whole command: seconds, p50_us of `repeat` runs, peak_kib, bytes written to the pipe."""
        flags = ["--repeat", repeat]
        for flag, value in (("--stdin", stdin), ("--feed", feed)):
            flags += [flag, value] if value is not None else []
        return self.tool("timed", *flags, *(["--pipe"] if pipe else []), "--", *command)

    def leat(self, directory, *arguments):
        return self.output(self.leat_path, "-q", "-D", directory, *arguments)

    def records(self, directory, topic="t"):
        """How many the log says it has."""
        return sum(row["records"] for row in json.loads(self.leat(directory, "partition", "list", topic, "-O", "json")))

    def expect(self, who, what, found, wanted):
        """A figure of work that was not done is worth nothing."""
        if found != wanted:
            raise Failed(f"{who}: {found} {what} where {wanted} were due")

    def server(self, name, directory):
        return {"redis": servers.redis, "nats": servers.nats}[name](directory)


def disk_bytes(directory):
    """What the files under a directory occupy."""
    return sum(os.lstat(os.path.join(parent, name)).st_blocks * 512
               for parent, _, names in os.walk(directory) for name in names)


def file_bytes(directory, suffix):
    return sum(os.path.getsize(os.path.join(parent, name))
               for parent, _, names in os.walk(directory) for name in names if name.endswith(suffix))
