#!/usr/bin/env python3
"""Subscribers: what is pushed to them, and in which order, on both servers.

Beside the connections that ask and are answered, a round has some that subscribe. Nobody can count what they are sent:
so a batch of theirs is sent whole, and then each of them is asked to repeat a word; what comes before the word is
compared. Two things are left open by Redis: in which order a client is sent a message that several of its patterns
match, and in which order it leaves what it is subscribed to when it names nothing.

Two more track keys, in RESP3: one those that it reads, one those with some prefix. They hear of what all connections change.
The latter is told once a turn of the loop, and what a turn is differs: so of each exchange only the keys that it was told
of are compared, and that all keys were meant.
"""

from wire import Connection, encode, parse

# Speaks RESP2, RESP3, and what it is told to.
LISTENERS = 3
TRACKERS = 2
BY_PREFIX = LISTENERS + TRACKERS - 1
CHANNELS = [b"c", b"c", b"c:1", b"c:22", b"d", b"a*b", b"", b"\0\xff", b"n" * 70]
PATTERNS = [b"*", b"c*", b"c", b"c:*", b"c:?", b"[cd]", b"[^c]", b"a\\*b", b"c:[1-2]*", b"", b"n*n", b"\\", b"[", b"*:1"]
MESSAGES = [b"m", b"", b"two\r\nlines", b"x" * 200, b"y" * 1500, b"z" * 5000, b"l" * 40_000]
OPEN_ORDER = {b"unsubscribe", b"punsubscribe", b"sunsubscribe"}


def batch(generator):
    """Requests of one listener, sent together."""
    pick, rnd = generator.pick, generator.rnd

    def one(inside):
        kind = pick((b"", b"", b"P", b"S"))
        names = PATTERNS if kind == b"P" else CHANNELS
        chance = rnd()
        if chance < 0.4:
            return [kind + b"SUBSCRIBE", *(pick(names) for _ in range(1 if inside else pick((1, 1, 2, 3))))]
        if chance < 0.55:
            # Several confirmations in the reply to EXEC would not be what its length says.
            return [kind + b"UNSUBSCRIBE", *(pick(names) for _ in range(1 if inside else pick((0, 1, 1, 2))))]
        if chance < 0.85:
            return [pick((b"PUBLISH", b"PUBLISH", b"SPUBLISH")), pick(CHANNELS), pick(MESSAGES)]
        return pick(([b"PING"], [b"PING", b"x"], [b"GET", b"s0"], [b"nosuch"], [b"SUBSCRIBE"], [b"PUBLISH", b"c"], [b"ECHO", b"e"]))

    requests = []
    for _ in range(pick((1, 1, 2, 4, 8))):
        chance = rnd()
        if chance < 0.1:
            requests += [[b"MULTI"], *(one(True) for _ in range(pick((1, 2, 4)))), [b"EXEC"]]
        elif chance < 0.13:
            requests += [[b"CLIENT", b"REPLY", b"SKIP"], one(False)]
        elif chance < 0.15:
            requests.append([b"RESET"])
        elif chance < 0.2:
            requests.append([b"HELLO", pick((b"2", b"3"))])
        else:
            requests.append(one(False))
    return requests


