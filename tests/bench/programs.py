"""The small programs of the benchmark: what each is made of, and compiling those that can be compiled here."""

import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
FLAGS = ["-std=c++2b", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wold-style-cast", "-Werror"]

# name -> (linked statically, libraries). What measures, and what is started anew each time, is static, as leat is.
PROGRAMS = {
    "timed": (True, []),
    "line_by_line": (True, []),
    "make_lines": (True, []),
    "limits": (True, []),
    "one_shot": (True, []),
    "subject_embedded": (True, ["-llz4", "-lzstd", "-lsodium"]),
    "peer_sqlite": (False, ["-lsqlite3"]),
    "peer_redis": (False, ["-lhiredis"]),
    "peer_nats": (False, ["-lnats"]),
}


def newer(path, than):
    return os.path.exists(path) and all(os.path.getmtime(path) > os.path.getmtime(other) for other in than)


def compile_program(name, build, directory):
    """The path of the program, or None after saying why it cannot be had."""
    static, libraries = PROGRAMS[name]
    source, path = os.path.join(HERE, name + ".cc"), os.path.join(directory, name)
    inputs = [source, os.path.join(HERE, "measure.h"), os.path.join(HERE, "relay.h")]
    command = ["g++", *FLAGS, source, "-o", path]
    if static:
        command.append("-static")
    if name == "subject_embedded":
        archive = os.path.join(build, "libcore", "libleat.a")
        inputs.append(archive)
        command += ["-I", os.path.join(build, "include"), archive]
    if newer(path, inputs):
        return path
    done = subprocess.run(command + libraries, capture_output=True, text=True)
    if done.returncode:
        first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()[:200])
        print(f"{name} does not compile: {first}")
        return None
    return path


def compile_all(build, directory, names):
    """{name: path}; a program that cannot be compiled is left out."""
    os.makedirs(directory, exist_ok=True)
    paths = {name: compile_program(name, build, directory) for name in names}
    return {name: path for name, path in paths.items() if path}
