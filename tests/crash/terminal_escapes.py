#!/usr/bin/python3
"""Control sequences in data and names: row 35 of the scorecard.

    tests/crash/terminal_escapes.py [SWEEP...] [--seconds N] [--points N] [--seed N] [--results FILE] [--self-test]

    terminal   stdout, stderr or both on a terminal: of what a record, name or file holds, nothing that a terminal obeys reaches it
    pipe       the same outputs into a pipe: the bytes are exact

A terminal obeys control characters: C0 but newline and tab, DEL, C1, and bytes that are no UTF-8, of which some make a C1 of
eight bits. Overrides of direction, marks and other format characters are not among them: they change how text looks, as letters
of another script do, and leat shows them as they are. They are here for the pipes.

Formats that promise exact bytes whatever stdout is (-O text, raw, --framing) are measured and listed, not counted as violations.
"""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time

from hostile_names import parsed, parser_of, run_sweeps
from writing_commands import expect

from processes import LEAT

HOSTILE = {
    "SGR": b"a\x1b[31mb", "clear": b"\x1b[2J\x1b[H", "title": b"\x1b]0;owned\x07", "clipboard": b"\x1b]52;c;ZXZpbA==\x07",
    "clipboard, ST": b"\x1b]52;c;ZXZpbA==\x1b\\", "DCS": b"\x1bP$q\x1b\\", "report": b"\x1b[6n",
    "C1, 8 bits": b"\x9b31m\x9d0;x\x9c",
    "C1 in UTF-8": b"\xc2\x9b31m\xc2\x9d0;x\xc2\x9c", "NEL": b"\xc2\x85", "BEL": b"\x07\x07", "backspace": b"good\b\b\b\bevil",
    "CR": b"good\revil", "DEL": b"a\x7fb", "shift out": b"\x0e", "NUL": b"a\0b", "invalid UTF-8": b"\xff\xfe\xc0\xaf",
    "cut UTF-8": b"\xe2\x80", "surrogate": b"\xed\xa0\x80",
    "override": "\u202eevil\u202c".encode(), "isolate": "\u2066evil\u2069".encode(),
    "marks": "a\u200eb\u200fc\u061c".encode(), "line separator": "a\u2028b\u2029c".encode(), "vertical tab": b"a\vb\fc",
}
# Of these a terminal obeys none.
FORMAT = ("override", "isolate", "marks", "line separator")
# A newline becomes CR LF on its way; on_terminal() takes that back.
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\udc80-\udcff]")

SHOWN = [["consume", "t", "-Bd"], ["consume", "t", "-Bd", "-k"], ["consume", "t", "-Bd", "-O", "dynamic", "-k"],
         ["consume", "t", "-Bd", "-O", "json", "-k"], ["consume", "t", "-Bd", "-O", "json"], ["consume", "t", "-Bd", "-O", "jsonl"],
         ["consume", "t", "-Bd", "-O", "binary"],
         ["consume", "t", "-Bd", "-O", "binary", "-k"], ["consume", "t", "-Bd", "-F", "{{key}} {{value}} {{time}} {{topic}}"],
         ["consume", "t", "-Bd", "-O", "none"],
         ["inspect", "dump", "t", "--deep"], ["inspect", "dump", "t", "--deep", "-O", "json"],
         ["inspect", "proof", "t", "0"], ["inspect", "verify", "t", "--deep"], ["inspect", "checkpoint", "t"], ["check", "store"]]
EXACT = [["consume", "t", "-Bd", "-O", "text"], ["consume", "t", "-Bd", "-O", "text", "-k"], ["consume", "t", "-Bd", "-O", "raw"],
         ["consume", "t", "-Bd", "--framing", "lines"], ["consume", "t", "-Bd", "--framing", "u32be"]]
