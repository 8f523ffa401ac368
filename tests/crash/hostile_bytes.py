#!/usr/bin/python3
"""Files and input that claim or hold far too much: row 34 of the scorecard.

    tests/crash/hostile_bytes.py [SWEEP...] [--points N] [--seed N] [--results FILE] [--self-test]

    claims   batch headers of 4 GiB, negative lengths, huge counts; huge other files: 24 MiB at most
    bombs    whole batches with right checksums that unpack to 4 GiB: the format's 128 MiB of batch and 128 MiB of records more
    input    a line without end, JSON a million deep, a huge settings file: 24 MiB and the largest record (64 MiB) in a doubled buffer

The peak is the resident memory of the process (wait4), measured by a small process between, whose own 10 MiB are the least seen.
"""

import os
import struct
import subprocess
import sys
import tempfile

from hostile_names import Sweep, found_out, parser_of
from writing_commands import expect

from processes import LEAT

MIB = 1 << 20
PLAIN, BOMB, INPUT = 24 * MIB, (24 + 128 + 128) * MIB, (24 + 2 * 64) * MIB
MEASURE = """
import posix, sys
pid = posix.posix_spawn(sys.argv[1], sys.argv[1:], posix.environ)
_, status, used = posix.wait4(pid, 0)
posix.write(3, b"%d %d" % (posix.waitstatus_to_exitcode(status), used.ru_maxrss))
"""
READERS = ["consume t -Bd -O none", "produce t", "inspect verify t --deep", "inspect dump t --deep", "inspect proof t 0", "check store",
           "repair t", "topic describe t", "topic list", "consumer list --lag"]
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
    """One record; its last varint says how many headers it has. zigzag."""
    def varint(n):
        n = n << 1 ^ n >> 63
        out = b""
        while n > 127:
            out, n = out + bytes([n & 127 | 128]), n >> 7
        return out + bytes([n])
    body = b"\0" + varint(0) + varint(0) + varint(-1) + varint(claimed) + b"x" + varint(headers)
    return varint(len(body)) + body


def bomb(codec):
    """4 GiB of zeros, packed without ever holding them."""
    block, times = bytes(4 * MIB), 1024
    if codec == 3:
        import lz4.frame
        packer = lz4.frame.LZ4FrameCompressor(block_size=lz4.frame.BLOCKSIZE_MAX4MB)
        return packer.begin() + b"".join(packer.compress(block) for _ in range(times)) + packer.flush()
    import zstandard
    packer = zstandard.ZstdCompressor().compressobj()
    return b"".join(packer.compress(block) for _ in range(times)) + packer.flush()


