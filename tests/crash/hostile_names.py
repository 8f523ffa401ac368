#!/usr/bin/python3
"""Names and files made to lead elsewhere: row 33 of the scorecard.

    tests/crash/hostile_names.py [SWEEP...] [--seconds N] [--points N] [--only WORD] [--seed N] [--results FILE] [--self-test]

    names   every kind of hostile name, wherever a command takes one: refused with 2, escaped, and not a byte on disk changed
    files   every file and directory of a data directory in turn replaced by a link (to outside, to nowhere, to itself, to a
            device), a FIFO, a device, or a directory where a file should be and the other way round; each main command on it

After a replacement nothing outside may have changed or been read, the command ends by itself, and where it does not end with 0
it says so with a status of cli.md and names the place. With --seconds, the sweeps share that time, each takes a seeded choice
of its points.
"""

import argparse
import collections
import contextlib
import os
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

import results
from writing_commands import Wrong, expect, shuffled

from processes import LEAT, children

# Statuses of cli.md that say that something could not be done.
HONEST = {1, 65, 66, 73, 74, 76, 77, 78}
ZEROS = os.makedev(1, 5)  # /dev/zero

NAMES = {
    "empty": b"", "dot": b".", "dots": b"..", "slash": b"/", "below": b"a/b", "above": b"../x", "far above": b"../../../../tmp/x",
    "absolute": b"/tmp/x", "hidden above": b"a/../../x", "250 bytes": b"a" * 250, "256 bytes": b"a" * 256, "64 KiB": b"a" * 65536,
    "UTF-8": "ä".encode(), "wide": "日本".encode(), "invalid UTF-8": b"\xff\xfe",
    "overlong": b"\xc0\xaf", "newline at the end": b"x\n",
    "newline": b"a\nb", "CR": b"a\rb", "tab": b"a\tb", "escape": b"a\x1b[31mb", "OSC": b"\x1b]52;c;eA==\x07", "C1": b"a\xc2\x9b31m",
    "C1, 8 bits": b"a\x9b31m", "DEL": b"a\x7f", "backspace": b"a\b", "space": b"a b", "star": b"*", "backslash": b"a\\b",
    "colon": b"a:b", "override": "\u202eabc".encode(),
}
# Allowed by the rules, and nothing special for leat.
ODD_NAMES = [b"-x", b"--help", b"...", b".hidden", b"lock", b"state", b"topic.toml", b"leat.toml", b"trash", b"0", b"CON", b"nul",
             b"producers", b"00000000000000000000.log", b"OLD", b"Old", b"a" * 249]

# What takes a name, with % in its place.
NAMED = ["topic create %", "topic create ok %", "topic create --dry-run %", "topic describe %", "topic delete %",
         "topic delete --if-exists %", "topic set % retention-records=1", "topic trim % --keep 1 --yes", "topic add-partition %",
         "partition list %", "produce %", "produce old --producer-id %",
         "consume % -Bd", "consume % -c c -Bd", "consume old -c % -Bd",
         "consumer describe %", "consumer delete %", "consumer delete --if-exists %", "consumer delete c0 -t %",
         "consumer seek % --to 0 -t old --yes", "consumer seek c0 --to 0 -t % --yes", "consumer list -t %", "inspect segments %",
         "inspect dump %", "inspect index %", "inspect verify %", "inspect checkpoint %", "inspect proof % 0", "repair %",
         "repair % --execute --yes", "check consumer %", "check consumer c0 -t %"]

COMMANDS = ["produce old", "produce old --producer-id p", "consume old -Bd", "consume old -c c0 -Bd", "consumer list",
            "consumer list --lag", "consumer describe c0", "consumer seek c0 --to 0 --yes", "consumer delete c0", "topic list",
            "topic create new", "topic describe old", "topic delete old", "topic set old retention-records=5",
            "topic trim old --keep 2 --yes", "topic add-partition old", "partition list",
            "inspect segments old", "inspect dump old",
            "inspect index old", "inspect verify", "inspect verify old --deep", "inspect checkpoint old", "inspect proof old 1",
            "check store", "check consumer c0", "repair old", "repair old --execute --yes"]
KINDS = ["link outside", "link to nowhere", "link to itself", "link to zeros", "zeros", "fifo", "socket", "other type"]


def environment(data):
    return {**os.environ, "LEAT_DATA_DIR": data, "LEAT_CONFIG": "/dev/null", "LEAT_LOCK_TIMEOUT": "1s"}