# Messages: % is the hostile text.
MESSAGES = [["produce", "%"], ["produce", "t", "--producer-id", "%"], ["produce", "t", "-f", "/nowhere/%"], ["consume", "%", "-Bd"],
            ["consume", "t", "-Bd", "-c", "%"], ["consume", "t", "-F", "{{%}}"],
            ["consumer", "delete", "%"], ["topic", "create", "%"],
            ["topic", "set", "t", "%=1"], ["topic", "set", "t", "retention-time=%"], ["-D", "/nowhere/%", "topic", "list"], ["%"],
            ["topic", "--%"], ["help", "%"], ["produce", "t", "-H", "%"], ["produce", "t", "--framing", "%"],
            ["check", "consumer", "%"],
            ["inspect", "proof", "--verify", "/nowhere/%", "--root", "0" * 64, "--size", "1"], ["consume", "t", "--since", "%"],
            ["inspect", "keygen", "%", "--out", "/nowhere/x"],
            ["completions", "%"], ["consumer", "seek", "c", "--to-file", "/nowhere/%"]]


def on_terminal(arguments, environment, given=b"", descriptors=(1, 2)):
    """What a terminal got of the command; the status."""
    master, slave = pty.openpty()
    process = subprocess.Popen([LEAT, *arguments], env={**environment, "TERM": "xterm", "NO_COLOR": "1"}, stdin=subprocess.PIPE,
                               stdout=slave if 1 in descriptors else subprocess.DEVNULL,
                               stderr=slave if 2 in descriptors else subprocess.DEVNULL)
    os.close(slave)
    shown, deadline = b"", time.monotonic() + 30
    try:
        process.stdin.write(given)
        process.stdin.close()
    except BrokenPipeError:
        pass
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.05)[0]:
            try:
                chunk = os.read(master, 65536)
            except OSError:
                break
            shown += chunk
        elif process.poll() is not None:
            break
    else:
        process.kill()
    os.close(master)
    return shown.replace(b"\r\n", b"\n"), process.wait()


def check_shown(shown):
    text = shown.decode("utf-8", "surrogateescape")
    found = OBEYED.search(text)
    expect(not found, f"{found and found[0].encode('utf-8', 'surrogateescape')!r} reaches the terminal: {shown[:200]!r}")


def is_utf8(text):
    try:
        return bool(text.decode())
    except UnicodeDecodeError:
        return False


class Places:
    """A data directory for each hostile text, with that text as key, value and header."""

    def __init__(self, directory, options):
        self.directory, self.options = os.path.join(directory, type(self).__name__), options
        os.mkdir(self.directory)
        self.made = {}

    def environment(self, kind):
        data = os.path.join(self.directory, kind.replace(" ", "_").replace(",", ""))
        environment = {**os.environ, "LEAT_DATA_DIR": data, "LEAT_CONFIG": "/dev/null"}
        if kind not in self.made:
            subprocess.run([LEAT, "topic", "create", "t"], env=environment, check=True, capture_output=True)
            text = HOSTILE[kind]
            given = text + b"\x01|SEP|" + text
            header = [] if b"\0" in text or not is_utf8(text) else [b"-H", b"h" + text + b"=v" + text]
            subprocess.run([LEAT, "produce", "t", "--raw", "--key-separator", "\\x01|SEP|", *header], env=environment, input=given,
                           check=True)
            self.made[kind] = environment
        return self.made[kind]

    def shown(self, kind, arguments):
        def point():
            shown, status = on_terminal(arguments, self.environment(kind))
            expect(0 <= status < 128, f"status {status}")
            expect(shown or "none" in arguments or status == 0, "nothing is shown")
            check_shown(shown)
            return "clean"
        return point

    def message(self, kind, form):
        def point():
            text = HOSTILE[kind]
            arguments = [os.fsencode(part).replace(b"%", text) for part in form]
            shown, status = on_terminal(arguments, self.environment(kind))
            expect(0 <= status < 128, f"status {status}")
            check_shown(shown)
            return "clean message"
        return point

    def input_error(self, kind, framing):
        """Errors of produce that speak of the input."""
        def point():
            text = HOSTILE[kind]
            given = text + b"\n" if framing == "lines" else b'{"' + text + b'":1,"value":"' + text + b'"}\n'
            flags = ["--key-separator", "%%%"] if framing == "lines" else []
            shown, _ = on_terminal(["produce", "t", "--framing", framing, *flags, "--dry-run", "-v", "--on-error", "skip"],
                                   self.environment(kind), given)
            check_shown(shown)
            return "clean error of input"
        return point

    def settings(self, kind):
        """Errors that quote a settings file."""
        def point():
            path = os.path.join(self.directory, "config.toml")
            with open(path, "wb") as file:
                file.write(b'[defaults]\n"' + HOSTILE[kind].replace(b"\\", b"") + b'" = 1\n')
            shown, _ = on_terminal(["config", "show"], {**self.environment(kind), "LEAT_CONFIG": path})
            check_shown(shown)
            return "clean error of settings"
        return point


