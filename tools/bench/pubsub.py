#!/usr/bin/env python3
"""What PUBLISH costs the server's processor: to one, a hundred, a thousand subscribers, and with a thousand patterns.

    pubsub.py [--rounds N] [--scale X] [--servers kvstash,redis,valkey]

redis-benchmark publishes from one connection, or from fifty; a process of its own reads what the subscribers are sent and throws it
away. Nearly all of the time to a thousand subscribers is the kernel's, a write for each of them: so the time in the
program itself is shown, too. Servers are measured in turn, and the order turns every round.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import versus
from client import encode
from listening import benchmark, rounds_of

CHANNEL = "channel:7:events"
# Subscribers to the channel, patterns of others, publishers, requests in one pipeline, requests.
CASES = [
    (0, 0, 50, 16, 800_000),
    (1, 0, 1, 1, 60_000),
    (1, 0, 50, 1, 120_000),
    (1, 0, 1, 16, 500_000),
    (1, 0, 1, 64, 800_000),
    (100, 0, 1, 1, 8_000),
    (100, 0, 50, 1, 50_000),
    (100, 0, 1, 16, 30_000),
    (100, 0, 1, 64, 60_000),
    (1000, 0, 1, 1, 1_000),
    (1000, 0, 50, 1, 8_000),
    (1000, 0, 1, 16, 4_000),
    (1000, 0, 1, 64, 8_000),
    (0, 1000, 1, 1, 60_000),
    (0, 1000, 50, 1, 120_000),
    (0, 1000, 1, 16, 400_000),
]


def subscriptions(channels, patterns):
    """What the subscribers send, each its own."""
    begin = [encode("SUBSCRIBE", CHANNEL)] * channels
    return begin + ([encode(*["PSUBSCRIBE"] + [f"channel:{i}:*" for i in range(patterns)])] if patterns else [])


def measure(binaries, rounds=3, scale=1.0, progress=print):
    """{(case, name): (µs, µs in the program)} for each PUBLISH, medians over the rounds."""
    samples = {}
    for case in CASES:
        channels, patterns, publishers, pipeline, requests = case
        requests = max(int(requests * scale), publishers * pipeline)

        def run(server):
            return benchmark(server, publishers, pipeline, requests, "PUBLISH", CHANNEL, "a message of 24 letters.")

        rounds_of(case, binaries, (), subscriptions(channels, patterns), rounds, run, samples)
        progress(f"publish: {channels} subscribers, {patterns} patterns, {publishers} publishers, pipeline {pipeline}")
    return versus.medians(samples)


def table(results, names):
    """Rows for the report: CPU time in all / in the program, and both as parts of the better peer's."""
    rows = [versus.head(names, "subscribers", "patterns", "publishers", "P")]
    for case in CASES:
        rows.append([str(n) for n in case[:4]] + versus.cells([results[case, name] for name in names]))
    return rows


if __name__ == "__main__":
    versus.main(__doc__, CASES, ("subscribers", "patterns", "publishers", "pipeline"), measure, table)
