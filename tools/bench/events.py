#!/usr/bin/env python3
"""What keyspace events cost the server's processor: SET with `notify-keyspace-events KEA`, and who hears of it.

    events.py [--rounds N] [--scale X] [--servers kvstash,redis,valkey]

redis-benchmark sets keys; a process of its own reads what the subscribers of `__key*` are sent and throws it away. Servers
are measured in turn, and the order turns every round.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import versus
from client import encode
from listening import benchmark, rounds_of

# Subscribers of all events, connections, requests in one pipeline, requests.
CASES = [
    (0, 50, 16, 800_000),
    (1, 1, 1, 60_000),
    (1, 50, 1, 120_000),
    (1, 1, 16, 400_000),
    (1, 50, 16, 600_000),
    (1, 1, 64, 600_000),
    (100, 50, 16, 60_000),
]


def measure(binaries, rounds=3, scale=1.0, progress=print):
    """{(case, name): (µs, µs in the program)} for each SET, medians over the rounds."""
    samples = {}
    for case in CASES:
        subscribers, connections, pipeline, requests = case
        requests = max(int(requests * scale), connections * pipeline)

        def run(server):
            return benchmark(server, connections, pipeline, requests, "-r", "10000", "SET", "key:__rand_int__", "a value")

        begin = [encode("PSUBSCRIBE", "__key*")] * subscribers
        rounds_of(case, binaries, ("--notify-keyspace-events", "KEA"), begin, rounds, run, samples)
        progress(f"SET: {subscribers} subscribers, {connections} connections, pipeline {pipeline}")
    return versus.medians(samples)


def table(results, names):
    """Rows for the report: CPU time in all / in the program, and both as parts of the better peer's."""
    rows = [versus.head(names, "subscribers", "connections", "P")]
    for case in CASES:
        rows.append([str(n) for n in case[:3]] + versus.cells([results[case, name] for name in names]))
    return rows


if __name__ == "__main__":
    versus.main(__doc__, CASES, ("subscribers", "connections", "pipeline"), measure, table)
