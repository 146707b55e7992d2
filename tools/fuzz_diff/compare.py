#!/usr/bin/env python3
"""When two replies say the same: byte for byte, unless the command leaves something open.

What is open stands here, by command: the order of what has no order, the time that is left, what chance has chosen.
An error is never open. A rule gets both replies parsed, the arguments, and what both servers answered to the step that
follows, and returns what is wrong, or None.
"""

import re
import tomllib
from pathlib import Path

KNOWN = Path(__file__).with_name("known.toml")
# Far deadlines are compared within this; nearer numbers (-1, -2, 0) exactly.
NEAR_MS = 10_000
FAR = 300


def same(a, b):
    return None if a == b else "differs"


def order(reply):
    """A reply in which order says nothing any more; pairs stay together in maps."""
    kind, content = reply
    if not isinstance(content, list):
        return reply
    if kind == "%":
        return kind, sorted(zip(map(order, content[::2]), map(order, content[1::2])), key=repr)
    return kind, sorted(map(order, content), key=repr)


def unordered(a, b, *_):
    return same(order(a), order(b))


def flat_pairs(a, b, *_):
    """RESP2 writes a map as a flat array."""
    return same(order(paired(a)), order(paired(b)))


def paired(reply):
    kind, content = reply
    if kind == "*" and content and len(content) % 2 == 0 and not isinstance(content[0][1], list):
        return "%", content
    return reply


def shape(a, b, *_):
    """Only what kind of reply it is."""
    return None if a[0] == b[0] and (a[1] is None) == (b[1] is None) else "another kind of reply"


def near(a, b, *_):
    """Numbers that stand for times: equal when small, else within some seconds."""
    if a[0] != b[0] or isinstance(a[1], list) != isinstance(b[1], list):
        return "differs"
    if isinstance(a[1], list):
        if len(a[1]) != len(b[1]):
            return "another length"
        return next((why for why in map(near, a[1], b[1]) if why), None)
    if a[0] != ":" or a == b:
        return same(a, b)
    x, y = int(a[1]), int(b[1])
    return None if min(x, y) > FAR and abs(x - y) <= NEAR_MS else "times apart"


def recent(a, b, *_):
    """Seconds or milliseconds since something that happened in this run."""
    if a[0] == b[0] == ":" and abs(int(a[1]) - int(b[1])) <= NEAR_MS:
        return None
    return same(a, b)


def chosen(a, b, args, after):
    """A choice by chance: of equal size, without repetition unless asked for, and only of what is there."""
    why = same_size(a, b)
    if why:
        return why
    mine = leaves(a)
    if after and after[0]:
        there = leaves(after[0])
        strange = [leaf for leaf in mine if leaf not in there]
        if strange:
            return f"not there: {strange[0]!r}"
    if len(args) == 3 and args[2].isdigit() and len(set(mine)) != len(mine):
        return "chosen twice"
    return None


def without_sign(reply):
    """The reply with 0 for every -0."""
    kind, content = reply
    if isinstance(content, list):
        return kind, [without_sign(item) for item in content]
    return kind, b"0" if content == b"-0" else content


def same_size(a, b):
    if a[0] != b[0] or isinstance(a[1], list) != isinstance(b[1], list) or (a[1] is None) != (b[1] is None):
        return "another kind of reply"
    if isinstance(a[1], list):
        if len(a[1]) != len(b[1]):
            return "another length"
        return next((why for why in map(same_size, a[1], b[1]) if why), None)
    return None


def leaves(reply):
    kind, content = reply
    if isinstance(content, list):
        return [leaf for item in content for leaf in leaves(item)]
    return [] if content is None else [content]


def scanned(a, b, args, _after):
    """One step of a scan: everything, if both are through with it at once; else only the frame."""
    why = same_size(a, b) if len(a[1]) != 2 else None
    if why or a[1][0] != b[1][0] or a[1][0][1] != b"0" or b"0" not in args[1:3]:
        return why
    elements = flat_pairs if args[0].lower() in (b"hscan", b"zscan") and b"NOVALUES" not in [x.upper() for x in args] else unordered
    return elements(a[1][1], b[1][1])


def sorted_reply(a, b, args, _after):
    """SORT: without an order asked for, and with LIMIT, anything may be cut off."""
    if a == b or unordered(a, b) is None:
        return None
    upper = [arg.upper() for arg in args]
    if b"LIMIT" in upper and b"BY" in upper:
        return same_size(a, b)
    return "differs"


def nearest(a, b, args, _after):
    """A search on the map: members at equal distances come in any order, and COUNT may leave out any of them."""
    if a == b:
        return None
    upper = [arg.upper() for arg in args]
    if b"WITHDIST" in upper and a[0] == b[0] == "*":
        distances = [[item[1][1] for item in reply[1]] for reply in (a, b)]
        if distances[0] != distances[1]:
            return "other distances"
    if unordered(a, b) is None:
        return None
    return same_size(a, b) if b"COUNT" in upper else "differs"


