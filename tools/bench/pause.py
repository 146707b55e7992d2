#!/usr/bin/env python3
"""The longest wait a client sees while BGSAVE runs: five million keys, 20,000 writes a second, a probing client.

The prober is a process of its own that writes one key after another and waits for each reply. Its waits before the
save are the baseline: on a busy machine that is scheduling noise, and only what the save adds counts.
"""

import functools
import gc
import multiprocessing
import os
import time

from client import Client, encode

KEYS = 5_000_000
WRITES_PER_SECOND = 20_000
BASELINE_SECONDS = 5


def urgent():
    """Asks to be woken promptly; without the right to, it stays as it is."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except (OSError, AttributeError):
        pass
    gc.disable()


def first_in_line(server):
    """Lets the server's main thread go before the measuring processes, which ask to be woken promptly themselves: with
    fewer processors than processes, one would otherwise measure how they keep the server waiting. Threads and children
    that it starts stay ordinary."""
    try:
        os.sched_setscheduler(server.pid, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(2))
    except (OSError, AttributeError):
        pass


def set_key(value, at):
    return encode("SET", b"key:%d" % at, value)


def write_steadily(port, places, request, stop):
    """Sends `request(place)`, for places here and there, at the given rate, in pipelines of what two milliseconds ask
    for."""
    client = Client(port)
    urgent()
    at, batch = 1, WRITES_PER_SECOND // 500
    due = time.perf_counter()
    while not stop.is_set():
        requests = []
        for _ in range(batch):
            at = (at + 2654435761) % places
            requests.append(request(at))
        client.load_any(requests, batch)
        due += 1 / 500
        left = due - time.perf_counter()
        if left > 0:
            time.sleep(left)
        elif left < -1:
            due = time.perf_counter()


def probe(port, places, request, stop, pipe):
    """Sends (moment, wait) of every probing request that took longer than a tenth of a millisecond, and the count."""
    client = Client(port)
    urgent()
    now = time.perf_counter
    at, count, waits = 7, 0, []
    while not stop.is_set():
        at = (at + 40503) % places
        one = request(at)
        asked = now()
        client.socket.sendall(one)
        client.read()
        wait = now() - asked
        count += 1
        if wait > 0.0001:
            waits.append((asked, wait))
        time.sleep(0.0002)
    pipe.send((count, waits))


def longest_turn(client):
    """The longest turn of the event loop since CONFIG RESETSTAT, µs, of servers that tell."""
    for line in client.cmd("INFO", "debug").decode().splitlines():
        if line.startswith("eventloop_duration_max:"):
            return line.split(":")[1]
    return None


def measure_one(binary, keys):
    with binary.start() as server:
        first_in_line(server)
        client = server.client()
        client.cmd("DEBUG", "POPULATE", keys, "key", 16)
        time.sleep(2)
        stop = multiprocessing.Event()
        ours, theirs = multiprocessing.Pipe()
        overwrite, ask = functools.partial(set_key, b"w" * 16), functools.partial(set_key, b"p" * 16)
        writer = multiprocessing.Process(target=write_steadily, args=(server.port, keys, overwrite, stop), daemon=True)
        prober = multiprocessing.Process(target=probe, args=(server.port, keys, ask, stop, theirs), daemon=True)
        writer.start()
        prober.start()
        time.sleep(1)
        baseline_from = time.perf_counter()
        time.sleep(BASELINE_SECONDS)
        rss_before = server.rss()
        client.cmd("CONFIG", "RESETSTAT")
        commands_before = int(client.info("total_commands_processed"))
        started = time.perf_counter()
        client.cmd("BGSAVE")
        replied = time.perf_counter()
        extra = 0
        while client.info("rdb_bgsave_in_progress") == "1":
            extra = max(extra, server.rss() - rss_before, int(client.info("current_cow_size") or 0))
            time.sleep(0.05)
        ended = time.perf_counter()
        commands = int(client.info("total_commands_processed")) - commands_before
        ok = client.info("rdb_last_bgsave_status")
        turn_us = longest_turn(client)
        extra = max(extra, int(client.info("rdb_last_cow_size") or 0))
        time.sleep(0.5)
        stop.set()
        count, waits = ours.recv()
        prober.join()
        writer.join()
        longest = lambda since, until: max((w for t, w in waits if since <= t < until), default=0) * 1000
        over = lambda ms, since, until: sum(1 for t, w in waits if since <= t < until and w * 1000 > ms)
        return {
            "baseline_ms": longest(baseline_from, started),
            "longest_ms": longest(started - 0.05, ended),
            "over_2ms": over(2, started - 0.05, ended),
            "bgsave_reply_ms": (replied - started) * 1000,
            "fork_usec": client.info("latest_fork_usec"),
            "seconds": ended - started,
            "rate": commands / (ended - started),
            "extra_mb": extra / 1e6,
            "turn_ms": f"{int(turn_us) / 1000:.2f}" if turn_us else "-",
            "status": ok,
        }


def measure(binaries, scale=1.0, progress=print):
    results = {}
    for binary in binaries:
        results[binary.name] = measure_one(binary, int(KEYS * scale))
        progress(f"pause: {binary.name} done")
    return results


def tables(results, names):
    head = ["server", "longest wait before, ms", "**during BGSAVE, ms**", "waits over 2 ms", "reply to BGSAVE, ms"]
    rows = [head + ["longest turn of the loop, ms", "latest_fork_usec", "save took, s", "requests/s meanwhile", "extra memory, MB", "status"]]
    for name in names:
        r = results[name]
        rows.append(
            [name, f"{r['baseline_ms']:.2f}", f"**{r['longest_ms']:.2f}**", str(r["over_2ms"]), f"{r['bgsave_reply_ms']:.2f}"]
            + [r["turn_ms"], str(r["fork_usec"]), f"{r['seconds']:.1f}", f"{r['rate']:.0f}", f"{r['extra_mb']:.0f}", r["status"]]
        )
    return rows
