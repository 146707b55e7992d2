#!/usr/bin/env python3
"""Collections: bytes per element of one large key, and the server's processor time per request.

Elements are `member:N` and `field:N` (with values of 16 bytes), over several counts for the reason that memory.py
gives. Requests come from redis-benchmark in interleaved rounds, as in throughput.py; commands on a sorted set work on
one of a million members. Ratios are to the better of the others, element by element.
"""

import csv
import io
import statistics
import subprocess

from client import encode
from memory import settle

COUNTS = [700_000, 1_000_000, 1_400_000]
BATCH = 100


def requests(kind, count):
    """What fills one key of a kind with so many elements."""
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        if kind == "set":
            yield encode("SADD", "k", *(b"member:%d" % n for n in numbers))
        elif kind == "zset":
            yield encode("ZADD", "k", *(part for n in numbers for part in (b"%d" % (n * 7919 % count), b"member:%d" % n)))
        elif kind == "hash":
            yield encode("HSET", "k", *(part for n in numbers for part in (b"field:%d" % n, b"value:%010d" % n)))
        elif kind == "list":
            yield encode("RPUSH", "k", *(b"member:%d" % n for n in numbers))


def bytes_per_element(binary, kind, count):
    with binary.start() as server:
        client = server.client()
        used_before, rss_before = settle(server, client)
        client.load_any(requests(kind, count))
        used, rss = settle(server, client)
        return (used - used_before) / count, (rss - rss_before) / count


def measure_memory(binaries, scale=1.0, progress=print):
    """{(name, kind, count): (bytes by used_memory, bytes by RSS)}"""
    results = {}
    for kind in ("set", "zset", "hash", "list"):
        for count in COUNTS:
            for binary in binaries:
                results[binary.name, kind, count] = bytes_per_element(binary, kind, int(count * scale))
        progress(f"collections, memory: {kind} done")
    return results


def memory_table(results, names):
    rows = [["one key of", "server"] + [f"{count / 1e6:g} M" for count in COUNTS] + ["mean, used_memory", "mean, RSS", f"{names[0]} / it"]]
    for kind in ("set", "zset", "hash", "list"):
        first = None
        for name in names:
            pairs = [results[name, kind, count] for count in COUNTS]
            mean = [sum(pair[i] for pair in pairs) / len(pairs) for i in (0, 1)]
            first = first or mean
            each = [f"{used:.1f} / {rss:.1f}" for used, rss in pairs]
            rows.append([kind, name] + each + [f"**{mean[0]:.1f}**", f"{mean[1]:.1f}", f"{first[0] / mean[0]:.2f} / {first[1] / mean[1]:.2f}"])
    return rows


# Name, what fills the key before, the command for redis-benchmark, requests, the bar.
TESTS = [
    ("LPUSH", None, ["LPUSH", "l:bench", "0123456789abcdef"], 600_000, 0.80),
    ("RPOP", "list", ["RPOP", "k"], 600_000, 0.80),
    ("LRANGE_100", "short list", ["LRANGE", "short", "0", "99"], 100_000, 0.80),
    ("SADD", None, ["SADD", "s:bench", "element:__rand_int__"], 600_000, 0.80),
    ("SPOP", "set", ["SPOP", "k"], 600_000, 0.80),
    ("HSET", None, ["HSET", "h:bench", "field:__rand_int__", "0123456789abcdef"], 600_000, 0.80),
    ("HGET", "bench hash", ["HGET", "h:bench", "field:__rand_int__"], 600_000, 0.80),
    ("XADD", None, ["XADD", "x:bench", "*", "field", "value"], 400_000, 0.80),
    ("ZADD", "zset", ["ZADD", "k", "__rand_int__", "member:__rand_int__"], 300_000, 0.50),
    ("ZRANK", "bench zset", ["ZRANK", "z:bench", "member:__rand_int__"], 300_000, 0.50),
    ("ZRANGEBYSCORE", "bench zset", ["ZRANGEBYSCORE", "z:bench", "__rand_int__", "+inf", "LIMIT", "0", "10"], 200_000, 0.50),
    ("ZPOPMIN", "zset", ["ZPOPMIN", "k"], 300_000, 0.50),
]  # fmt: skip
KEYSPACE = 1_000_000


def prepare(server, what):
    client = server.client()
    if what in ("list", "set", "zset"):
        client.cmd("DEL", "k")
        client.load_any(requests(what, KEYSPACE))
    elif what == "short list":
        client.cmd("DEL", "short")
        client.load_any(iter([encode("RPUSH", "short", *(b"element:%08d" % n for n in range(100)))]))
    elif what == "bench hash":
        client.load_any(
            encode("HSET", "h:bench", *(part for n in range(start, start + BATCH) for part in (b"field:%012d" % n, b"0123456789abcdef")))
            for start in range(0, KEYSPACE, BATCH)
        )
    elif what == "bench zset" and client.cmd("EXISTS", "z:bench") == 0:
        client.load_any(
            encode("ZADD", "z:bench", *(part for n in range(start, start + BATCH) for part in (b"%d" % (n * 7919 % KEYSPACE), b"member:%012d" % n)))
            for start in range(0, KEYSPACE, BATCH)
        )
    client.close()


def one_run(server, command, count, pipeline):
    before = server.cpu_seconds()
    output = subprocess.run(
        ["redis-benchmark", "-h", "127.0.0.1", "-p", str(server.port), "-n", str(count), "-c", "50", "-P", str(pipeline)]
        + ["-r", str(KEYSPACE), "--csv", *command],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    cpu = server.cpu_seconds() - before
    rows = [row for row in csv.reader(io.StringIO(output)) if len(row) > 1 and row[0] != "test"]
    return float(rows[-1][1]), cpu / count * 1e6


def measure_throughput(binaries, rounds, scale=1.0, progress=print):
    """{(test, name): (requests a second, CPU µs per request)} at pipeline 16, medians over the rounds."""
    servers = [binary.start() for binary in binaries]
    samples = {}
    try:
        for round_number in range(rounds):
            for test, before, command, count, _ in TESTS:
                turn = round_number % len(servers)
                for server in servers[turn:] + servers[:turn]:
                    prepare(server, before)
                    samples.setdefault((test, server.name), []).append(one_run(server, command, int(count * scale), 16))
            for server in servers:
                server.client().cmd("FLUSHALL")
            progress(f"collections, throughput: round {round_number + 1} of {rounds}")
    finally:
        for server in servers:
            server.__exit__()
    return {key: tuple(statistics.median(run[i] for run in runs) for i in (0, 1)) for key, runs in samples.items()}


def throughput_table(results, names):
    rows = [["test, P 16"] + [f"{name}: CPU µs/req" for name in names] + [f"CPU / {name}" for name in names[1:]] + ["**CPU / the better**", "bar"]]
    for test, _, _, _, bar in TESTS:
        cpu = [results[test, name][1] for name in names]
        ratios = [cpu[0] / max(other, 1e-9) for other in cpu[1:]]
        # Redis 7.0 is not among those that the bar is about.
        judged = [ratio for name, ratio in zip(names[1:], ratios) if name != "redis 7.0"] or ratios
        worst = f"**{max(judged):.2f}**" if judged else "-"
        rows.append([test] + [f"{value:.2f}" for value in cpu] + [f"{ratio:.2f}" for ratio in ratios] + [worst, f"{bar:.2f}"])
    return rows