def fill(data, word):
    """A data directory with every kind of file in it, the same ones each time; `word` is in every record."""
    def leat(*arguments):
        subprocess.run([LEAT, *arguments], stdin=subprocess.DEVNULL, env=environment(data), check=True, capture_output=True)
    leat("topic", "create", "old", "--segment-size", "64KiB")
    # From a pipe, what a batch holds would depend on how fast it comes.
    with tempfile.NamedTemporaryFile("w", dir=os.path.dirname(data)) as file:
        file.write(lines(word))
        file.flush()
        leat("produce", "old", "--producer-id", "p", "--batch-size", "16000", "-f", file.name)
    leat("consume", "old", "-c", "c0", "-B", "-n", "5")
    os.makedirs(os.path.join(data, "topics/old/0/cut"), 0o700, exist_ok=True)


def lines(word):
    return "".join(f"{word} {n} ".ljust(400, "x") + "\n" for n in range(400))


def snapshot(directory):
    """{path: what it is and holds} of all below, no link followed."""
    found = {}
    for folder, directories, files in os.walk(os.fsencode(directory)):
        for name in directories + files:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            content = None
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    content = file.read()
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            when = status.st_mtime_ns if not stat.S_ISDIR(status.st_mode) else 0
            found[path] = (status.st_mode, status.st_nlink if content is not None else 0, when, content)
    return found


def changes(before, after):
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def run(arguments, data, patience, given=b"more\n"):
    """(status, printed, complaints); status None when it does not end by itself."""
    try:
        done = subprocess.run([LEAT, *arguments], env=environment(data), input=given, capture_output=True, timeout=patience)
    except subprocess.TimeoutExpired:
        return None, b"", b""
    return done.returncode, done.stdout, done.stderr


def check_text(complaints):
    """Nothing of a name reaches stderr but as \\xNN; each line is one of leat's own."""
    raw = re.search(rb"[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]", complaints)
    expect(not raw, f"a raw control character in {complaints!r}")
    complaints.decode()  # also no invalid UTF-8


class Sweep:
    """Runs points, keeps what was wrong, says so, and writes the row."""

    def __init__(self, name, row, options, file=__file__):
        self.name, self.row, self.options, self.file = name, row, options, os.path.basename(file)
        self.tried, self.violations, self.counts = 0, [], collections.Counter()

    def go(self, points):
        """points: (name, function), which raises Wrong or returns a word to count; or lists of those, where one needs the last."""
        chains = [point if isinstance(point, list) else [point] for point in points]
        chains = [chain for chain in chains if any(self.options.only in name for name, _ in chain)]
        chosen = shuffled(chains, self.options.seed) if self.options.points or self.options.seconds else chains
        end = time.monotonic() + self.options.share
        for chain in chosen[:self.options.points]:
            if self.options.seconds and time.monotonic() > end:
                break
            for name, point in chain:
                self.try_one(name, point)
        self.report(sum(map(len, chains)))
        return not self.violations

    def try_one(self, name, point):
        self.tried += 1
        try:
            self.counts[point()] += 1
        except Wrong as wrong:
            self.violations.append((name, str(wrong)))
            if len(self.violations) <= self.options.show:
                print(f"{self.name}: {name}\n   {wrong}", flush=True)

    def report(self, there):
        kinds = collections.Counter(re.sub(r"\d+", "N", text)[:140] for _, text in self.violations)
        for kind, count in kinds.most_common(15):
            print(f"   {count} times: {kind}")
        print(f"{self.name}: {self.tried:,} of {there:,} points, {len(self.violations)} violations; "
              + ", ".join(f"{word}: {count}" for word, count in sorted(self.counts.items(), key=str)), flush=True)
        if not self.tried:
            self.violations.append(("the sweep", "no point was tried"))
        if self.options.results:
            limits = [f"--{name} {value:g}" for name in ("seconds", "points") if (value := getattr(self.options, name))]
            limits += [f"--only '{self.options.only}'"] if self.options.only else []
            again = " ".join([f"tests/crash/{self.file} {self.name} --seed {self.options.seed}", *limits])
            wrong = len(self.violations)
            results.write(self.options.results, self.row, self.name, self.tried, wrong, None, self.options.seed, again)


