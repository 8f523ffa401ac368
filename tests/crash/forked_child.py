#!/usr/bin/python3
"""A forked child outlives its parent: row 17 of the scorecard.

    tests/crash/forked_child.py [--rounds N] [--seconds N] [--seed N] [--results FILE] [--self-test]

leat itself starts no other programs; a program that embeds the library may. One that appends without a pause on a thread, and is
a member of a group, starts a child at a random moment, and is killed. The child lives on. Nothing that the parent held may still
be held: the next producer appends at once, another member gets the partitions and goes on at what was committed.

    exec    the child becomes another program at once, as with system() and posix_spawn()
    bare    it stays what it is, a copy of its parent with all its descriptors
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scenarios"))
import results  # noqa: E402
from processes import LEAT, ROOT  # noqa: E402
from writing_commands import Wrong, expect  # noqa: E402

SKIPPED = 77
BUILD = os.environ.get("LEAT_BUILD", os.path.join(ROOT, "build"))
PARTITIONS = 3
COMMITTED = 2  # of each partition
PROGRAM = r"""
#include <leat/backend/backend.h>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>

namespace {

// Commits `count` records of each partition, then holds on to them.
leat::Result<std::unique_ptr<leat::GroupReader>> become_member(leat::Backend& backend, int partitions, std::int64_t count) {
  leat::GroupOptions options;
  options.read = {.topics = {{.topic = "t"}}, .start = {leat::StartAt::Kind::beginning}};
  options.strategy = leat::OffsetStrategy::manual;
  auto member = TRY(backend.join_group("g", options));
  std::map<int, bool> done;
  while (static_cast<int>(done.size()) < partitions) {
    const auto fetch = TRY(member->next(leat::Milliseconds(100)));
    if (fetch.records.empty()) continue;
    leat::Position position = fetch.position;
    position.next = leat::Offset{count};
    TRY(member->commit({&position, 1}));
    done[fetch.position.partition.value] = true;
  }
  return member;
}

leat::Result<void> append_without_a_pause(leat::Backend& backend) {
  const auto producer = TRY(backend.open_producer("t", {.partition = leat::PartitionId{0}}));
  for (;;) {
    TRY(producer->send({.value = "more"}));
    TRY(producer->flush());
  }
}

void live_on(const std::string& kind) {
  if (kind == "leaky")
    for (int fd = 3; fd < 256; ++fd) ::fcntl(fd, F_SETFD, 0);
  if (kind == "bare")
    for (;;) ::pause();
  ::execlp("sleep", "sleep", "600", static_cast<char*>(nullptr));
  ::_exit(1);
}

leat::Result<void> run(const std::string& directory, const std::string& kind, int partitions, int count, int after_us) {
  const auto backend = TRY(leat::open_backend(directory, {}));
  const auto member = TRY(become_member(*backend, partitions, count));
  std::thread([&] {
    if (auto ended = append_without_a_pause(*backend); !ended) std::fprintf(stderr, "%s\n", ended.error().message.c_str());
  }).detach();
  std::this_thread::sleep_for(std::chrono::microseconds(after_us));
  // The bare call knows of no handlers.
  const pid_t child = kind == "leaky" ? static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)) : ::fork();
  if (child == 0) live_on(kind);
  std::printf("%d\n", static_cast<int>(child));
  std::fflush(stdout);
  for (;;) ::pause();
}

}  // namespace

