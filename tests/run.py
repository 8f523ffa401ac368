#!/usr/bin/python3
"""Runs every kind of test against one build directory and ends with `N passed, N failed`.

    tests/run.py --build build [--only PATTERN] [--accept] [--jobs N] [--sanitizer asan|tsan|coverage] [--list]

Kinds, and how their names begin:
    unit/        each test case of the doctest programs, counted by doctest
    cli/         tests/cli/<command>/<name>.test, see tests/cli/case.py
    table/       tests/cli/coverage.tsv: every row of the command line's specification has a test
    readme/      the tour of README.md, command by command
    man/         every man page renders without a complaint
    scenario/, crash/, interop/, embed/, completions/, store/, process/, pipe/    executables that succeed or fail as a whole: tests/<kind>/test_*
"""

import argparse
import concurrent.futures
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "cli"))
import case  # noqa: E402
import readme  # noqa: E402
import table  # noqa: E402

SCRIPT_KINDS = {"scenarios": "scenario", "crash": "crash", "interop": "interop", "embed": "embed", "completions": "completions",
                "fuzz": "fuzz", "bench": "bench",
                "kafka": "kafka", "store": "store", "process": "process", "pipe": "pipe"}
# These measure times, and run when all others have ended.
ALONE = {"crash/takeover"}
# Scripts exit with this when something they need is not there; their last line of output says what.
SKIPPED = 77
WITH_THREADS = (r"unit/unit|cli/(produce|consume|copy|store|process)/|scenario/(fluvio|map_reduce|store)|crash/(groups_chaos|hostile_http)|"
                r"store/(growth|http|kills|replicas)|process/(chaos|command)|pipe/(http_sink|clickhouse_sink|early)")
LAST_LINES = 15  # of a failed test, shown at the end


class Result:
    """What came of one test, or of one program that holds several."""

    def __init__(self, name, passed=0, failed=0, skipped="", output="", note=""):
        self.name, self.passed, self.failed = name, passed, failed
        self.skipped, self.output, self.note = skipped, output, note
        self.seconds = 0.0