TIMED_FIELDS = {b"idle", b"inactive", b"seen-time", b"active-time", b"radix-tree-keys", b"radix-tree-nodes"}


def timeless(reply, depth=0):
    """XINFO without the clock and without the shape of Redis's trees."""
    kind, content = reply
    if not isinstance(content, list):
        return reply
    if kind == "%" or kind == "*" and content and len(content) % 2 == 0 and content[0][0] == "$":
        items = []
        for key, value in zip(content[::2], content[1::2]):
            if key[1] in TIMED_FIELDS:
                value = (":", b"time")
            elif key[1] in (b"pending", b"pel") and isinstance(value[1], list):
                # [id, delivery time, count], or [id, consumer, delivery time, count]
                value = ("*", [("*", [part if n != len(entry[1]) - 2 else (":", b"time") for n, part in enumerate(entry[1])])
                               if isinstance(entry[1], list) else entry for entry in value[1]])
            else:
                value = timeless(value, depth + 1)
            items += [key, value]
        return kind, items
    return kind, [timeless(item, depth + 1) for item in content]


def xinfo(a, b, *_):
    return same(timeless(a), timeless(b))


def xpending(a, b, *_):
    """Entries are [id, consumer, idle, count]."""

    def without(reply):
        kind, content = reply
        if isinstance(content, list) and len(content) == 4 and content[2][0] == ":" and content[0][0] == "$" and content[1][0] == "$":
            return kind, [content[0], content[1], (":", b"idle"), content[3]]
        return (kind, [without(item) for item in content]) if isinstance(content, list) else reply

    return same(without(a), without(b))


def keys_and_flags(a, b, *_):
    return same(order(a), order(b))


RULES = {}
for names, rule in (
    ("pubsub|channels pubsub|shardchannels keys smembers sinter sunion sdiff hkeys hvals command|list command|getkeysandflags", unordered),
    ("hgetall", flat_pairs),
    ("scan sscan hscan zscan", scanned),
    ("ttl pttl expiretime pexpiretime httl hpttl hexpiretime hpexpiretime", near),
    ("object|idletime", recent),
    ("srandmember hrandfield zrandmember randomkey spop", chosen),
    ("sort sort_ro", sorted_reply),
    ("georadius georadius_ro georadiusbymember georadiusbymember_ro geosearch", nearest),
    ("xinfo|stream xinfo|groups xinfo|consumers", xinfo),
    ("xpending", xpending),
):
    for name in names.split():
        RULES[name] = rule


class Judge:
    """Replies in order, with what is not worth telling: rules by command, and the list of known differences."""

    def __init__(self, path=KNOWN):
        facts = tomllib.loads(path.read_text())
        self.denied = {entry["command"]: entry["reason"] for entry in facts.get("deny", [])}
        self.shapes = {entry["command"]: entry["reason"] for entry in facts.get("shape", [])}
        self.known = [
            (entry["command"].split(), re.compile(entry["ours"], re.S), re.compile(entry["theirs"], re.S), re.compile(entry.get("args", ""), re.S | re.I), entry)
            for entry in facts.get("known", [])
        ]
        self.encodings = facts.get("encoding", [])
        self.seen = {}

    def judge(self, name, args, ours, theirs, after=None):
        """What is wrong with our reply, or None. Both are parsed; `theirs` is the reference's."""
        if ours == theirs:
            return None
        why = self.by_rule(name, args, ours, theirs, after)
        if why and without_sign(theirs) == ours:
            reason = "a score of -0 is 0 in a listpack, and SORT makes a skiplist of a sorted set in Redis alone"
            self.seen[reason] = self.seen.get(reason, 0) + 1
            return None
        return why if why and not self.is_known(name, args, ours, theirs) else None

    def by_rule(self, name, args, ours, theirs, after):
        if "-" in (ours[0], theirs[0]) or "!" in (ours[0], theirs[0]):
            return "differs"
        if name in self.shapes:
            return shape(ours, theirs)
        rule = RULES.get(name)
        return rule(ours, theirs, args, after) if rule else "differs"

    def is_known(self, name, args, ours, theirs):
        mine, other, said = flat(ours), flat(theirs), " ".join(arg.decode("latin-1") for arg in args)
        for commands, ours_like, theirs_like, args_like, entry in self.known:
            if (name in commands or "*" in commands) and ours_like.fullmatch(mine) and theirs_like.fullmatch(other) and args_like.search(said):
                self.seen[entry["reason"]] = self.seen.get(entry["reason"], 0) + 1
                return True
        return False

    def known_encoding(self, ours, theirs, length):
        return any(entry["ours"] == ours and entry["theirs"] == theirs and length <= entry["length_max"] for entry in self.encodings)


def flat(reply):
    kind, content = reply
    if isinstance(content, list):
        return kind + "[" + " ".join(map(flat, content)) + "]"
    return kind + ("nil" if content is None else content.decode("latin-1"))
