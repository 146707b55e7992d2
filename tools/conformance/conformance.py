#!/usr/bin/env python3
"""Run Redis's own test suite against kvstash, or against Redis itself, and compare.

    conformance.py run [--update] [--jobs N] [FILE...]    kvstash, all files or some; exit code 1: worse than expected
    conformance.py ci                                     kvstash, the files that pass completely
    conformance.py reference [--jobs N] [FILE...]         build Redis and write down how it does
    conformance.py page                                   docs/conformance.md from what is written down
    conformance.py files                                  the names of all files
"""

import argparse
import sys

import mirror
import page
import places
import runner
import suite
import tables
import verdict
from suite import say

SHOWN = 25
CHANCE = 10
CI_LIMITS = runner.Limits(file_s=240, stall_s=60, reruns=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "ci", "reference", "page", "files"])
    parser.add_argument("files", nargs="*", metavar="FILE")
    parser.add_argument("--update", action="store_true", help="write down the new results")
    parser.add_argument("--jobs", type=int, default=2, help="files at a time (2)")
    parser.add_argument("--stall", type=int, default=runner.Limits.stall_s, help="seconds without progress that are a hang")
    parser.add_argument("--limit", type=int, default=runner.Limits.file_s, help="seconds for one run of a file")
    parser.add_argument("--hangs", action="store_true", help="try tests that are known to hang, too")
    options = parser.parse_intermixed_args()
    try:
        if options.what == "page":
            return write_page()
        suite.need_tools()
        if options.what == "files":
            return print("\n".join(suite.files()))
        limits = runner.Limits(options.limit, options.stall)
        if options.what == "reference":
            return reference(chosen(options.files), options.jobs, limits)
        units = ci_files() if options.what == "ci" else chosen(options.files)
        if options.what == "ci":
            limits = CI_LIMITS
        sys.exit(compare(units, options.jobs, limits, options.update, options.hangs))
    except mirror.Unavailable as reason:
        sys.exit(f"conformance: {reason}")


def chosen(names):
    known = suite.files()
    wrong = [name for name in names if name not in known]
    if wrong:
        raise mirror.Unavailable(f"no such file in the suite: {' '.join(wrong)}")
    return names or known


def ci_files():
    lines = (line.split("#")[0].strip() for line in places.CI_FILES.read_text().splitlines())
    return [line for line in lines if line]


def compare(units, jobs, limits, update, try_hangs):
    """Run, judge, and perhaps write down; the exit code."""
    if not places.KVSTASH.exists():
        raise mirror.Unavailable(f"there is no {places.KVSTASH}: build it, or name a server in CONFORMANCE_SERVER")
    known, expectations = tables.read_reference(), tables.read_expectations()
    without = [unit for unit in units if unit not in known]
    if without:
        say(f"no reference results for {' '.join(without)}: `make reference FILES=...` first")
    units = [unit for unit in units if unit in known]
    left_out = expectations.left_out(hangs_too=not try_hangs)
    judged = {}

    def done(result):
        found = verdict.judge(result, known[result.unit], expectations.of(result.unit))
        # A few failures may be chance, on a busy machine; many are not.
        if found.bad() and len(found.broken) <= CHANCE:
            again = runner.run(places.KVSTASH, result.unit, "kvstash-again", 0, limits, left_out.get(result.unit, []))
            result = verdict.better(result, again)
            found = verdict.judge(result, known[result.unit], expectations.of(result.unit))
        judged[result.unit] = found
        tell(result, found, update)
        if update:
            expectations.files[result.unit] = verdict.updated(result, known[result.unit], expectations.of(result.unit))

    runner.run_all(places.KVSTASH, units, "kvstash", jobs, limits, left_out, done, lambda unit: known[unit].seconds)
    if update:
        tables.write_expectations(expectations, list(known))
        write_page()
    passed, total = (sum(getattr(found, name) for found in judged.values()) for name in ("passed", "total"))
    bad = sorted(unit for unit, found in judged.items() if found.bad())
    mended = sum(len(found.mended) for found in judged.values())
    say(f"{passed} of {total} tests passed in {len(judged)} files; logs in {places.RUNS / 'kvstash'}")
    if mended and not update:
        say(f"{mended} tests that are expected not to pass do: UPDATE=1 writes that down")
    if bad and not update:
        say(f"worse than expected: {' '.join(bad)}")
    crashed = any(found.crashed for found in judged.values())
    return 1 if crashed or (bad and not update) else 0


def tell(result, found, quiet):
    """One file's line, and what is new in it; when it is written down anyway, without the failures."""
    print(f"{found.passed:5} of {found.total:4}  {result.unit}  ({result.seconds:.0f} s)", flush=True)
    for name, got in list(found.broken.items())[: 0 if quiet else SHOWN]:
        print(f"      {got}: {name}\n{indented(result.details.get(name, ''))}", end="", flush=True)
    for name in found.mended[:SHOWN]:
        print(f"      passes now: {name}")
    for name in found.strange[:SHOWN]:
        print(f"      fails, and Redis has no such test: {name}")
    for name, line in found.crashed.items():
        print(f"      CRASH: {name}: {line}")
    if result.stopped and found.broken and not quiet:
        print(f"      the file ended early:\n{indented(result.stopped)}", end="", flush=True)


def indented(text, lines=6):
    return "".join(f"          {line[:200]}\n" for line in text.strip().splitlines()[:lines])


def reference(units, jobs, limits):
    """How the real server does. A file is run twice: only what passes or fails both times is a fact."""
    server = suite.build(["redis-server"])
    if not server:
        raise mirror.Unavailable("building Redis needs cc and make")
    known = tables.read_reference()

    def done(result):
        names = list(result.tests)
        known[result.unit] = tables.Real(
            passed=[name for name in names if result.tests[name] == "ok"],
            failed=[name for name in names if result.tests[name] != "ok"],
            crashes=sorted(result.crashes),
            ignored=result.ignored,
            seconds=round(result.seconds),
        )
        print(f"{len(names):5} tests  {result.unit}  ({result.seconds:.0f} s)  {result.stopped[:200]}", flush=True)
        write_reference(known)

    runner.run_all(server[0], units, "redis", jobs, limits, {}, done)


def write_reference(known):
    order = suite.files()
    tables.write_reference({unit: known[unit] for unit in order if unit in known}, suite.VERSION)


def write_page():
    text = page.page(tables.read_reference(), tables.read_expectations(), suite.VERSION)
    places.PAGE.write_text(text)


if __name__ == "__main__":
    main()
