#!/usr/bin/env python3
"""Bytes per key: a 16-byte value under key:N, for several counts, with and without expiry.

Several counts, because a table that doubles costs much more per key just after doubling than just before: the mean
over 0.7, 1, 1.4 and 2 million keys is what a user gets who does not choose his count.
"""

import time

from client import encode

COUNTS = [700_000, 1_000_000, 1_400_000, 2_000_000]
SHAPES = ["plain", "with expiry"]


def settle(server, client):
    """Waits until incremental rehashing and lazy freeing are over: used_memory stands still."""
    last = -1
    for _ in range(100):
        client.cmd("MEMORY", "PURGE")
        used = int(client.info("used_memory"))
        if abs(used - last) < 4096:
            break
        last = used
        time.sleep(0.1)
    return used, server.rss()


def bytes_per_key(binary, count, shape):
    with binary.start() as server:
        client = server.client()
        used_before, rss_before = settle(server, client)
        if shape == "plain":
            client.cmd("DEBUG", "POPULATE", count, "key", 16)
        else:
            client.load(encode("SET", b"key:%d" % i, (b"value:%d" % i).ljust(16, b"\0"), "EX", 1_000_000) for i in range(count))
        assert client.cmd("DBSIZE") == count
        used, rss = settle(server, client)
        return (used - used_before) / count, (rss - rss_before) / count


def measure(binaries, scale=1.0, progress=print):
    """{(name, shape, count): (bytes by used_memory, bytes by RSS)}"""
    results = {}
    for shape in SHAPES:
        for count in COUNTS:
            for binary in binaries:
                results[binary.name, shape, count] = bytes_per_key(binary, int(count * scale), shape)
        progress(f"memory: {shape} done")
    return results


def tables(results, names):
    rows = [["shape", "server"] + [f"{count / 1e6:g} M" for count in COUNTS] + ["mean, used_memory", "mean, RSS", f"{names[0]} / it"]]
    for shape in SHAPES:
        means = {}
        for name in names:
            used = [results[name, shape, count][0] for count in COUNTS]
            rss = [results[name, shape, count][1] for count in COUNTS]
            means[name] = (sum(used) / len(used), sum(rss) / len(rss))
            each = [f"{u:.1f} / {r:.1f}" for u, r in zip(used, rss)]
            first = means[names[0]]
            ratio = f"{first[0] / means[name][0]:.2f} / {first[1] / means[name][1]:.2f}"
            rows.append([shape, name] + each + [f"**{means[name][0]:.1f}**", f"**{means[name][1]:.1f}**", ratio])
    return rows