int main(int, char** argv) {
  const auto done = run(argv[1], argv[2], std::atoi(argv[3]), std::atoi(argv[4]), std::atoi(argv[5]));
  if (!done) std::fprintf(stderr, "%s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
"""


def why_not():
    if os.environ.get("LEAT_SANITIZER"):
        return "the library under test is instrumented, and this compiles against one that is not"
    for tool in ("g++", "pkg-config"):
        if not shutil.which(tool):
            return f"{tool} is not installed"
    return None if os.path.exists(os.path.join(BUILD, "libcore/libleat.a")) else f"there is no {BUILD}/libcore/libleat.a"


def compiled(directory):
    source, program = os.path.join(directory, "program.cc"), os.path.join(directory, "program")
    with open(source, "w", encoding="ascii") as file:
        file.write(PROGRAM)
    environment = {**os.environ, "PKG_CONFIG_PATH": os.path.join(BUILD, "meson-uninstalled")}
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "leat-uninstalled"], env=environment, check=True,
                           capture_output=True, text=True).stdout.split()
    subprocess.run(["g++", "-std=c++2b", "-Wall", "-Wextra", f"-I{BUILD}/include", source, *flags, "-o", program], check=True)
    return program


class Round:
    """One parent, its child, and those who come after them."""

    def __init__(self, directory, program, kind, after_us):
        self.directory = os.path.join(directory, "data")
        shutil.rmtree(self.directory, ignore_errors=True)
        self.leat("topic", "create", "t", "-p", str(PARTITIONS))
        for partition in range(PARTITIONS):
            self.leat("produce", "t", "-p", str(partition), given="".join(f"{partition}-{n}\n" for n in range(5)))
        self.parent = subprocess.Popen([program, self.directory, kind, str(PARTITIONS), str(COMMITTED), str(after_us)],
                                       stdout=subprocess.PIPE, text=True)
        line = self.parent.stdout.readline()
        expect(line, f"the program ended with {self.parent.wait() if not line else 0}")
        self.child = int(line)

    def leat(self, *arguments, given="", seconds=30):
        try:
            done = subprocess.run([LEAT, "-D", self.directory, "--lock-timeout", "2s", *arguments], input=given, text=True,
                                  capture_output=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired as late:
            raise Wrong(f"leat {' '.join(arguments)} waits for ever, so far it printed {late.stdout}") from None
        expect(done.returncode == 0, f"leat {' '.join(arguments)}: status {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def next_ones(self):
        """What the next producer and the next member meet once the parent is dead; returns how long they took."""
        self.parent.send_signal(signal.SIGKILL)
        self.parent.wait()
        expect(os.path.exists(f"/proc/{self.child}"), "the child has not outlived its parent: this shows nothing")
        started = time.monotonic()
        for partition in range(PARTITIONS):
            self.leat("produce", "t", "-p", str(partition), given="next\n")
        described = json.loads(self.leat("consumer", "describe", "g", "-O", "json"))
        members = [m for entry in described for m in entry.get("members", [])]
        expect(not members, f"a dead member is listed: {members}")
        values = self.leat("consume", "t", "-c", "g", "-d", "-F", "{{partition}} {{offset}}", seconds=8).splitlines()
        firsts = {}
        for partition, offset in (line.split() for line in values):
            firsts.setdefault(int(partition), int(offset))
        expect(firsts == {partition: COMMITTED for partition in range(PARTITIONS)}, f"the next member goes on at {firsts}")
        return time.monotonic() - started

    def end(self):
        for pid in (self.child, self.parent.pid if self.parent.poll() is None else None):
            if pid is not None and os.path.exists(f"/proc/{pid}"):
                os.kill(pid, signal.SIGKILL)
        self.parent.wait()
        self.parent.stdout.close()


def one(directory, program, kind, after_us):
    """Seconds until all went on; raises Wrong."""
    happened = Round(directory, program, kind, after_us)
    try:
        return happened.next_ones()
    finally:
        happened.end()


def run(directory, program, kind, options):
    started = time.monotonic()
    source = random.Random(options.seed)
    rounds, slowest, violations = 0, 0.0, []
    while rounds < options.rounds and not (options.seconds and time.monotonic() - started > options.seconds):
        rounds += 1
        after_us = source.randrange(20000)
        try:
            slowest = max(slowest, one(directory, program, kind, after_us))
        except Wrong as wrong:
            violations.append(str(wrong))
            if len(violations) <= 5:
                print(f"{kind}, after {after_us} us: {str(wrong)[:300]}", flush=True)
    print(f"forked child, {kind}: {rounds} rounds, {len(violations)} violations, slowest {slowest * 1000:.0f} ms, "
          f"{time.monotonic() - started:.0f} s", flush=True)
    if options.results:
        results.write(options.results, 17, f"forked child, {kind}", rounds, len(violations), slowest, options.seed,
                      f"tests/crash/forked_child.py {kind} --seed {options.seed} --rounds {options.rounds}")
    return not violations


def self_test(directory, program):
    """A child that keeps everything open must be found."""
    try:
        one(directory, program, "leaky", 3000)
    except Wrong as wrong:
        print(f"   descriptors that live on: found: {str(wrong)[:200]}")
        return True
    print("   descriptors that live on: NOT FOUND")
    return False


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Kills programs whose children live on.")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="exec, bare; both by default")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seconds", type=float, help="end each kind after this long")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("LEAT_SEED", random.SystemRandom().randrange(10**6))))
    parser.add_argument("--results", help="append a row for each kind to this file")
    parser.add_argument("--self-test", action="store_true", help="show that a lock that is held on is found, and end")
    options = parser.parse_args(arguments)
    if set(options.kinds) - {"exec", "bare"}:
        parser.error("a KIND is exec or bare")
    if why_not():
        print(why_not())
        return SKIPPED
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="leat-fork-") as directory:
        program = compiled(directory)
        if options.self_test:
            return 0 if self_test(directory, program) else 1
        return 0 if all([run(directory, program, kind, options) for kind in options.kinds or ("exec", "bare")]) else 1


if __name__ == "__main__":
    sys.exit(main())