class World:
    def __init__(self, directory, options):
        self.data, self.options = os.path.join(directory, "data"), options
        self.environment = {**os.environ, "LEAT_DATA_DIR": self.data, "LEAT_CONFIG": "/dev/null"}
        self.worst = self.number = 0

    def fresh(self):
        self.number += 1
        self.data = os.path.join(os.path.dirname(self.data), f"data{self.number}")
        self.environment["LEAT_DATA_DIR"] = self.data
        subprocess.run([LEAT, "topic", "create", "t"], env=self.environment, check=True, capture_output=True)
        subprocess.run([LEAT, "produce", "t"], env=self.environment, input=b"a\nb\n", check=True)
        subprocess.run([LEAT, "consume", "t", "-c", "c", "-Bd"], env=self.environment, check=True, capture_output=True)

    def measure(self, arguments, given=None):
        """(status, peak in bytes, complaints)"""
        read, write = os.pipe()
        command = [sys.executable, "-I", "-S", "-c", "import posix; posix.dup2(int(%d), 3)\n%s" % (write, MEASURE), LEAT, *arguments]
        process = subprocess.Popen(command, env=self.environment, stdin=given or subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, pass_fds=(write,))
        os.close(write)
        try:
            said = process.communicate(timeout=self.options.patience)[1]
        except subprocess.TimeoutExpired:
            process.kill()
            return None, 0, b""
        with os.fdopen(read) as answer:
            status, peak = map(int, answer.read().split())
        self.worst = max(self.worst, peak * 1024)
        return status, peak * 1024, said

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

    def claims(self):
        log = "topics/t/0/00000000000000000000.log"
        whole, points = record(), []
        contents = {f"length {length}": batch(whole, length=length) for length in (-1, -2**31, 2**31 - 1, 0, 48, 128 * MIB)}
        contents |= {f"count {count}": batch(whole, count=count) for count in (2**31 - 1, 10**6, -1, -2**31)}
        contents |= {"huge header count": batch(record(headers=2**40)), "negative header count": batch(record(headers=-5)),
                     "huge value": batch(record(claimed=2**40)), "negative value": batch(record(claimed=-7))}
        for command in READERS:
            points += [(f"{command}, {name}", self.on_file(command, log, PLAIN, content)) for name, content in contents.items()]
            for name in ("topics/t/0/00000000000000000000.index", "topics/t/0/00000000000000000000.timeindex", "topics/t/0/start",
                         "topics/t/0/tree/8", "topics/t/0/00000000000000000000.producers", "topics/t/state", "topics/t/topic.toml",
                         "leat.toml", "groups/c/t/offsets", "topics/t/producers/p"):
                points.append((f"{command}, {name} of 512 MiB", self.on_file(command, name, PLAIN, size=512 * MIB)))
        return points

    def bombs(self):
        log = "topics/t/0/00000000000000000000.log"
        contents = {f"{name}, count {count}": batch(packed, codec, count) for name, codec in (("lz4", 3), ("zstd", 4))
                    for packed in (bomb(codec),) for count in (1, 2**31 - 1)}
        return [(f"{command}, {name}", self.on_file(command, log, BOMB, content)) for name, content in contents.items() for command in READERS]

    def input(self):
        def fed(arguments, content, times, cap, settings=False):
            def point():
                self.fresh()
                path = os.path.join(os.path.dirname(self.data), "input")
                with open(path, "wb") as file:
                    for _ in range(times):
                        file.write(content)
                environment = self.environment
                self.environment = {**environment, "LEAT_CONFIG": path} if settings else environment
                with open(path, "rb") as given:
                    self.check(self.measure(arguments, given), cap)
                self.environment = environment
                os.unlink(path)
                return "within the cap"
            return point
        deep = b"[" * 10**6
        return [("a line of 1 GiB", fed(["produce", "t"], b"x" * MIB, 1024, INPUT)),
                ("a line of 1 GiB, skipped", fed(["produce", "t", "--on-error", "skip"], b"x" * MIB, 1024, INPUT)),
                ("1 GiB without a NUL", fed(["produce", "t", "-0"], b"x" * MIB, 1024, INPUT)),
                ("1 GiB as one", fed(["produce", "t", "--raw"], b"x" * MIB, 1024, INPUT)),
                ("a JSON string of 1 GiB", fed(["produce", "t", "--framing", "json"], b'{"value":"' + b"x" * MIB, 1024, INPUT)),
                ("u32be of 4 GiB", fed(["produce", "t", "--framing", "u32be"], b"\xff\xff\xff\xfe" + bytes(MIB), 1024, INPUT)),
                ("JSON a million deep", fed(["produce", "t", "--framing", "json"], deep, 1, PLAIN)),
                ("JSON a million deep inside", fed(["produce", "t", "--framing", "json"], b'{"value":' + deep, 1, PLAIN)),
                ("a proof a million deep", fed(["inspect", "proof", "--verify", "-", "--root", "0" * 64, "--size", "1"], deep, 1, PLAIN)),
                ("1 GiB of positions", fed(["consumer", "seek", "c", "--to-file", "-", "--yes"], b"t 0 1" + b" " * MIB, 1024, INPUT)),
                ("settings of 1 GiB", fed(["topic", "list"], b"#" * MIB, 1024, PLAIN, settings=True)),
                ("settings nested 100,000 deep", fed(["topic", "list"], b"a=" + b"[" * 100_000, 1, PLAIN, settings=True)),
                ("settings of dotted keys", fed(["topic", "list"], b"a." * 400_000 + b"a=1", 1, PLAIN, settings=True))]

    def self_test(self):
        def hungry():
            program = os.path.join(os.path.dirname(self.data), "hungry")
            with open(program, "w", encoding="ascii") as file:
                file.write(f"#!{sys.executable} -IS\nx = bytearray(64 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1\n")
            os.chmod(program, 0o755)
            global LEAT
            kept, LEAT = LEAT, program
            try:
                self.check(self.measure([]), PLAIN)
            finally:
                LEAT = kept
        return [("64 MiB in use", hungry), ("a crash", lambda: self.check((-11, 0, b""), PLAIN)), ("a hang", lambda: self.check((None, 0, b""), PLAIN)),
                ("our bug", lambda: self.check((70, 0, b""), PLAIN))]


def main(arguments=None):
    options = parser_of("What claims or holds too much.", ("claims", "bombs", "input")).parse_args(arguments)
    if os.environ.get("LEAT_SANITIZER"):
        print("a sanitizer's memory is not leat's")
        return 77
    print(f"seed {options.seed}", flush=True)
    good = True
    with tempfile.TemporaryDirectory(prefix="leat-bytes-") as directory:
        world = World(directory, options)
        if options.self_test:
            return 0 if found_out(world.self_test()) else 1
        for name in options.sweeps or ("claims", "bombs", "input"):
            world.worst = 0
            good &= Sweep(name, 34, options, __file__).go(getattr(world, name)(), options.points)
            print(f"   worst peak {world.worst / MIB:.1f} MiB")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