class Terminal(Places):
    def points(self):
        return ([(f"{' '.join(arguments)} of {kind}", self.shown(kind, arguments)) for kind in HOSTILE for arguments in SHOWN]
                + [(f"{' '.join(form)} with {kind}", self.message(kind, form)) for kind in HOSTILE if kind != "NUL"
                   for form in MESSAGES]
                + [(f"produce --framing {framing} of {kind}", self.input_error(kind, framing)) for kind in HOSTILE
                   for framing in ("lines", "json")] + [(f"settings with {kind}", self.settings(kind)) for kind in HOSTILE])

    def summary(self):
        """The formats that are exact by their documents, on a terminal."""
        raw = []
        for arguments in EXACT:
            shown, _ = on_terminal(arguments, self.environment("clipboard"))
            raw.append(f"{' '.join(arguments[3:])}: {'exact' if HOSTILE['clipboard'] in shown else 'escaped'}")
        print("   on a terminal, as documented: " + ", ".join(raw))

    def self_test(self):
        cases = [(f"raw {kind} on a terminal", lambda text=text: check_shown(b"shown: " + text + b"\n"))
                 for kind, text in HOSTILE.items() if kind not in FORMAT]
        # The whole way: a leat that does not escape is what -O raw is, by its promise.
        raw = on_terminal(["consume", "t", "-Bd", "-O", "raw"], self.environment("clipboard"))[0]
        return cases + [("raw output through a real terminal", lambda: check_shown(raw))]


class Pipe(Places):
    def copied(self, kind):
        """The value, after it went through JSON into another data directory and back."""
        there = ["-D", os.path.join(self.directory, "copy")]

        def leat(*arguments, given=b""):
            environment = self.environment(kind)
            return subprocess.run([LEAT, *arguments], input=given, capture_output=True, check=True, env=environment).stdout
        leat(*there, "topic", "create", "t", "--if-not-exists")
        line = leat("consume", "t", "-Bd", "-O", "jsonl")
        json.loads(line)
        receipt = json.loads(leat(*there, "produce", "t", "--framing", "json", "-O", "json", given=line))
        return leat(*there, "consume", "t", "--start", str(receipt["offset"]), "-d", "-O", "raw")

    def points(self):
        def exact(kind, arguments, expected):
            def point():
                got = subprocess.run([LEAT, *arguments], env=self.environment(kind), capture_output=True, check=True).stdout
                check_exact(got, expected)
                return "exact"
            return point

        def envelope(kind):
            def point():
                check_exact(self.copied(kind), HOSTILE[kind])
                return "exact through JSON"
            return point
        points = []
        for kind, text in HOSTILE.items():
            points += [(f"{' '.join(arguments)} of {kind}", exact(kind, arguments, expected)) for arguments, expected in (
                (["consume", "t", "-Bd"], text + b"\n"), (["consume", "t", "-Bd", "-k"], b"[" + text + b"] " + text + b"\n"),
                (["consume", "t", "-Bd", "-O", "text"], text + b"\n"), (["consume", "t", "-Bd", "-O", "raw"], text),
                (["consume", "t", "-Bd", "--framing", "u32be"], len(text).to_bytes(4, "big") + text),
                (["consume", "t", "-Bd", "-F", "{{key}}|{{value}}"], text + b"|" + text + b"\n"))]
            points.append((f"a copy through jsonl of {kind}", envelope(kind)))
        return points

    def self_test(self):
        return [("a byte less in a pipe", lambda: check_exact(b"a", b"ab")),
                ("an escape in a pipe", lambda: check_exact(b"\\x1b", b"\x1b"))]


SWEEPS = {"terminal": Terminal, "pipe": Pipe}


def check_exact(got, expected):
    expect(got == expected, f"{got[:100]!r} in place of {expected[:100]!r}")


def main(arguments=None):
    options = parsed(parser_of("Control sequences in data and names.", SWEEPS), SWEEPS, arguments)
    return run_sweeps(SWEEPS, 35, options, "leat-escapes-", __file__)


if __name__ == "__main__":
    sys.exit(main())
