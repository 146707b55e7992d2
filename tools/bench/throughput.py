#!/usr/bin/env python3
"""Requests a second, and the server's processor time per request, by redis-benchmark in interleaved rounds.

On two cores the client is often the bottleneck, so a throughput ratio flatters the slower server; the processor time
per request is what counts. Rounds are interleaved, and the order turns every round, so that a busy minute of the
machine hits everybody.
"""

import csv
import io
import statistics
import subprocess

from client import encode

KEYSPACE = 1_000_000
PIPELINES = [1, 16, 64]
# Requests for about a second and more of the fastest server's time.
REQUESTS = {
    "GET": {1: 120_000, 16: 1_200_000, 64: 2_400_000},
    "SET": {1: 120_000, 16: 1_200_000, 64: 2_000_000},
    "INCR": {1: 120_000, 16: 1_200_000, 64: 2_000_000},
    "MSET": {1: 60_000, 16: 200_000, 64: 256_000},
}


def preload(server, value):
    """The million keys that redis-benchmark's GET and SET hit."""
    client = server.client()
    client.cmd("FLUSHALL")
    client.load(encode("SET", b"key:%012d" % i, value) for i in range(KEYSPACE))
    client.close()


def one_run(server, test, pipeline, value_len, scale):
    requests = max(int(REQUESTS[test][pipeline] * scale), pipeline * 50)
    before = server.cpu_seconds()
    output = subprocess.run(
        ["redis-benchmark", "-h", "127.0.0.1", "-p", str(server.port), "-t", test.lower(), "-n", str(requests), "-c", "50"]
        + ["-P", str(pipeline), "-r", str(KEYSPACE), "-d", str(value_len), "--csv"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    cpu = server.cpu_seconds() - before
    rows = [row for row in csv.reader(io.StringIO(output)) if len(row) > 1 and row[0] != "test"]
    rows = [row for row in rows if row[0].upper().startswith(test)]
    return float(rows[-1][1]), cpu / requests * 1e6


def measure(binaries, rounds, value_len=16, scale=1.0, progress=print):
    """{(test, pipeline, name): (requests a second, CPU µs per request)}, medians over the rounds."""
    servers = [binary.start() for binary in binaries]
    samples = {}
    try:
        for server in servers:
            preload(server, b"v" * value_len)
        for round_number in range(rounds):
            for test in REQUESTS:
                for pipeline in PIPELINES:
                    turn = round_number % len(servers)
                    for server in servers[turn:] + servers[:turn]:
                        rate, cpu = one_run(server, test, pipeline, value_len, scale)
                        samples.setdefault((test, pipeline, server.name), []).append((rate, cpu))
            progress(f"throughput: round {round_number + 1} of {rounds}")
    finally:
        for server in servers:
            server.__exit__()
    return {
        key: (statistics.median(rate for rate, _ in runs), statistics.median(cpu for _, cpu in runs))
        for key, runs in samples.items()
    }


def tables(results, names):
    """Rows for the report: absolute figures, then ratios of the first server to each other one."""
    absolute = [["test", "P"] + [f"{name}: k req/s" for name in names] + [f"{name}: CPU µs/req" for name in names]]
    ratio_head = [f"throughput / {name}" for name in names[1:]] + [f"**CPU / {name}**" for name in names[1:]]
    ratios = [["test", "P"] + ratio_head]
    for test in REQUESTS:
        for pipeline in PIPELINES:
            row = {name: results[test, pipeline, name] for name in names if (test, pipeline, name) in results}
            rates = [f"{row[name][0] / 1000:.0f}" for name in names]
            cpus = [f"{row[name][1]:.2f}" for name in names]
            absolute.append([test, str(pipeline)] + rates + cpus)
            first = row[names[0]]
            by_rate = [f"{first[0] / row[name][0]:.2f}" for name in names[1:]]
            by_cpu = [f"**{first[1] / max(row[name][1], 1e-9):.2f}**" for name in names[1:]]
            ratios.append([test, str(pipeline)] + by_rate + by_cpu)
    return absolute, ratios
