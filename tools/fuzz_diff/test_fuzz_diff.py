#!/usr/bin/env python3
"""The fuzzer's own parts, without servers: the same seed is the same run, the judge is neither deaf nor shrill, the
shrinker ends at what matters."""

import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))

from compare import Judge  # noqa: E402
from generate import Generator, Step  # noqa: E402
from grammar import Arg, Command  # noqa: E402
from shrink import shrink  # noqa: E402
from wire import Incomplete, encode, end_of_reply, parse, show  # noqa: E402


def arg(name, type_, *flags, token=None, children=()):
    flat = [b"name", name.encode(), b"type", type_.encode(), b"flags", [flag.encode() for flag in flags]]
    if token:
        flat += [b"token", token.encode()]
    node = Arg(flat)
    node.children = list(children)
    return node


COMMANDS = [
    Command("set", "string", [arg("key", "key"), arg("value", "string"), arg("seconds", "integer", "optional", token="EX")]),
    Command("get", "string", [arg("key", "key")]),
    Command("sintercard", "set", [arg("numkeys", "integer"), arg("key", "key", "multiple"), arg("limit", "integer", "optional", token="LIMIT")]),
    Command("blpop", "list", [arg("key", "key", "multiple"), arg("timeout", "double")]),
    Command("expire", "generic", [arg("key", "key"), arg("seconds", "integer")]),
    *(Command(name, "transactions", []) for name in ("multi", "exec", "discard")),
    Command("watch", "transactions", [arg("key", "key", "multiple")]),
]


def written(seed, number):
    settings, batches = Generator(seed, COMMANDS).round(number, 400)
    return settings, [(step.connection, step.name, step.args, step.batch) for batch in batches for step in batch]


