#!/usr/bin/python3
"""Proofs against RFC 6962 as it is written: row 22 of the scorecard.

    tests/crash/proof_reference.py [SWEEP...] [--seconds N] [--sizes N] [--points N] [--seed N] [--results FILE] [--self-test]

    library   roots, all inclusion and all consistency proofs of every size to 1,024, and of random larger trees, as libcore makes
              them (a small program linked against it), compared with sections 2.1, 2.1.1 and 2.1.2 in hashlib
    commands  the same of a topic, from its records as consume prints them, through leat inspect
    mutations each bit of a proof file flipped, and verified with the signed checkpoint: none may be accepted
"""

import base64
import functools
import hashlib
import json
import os
import random
import struct
import subprocess
import sys

from hostile_names import parsed, parser_of, run_sweeps
from writing_commands import expect

from processes import LEAT, ROOT

BUILD = os.environ.get("LEAT_BUILD", os.path.join(ROOT, "build"))
PROGRAM = r"""
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>
#include "leat/proof/merkle.h"
using namespace leat;
static Bytes bytes_of(const std::string& text) { return std::as_bytes(std::span(text.data(), text.size())); }
static std::vector<std::vector<Hash>> levels;
static Result<Hash> node(NodeId id) { return levels.at(static_cast<std::size_t>(id.level)).at(id.index); }
static void print(const Hash& hash) { for (const auto byte : hash) std::printf("%02x", static_cast<unsigned>(byte)); }
static void add(std::string& all, const std::vector<Hash>& path) {
  for (const Hash& hash : path) all.append(reinterpret_cast<const char*>(hash.data()), hash.size());
  all += '|';
}
// arguments: leaves, then sizes; the leaf i is "leaf i". A line a size: root, hash of all inclusion paths, of all consistency
// paths (of the first, middle and last 8 places, where there are more than 1,024), number of them.
int main(int count, char** arguments) {
  const auto leaves = std::strtoull(arguments[1], nullptr, 10);
  levels.emplace_back();
  for (std::uint64_t i = 0; i < leaves; ++i) levels[0].push_back(hash_leaf(bytes_of("leaf " + std::to_string(i))));
  while (levels.back().size() > 1) {
    std::vector<Hash> next;
    for (std::size_t i = 0; i + 1 < levels.back().size(); i += 2)
      next.push_back(hash_children(levels.back()[i], levels.back()[i + 1]));
    levels.push_back(next);
  }
  for (int a = 2; a < count; ++a) {
    const auto size = std::strtoull(arguments[a], nullptr, 10);
    const Hash root = tree_root(size, node).value();
    std::string inclusion, consistency;
    unsigned long long done = 0, wrong = 0;
    for (std::uint64_t m = 0; m < size; ++m) {
      if (size > 1024 && m >= 8 && m + 8 < size && (m < size / 2 || m >= size / 2 + 8)) continue;
      const auto path = inclusion_path(m, size, node).value();
      const auto led = root_from_inclusion(levels[0][m], m, size, path);
      if (!led || *led != root) ++wrong;
      add(inclusion, path);
      const auto grown = consistency_path(m + 1, size, node).value();
      if (!check_consistency(m + 1, tree_root(m + 1, node).value(), size, root, grown)) ++wrong;
      add(consistency, grown);
      done += 2;
    }
    print(root); std::printf(" "); print(sha256(bytes_of(inclusion))); std::printf(" "); print(sha256(bytes_of(consistency)));
    std::printf(" %llu %llu\n", done, wrong);
  }
}
"""


def sha256(data):
    return hashlib.sha256(data).digest()


