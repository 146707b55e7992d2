#!/usr/bin/env python3
"""Bits and large strings: kvstash beside Redis and Valkey, command by command, from 10 bytes to 100 MB.

    bits.py [--rounds N] [--sizes 10,100,10k,1m,100m] [--only bitop,pf] [--servers kvstash,redis,valkey]

Every server gets the same strings. A command is sent a few times in a row (short ones in pipelines), by one client;
servers take turns, and the figure is the median of the rounds. Two figures each: the time until the reply was there,
and the processor time of the server's process with all its threads. Time ratios are to the better of the others; 0.80
is the bar. What a server does not know is left out of the comparison.
"""

import argparse
import os
import random
import socket
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import peers
from client import encode

SIZES = {"10": 10, "100": 100, "10k": 10 << 10, "1m": 1 << 20, "100m": 100_000_000}
OPERATIONS = ["AND", "OR", "XOR", "DIFF", "DIFF1", "ANDOR", "ONE"]
BAR = 0.80


def fill(client, size):
    """`a` .. `h` of random bytes, equally long; `s` .. `u` shorter ones; `z` and `o` dull ones; `p` and `q` sparse ones."""
    rng = random.Random(size)
    client.cmd("FLUSHALL")
    for name in "abcdefgh":
        client.cmd("SET", name, rng.randbytes(size))
    for name, part in (("s", 0.9), ("t", 0.5), ("u", 0.1)):
        client.cmd("SET", name, rng.randbytes(max(1, int(size * part))))
    client.cmd("SET", "z", b"\0" * (size - 1) + b"\x01")
    client.cmd("SET", "o", b"\xff" * (size - 1) + b"\xfe")
    for name, places in (("p", 5), ("q", 7)):
        client.cmd("SETBIT", name, size * 8 - 1, 1)
        for i in range(places):
            client.cmd("SETBIT", name, size * 8 * i // places, 1)


def bits(size):
    last = size * 8
    yield "BITCOUNT", ["BITCOUNT", "a"]
    yield "BITCOUNT, BYTE 1 -2", ["BITCOUNT", "a", 1, -2]
    yield "BITCOUNT, BIT 3 -4", ["BITCOUNT", "a", 3, -4, "BIT"]
    yield "BITCOUNT, sparse", ["BITCOUNT", "p"]
    yield "BITPOS 1, last bit", ["BITPOS", "z", 1]
    yield "BITPOS 0, last bit", ["BITPOS", "o", 0]
    yield "BITPOS 1, BYTE 1 -1", ["BITPOS", "z", 1, 1, -1]
    yield "BITPOS 0, BIT 5 -1", ["BITPOS", "o", 0, 5, -1, "BIT"]
    yield "BITPOS 1, sparse", ["BITPOS", "p", 1, 1, last, "BIT"]
    yield "SETBIT", ["SETBIT", "h", last // 2, 1]
    yield "GETBIT", ["GETBIT", "a", last // 2]


def bitop(_):
    yield "BITOP NOT", ["BITOP", "NOT", "d1", "a"]
    for name in OPERATIONS:
        yield f"BITOP {name}, 2", ["BITOP", name, "d1", "a", "b"]
    for name in OPERATIONS:
        yield f"BITOP {name}, 3 lengths", ["BITOP", name, "d1", "s", "a", "u"]
    for name in OPERATIONS:
        yield f"BITOP {name}, 8", ["BITOP", name, "d1", *"abcdefgh"]
    for name in ("AND", "OR", "XOR"):
        yield f"BITOP {name}, 2 sparse", ["BITOP", name, "d1", "p", "q"]
    yield "BITOP OR, 1 and sparse", ["BITOP", "OR", "d1", "a", "p"]


def strings(size):
    yield "SETRANGE, all of it", ["SETRANGE", "g", 0, b"x" * size]
    yield "GETRANGE, all but 2", ["GETRANGE", "a", 1, -2]
    yield "COPY", ["COPY", "a", "d2", "REPLACE"]
    yield "DUMP", ["DUMP", "a"]
    yield "RESTORE", None
    yield "DEBUG DIGEST-VALUE", ["DEBUG", "DIGEST-VALUE", "a"]
    yield "LCS, IDX", None if size > 100 else ["LCS", "a", "b", "IDX"]


GROUPS = {"bits": bits, "bitop": bitop, "strings": strings}


def fill_estimates(client):
    """Dense HyperLogLogs `h:0` .. `h:15`, and sparse ones `l:0` .. `l:3`."""
    rng = random.Random(1)
    for i in range(16):
        for _ in range(20):
            client.cmd("PFADD", f"h:{i}", *(b"%d" % rng.randrange(1 << 40) for _ in range(1000)))
    for i in range(4):
        client.cmd("PFADD", f"l:{i}", *(b"%d" % rng.randrange(1 << 40) for _ in range(100)))


def estimates():
    many = [f"h:{i}" for i in range(16)]
    yield "PFCOUNT, 1 unknown", [["PFADD", "h:0", b"%d"], ["PFCOUNT", "h:0"]]
    yield "PFCOUNT, 2", [["PFCOUNT", *many[:2]]]
    yield "PFCOUNT, 16", [["PFCOUNT", *many]]
    yield "PFCOUNT, 4 sparse", [["PFCOUNT", *(f"l:{i}" for i in range(4))]]
    yield "PFMERGE, 2", [["PFMERGE", "m", *many[:2]]]
    yield "PFMERGE, 16", [["PFMERGE", "m", *many]]
    yield "PFMERGE, 4 sparse", [["PFMERGE", "n", *(f"l:{i}" for i in range(4))]]


class Runner:
    """One connection that counts replies without looking at them."""

    def __init__(self, server):
        self.server = server
        self.client = server.client()
        self.socket = self.client.socket

    def cpu_ns(self):
        """Processor time of all threads, to the nanosecond (the process's own figure has ticks of 10 ms)."""
        total = 0
        for task in Path(f"/proc/{self.server.pid}/task").iterdir():
            try:
                total += int(Path(task, "schedstat").read_text().split()[0])
            except FileNotFoundError:
                pass
        return total

    def run(self, batch, count, reply_bytes):
        """Seconds and processor seconds for sending `batch` so often; each time so many bytes come back."""
        room = bytearray(1 << 20)
        cpu, started = self.cpu_ns(), time.perf_counter()
        for _ in range(count):
            self.socket.sendall(batch)
            left = reply_bytes
            while left > 0:
                left -= self.socket.recv_into(room, min(left, len(room)))
        seconds = time.perf_counter() - started
        # What other threads do for it (freeing) belongs to it.
        time.sleep(0.002 if reply_bytes < 1 << 20 else 0.02)
        return seconds, (self.cpu_ns() - cpu) / 1e9


def reply_size(runner, request):
    """Bytes of the reply to one request, or None when it is refused."""
    runner.socket.sendall(request)
    got = runner.socket.recv(1 << 20)
    if got[:1] == b"-":
        return None
    if got[:1] == b"$":
        head = got.index(b"\r\n")
        total = head + 2 + int(got[1:head]) + 2
    elif got[:1] == b"*":
        # Short arrays only: all of it is here, or soon will be.
        time.sleep(0.01)
        runner.socket.setblocking(False)
        try:
            got += runner.socket.recv(1 << 20)
        except BlockingIOError:
            pass
        runner.socket.setblocking(True)
        return len(got)
    else:
        return len(got)
    size = len(got)
    while size < total:
        size += len(runner.socket.recv(1 << 20))
    return total


def repeats(title, size):
    """(pipeline, batches) for strings of a size: some tens of milliseconds."""
    if title in ("SETBIT", "GETBIT"):
        size = 1
    if size >= 10_000_000:
        return 1, 3
    if size >= 1_000_000:
        return 1, 30
    if size >= 10_000:
        return 16, 60
    return 64, 100


def measure_test(runners, name, requests, size, rounds):
    """{server: (µs, CPU µs)}, medians over the rounds; servers that refuse are left out."""
    pipeline, count = repeats(name, size)
    sizes = {}
    for runner in runners:
        mine = [reply_size(runner, request) for request in requests[runner.server.name]]
        if None not in mine:
            sizes[runner] = sum(mine)
    samples = {runner: [] for runner in sizes}
    able = list(sizes)
    for round_number in range(rounds):
        turn = round_number % max(len(able), 1)
        for runner in able[turn:] + able[:turn]:
            batch = b"".join(requests[runner.server.name]) * pipeline
            seconds, cpu = runner.run(batch, count, sizes[runner] * pipeline)
            done = pipeline * count
            samples[runner].append((seconds / done * 1e6, cpu / done * 1e6))
    medians = {runner.server.name: [statistics.median(run[i] for run in runs) for i in (0, 1)] for runner, runs in samples.items()}
    return {name: medians.get(name) for name in requests}


def figure(us):
    return f"{us / 1000:.2f} ms" if us >= 1000 else f"{us:.2f}"


def row(title, medians, names):
    """One line of the table: times, processor times, ratios to the better of the others."""
    cells = [title]
    for name in names:
        got = medians.get(name)
        cells.append(f"{figure(got[0])} / {figure(got[1])}" if got else "-")
    mine, others = medians.get(names[0]), [medians[name] for name in names[1:] if medians.get(name)]
    if not mine or not others:
        return cells + ["-", "-", ""]
    ratios = [mine[i] / min(other[i] for other in others) for i in (0, 1)]
    return cells + [f"**{ratios[0]:.2f}**", f"{ratios[1]:.2f}", "" if min(ratios) <= BAR else "misses"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--only", default=",".join([*GROUPS, "pf"]))
    parser.add_argument("--match", default="", help="tests whose names contain this")
    parser.add_argument("--servers", default="kvstash,redis,valkey")
    options = parser.parse_args()
    only = options.only.split(",")
    # Redis 7.0 is not among those that the bar is about.
    binaries = [binary for binary in peers.find(options.servers.split(",")) if binary.name != "redis 7.0"]
    names = [binary.name for binary in binaries]
    servers = [binary.start("--proto-max-bulk-len", "512mb") for binary in binaries]
    print("* " + ", ".join(f"{binary.name} ({binary.version})" for binary in binaries))
    print(f"* {os.cpu_count()} processors, medians of {options.rounds} rounds; time / processor time a command, µs unless told")
    head = ["", *names, "time / the better", "CPU / the better", f"bar {BAR}"]

    def begin(title):
        print(f"\n## {title}\n\n| " + " | ".join(head) + " |\n|" + " --- |" * len(head))

    def test(title, requests, size):
        if options.match in title:
            medians = measure_test(runners, title, requests, size, options.rounds)
            print("| " + " | ".join(row(title, medians, names)) + " |", flush=True)

    try:
        runners = [Runner(server) for server in servers]
        for label in options.sizes.split(","):
            groups = [name for name in GROUPS if name in only]
            if not groups:
                continue
            size = SIZES[label]
            for runner in runners:
                fill(runner.client, size)
            for group in groups:
                begin(f"{group}, strings of {size:,} bytes")
                for title, command in GROUPS[group](size):
                    if command:
                        test(title, {name: [encode(*command)] for name in names}, size)
                    elif title == "RESTORE":
                        dumps = {runner.server.name: runner.client.cmd("DUMP", "a") for runner in runners}
                        test(title, {name: [encode("RESTORE", "d3", 0, dumps[name], "REPLACE")] for name in names}, size)
        if "pf" in only:
            for runner in runners:
                runner.client.cmd("FLUSHALL")
                fill_estimates(runner.client)
            begin("HyperLogLogs")
            for title, commands in estimates():
                test(title, {name: [encode(*command) for command in commands] for name in names}, 10_000)
    finally:
        for server in servers:
            server.__exit__()


if __name__ == "__main__":
    main()
