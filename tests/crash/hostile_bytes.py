#!/usr/bin/python3
"""Files and input that claim or hold far too much: row 34 of the scorecard.

    tests/crash/hostile_bytes.py [SWEEP...] [--seconds N] [--points N] [--seed N] [--results FILE] [--self-test]

    claims   batch headers of 4 GiB, negative lengths, huge counts; all other files huge: 24 MiB at most
    bombs    batches with right checksums that unpack to 4 GiB, or to as much as is allowed, as one record or as millions:
             24 MiB and three times the largest batch (128 MiB plain)
    input    a line without end, JSON a million deep, huge files of settings and of positions: 24 MiB, for what becomes a record
             twice the topic's largest one (1 MiB) more

The peak is the resident memory of the process (wait4), measured by a small process between, whose own 10 MiB are the least seen.
"""

import functools
import os
import shutil
import signal
import struct
import subprocess
import sys

from hostile_names import parsed, parser_of, run_sweeps
from writing_commands import expect

from processes import LEAT

MIB = 1 << 20
PLAIN, BOMB, INPUT = 24 * MIB, (24 + 3 * 128) * MIB, (24 + 2 * 1) * MIB
LARGEST = 128 * MIB  # the records of a batch, unpacked
MEASURE = """
import posix, sys
pid = posix.posix_spawn(sys.argv[1], sys.argv[1:], posix.environ)
_, status, used = posix.wait4(pid, 0)
posix.write(3, b"%d %d" % (posix.waitstatus_to_exitcode(status), used.ru_maxrss))
"""
READERS = ["consume t -Bd -O none", "produce t", "inspect verify t --deep", "inspect dump t --deep", "inspect proof t 0",
           "check store", "repair t", "topic describe t", "topic list", "consumer list --lag"]
WRITERS = ["repair t --execute --yes", "topic trim t --keep 1 --yes", "consume t -Bd -O jsonl", "inspect segments t",
           "inspect index t"]
LOG = "topics/t/0/00000000000000000000.log"
OTHER_FILES = ["topics/t/0/00000000000000000000.index", "topics/t/0/00000000000000000000.timeindex", "topics/t/0/start",
               "topics/t/0/tree/8", "topics/t/0/00000000000000000000.producers", "topics/t/state", "topics/t/topic.toml",
               "leat.toml", "groups/c/t/offsets", "topics/t/producers/p"]
HONEST = {0, 1, 2, 3, 65, 66, 73, 74, 76, 78}


def crc32c(data, table=[]):
    if not table:
        for n in range(256):
            for _ in range(8):
                n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
            table.append(n)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def batch(records, codec=0, count=1, delta=None, length=None):
    """A batch with a right checksum over what it says."""
    tail = struct.pack(">hiqqqhii", codec, max(count - 1, 0) if delta is None else delta, 0, 0, -1, -1, -1, count) + records
    head = struct.pack(">ibI", 0, 2, crc32c(tail))
    return struct.pack(">qi", 0, len(head) + len(tail) if length is None else length) + head + tail


def record(headers=0, claimed=1):
    """One record; its last varint says how many headers it has."""
    body = b"\0" + varint(0) + varint(0) + varint(-1) + varint(claimed) + b"x" + varint(headers)
    return varint(len(body)) + body


def xxh32(data):
    """Of less than 16 bytes, as in the header of an LZ4 frame."""
    p1, p2, p3, p4, p5 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1

    def turned(n, bits):
        return (n << bits | n >> 32 - bits) & 0xFFFFFFFF
    h = (p5 + len(data)) & 0xFFFFFFFF
    while len(data) >= 4:
        h = turned((h + int.from_bytes(data[:4], "little") * p3) & 0xFFFFFFFF, 17) * p4 & 0xFFFFFFFF
        data = data[4:]
    for byte in data:
        h = turned((h + byte * p5) & 0xFFFFFFFF, 11) * p1 & 0xFFFFFFFF
    h = (h ^ h >> 15) * p2 & 0xFFFFFFFF
    h = (h ^ h >> 13) * p3 & 0xFFFFFFFF
    return h ^ h >> 16