class Tree:
    """RFC 6962, section 2.1, over leaf(i); hashes of ranges are remembered."""

    def __init__(self, leaf):
        self.leaf = leaf
        self.mth = functools.lru_cache(None)(self.compute)

    @staticmethod
    def split(n):
        """The largest power of two smaller than n."""
        return 1 << (n - 1).bit_length() - 1

    def compute(self, begin, end):
        n = end - begin
        if n == 0:
            return sha256(b"")
        if n == 1:
            return sha256(b"\x00" + self.leaf(begin))
        middle = begin + self.split(n)
        return sha256(b"\x01" + self.mth(begin, middle) + self.mth(middle, end))

    def path(self, m, begin, end):
        """PATH(m, D[begin:end]) of section 2.1.1."""
        if end - begin == 1:
            return []
        k = self.split(end - begin)
        if m < k:
            return self.path(m, begin, begin + k) + [self.mth(begin + k, end)]
        return self.path(m - k, begin + k, end) + [self.mth(begin, begin + k)]

    def subproof(self, m, begin, end, whole):
        """SUBPROOF(m, D[begin:end], b) of section 2.1.2."""
        n = end - begin
        if m == n:
            return [] if whole else [self.mth(begin, end)]
        k = self.split(n)
        if m <= k:
            return self.subproof(m, begin, begin + k, whole) + [self.mth(begin + k, end)]
        return self.subproof(m - k, begin + k, end, False) + [self.mth(begin, begin + k)]


def joined(paths):
    return b"".join(b"".join(path) + b"|" for path in paths)


