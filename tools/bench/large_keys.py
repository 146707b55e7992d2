#!/usr/bin/env python3
"""Large keys: the longest wait a client sees while BGSAVE runs under writes to one huge key, and when such a key is
renamed, given a deadline, deleted or replaced.

As in pause.py, a prober that waits for each reply tells what a client sees (before: the noise of this machine), and
the server's own longest turn of the event loop tells what is the server's doing.
"""

import functools
import multiprocessing
import time

from client import encode
from pause import WRITES_PER_SECOND, first_in_line, longest_turn, probe, write_steadily

ELEMENTS = 5_000_000
STRING_BYTES = 512 << 20
BASELINE_SECONDS = 3
KINDS = ["hash", "zset", "list", "stream", "string"]
BATCH = 200


def fill(client, kind, key, scale=1.0):
    """Makes one huge key."""
    count = int(ELEMENTS * scale)
    if kind == "string":
        size = int(STRING_BYTES * scale)
        piece = bytes(range(256)) * (1 << 12)
        client.load_any((encode("SETRANGE", key, at, piece[: size - at]) for at in range(0, size, len(piece))), batch=4)
        return size

    def requests():
        for start in range(0, count, BATCH):
            numbers = range(start, min(start + BATCH, count))
            if kind == "hash":
                yield encode("HSET", key, *(part for n in numbers for part in (b"field:%d" % n, b"value:%010d" % n)))
            elif kind == "zset":
                yield encode("ZADD", key, *(part for n in numbers for part in (b"%d" % (n * 7919 % count), b"member:%d" % n)))
            elif kind == "list":
                yield encode("RPUSH", key, *(b"element:%010d" % n for n in numbers))
            else:
                yield b"".join(encode("XADD", key, b"%d-1" % (n + 1), "field", b"value:%010d" % n) for n in numbers)

    if kind == "stream":
        for request in requests():
            client.socket.sendall(request)
            for _ in range(min(BATCH, count)):
                client.read()
    else:
        client.load_any(requests())
    return count


def write(kind, key, count, at):
    """One write to the key, at the place `at` of `count`."""
    if kind == "hash":
        return encode("HSET", key, b"field:%d" % at, b"w%015d" % at)
    if kind == "zset":
        return encode("ZADD", key, b"%d" % (at * 31 % count), b"member:%d" % at)
    if kind == "list":
        return encode("LSET", key, b"%d" % at, b"w%015d" % at)
    if kind == "stream":
        return encode("XADD", key, "*", "field", b"w%015d" % at)
    return encode("SETRANGE", key, b"%d" % at, b"w%015d" % (at % 10**15))


def set_probe(_):
    return encode("SET", "probe", b"p")


def longest(waits, since, until):
    return max((wait for asked, wait in waits if since - 0.05 <= asked < until), default=0) * 1000


def save_one(binary, kind, scale):
    with binary.start() as server:
        first_in_line(server)
        client = server.client()
        count = fill(client, kind, "huge", scale)
        time.sleep(1)
        stop = multiprocessing.Event()
        ours, theirs = multiprocessing.Pipe()
        request, places = functools.partial(write, kind, "huge", count), count - 16
        writer = multiprocessing.Process(target=write_steadily, args=(server.port, places, request, stop), daemon=True)
        prober = multiprocessing.Process(target=probe, args=(server.port, places, request, stop, theirs), daemon=True)
        writer.start()
        prober.start()
        time.sleep(1)
        client.cmd("CONFIG", "RESETSTAT")
        baseline_from = time.perf_counter()
        time.sleep(BASELINE_SECONDS)
        turn_before = longest_turn(client)
        client.cmd("CONFIG", "RESETSTAT")
        commands_before = int(client.info("total_commands_processed"))
        started = time.perf_counter()
        client.cmd("BGSAVE")
        extra = 0
        while client.info("rdb_bgsave_in_progress") == "1":
            extra = max(extra, int(client.info("current_cow_size") or 0))
            time.sleep(0.05)
        ended = time.perf_counter()
        commands = int(client.info("total_commands_processed")) - commands_before
        turn = longest_turn(client)
        status = client.info("rdb_last_bgsave_status")
        extra = max(extra, int(client.info("rdb_last_cow_size") or 0))
        # What the save held back is freed after it: that belongs to its cost.
        time.sleep(1)
        turn_after = longest_turn(client)
        stop.set()
        _, waits = ours.recv()
        prober.join()
        writer.join()
        return {
            "before_ms": longest(waits, baseline_from, started),
            "during_ms": longest(waits, started, ended + 1),
            "turn_before": turn_before,
            "turn": max((turn, turn_after), key=lambda us: int(us or 0)),
            "seconds": ended - started,
            "rate": commands / (ended - started),
            "extra_mb": extra / 1e6,
            "status": status,
        }


