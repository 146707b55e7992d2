#!/usr/bin/env python3
"""A client for measuring: one socket, bulk loading in pipelines."""

import socket


def encode(*args):
    out = [b"*%d\r\n" % len(args)]
    for arg in args:
        arg = arg if isinstance(arg, bytes) else str(arg).encode()
        out.append(b"$%d\r\n%b\r\n" % (len(arg), arg))
    return b"".join(out)


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb", buffering=1 << 16)

    def close(self):
        self.file.close()
        self.socket.close()

    def cmd(self, *args):
        self.socket.sendall(encode(*args))
        return self.read()

    def read(self):
        line = self.file.readline()[:-2]
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            n = int(rest)
            return None if n < 0 else self.file.read(n + 2)[:-2]
        if kind in (b"*", b">", b"~", b"%"):
            return [self.read() for _ in range(int(rest) * (1 + (kind == b"%")))]
        if kind == b"_":
            return None
        if kind == b":":
            return int(rest)
        if kind == b"-":
            raise RuntimeError(rest.decode())
        return rest

    def info(self, field):
        for line in self.cmd("INFO", "everything").decode("utf-8", "replace").splitlines():
            if line.startswith(field + ":"):
                return line.split(":", 1)[1]
        return None

    def load(self, requests, batch=2000):
        """Sends requests that are all answered by +OK, a batch at a time."""
        pending = []
        for request in requests:
            pending.append(request)
            if len(pending) == batch:
                self.flush(pending)
                pending.clear()
        self.flush(pending)

    def load_any(self, requests, batch=20):
        """The same for requests with any answers."""
        requests = iter(requests)
        while pending := [request for _, request in zip(range(batch), requests)]:
            self.socket.sendall(b"".join(pending))
            for _ in pending:
                self.read()

    def flush(self, pending):
        if not pending:
            return
        self.socket.sendall(b"".join(pending))
        left = 5 * len(pending)
        while left > 0:
            data = self.file.read(min(left, 1 << 16))
            if not data or data[:1] == b"-":
                raise RuntimeError(f"loading: {data[:100]!r}")
            left -= len(data)
