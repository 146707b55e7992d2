#!/usr/bin/env python3
"""What the benchmarks share in which clients listen: to a channel, to events, for keys that they cache."""

import contextlib
import multiprocessing
import os
import select
import socket
import subprocess
import time
from pathlib import Path

import versus


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


@contextlib.contextmanager
def listeners(servers, begin):
    """For each server a process of its own with a connection for each of `begin`."""
    done, readers = multiprocessing.Event(), []
    try:
        for server in servers:
            ready = multiprocessing.Event()
            reader = multiprocessing.Process(target=read_and_forget, args=(server.port, begin, ready, done))
            reader.start()
            readers.append(reader)
            ready.wait()
        yield
    finally:
        done.set()
        for reader in readers:
            reader.join()


def cpu(pid):
    """Time in all, and in the program and the kernel by their ticks, in seconds."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    total = sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    user, system = int(fields[11]), int(fields[12])
    return total, user / os.sysconf("SC_CLK_TCK"), system / os.sysconf("SC_CLK_TCK")


def measured(server, requests, run):
    """µs for each request: in all, and in the program."""
    before = cpu(server.pid)
    run()
    time.sleep(0.2)
    total, user, system = (after - then for after, then in zip(cpu(server.pid), before))
    # Ticks are coarse: they say how the exact sum is divided.
    share = user / (user + system) if user + system else 0.0
    return total / requests * 1e6, total * share / requests * 1e6


def benchmark(server, connections, pipeline, requests, *command):
    """µs for each request that redis-benchmark sends."""
    line = ["redis-benchmark", "-h", "127.0.0.1", "-p", str(server.port), "-n", str(requests), "-c", str(connections)]
    line += ["-P", str(pipeline), *command]
    return measured(server, requests, lambda: subprocess.run(line, stdout=subprocess.DEVNULL, check=True))


def rounds_of(case, binaries, args, begin, rounds, run, samples):
    """One case: servers started with `args`, listeners that send `begin`, and `run(server)` in turns."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(binary.start(*args)) for binary in binaries]
        stack.enter_context(listeners(servers, begin))
        for server in versus.in_turns(servers, rounds):
            samples.setdefault((case, server.name), []).append(run(server))
