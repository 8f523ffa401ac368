#!/usr/bin/python3
"""Modes of every file a command makes, and where secrets may be seen: row 36 of the scorecard.

    tests/crash/file_modes.py [SWEEP...] [--seconds N] [--seed N] [--results FILE] [--self-test]

    modes     every writing command under the umasks 0, 0777, 0077 and 027: files 0600, directories 0700; in a directory of mode
              2770 files 0660 and directories 2770; looked at again while the command runs (strace: every open with O_CREAT asks
              for 0600 at most)
    secrets   a signing key: not in /proc/PID/cmdline or environ, not in -v, errors, `config show`, or any file but its own
"""

import os
import re
import shutil
import stat
import subprocess
import sys

from hostile_names import parsed, parser_of, run_sweeps
from writing_commands import expect

from processes import LEAT, strace_works

STEPS = [("topic create t --segment-size 64KiB -p 2", b""), ("topic create latest --cleanup compact --segment-size 64KiB", b""),
         ("produce t --batch-size 16000", b"".join(b"%d ".ljust(900, b"x") % n + b"\n" for n in range(300))),
         ("produce latest --key k --batch-size 16000", b"".join(b"%d ".ljust(900, b"x") % n + b"\n" for n in range(300))),
         ("produce t --producer-id p", b"once\n"), ("consume t -c c -Bd -O none", b""), ("consumer seek c --to 0 --yes", b""),
         ("consumer list", b""), ("topic set t retention-records=50", b""), ("topic trim t --keep 20 --yes", b""),
         ("topic add-partition t", b""), ("inspect checkpoint t -p 0 --sign KEY", b""), ("inspect verify t --deep", b""),
         ("produce t -p 0", b"torn\n"), ("repair t --execute --yes", b""), ("topic create gone", b""), ("topic delete gone", b""),
         ("consumer delete c", b"")]
UMASKS = [0, 0o777, 0o077, 0o027]


def check_modes(directory, file_mode, directory_mode):
    seen = 0
    for folder, directories, files in os.walk(directory):
        for name in directories + files:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            wanted = directory_mode if stat.S_ISDIR(status.st_mode) else file_mode
            found = stat.S_IMODE(status.st_mode)
            expect(found == wanted, f"{os.path.relpath(path, directory)} has mode {found:04o}, not {wanted:04o}")
            seen += 1
    return seen


def tear(data):
    """Bytes behind the log of partition 0, for recovery to take out into a file of its own."""
    folder = os.path.join(data, "topics/t/0")
    last = max(name for name in os.listdir(folder) if name.endswith(".log"))
    with open(os.path.join(folder, last), "ab") as file:
        file.write(b"torn" * 30)


class Modes:
    def __init__(self, directory, options):
        self.directory, self.options = directory, options
        self.key = os.path.join(directory, "modes.key")
        subprocess.run([LEAT, "inspect", "keygen", "example.com/t", "--out", self.key], check=True, capture_output=True)

    def run(self, data, mask, form, given, prefix=()):
        arguments = [self.key if part == "KEY" else part for part in form.split()]
        environment = {**os.environ, "LEAT_DATA_DIR": data, "LEAT_CONFIG": "/dev/null"}
        return subprocess.run([*prefix, LEAT, *arguments], env=environment, input=given, capture_output=True, umask=mask)

    def session(self, mask, shared):
        data = os.path.join(self.directory, "data")
        file_mode, directory_mode = (0o660, 0o2770) if shared else (0o600, 0o700)

        def begin():
            shutil.rmtree(data, ignore_errors=True)
            if shared:
                os.mkdir(data)
                os.chmod(data, 0o2770)

        def step(form, given):
            def point():
                if form == STEPS[0][0]:
                    begin()
                if given == b"torn\n":
                    tear(data)
                done = self.run(data, mask, form, given)
                expect(done.returncode == 0, f"status {done.returncode}: {done.stderr[-200:]!r}")
                expect(stat.S_IMODE(os.stat(data).st_mode) == directory_mode, "the mode of the data directory")
                check_modes(data, file_mode, directory_mode)
                return "as promised"
            return point
        return [(f"umask {mask:04o}{', shared' if shared else ''}: {form}", step(form, given)) for form, given in STEPS]

    def moments(self):
        """No file is open to others even for the moment between its creation and its mode."""
        data = os.path.join(self.directory, "moments")

        def step(form, given):
            def point():
                log = os.path.join(self.directory, "calls")
                if given == b"torn\n":
                    tear(data)
                traced = ["strace", "-f", "-qq", "-e", "trace=open,openat,openat2,mkdir,mkdirat,mknodat", "-o", log]
                done = self.run(data, 0, form, given, traced)
                expect(done.returncode == 0, f"status {done.returncode}: {done.stderr[-200:]!r}")
                with open(log, encoding="utf-8", errors="replace") as file:
                    for call in file:
                        check_call(call)
                return "private from the first moment"
            return point
        return [(f"as it happens: {form}", step(form, given)) for form, given in STEPS]

    def points(self):
        """Each session begins with an empty directory, and its steps go on with what the step before left."""
        sessions = [self.session(mask, shared) for mask in UMASKS for shared in (False, True)]
        return sessions + ([self.moments()] if strace_works() else [])

    def self_test(self):
        def spoilt(path, mode):
            def check():
                self.session(0, False)[0][1]()
                os.chmod(os.path.join(self.directory, "data", path), mode)
                check_modes(os.path.join(self.directory, "data"), 0o600, 0o700)
            return check
        return [("a file others may read", spoilt("leat.toml", 0o644)), ("a directory others may read", spoilt("topics/t", 0o755)),
                ("a file its owner may not read", spoilt("topics/t/state", 0)),
                ("a file made for all at first", lambda: check_call('1 openat(3, "x", O_RDWR|O_CREAT|O_EXCL, 0666) = 4')),
                ("a directory made for all at first", lambda: check_call('1 mkdirat(3, "x", 0777) = 0'))]


