#!/usr/bin/python3
"""Fuzzes every decoder, every framing and sequences of operations, with ASan and UBSan: rows 25 to 32 of the scorecard.

    tests/fuzz/run.py [--smoke] [--seconds N | --runs N | --coverage | --merge DIRECTORY] [--target WORD]... [--jobs N]
                      [--seed N] [--results FILE]

    --smoke       replays the kept corpora and some seeded changes of them, built with g++ (the default)
    --seconds N   fuzzes each target for so long with libFuzzer (clang++-19), from its corpus on
    --runs N      the same for so many executions
    --bare        without ASan and UBSan: the targets' own assertions only, and several times as many executions a second
    --coverage    replays the corpora and prints how much of each decoder they reach
    --merge DIR   makes the kept corpora anew: the least of themselves and of DIR/<target>/ that reaches as much

A corpus is one file, corpus/<target>.pack: { length u32 big-endian, bytes } for each input. What a run of libFuzzer finds goes
to DIRECTORY/<target>/ with --keep DIRECTORY, from where it goes on the next time; else it is forgotten. An input that ends a
target is kept in the build directory's findings/ and named.

Everything is built below LEAT_BUILD (or build/), in fuzz/<kind of build>/; what has not changed is not built again. All kinds
read and search in small blocks (LEAT_SMALL_BLOCKS, libcore/log/blocks.h), so that the small files of the targets span several.
"""

import argparse
import concurrent.futures
import dataclasses
import glob
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "crash"))
import results  # noqa: E402

SKIPPED = 77
INPUTS_MAX, BYTES_MAX = 300, 100_000  # of a kept corpus


@dataclasses.dataclass
class Target:
    name: str
    row: int
    max_len: int
    covers: list  # the source files it is about
    mutations: int = 3000  # in the smoke
    reads_words: bool = False  # which are found by looking at what the input is compared with


TARGETS = [
    Target("batch", 25, 512, ["libcore/log/batch.cc", "libcore/base/bytes.h"]),
    Target("batch_fields", 25, 512, ["libcore/log/batch_fields.cc"]),
    Target("segment", 25, 256, ["libcore/log/segment.cc", "libcore/log/recovery.cc", "libcore/log/survey.cc"], 1000),
    Target("codec", 26, 512, ["libcore/log/codec.cc"]),
    Target("index", 27, 256, ["libcore/log/segment_index.cc", "libcore/log/index_watch.h"], 500),
    Target("state_files", 28, 512, ["libcore/group/offsets.cc", "libcore/log/partition_state.cc", "libcore/log/log_start.cc",
                                    "libcore/log/named_producer.cc", "libcore/log/producer_state.cc",
                                    "libcore/base/checked_slots.h"], 500),
    Target("snapshot", 28, 512, ["libcore/store/snapshot_format.cc", "libcore/store/changelog.cc", "tools/json_keys.cc",
                                 "tools/url_text.cc"]),
    Target("toml", 29, 512, ["libcore/base/toml.cc", "tools/config.cc", "libcore/log/topic_settings.cc"], 1000, reads_words=True),
    Target("pipeline", 29, 768, ["libcore/pipe/pipeline_file.cc", "libcore/pipe/settings_table.cc", "libcore/pipe/http_options.cc",
                                 "libcore/pipe/clickhouse_options.cc", "libcore/pipe/http_target.cc"], 1000, reads_words=True),
    Target("merkle", 30, 512, ["libcore/proof/merkle.cc"], 500),
    Target("checkpoint", 30, 1024, ["libcore/proof/checkpoint.cc"], 500, reads_words=True),
    Target("proof_file", 30, 2048, ["tools/proof_file.cc"], reads_words=True),
    Target("tree_file", 30, 512, ["libcore/proof/tree_file.cc"], 500),
    Target("framing", 31, 256, ["tools/input_framing.cc"], reads_words=True),
    Target("frames", 31, 256, ["libcore/pipe/framing.cc"], reads_words=True),
    Target("json_record", 31, 512, ["libcore/pipe/json_record.cc"], reads_words=True),
    Target("envelope", 31, 512, ["libcore/pipe/envelope.cc", "tools/json_text.cc", "tools/record_output.cc"], reads_words=True),
    Target("text", 31, 256, ["libcore/base/units.cc", "libcore/log/file_names.cc", "tools/offsets_file.cc",
                             "libcore/pipe/record_template.cc", "libcore/base/text.cc"], reads_words=True),
    Target("operations", 32, 256, ["libcore/log/partition.cc", "libcore/log/partition_recovery.cc", "libcore/log/partition_sync.cc",
                                   "libcore/log/partition_reader.cc", "libcore/log/maintenance.cc"], 150),
]

