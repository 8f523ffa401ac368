#!/usr/bin/python3
"""Control sequences in data and names: row 35 of the scorecard.

    tests/crash/terminal_escapes.py [SWEEP...] [--points N] [--seed N] [--results FILE] [--self-test]

    terminal   stdout, stderr or both on a terminal: of what a record, name or file holds, nothing that a terminal obeys reaches it
    pipe       the same outputs into a pipe: the bytes are exact

Formats that promise exact bytes whatever stdout is (-O text, raw, --framing) are measured and listed, not counted as violations.
"""

import json
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time

from hostile_names import Sweep, found_out, parser_of
from writing_commands import expect

from processes import LEAT

HOSTILE = {
    "SGR": b"a\x1b[31mb", "clear": b"\x1b[2J\x1b[H", "title": b"\x1b]0;owned\x07", "clipboard": b"\x1b]52;c;ZXZpbA==\x07",
    "clipboard, ST": b"\x1b]52;c;ZXZpbA==\x1b\\", "DCS": b"\x1bP$q\x1b\\", "report": b"\x1b[6n", "C1, 8 bits": b"\x9b31m\x9d0;x\x9c",
    "C1 in UTF-8": b"\xc2\x9b31m\xc2\x9d0;x\xc2\x9c", "NEL": b"\xc2\x85", "BEL": b"\x07\x07", "backspace": b"good\b\b\b\bevil",
    "CR": b"good\revil", "DEL": b"a\x7fb", "shift out": b"\x0e", "NUL": b"a\0b", "invalid UTF-8": b"\xff\xfe\xc0\xaf",
    "cut UTF-8": b"\xe2\x80", "surrogate": b"\xed\xa0\x80", "override": "\u202eevil\u202c".encode(), "isolate": "\u2066evil\u2069".encode(),
    "marks": "a\u200eb\u200fc\u061c".encode(), "line separator": "a\u2028b\u2029c".encode(), "vertical tab": b"a\vb\fc",
}
# What a terminal obeys: controls but newline (and the CR a terminal puts before it), C1, bytes that are no UTF-8. The overrides
# change the order in which text is shown.
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\udc80-\udcff]")
REORDERED = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]")

SHOWN = [["consume", "t", "-Bd"], ["consume", "t", "-Bd", "-k"], ["consume", "t", "-Bd", "-O", "dynamic", "-k"],
         ["consume", "t", "-Bd", "-O", "json", "-k"], ["consume", "t", "-Bd", "-O", "json"], ["consume", "t", "-Bd", "-O", "jsonl"],
         ["consume", "t", "-Bd", "-O", "binary", "-k"], ["consume", "t", "-Bd", "-F", "{{key}} {{value}} {{time}} {{topic}}"],
         ["consume", "t", "-Bd", "-O", "none"], ["inspect", "dump", "t", "--deep"], ["inspect", "dump", "t", "--deep", "-O", "json"],
         ["inspect", "proof", "t", "0"], ["inspect", "verify", "t", "--deep"], ["inspect", "checkpoint", "t"], ["check", "store"]]
EXACT = [["consume", "t", "-Bd", "-O", "text"], ["consume", "t", "-Bd", "-O", "text", "-k"], ["consume", "t", "-Bd", "-O", "raw"],
         ["consume", "t", "-Bd", "--framing", "lines"], ["consume", "t", "-Bd", "--framing", "u32be"]]
# Messages: % is the hostile text.
MESSAGES = [["produce", "%"], ["produce", "t", "--producer-id", "%"], ["produce", "t", "-f", "/nowhere/%"], ["consume", "%", "-Bd"],
            ["consume", "t", "-Bd", "-c", "%"], ["consume", "t", "-F", "{{%}}"], ["consumer", "delete", "%"], ["topic", "create", "%"],
            ["topic", "set", "t", "%=1"], ["topic", "set", "t", "retention-time=%"], ["-D", "/nowhere/%", "topic", "list"], ["%"],
            ["topic", "--%"], ["help", "%"], ["produce", "t", "-H", "%"], ["produce", "t", "--framing", "%"], ["check", "consumer", "%"],
            ["inspect", "proof", "--verify", "/nowhere/%", "--root", "0" * 64, "--size", "1"], ["consume", "t", "--since", "%"],
            ["inspect", "keygen", "%", "--out", "/nowhere/x"], ["completions", "%"], ["consumer", "seek", "c", "--to-file", "/nowhere/%"]]


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
    found = REORDERED.search(text)
    expect(not found, f"U+{ord(found[0]) if found else 0:04X} reaches the terminal, which reorders or breaks the line: {shown[:200]!r}")


