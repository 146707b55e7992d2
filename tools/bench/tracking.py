#!/usr/bin/env python3
"""What client-side caching costs the server's processor: SET under BCAST tracking, reads that are remembered, writes that are told.

    tracking.py [--rounds N] [--scale X] [--servers kvstash,redis,valkey]

redis-benchmark sends the requests; under BCAST a process of its own reads what the tracking clients are sent and throws it
away. Nearly all of the time is the kernel's, a write for each of them: so the time in the program itself is shown, too.
Reads: one connection that tracks asks for a hundred thousand keys, and another one sets them; nobody else is there.
Servers are measured in turn, and the order turns every round.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import versus
from client import Client, encode
from listening import benchmark, measured, rounds_of

# Clients that track with BCAST, connections, requests in one pipeline, requests.
CASES = [
    (0, 50, 1, 120_000),
    (0, 50, 16, 800_000),
    (1, 50, 1, 120_000),
    (1, 50, 16, 600_000),
    (100, 1, 1, 6_000),
    (100, 1, 16, 60_000),
    (100, 50, 1, 60_000),
    (100, 50, 16, 400_000),
]
KEYS = 100_000
BATCH = 100


def reads_and_writes(server):
    """A client reads keys that are remembered for it, is told of each when it is set, and reads again."""
    reader, writer = Client(server.port), Client(server.port)
    reader.cmd("HELLO", "3")
    reader.cmd("CLIENT", "TRACKING", "ON")
    batches = [range(begin, begin + BATCH) for begin in range(0, KEYS, BATCH)]

    def send(client, requests, hears):
        client.socket.sendall(b"".join(requests))
        for who in hears:
            for _ in range(BATCH):
                who.read()

    def reads():
        for batch in batches:
            send(reader, (encode("GET", f"key:{i:012}") for i in batch), [reader])

    def writes():
        for batch in batches:
            send(writer, (encode("SET", f"key:{i:012}", "a value") for i in batch), [writer, reader])

    writer.cmd("FLUSHALL")
    reader.read()
    return {"read": measured(server, KEYS, reads), "read again": measured(server, KEYS, reads), "set": measured(server, KEYS, writes)}


def measure(binaries, rounds=3, scale=1.0, progress=print):
    """{(case, name): (µs, µs in the program)} for each request, medians over the rounds."""
    samples = {}
    for case in CASES:
        trackers, connections, pipeline, requests = case
        requests = max(int(requests * scale), connections * pipeline)
        begin = [encode("HELLO", "3") + encode("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "key:")] * trackers

        def run(server):
            return benchmark(server, connections, pipeline, requests, "-r", "10000", "SET", "key:__rand_int__", "a value")

        rounds_of(case, binaries, (), begin, rounds, run, samples)
        progress(f"SET: {trackers} clients track by prefix, {connections} connections, pipeline {pipeline}")
    servers = [binary.start() for binary in binaries]
    try:
        for server in versus.in_turns(servers, rounds):
            for what, run in reads_and_writes(server).items():
                samples.setdefault((what, server.name), []).append(run)
    finally:
        for server in servers:
            server.__exit__()
    return versus.medians(samples)


def table(results, names):
    """Rows for the report: CPU time in all / in the program, and both as parts of the better peer's."""
    rows = [versus.head(names, "tracking by prefix", "connections", "P")]
    for case in [*CASES, "read", "read again", "set"]:
        head = [str(n) for n in case[:3]] if isinstance(case, tuple) else [f"one, by key: {case}", "1", str(BATCH)]
        rows.append(head + versus.cells([results[case, name] for name in names]))
    return rows


if __name__ == "__main__":
    versus.main(__doc__, CASES, ("trackers", "connections", "pipeline"), measure, table)