# The library's sources that the targets reach, and those of the tools without the command line.
LIBRARY = ["base", "proof", "log", "group"]
BACKEND = ["derived_writer"]
STORE = ["changelog", "snapshot_format"]
PIPE = """builtin child_process clickhouse_options command_sink envelope file_sink framing http_options http_target json_check
    json_field json_record line_format pipeline_file program quiet_write record_template retry secret settings_table sink_kinds
    stream_sink topic_sink""".split()
TOOLS = ["config", "hex_dump", "input_framing", "input_source", "interrupt", "json_keys", "json_text",
         "offsets_file", "output", "proof_file", "record_output", "url_text"]
FLAGS = ["-std=c++2b", "-pthread", "-DNDEBUG", "-DLEAT_SMALL_BLOCKS", "-D_FILE_OFFSET_BITS=64",
         "-DFMT_STATIC_THOUSANDS_SEPARATOR=44", "-I" + ROOT]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
LIBS = ["-llz4", "-lzstd", "-lsodium"]
# toml++ 3.3 marks as unreachable what any letter from U+00A1 to U+0499 outside of quotes reaches; the other one needs its
# constants folded. The changelog and the sink topic call a Backend, whose implementations are none of what is linked here: where
# calls of virtual functions are checked, they would need the type information that comes with it. RapidJSON's stack adds to a null
# pointer while it is empty, to compare it with its end.
SPECIAL = {"libcore/base/toml.cc": ["-fno-sanitize=unreachable"], "libcore/proof/sha256_x86.cc": ["-O1"],
           "libcore/store/changelog.cc": ["-fno-sanitize=vptr"], "libcore/pipe/topic_sink.cc": ["-fno-sanitize=vptr"],
           **dict.fromkeys(["tools/json_keys.cc", "libcore/pipe/json_field.cc", "libcore/pipe/json_check.cc"],
                           ["-fno-sanitize=pointer-overflow"])}
HEADERS = """algorithm array atomic charconv chrono cstdint cstring expected filesystem fstream functional map memory optional
    random span string string_view variant vector fmt/format.h""".split()


class Wrong(Exception):
    """Something that should have worked did not."""


@dataclasses.dataclass
class Kind:
    """A way to build the targets."""
    name: str
    compiler: str
    flags: list  # of every source
    link: list  # besides those
    main: str  # source of main(), unless libFuzzer has it

    @property
    def header(self):
        return "prefix.h.gch" if self.compiler.startswith("g++") else "prefix.h.pch"


FUZZED = ["-O2", "-g1", "-fno-omit-frame-pointer", *SANITIZE]
BARE = ["-O2", "-g1"]
KINDS = {
    "smoke": Kind("smoke", "g++", ["-O0", "-g0", *SANITIZE], [], "replay.cc"),
    "words": Kind("words", "clang++-19", [*FUZZED, "-fsanitize=fuzzer-no-link"], ["-fsanitize=fuzzer"], ""),
    # Without a call at each comparison, which takes half of the time where bytes are looked at one by one.
    "counters": Kind("counters", "clang++-19", [*FUZZED, "-fsanitize-coverage=inline-8bit-counters,pc-table"],
                     ["-fsanitize=fuzzer"], ""),
    # By the targets' own assertions alone.
    "bare-words": Kind("bare-words", "clang++-19", [*BARE, "-fsanitize=fuzzer-no-link"], ["-fsanitize=fuzzer"], ""),
    "bare-counters": Kind("bare-counters", "clang++-19", [*BARE, "-fsanitize-coverage=inline-8bit-counters,pc-table"],
                          ["-fsanitize=fuzzer"], ""),
    "coverage": Kind("coverage", "clang++-19", ["-O0", "-fprofile-instr-generate", "-fcoverage-mapping"], [], "replay.cc"),
}


