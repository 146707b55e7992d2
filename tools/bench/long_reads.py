#!/usr/bin/env python3
"""The longest wait of a client that sends GET, while another one has a command read five million elements.

    tools/bench/long_reads.py SERVER [SERVER ...] [--elements 5000000] [--inline] [--only "SORT l"] [--repeat 5] [--leave]

As in pause.py the measuring process and the server's main thread are woken promptly; the one that receives the large
reply is an ordinary process, and so is the thread that makes it. `--inline` sets snapshot-reads-above to 0. With `--leave`
nobody reads the reply: its client waits until it is made, and goes.

A virtual machine makes everybody wait now and then, for milliseconds. So each time a command runs is followed by as long a time
in which nothing does, and the longest wait of both is shown: the median over `--repeat` times, and the greatest.
"""

import argparse
import multiprocessing
import os
import statistics
import time
from types import SimpleNamespace

import pause
from client import encode
from peers import Server

BATCH = 1000
COMMANDS = ["SMEMBERS s", "HGETALL h", "KEYS *", "LRANGE l 0 -1", "ZRANGE z 0 -1", "SORT l", "SUNION s s", "ZUNION 1 z"]
GET = encode("GET", "k")


def fill(client, elements):
    def load(name, key, parts):
        for first in range(0, elements, BATCH):
            some = range(first, min(elements, first + BATCH))
            client.cmd(name, key, *(part for i in some for part in parts(i)))

    load("SADD", "s", lambda i: [b"member:%d" % i])
    load("HSET", "h", lambda i: [b"field:%d" % i, b"value:%d" % i])
    load("RPUSH", "l", lambda i: [b"%d" % (i * 7919 % 1000003)])
    load("ZADD", "z", lambda i: [b"%d" % (i % 1000), b"member:%d" % i])
    client.cmd("DEBUG", "POPULATE", elements, "key", 10)
    client.cmd("SET", "k", "v")


def ask(server, command, took):
    """Asks, and receives whatever comes until the PONG behind it."""
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    client = server()
    buffer, tail, began = bytearray(1 << 20), b"", time.perf_counter()
    client.socket.sendall(encode(*command.split()) + encode("PING"))
    while tail != b"+PONG\r\n":
        count = client.socket.recv_into(buffer)
        tail = (tail + bytes(buffer[max(0, count - 7) : count]))[-7:]
    took.value = time.perf_counter() - began


def leave(server, command, took):
    """Asks, reads nothing, and goes when the reply is made."""
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    client, watch, began = server(), server(), time.perf_counter()
    client.socket.sendall(encode(*command.split()))
    while b"snapshot_reads_running:0" not in watch.cmd("INFO", "everything"):
        time.sleep(0.01)
    took.value = time.perf_counter() - began
    time.sleep(0.2)


def waits_until(client, is_over):
    """The waits of GET until `is_over` says so."""
    waits, now = [], time.perf_counter
    while not is_over():
        asked = now()
        client.socket.sendall(GET)
        client.read()
        waits.append((now() - asked) * 1e3)
        time.sleep(0.0003)
    return waits


def lasting(seconds):
    until = time.perf_counter() + seconds
    return lambda: time.perf_counter() > until


def wait_meanwhile(client, process):
    """The waits of GET while a process works and for a moment after it; and as long while nothing does."""
    began = time.perf_counter()
    waits = waits_until(client, lambda: not process.is_alive()) + waits_until(client, lasting(0.5))
    return waits, waits_until(client, lasting(time.perf_counter() - began))


def used(client):
    info = client.cmd("INFO", "memory").decode()
    return next(int(line.split(":")[1]) for line in info.splitlines() if line.startswith("used_memory:"))


def measure(path, options):
    args = ["--snapshot-reads-above", "0"] if options.inline else []
    with Server(SimpleNamespace(path=path, name=path), args) as server:
        client = server.client()
        fill(client, options.elements)
        pause.first_in_line(server)
        pause.urgent()
        before = used(client)
        for command in options.only or COMMANDS:
            all_waits, longest, idle = [], [], []
            for _ in range(options.repeat):
                took = multiprocessing.Value("d")
                asker = multiprocessing.Process(target=leave if options.leave else ask, args=(server.client, command, took))
                asker.start()
                busy, quiet = wait_meanwhile(client, asker)
                all_waits += busy
                longest.append(max(busy))
                idle.append(max(quiet))
            all_waits.sort()
            at = lambda part: all_waits[min(len(all_waits) - 1, int(len(all_waits) * part))]
            cells = [f"{took.value:.2f}", f"{at(0.5):.3f}", f"{at(0.99):.3f}", f"{at(0.999):.3f}"]
            cells += [f"{statistics.median(of):.3f}, {max(of):.3f}" for of in (longest, idle)]
            print(f"| {command} | {' | '.join(cells)} |", flush=True)
        time.sleep(2)
        print(f"\nused_memory before {before >> 20} MB, after {used(client) >> 20} MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("servers", nargs="+")
    parser.add_argument("--elements", type=int, default=5_000_000)
    parser.add_argument("--inline", action="store_true")
    parser.add_argument("--only", action="append")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--leave", action="store_true")
    options = parser.parse_args()
    for path in options.servers:
        print(f"\n{path}\n\n| while | reply after, s | median wait of GET, ms | p99 | p99.9 | longest: median, most | while nothing runs |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        measure(path, options)


if __name__ == "__main__":
    main()
