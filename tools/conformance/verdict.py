#!/usr/bin/env python3
"""Compare what became of a file with what was expected, and say what an updated list of expectations would be."""

from dataclasses import dataclass, field

import reasons


@dataclass
class Verdict:
    """broken: not passing, not listed. mended: listed, passing. strange: failing, and unknown to the reference.
    crashed: {test: line} of crashes that the real server does not have."""

    unit: str
    broken: dict = field(default_factory=dict)
    mended: list = field(default_factory=list)
    strange: list = field(default_factory=list)
    crashed: dict = field(default_factory=dict)
    passed: int = 0
    total: int = 0

    def bad(self):
        return bool(self.broken or self.crashed)


def outcome(result, name):
    """ok, failed, hangs or unreached."""
    return {"ok": "ok", "err": "failed", "hang": "hangs"}.get(result.tests.get(name), "unreached")


def judge(result, real, expected):
    """`result` of a file against the reference and {test: (outcome, reason)}."""
    verdict = Verdict(result.unit, total=len(real.names()))
    for name in real.names():
        got = outcome(result, name)
        verdict.passed += got == "ok"
        if got == "ok" and name in expected and expected[name][0] != "flaky":
            verdict.mended.append(name)
        elif got != "ok" and name not in expected:
            verdict.broken[name] = got
    known = set(real.names())
    verdict.strange = [name for name in result.tests if name not in known and outcome(result, name) != "ok"]
    verdict.crashed = {name: line for name, line in result.crashes.items() if name not in real.crashes}
    return verdict


def better(first, second):
    """Two runs of one file as one: a test has passed that passed in either."""
    for name, status in second.tests.items():
        if status == "ok" or name not in first.tests:
            first.tests[name] = status
    first.finished = first.finished or second.finished
    return first


def updated(result, real, expected):
    """{test: (outcome, reason)} as it is after this run. Reasons given are kept; others are guessed."""
    entries = {}
    for name in real.names():
        got = outcome(result, name)
        how, why = expected.get(name, ("", ""))
        if how in ("flaky", "skipped"):
            entries[name] = (how, why)
        elif got != "ok":
            entries[name] = (got, why if why and why != reasons.UNKNOWN else reasons.guess(result, name, got, name in real.failed))
    return entries
