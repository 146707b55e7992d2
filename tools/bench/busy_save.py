#!/usr/bin/env python3
"""BGSAVE on a machine that is busy: twice as many spinning processes as processors, a save of one key and one of a million.

    busy_save.py [--rounds N] [--keys N] [--idle] [--apart] [--servers kvstash,redis,valkey]

A server that saves with a thread or process that gives way takes longer here, or never ends. How long a save takes is
measured by the server's own account (polled); beside it, what a client waits that writes one key after another, without
a save and during one: nobody's save may be quick at the cost of those who write.

The spinning processes are ours and end after a time of their own. They are in our session, where each counts as much as
the server: Linux shares processors between sessions first (autogroup). `--apart` gives each a session. `--idle` starts
none.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import peers
from client import encode

KEYS = 1_000_000
SAVES_OF_ONE_KEY = 10
SPIN_SECONDS_MAX = 120
PROBE_BASELINE_SECONDS = 3


def spin(seconds, apart):
    if apart:
        os.setsid()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for _ in range(10_000):
            pass


class Busy:
    """Spinning processes; a context manager that ends them."""

    def __init__(self, count, apart):
        self.processes = [multiprocessing.Process(target=spin, args=(SPIN_SECONDS_MAX, apart), daemon=True) for _ in range(count)]

    def __enter__(self):
        for process in self.processes:
            process.start()
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.join()


def probe(port, keys, stop, pipe):
    """Sends (moment, wait) of every write, one after another with a millisecond between."""
    from client import Client

    client = Client(port)
    now, at, waits = time.perf_counter, 7, []
    while not stop.is_set():
        at = (at + 40503) % keys
        request = encode("SET", b"key:%d" % at, b"p" * 16)
        asked = now()
        client.socket.sendall(request)
        client.read()
        waits.append((asked, now() - asked))
        time.sleep(0.001)
    pipe.send(waits)


def save(client):
    """Seconds that one BGSAVE takes, and whether it went well."""
    started = time.perf_counter()
    client.cmd("BGSAVE")
    while client.info("rdb_bgsave_in_progress") == "1":
        time.sleep(0.002)
    return time.perf_counter() - started, client.info("rdb_last_bgsave_status") == "ok"


def second_save(client):
    """Whether a BGSAVE a tenth of a second after another one is accepted."""
    client.cmd("BGSAVE")
    time.sleep(0.1)
    try:
        client.cmd("BGSAVE")
        accepted = True
    except RuntimeError:
        accepted = False
    while client.info("rdb_bgsave_in_progress") == "1":
        time.sleep(0.01)
    return accepted


def measure_one(binary, keys, spinners, apart):
    with binary.start() as server:
        client = server.client()
        client.cmd("DEBUG", "POPULATE", keys, "key", 16)
        time.sleep(1)
        with Busy(spinners, apart):
            time.sleep(0.5)
            stop = multiprocessing.Event()
            ours, theirs = multiprocessing.Pipe()
            prober = multiprocessing.Process(target=probe, args=(server.port, keys, stop, theirs), daemon=True)
            prober.start()
            time.sleep(PROBE_BASELINE_SECONDS)
            started = time.perf_counter()
            many_s, ok = save(client)
            ended = time.perf_counter()
            stop.set()
            waits = ours.recv()
            prober.join()
            client.cmd("FLUSHALL")
            client.cmd("SET", "key", "value")
            time.sleep(0.5)
            one, seconds_ok = [], 0
            for _ in range(SAVES_OF_ONE_KEY):
                seconds, fine = save(client)
                one.append(seconds)
                ok = ok and fine
                time.sleep(0.05)
                seconds_ok += second_save(client)
        before = [wait for at, wait in waits if at < started]
        during = [wait for at, wait in waits if started <= at < ended]
        return {"many_s": many_s, "one_s": statistics.median(one), "one_max_s": max(one), "second": seconds_ok, "ok": ok, "before": before, "during": during}


def measure(binaries, rounds=1, keys=KEYS, spinners=None, apart=False, progress=print):
    spinners = 2 * os.cpu_count() if spinners is None else spinners
    results = {binary.name: [] for binary in binaries}
    for at in range(rounds):
        for binary in binaries:
            results[binary.name].append(measure_one(binary, keys, spinners, apart))
            progress(f"busy save: {binary.name}, round {at + 1} done")
    return results


def waits(all_waits):
    """Mean, 99th percentile and longest, ms."""
    ordered = sorted(all_waits)
    if not ordered:
        return "-"
    return f"{1000 * statistics.fmean(ordered):.2f} / {1000 * ordered[int(len(ordered) * 0.99)]:.1f} / {1000 * ordered[-1]:.1f}"


def table(results, names, keys=KEYS):
    rows = [["server", f"{keys:,} keys, s", "one key, s (longest)", "of so many second saves 0.1 s after: accepted", "waits before, ms (mean / 99 % / longest)", "**waits during**"]]
    for name in names:
        runs = results[name]
        many = [run["many_s"] for run in runs]
        together = lambda what: [wait for run in runs for wait in run[what]]
        rows.append(
            [name, f"{statistics.median(many):.2f} ({min(many):.2f} to {max(many):.2f})"]
            + [f"{statistics.median(run['one_s'] for run in runs):.3f} ({max(run['one_max_s'] for run in runs):.3f})"]
            + [f"{sum(run['second'] for run in runs)} of {SAVES_OF_ONE_KEY * len(runs)}" + ("" if all(run["ok"] for run in runs) else "; a save failed")]
            + [waits(together("before")), f"**{waits(together('during'))}**"]
        )
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--keys", type=int, default=KEYS)
    parser.add_argument("--idle", action="store_true", help="without spinning processes")
    parser.add_argument("--apart", action="store_true", help="each spinning process in a session of its own")
    parser.add_argument("--servers", default="kvstash,redis 8.2,valkey")
    options = parser.parse_args()
    binaries = peers.find(options.servers.split(","))
    results = measure(binaries, options.rounds, options.keys, 0 if options.idle else None, options.apart, lambda text: print(text, file=sys.stderr, flush=True))
    for row in table(results, [binary.name for binary in binaries], options.keys):
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
