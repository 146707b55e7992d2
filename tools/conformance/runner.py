#!/usr/bin/env python3
"""Run one file of the suite, or many: each in a process, a tree and namespaces of its own, with a limit of its own.

What hangs or dies costs that file alone. A test without progress is found by the suite's own report, and the file is
run again without it; tests known to hang are left out from the start.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import count
from pathlib import Path

import output
import places
import suite

FIRST_PORT, PORTS, SLOTS = 21111, 400, 8
NAMESPACES = ["-n", "-p", "-f", "--mount-proc", "--kill-child"]
LOG_LENGTH = 4 << 20
# What every server that a test starts finds in its environment. The suite calls jemalloc's controls through DEBUG where
# INFO has that word; kvstash does not offer them, and is told to spell it in another way. Redis reads no such variable.
# The suite reads append-only files with a few lines of its own that know nothing but commands.
SERVERS_ENVIRONMENT = {
    "KVSTASH_OBSERVABILITY_INFO_MEM_ALLOCATOR": "je-malloc",
    "KVSTASH_PERSISTENCE_AOF_ANNOTATIONS": "no",
}


@dataclass
class Limits:
    """How long a file may take, how long it may make no progress, and how often it is run again without hung tests."""

    file_s: int = 1200
    stall_s: int = 100
    reruns: int = 6


@dataclass
class Result:
    """What became of one file. `tests` has name -> ok, err or hang, in the order of the run."""

    unit: str
    tests: dict = field(default_factory=dict)
    details: dict = field(default_factory=dict)
    milliseconds: dict = field(default_factory=dict)
    crashes: dict = field(default_factory=dict)
    outside: list = field(default_factory=list)
    ignored: int = 0
    finished: bool = False
    stopped: str = ""
    seconds: float = 0.0


def run_all(server, units, label, jobs, limits, left_out, done, weight=lambda unit: 0):
    """Run `units`, the heaviest first, `jobs` at a time; `done(result)` is called for each, from this thread."""
    results = {}
    places.RUNS.mkdir(parents=True, exist_ok=True)
    suite.build(suite.CLIENTS)
    slots = count()
    with ThreadPoolExecutor(jobs) as pool:
        waiting = [
            pool.submit(run, server, unit, label, next(slots) % SLOTS, limits, left_out.get(unit, []))
            for unit in sorted(units, key=weight, reverse=True)
        ]
        for finished in as_completed(waiting):
            result = finished.result()
            results[result.unit] = result
            done(result)
    return results


def run(server, unit, label, slot, limits, left_out):
    """Run one file until it ends without a test that hangs, or has been run often enough."""
    began = time.monotonic()
    kept = places.RUNS / label / unit.replace("/", "__")
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    hangs = list(dict.fromkeys(output.unnumbered(name) for name in left_out))
    for attempt in range(limits.reruns + 1):
        reading, crashes, killed = once(server, unit, slot, limits, hangs, kept / f"output.{attempt}.txt", kept)
        if not reading.hung or reading.hung in hangs:
            break
        hangs.append(reading.hung)
    result = Result(unit, crashes=crashes, ignored=reading.ignored, finished=reading.finished, stopped=reading.stopped)
    if killed:
        result.stopped = f"not finished after {limits.file_s} s\n{result.stopped}"
    result.outside = [f"{test.name}\n{test.detail}" for test in reading.outside]
    for test in reading.tests:
        result.tests[test.name] = "hang" if test.status == "skip" else test.status
        result.milliseconds[test.name] = test.milliseconds
        if test.detail:
            result.details[test.name] = test.detail
    if reading.hung:
        result.tests.setdefault(reading.hung, "hang")
    result.seconds = time.monotonic() - began
    (kept / "result.json").write_text(json.dumps(asdict(result), indent=1))
    return result


def once(server, unit, slot, limits, skips, log, kept):
    """One run: (reading, crashes, whether it had to be killed)."""
    with tempfile.TemporaryDirectory(prefix="tree-", dir=places.RUNS) as folder:
        place = Path(folder)
        suite.tree(server, place)
        command = wrapper() + ["./runtest", "--single", unit, "--clients", "1", "--durable", "--dont-clean"]
        command += ["--no-latency", "--timeout", str(limits.stall_s)]
        command += ["--baseport", str(FIRST_PORT + slot * PORTS), "--portcount", str(PORTS)]
        command += [word for name in skips for word in ("--skiptest", name)]
        # A TERM without xterm in it: no colours. C.UTF-8: names of tests are not all ASCII.
        environment = {**os.environ, "TERM": "dumb", "LC_ALL": "C.UTF-8", **SERVERS_ENVIRONMENT}
        with open(log, "wb") as out:
            child = subprocess.Popen(
                command, cwd=place, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
            )
            killed = not ended_within(child, limits.file_s)
        crashes = {}
        for number, path in enumerate(sorted(place.glob("tests/tmp/server*/std*"))):
            text = path.read_bytes()[:LOG_LENGTH].decode("utf-8", "replace")
            crashes |= output.crashes(text)
            (kept / f"{path.name}.{number}.txt").write_text(text)
        return output.read(log.read_bytes().decode("utf-8", "replace")), crashes, killed


def ended_within(child, seconds):
    """Wait for the whole run; past its limit end its process group, and with it the namespace."""
    try:
        child.wait(seconds)
        return True
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        return False


@cache
def wrapper():
    """What to put before a command so that it runs in namespaces of its own, as far as this user may."""
    inside = [sys.executable, str(places.HERE / "inside.py")]
    for options in (NAMESPACES, ["-U", "-r", *NAMESPACES]):
        command = ["unshare", *options]
        if shutil.which("unshare") and subprocess.run([*command, *inside, "true"], capture_output=True).returncode == 0:
            return [*command, *inside]
    suite.say("no namespaces of its own for this user: ports and processes of the machine are shared")
    return []