class Build:
    """The targets built in one way, each object again only when a file it was made from is newer."""

    def __init__(self, kind, jobs):
        self.kind, self.jobs = kind, jobs
        self.directory = os.path.join(build_directory(), kind.name)
        os.makedirs(os.path.join(self.directory, "include"), exist_ok=True)
        link = os.path.join(self.directory, "include", "leat")
        if not os.path.islink(link):
            os.symlink(os.path.join(ROOT, "libcore"), link)
        self.flags = [*FLAGS, *kind.flags, "-I" + os.path.join(self.directory, "include")]

    def run(self, command):
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.directory)
        if done.returncode:
            raise Wrong(f"{' '.join(command)}\n{done.stdout}{done.stderr}")

    def is_new(self, target, sources):
        if not os.path.exists(target):
            return False
        made = os.stat(target).st_mtime
        return all(os.path.exists(s) and os.stat(s).st_mtime <= made for s in sources)

    def made_from(self, path):
        """What a compilation read, as it noted itself."""
        if not os.path.exists(path):
            return ["/does-not-exist"]
        with open(path, encoding="utf-8") as file:
            words = file.read().replace("\\\n", " ").split()
        return [os.path.join(self.directory, w) for w in words if not w.endswith(":")]

    def make_header(self):
        """The standard headers, compiled once."""
        plain = os.path.join(self.directory, "prefix.h")
        compiled = os.path.join(self.directory, self.kind.header)
        text = "".join(f"#include <{name}>\n" for name in HEADERS)
        if not os.path.exists(plain) or open(plain, encoding="utf-8").read() != text:
            with open(plain, "w", encoding="utf-8") as file:
                file.write(text)
        if not self.is_new(compiled, [plain, os.path.abspath(__file__)]):
            self.run([self.kind.compiler, *self.flags, "-x", "c++-header", plain, "-o", compiled])
        if self.kind.compiler.startswith("g++"):
            return ["-include", plain]
        return ["-include-pch", compiled]

    def compile(self, source, prefix):
        name = re.sub(r"\W", "_", os.path.relpath(source, ROOT))
        made = os.path.join(self.directory, name + ".o")
        notes = os.path.join(self.directory, name + ".d")
        if not self.is_new(made, [*self.made_from(notes), os.path.join(self.directory, self.kind.header)]):
            special = SPECIAL.get(os.path.relpath(source, ROOT), [])
            # What is compiled otherwise cannot use the compiled header.
            self.run([self.kind.compiler, *self.flags, *special, *([] if special else prefix), "-MMD", "-MF", notes,
                      "-c", source, "-o", made])
        return made

    def targets(self, names):
        """Builds those targets; the path of each."""
        prefix = self.make_header()
        library = [p for layer in LIBRARY for p in sorted(glob.glob(os.path.join(ROOT, "libcore", layer, "*.cc")))]
        library += [os.path.join(ROOT, "libcore", "backend", name + ".cc") for name in BACKEND]
        library += [os.path.join(ROOT, "libcore", "store", name + ".cc") for name in STORE]
        library += [os.path.join(ROOT, "libcore", "pipe", name + ".cc") for name in PIPE]
        library += [os.path.join(ROOT, "tools", name + ".cc") for name in TOOLS]
        own = {name: os.path.join(HERE, name + "_fuzz.cc") for name in names}
        extra = [os.path.join(HERE, self.kind.main)] if self.kind.main else []
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            sources = library + extra + list(own.values())
            objects = dict(zip(sources, pool.map(lambda s: self.compile(s, prefix), sources)))
            archive = os.path.join(self.directory, "libleat-fuzz.a")
            parts = [objects[s] for s in library]
            if not self.is_new(archive, parts):
                if os.path.exists(archive):
                    os.unlink(archive)
                self.run(["ar", "rcs", archive, *parts])
            programs = {name: os.path.join(self.directory, name) for name in names}

            def link(name):
                inputs = [objects[own[name]], *(objects[s] for s in extra), archive]
                if not self.is_new(programs[name], inputs):
                    self.run([self.kind.compiler, *self.flags, *inputs, *self.kind.link, *LIBS, "-o", programs[name]])

            list(pool.map(link, names))
        return programs


def build_directory():
    return os.path.join(os.environ.get("LEAT_BUILD") or os.path.join(ROOT, "build"), "fuzz")


def pack_of(name):
    return os.path.join(HERE, "corpus", name + ".pack")


def unpack(path):
    """The inputs of a kept corpus."""
    if not os.path.exists(path):
        return []
    with open(path, "rb") as file:
        data = file.read()
    inputs, at = [], 0
    while at + 4 <= len(data):
        size = int.from_bytes(data[at:at + 4], "big")
        inputs.append(data[at + 4:at + 4 + size])
        at += 4 + size
    return inputs


def pack(path, inputs):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".tmp", "wb") as file:
        for data in inputs:
            file.write(len(data).to_bytes(4, "big") + data)
    os.replace(path + ".tmp", path)


def write_files(directory, inputs):
    os.makedirs(directory, exist_ok=True)
    for number, data in enumerate(inputs):
        with open(os.path.join(directory, f"kept-{number:04}"), "wb") as file:
            file.write(data)