@functools.cache
def lz4_block(unit, size):
    """`size` bytes of a repeated unit as one LZ4 block; the last 5 are plain, as the format wants it."""
    def extended(n):
        return b"\xff" * (n // 255) + bytes([n % 255])
    match = size - len(unit) - 5
    plain = (unit * 6)[(size - 5) % len(unit):][:5]
    first = min(len(unit), 15)
    head = bytes([first << 4 | 15]) + (extended(len(unit) - 15) if first == 15 else b"") + unit
    block = head + len(unit).to_bytes(2, "little") + extended(match - 4 - 15) + bytes([5 << 4]) + plain
    return len(block).to_bytes(4, "little") + block


def lz4(unit, size):
    """A frame of that many bytes, of independent blocks of 4 MiB; a unit's length divides 4 MiB."""
    descriptor = b"\x60\x70"
    whole, rest = divmod(size, 4 * MIB)
    frame = b"\x04\x22\x4d\x18" + descriptor + bytes([xxh32(descriptor) >> 8 & 255]) + lz4_block(unit, 4 * MIB) * whole
    return frame + (lz4_block(unit, rest) if rest else b"") + bytes(4)


def zstd(size, head=b""):
    """A frame of `head` and zeros, `size` bytes in all: a plain block, then blocks of one repeated byte. Window: 128 KiB."""
    def block(kind, length, content, last=False):
        return (int(last) | kind << 1 | length << 3).to_bytes(3, "little") + content
    whole, rest = divmod(size - len(head), 128 << 10)
    body = block(0, len(head), head) if head else b""
    return b"\x28\xb5\x2f\xfd\x00\x38" + body + block(1, 128 << 10, b"\0") * whole + block(1, rest, b"\0", True)


def varint(n):
    """zigzag"""
    n = (n << 1 ^ n >> 63) & (1 << 64) - 1
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def one_record(value):
    """What comes before the zeros of a value of that many bytes, to which one zero byte more says that there are no headers."""
    body = b"\0" + varint(0) + varint(0) + varint(-1) + varint(value)
    return varint(len(body) + value + 1) + body


class World:
    def __init__(self, directory, options):
        directory = os.path.join(directory, type(self).__name__)
        os.mkdir(directory)
        self.data, self.options = os.path.join(directory, "data"), options
        self.environment = {**os.environ, "LEAT_DATA_DIR": self.data, "LEAT_CONFIG": "/dev/null"}
        self.worst = self.number = 0

    def fresh(self):
        shutil.rmtree(self.data, ignore_errors=True)
        self.number += 1
        self.data = os.path.join(os.path.dirname(self.data), f"data{self.number}")
        self.environment["LEAT_DATA_DIR"] = self.data
        subprocess.run([LEAT, "topic", "create", "t"], env=self.environment, check=True, capture_output=True)
        subprocess.run([LEAT, "produce", "t"], env=self.environment, input=b"a\nb\n", check=True)
        subprocess.run([LEAT, "consume", "t", "-c", "c", "-Bd"], env=self.environment, check=True, capture_output=True)

    def measure(self, arguments, given=None):
        """(status, peak in bytes, complaints)"""
        read, write = os.pipe()
        with os.fdopen(read) as answer:
            command = [sys.executable, "-I", "-S", "-c", f"import posix; posix.dup2({write}, 3)\n{MEASURE}", LEAT, *arguments]
            process = subprocess.Popen(command, env=self.environment, stdin=given or subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE, pass_fds=(write,), start_new_session=True)
            os.close(write)
            try:
                said = process.communicate(timeout=self.options.patience)[1]
            except subprocess.TimeoutExpired:
                return None, 0, b""
            finally:
                if process.returncode is None:
                    os.killpg(process.pid, signal.SIGKILL)  # leat too, which is a child of the one between
                    process.communicate()
            status, peak = map(int, answer.read().split())
        self.worst = max(self.worst, peak * 1024)
        return status, peak * 1024, said

    def summary(self):
        print(f"   worst peak {self.worst / MIB:.1f} MiB")

    def self_test(self):
        """The same for all: what is measured and what is asked of it."""
        def hungry():
            eats = "x = bytearray(64 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1"
            program = os.path.join(os.path.dirname(self.data), "hungry")
            with open(program, "w", encoding="ascii") as file:
                file.write(f"#!{sys.executable} -IS\n{eats}\n")
            os.chmod(program, 0o755)
            global LEAT
            kept, LEAT = LEAT, program
            try:
                self.check(self.measure([]), PLAIN)
            finally:
                LEAT = kept
        return [("64 MiB in use", hungry), ("a crash", lambda: self.check((-11, 0, b""), PLAIN)),
                ("a hang", lambda: self.check((None, 0, b""), PLAIN)), ("our bug", lambda: self.check((70, 0, b""), PLAIN))]

    def check(self, outcome, cap):
        status, peak, said = outcome
        expect(status is not None, "it does not end")
        expect(status in HONEST, f"status {status}: {said[-200:]!r}")
        expect(peak <= cap, f"peak {peak / MIB:.0f} MiB, over {cap / MIB:.0f} MiB")

    def on_file(self, command, name, cap, content=None, size=None):
        """name holds content, and is size long, the rest of it a hole."""
        def point():
            self.fresh()
            path = os.path.join(self.data, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb" if content is not None else "ab") as file:
                file.write(content or b"")
            if size:
                os.truncate(path, size)
            self.check(self.measure(command.split()), cap)
            return "within the cap"
        return point


class Claims(World):
    def points(self):
        whole, points = record(), []
        contents = {f"length {length}": batch(whole, length=length) for length in (-1, -2**31, 2**31 - 1, 0, 48, 128 * MIB)}
        contents |= {f"count {count}": batch(whole, count=count) for count in (2**31 - 1, 10**6, -1, -2**31)}
        contents |= {"huge header count": batch(record(headers=2**40)), "negative header count": batch(record(headers=-5)),
                     "huge value": batch(record(claimed=2**40)), "negative value": batch(record(claimed=-7))}
        # As many levels as the largest file of settings has room for.
        deep = {"dotted keys": b"a." * 32_000 + b"a=1\n", "a dotted table": b"[" + b"a." * 32_000 + b"a]\n",
                "arrays": b"a=" + b"[" * 60_000}
        for command in READERS:
            points += [(f"{command}, a batch of {name}", self.on_file(command, LOG, PLAIN, content))
                       for name, content in contents.items()]
            # Verifying compares every entry of an index with the log: of the largest segment there are 524,288.
            points += [(f"{command}, {name} of {size} MiB",
                        self.on_file(command, name, PLAIN * (2 if "verify" in command and "index" in name else 1), size=size * MIB))
                       for name in OTHER_FILES for size in (512, 63)]
            points += [(f"{command}, {name} with {what}", self.on_file(command, name, PLAIN, content))
                       for name in ("topics/t/topic.toml", "leat.toml") for what, content in deep.items()]
        return points


class Bombs(World):
    def points(self):
        # So many records as small as a record can be: length, attributes, two deltas, no key, an empty value, no headers.
        smallest = b"\x0e" + record(claimed=0)[1:5] + b"\0\0\0"
        many, value = LARGEST // len(smallest), LARGEST - 64
        largest = one_record(value)
        contents = {f"lz4, 4 GiB, count {count}": batch(lz4(b"\0", 4 << 30), 3, count) for count in (1, 2**31 - 1)}
        contents |= {f"zstd, 4 GiB, count {count}": batch(zstd(4 << 30), 4, count) for count in (1, 2**31 - 1)}
        contents |= {"lz4, all that is allowed in zeros": batch(lz4(b"\0", LARGEST), 3),
                     "lz4, a byte more": batch(lz4(b"\0", LARGEST + 64), 3),
                     "zstd, all that is allowed as one record": batch(zstd(len(largest) + value + 1, largest), 4),
                     "zstd, the largest record": batch(zstd(len(one_record(64 * MIB)) + 64 * MIB + 1, one_record(64 * MIB)), 4),
                     f"lz4, {many:,} records": batch(lz4(smallest, LARGEST), 3, many)}
        return [(f"{command}, {name}", self.on_file(command, LOG, BOMB, content)) for name, content in contents.items()
                for command in READERS + WRITERS]


class Input(World):
    def fed(self, arguments, content, times, cap, settings=False):
        """content, so many times, as the standard input of leat, or as its file of settings."""
        def point():
            self.fresh()
            path = os.path.join(os.path.dirname(self.data), "input")
            with open(path, "wb") as file:
                for _ in range(times):
                    file.write(content)
            environment = self.environment
            self.environment = {**environment, "LEAT_CONFIG": path} if settings else environment
            try:
                with open(path, "rb") as given:
                    self.check(self.measure(arguments, given), cap)
            finally:
                self.environment = environment
                os.unlink(path)
            return "within the cap"
        return point

    def points(self):
        deep, lines = b"[" * 10**6, b"x" * MIB
        proof = ["inspect", "proof", "--verify", "-", "--root", "0" * 64, "--size", "1"]
        json, seek = ["produce", "t", "--framing", "json"], ["consumer", "seek", "c", "--to-file", "-", "--yes"]
        return [("a line of 1 GiB", self.fed(["produce", "t"], lines, 1024, INPUT)),
                ("a line of 1 GiB, skipped", self.fed(["produce", "t", "--on-error", "skip"], lines, 1024, INPUT)),
                ("1 GiB without a NUL", self.fed(["produce", "t", "-0"], lines, 1024, INPUT)),
                ("1 GiB as one", self.fed(["produce", "t", "--raw"], lines, 1024, INPUT)),
                ("a JSON string of 1 GiB", self.fed(json, b'{"value":"' + lines, 1024, INPUT)),
                ("u32be of 4 GiB", self.fed(["produce", "t", "--framing", "u32be"], b"\xff\xff\xff\xfe" + bytes(MIB), 1024, INPUT)),
                ("JSON a million deep", self.fed(json, deep, 1, INPUT)),
                ("JSON a million deep inside", self.fed(json, b'{"value":' + deep, 1, INPUT)),
                ("a proof a million deep", self.fed(proof, deep, 1, PLAIN)),
                ("1 GiB of positions", self.fed(seek, b"t 0 1\n" + b"#" * (MIB - 7) + b"\n", 1024, PLAIN)),
                ("1 GiB of positions in a line", self.fed(seek, b"t 0 1" + b" " * MIB, 1024, PLAIN)),
                ("settings of 1 GiB", self.fed(["topic", "list"], b"#" * MIB, 1024, PLAIN, settings=True)),
                ("settings nested 100,000 deep", self.fed(["topic", "list"], b"a=" + b"[" * 100_000, 1, PLAIN, settings=True)),
                ("settings of dotted keys", self.fed(["topic", "list"], b"a." * 400_000 + b"a=1", 1, PLAIN, settings=True))]


SWEEPS = {"claims": Claims, "bombs": Bombs, "input": Input}


def main(arguments=None):
    options = parsed(parser_of("What claims or holds too much.", SWEEPS), SWEEPS, arguments)
    if os.environ.get("LEAT_SANITIZER"):
        print("a sanitizer's memory is not leat's")
        return 77
    return run_sweeps(SWEEPS, 34, options, "leat-bytes-", __file__)


if __name__ == "__main__":
    sys.exit(main())