class Library:
    def __init__(self, directory, options):
        self.options = options
        source, self.program = os.path.join(directory, "program.cc"), os.path.join(directory, "program")
        with open(source, "w", encoding="ascii") as file:
            file.write(PROGRAM)
        libraries = [os.path.join(BUILD, "libcore/libleat.a"), "-lsodium", "-lfmt", "-llz4", "-lzstd", "-lpthread"]
        includes = os.path.join(BUILD, "include")
        # What the library was built with is part of what it is linked with.
        flags = {"asan": ["-fsanitize=address,undefined"], "tsan": ["-fsanitize=thread"], "coverage": ["--coverage"]}
        libraries += flags.get(os.environ.get("LEAT_SANITIZER"), [])
        subprocess.run(["g++", "-std=c++2b", "-O1", "-I", includes, source, *libraries, "-o", self.program], check=True,
                       env={**os.environ, "TMPDIR": directory})
        choice = random.Random(options.seed)
        larger = {choice.randrange(options.sizes + 1, 100_000) for _ in range(min(40, options.sizes // 8))}
        self.sizes = [*range(1, options.sizes + 1), *sorted(larger)]
        self.tree = Tree(lambda i: b"leaf %d" % i)
        self.proofs, self.answered = 0, {}

    def answers(self, sizes):
        done = subprocess.run([self.program, str(max(self.sizes)), *map(str, sizes)], capture_output=True, text=True, check=True)
        return dict(zip(sizes, done.stdout.splitlines()))

    def answer(self, size):
        """Of the program, which is asked once for all sizes."""
        if not self.answered:
            self.answered = self.answers(self.sizes)
        return self.answered[size]

    def expected(self, size):
        places = [m for m in range(size) if size <= 1024 or m < 8 or m + 8 >= size or size // 2 <= m < size // 2 + 8]
        self.proofs += 2 * len(places)
        inclusion = joined(self.tree.path(m, 0, size) for m in places)
        consistency = joined(self.tree.subproof(m + 1, 0, size, True) for m in places)
        hashes = [self.tree.mth(0, size), sha256(inclusion), sha256(consistency)]
        return " ".join([*(part.hex() for part in hashes), str(2 * len(places)), "0"])

    def check(self, size, answer):
        expect(answer == self.expected(size), f"size {size}: {answer}, by the RFC {self.expected(size)}")

    def points(self):
        def point(size):
            def run():
                self.check(size, self.answer(size))
                return "agrees"
            return run
        return [(f"tree of {size}", point(size)) for size in self.sizes]

    def self_test(self):
        answer = self.answers([13])[13]
        cases = [(f"character {at} of the answer", answer[:at] + ("0" if answer[at] != "0" else "1") + answer[at + 1:]) for at in
                 (0, 63, 65, 128, 130, 190, len(answer) - 1)]
        return [(name, lambda text=text: self.check(13, text)) for name, text in cases] + [
            ("the answer of another size", lambda: self.check(12, answer))]

    def summary(self):
        print(f"   {self.proofs:,} proofs compared")


def canonical(record):
    """The canonical record of leat-proof(5), from a line of `leat consume -O jsonl`."""
    def field(name):
        if f"{name}_b64" in record:
            return base64.b64decode(record[f"{name}_b64"])
        return None if record.get(name) is None else record[name].encode()

    def sized(data):
        return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data
    headers = b"".join(sized(name.encode()) + sized(None if value is None else value.encode()) for name, value in record["headers"])
    return struct.pack(">q", record["timestamp"]) + sized(field("key")) + sized(field("value")) + struct.pack(
        ">I", len(record["headers"])) + headers


def keyed(count):
    return b"".join(b"k%d:value %d\n" % (n % 7, n) for n in range(count))


class Commands:
    def __init__(self, directory, options):
        self.options, self.directory = options, os.path.join(directory, "commands")
        os.mkdir(self.directory)
        self.environment = {**os.environ, "LEAT_DATA_DIR": os.path.join(self.directory, "data"), "LEAT_CONFIG": "/dev/null"}
        self.leat("topic", "create", "t")
        self.leat("produce", "t", "--key-separator", ":", "-H", "h=v", given=keyed(600))
        self.leat("produce", "t", "--compression", "zstd", "--raw", given=bytes(range(256)))
        self.leat("produce", "t", "-Z", given=b"\n")
        self.records = [json.loads(line) for line in self.leat("consume", "t", "-Bd", "-O", "jsonl").splitlines()]
        self.tree = Tree(lambda i: canonical(self.records[i]))

    def leat(self, *arguments, given=b""):
        return subprocess.run([LEAT, *arguments], env=self.environment, input=given, capture_output=True, check=True).stdout

    def check_proof(self, proof, path):
        expect(proof["path"] == [part.hex() for part in path], f"{proof['path']}, by the RFC {[part.hex() for part in path]}")

    def root(self, size):
        def run():
            shown = json.loads(self.leat("inspect", "checkpoint", "t", "--size", str(size), "-O", "json"))
            shown = shown[0] if isinstance(shown, list) else shown
            expect(shown["root"] == self.tree.mth(0, size).hex(), f"root of {size}: {shown['root']}")
            return "roots"
        return run

    def inclusion(self, m, size):
        def run():
            proof = json.loads(self.leat("inspect", "proof", "t", str(m), "--size", str(size)))
            self.check_proof(proof, self.tree.path(m, 0, size))
            return "inclusion proofs"
        return run

    def consistency(self, m, size):
        def run():
            proof = json.loads(self.leat("inspect", "proof", "t", "--consistency", str(m), str(size)))
            self.check_proof(proof, self.tree.subproof(m, 0, size, True))
            return "consistency proofs"
        return run

    def points(self):
        choice, points = random.Random(self.options.seed), []
        for size in range(1, len(self.records) + 1):
            m = choice.randrange(size)
            points += [(f"root of {size}", self.root(size)), (f"proof of {m} in {size}", self.inclusion(m, size)),
                       (f"from {m + 1} to {size}", self.consistency(m + 1, size))]
        return points

    def self_test(self):
        proof = json.loads(self.leat("inspect", "proof", "t", "5", "--size", "100"))
        return [("the proof of another record", lambda: self.check_proof(proof, self.tree.path(6, 0, 100))),
                ("the proof of another size", lambda: self.check_proof(proof, self.tree.path(5, 0, 101)))]


class Mutations(Commands):
    def __init__(self, directory, options):
        self.options, self.directory = options, os.path.join(directory, "mutations")
        os.mkdir(self.directory)
        self.environment = {**os.environ, "LEAT_DATA_DIR": os.path.join(self.directory, "data"), "LEAT_CONFIG": "/dev/null"}
        self.leat("topic", "create", "t")
        self.leat("produce", "t", "--key-separator", ":", "-H", "h=v", given=keyed(21))
        key = self.place("key")
        self.leat("inspect", "keygen", "example.com/t", "--out", key)
        for name, size in (("new", "21"), ("old", "13")):
            self.keep(name, self.leat("inspect", "checkpoint", "t", "--size", size, "--sign", key))
        known = ["--checkpoint", self.place("new"), "--key", key + ".pub"]
        self.proofs = {"inclusion": (self.leat("inspect", "proof", "t", "17"), known),
                       "consistency": (self.leat("inspect", "proof", "t", "--consistency", "13", "21"),
                                       known + ["--old-checkpoint", self.place("old")])}
        for kind, (text, _) in self.proofs.items():
            expect(self.verify(kind, text)[0] == 0, f"the {kind} proof as it is: {self.verify(kind, text)}")

    def place(self, name):
        return os.path.join(self.directory, name)

    def keep(self, name, text):
        with open(self.place(name), "wb") as file:
            file.write(text)

    def verify(self, kind, text):
        self.keep("proof", text)
        arguments = ["inspect", "proof", "--verify", self.place("proof"), *self.proofs[kind][1]]
        done = subprocess.run([LEAT, *arguments], env=self.environment, capture_output=True, stdin=subprocess.DEVNULL)
        return done.returncode, done.stderr

    def rejected(self, kind, text):
        status, said = self.verify(kind, text)
        expect(status == 65 and b"leat: error:" in said, f"status {status} for a changed proof: {said[-200:]!r}: {text!r}")

    def points(self):
        def point(kind, text):
            def run():
                self.rejected(kind, text)
                return f"{kind} proofs rejected"
            return run
        points = []
        for kind, (text, _) in self.proofs.items():
            body = text.rstrip(b"\n")
            points += [(f"{kind} proof, bit {bit}", point(kind, flipped(body, bit))) for bit in range(8 * len(body))]
            points += [(f"{kind} proof, cut at {cut}", point(kind, body[:cut])) for cut in range(len(body))]
            proof = json.loads(text)
            for name in ("index", "tree_size", "old_size", "partition"):
                for value in {proof.get(name, 0) + step for step in range(-40, 41)} - {proof.get(name)} if name in proof else ():
                    points.append((f"{kind} proof, {name} {value}", point(kind, json.dumps({**proof, name: value}).encode())))
            paths = [proof["path"][:-1], proof["path"][1:], proof["path"] + proof["path"][-1:], proof["path"][::-1], []]
            points += [(f"{kind} proof, path {n}", point(kind, json.dumps({**proof, "path": path}).encode()))
                       for n, path in enumerate(paths)]
        return points

    def self_test(self):
        return [(f"a {kind} proof that is accepted", lambda kind=kind, text=text: self.rejected(kind, text))
                for kind, (text, _) in self.proofs.items()]


def flipped(text, bit):
    changed = bytearray(text)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


SWEEPS = {"library": Library, "commands": Commands, "mutations": Mutations}


def main(arguments=None):
    parser = parser_of("Proofs against RFC 6962.", SWEEPS)
    parser.add_argument("--sizes", type=int, default=1024, help="all sizes up to this")
    options = parsed(parser, SWEEPS, arguments)
    sys.setrecursionlimit(10_000)
    if not os.path.exists(os.path.join(BUILD, "libcore/libleat.a")):
        print(f"no libleat.a in {BUILD}")
        return 77
    return run_sweeps(SWEEPS, 22, options, "leat-proofs-", __file__)


if __name__ == "__main__":
    sys.exit(main())
