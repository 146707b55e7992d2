#!/usr/bin/env python3
"""docs/conformance.md, out of the two files of facts alone: whatever was run last, the page is the same for the same
facts, and the tools' own tests can tell whether it is up to date."""

from collections import Counter

HEAD = """\
# Conformance

Redis's own test suite, version {version}, against kvstash and against Redis {version} itself, run the same way: every
file in a process and a network namespace of its own, with `--no-latency` (no limits on durations) and without the tests
that need more than 100 MB. The suite is fetched when it is needed and is no part of this repository.

    make conformance                                          # everything; fails on what is worse than written here
    make conformance FILES="unit/protocol unit/type/string"   # some of it
    make conformance UPDATE=1                                 # and write down what is better
    make reference                                            # the right half of the table: builds Redis {version}

[expectations.toml](../tools/conformance/expectations.toml) names every test that does not pass, with its reason;
[reference.toml](../tools/conformance/reference.toml) has the results of Redis. This page is made from both.
*Not reached* are tests behind a point at which the file ends because something it needs is missing. *Left out* are
tests and blocks of tests that the suite's own tags exclude, for both servers alike.
"""


def page(reference, expectations, version):
    rows, sums = [], Counter()
    for unit, real in reference.items():
        row = counts(real, expectations.of(unit))
        sums += row
        rows.append(line(f"`{unit}`", row))
    complete = sum(not expectations.of(unit) for unit in reference)
    text = [
        HEAD.format(version=version),
        f"**{sums['passed']} of {sums['total']} tests pass, {sums['real_passed']} with Redis;"
        f" {complete} of {len(reference)} files pass completely.**",
        "",
        "| file | passed | failed | not reached | total | Redis: passed | failed | total | left out |",
        "| --- | --: | --: | --: | --: | --: | --: | --: | --: |",
        *rows,
        line("**all**", sums),
        "",
        "## Why",
        "",
        "| tests | reason |",
        "| --: | --- |",
        *why(reference, expectations),
        "",
    ]
    return "\n".join(text)


def counts(real, expected):
    """One file's figures."""
    listed = Counter(how for name, (how, _) in expected.items() if name in set(real.names()))
    row = Counter(total=len(real.names()), real_passed=len(real.passed), real_failed=len(real.failed), ignored=real.ignored)
    row["unreached"] = listed["unreached"]
    row["failed"] = sum(listed[how] for how in ("failed", "hangs", "skipped", "flaky"))
    row["passed"] = row["total"] - row["failed"] - row["unreached"]
    return row


def line(title, row):
    cells = [row[name] for name in ("passed", "failed", "unreached", "total", "real_passed", "real_failed", "total", "ignored")]
    return "| " + " | ".join([title, *map(str, cells)]) + " |"


def why(reference, expectations):
    """How many tests each reason accounts for."""
    used = Counter(why for unit in reference for _, why in expectations.of(unit).values())
    return [f"| {number} | {expectations.reasons[name]} |" for name, number in used.most_common()]
