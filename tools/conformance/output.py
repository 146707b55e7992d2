#!/usr/bin/env python3
"""What the suite prints, read: one line per test with its status in brackets, and what follows a failure.

    [ok]: name (3 ms)
    [err]: name in tests/unit/x.tcl
    Expected ...
    [ignore]: name: why               a test its own tags rule out; whole blocks say only why
    [skip]: name                      a test that we told it to skip
    [exception]: Executing test client: ...       the end of the file: something failed outside a test
    [TIMEOUT]: clients state report follows.      no progress; the next lines say in which test
    [1/1 done]: unit/x (5 seconds)    the file was run to its end

A test is known by file, name, and which of the tests of that name it is (names repeat).
"""

import re
from dataclasses import dataclass, field

TAG = re.compile(r"^\[(ok|err|skip|ignore|exception|TIMEOUT|\d+/\d+ done)\]: ?(.*)$")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
STATE = re.compile(r"^sock\S+ => \((IN PROGRESS|[A-Z ]+)\) (.*)$")
DETAIL_LENGTH = 2000
# Names that differ from run to run: a random choice or a measured value is part of them.
VARYING = [
    (re.compile(r"^(PSYNC2: (?:\[NEW LAYOUT\] )?Set #)\d+( (?:as master|to replicate from #))\d*"), r"\1N\2"),
    (re.compile(r"^(PSYNC2: cluster is consistent after load \(x = )\d+\)"), r"\1N)"),
]


@dataclass
class Test:
    name: str
    status: str
    milliseconds: int = 0
    detail: str = ""


@dataclass
class Reading:
    """One file's output."""

    tests: list = field(default_factory=list)
    finished: bool = False
    ignored: int = 0
    # What stopped the file: text of an exception, or the test (or server's start) without progress.
    stopped: str = ""
    hung: str = ""
    # Failures of code that stands outside every test.
    outside: list = field(default_factory=list)


def read(text):
    """The `Reading` of all that one run printed."""
    reading = Reading()
    current = None
    waiting = False
    for line in COLOURS.sub("", text).split("\n"):
        tag = TAG.match(line)
        if tag:
            current, waiting = start(reading, *tag.groups()), tag.group(1) == "TIMEOUT"
        elif line.strip() == "The End":
            current = None
        elif waiting and (state := STATE.match(line)):
            at, what = state.groups()
            reading.hung = what if at == "IN PROGRESS" else ""
            reading.stopped = f"no progress: {at.lower()}, {what}"
        elif current is not None and len(current.detail) < DETAIL_LENGTH:
            current.detail += line + "\n"
    reading.outside = [test for test in reading.tests if test.status == "outside"]
    ended = [test for test in reading.tests if test.status == "exception"]
    if ended:
        reading.stopped = (ended[-1].name + "\n" + ended[-1].detail).strip()
    reading.tests = number([test for test in reading.tests if test.status in ("ok", "err", "skip")])
    return reading


def start(reading, status, rest):
    """Begin what a tagged line begins; the result takes the lines that follow it."""
    if status.endswith("done"):
        reading.finished = True
        return None
    if status == "ignore":
        reading.ignored += 1
        return None
    if status == "TIMEOUT":
        return None
    test = Test(rest, status)
    if status == "ok" and (timed := re.match(r"(.*) \((\d+) ms\)$", rest)):
        test = Test(timed.group(1), status, int(timed.group(2)))
    elif status == "err":
        placed = re.match(r"(.*) in tests/\S+\.tcl$", rest)
        test = Test(placed.group(1), status) if placed else Test(rest, "outside")
    reading.tests.append(test)
    return test if status in ("err", "exception") else None


def number(tests):
    """Make names unique: the second of a name is `name ~2`."""
    seen = {}
    for test in tests:
        for pattern, replacement in VARYING:
            test.name = pattern.sub(replacement, test.name)
        seen[test.name] = seen.get(test.name, 0) + 1
        if seen[test.name] > 1:
            test.name = f"{test.name} ~{seen[test.name]}"
    return tests


def unnumbered(name):
    """The name as the suite knows it."""
    return re.sub(r" ~\d+$", "", name)


def crashes(log):
    """The tests during which a server's log has a crash report or a Rust panic: {test: first line of it}."""
    found, test = {}, "(before the first test)"
    for line in log.splitlines():
        begun = re.match(r"### (?:Starting|Restarting) (?:test|server for test) (.*) in tests/\S+\.tcl", line)
        if begun:
            test = begun.group(1)
        elif "BUG REPORT START" in line or "panicked at" in line:
            found.setdefault(test, line.strip())
    return found
