#!/usr/bin/env python3
"""kvstash against Redis and Valkey: `make bench`.

    bench.py [--quick] [--rounds N] [--only throughput,publish,memory,collections,pause,busy,large,holding] [--servers kvstash,redis,valkey] [--no-file]

Servers that cannot be had are named and left out. The figures are printed and written to docs/perf/<date>.md with the
commit and the machine's shape. `BENCH_KVSTASH`, `BENCH_REDIS7`, `BENCH_REDIS8` and `BENCH_VALKEY` name other binaries.
"""

import argparse
import datetime
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import busy_save
import collections_bench
import holding
import large_keys
import memory
import pause
import peers
import pubsub
import throughput

SECTIONS = ["throughput", "publish", "memory", "collections", "pause", "busy", "large", "holding"]


def markdown(rows):
    head, *body = rows
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in body]
    return "\n".join(lines)


def machine():
    cpu = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    memory_kb = int(Path("/proc/meminfo").read_text().split()[1])
    load = os.getloadavg()[0]
    busy = "; other work kept this machine busy meanwhile: throughput and waits are noisy, processor time and memory hold"
    shape = f"{os.cpu_count()} cores of {cpu}, {memory_kb / 2**20:.0f} GiB, Linux {platform.release().split('-')[0]}"
    return f"{shape}; load average at the start {load:.1f}{busy if load > os.cpu_count() / 2 else ''}"


def commit():
    git = lambda *args: subprocess.run(["git", "-C", str(peers.ROOT), *args], capture_output=True, text=True).stdout.strip()
    changed = " with local changes" if git("status", "--porcelain", "--untracked-files=no") else ""
    return (git("rev-parse", "--short", "HEAD") or "unknown") + changed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of everything: to see that it works")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(SECTIONS))
    parser.add_argument("--servers", default="")
    parser.add_argument("--no-file", action="store_true")
    options = parser.parse_args()
    if not shutil.which("redis-benchmark"):
        raise SystemExit("redis-benchmark is missing: install redis-tools")

    scale = 0.1 if options.quick else 1.0
    rounds = 1 if options.quick else options.rounds
    binaries = peers.find([name for name in options.servers.split(",") if name])
    if not binaries:
        raise SystemExit("no server to measure")
    names = [binary.name for binary in binaries]
    progress = lambda text: print(text, file=sys.stderr, flush=True)
    report = [
        f"# Measured on {datetime.date.today().isoformat()}",
        "",
        f"* commit {commit()}" + ("; a quick run, a tenth of the work" if options.quick else ""),
        f"* {machine()}",
        "* " + ", ".join(f"{binary.name} ({binary.version})" if binary.version else binary.name for binary in binaries),
    ]

    def section(title, text, *tables):
        report.extend(["", f"## {title}", "", text])
        for rows in tables:
            report.extend(["", markdown(rows)])

    only = options.only.split(",")
    if "throughput" in only:
        results = throughput.measure(binaries, rounds, scale=scale, progress=progress)
        absolute, ratios = throughput.tables(results, names)
        text = f"redis-benchmark, 50 clients, a million keys, 16-byte values, medians of {rounds} interleaved rounds. "
        text += f"Ratios are {names[0]} to the other: throughput above 1 and processor time below 1 are good."
        section("Throughput and processor time", text, ratios, absolute)
    if "publish" in only:
        results = pubsub.measure(binaries, rounds, scale=scale, progress=progress)
        text = f"Processor time for each PUBLISH of 24 bytes, medians of {rounds} interleaved rounds: in all, and in the program "
        text += f"itself. To a thousand subscribers nearly all of it is the kernel's. The last column is {names[0]} to the better peer."
        section("PUBLISH: processor time", text, pubsub.table(results, names))
    if "memory" in only:
        results = memory.measure(binaries, scale=scale, progress=progress)
        text = "Bytes per key, by used_memory / by RSS, less what the empty server has. 16-byte values under `key:N`."
        section("Memory per key", text, memory.tables(results, names))
    if "collections" in only:
        results = collections_bench.measure_memory(binaries, scale=scale, progress=progress)
        text = "Bytes per element of one key, by used_memory / by RSS, less what the empty server has."
        section("Memory per element", text, collections_bench.memory_table(results, names))
        results = collections_bench.measure_throughput(binaries, rounds, scale=scale, progress=progress)
        text = f"redis-benchmark, 50 clients, pipeline 16, medians of {rounds} interleaved rounds; sorted sets of a million."
        section("Collections: processor time", text, collections_bench.throughput_table(results, names))
    if "pause" in only:
        results = pause.measure(binaries, scale=scale, progress=progress)
        text = f"{int(pause.KEYS * scale):,} keys, {pause.WRITES_PER_SECOND:,} writes a second; a client that writes one key "
        text += f"after another and waits for each reply. Before: {pause.BASELINE_SECONDS} seconds of the same without a save."
        section("Pauses during BGSAVE", text, pause.tables(results, names))
    if "busy" in only:
        keys = int(busy_save.KEYS * scale)
        results = busy_save.measure(binaries, rounds, keys, progress=progress)
        text = f"{2 * os.cpu_count()} processes spin beside the server. A client writes one key after another, a millisecond between."
        section("BGSAVE on a busy machine", text, busy_save.table(results, names, keys))
    if "large" in only:
        results = large_keys.measure(binaries, scale=scale, progress=progress)
        text = f"One key of {int(large_keys.ELEMENTS * scale):,} elements or a string of {int(large_keys.STRING_BYTES * scale) >> 20} MiB, "
        text += f"{large_keys.WRITES_PER_SECOND:,} writes a second to it while BGSAVE runs, and until a second after. Then, on keys of a "
        text += "quarter (strings: half) of that, what a client waits and the longest turn of the event loop, both in ms."
        section("Large keys", text, *large_keys.tables(results, names))
    if "holding" in only:
        results = holding.measure(binaries, progress=progress)
        text = f"Keys written with {holding.TTL_MS} ms to live at an even rate; what DBSIZE counts beyond them is overdue."
        section("Expiry and idle connections", text, holding.tables(results, names))

    text = "\n".join(report) + "\n"
    print(text)
    if not options.no_file:
        folder = peers.ROOT / "docs" / "perf"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{datetime.date.today().isoformat()}.md"
        file.write_text(text)
        progress(f"written to {file.relative_to(peers.ROOT)}")


if __name__ == "__main__":
    main()
