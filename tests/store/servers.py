"""Helpers of the tests of `leat store serve`: servers that are started, asked, killed."""

import base64
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from checks import SLOW, check, check_in, finish  # noqa: E402, F401

BUILD = os.environ.get("LEAT_BUILD", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build"))
LEAT = os.path.join(BUILD, "leat")
PATIENCE = 120 if SLOW else 30
SKIPPED = 77


def need_leat_net():
    """Ends the test, visibly skipped, where this build has no program that serves."""
    if not os.access(os.path.join(BUILD, "leat-net"), os.X_OK):
        print("leat-net is not built: librdkafka-dev is missing")
        sys.exit(SKIPPED)
    if "built" in subprocess.run([LEAT, "store", "serve", "x", "--source", "x"], capture_output=True, text=True).stderr:
        print("leat-net cannot serve: libmicrohttpd-dev is missing")
        sys.exit(SKIPPED)


def leat(*arguments, stdin=b"", place=None, status=0):
    """The output of a command that must end with `status`."""
    where = ["-D", place] if place else []
    done = subprocess.run([LEAT, *where, *arguments], input=stdin, capture_output=True, timeout=PATIENCE * 4)
    if done.returncode != status:
        sys.exit(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr.decode()}")
    return done.stdout


class Records:
    """Records on their way into a source, and what a store must hold of them."""

    def __init__(self, topic, place=None):
        self.topic, self.place, self.model = topic, place, {}
        self.lines = []

    def put(self, key, value):
        self.lines.append(json.dumps({"key": key, "value": value}))
        if value is None:
            self.model.pop(key, None)
        else:
            self.model[key] = value

    def send(self):
        """Produces what was put; the last offset in each partition."""
        text = "".join(line + "\n" for line in self.lines).encode()
        self.lines = []
        receipts = leat("produce", self.topic, "--framing", "json", "-O", "text", stdin=text, place=self.place)
        last = {}
        for line in receipts.decode().splitlines():
            _, partition, offset = line.split()
            last[int(partition)] = int(offset)
        return last


class Server:
    """A running `leat store serve`."""

    def __init__(self, store, *flags, place=None, env=None, wait=True, source="source"):
        self.store = store
        where = ["-D", place] if place else []
        listen = [] if "--listen" in flags else ["--listen", "127.0.0.1:0"]
        named = [store, "--source", source] if source else []  # else .env says it all
        command = [LEAT, *where, "store", "serve", *named, *listen, *flags]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                        env={**os.environ, **(env or {})})
        self.lines = []
        self.port = None
        while self.port is None:
            line = self.process.stderr.readline().decode()
            if not line:
                self.process.wait()
                break
            self.lines.append(line)
            found = re.search(r"answers at http://[^ ]*:(\d+)$", line.strip())
            if found:
                self.port = int(found[1])
        if wait and self.port is not None:
            self.wait_ready()

    def connect(self, timeout=PATIENCE):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, target, method="GET", body=None, headers=None, timeout=PATIENCE):
        """(status, headers, body) over a connection of its own."""
        connection = self.connect(timeout)
        try:
            connection.request(method, target, body=body, headers=headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        except OSError:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=2)
                sys.exit(f"the server of {self.store} has ended: {self.rest()}")
            raise
        finally:
            connection.close()

    def json(self, target, **more):
        status, _, body = self.ask(target, **more)
        if status != 200:
            raise AssertionError(f"{target}: {status}: {body!r}")
        return json.loads(body)

    def get(self, key, query=""):
        """The value of a key, or None."""
        status, _, body = self.ask(f"/stores/{self.store}/{urllib.parse.quote(key, safe='')}{query}")
        if status == 404:
            return None
        if status != 200:
            raise AssertionError(f"{key}: {status}: {body!r}")
        return body.decode()

    def wait_ready(self):
        deadline = time.monotonic() + PATIENCE
        while self.ask("/readyz")[0] != 200:
            if time.monotonic() > deadline or self.process.poll() is not None:
                sys.exit(f"not ready: {self.rest()}")
            time.sleep(0.01)

    def wait_for(self, places):
        """Until these offsets, by partition, are visible."""
        for partition, offset in places.items():
            target = f"/stores/{self.store}/none?at-least={partition}:{offset}&timeout=60s"
            status, _, body = self.ask(target, timeout=90)
            deadline = time.monotonic() + PATIENCE
            while status == 503 and time.monotonic() < deadline:  # the partition of the key that is asked for
                time.sleep(0.02)
                status, _, body = self.ask(target, timeout=90)
            if status not in (404, 421):
                raise AssertionError(f"at-least {partition}:{offset}: {status}: {body!r}")

    def contents(self, limit=1000):
        """Every key and value, page by page."""
        found, after = {}, ""
        while True:
            page = self.json(f"/stores/{self.store}?limit={limit}{after}")
            for item in page["items"]:
                key = item["key"] if "key" in item else base64.b64decode(item["key_b64"])
                assert key not in found, f"{key!r} twice"
                found[key] = item["value"] if "value" in item else base64.b64decode(item["value_b64"])
            if page["next"] is None:
                return found
            after = "&after=" + page["next"]

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()

    def stop(self):
        """Ends it in order; its status."""
        self.process.send_signal(signal.SIGTERM)
        return self.rest()[0]

    def rest(self):
        """Status and errors of a server that is ending."""
        errors = self.process.stderr.read().decode()
        self.process.wait(timeout=PATIENCE)
        return self.process.returncode, "".join(self.lines) + errors
