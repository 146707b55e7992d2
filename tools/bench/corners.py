#!/usr/bin/env python3
"""The slow corners: commands that touch a large part of one large key, and what neighbours wait for meanwhile.

Every row is one command on fresh data, the same for all servers, sent by one client. Its time is what that client sees,
from sending to the last byte of the reply; processor time is the server's, all threads, until it is quiet again. Rows
about neighbours show the longest time that another client waited for PING while the command ran and until the server
was quiet. Medians of several runs, servers in turn; ratios are to the better of Redis 8.2 and Valkey.

    BENCH_REDIS8=... BENCH_VALKEY=... tools/bench/corners.py [--runs 5] [--rows ZPOPMIN,SORT] [--scale 0.1]
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import time

from client import encode
from peers import find

SENTINEL = b"corners:done"
ECHO = encode("ECHO", SENTINEL)
ECHOED = b"$%d\r\n%b\r\n" % (len(SENTINEL), SENTINEL)
BATCH = 100


def batches(count):
    for start in range(0, count, BATCH):
        yield range(start, min(start + BATCH, count))


def member(n):
    return b"member:%07d" % n


def zset(count):
    for numbers in batches(count):
        yield encode("ZADD", "k", *(part for n in numbers for part in (b"%d" % (n * 7919 % count), member(n))))


def level_zset(count):
    for numbers in batches(count):
        yield encode("ZADD", "k", *(part for n in numbers for part in (b"0", member(n * 7919 % count))))


def plain_set(count):
    for numbers in batches(count):
        yield encode("SADD", "k", *(member(n) for n in numbers))


def plain_list(count):
    for numbers in batches(count):
        yield encode("RPUSH", "k", *(member(n) for n in numbers))


def plain_hash(count):
    for numbers in batches(count):
        yield encode("HSET", "k", *(part for n in numbers for part in (b"field:%07d" % n, b"value:%010d" % n)))


def keys(count):
    for numbers in batches(count):
        yield encode("MSET", *(part for n in numbers for part in (b"key:%d" % n, b"value:%d" % n)))


def weighted(count):
    """A list of numbers, each with the key of its weight."""
    for numbers in batches(count):
        yield encode("RPUSH", "k", *(b"%d" % n for n in numbers))
        yield encode("MSET", *(part for n in numbers for part in (b"w_%d" % n, b"%d" % (n * 7919 % count))))


def pending(count):
    """A stream of entries that are all pending for one of three consumers."""
    yield encode("XGROUP", "CREATE", "k", "g", "0", "MKSTREAM")
    for n in range(count):
        yield encode("XADD", "k", "%d-1" % (n + 1), "field", "value:%d" % n)
    for consumer in ("a", "b", "c"):
        yield encode("XREADGROUP", "GROUP", "g", consumer, "COUNT", count // 3 + 1, "STREAMS", "k", ">")


def names(count, of):
    return [of(n * 7919 % count) for n in range(count // 5)]


def field(n):
    return b"field:%07d" % n


# Name, data, its size, the command (a function of the size, for it may have many arguments).
ROWS = [
    ("ZREMRANGEBYRANK, nine tenths", zset, 1_000_000, lambda n: ["ZREMRANGEBYRANK", "k", 0, n * 9 // 10 - 1]),
    ("ZREMRANGEBYRANK, a tenth in the middle", zset, 1_000_000, lambda n: ["ZREMRANGEBYRANK", "k", n // 2, n // 2 + n // 10 - 1]),
    ("ZREMRANGEBYSCORE, nine tenths", zset, 1_000_000, lambda n: ["ZREMRANGEBYSCORE", "k", "-inf", "(%d" % (n * 9 // 10)]),
    ("ZREMRANGEBYLEX, nine tenths", level_zset, 1_000_000, lambda n: ["ZREMRANGEBYLEX", "k", "-", b"(" + member(n * 9 // 10)]),
    ("ZPOPMIN, half", zset, 1_000_000, lambda n: ["ZPOPMIN", "k", n // 2]),
    ("ZPOPMAX, half", zset, 1_000_000, lambda n: ["ZPOPMAX", "k", n // 2]),
    ("ZMPOP, half", zset, 1_000_000, lambda n: ["ZMPOP", 1, "k", "MIN", "COUNT", n // 2]),
    ("ZREM, a fifth by name", zset, 1_000_000, lambda n: ["ZREM", "k", *names(n, member)]),
    ("SPOP, half", plain_set, 1_000_000, lambda n: ["SPOP", "k", n // 2]),
    ("SPOP, nine tenths", plain_set, 1_000_000, lambda n: ["SPOP", "k", n * 9 // 10]),
    ("SPOP, a hundredth", plain_set, 1_000_000, lambda n: ["SPOP", "k", n // 100]),
    ("SREM, a fifth by name", plain_set, 1_000_000, lambda n: ["SREM", "k", *names(n, member)]),
    ("LPOP, half", plain_list, 1_000_000, lambda n: ["LPOP", "k", n // 2]),
    ("RPOP, half", plain_list, 1_000_000, lambda n: ["RPOP", "k", n // 2]),
    ("LTRIM, to the last tenth", plain_list, 1_000_000, lambda n: ["LTRIM", "k", n * 9 // 10, -1]),
    ("HDEL, a fifth by name", plain_hash, 1_000_000, lambda n: ["HDEL", "k", *names(n, field)]),
    ("HGETDEL, a fifth by name", plain_hash, 1_000_000, lambda n: ["HGETDEL", "k", "FIELDS", n // 5, *names(n, field)]),
    ("SORT BY w_*", weighted, 1_000_000, lambda n: ["SORT", "k", "BY", "w_*"]),
    ("SORT BY w_* LIMIT 0 10", weighted, 1_000_000, lambda n: ["SORT", "k", "BY", "w_*", "LIMIT", 0, 10]),
    ("SORT BY w_* GET # GET w_*", weighted, 1_000_000, lambda n: ["SORT", "k", "BY", "w_*", "GET", "#", "GET", "w_*"]),
    ("SORT BY w_* STORE", weighted, 1_000_000, lambda n: ["SORT", "k", "BY", "w_*", "STORE", "to"]),
    ("SORT DESC", weighted, 1_000_000, lambda n: ["SORT", "k", "DESC"]),
    ("SORT ALPHA", plain_list, 1_000_000, lambda n: ["SORT", "k", "ALPHA", "DESC"]),
    ("XAUTOCLAIM, all", pending, 200_000, lambda n: ["XAUTOCLAIM", "k", "g", "d", 0, "0", "COUNT", n]),
    ("XAUTOCLAIM JUSTID, all", pending, 200_000, lambda n: ["XAUTOCLAIM", "k", "g", "d", 0, "0", "COUNT", n, "JUSTID"]),
    ("XCLAIM, half of all", pending, 200_000, lambda n: ["XCLAIM", "k", "g", "d", 0, *("%d-1" % (2 * i + 1) for i in range(n // 2))]),
    ("XACK, half of all", pending, 200_000, lambda n: ["XACK", "k", "g", *("%d-1" % (2 * i + 1) for i in range(n // 2))]),
    ("XACK, all", pending, 200_000, lambda n: ["XACK", "k", "g", *("%d-1" % (i + 1) for i in range(n))]),
    ("XPENDING, all", pending, 200_000, lambda n: ["XPENDING", "k", "g", "-", "+", n]),
    ("XGROUP DELCONSUMER", pending, 200_000, lambda n: ["XGROUP", "DELCONSUMER", "k", "g", "b"]),
    ("INFO keysizes", keys, 1_000_000, lambda n: ["INFO", "keysizes"]),
]  # fmt: skip

# The same, for what a neighbour waits.
NEIGHBOURS = [
    ("FLUSHDB SYNC, a million keys", keys, 1_000_000, lambda n: ["FLUSHDB", "SYNC"]),
    ("FLUSHDB ASYNC, a million keys", keys, 1_000_000, lambda n: ["FLUSHDB", "ASYNC"]),
    ("FLUSHALL SYNC, a sorted set of 5 million", zset, 5_000_000, lambda n: ["FLUSHALL", "SYNC"]),
    ("FLUSHALL ASYNC, a sorted set of 5 million", zset, 5_000_000, lambda n: ["FLUSHALL", "ASYNC"]),
    ("FLUSHALL SYNC, a set of 5 million", plain_set, 5_000_000, lambda n: ["FLUSHALL", "SYNC"]),
    ("UNLINK, a sorted set of 5 million", zset, 5_000_000, lambda n: ["UNLINK", "k"]),
]  # fmt: skip

made = {}


def data(kind, count):
    """The requests that fill a server, a chunk a string. The last kind is kept: rows of one kind follow each other."""
    if (kind, count) not in made:
        made.clear()
        chunks, part = [], []
        for n, request in enumerate(kind(count)):
            part.append(request)
            if n % 1000 == 999:
                chunks.append(b"".join(part))
                part = []
        made[kind, count] = chunks + [b"".join(part)]
    return made[kind, count]


def ask(sock, request):
    """Sends, and reads until everything before the echo has been answered. Seconds, and what was read last."""
    begun = time.perf_counter()
    sock.sendall(request + ECHO)
    tail, buffer = b"", bytearray(1 << 20)
    while not tail.endswith(ECHOED):
        size = sock.recv_into(buffer)
        if size == 0:
            raise SystemExit("the server closed the connection")
        tail = (tail + bytes(buffer[max(0, size - 64) : size]))[-64:] if size < 64 else bytes(buffer[size - 64 : size])
    return time.perf_counter() - begun, tail


def quiet(server):
    """Waits until the server uses no processor time, and says how much it has used."""
    before = server.cpu_seconds()
    while True:
        time.sleep(0.15)
        now = server.cpu_seconds()
        if now - before <= 0.01:
            return now
        before = now


def fill(server, sock, kind, count):
    ask(sock, encode("FLUSHALL", "ASYNC"))
    for chunk in data(kind, count):
        ask(sock, chunk)
    return quiet(server)


def timed(server, kind, count, command):
    """(milliseconds, processor milliseconds) of one run."""
    sock = server.client().socket
    request = encode(*command(count))
    before = fill(server, sock, kind, count)
    seconds, tail = ask(sock, request)
    if tail.startswith(b"-"):
        raise SystemExit(f"{server.name} refused: {tail!r}")
    cpu = quiet(server) - before
    sock.close()
    return seconds * 1e3, cpu * 1e3


def probe(port, pipe):
    """PING after PING until told to stop; the longest wait, in seconds."""
    from client import Client

    client = Client(port)
    os.sched_setaffinity(0, {0})
    longest = 0.0
    pipe.send("ready")
    while not pipe.poll():
        begun = time.perf_counter()
        client.cmd("PING")
        longest = max(longest, time.perf_counter() - begun)
        time.sleep(0.0001)
    pipe.send(longest)


def neighbour(server, kind, count, command):
    """(the longest wait of a neighbour, processor time), milliseconds, of one run."""
    sock = server.client().socket
    before = fill(server, sock, kind, count)
    here, there = multiprocessing.Pipe()
    prober = multiprocessing.Process(target=probe, args=(server.port, there))
    prober.start()
    here.recv()
    time.sleep(0.2)
    ask(sock, encode(*command(count)))
    time.sleep(0.5)
    here.send("stop")
    longest = here.recv()
    prober.join()
    cpu = quiet(server) - before
    sock.close()
    return longest * 1e3, cpu * 1e3


def measure(binaries, rows, run, runs, scale, progress=lambda line: print(line, file=sys.stderr)):
    """{(row, name): (first, second)} of what `run` measures, medians."""
    results = {}
    for name, kind, count, command in rows:
        for turn in range(runs):
            shift = turn % len(binaries)
            for binary in binaries[shift:] + binaries[:shift]:
                with binary.start() as server:
                    pair = run(server, kind, int(count * scale), command)
                    results.setdefault((name, binary.name), []).append(pair)
        for binary in binaries:
            pairs = results[name, binary.name]
            results[name, binary.name] = tuple(statistics.median(pair[i] for pair in pairs) for i in (0, 1))
        shown = ", ".join(f"{b.name} {results[name, b.name][0]:.2f} ({results[name, b.name][1]:.0f})" for b in binaries)
        progress(f"{name}: {shown}")
    return results


def table(results, rows, names, what):
    head = [what] + [f"{name}: ms (CPU)" for name in names] + ["kvstash / the better"]
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join(["---"] * len(head)) + " |"]
    for row, *_ in rows:
        times = [results[row, name] for name in names]
        better = min((pair[0] for pair in times[1:]), default=float("nan"))
        cells = [row] + [f"{ms:.2f} ({cpu:.0f})" for ms, cpu in times] + [f"**{times[0][0] / better:.2f}**"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--scale", type=float, default=1.0)
    options.add_argument("--rows", default="", help="only rows whose name contains one of these, separated by commas")
    options.add_argument("--servers", default="kvstash,redis,valkey", help="which servers")
    given = options.parse_args()
    # An older Redis is no bar.
    binaries = [binary for binary in find(given.servers.split(",")) if binary.name != "redis 7.0"]
    names = [binary.name for binary in binaries]
    wanted = [part.strip().lower() for part in given.rows.split(",")]
    for rows, run, what in ((ROWS, timed, "command"), (NEIGHBOURS, neighbour, "what a neighbour waits")):
        chosen = [row for row in rows if any(part in row[0].lower() for part in wanted)]
        if chosen:
            results = measure(binaries, chosen, run, given.runs, given.scale)
            print(table(results, chosen, names, what) + "\n")


if __name__ == "__main__":
    main()
