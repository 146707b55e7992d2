#!/usr/bin/env python3
"""What appending every write to a file costs, beside other servers in the same run: throughput under `always`,
processor time a request under `everysec` compared with no file, and how long writes wait while the disk is busy.

    aof.py [--rounds N] [--scale X] [--servers a,b]    prints tables in Markdown
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import os
import threading

import peers
from versus import in_turns

CLIENTS = 50
# Pipeline, requests.
RUNS = [(1, 200_000), (16, 1_500_000)]


def benchmark(server, pipeline, requests):
    """redis-benchmark's SET: requests a second, p99.9 in ms, and our processor time a request in µs."""
    before = server.cpu_seconds()
    command = ["redis-benchmark", "-p", str(server.port), "-c", str(CLIENTS), "-P", str(pipeline), "-n", str(requests)]
    command += ["-t", "set", "-r", "100000", "-d", "32", "--precision", "3"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = float(re.findall(r"throughput summary: ([\d.]+)", text)[-1])
    # Of the cumulative distribution the first row that is not below 99.9 percent.
    rows = re.findall(r"([\d.]+)% <= ([\d.]+) milliseconds", text)
    p999 = next((float(ms) for percent, ms in rows if float(percent) >= 99.9), 0.0)
    return rate, p999, (server.cpu_seconds() - before) / requests * 1e6


class BusyDisk:
    """Another process' work: a file in the same file system that is written and synced all the time."""

    def __init__(self, place):
        self.file = tempfile.NamedTemporaryFile(dir=place)
        self.ends = False
        self.syncs = 0

    def __enter__(self):
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def run(self):
        block = os.urandom(1 << 20)
        while not self.ends:
            self.file.write(block)
            self.file.flush()
            os.fsync(self.file.fileno())
            self.syncs += 1
            if self.file.tell() > 200 << 20:
                self.file.seek(0)

    def __exit__(self, *_):
        self.ends = True
        self.thread.join()
        self.file.close()


def measure(binaries, rounds, scale, note):
    settings = [
        ("no file", ["--appendonly", "no"]),
        ("everysec", ["--appendonly", "yes", "--appendfsync", "everysec"]),
        ("always", ["--appendonly", "yes", "--appendfsync", "always"]),
    ]
    found = {}
    for binary in in_turns(binaries, rounds):
        for name, args in settings:
            for pipeline, requests in RUNS:
                with binary.start(*args, "--auto-aof-rewrite-percentage", "0") as server:
                    got = benchmark(server, pipeline, int(requests * scale))
                note(f"{binary.name} {name} P{pipeline}: {got[0]:.0f}/s, p99.9 {got[1]:.2f} ms, {got[2]:.2f} us")
                found.setdefault((name, pipeline), {}).setdefault(binary.name, []).append(got)
        for name, args in settings[:2]:
            with binary.start(*args, "--auto-aof-rewrite-percentage", "0") as server:
                with BusyDisk(server.dir):
                    got = benchmark(server, 1, int(200_000 * scale))
            note(f"{binary.name} {name}, busy disk: {got[0]:.0f}/s, p99.9 {got[1]:.2f} ms")
            found.setdefault((f"{name}, busy disk", 1), {}).setdefault(binary.name, []).append(got)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--servers", default="kvstash,redis 8.2,valkey 9.1")
    options = parser.parse_args()
    binaries = peers.find(options.servers.split(","))
    found = measure(binaries, options.rounds, options.scale, lambda text: print(text, file=sys.stderr, flush=True))
    names = [binary.name for binary in binaries]
    median = lambda runs, column: statistics.median(run[column] for run in runs)
    print("| appendfsync | pipeline | " + " | ".join(f"{name}: requests/s, p99.9 ms, CPU µs" for name in names) + " |")
    print("| --- | --- | " + " | ".join("---" for _ in names) + " |")
    for (setting, pipeline), runs in found.items():
        cells = [f"{median(runs[n], 0):.0f}, {median(runs[n], 1):.2f}, {median(runs[n], 2):.2f}" for n in names]
        print(f"| {setting} | {pipeline} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
