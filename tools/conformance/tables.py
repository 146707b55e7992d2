#!/usr/bin/env python3
"""The two files of facts: what the real server does (reference.toml) and what ours does not do yet
(expectations.toml). Read with the standard library, written here: one test per line, in the suite's order."""

import json
import tomllib
from dataclasses import dataclass, field

import places

REFERENCE_HEAD = """\
# How Redis {version} itself does in its own test suite, run by this tool: `make reference` writes this file.
# For each test file the names of the tests it passed and did not pass, in the order of the run (the second test of a
# name is `name ~2`), those during which a crash was reported (they provoke it), how many blocks the suite left out by
# its own tags, and the seconds it took.
"""

EXPECTATIONS_HEAD = """\
# The tests of Redis's own suite that kvstash does not pass, each with what becomes of it and the reason:
#   failed      it runs and fails
#   hangs       it makes no progress; left out from the start
#   skipped     it fails and leaves behind what makes others fail; left out from the start
#   unreached   the file ends before it
#   flaky       it may pass or fail; neither is reported
# `make conformance` fails on a test that does not pass and is not listed, and names those that are listed and pass;
# `make conformance UPDATE=1` rewrites the list (reasons that stand here are kept, new ones are guessed from the error).
"""

OUTCOMES = ("failed", "hangs", "skipped", "unreached", "flaky")


@dataclass
class Real:
    """What the real server does in one file."""

    passed: list = field(default_factory=list)
    failed: list = field(default_factory=list)
    crashes: list = field(default_factory=list)
    ignored: int = 0
    seconds: int = 0

    def names(self):
        return self.passed + self.failed


@dataclass
class Expectations:
    """reasons: {id: sentence}; files: {file: {test: (outcome, id of a reason)}}."""

    reasons: dict = field(default_factory=dict)
    files: dict = field(default_factory=dict)

    def of(self, unit):
        return self.files.get(unit, {})

    def left_out(self, hangs_too=True):
        """{file: its tests that are not even tried}."""
        which = ("hangs", "skipped") if hangs_too else ("skipped",)
        return {unit: [n for n, (how, _) in tests.items() if how in which] for unit, tests in self.files.items()}


def read_reference(path=places.REFERENCE):
    if not path.exists():
        return {}
    return {unit: Real(**facts) for unit, facts in tomllib.loads(path.read_text()).items()}


def write_reference(reference, version, path=places.REFERENCE):
    lines = [REFERENCE_HEAD.format(version=version)]
    for unit, real in reference.items():
        lines += [f"[{quoted(unit)}]", f"seconds = {real.seconds}", f"ignored = {real.ignored}"]
        for name in ("crashes", "failed", "passed"):
            values = getattr(real, name)
            lines += [f"{name} = [", *(f"    {quoted(value)}," for value in values), "]"] if values else []
        lines.append("")
    path.write_text("\n".join(lines))


def read_expectations(path=places.EXPECTATIONS):
    if not path.exists():
        return Expectations()
    document = tomllib.loads(path.read_text())
    expectations = Expectations(document.pop("reasons", {}))
    for unit, tests in document.items():
        expectations.files[unit] = {name: entry(unit, name, text, expectations.reasons) for name, text in tests.items()}
    return expectations


def entry(unit, name, text, reasons):
    """`outcome, reason` as a pair."""
    outcome, _, reason = text.partition(", ")
    if outcome not in OUTCOMES or reason not in reasons:
        raise ValueError(f"{places.EXPECTATIONS.name}: {unit}: {name}: {text!r} is not an outcome and a known reason")
    return outcome, reason


def write_expectations(expectations, order, path=places.EXPECTATIONS):
    """Write the list, files as in `order`."""
    lines = [EXPECTATIONS_HEAD, "[reasons]"]
    lines += [f"{name} = {quoted(text)}" for name, text in expectations.reasons.items()]
    for unit in sorted(expectations.files, key=lambda unit: order.index(unit) if unit in order else len(order)):
        tests = expectations.files[unit]
        if tests:
            lines += ["", f"[{quoted(unit)}]"]
            lines += [f"{quoted(name)} = {quoted(', '.join(pair))}" for name, pair in tests.items()]
    path.write_text("\n".join(lines) + "\n")


def quoted(text):
    """A TOML basic string: JSON's escapes are TOML's, for all that occurs in a line of text."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
