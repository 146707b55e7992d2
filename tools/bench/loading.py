#!/usr/bin/env python3
"""How long starting with data takes, and saving them, beside other servers in the same run: an RDB file of small
strings, one of small hashes, an append-only file of SETs.

    loading.py [--rounds N] [--scale X] [--servers a,b]    prints a table in Markdown

Each server loads files of its own making: the append-only one is the same for all, for it is the commands themselves.
"""

import argparse
import itertools
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import peers
from client import encode
from versus import in_turns

BATCH = 2000


def fill_strings(client, count):
    fill(client, (encode("SET", f"key:{i:012d}", f"value:{i:016d}") for i in range(count)))


def fill_hashes(client, count):
    values = lambda i: (word for field in range(8) for word in (f"field{field}", f"{i}:{field}"))
    fill(client, (encode("HSET", f"hash:{i}", *values(i)) for i in range(count)))


def fill(client, requests):
    while batch := list(itertools.islice(requests, BATCH)):
        client.socket.sendall(b"".join(batch))
        for _ in batch:
            client.read()


def aof_of_sets(path, count):
    with open(path, "wb") as file:
        file.write(b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n")
        for i in range(count):
            file.write(b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$22\r\nvalue:%016d\r\n" % (i, i))


def load_seconds(binary, directory, *args):
    """From the start of the process until it serves, in a directory that holds the files."""
    began = time.monotonic()
    with binary.start(*args, "--dir", str(directory)) as server:
        took = time.monotonic() - began
        keys = server.client().cmd("DBSIZE")
    return took, keys


def measure(binaries, rounds, scale, note):
    strings, hashes = int(5_000_000 * scale), int(1_000_000 * scale)
    found, places = {}, {}
    root = Path(tempfile.mkdtemp(prefix="kvstash-loading-"))
    commands = root / "commands.aof"
    aof_of_sets(commands, strings)
    for binary in binaries:
        for what, fill, count in [("strings", fill_strings, strings), ("hashes", fill_hashes, hashes)]:
            place = root / f"{binary.name}-{what}".replace(" ", "-")
            place.mkdir()
            places[binary.name, what] = place
            with binary.start("--dir", str(place)) as server:
                client = server.client()
                fill(client, count)
                for _ in range(rounds):
                    began = time.monotonic()
                    client.cmd("SAVE")
                    found.setdefault(f"save {what}", {}).setdefault(binary.name, []).append(time.monotonic() - began)
            note(f"{binary.name}: {what} saved in {found[f'save {what}'][binary.name][-1]:.2f} s")
        place = root / f"{binary.name}-aof".replace(" ", "-")
        (place / "appendonlydir").mkdir(parents=True)
        os.link(commands, place / "appendonlydir" / "appendonly.aof.1.incr.aof")
        (place / "appendonlydir" / "appendonly.aof.manifest").write_text("file appendonly.aof.1.incr.aof seq 1 type i\n")
        places[binary.name, "aof"] = place
    for binary in in_turns(binaries, rounds):
        for what, args in [("strings", []), ("hashes", []), ("aof", ["--appendonly", "yes"])]:
            took, keys = load_seconds(binary, places[binary.name, what], *args)
            note(f"{binary.name}: {what} loaded in {took:.2f} s, {keys} keys")
            found.setdefault(f"load {what}", {}).setdefault(binary.name, []).append(took)
    shutil.rmtree(root, ignore_errors=True)
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
    print("| seconds | " + " | ".join(names) + " | **better peer** |")
    print("| --- | " + " | ".join("---" for _ in names) + " | --- |")
    for what, runs in found.items():
        medians = [statistics.median(runs[name]) for name in names]
        ratio = medians[0] / min(medians[1:]) if len(medians) > 1 else 1.0
        print(f"| {what} | " + " | ".join(f"{seconds:.2f}" for seconds in medians) + f" | **{ratio:.2f}** |")


if __name__ == "__main__":
    main()