class Generating(unittest.TestCase):
    def test_one_seed_is_one_run(self):
        self.assertEqual(written("7", 3), written("7", 3))
        self.assertNotEqual(written("7", 3), written("8", 3))
        self.assertNotEqual(written("7", 3), written("7", 4))

    def test_nothing_waits_and_no_deadline_falls_into_the_run(self):
        for number in range(20):
            for _, name, args, _ in written("1", number)[1]:
                if name == "blpop":
                    try:
                        self.assertTrue(float(args[-1]) != 0 and float(args[-1]) <= 0.05 or len(args) == 1, args)
                    except ValueError:
                        pass
                if name == "expire" and len(args) > 2 and args[2].isdigit() and len(args[2]) < 19:
                    self.assertTrue(int(args[2]) == 0 or int(args[2]) >= 500_000, args)

    def test_numkeys_counts_the_keys(self):
        calls = [args for _, name, args, _ in written("1", 0)[1] + written("1", 1)[1] if name == "sintercard"]
        right = [args for args in calls if args[1].isdigit() and len(args) - 2 in (int(args[1]), int(args[1]) + 2)]
        self.assertGreater(len(right), len(calls) // 2)


class Judging(unittest.TestCase):
    def setUp(self):
        self.judge = Judge()

    def agree(self, name, ours, theirs, *args):
        return self.judge.judge(name, [name.encode(), *args], parse(ours)[0], parse(theirs)[0]) is None

    def test_frames(self):
        for reply in (b"+OK\r\n", b"$-1\r\n", b"$3\r\na\r\n\r\n", b"*2\r\n:1\r\n*1\r\n$0\r\n\r\n", b"%1\r\n+a\r\n~1\r\n,1.5\r\n", b"_\r\n", b"*-1\r\n"):
            self.assertEqual(end_of_reply(reply + b"+next\r\n", 0), len(reply))
            self.assertEqual(parse(reply)[1], len(reply))
            for cut in range(len(reply)):
                with self.assertRaises((Incomplete, IndexError)):
                    end_of_reply(reply[:cut], 0)
        self.assertEqual(show(parse(b"*2\r\n$1\r\na\r\n%1\r\n+k\r\n:2\r\n")[0]), "[a {+k :2}]")
        self.assertEqual(encode([b"GET", b""]), b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n")

    def test_order_counts_where_there_is_one(self):
        one, other = b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", b"*2\r\n$1\r\nb\r\n$1\r\na\r\n"
        self.assertTrue(self.agree("smembers", one, other))
        self.assertFalse(self.agree("lrange", one, other))
        self.assertFalse(self.agree("smembers", one, b"*2\r\n$1\r\nb\r\n$1\r\nc\r\n"))
        self.assertFalse(self.agree("hgetall", one, other), "a field is not its value")

    def test_zero_may_lose_its_sign(self):
        self.assertTrue(self.agree("zscore", b"$1\r\n0\r\n", b"$2\r\n-0\r\n"))
        self.assertFalse(self.agree("zscore", b"$2\r\n-0\r\n", b"$1\r\n0\r\n"))
        self.assertFalse(self.agree("zscore", b"$1\r\n0\r\n", b"$2\r\n-1\r\n"))

    def test_equal_distances_are_in_any_order(self):
        one, other = b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", b"*2\r\n$1\r\nc\r\n$1\r\na\r\n"
        self.assertFalse(self.agree("geosearch", one, other))
        self.assertTrue(self.agree("geosearch", one, other, b"COUNT", b"2"))
        self.assertFalse(self.agree("geosearch", one, b"*1\r\n$1\r\na\r\n", b"COUNT", b"2"))

    def test_times_are_near_only_when_far(self):
        self.assertTrue(self.agree("pttl", b":1000000\r\n", b":1000456\r\n"))
        self.assertFalse(self.agree("pttl", b":1000000\r\n", b":1200000\r\n"))
        self.assertFalse(self.agree("ttl", b":-1\r\n", b":-2\r\n"))
        self.assertFalse(self.agree("ttl", b":10\r\n", b":11\r\n"))

    def test_errors_are_never_open(self):
        self.assertFalse(self.agree("time", b"-ERR a\r\n", b"-ERR b\r\n"))
        self.assertFalse(self.agree("smembers", b"-ERR a\r\n", b"*0\r\n"))
        self.assertTrue(self.agree("time", b"*2\r\n:1\r\n:2\r\n", b"*2\r\n:3\r\n:4\r\n"))

    def test_choices_are_of_what_is_there(self):
        there = (parse(b"*2\r\n$1\r\na\r\n$1\r\nb\r\n")[0],) * 2
        args = [b"SRANDMEMBER", b"k", b"2"]
        for reply, fine in ((b"*1\r\n$1\r\nb\r\n", True), (b"*1\r\n$1\r\nc\r\n", False), (b"*0\r\n", False)):
            why = self.judge.judge("srandmember", args, parse(reply)[0], parse(b"*1\r\n$1\r\na\r\n")[0], there)
            self.assertEqual(why is None, fine, reply)

    def test_every_exception_has_a_reason(self):
        for _, _, _, _, entry in self.judge.known:
            self.assertTrue(entry["reason"])
        self.assertTrue(all(self.judge.denied.values()) and all(self.judge.shapes.values()))


class Shrinking(unittest.TestCase):
    def test_two_of_a_hundred(self):
        steps = [Step(0, "set", [b"SET", b"k%d" % n, b"v" * 100]) for n in range(100)]
        runs = []

        def fails(candidate):
            runs.append(len(candidate))
            keys = [step.args[1] for step in candidate if len(step.args) > 1]
            return b"k13" in keys and b"k57" in keys and keys[-1:] == [b"k99"]

        shrunk = shrink(steps, fails, seconds=10)
        self.assertEqual([step.args for step in shrunk], [[b"SET", b"k13"], [b"SET", b"k57"], [b"SET", b"k99"]])
        self.assertLess(len(runs), 200)

    def test_it_ends_in_time(self):
        now = iter(range(10_000))
        steps = [Step(0, "get", [b"GET", b"%d" % n]) for n in range(64)]
        self.assertLessEqual(len(shrink(steps, lambda candidate: len(candidate) > 40, 5, clock=lambda: next(now))), 64)


if __name__ == "__main__":
    unittest.main()