def environment(scratch):
    # Large blocks are used again at once, and small ones soon: else most of the time goes into fresh pages.
    return {**os.environ, "LEAT_FUZZ_DIR": scratch, "UBSAN_OPTIONS": "print_stacktrace=1:abort_on_error=1",
            "ASAN_OPTIONS": "quarantine_size_mb=1:thread_local_quarantine_size_kb=64:malloc_context_size=2:"
                            "allocator_release_to_os_interval_ms=-1"}


@dataclasses.dataclass
class Outcome:
    target: Target
    executions: int = 0
    operations: int = 0  # in them, of a target that counts its own
    findings: int = 0
    seconds: float = 0.0
    text: str = ""


def findings_directory():
    directory = os.path.join(build_directory(), "findings")
    os.makedirs(directory, exist_ok=True)
    return directory


def replay(program, target, options, scratch):
    """The kept corpus and changes of it."""
    artifact = os.path.join(findings_directory(), f"{target.name}-seed-{options.seed}")
    started = time.monotonic()
    corpus = [pack_of(target.name)] if os.path.exists(pack_of(target.name)) else []
    done = subprocess.run([program, "--mutations", str(target.mutations), "--seed", str(options.seed), "--artifact", artifact,
                           *corpus], capture_output=True, text=True, errors="backslashreplace", env=environment(scratch))
    runs = re.search(r"Done (\d+) runs", done.stdout)
    return Outcome(target, int(runs[1]) if runs else 0, 0, int(done.returncode != 0), time.monotonic() - started,
                   done.stdout + done.stderr)


def fuzz(program, target, options, scratch):
    """libFuzzer, from the kept corpus on."""
    with tempfile.TemporaryDirectory(dir=scratch) as work:
        write_files(os.path.join(work, "kept"), unpack(pack_of(target.name)))
        found = os.path.join(options.keep, target.name) if options.keep else os.path.join(work, "found")
        os.makedirs(found, exist_ok=True)
        limit = [f"-max_total_time={options.seconds}"] if options.seconds else [f"-runs={options.runs}"]
        command = ["nice", "-n", "15", program, *limit, f"-max_len={target.max_len}", f"-seed={options.seed}", "-timeout=60",
                   "-len_control=10", "-entropic=0", "-print_final_stats=1", "-verbosity=0", "-detect_leaks=0",
                   f"-use_value_profile={int(options.deep)}", f"-artifact_prefix={findings_directory()}/{target.name}-", found,
                   os.path.join(work, "kept")]
        started = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, errors="backslashreplace", env=environment(scratch))

    def told(what):
        found = re.search(rf"number_of_{what}:\s*(\d+)", done.stderr)
        return int(found[1]) if found else 0

    return Outcome(target, told("executed_units"), told("operations"), int(done.returncode != 0), time.monotonic() - started,
                   done.stderr)


def merge(program, target, options, scratch):
    """The least that reaches as much as the kept corpus and what was found since."""
    with tempfile.TemporaryDirectory(dir=scratch) as work:
        old, new = os.path.join(work, "old"), os.path.join(work, "new")
        write_files(old, unpack(pack_of(target.name)))
        os.mkdir(new)
        more = os.path.join(options.merge, target.name)
        done = subprocess.run([program, "-set_cover_merge=1", "-use_counters=0", f"-max_len={target.max_len}",
                               "-detect_leaks=0", new, old, *([more] if os.path.isdir(more) else [])],
                              capture_output=True, text=True, errors="backslashreplace", env=environment(scratch))
        if done.returncode:
            return Outcome(target, 0, 0, 1, 0.0, done.stderr)
        inputs = []
        for name in os.listdir(new):
            with open(os.path.join(new, name), "rb") as file:
                inputs.append(file.read())
    inputs.sort(key=lambda data: (len(data), data))
    kept = inputs
    while len(kept) > INPUTS_MAX or sum(map(len, kept)) > BYTES_MAX:
        kept = [data for number, data in enumerate(kept) if number % 10]
    pack(pack_of(target.name), kept)
    print(f"{target.name}: {len(kept)} of {len(inputs)} inputs kept, {sum(map(len, kept))} bytes", flush=True)
    return Outcome(target, len(inputs))


def report(outcome, options, how):
    operations = f" of {outcome.operations} operations" if outcome.operations else ""
    print(f"{outcome.target.name}: {outcome.executions} executions{operations} in {outcome.seconds:.0f} s, "
          f"{outcome.findings} findings", flush=True)
    if outcome.findings:
        print(re.sub(r"(?m)^", "   ", outcome.text[-6000:]), flush=True)
    if options.results:
        sweep = f"fuzz {outcome.target.name}" + (", long" if options.runs else f" ({how})")
        if outcome.operations:
            sweep += f": operations, in {outcome.executions} executions"
        results.write(options.results, outcome.target.row, sweep, outcome.operations or outcome.executions,
                      outcome.findings, None, options.seed, "tests/fuzz/run.py " + " ".join(sys.argv[1:]))


