#!/usr/bin/env python3
"""Two promises that are not ratios: expired keys leave in time, and idle connections cost little."""

import resource
import socket
import threading
import time

from client import Client, encode

EXPIRIES_PER_SECOND = 100_000
TTL_MS = 1_000
SECONDS = 6
CONNECTIONS = 10_000


def expiry_lag(binary):
    """How long keys outlive their deadline when 100,000 a second expire: overdue keys by their rate.

    With keys written at an even rate and one time to live, DBSIZE beyond what was written within the last TTL is what
    is overdue.
    """
    with binary.start() as server:
        written = []
        stop = threading.Event()

        def write():
            client = Client(server.port)
            serial = 0
            batch = EXPIRIES_PER_SECOND // 200
            due = time.perf_counter()
            while not stop.is_set():
                requests = [encode("SET", b"e:%d" % (serial + i), b"v" * 16, "PX", TTL_MS) for i in range(batch)]
                client.flush(requests)
                serial += batch
                written.append((time.perf_counter(), serial))
                due += 1 / 200
                time.sleep(max(0.0, due - time.perf_counter()))

        writer = threading.Thread(target=write)
        writer.start()
        client = server.client()
        lags = []
        until = time.perf_counter() + SECONDS
        while time.perf_counter() < until:
            time.sleep(0.02)
            size = client.cmd("DBSIZE")
            now = time.perf_counter()
            if now < until - SECONDS + 2 or len(written) < 2:
                continue
            # Written before `now - TTL` is due; what of it is still there is the newest part of it.
            due_serial = next((s for t, s in reversed(written) if t <= now - TTL_MS / 1000), 0)
            total = written[-1][1]
            overdue = size - (total - due_serial)
            rate = (written[-1][1] - written[0][1]) / (written[-1][0] - written[0][0])
            lags.append(max(0.0, overdue / rate * 1000))
        stop.set()
        writer.join()
        rate = (written[-1][1] - written[0][1]) / (written[-1][0] - written[0][0])
        lags.sort()
        return rate, lags[len(lags) // 2], lags[-1]


def idle_connections(binary):
    """Memory and processor time that 10,000 idle connections cost."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < CONNECTIONS + 200:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (CONNECTIONS + 200, max(hard, CONNECTIONS + 200)))
        except (OSError, ValueError):
            return None
    with binary.start() as server:
        client = server.client()
        time.sleep(0.5)
        used, rss = int(client.info("used_memory")), server.rss()
        crowd = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(CONNECTIONS)]
        while int(client.info("connected_clients")) < CONNECTIONS:
            time.sleep(0.05)
        time.sleep(1)
        used_after, rss_after = int(client.info("used_memory")), server.rss()
        cpu = server.cpu_seconds()
        time.sleep(5)
        cpu = (server.cpu_seconds() - cpu) / 5 * 100
        for conn in crowd:
            conn.close()
        return (used_after - used) / 1e6, (rss_after - rss) / 1e6, cpu


def measure(binaries, progress=print):
    results = {}
    for binary in binaries:
        results[binary.name] = (expiry_lag(binary), idle_connections(binary))
        progress(f"holding: {binary.name} done")
    return results


def tables(results, names):
    rows = [["server", "expiries/s", "keys overdue, median ms", "**worst ms**", "10,000 idle: used MB", "RSS MB", "CPU %"]]
    for name in names:
        (rate, median, worst), idle = results[name]
        idle = [f"{x:.1f}" for x in idle] if idle else ["-"] * 3
        rows.append([name, f"{rate:.0f}", f"{median:.0f}", f"**{worst:.0f}**"] + idle)
    return rows