class Suite:
    def __init__(self, options, directory):
        self.options = options
        self.build = os.path.abspath(options.build)
        self.directory = directory
        self.leat = os.path.join(directory, "bin", "leat")
        os.mkdir(os.path.dirname(self.leat))
        os.chmod(directory, 0o755)
        # A copy that other users may run, and that a rebuild in the meantime does not replace.
        shutil.copy2(os.path.join(self.build, "leat"), self.leat)
        os.chmod(self.leat, 0o755)

    def tests(self):
        """(name, weight, function) of every test; the heavy ones are started first."""
        found = []
        for name, command in self.unit_programs():
            found.append((f"unit/{name}", 50, lambda n=f"unit/{name}", c=command: self.run_unit(n, c)))
        for path in case.find(os.path.join(ROOT, "tests", "cli")):
            name = "cli/" + path[: -len(".test")]
            found.append((name, 1, lambda n=name, p=path: self.run_case(n, p)))
        for folder, kind in SCRIPT_KINDS.items():
            for path in self.scripts(folder):
                name = kind + "/" + re.sub(r"^test_|\.\w+$", "", os.path.basename(path))
                found.append((name, 100, lambda n=name, p=path: self.run_script(n, p)))
        found.append(("table/coverage", 1, self.run_table))
        found.append(("readme/tour", 10, self.run_readme))
        for page in sorted(os.listdir(os.path.join(ROOT, "man"))):
            if re.search(r"\.[1-8]$", page):
                found.append((f"man/{page}", 0, lambda p=page: self.run_man_page(p)))
        return found

    def scripts(self, folder):
        directory = os.path.join(ROOT, "tests", folder)
        if not os.path.isdir(directory):
            return []
        names = sorted(n for n in os.listdir(directory) if n.startswith("test_"))
        paths = [os.path.join(directory, n) for n in names]
        return [p for p in paths if os.access(p, os.X_OK) and os.path.isfile(p)]

    def unit_programs(self):
        shown = subprocess.run(["meson", "introspect", "--tests", self.build], capture_output=True, text=True)
        if shown.returncode:
            sys.exit(f"tests/run.py: meson does not know the tests of {self.build}: {shown.stdout}")
        return [(t["name"], t["cmd"]) for t in json.loads(shown.stdout)]

    def environment(self, directory):
        """What a test sees: a home of its own, the leat under test first on its path, nothing of the user's."""
        keep = {k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS") or k.startswith(("GCOV_", "LEAT_TEST_"))}
        # What was loaded once, for tests that need it.
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        return {
            "LEAT_TEST_CACHE": cache,
            **keep,
            "PATH": os.path.dirname(self.leat) + ":" + os.path.join(ROOT, "tests/cli/support") + ":/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": os.path.join(directory, "home"),
            "TMPDIR": os.path.join(directory, "tmp"),
            "LEAT_DATA_DIR": os.path.join(directory, "data"),
            "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC", "TERM": "dumb",
            "LEAT": self.leat, "LEAT_BUILD": self.build, "LEAT_ROOT": ROOT,
            "LEAT_SANITIZER": self.options.sanitizer,
        }

    def workspace(self):
        """A fresh directory with a home, a place for temporary files and a working directory; no data directory yet."""
        directory = tempfile.mkdtemp(dir=self.directory)
        os.chmod(directory, 0o755)
        for name in ("home", "tmp", "work"):
            os.mkdir(os.path.join(directory, name))
        return directory

    def run_case(self, name, path):
        directory = self.workspace()
        full = os.path.join(ROOT, "tests", "cli", path)
        outcome = case.run(full, directory, self.environment(directory), accept=self.options.accept,
                           slow=4 if self.options.sanitizer else 1)
        self.discard(directory)
        return Result(name, int(not outcome.failure and not outcome.skipped), int(bool(outcome.failure)), outcome.skipped,
                      outcome.failure)

    def run_script(self, name, path):
        directory = self.workspace()
        with open(os.path.join(directory, "output"), "w+b") as output:
            # A session of its own, so that nothing it started outlives it.
            process = subprocess.Popen([path], cwd=os.path.join(directory, "work"), env=self.environment(directory),
                                       stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
            try:
                status = process.wait(timeout=900 if self.options.sanitizer else 240)
                late = ""
            except subprocess.TimeoutExpired:
                late = "it did not end within its time\n"
                status = -1
            finally:
                case.end_session(process)
            output.seek(0)
            text = output.read().decode("utf-8", "backslashreplace")
        self.discard(directory)
        if status == SKIPPED:
            return Result(name, skipped=(text.strip().splitlines() or ["it says not why"])[-1])
        return Result(name, int(status == 0), int(status != 0), note=text.strip(), output=f"{text}{late}[status {status}]")

    def run_unit(self, name, command):
        # The contract's cases want a cluster to themselves: kafka/cluster gives it them, here they have the mock.
        environment = self.environment(self.workspace())
        environment.pop("LEAT_TEST_KAFKA", None)
        done = subprocess.run(command, cwd=self.directory, env=environment, capture_output=True, stdin=subprocess.DEVNULL)
        text = (done.stdout + done.stderr).decode("utf-8", "backslashreplace")
        counts = re.search(r"test cases:\s*(\d+)\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed", text)
        passed, failed = (int(counts[2]), int(counts[3])) if counts else (0, 1)
        if done.returncode and not failed:
            failed = 1
        if not passed and not failed:
            failed, text = 1, text + "no test case ran\n"
        return Result(name, passed, failed, output=text if failed else "")

    def run_table(self):
        complaints, later = table.check(os.path.join(ROOT, "tests", "cli", "coverage.tsv"),
                                        [name for name, _, _ in self.tests()])
        return Result("table/coverage", int(not complaints), int(bool(complaints)), output="\n".join(complaints),
                      note=f"{later} rows of the specification belong to later issues")

    def run_readme(self):
        directory = self.workspace()
        complaint = readme.check(os.path.join(ROOT, "README.md"), directory, self.environment(directory))
        self.discard(directory)
        return Result("readme/tour", int(not complaint), int(bool(complaint)), output=complaint)

    def run_man_page(self, page):
        name = f"man/{page}"
        if not shutil.which("groff"):
            return Result(name, skipped="groff is not installed")
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", os.path.join(ROOT, "man", page)],
                              capture_output=True, text=True)
        complaint = done.stderr.strip()
        return Result(name, int(not complaint), int(bool(complaint)), output=complaint)

    def discard(self, directory):
        if not self.options.keep:
            shutil.rmtree(directory, ignore_errors=True)


def chosen(suite):
    """The tests that --only and --sanitizer leave over, the heavy ones first."""
    tests = suite.tests()
    if suite.options.sanitizer in ("asan", "tsan", "coverage"):
        # These look at text alone, or compile against what is not instrumented.
        tests = [t for t in tests if not t[0].startswith(("man/", "embed/", "completions/"))]
    if suite.options.sanitizer == "tsan":
        # Everything that runs more than one thread, but for librdkafka, whose way to start threads the runtime does not know.
        tests = [t for t in tests if re.match(WITH_THREADS, t[0])]
    if suite.options.only:
        tests = [t for t in tests if suite.options.only in t[0]]
    return sorted(tests, key=lambda t: -t[1])


def main():
    # A shell starts what runs in its background with interrupts ignored, and programs under test would keep to that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(description="Runs the tests.")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--only", help="run the tests whose name holds this")
    parser.add_argument("--accept", action="store_true", help="rewrite what the cli cases expect from what they got")
    parser.add_argument("--jobs", type=int, default=max(2, len(os.sched_getaffinity(0))))
    parser.add_argument("--sanitizer", default="", choices=["", "asan", "tsan", "coverage"])
    parser.add_argument("--keep", action="store_true", help="leave the tests' directories")
    parser.add_argument("--list", action="store_true", help="only name the tests")
    options = parser.parse_args()
    if not os.access(os.path.join(options.build, "leat"), os.X_OK):
        sys.exit(f"tests/run.py: there is no {options.build}/leat; build it first: ./dev build")

    directory = tempfile.mkdtemp(prefix="leat-tests-")
    started = time.monotonic()
    try:
        suite = Suite(options, directory)
        tests = chosen(suite)
        if options.list:
            print("\n".join(sorted(name for name, _, _ in tests)))
            return 0
        if not tests:
            sys.exit(f"tests/run.py: no test's name holds '{options.only}'")
        results = run_all(tests, options.jobs)
    finally:
        if not options.keep:
            shutil.rmtree(directory, ignore_errors=True)
    return report(results, time.monotonic() - started)


def run_all(tests, jobs):
    def timed(function):
        started = time.monotonic()
        result = function()
        result.seconds = time.monotonic() - started
        return result

    alone = [test for test in tests if test[0] in ALONE]
    if alone and len(alone) < len(tests):
        return run_all([test for test in tests if test[0] not in ALONE], jobs) + run_all(alone, 1)
    results = []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        waiting = {pool.submit(timed, function): name for name, _, function in tests}
        for future in concurrent.futures.as_completed(waiting):
            try:
                result = future.result()
            except Exception as error:  # the harness's own failure is a failed test, not a lost one
                result = Result(waiting[future], failed=1, output=f"{type(error).__name__}: {error}")
            results.append(result)
            if result.failed:
                print(f"FAILED {result.name}\n" + re.sub(r"(?m)^", "   | ", result.output.rstrip()), flush=True)
            elif not result.skipped and (result.note or result.seconds > 2):
                print(f"   {result.name}: {result.passed} passed in {result.seconds:.0f} s", flush=True)
                if result.note:
                    print(re.sub(r"(?m)^", "      ", result.note), flush=True)
    return results


def report(results, seconds):
    skipped = [r for r in results if r.skipped]
    for result in sorted(skipped, key=lambda r: r.name):
        print(f"skipped {result.name}: {result.skipped}")
    failed = sorted((r for r in results if r.failed), key=lambda r: r.name)
    for result in failed:  # once more, for those who see no more than the end
        print(f"failed {result.name}: " + "\n   | ".join(["", *result.output.rstrip().splitlines()[-LAST_LINES:]]).lstrip())
    kinds = {}
    for result in results:
        kind = result.name.split("/")[0]
        before = kinds.get(kind, (0, 0))
        kinds[kind] = (before[0] + result.passed, before[1] + result.failed)
    for kind, (passed, wrong) in sorted(kinds.items()):
        print(f"   {kind}: {passed} passed, {wrong} failed")
    print(f"   {len(skipped)} skipped; {seconds:.0f} s")
    print(f"{sum(r.passed for r in results)} passed, {sum(r.failed for r in results)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
