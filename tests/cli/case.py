"""One command-line case: a file that holds a shell script and what it must print.

    # needs: root mount          (optional; other words: loop strace fish zsh; release: not with sanitizers)
    leat topic create t
    --- stdout
    topic "t" created
    --- stderr
    --- status 0

The script runs in bash -eu -o pipefail with a fresh home, data directory ($LEAT_DATA_DIR, not made yet) and working
directory; stdin is empty. tests/cli/support is on its path. A missing stdout or stderr section means nothing may be
printed there, a missing status means 0. Before the comparison what differs from run to run is replaced: the case's directory
by $T, the tree's by $ROOT, recent times by TIME, recent millisecond timestamps by MS, ages in the table of consumers by AGE,
pids by PID and topic ids by ID. In what
is expected a line of [...] stands for any lines, and a line that begins with `re: ` is a regular expression for one.
`tests/run.py --accept --only NAME` writes what came into the file; read it before you keep it.
"""

import difflib
import os
import re
import shutil
import signal
import subprocess
import time


ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Outcome:
    def __init__(self, failure="", skipped=""):
        self.failure, self.skipped = failure, skipped


def find(directory):
    """Every case below `directory`, as a relative path, in order."""
    found = []
    for folder, _, names in os.walk(directory):
        found += [os.path.relpath(os.path.join(folder, n), directory) for n in names if n.endswith(".test")]
    return sorted(found)


def parse(text):
    """(script, {section: expected text}, status)."""
    parts = re.split(r"(?m)^--- (stdout|stderr|status -?\d+)\n", text if text.endswith("\n") else text + "\n")
    expected, status = {"stdout": "", "stderr": ""}, 0
    for heading, body in zip(parts[1::2], parts[2::2]):
        if heading.startswith("status"):
            status = int(heading.split()[1])
        else:
            expected[heading] = body
    return parts[0], expected, status


def missing_needs(script, sanitizer):
    """Why the case cannot run here, or ''."""
    match = re.search(r"(?m)^# needs: (.*)$", script)
    for need in match[1].split() if match else []:
        if need in ("root", "mount") and os.geteuid() != 0:
            return "it must be root to mount or change user"
        if need == "release" and sanitizer:
            return "it looks at the release binary only"
        if need == "mount" and not can_mount():
            return "this machine lets nobody mount a file system here"
        if need in ("fish", "zsh", "strace") and not shutil.which(need):
            return f"{need} is not installed"
        if need == "strace" and subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode:
            return "nothing may be traced here"
        if need == "loop" and not (os.path.exists("/dev/loop-control") and can_mount()):
            return "there are no loop devices"
    return ""


def can_mount():
    if not hasattr(can_mount, "answer"):
        can_mount.answer = subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"],
                                          capture_output=True).returncode == 0
    return can_mount.answer


def normalise(text, directory):
    """`text` without what differs from run to run."""
    now = time.time()
    text = text.replace(directory, "$T").replace(ROOT, "$ROOT")

    def recent_ms(match):
        return "MS" if abs(int(match[0]) / 1000 - now) < 86400 else match[0]

    def recent_time(match):
        moment = time.mktime(time.strptime(match[0][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
        return "TIME".ljust(len(match[0]), "_") if abs(moment - now) < 2 * 86400 else match[0]

    text = re.sub(r"\b\d{13}\b", recent_ms, text)
    text = re.sub(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", recent_time, text)
    text = re.sub(r"(?m)^  CONSUMER .* LAST SEEN.*\n(?:  .*\n)*", lambda m: re.sub(r"(?m)  \d+s( |$)", r"  AGE\1", m[0]), text)
    text = re.sub(r"\b[0-9a-f]{32}\b", "ID", text)
    text = re.sub(r"\.\d+\.tmp\b", ".PID.tmp", text)
    return re.sub(r"\bpid \d+", "pid PID", text)


def matches(expected, got):
    """Whether the lines agree, with [...] and `re: ` lines as described above."""
    def at(i, j):
        while i < len(expected):
            if expected[i] == "[...]":
                return any(at(i + 1, k) for k in range(j, len(got) + 1))
            if j == len(got) or not same(expected[i], got[j]):
                return False
            i, j = i + 1, j + 1
        return j == len(got)

    def same(pattern, line):
        return bool(re.fullmatch(pattern[4:], line)) if pattern.startswith("re: ") else pattern == line

    return at(0, 0)


def end_session(process):
    """Ends whatever a script left behind in the session it led."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def run(path, directory, environment, accept=False, slow=1):
    with open(path, encoding="utf-8") as file:
        script, expected, expected_status = parse(file.read())
    skipped = missing_needs(script, environment["LEAT_SANITIZER"])
    if skipped:
        return Outcome(skipped=skipped)
    command = ["bash", "-eu", "-o", "pipefail", "-c", ". case-prelude.sh\n" + script, os.path.basename(path)]
    if re.search(r"(?m)^# needs: .*\b(mount|loop)\b", script):
        command = ["unshare", "--mount", *command]  # its mounts go away with it
    outputs = {n: open(os.path.join(directory, n), "w+b") for n in ("stdout", "stderr")}
    process = subprocess.Popen(command, cwd=os.path.join(directory, "work"), env={**environment, "T": directory},
                               stdin=subprocess.DEVNULL, start_new_session=True, **outputs)
    late = False
    try:
        status = process.wait(timeout=30 * slow)
    except subprocess.TimeoutExpired:
        late = True
        status = -1
    finally:
        end_session(process)
    got = {}
    for name, file in outputs.items():
        file.seek(0)
        got[name] = normalise(file.read().decode("utf-8", "backslashreplace"), directory)
        file.close()
    if accept and not late:
        rewrite(path, script, expected, got, status)
        return Outcome()
    return Outcome(failure=compare(expected, expected_status, got, status, late))


def compare(expected, expected_status, got, status, late):
    complaints = []
    for name in ("stdout", "stderr"):
        want, have = expected[name].split("\n"), got[name].split("\n")
        if not matches(want, have):
            complaints += list(difflib.unified_diff(want, have, f"{name} expected", f"{name} got", lineterm=""))
    if late:
        complaints.append("it did not end within its time")
    elif status != expected_status:
        complaints.append(f"status {expected_status} expected, got {status}")
    return "\n".join(complaints)


def rewrite(path, script, expected, got, status):
    """Writes what came, but keeps an expectation that already holds (it may have patterns in it)."""
    for name in got:
        if matches(expected[name].split("\n"), got[name].split("\n")):
            got[name] = expected[name]
        elif got[name] and not got[name].endswith("\n"):
            got[name] += "\n"
    text = script
    for name in ("stdout", "stderr"):
        if got[name]:
            text += f"--- {name}\n{got[name]}"
    text += f"--- status {status}\n"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