def tracking_batch(generator, at):
    """Requests of one that tracks, sent together."""
    pick, rnd, key = generator.pick, generator.rnd, lambda: generator.key(None)

    def turned_on():
        noloop = pick(([], [], [b"NOLOOP"]))
        if at == BY_PREFIX:
            return [b"BCAST", *pick(([], [b"PREFIX", b"s"], [b"PREFIX", b"h", b"PREFIX", b"l"], [b"PREFIX", b"z"])), *noloop]
        return pick(([], [], [b"OPTIN"], [b"OPTOUT"])) + noloop

    def one(inside):
        chance = rnd()
        if chance < 0.15 and not inside:
            return [b"CLIENT", b"TRACKING", *pick(([b"OFF"], [b"ON", *turned_on()], [b"ON", *turned_on()]))]
        if chance < 0.25:
            return [b"CLIENT", *pick(([b"CACHING", b"YES"], [b"CACHING", b"NO"], [b"TRACKINGINFO"], [b"GETREDIR"]))]
        if chance < 0.7:
            single = pick((b"GET", b"TTL", b"TYPE", b"LLEN", b"HLEN", b"SCARD", b"ZCARD", b"XLEN", b"EXISTS", b"STRLEN"))
            return pick(([single, key()], [single, key()], [b"MGET", key(), key(), key()], [b"SINTERCARD", b"2", key(), key()]))
        return pick(([b"SET", key(), b"v"], [b"DEL", key(), key()], [b"APPEND", key(), b"x"], [b"RPUSH", key(), b"e"],
                     [b"MSET", key(), b"1", key(), b"2"], [b"RENAME", key(), key()], [b"PERSIST", key()], [b"PING"]))

    requests = [[b"CLIENT", b"TRACKING", b"ON", *turned_on()]] if rnd() < 0.4 else []
    for _ in range(pick((1, 2, 4, 8))):
        if rnd() < 0.1:
            requests += [[b"MULTI"], *(one(True) for _ in range(pick((1, 2, 4)))), [b"EXEC"]]
        else:
            requests.append(one(False))
    return requests


def connect(port):
    connections = [Connection(port) for _ in range(LISTENERS + TRACKERS)]
    for at in (1, *range(LISTENERS, LISTENERS + TRACKERS)):
        connections[at].ask("HELLO", "3")
    return connections


def exchange(connections, at, requests, word):
    """Sends `requests`; what every listener has been sent until now, in a form that can be compared."""
    # A transaction that was cut by the shrinker must not swallow the word.
    connections[at].send(b"".join(map(encode, requests)) + encode([b"DISCARD"]))
    # The one that asked first: when it has its word, what it published is on its way to the others.
    heard = {at: until(connections[at], word)}
    for n, connection in enumerate(connections):
        if n != at:
            heard[n] = until(connection, word)
    # What changed last may have been told behind the word.
    heard[BY_PREFIX] = told(heard[BY_PREFIX][1] + until(connections[BY_PREFIX], word)[1])
    return [heard[n] for n in range(len(connections))]


def told(frames):
    """Replies, and which keys it was told of."""
    replies, keys = [], set()
    for frame in frames:
        if frame[0] == ">" and frame[1] and frame[1][0] == ("$", b"invalidate"):
            keys |= {name for _, name in frame[1][1][1]} if frame[1][1][0] == "*" else {b"(all of them)"}
        else:
            replies.append(frame)
    return ("*", [*replies, ("*", [("$", name) for name in sorted(keys)])])


def until(connection, word):
    connection.send(encode([b"PING", word]))
    frames = []
    while True:
        frame = parse(connection.replies(1)[0])[0]
        if frame == ("$", word) or frame[0] == "*" and frame[1] and frame[1][-1] == ("$", word) and len(frame[1]) == 2:
            return ("*", without_order(frames))
        frames.append(frame)


def without_order(frames):
    """The same for the same, where the order says nothing."""
    out, run, key = [], [], None
    for frame in [*frames, None]:
        this = open_key(frame)
        if run and this != key:
            out += settled(run)
            run = []
        key = this
        if this is None:
            out += [] if frame is None else [("hello", None) if is_hello(frame) else frame]
        else:
            run.append(frame)
    return out


def open_key(frame):
    if frame is None or frame[0] not in "*>" or not frame[1] or frame[1][0][0] != "$":
        return None
    kind = frame[1][0][1]
    if kind == b"pmessage" and len(frame[1]) == 4:
        return (kind, frame[1][2], frame[1][3])
    return (kind,) if kind in OPEN_ORDER and len(frame[1]) == 3 else None


def settled(run):
    """Frames of one kind: their names in order, the rest of each where it was."""
    names = sorted((frame[1][1] for frame in run), key=repr)
    return [(frame[0], [frame[1][0], name, *frame[1][2:]]) for frame, name in zip(run, names)]


def is_hello(frame):
    return isinstance(frame[1], list) and frame[1][:1] == [("$", b"server")]
