#!/usr/bin/env python3
"""Scripts and functions: kvstash beside Redis and Valkey, processor time a request.

    scripts.py [--rounds N] [--servers kvstash,redis,valkey] [--match EVAL] [--pipeline 16]

One client, 16 requests at once. Servers take turns; the figure is the median of the rounds, with all threads of a server's
process. The ratio is to the better of the others; 0.70 is the bar. The last lines are what it costs that a script's writes
can be taken back: the same server with `lua-rollback-on-kill no`.
"""

import argparse
import contextlib
import hashlib
import os
import statistics

import peers
from bits import Runner, reply_size
from client import encode

BAR = 0.70

GET = "return redis.call('GET', KEYS[1])"
SET_GET = "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])"
MANY = "for i = 1, 100 do redis.call('GET', KEYS[1]) end return 1"
LIMIT = "local n = redis.call('INCR', KEYS[1]) if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end return n"
JOB = """local id = redis.call('INCR', KEYS[1]) local job = KEYS[2] .. (id % 100)
redis.call('HSET', job, 'name', ARGV[1], 'data', ARGV[2], 'at', ARGV[3])
redis.call('LPUSH', KEYS[3], id) redis.call('LTRIM', KEYS[3], 0, 99) return id"""
JSON = "local t = cjson.decode(ARGV[1]) t.n = t.n + 1 return cjson.encode(t)"
LIBRARY = "#!lua name=bench\nredis.register_function('bench_get', function(keys) return redis.call('GET', keys[1]) end)"
TEXT = '{"n":1,"name":"somebody","list":[1,2,3,4],"nested":{"a":true,"b":null,"c":"text"}}'


def sha(text):
    return hashlib.sha1(text.encode()).hexdigest()


def cases():
    yield "EVALSHA `return 1`", ["EVALSHA", sha("return 1"), 0]
    yield "EVALSHA, one GET", ["EVALSHA", sha(GET), 1, "k"]
    yield "EVAL, SET and GET", ["EVAL", SET_GET, 1, "k", "value"]
    yield "EVALSHA, SET and GET", ["EVALSHA", sha(SET_GET), 1, "k", "value"]
    yield "FCALL, one GET", ["FCALL", "bench_get", 1, "k"]
    yield "EVALSHA, 100 calls", ["EVALSHA", sha(MANY), 1, "k"]
    yield "EVALSHA, rate limiter", ["EVALSHA", sha(LIMIT), 1, "n", "100000"]
    yield "EVALSHA, add a job", ["EVALSHA", sha(JOB), 3, "id", "job:", "jobs", "name", "some data of a job", "1700000000"]
    yield "EVALSHA, cjson", ["EVALSHA", sha(JSON), 0, TEXT]


def prepare(client):
    client.cmd("SET", "k", "value")
    for text in ("return 1", GET, SET_GET, MANY, LIMIT, JOB, JSON):
        client.cmd("SCRIPT", "LOAD", text)
    client.cmd("FUNCTION", "LOAD", LIBRARY)


def measure(runners, request, pipeline, rounds):
    """{runner: CPU µs a request}"""
    sizes = {runner: reply_size(runner, request) for runner in runners}
    for runner, size in sizes.items():
        assert size, f"{runner.server.name} refuses {request!r}"
    samples = {runner: [] for runner in runners}
    count = 400
    for number in range(rounds):
        for runner in runners[number % len(runners):] + runners[: number % len(runners)]:
            # How long a number is may change from one reply to the next: they are read one by one.
            sent = b"".join([request] * pipeline)
            _, cpu = run(runner, sent, count, pipeline)
            samples[runner].append(cpu / (count * pipeline) * 1e6)
    return {runner: statistics.median(runs) for runner, runs in samples.items()}


def run(runner, batch, count, pipeline):
    cpu = runner.cpu_ns()
    for _ in range(count):
        runner.socket.sendall(batch)
        got, lines = b"", 0
        while lines < pipeline:
            got += runner.socket.recv(1 << 20)
            lines = replies(got)
    return 0, (runner.cpu_ns() - cpu) / 1e9


def replies(got):
    """How many replies there are: integers are one line, bulk strings two."""
    lines = got.count(b"\r\n")
    return lines // 2 if got[:1] == b"$" else lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--servers", default="kvstash,redis,valkey")
    parser.add_argument("--match", default="")
    parser.add_argument("--pipeline", type=int, default=16)
    options = parser.parse_args()
    binaries = [binary for binary in peers.find(options.servers.split(",")) if binary.name != "redis 7.0"]
    servers = [binary.start() for binary in binaries]
    servers.append(binaries[0].start("--lua-rollback-on-kill", "no"))
    runners = [Runner(server) for server in servers]
    names = [binary.name for binary in binaries] + [f"{binaries[0].name}, no rollback"]
    print("* " + ", ".join(f"{binary.name} ({binary.version})" for binary in binaries))
    print(f"* {os.cpu_count()} processors, pipeline {options.pipeline}, medians of {options.rounds} rounds; CPU µs a request")
    head = ["", *names, "the better", f"bar {BAR}", "rollback"]
    print("\n| " + " | ".join(head) + " |\n|" + " --- |" * len(head))
    with contextlib.ExitStack() as stack:
        for server in servers:
            stack.enter_context(server)
        for runner in runners:
            prepare(runner.client)
        for title, request in cases():
            if options.match not in title:
                continue
            figures = list(measure(runners, encode(*request), options.pipeline, options.rounds).values())
            others = figures[1:-1]
            ratio = figures[0] / min(others) if others else 0
            cells = [title, *(f"{figure:.2f}" for figure in figures), f"**{ratio:.2f}**"]
            cells += ["" if ratio <= BAR else "misses", f"{(figures[0] / figures[-1] - 1) * 100:+.1f} %"]
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