def operations(client):
    """What is done to the huge keys `a`, `b`, `d` and `e`, one after the other."""
    yield "RENAME", lambda: client.cmd("RENAME", "a", "c")
    yield "EXPIRE", lambda: client.cmd("EXPIRE", "c", 1000)
    yield "RENAME onto", lambda: client.cmd("RENAME", "c", "b")
    yield "UNLINK", lambda: client.cmd("UNLINK", "b")
    yield "DEL", lambda: client.cmd("DEL", "d")
    yield "expired", lambda: client.cmd("PEXPIRE", "e", 1)


def operate_one(binary, kind, scale):
    with binary.start() as server:
        first_in_line(server)
        client = server.client()
        for key in "abde":
            fill(client, kind, key, scale / 2 if kind == "string" else scale / 4)
        time.sleep(1)
        stop = multiprocessing.Event()
        ours, theirs = multiprocessing.Pipe()
        prober = multiprocessing.Process(target=probe, args=(server.port, 1, set_probe, stop, theirs), daemon=True)
        prober.start()
        time.sleep(0.5)
        times, turns = {}, {}
        for name, run in operations(client):
            client.cmd("CONFIG", "RESETSTAT")
            started = time.perf_counter()
            run()
            time.sleep(0.5)
            times[name] = (started, time.perf_counter())
            turns[name] = longest_turn(client)
        stop.set()
        _, waits = ours.recv()
        prober.join()
        return {name: (longest(waits, *times[name]), turns[name]) for name in times}


def measure(binaries, scale=1.0, progress=print):
    """{(server, kind): figures of the save}, {(server, kind): {operation: (wait, turn)}}"""
    saves, done = {}, {}
    for kind in KINDS:
        for binary in binaries:
            saves[binary.name, kind] = save_one(binary, kind, scale)
            done[binary.name, kind] = operate_one(binary, kind, scale)
            progress(f"large keys: {kind}, {binary.name}: {saves[binary.name, kind]} {done[binary.name, kind]}")
    return saves, done


def ms(us):
    return f"{int(us) / 1000:.2f}" if us else "-"


def tables(results, names):
    saves, done = results
    rows = [["one", "server", "longest wait before, ms", "during, ms", "longest turn before, ms", "**during, ms**"]]
    rows[0] += ["save took, s", "writes/s meanwhile", "extra memory, MB", "status"]
    for kind in KINDS:
        for name in names:
            r = saves[name, kind]
            row = [kind, name, f"{r['before_ms']:.2f}", f"{r['during_ms']:.2f}", ms(r["turn_before"]), f"**{ms(r['turn'])}**"]
            rows.append(row + [f"{r['seconds']:.1f}", f"{r['rate']:.0f}", f"{r['extra_mb']:.0f}", r["status"]])
    steps = list(next(iter(done.values())))
    waits = [["one", "server", *steps]]
    for kind in KINDS:
        for name in names:
            each = [f"{wait:.2f} / {ms(turn)}" for wait, turn in done[name, kind].values()]
            waits.append([kind, name, *each])
    return rows, waits
