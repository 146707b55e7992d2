#!/usr/bin/env python3
"""How good eviction is: hit rates of caches that have room for a tenth of the keys, and what an eviction costs.

Servers run beside each other, one trace after the other (examples/eviction), with equal seeds. Each pair of policy and
trace is run twice: with the same number of keys, where each server gets the memory that it needs for a tenth of them, so
that policies are judged; and with the same memory, that which redis 8.2 needs for it. The last table is of keys that
are all new: GET, SET and an eviction each; and without a limit, where memory grows instead. BENCH_BEFORE may name
another kvstash to compare with.

    eviction.py [--keys 300000] [--requests 3000000] [--seeds 1,2] [--servers "kvstash,redis 8.2,valkey"] [--page FILE]
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import peers
from client import encode

VALUE = b"0123456789abcdef" * 4
POLICIES = "allkeys-lru,allkeys-lfu"
TRACES = "drift,scan"


def driver():
    return os.environ.get("BENCH_EVICTION", str(peers.TARGET / "release" / "examples" / "eviction"))


def room_for(binary, keys):
    """The used_memory of a server that holds so many keys."""
    with binary.start() as server:
        client = server.client()
        client.load(encode("SET", b"key:%08d" % n, VALUE) for n in range(keys))
        return int(client.info("used_memory"))


def load(server, trace, options, seed, requests=None, lifetime=0):
    """(hits, requests) of the last three quarters."""
    command = [driver(), "load", str(server.port), trace, str(options.keys), str(requests or options.requests)]
    done = subprocess.run([*command, str(options.alpha), str(seed), str(int(lifetime))], capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


def hit_rate(binary, policy, trace, memory, options, seed):
    """Hit rate in percent, keys at the end, CPU µs per request and per eviction."""
    with binary.start("--maxmemory", str(memory), "--maxmemory-policy", policy) as server:
        client = server.client()
        hits, counted = load(server, trace, options, seed, lifetime=policy.startswith("volatile") and 100_000)
        evicted, cpu = int(client.info("evicted_keys")), server.cpu_seconds()
        if not evicted:
            raise SystemExit(f"{binary.name} evicted nothing")
        return 100 * hits / counted, client.cmd("DBSIZE"), 1e6 * cpu / options.requests, 1e6 * cpu / evicted


def eviction_cost(binary, policy, memory, options):
    """CPU µs of a GET and a SET of a key that is new, with an eviction and without."""
    costs = []
    for limit in (str(memory), "0"):
        with binary.start("--maxmemory", limit, "--maxmemory-policy", policy) as server:
            load(server, "fresh", options, 1, options.requests // 2)
            costs.append(1e6 * server.cpu_seconds() / (options.requests // 2))
    return costs


def table(rows):
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(rows[0]))
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=300_000)
    parser.add_argument("--requests", type=int, default=3_000_000)
    parser.add_argument("--alpha", type=float, default=0.9)
    parser.add_argument("--seeds", default="1,2")
    parser.add_argument("--traces", default=TRACES)
    parser.add_argument("--policies", default=POLICIES, help="under volatile ones all keys get the same time to live")
    parser.add_argument("--servers", default="kvstash,redis 8.2,valkey")
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    names = options.servers.split(",")
    binaries = [binary for binary in peers.find([name.split()[0] for name in names]) if {binary.name, binary.name.split()[0]} & set(names)]
    if before := os.environ.get("BENCH_BEFORE"):
        binaries.append(peers.Binary("kvstash before", before, ""))
    rooms = {binary.name: room_for(binary, options.keys // 10) for binary in binaries}
    shared = rooms.get("redis 8.2", max(rooms.values()))
    seeds = [int(seed) for seed in options.seeds.split(",")]
    rows = [["room", "trace", "policy", "server", "maxmemory", "hit rate, %", "keys", "CPU µs/request", "CPU µs/eviction"]]
    for room in ("same keys", "same memory"):
        for trace in options.traces.split(","):
            for policy in options.policies.split(","):
                for binary in binaries:
                    memory = rooms[binary.name] if room == "same keys" else shared
                    runs = [hit_rate(binary, policy, trace, memory, options, seed) for seed in seeds]
                    rate, keys, request, eviction = (sum(run[i] for run in runs) / len(runs) for i in range(4))
                    figures = [f"{memory / 1e6:.2f} MB", f"**{rate:.2f}**", f"{keys:.0f}", f"{request:.2f}", f"{eviction:.2f}"]
                    rows.append([room, trace, policy, binary.name, *figures])
                    print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    costs = [["policy", "server", "GET, SET, eviction: CPU µs", "without a limit: CPU µs"]]
    for policy in POLICIES.split(","):
        for binary in binaries:
            with_limit, without = eviction_cost(binary, policy, shared, options)
            costs.append([policy, binary.name, f"**{with_limit:.2f}**", f"{without:.2f}"])
            print(" | ".join(costs[-1]), file=sys.stderr, flush=True)
    versions = ", ".join(f"{binary.name} {binary.version}".strip() for binary in binaries)
    text = f"""{versions}; {options.keys} keys, {options.requests} requests, zipf {options.alpha}, seeds {options.seeds}

{table(rows)}

{table(costs)}
"""
    if options.page:
        options.page.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
