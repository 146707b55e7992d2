#!/usr/bin/env python3
"""What the system sees: resident memory over used_memory, and how soon memory goes back.

    rss.py [--kinds string,set,...] [--count N] [--servers kvstash,redis,valkey] [--set name=value]...

The ratio is (RSS - RSS of the empty server) / (used_memory - used_memory of the empty server). Elements come one by one,
a request each. Measured are 10 s after the fill; after a random half was deleted; and, for strings, after all
values were overwritten by ones of other sizes: with `activedefrag yes` (where the server can) and ignore-bytes of 1 MiB,
once the ratio has stood still for twelve seconds, which is longer than the allocator keeps unused pages (90 s at most).
Last, the seconds until the resident set fell by nine tenths of the way after FLUSHALL ASYNC and SYNC of 200 MB.
"""

import argparse
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import peers
from client import encode

KINDS = ["string", "set", "zset", "hash", "list", "stream", "small hash"]
WAIT_S = 10
STILL_S = 12
STILL_MAX_S = 90


def fill(kind, count):
    """One request for each element."""
    for n in range(count):
        if kind == "string":
            yield encode("SET", b"key:%d" % n, (b"value:%d" % n).ljust(16, b"."))
        elif kind == "set":
            yield encode("SADD", "k", b"member:%d" % n)
        elif kind == "zset":
            yield encode("ZADD", "k", n * 7919 % count, b"member:%d" % n)
        elif kind == "hash":
            yield encode("HSET", "k", b"field:%d" % n, b"value:%010d" % n)
        elif kind == "list":
            yield encode("RPUSH", "k", b"member:%d" % n)
        elif kind == "stream":
            yield encode("XADD", "k", f"{n + 1}-1", "field", b"value:%010d" % n)
        else:
            yield encode("HSET", b"key:%d" % (n // 10), b"field:%d" % (n % 10), b"value:%010d" % n)


def halve(kind, count):
    """Deletes a random half."""
    numbers = random.Random(1).sample(range(count), count // 2)
    for n in numbers:
        if kind == "string":
            yield encode("DEL", b"key:%d" % n)
        elif kind == "set":
            yield encode("SREM", "k", b"member:%d" % n)
        elif kind == "zset":
            yield encode("ZREM", "k", b"member:%d" % n)
        elif kind == "hash":
            yield encode("HDEL", "k", b"field:%d" % n)
        elif kind == "list":
            yield encode("LSET", "k", n, "")
        elif kind == "stream":
            yield encode("XDEL", "k", f"{n + 1}-1")
        else:
            yield encode("HDEL", b"key:%d" % (n // 10), b"field:%d" % (n % 10))
    if kind == "list":
        yield encode("LREM", "k", 0, "")


def overwrite(count):
    """Other sizes, in another order."""
    chance = random.Random(2)
    numbers = list(range(count))
    chance.shuffle(numbers)
    for n in numbers:
        yield encode("SET", b"key:%d" % n, b"x" * chance.randrange(1, 200))


class Gauge:
    """The ratio of one server, less what it had when it was empty."""

    def __init__(self, server):
        self.server, self.client = server, server.client()
        time.sleep(0.5)
        self.used, self.rss = int(self.client.info("used_memory")), server.rss()

    def read(self):
        used = int(self.client.info("used_memory")) - self.used
        rss = self.server.rss() - self.rss
        return rss / used, used, rss

    def still(self):
        """Once the resident set stands still; with the seconds that took."""
        began = since = time.monotonic()
        last = self.server.rss()
        while time.monotonic() - since < STILL_S and time.monotonic() - began < STILL_MAX_S:
            time.sleep(0.25)
            rss = self.server.rss()
            if abs(rss - last) > last * 0.01:
                last, since = rss, time.monotonic()
        return (*self.read(), since - began)


def longest_turn_ms(client):
    """Of the loop since CONFIG RESETSTAT, where the server counts it."""
    for line in client.cmd("INFO", "debug").decode().splitlines():
        if line.startswith("eventloop_duration_max:"):
            return int(line.split(":")[1]) / 1000
    return float("nan")


def settings(client, pairs):
    for name, value in [("activedefrag", "yes"), ("active-defrag-ignore-bytes", "1mb"), *pairs]:
        try:
            client.cmd("CONFIG", "SET", name, value)
        except RuntimeError as error:
            return str(error)
    return None


def one(binary, kind, count, pairs, progress):
    """{stage: (ratio, used, rss, seconds, CPU seconds)} of one kind on one server."""
    stages = {}
    with binary.start() as server:
        gauge = Gauge(server)
        if "activedefrag" in dict(pairs):
            settings(gauge.client, pairs)
        cpu = server.cpu_seconds()
        gauge.client.load_any(fill(kind, count), 200)
        filled = server.cpu_seconds() - cpu
        time.sleep(WAIT_S)
        stages["filled"] = (*gauge.read(), WAIT_S, filled)
        refused = settings(gauge.client, pairs)
        if refused:
            progress(f"{binary.name}: {refused}")
        changes = [("half deleted", halve(kind, count))]
        if kind == "string":
            changes.insert(0, ("overwritten", overwrite(count)))
        for stage, requests in changes:
            gauge.client.load_any(requests, 200)
            first = gauge.read()[0]
            gauge.client.cmd("CONFIG", "RESETSTAT")
            cpu = server.cpu_seconds()
            stages[stage] = (*gauge.still(), server.cpu_seconds() - cpu)
            hits, longest = gauge.client.info("active_defrag_hits"), longest_turn_ms(gauge.client)
            progress(f"{binary.name}, {kind}, {stage}: {first:.2f} at once; then {hits} moved, longest turn {longest:.2f} ms")
        for stage, result in stages.items():
            ratio, used, rss, seconds, busy = result
            progress(f"{binary.name}, {kind}, {stage}: {ratio:.3f} ({used / 1e6:.1f} MB, RSS {rss / 1e6:.1f}) {seconds:.1f} s, CPU {busy:.2f} s")
    return stages


def flush(binary, how):
    """Seconds until nine tenths of 200 MB were given back."""
    with binary.start() as server:
        gauge = Gauge(server)
        gauge.client.cmd("DEBUG", "POPULATE", 1_900_000, "key", 50)
        full = gauge.read()[2]
        began = time.monotonic()
        gauge.client.cmd("FLUSHALL", how)
        answered = time.monotonic() - began
        while server.rss() - gauge.rss > full / 10 and time.monotonic() - began < STILL_MAX_S:
            time.sleep(0.02)
        return full, answered, time.monotonic() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--servers", default="kvstash,redis,valkey")
    parser.add_argument("--set", action="append", default=[], help="a parameter, as name=value")
    parser.add_argument("--no-flush", action="store_true")
    options = parser.parse_args()
    pairs = [tuple(pair.split("=", 1)) for pair in options.set]
    binaries = [binary for binary in peers.find(options.servers.split(",")) if binary.name != "redis 7.0"]
    progress = lambda text: print(text, file=sys.stderr, flush=True)
    print("| one by one | server | filled | half deleted | overwritten |\n| --- | --- | --- | --- | --- |")
    for kind in [kind for kind in options.kinds.split(",") if kind]:
        for binary in binaries:
            stages = one(binary, kind, options.count, pairs, progress)
            cells = [f"{stages[s][0]:.2f}" if s in stages else "" for s in ("filled", "half deleted", "overwritten")]
            print("| " + " | ".join([kind, binary.name, *cells]) + " |", flush=True)
    if not options.no_flush:
        for how in ("ASYNC", "SYNC"):
            for binary in binaries:
                full, answered, seconds = flush(binary, how)
                print(f"{binary.name}: FLUSHALL {how} of {full / 1e6:.0f} MB answered in {answered * 1000:.1f} ms, given back in {seconds:.2f} s", flush=True)


if __name__ == "__main__":
    main()
