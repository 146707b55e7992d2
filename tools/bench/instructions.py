#!/usr/bin/env python3
"""Instructions per request, by callgrind: repeatable where seconds are not.

    tools/bench/instructions.py BEFORE AFTER [--requests 20000]

Runs both binaries under `valgrind --tool=callgrind`, sends each the same fixed script over one connection, and prints
the user-space instructions per request of each row and the ratio AFTER / BEFORE. The loop does not look for work before
it sleeps (`busy-poll-us 0`), since those looks depend on time.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from client import Client, encode
from peers import free_port

PIPELINES = (1, 16, 64)
KEYS = 1000


def rows():
    """Name, and the i-th request."""
    value = b"x" * 16
    yield "GET", lambda i: encode("GET", f"key:{i % KEYS:06}")
    yield "SET", lambda i: encode("SET", f"key:{i % KEYS:06}", value)
    yield "INCR", lambda i: encode("INCR", f"counter:{i % KEYS:06}")
    yield "MSET", lambda i: encode("MSET", *(x for j in range(10) for x in (f"key:{(i + 37 * j) % KEYS:06}", value)))
    yield "LPUSH", lambda i: encode("LPUSH", f"list:{i % 10}", value)
    yield "SADD", lambda i: encode("SADD", f"set:{i % 10}", f"member:{i % 997:06}")
    yield "HSET", lambda i: encode("HSET", f"hash:{i % 10}", f"field:{i % 997:06}", value)
    yield "ZADD", lambda i: encode("ZADD", f"zset:{i % 10}", i * 7919 % 10007, f"member:{i % 997:06}")


class Grind:
    """A server under callgrind."""

    def __init__(self, binary):
        self.dir = Path(tempfile.mkdtemp(prefix="kvstash-instructions-"))
        self.port = free_port()
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={self.dir}/out", binary]
        command += ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.dir), "--save", "", "--hz", "1"]
        command += ["--busy-poll-us", "0"]
        self.log = open(self.dir / "log", "wb")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 120
        while b"Ready to accept connections" not in (self.dir / "log").read_bytes():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit((self.dir / "log").read_text(errors="replace"))
            time.sleep(0.1)
        self.client = Client(self.port)
        self.dumps = 0

    def run(self, requests, pipeline):
        batches = [b"".join(requests[i : i + pipeline]) for i in range(0, len(requests), pipeline)]
        self.count()
        for i, batch in enumerate(batches):
            self.client.socket.sendall(batch)
            for _ in range(min(pipeline, len(requests) - i * pipeline)):
                self.client.read()
        return self.count() / len(requests)

    def count(self):
        """Instructions since the last call."""
        self.dumps += 1
        subprocess.run(["callgrind_control", "-d", str(self.process.pid)], check=True, stdout=subprocess.DEVNULL)
        path = self.dir / f"out.{self.dumps}"
        deadline = time.monotonic() + 30
        while True:
            found = re.search(r"^(?:summary|totals): (\d+)", path.read_text(), re.M) if path.exists() else None
            if found:
                return int(found[1])
            if time.monotonic() > deadline:
                raise SystemExit(f"no dump at {path}")
            # The dump is written when the process runs next.
            self.client.cmd("PING")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--requests", type=int, default=20000)
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        raise SystemExit("valgrind is not installed")
    figures = {}
    for binary in (options.before, options.after):
        grind = Grind(binary)
        try:
            for name, request in rows():
                requests = [request(i) for i in range(options.requests)]
                grind.run(requests, 64)  # the first pass makes the keys
                for pipeline in PIPELINES:
                    # At one request a time a system call each dominates: fewer are enough.
                    some = requests if pipeline > 1 else requests[: max(1, len(requests) // 4)]
                    figures[binary, name, pipeline] = grind.run(some, pipeline)
        finally:
            grind.stop()
    print("| command | pipeline | before | after | ratio |\n| --- | --- | --- | --- | --- |")
    for name, _ in rows():
        for pipeline in PIPELINES:
            before, after = (figures[binary, name, pipeline] for binary in (options.before, options.after))
            print(f"| {name} | {pipeline} | {before:.0f} | {after:.0f} | {after / before:.3f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
