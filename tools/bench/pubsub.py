#!/usr/bin/env python3
"""What PUBLISH costs the server's processor: to one, a hundred, a thousand subscribers, and with a thousand patterns.

    pubsub.py [--rounds N] [--scale X] [--servers kvstash,redis,valkey]

redis-benchmark publishes from one connection, or from fifty; a process of its own reads what the subscribers are sent and throws it
away. Nearly all of the time to a thousand subscribers is the kernel's, a write for each of them: so the time in the
program itself is shown, too. Servers are measured in turn, and the order turns every round.
"""

import multiprocessing
import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import versus
from client import encode

CHANNEL = "channel:7:events"
# Subscribers to the channel, patterns of others, publishers, requests in one pipeline, requests.
CASES = [
    (0, 0, 50, 16, 800_000),
    (1, 0, 1, 1, 60_000),
    (1, 0, 50, 1, 120_000),
    (1, 0, 1, 16, 500_000),
    (1, 0, 1, 64, 800_000),
    (100, 0, 1, 1, 8_000),
    (100, 0, 50, 1, 50_000),
    (100, 0, 1, 16, 30_000),
    (100, 0, 1, 64, 60_000),
    (1000, 0, 1, 1, 1_000),
    (1000, 0, 50, 1, 8_000),
    (1000, 0, 1, 16, 4_000),
    (1000, 0, 1, 64, 8_000),
    (0, 1000, 1, 1, 60_000),
    (0, 1000, 50, 1, 120_000),
    (0, 1000, 1, 16, 400_000),
]


def subscriptions(channels, patterns):
    """What the subscribers send, each its own."""
    begin = [encode("SUBSCRIBE", CHANNEL)] * channels
    return begin + ([encode(*["PSUBSCRIBE"] + [f"channel:{i}:*" for i in range(patterns)])] if patterns else [])


def read_and_forget(port, begin, ready, done):
    """A connection for each of `begin`, which it sends; then whatever comes is thrown away until it is told to end."""
    poll = select.epoll()
    sockets = {}
    for requests in begin:
        s = socket.create_connection(("127.0.0.1", port))
        s.sendall(requests)
        s.recv(1 << 16)
        s.setblocking(False)
        sockets[s.fileno()] = s
        poll.register(s.fileno(), select.EPOLLIN)
    ready.set()
    room = bytearray(1 << 18)
    while not done.is_set():
        for fd, _ in poll.poll(0.1):
            try:
                sockets[fd].recv_into(room)
            except BlockingIOError:
                pass


def cpu(pid):
    """Time in all, and in the program itself, in seconds."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    total = sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    user, system = int(fields[11]), int(fields[12])
    return total, user / os.sysconf("SC_CLK_TCK"), system / os.sysconf("SC_CLK_TCK")


def one_run(server, publishers, pipeline, requests):
    command = ["redis-benchmark", "-h", "127.0.0.1", "-p", str(server.port), "-n", str(requests), "-c", str(publishers)]
    command += ["-P", str(pipeline), "PUBLISH", CHANNEL, "a message of 24 letters."]
    before = cpu(server.pid)
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    time.sleep(0.2)
    total, user, system = (after - then for after, then in zip(cpu(server.pid), before))
    # Ticks are coarse: they say how the exact sum is divided.
    share = user / (user + system) if user + system else 0.0
    return total / requests * 1e6, total * share / requests * 1e6


def measure(binaries, rounds=3, scale=1.0, progress=print):
    """{(case, name): (µs, µs in the program)} for each PUBLISH, medians over the rounds."""
    samples = {}
    for case in CASES:
        channels, patterns, publishers, pipeline, requests = case
        servers = [binary.start() for binary in binaries]
        readers = []
        try:
            done = multiprocessing.Event()
            for server in servers:
                ready = multiprocessing.Event()
                reader = multiprocessing.Process(target=read_and_forget, args=(server.port, subscriptions(channels, patterns), ready, done))
                reader.start()
                readers.append(reader)
                ready.wait()
            for round_number in range(rounds):
                turn = round_number % len(servers)
                for server in servers[turn:] + servers[:turn]:
                    run = one_run(server, publishers, pipeline, max(int(requests * scale), publishers * pipeline))
                    samples.setdefault((case, server.name), []).append(run)
        finally:
            done.set()
            for reader in readers:
                reader.join()
            for server in servers:
                server.__exit__()
        progress(f"publish: {channels} subscribers, {patterns} patterns, {publishers} publishers, pipeline {pipeline}")
    return versus.medians(samples)


def table(results, names):
    """Rows for the report: CPU time in all / in the program, and both as parts of the better peer's."""
    rows = [versus.head(names, "subscribers", "patterns", "publishers", "P")]
    for case in CASES:
        rows.append([str(n) for n in case[:4]] + versus.cells([results[case, name] for name in names]))
    return rows


if __name__ == "__main__":
    versus.main(__doc__, CASES, ("subscribers", "patterns", "publishers", "pipeline"), measure, table)
