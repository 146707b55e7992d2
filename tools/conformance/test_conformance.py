#!/usr/bin/env python3
"""Tests of this tool: what it reads from the suite's output, how it judges, and that its files agree."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import mirror
import output
import page
import places
import reasons
import suite
import tables
import verdict
from runner import Result
from tables import Expectations, Real

PRINTED = """\
Starting test server at port 21079
[ready]: 4711
Testing unit/sample
[ok]: a plain one (3 ms)
[ok]: (of braces) [and $signs] (12 ms)
\x1b[0;31m[err]\x1b[0m: one that fails in tests/unit/sample.tcl
Expected '1' to be equal to '2' (context: type eval line 3 cmd {assert_equal 1 2})
    second line
[ok]: a plain one (0 ms)
[ignore]: large: large memory flag not provided
[skip]: a hung one
[err]: ERR unknown command 'LPUSH', with args beginning with:
    while executing
[1/1 done]: unit/sample (5 seconds)

                   The End

*** [err]: one that fails in tests/unit/sample.tcl
"""

HUNG = """\
[ok]: first (1 ms)
[TIMEOUT]: clients state report follows.
sock55d0 => (IN PROGRESS) second
Killing still running Redis server 99
"""

NOT_STARTED = """\
[TIMEOUT]: clients state report follows.
sock55d0 => (SPAWNED SERVER) pid:17
"""

ABORTED = """\
[ok]: first (1 ms)
[exception]: Executing test client: ERR unknown command 'ACL'.
ERR unknown command 'ACL'
    while executing
"""

LOG = """\
### Starting test quiet in tests/unit/x.tcl
1:M 01 Jan 2026 00:00:00.000 * Ready to accept connections tcp
### Starting test loud in tests/unit/x.tcl
=== REDIS BUG REPORT START: Cut & paste starting from here ===
thread 'main' panicked at src/x.rs:1:1:
"""


class Output(unittest.TestCase):
    def test_statuses_names_and_details(self):
        reading = output.read(PRINTED)
        found = [(test.name, test.status) for test in reading.tests]
        self.assertEqual(
            found,
            [
                ("a plain one", "ok"),
                ("(of braces) [and $signs]", "ok"),
                ("one that fails", "err"),
                ("a plain one ~2", "ok"),
                ("a hung one", "skip"),
            ],
        )
        self.assertEqual(reading.tests[1].milliseconds, 12)
        self.assertIn("second line", reading.tests[2].detail)
        self.assertEqual((reading.finished, reading.ignored, reading.stopped, reading.hung), (True, 1, "", ""))
        self.assertEqual([test.name for test in reading.outside], ["ERR unknown command 'LPUSH', with args beginning with:"])

    def test_a_test_without_progress(self):
        reading = output.read(HUNG)
        self.assertEqual((reading.hung, reading.finished), ("second", False))
        self.assertEqual([test.name for test in reading.tests], ["first"])

    def test_a_server_that_does_not_start_is_no_hung_test(self):
        reading = output.read(NOT_STARTED)
        self.assertEqual(reading.hung, "")
        self.assertIn("spawned server", reading.stopped)

    def test_a_file_that_ends_early(self):
        reading = output.read(ABORTED)
        self.assertFalse(reading.finished)
        self.assertIn("unknown command 'ACL'", reading.stopped)

    def test_names_that_vary(self):
        found = output.number([output.Test("PSYNC2: Set #3 to replicate from #4", "ok"), output.Test("x ~y", "ok")])
        self.assertEqual([test.name for test in found], ["PSYNC2: Set #N to replicate from #", "x ~y"])
        self.assertEqual(output.unnumbered("x ~2"), "x")
        name = "PSYNC2: cluster is consistent after load (x = {})"
        found = output.number([output.Test(name.format(x), "ok") for x in (7, 12345)])
        self.assertEqual([test.name for test in found], [name.format("N"), name.format("N") + " ~2"])

    def test_crashes_belong_to_tests(self):
        self.assertEqual(list(output.crashes(LOG)), ["loud"])


class Judgement(unittest.TestCase):
    real = Real(passed=["a", "b", "c", "d"], failed=["e"])

    def result(self, crashes=None, **tests):
        return Result("unit/x", tests=tests, details={"b": "ERR unknown command 'ACL'"}, crashes=crashes or {})

    def test_news_in_both_directions(self):
        expected = {"a": ("failed", "x"), "c": ("flaky", "x")}
        found = verdict.judge(self.result(a="ok", b="err", c="err", z="err"), self.real, expected)
        self.assertEqual(found.mended, ["a"])
        self.assertEqual(found.broken, {"b": "failed", "d": "unreached", "e": "unreached"})
        self.assertEqual(found.strange, ["z"])
        self.assertEqual((found.passed, found.total), (1, 5))

    def test_crashes_are_bad_unless_redis_has_them(self):
        real = Real(passed=["a"], crashes=["a"])
        self.assertFalse(verdict.judge(self.result({"a": "panicked at"}, a="ok"), real, {}).bad())
        self.assertTrue(verdict.judge(self.result({"b": "panicked at"}, a="ok"), real, {}).bad())

    def test_a_second_run_mends_chance(self):
        both = verdict.better(self.result(a="err", b="ok"), self.result(a="ok", b="err"))
        self.assertEqual(both.tests, {"a": "ok", "b": "ok"})

    def test_updating_keeps_reasons_and_guesses_new_ones(self):
        expected = {"a": ("failed", "x"), "d": ("hangs", "y")}
        found = verdict.updated(self.result(a="ok", b="err", c="ok"), self.real, expected)
        self.assertEqual(found["b"], ("failed", "acl"))
        self.assertEqual(found["d"], ("unreached", "y"))
        self.assertEqual(found["e"], ("unreached", "real-fails-too"))
        self.assertNotIn("a", found)

    def test_what_is_left_out_stays_left_out(self):
        tests = {"a": ("skipped", "x"), "b": ("hangs", "x"), "c": ("failed", "x")}
        self.assertEqual(verdict.updated(self.result(a="hang"), self.real, tests)["a"], ("skipped", "x"))
        expectations = Expectations({}, {"unit/x": tests})
        self.assertEqual(expectations.left_out(), {"unit/x": ["a", "b"]})
        self.assertEqual(expectations.left_out(hangs_too=False), {"unit/x": ["a"]})

    def test_guesses(self):
        for command, reason in [("CLUSTER", "cluster"), ("subscribe", "pubsub"), ("acl", "acl")]:
            text = f"ERR unknown command '{command}', with args"
            self.assertEqual(reasons.guess(Result("x", details={"t": text}), "t", "failed", False), reason)


class Files(unittest.TestCase):
    def test_what_is_written_is_read_back(self):
        with tempfile.TemporaryDirectory() as folder:
            reference = {"unit/x": Real(['say "hi" \\ ü', "b"], ["c"], [], 2, 30), "unit/y": Real()}
            tables.write_reference(reference, "0", Path(folder) / "r")
            self.assertEqual(tables.read_reference(Path(folder) / "r"), reference)
            expectations = Expectations({"x": "because"}, {"unit/x": {'say "hi" \\ ü': ("hangs", "x")}})
            tables.write_expectations(expectations, ["unit/x"], Path(folder) / "e")
            self.assertEqual(tables.read_expectations(Path(folder) / "e"), expectations)

    def test_a_reason_has_to_be_known(self):
        with self.assertRaises(ValueError):
            tables.entry("unit/x", "a", "failed, nowhere", {})

    def test_the_list_names_tests_that_exist(self):
        reference, expectations = tables.read_reference(), tables.read_expectations()
        for unit, tests in expectations.files.items():
            unknown = set(tests) - set(reference[unit].names())
            self.assertFalse(unknown, unit)

    def test_the_page_is_up_to_date(self):
        made = page.page(tables.read_reference(), tables.read_expectations(), suite.VERSION)
        self.assertEqual(places.PAGE.read_text(), made, "run `tools/conformance/conformance.py page`")


class Mirrors(unittest.TestCase):
    def test_stanzas(self):
        text = "Types: deb deb-src\n# note\nURIs: mirror+file:/a.list\nSuites: x\nSigned-By: /k.gpg\n\nTypes: deb-src\nURIs: b:\n"
        self.assertEqual(mirror.deb822(text), [("mirror+file:/a.list", "/k.gpg")])

    def test_lines(self):
        text = "# deb no:\ndeb [arch=amd64 signed-by=/k.gpg] a: suite main\ndeb b: suite main\ndeb-src c: suite main\n"
        self.assertEqual(mirror.one_line(text), [("a:", "/k.gpg"), ("b:", "")])


if __name__ == "__main__":
    unittest.main()
