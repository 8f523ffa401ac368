"""A sink behind tests/pipe/sink_driver.cc, with checks of what it says."""

import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from checks import SLOW, check, check_between, check_in, finish  # noqa: E402, F401

BUILD = os.environ.get("LEAT_BUILD", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build"))
DRIVER = os.path.join(BUILD, "tests", "sink-driver")
SKIPPED = 77


def skip(why):
    print(why)
    sys.exit(SKIPPED)


def need_sinks():
    if not os.access(DRIVER, os.X_OK):
        skip("the sinks http and clickhouse are not built: libcurl4-openssl-dev or zlib1g-dev is missing")


class Driver:
    """A sink of its own process."""

    def __init__(self, kind, settings, env=None):
        self.file = os.path.abspath(f"{kind}.toml")
        with open(self.file, "w", encoding="utf-8") as file:
            file.write("[s]\n" + settings)
        self.process = subprocess.Popen([DRIVER, self.file, "s", kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})

    def tell(self, *lines):
        self.process.stdin.write("".join(line + "\n" for line in lines))
        self.process.stdin.flush()

    def answer(self):
        """What became of a batch, and how long that took in ms."""
        line = self.process.stdout.readline().rstrip("\n")
        found = re.fullmatch(r"(.*) \((\d+) ms\)", line)
        if not found:
            sys.exit(f"the driver says {line!r} and {self.process.communicate()}")
        return found[1], int(found[2])

    def deliver(self, *messages):
        """Delivers another batch of (key, value); None is null."""
        self.tell("new", *(f"add {word(key)} {word(value)}" for key, value in messages))
        return self.again()

    def again(self):
        self.tell("deliver")
        return self.answer()

    def end(self):
        _, said = self.process.communicate()
        return said.strip()


def word(text):
    """As the driver reads it; bytes are already so."""
    if text is None:
        return "-"
    if isinstance(text, bytes):
        return text.decode()
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\0", "\\0").replace("\r", "\\x0d")


def plan_error(kind, settings, env=None):
    """What is wrong with settings, without the file's name."""
    driver = Driver(kind, settings, env)
    return driver.end().replace(driver.file, "FILE")
