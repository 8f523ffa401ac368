"""What the figures were measured on: processor, kernel, file system, memory, and the versions of all that took part."""

import os
import re
import subprocess


def first_line(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return (done.stdout or done.stderr).strip().split("\n")[0]


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def processor():
    cpuinfo = read("/proc/cpuinfo")
    name = re.search(r"model name\s*: (.*)", cpuinfo)
    flags = set(re.search(r"flags\s*: (.*)", cpuinfo)[1].split())
    known = [label for flag, label in (("sha_ni", "SHA"), ("avx2", "AVX2"), ("avx512f", "AVX-512")) if flag in flags]
    return f"{name[1] if name else '?'}, {len(os.sched_getaffinity(0))} cores, instructions: {', '.join(known) or 'none of note'}"


def file_system(directory):
    """Type, device and options of the mount that holds `directory`: the longest mount point above it."""
    directory = os.path.realpath(directory)
    best = ("", "", "")
    for line in read("/proc/self/mounts").splitlines():
        device, point, kind, options = line.split()[:4]
        inside = directory == point or directory.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best[0]):
            best = (point, f"{kind} on {device}", options)
    return f"{best[1]} ({best[2]}){journal(best[1])}"


def journal(mounted):
    """Appending to ext4 costs more with a journal than without."""
    if not mounted.startswith("ext4"):
        return ""
    device = os.path.basename(os.path.realpath(mounted.split(" ")[-1]))
    kept = any(name.split("-")[0] == device for name in os.listdir("/proc/fs/jbd2")) if os.path.isdir("/proc/fs/jbd2") else False
    return ", with a journal" if kept else ", without a journal"


def versions(leat):
    """name -> version of what is installed; a tool that is not is left out."""
    asked = {
        "leat": first_line(leat, "--version").removeprefix("leat "),
        "SQLite": first_line("sqlite3", "--version").split(" ")[0],
        "Redis": "".join(re.findall(r"v=([\d.]+)", first_line("redis-server", "--version"))),
        "NATS": first_line("nats-server", "--version").removeprefix("nats-server: v"),
        "librdkafka (kcat)": "".join(re.findall(r"librdkafka ([\d.]+)", "".join(run_lines("kcat", "-V")))),
        "lz4": "".join(re.findall(r"v([\d.]+)", first_line("lz4", "--version"))),
        "g++": first_line("g++", "-dumpfullversion"),
    }
    return {name: version for name, version in asked.items() if version}


def run_lines(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    except FileNotFoundError:
        return []


def memory():
    kib = int(re.search(r"MemTotal:\s*(\d+)", read("/proc/meminfo"))[1])
    return f"{kib / 2**20:.1f} GiB"


def load():
    """How many wanted to run in the last minute."""
    return os.getloadavg()[0]


def describe(directory, leat):
    return {
        "processor": processor(),
        "memory": memory(),
        "kernel": f"{os.uname().sysname} {os.uname().release}",
        "system": "".join(re.findall(r'PRETTY_NAME="(.*)"', read("/etc/os-release"))),
        "file system": file_system(directory),
        "load at the start": f"{load():.2f}",
        "versions": versions(leat),
    }