def parser_of(description, sweeps):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("sweeps", nargs="*", metavar="SWEEP", help="of " + ", ".join(sweeps) + "; all by default")
    parser.add_argument("--seconds", type=float, help="a choice of the points, by the seed, for so long; without it, all")
    parser.add_argument("--only", default="", metavar="WORD", help="points whose name holds this")
    parser.add_argument("--points", type=int, help="so many of each sweep, chosen by the seed")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("LEAT_SEED", random.SystemRandom().randrange(10**6))))
    parser.add_argument("--patience", type=float, default=30, help="seconds after which a command counts as hanging")
    parser.add_argument("--show", type=int, default=5, help="violations of a sweep that are printed")
    parser.add_argument("--results", help="append a row for each sweep to this file")
    parser.add_argument("--self-test", action="store_true", help="show that wrong outcomes are found, and end")
    return parser


def parsed(parser, sweeps, arguments):
    options = parser.parse_args(arguments)
    for name in options.sweeps:
        if name not in sweeps:
            parser.error(f"no sweep '{name}'")
    options.sweeps = options.sweeps or list(sweeps)
    options.share = (options.seconds or 0) / len(options.sweeps)
    return options


@contextlib.contextmanager
def workplace(prefix):
    """A directory that goes with all in it, and what still runs there before, at the end and on SIGTERM."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as directory:
            try:
                yield directory
            finally:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                for child in children():
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
    finally:
        signal.signal(signal.SIGTERM, before)


def run_sweeps(worlds, row, options, prefix, file):
    """The exit status. worlds: {name: class}, of a directory and the options, with points() and self_test()."""
    print(f"seed {options.seed}", flush=True)
    good = True
    with workplace(prefix) as directory:
        for name in options.sweeps:
            world = worlds[name](directory, options)
            if options.self_test:
                good &= found_out(world.self_test())
            else:
                good &= Sweep(name, row, options, file).go(world.points())
                getattr(world, "summary", lambda: None)()
    return 0 if good else 1


def found_out(cases):
    """Whether each of (name, function) raises Wrong; for the proofs that a program can fail."""
    missed = 0
    for name, function in cases:
        try:
            function()
            missed += 1
            print(f"   {name}: NOT FOUND")
        except Wrong:
            pass
    print(f"self-test: {len(cases) - missed} of {len(cases)} wrong outcomes found")
    return not missed


class Names:
    def __init__(self, directory, options):
        self.parent, self.options = os.path.join(directory, "names"), options
        self.data = os.path.join(self.parent, "data")
        os.mkdir(self.parent)
        fill(self.data, "inside")
        with open(os.path.join(self.parent, "x"), "w", encoding="ascii") as file:
            file.write("beside\n")
        self.before = snapshot(self.parent)

    def check(self, outcome, shown):
        """A refused name. shown: a part of it, as it has to be printed."""
        status, _, complaints = outcome
        expect(status is not None, "it does not end")
        expect(status in (2, 3), f"status {status}: {complaints!r}")
        check_text(complaints)
        expect(b"leat: error:" in complaints or status == 3, f"no message: {complaints!r}")
        expect(shown in complaints or status == 3, f"the name is not in {complaints!r}")
        expect(snapshot(self.parent) == self.before, f"changed: {changes(self.before, snapshot(self.parent))}")

    def points(self):
        def refused(form, name):
            def point():
                arguments = [name if part == "%" else part.encode() for part in form.split()]
                outcome = run(arguments, self.data, self.options.patience)
                # A long one is named by its length, an empty one in words.
                shown = b"" if len(name) in (0, *range(200, 1 << 20)) else escaped(name)
                if form.startswith("check") and outcome[0] == 3:
                    check_text(outcome[1])
                self.check(outcome, shown)
                return f"status {outcome[0]}"
            return point

        def odd(name):
            def point():
                consumer = b"c." + name[:200]
                for arguments in (["topic", "create", "--", name], ["produce", "--", name],
                                  ["consume", "-c", consumer, "-Bd", "--", name], ["consumer", "delete", "--", consumer],
                                  ["topic", "delete", "--", name]):
                    status, _, complaints = run(arguments, self.data, self.options.patience)
                    expect(status == 0, f"{arguments}: status {status}: {complaints!r}")
                self.unchanged_but_inside()
                return "allowed"
            return point

        def by_file(name):
            def point():
                given = b"old 0 1\n" + name + b" 0 1\n"
                path = os.path.join(self.parent, "..", "positions")
                with open(path, "wb") as file:
                    file.write(given)
                arguments = ["consumer", "seek", "c0", "--to-file", path, "--yes"]
                status, _, complaints = run(arguments, self.data, self.options.patience)
                expect(status in (2, 65, 66), f"status {status}: {complaints!r}")
                check_text(complaints)
                expect(snapshot(self.parent) == self.before, f"changed: {changes(self.before, snapshot(self.parent))}")
                return f"status {status}"
            return point
        nuls = {"NUL": b"a\0b", "NUL at the end": b"old\0", "NUL first": b"\0old"}
        return [(f"{form.replace('%', repr(name[:20]))} ({kind})", refused(form, name)) for kind, name in NAMES.items()
                for form in NAMED] + [
            (f"seek to a file with {kind}", by_file(name)) for kind, name in {**NAMES, **nuls}.items()
            if name not in (b"", b"x\n")] + [
            (f"the name {name!r}", odd(name)) for name in ODD_NAMES]

    def unchanged_but_inside(self):
        """New files lie in the data directory; then everything is as before again."""
        wrong = [path for path in changes(self.before, snapshot(self.parent)) if not path.startswith(os.fsencode(self.data) + b"/")]
        expect(not wrong, f"changed outside: {wrong}")
        shutil.rmtree(self.data)
        fill(self.data, "inside")
        self.before = snapshot(self.parent)

    def self_test(self):
        def made(name):
            def spoil():
                path = os.path.join(self.parent, name)
                with open(path, "w", encoding="ascii"):
                    pass
                try:
                    self.check((2, b"", b"leat: error: x\n"), b"x")
                finally:
                    os.unlink(path)
            return spoil
        good = b'leat: error: topic name "a" is not allowed\n'
        return [("a file beside the data directory", made("new")), ("a file inside", made("data/new")),
                ("a name taken as good", lambda: self.check((0, b"", b""), b"")),
                ("a crash", lambda: self.check((-6, b"", good), b"a")),
                ("a hang", lambda: self.check((None, b"", b""), b"")), ("no message", lambda: self.check((2, b"", b""), b"")),
                ("a raw escape", lambda: self.check((2, b"", good + b"\x1b"), b"a")),
                ("a raw C1", lambda: self.check((2, b"", good + b"\xc2\x9b"), b"a")),
                ("a name not shown", lambda: self.check((2, b"", good), b"zz"))]


def escaped(name):
    """As messages show it."""
    text = name.decode("utf-8", "surrogateescape")
    return "".join(c if 32 <= ord(c) < 127 or 160 <= ord(c) and not 0xd800 <= ord(c) < 0xe000
                   else "".join(f"\\x{byte:02x}" for byte in c.encode("utf-8", "surrogateescape")) for c in text).encode()


def discard(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


class Files:
    def __init__(self, directory, options):
        self.directory, self.options = os.path.join(directory, "files"), options
        os.mkdir(self.directory)
        self.spoilt = True  # what is outside has to be made anew
        self.data, self.outside = (os.path.join(self.directory, name) for name in ("data", "outside"))
        self.inside_template, self.outside_template = (os.path.join(directory, name) for name in ("inside.t", "outside.t"))
        fill(self.inside_template, "inside")
        fill(self.outside_template, "elsewhere")
        self.names = sorted(os.path.relpath(os.path.join(folder, name), self.inside_template)
                            for folder, directories, files in os.walk(self.inside_template) for name in directories + files)

    def prepare(self, name, kind):
        for left in os.listdir(self.directory):
            if left != "outside" or self.spoilt:
                discard(os.path.join(self.directory, left))
        if self.spoilt:
            shutil.copytree(self.outside_template, self.outside)
            self.spoilt = False
        shutil.copytree(self.inside_template, self.data)
        path, other = os.path.join(self.data, name), os.path.join(self.outside, name)
        was_directory = os.path.isdir(path)
        os.rename(path, os.path.join(self.directory, "saved"))
        if kind == "link outside":
            os.symlink(other, path)
        elif kind == "link to nowhere":
            os.symlink(os.path.join(self.directory, "nowhere"), path)
        elif kind == "link to itself":
            os.symlink(os.path.basename(path), path)
        elif kind == "link to zeros":
            os.symlink("/dev/zero", path)
        elif kind == "zeros":
            os.mknod(path, 0o600 | stat.S_IFCHR, ZEROS)
        elif kind == "fifo":
            os.mkfifo(path, 0o600)
        elif kind == "socket":
            os.mknod(path, 0o600 | stat.S_IFSOCK)
        elif was_directory:
            with open(path, "wb") as file:
                file.write(b"a file\n")
        else:
            os.mkdir(path, 0o700)

    def beside(self):
        inside = os.fsencode(self.data)
        return {path: what for path, what in snapshot(self.directory).items() if not path.startswith(inside)}

    def check(self, name, outcome, outside_before):
        status, printed, complaints = outcome
        after = self.beside()
        self.spoilt = after != outside_before  # else it serves again
        expect(after == outside_before, f"changed outside: {changes(outside_before, after)}")
        expect(status is not None, f"it does not end within {self.options.patience:g} s")
        expect(b"elsewhere" not in printed, "records from outside are printed")
        expect(0 <= status < 128, f"ended by signal: {status}: {complaints[-200:]!r}")
        if status == 0:
            return
        check_text(complaints)
        said = complaints + printed
        if status in (2, 3) and printed.startswith((b"CRITICAL", b"UNKNOWN", b"WARNING", b"LEAT ")):
            return
        expect(status in HONEST, f"status {status}: {said[-300:]!r}")
        expect(b"leat: error:" in complaints or b"damage" in said, f"status {status} without a message: {said[-300:]!r}")
        # Named itself, or the one it lies in, or one below.
        parts = [part for part in name.split("/") if part != "topics"] or ["topics", "not found"]
        # A file in place of a topic is no topic: what knows of no other says that it found none.
        parts += ["not found"] if name == "topics/old" and status == 66 else []
        expect(any(part.encode() in said for part in parts), f"{name} is not named: {said[-300:]!r}")

    def point(self, name, kind, command):
        def run_point():
            self.prepare(name, kind)
            before = self.beside()
            outcome = run([part.encode() for part in command.split()], self.data, self.options.patience,
                          given=lines("inside").encode() + b"more\n")  # what producer p began with goes on
            self.check(name, outcome, before)
            self.still_readable(name, outcome[0], command)
            return f"status {outcome[0]}"
        return run_point

    def still_readable(self, name, status, command):
        """A command that was refused has lost nothing: with the file put back all records are there."""
        path = os.path.join(self.data, name)
        if status == 0 or command.startswith(("topic delete", "topic trim")) or not os.path.lexists(path):
            return  # what was to be removed may be gone before the rest was met
        discard(path)
        os.rename(os.path.join(self.directory, "saved"), path)
        again, printed, complaints = run([b"consume", b"old", b"-Bd"], self.data, self.options.patience)
        expect(again == 0 and printed.count(b"inside ") >= 400,
               f"{name} put back, {printed.count(b'inside ')} of 400 records are read: {complaints[-200:]!r}")

    def points(self):
        return [(f"{command}, {name}: {kind}", self.point(name, kind, command)) for name in self.names for kind in KINDS
                if not self.options.kind or self.options.kind == kind for command in COMMANDS]

    def self_test(self):
        def wrong(outcome, spoil=None):
            def check():
                self.prepare("topics/old/0", "link outside")
                before = self.beside()
                if spoil:
                    with open(os.path.join(self.outside, spoil), "ab") as file:
                        file.write(b"x")
                self.check("topics/old/0", outcome, before)
            return check

        def lost():
            self.prepare("topics/old/0/start", "fifo")
            log = os.path.join(self.data, "topics/old/0/00000000000000000000.log")
            os.truncate(log, os.path.getsize(log) - 1)
            self.still_readable("topics/old/0/start", 74, "produce old")
        named = b"leat: error: cannot open topics/old/0\n"
        return [("a file outside written to", wrong((74, b"", named), "topics/old/0/00000000000000000000.log")),
                ("a file made outside", wrong((74, b"", named), "new")), ("a link followed", wrong((0, b"elsewhere 1 xxx\n", b""))),
                ("a hang", wrong((None, b"", b""))), ("a crash", wrong((-11, b"", named))),
                ("called our bug", wrong((70, b"", named))),
                ("no message", wrong((74, b"", b""))),
                ("not named", wrong((74, b"", b"leat: error: I/O\n"))), ("records lost", lost)]


SWEEPS = {"names": Names, "files": Files}


def main(arguments=None):
    parser = parser_of("Hostile names, and files that are not what they should be.", SWEEPS)
    parser.add_argument("--kind", choices=KINDS, help="only this kind of replacement")
    options = parsed(parser, SWEEPS, arguments)
    if os.geteuid() != 0:
        print("only root can make device nodes")
        return 77
    return run_sweeps(SWEEPS, 33, options, "leat-names-", __file__)


if __name__ == "__main__":
    sys.exit(main())