def is_utf8(text):
    try:
        return bool(text.decode())
    except UnicodeDecodeError:
        return False


class Places:
    """A data directory for each hostile text, with that text as key, value and header."""

    def __init__(self, directory, options):
        self.directory, self.options = directory, options
        self.made = {}

    def environment(self, kind):
        data = os.path.join(self.directory, kind.replace(" ", "_").replace(",", ""))
        environment = {**os.environ, "LEAT_DATA_DIR": data, "LEAT_CONFIG": "/dev/null"}
        if kind not in self.made:
            subprocess.run([LEAT, "topic", "create", "t"], env=environment, check=True, capture_output=True)
            text = HOSTILE[kind]
            given = text + b"\x01|SEP|" + text
            header = [] if b"\0" in text or not is_utf8(text) else [b"-H", b"h" + text + b"=v" + text]
            subprocess.run([LEAT, "produce", "t", "--raw", "--key-separator", "\\x01|SEP|", *header], env=environment, input=given, check=True)
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

    def terminal_points(self):
        return ([(f"{' '.join(arguments)} of {kind}", self.shown(kind, arguments)) for kind in HOSTILE for arguments in SHOWN]
                + [(f"{' '.join(form)} with {kind}", self.message(kind, form)) for kind in HOSTILE if kind != "NUL" for form in MESSAGES]
                + [(f"produce --framing {framing} of {kind}", self.input_error(kind, framing)) for kind in HOSTILE
                   for framing in ("lines", "json")] + [(f"settings with {kind}", self.settings(kind)) for kind in HOSTILE])

    def pipe_points(self):
        def exact(kind, arguments, expected):
            def point():
                got = subprocess.run([LEAT, *arguments], env=self.environment(kind), capture_output=True, check=True).stdout
                check_exact(got, expected)
                return "exact"
            return point

        def envelope(kind):
            def point():
                got = subprocess.run([LEAT, "consume", "t", "-Bd", "-O", "jsonl"], env=self.environment(kind), capture_output=True, check=True)
                again = subprocess.run([LEAT, "-D", os.path.join(self.directory, "copy"), "topic", "create", "t", "--if-not-exists"],
                                       capture_output=True, check=True, env=self.environment(kind)).returncode
                json.loads(got.stdout)
                copied = subprocess.run([LEAT, "-D", os.path.join(self.directory, "copy"), "produce", "t", "--framing", "json", "-O", "json"],
                                        input=got.stdout, capture_output=True, check=True, env=self.environment(kind)).stdout
                offset = str(json.loads(copied)["offset"])
                back = subprocess.run([LEAT, "-D", os.path.join(self.directory, "copy"), "consume", "t", "--start", offset, "-d", "-O", "raw"],
                                      capture_output=True, check=True, env=self.environment(kind)).stdout
                expect(again == 0, "no copy")
                check_exact(back, HOSTILE[kind])
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

    def measure_exact(self):
        """The formats that are exact by their documents, on a terminal."""
        raw = []
        for arguments in EXACT:
            shown, _ = on_terminal(arguments, self.environment("clipboard"))
            raw.append(f"{' '.join(arguments[3:])}: {'exact' if HOSTILE['clipboard'] in shown else 'escaped'}")
        print("on a terminal, as documented: " + ", ".join(raw))

    def self_test(self):
        cases = [(f"raw {kind} on a terminal", lambda text=text: check_shown(b"shown: " + text + b"\n")) for kind, text in HOSTILE.items()]
        # The whole way: a leat that does not escape is what -O raw is, by its promise.
        raw = on_terminal(["consume", "t", "-Bd", "-O", "raw"], self.environment("clipboard"))[0]
        return cases + [("raw output through a real terminal", lambda: check_shown(raw)), ("a byte less in a pipe", lambda: check_exact(b"a", b"ab"))]


def check_exact(got, expected):
    expect(got == expected, f"{got[:100]!r} in place of {expected[:100]!r}")


def main(arguments=None):
    options = parser_of("Control sequences in data and names.", ("terminal", "pipe")).parse_args(arguments)
    print(f"seed {options.seed}", flush=True)
    good = True
    with tempfile.TemporaryDirectory(prefix="leat-escapes-") as directory:
        places = Places(directory, options)
        if options.self_test:
            return 0 if found_out(places.self_test()) else 1
        for name, points in (("terminal", places.terminal_points), ("pipe", places.pipe_points)):
            if name in (options.sweeps or ("terminal", "pipe")):
                good &= Sweep(name, 35, options, __file__).go(points(), options.points)
        places.measure_exact()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