def check_call(call):
    """One line of strace."""
    match = re.search(r"O_CREAT.*?, (?:mode=)?(0\d*)|mkdir\w*\(.*, (0\d+)\)", call)
    if match:
        mode = int(match[1] or match[2], 8)
        expect(not mode & 0o077, f"made with mode {mode:04o}: {call.strip()}")


class Secrets:
    def __init__(self, directory, options):
        self.options, self.directory = options, os.path.join(directory, "secrets")
        os.mkdir(self.directory)
        self.environment = {**os.environ, "LEAT_DATA_DIR": os.path.join(self.directory, "data"), "LEAT_CONFIG": "/dev/null"}
        self.key = os.path.join(self.directory, "key")
        self.made = self.leat("inspect", "keygen", "example.com/t", "--out", self.key, "-v")
        self.leat("topic", "create", "t")
        self.leat("produce", "t", given=b"a\nb\n")
        with open(self.key, "rb") as file:
            # PRIVATE+KEY+name+hash+key, where the key may hold a + too.
            self.secret = file.read().strip().split(b"+", 4)[-1][:40]
        expect(len(self.secret) == 40, f"no key to look for: {self.secret!r}")

    def leat(self, *arguments, given=b""):
        return subprocess.run([LEAT, *arguments], env=self.environment, input=given, capture_output=True)

    def check(self, text, where):
        expect(self.secret not in text and b"PRIVATE+KEY" not in text, f"the key is in {where}")

    def quiet(self, *arguments, given=b""):
        def point():
            done = self.leat(*arguments, given=given)
            self.check(done.stdout + done.stderr, " ".join(arguments))
            return "not said"
        return point

    def in_process(self):
        """While it runs: reading the key from a pipe that nothing comes from yet."""
        fifo = os.path.join(self.directory, "fifo")
        os.mkfifo(fifo)
        process = subprocess.Popen([LEAT, "inspect", "checkpoint", "t", "--sign", fifo, "-v"], env=self.environment,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with open(fifo, "wb") as pipe, open(self.key, "rb") as file:
            pipe.write(file.read())
            pipe.flush()
            for name in ("cmdline", "environ"):
                with open(f"/proc/{process.pid}/{name}", "rb") as seen:
                    self.check(seen.read(), f"/proc/PID/{name}")
        shown, said = process.communicate(timeout=60)
        expect(process.returncode == 0 and b"example.com/t" in shown, f"status {process.returncode}: {said!r}")
        self.check(shown + said, "what it prints")
        return "not in /proc"

    def in_files(self):
        for folder, _, files in os.walk(self.environment["LEAT_DATA_DIR"]):
            for name in files:
                with open(os.path.join(folder, name), "rb") as file:
                    self.check(file.read(), name)
        return "in no file"

    def points(self):
        broken = os.path.join(self.directory, "broken")
        with open(self.key, "rb") as file, open(broken, "wb") as copy:
            copy.write(file.read().rstrip()[:-1] + b"!")
        sign = ("inspect", "checkpoint", "t", "--sign")
        return [("keygen -v", lambda: self.check(self.made.stdout + self.made.stderr, "keygen") or "not said"),
                ("sign", self.quiet(*sign, self.key, "-v")), ("sign, JSON", self.quiet(*sign, self.key, "-O", "json", "-v")),
                ("a broken key", self.quiet(*sign, broken, "-v")), ("a key as verifier key", self.quiet(
                    "inspect", "proof", "--verify", broken, "--checkpoint", broken, "--key", self.key, "-v")),
                ("a key as settings", self.quiet("config", "show", "--origin")),
                ("a key made again", self.quiet("inspect", "keygen", "x", "--out", self.key)),
                ("export", self.quiet("inspect", "proof", "t", "--export-tlog", os.path.join(self.directory, "tlog"),
                                      "--sign", self.key, "-v")),
                ("while it runs", self.in_process), ("the data directory", self.in_files)]

    def self_test(self):
        return [("a secret that is printed", lambda: self.check(b"x " + self.secret, "x")),
                ("a key file that is printed", lambda: self.check(b"PRIVATE+KEY+x", "x"))]


SWEEPS = {"modes": Modes, "secrets": Secrets}


def main(arguments=None):
    options = parsed(parser_of("Modes of files, and secrets.", SWEEPS), SWEEPS, arguments)
    return run_sweeps(SWEEPS, 36, options, "leat-modes-", __file__)


if __name__ == "__main__":
    sys.exit(main())
