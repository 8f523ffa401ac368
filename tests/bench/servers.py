"""The peers that are servers: started on loopback with a free port and a directory of their own, and stopped."""

import contextlib
import os
import socket
import subprocess
import time

from contest import Failed

PATIENCE = 20


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port, process, name, log):
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            with open(log, encoding="utf-8", errors="replace") as file:
                raise Failed(f"{name} does not start:\n{file.read()}")
        time.sleep(0.01)


@contextlib.contextmanager
def running(name, command, port, directory):
    """The port of a server, which is stopped at the end."""
    log = os.path.join(directory, "server.log")
    with open(log, "wb") as output:
        process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        wait_for(port, process, name, log)
        yield port
    finally:
        process.kill()  # an orderly end would write much, and the data go anyway
        process.wait()


def redis(directory):
    """Syncs before each answer."""
    port = free_port()
    return running("redis-server", [
        "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", directory, "--save", "",
        "--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"], port, directory)


def nats(directory):
    """JetStream in files. Version 2.9 syncs every two minutes, never before it acknowledges."""
    port = free_port()
    return running("nats-server", [
        "nats-server", "--addr", "127.0.0.1", "--port", str(port), "--jetstream", "--store_dir", directory], port, directory)
