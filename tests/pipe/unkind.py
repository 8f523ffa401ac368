"""A server that answers each request as it was told to, politely or not, and remembers what it was asked."""

import socket
import ssl
import threading
import time


class Request:
    def __init__(self, method, target, headers, body, connection):
        self.method, self.target, self.headers, self.body, self.connection = method, target, headers, body, connection


def answer(status=200, body=b"", headers=()):
    """A whole answer, for Server.next."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Server:
    """Listens on loopback. `next` holds what becomes of the next requests, `usual` of those after them: bytes to send, or a
    function of the connection. A function that returns False ends the connection."""

    def __init__(self, usual=answer(), certificate=None):
        self.usual, self.next, self.requests, self.connections = usual, [], [], 0
        self.lock = threading.Lock()
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # else the thread that waits keeps it open
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                number = self.connections
            threading.Thread(target=self.serve, args=(connection, number), daemon=True).start()

    def serve(self, connection, number):
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as stream:
                while self.serve_one(connection, stream, number):
                    pass
        except (OSError, ValueError):
            pass

    def serve_one(self, connection, stream, number):
        first = stream.readline().decode()
        if not first:
            return False
        method, target, _ = first.split()
        headers = {}
        for line in iter(stream.readline, b"\r\n"):
            name, value = line.decode("latin-1").split(":", 1)
            headers[name.lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", "0")))
        with self.lock:
            self.requests.append(Request(method, target, headers, body, number))
            what = self.next.pop(0) if self.next else self.usual
        if callable(what):
            return what(connection) is not False
        connection.sendall(what)
        return True

    def take(self):
        """The requests since the last time."""
        with self.lock:
            taken, self.requests = self.requests, []
        return taken


# What a server may do instead of answering.

def closes(_):
    return False


def hangs(_):
    time.sleep(60)


def drips(connection):
    """An answer that is always about to come."""
    for byte in answer(headers=["X-Slow: " + "x" * 1000]):
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def breaks_off(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    return False


def never_ends(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


def never_ends_its_headers(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-More: " + b"x" * 8000 + b"\r\n")


def late(seconds, what=answer()):
    def act(connection):
        time.sleep(seconds)
        connection.sendall(what)
    return act
