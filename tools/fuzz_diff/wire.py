#!/usr/bin/env python3
"""RESP for two servers at once: requests are encoded once, replies are cut apart, and parsed only when they differ.

A reply is a pair (kind, content): the kind is the byte it starts with, the content bytes, a list of replies, or None for
a null bulk or array. Numbers stay text, so that two ways of writing one number are a difference.
"""

import socket

LINES = frozenset(b"+-:,_#(")
BULKS = frozenset(b"$=!")
LISTS = frozenset(b"*~>")


class Incomplete(Exception):
    """The reply does not end within the bytes so far."""


class Broken(Exception):
    """What came is not RESP, or the server closed the connection or did not answer in time."""


def encode(args):
    out = [b"*%d\r\n" % len(args)]
    for arg in args:
        out.append(b"$%d\r\n%b\r\n" % (len(arg), arg))
    return b"".join(out)


def end_of_reply(buffer, at):
    """The position behind the reply that starts at `at`."""
    owed = 1
    while owed:
        owed -= 1
        line = buffer.find(b"\r\n", at)
        if line < 0:
            raise Incomplete
        kind = buffer[at]
        if kind in LINES:
            at = line + 2
        elif kind in BULKS:
            length = int(buffer[at + 1 : line])
            at = line + 2 if length < 0 else line + 4 + length
            if at > len(buffer):
                raise Incomplete
        elif kind in LISTS:
            owed += max(int(buffer[at + 1 : line]), 0)
            at = line + 2
        elif kind in b"%|":
            # An attribute is followed by the reply it belongs to.
            owed += 2 * int(buffer[at + 1 : line]) + (kind == 0x7C)
            at = line + 2
        else:
            raise Broken(f"not RESP: {bytes(buffer[at:at + 60])!r}")
    return at


def parse(buffer, at=0):
    """The reply at `at`, and the position behind it."""
    line = buffer.index(b"\r\n", at)
    kind, rest = chr(buffer[at]), bytes(buffer[at + 1 : line])
    at = line + 2
    if kind in "$=!":
        length = int(rest)
        if length < 0:
            return (kind, None), at
        return (kind, bytes(buffer[at : at + length])), at + length + 2
    if kind in "*~>%":
        length = int(rest) * (2 if kind == "%" else 1)
        if length < 0:
            return (kind, None), at
        items = []
        for _ in range(length):
            item, at = parse(buffer, at)
            items.append(item)
        return (kind, items), at
    return (kind, rest), at


def show(reply, limit=300):
    """A reply on one line, as the report prints it."""
    kind, content = reply
    if content is None:
        text = f"(nil {kind})"
    elif isinstance(content, list):
        text = {"*": "[", "%": "{", "~": "~[", ">": ">["}[kind] + " ".join(show(item, limit) for item in content)
        text += "}" if kind == "%" else "]"
    elif kind in "$=!":
        text = ("" if kind == "$" else kind) + quoted(content)
    else:
        text = kind + content.decode("utf-8", "backslashreplace")
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)})"


def quoted(data, limit=120):
    """An argument as redis-cli would take it; long ones by their beginning."""
    cut = data[:limit]
    text = "".join(chr(c) if 32 < c < 127 and c not in b'"\\' else " " if c == 32 else f"\\x{c:02x}" for c in cut)
    more = f"…({len(data)} bytes)" if len(data) > limit else ""
    plain = cut and not more and all(33 <= c < 127 and c not in b"\"'\\" for c in cut)
    return text if plain else f'"{text}"{more}'


class Connection:
    """One socket; replies are handed out as raw bytes, in order."""

    def __init__(self, port, patience=8.0):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(patience)
        self.buffer = bytearray()

    def close(self):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Broken(f"sending: {error}") from error

    def more(self):
        try:
            data = self.socket.recv(1 << 18)
        except OSError as error:
            raise Broken(f"no answer: {error}") from error
        if not data:
            raise Broken("the server closed the connection")
        self.buffer += data

    def replies(self, count):
        """The next `count` replies, raw."""
        found, at = [], 0
        while len(found) < count:
            try:
                end = end_of_reply(self.buffer, at)
            except (Incomplete, IndexError):
                self.more()
                continue
            found.append(bytes(self.buffer[at:end]))
            at = end
        del self.buffer[:at]
        return found

    def expect(self, replies):
        """`replies` again if they are, byte for byte, what this server answers; else its own."""
        wanted = b"".join(replies)
        while len(self.buffer) < len(wanted):
            if not wanted.startswith(self.buffer):
                return self.replies(len(replies))
            self.more()
        if not self.buffer.startswith(wanted):
            return self.replies(len(replies))
        del self.buffer[: len(wanted)]
        return replies

    def ask(self, *args):
        """One request, its reply parsed."""
        self.send(encode([arg if isinstance(arg, bytes) else str(arg).encode() for arg in args]))
        return parse(self.replies(1)[0])[0]