def show_coverage(build, programs, targets, scratch):
    """A line per decoder: how many of its lines and regions the kept corpora reach."""
    directory = tempfile.mkdtemp(dir=scratch)
    for target in targets:
        env = {**environment(scratch), "LLVM_PROFILE_FILE": os.path.join(directory, target.name + ".profraw")}
        build.run(["env", *(f"{k}={env[k]}" for k in ("LLVM_PROFILE_FILE", "LEAT_FUZZ_DIR")), programs[target.name],
                   *([pack_of(target.name)] if os.path.exists(pack_of(target.name)) else [])])
    data = os.path.join(directory, "all.profdata")
    build.run(["llvm-profdata-19", "merge", "-o", data, *glob.glob(os.path.join(directory, "*.profraw"))])
    objects = [word for target in targets[1:] for word in ("-object", programs[target.name])]
    sources = [os.path.join(ROOT, path) for target in targets for path in target.covers]
    shown = subprocess.run(["llvm-cov-19", "report", programs[targets[0].name], *objects, "-instr-profile", data, *sources],
                           capture_output=True, text=True)
    if shown.returncode:
        raise Wrong(shown.stderr)
    print(f"{'file':40} {'lines':>7} {'reached':>8} {'regions':>8} {'reached':>8}")
    for line in shown.stdout.splitlines():
        words = line.split()
        if len(words) >= 10 and (words[0].endswith((".cc", ".h")) or words[0] == "TOTAL"):
            regions, region_share, lines, line_share = words[1], words[3], words[7], words[9]
            name = next((os.path.relpath(s, ROOT) for s in sources if s.endswith(words[0])), words[0])
            print(f"{name:40} {lines:>7} {line_share:>8} {regions:>8} {region_share:>8}")


def is_meant(word, name):
    """Whether --target WORD is about that target: a whole name stands for itself alone."""
    return word == name if any(word == t.name for t in TARGETS) else word in name


def main(arguments):
    parser = argparse.ArgumentParser(description="Fuzzes the decoders.")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--seconds", type=int, default=0)
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--coverage", action="store_true")
    parser.add_argument("--merge", default="")
    parser.add_argument("--keep", default="")
    parser.add_argument("--deep", action="store_true", help="look at compared values, too (libFuzzer's value profile)")
    parser.add_argument("--target", action="append", help="the one of this name, or those whose name holds it")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("LEAT_SEED") or random.randrange(1, 1 << 31)))
    parser.add_argument("--results", default="")
    options = parser.parse_args(arguments)
    targets = [t for t in TARGETS if not options.target or any(is_meant(word, t.name) for word in options.target)]
    long = options.seconds or options.runs or options.merge

    def kind_of(target):
        if options.coverage or not long:
            return "coverage" if options.coverage else "smoke"
        return ("bare-" if options.bare else "") + ("words" if target.reads_words or options.deep else "counters")

    kinds = {name: [t.name for t in targets if kind_of(t) == name] for name in {kind_of(t) for t in targets}}
    needed = [*{KINDS[name].compiler for name in kinds}, *(["llvm-cov-19", "llvm-profdata-19"] if options.coverage else [])]
    missing = [tool for tool in needed if not shutil.which(tool)]
    if missing:
        print(f"{', '.join(missing)} not installed (clang-19, libclang-rt-19-dev, llvm-19)")
        return SKIPPED
    print(f"seed {options.seed}", flush=True)
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="leat-fuzz-", dir=base) as scratch:
        builds = {name: Build(KINDS[name], options.jobs) for name in kinds}
        programs = {}
        for name, wanted in kinds.items():
            programs.update(builds[name].targets(wanted))
        if options.coverage:
            show_coverage(builds["coverage"], programs, targets, scratch)
            return 0
        run, how = (merge, "merge") if options.merge else (fuzz, "libFuzzer") if long else (replay, "replay")
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            outcomes = pool.map(lambda t: run(programs[t.name], t, options, scratch), targets)
            failed = 0
            for outcome in outcomes:
                failed += outcome.findings
                if not options.merge or outcome.findings:
                    report(outcome, options, how)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Wrong as wrong:
        sys.exit(f"tests/fuzz/run.py: {wrong}")
