#!/usr/bin/env python3
"""Random work for two servers: a function of the seed, the commands, and nothing else.

A round is a list of batches, a batch a list of steps on one connection that are sent together. Whatever would make two
correct servers differ is kept out here: a deadline that falls into the run, a stream id from the clock, a choice by
chance whose effect stays. Replies play no part, so that a round can be made again, whole or in pieces.
"""

import random

import listeners
import values as v

CONNECTIONS = 3
KEYS = {
    "string": [b"s0", b"s1", b"s2", b"s3"],
    "list": [b"l0", b"l1", b"l2"],
    "hash": [b"h0", b"h1", b"h2"],
    "set": [b"t0", b"t1", b"t2", b"t3"],
    "sorted_set": [b"z0", b"z1", b"z2", b"z3"],
    "stream": [b"x0", b"x1", b"x2"],
    "bitmap": [b"s0", b"s1", b"b0", b"b1"],
    "hyperloglog": [b"p0", b"p1", b"p2", b"s0"],
    "geo": [b"z0", b"g0", b"g1"],
}
ODD_KEYS = [b"", b"\0\xff key", b"k" * 300, b"none", b"w_a", b"w_b", b"w_1", b"n" * 120]
ALL_KEYS = sorted({key for pool in KEYS.values() for key in pool})

# How often a command is tried, beside the others of its group: what fills, often; what empties everything, seldom.
WEIGHTS = {
    "flushall": 0.02, "flushdb": 0.03, "swapdb": 0.15, "move": 0.3, "select": 0.6, "del": 0.4, "unlink": 0.3, "reset": 0.3,
    "set": 4, "append": 2, "setrange": 1.5, "rpush": 4, "lpush": 4, "linsert": 1.5, "hset": 5, "hsetnx": 1.5, "hsetex": 1.5,
    "sadd": 6, "zadd": 6, "zincrby": 2, "xadd": 5, "xgroup|create": 2, "xreadgroup": 3, "setbit": 2, "bitfield": 3,
    "pfadd": 4, "geoadd": 4, "restore": 0.7, "sort": 3, "sort_ro": 2, "hello": 0.5, "command|getkeys": 2, "command|getkeysandflags": 2,
}  # fmt: skip
GROUP_WEIGHTS = {"connection": 0.25, "pubsub": 0.4, "server": 0.15, "transactions": 0.1, "generic": 0.8}
# Mostly emptying commands among the elements' own are kept rarer than their number would make them.
for emptying in "lpop rpop lmpop lrem ltrim spop srem zpopmin zpopmax zmpop hdel hgetdel zremrangebyrank zremrangebyscore zremrangebylex xtrim xdel xdelex".split():
    WEIGHTS[emptying] = 0.4

AFTER_CHOICE = {  # By what a choice is judged that chance has made.
    "srandmember": [b"SMEMBERS"], "hrandfield": [b"HGETALL"], "zrandmember": [b"ZRANGE", None, b"0", b"-1", b"WITHSCORES"],
    "randomkey": [b"KEYS", b"*"],
}  # fmt: skip
TIME_TOKENS = {b"EX", b"PX", b"EXAT", b"PXAT", b"PERSIST"}
TIME_AT_2 = {"expire", "pexpire", "expireat", "pexpireat", "setex", "psetex", "restore", "hexpire", "hpexpire", "hexpireat", "hpexpireat"}
TIMEOUT_LAST = {"blpop", "brpop", "brpoplpush", "blmove", "bzpopmin", "bzpopmax"}
TIMEOUT_FIRST = {"blmpop", "bzmpop"}
BLOCK_TOKEN = {"xread", "xreadgroup"}
CHOOSERS = {"srandmember", "hrandfield", "zrandmember"}
NOT_QUEUED = {"spop", "multi", "exec", "discard", "watch", "reset", "hello", "select", *AFTER_CHOICE}
SETTINGS = {
    "list-max-listpack-size": ["-2", "4", "-1", "1", "128"],
    "list-compress-depth": ["0", "1"],
    "hash-max-listpack-entries": ["128", "3", "512", "0"],
    "hash-max-listpack-value": ["64", "8"],
    "set-max-intset-entries": ["512"],  # with fewer, the encoding of a result depends on the order of members
    "set-max-listpack-entries": ["128", "3", "0"],
    "set-max-listpack-value": ["64", "8"],
    "zset-max-listpack-entries": ["128", "3", "0"],
    "zset-max-listpack-value": ["64", "8"],
    "stream-node-max-entries": ["100", "3", "1"],
    "stream-node-max-bytes": ["4096", "100", "0"],
    "hll-sparse-max-bytes": ["3000", "40", "0"],
}


class Step:
    """One request on one connection, or a moment of rest, or a look at everything."""

    __slots__ = ("connection", "name", "args", "batch")

    def __init__(self, connection, name, args, batch=0):
        self.connection, self.name, self.args, self.batch = connection, name, args, batch


class Generator:
    """Makes the rounds of one seed."""

    def __init__(self, seed, commands, payloads=(), families=()):
        self.seed = seed
        self.payloads = list(payloads)
        wanted = [c for c in commands if not families or c.group in families]
        names = {c.name for c in commands}
        # Replies are counted on the connections that these would go to; listeners.py has connections for them.
        wanted = [c for c in wanted if not c.name.endswith("subscribe")]
        self.commands, weights = wanted, []
        by_group = {}
        for command in wanted:
            by_group.setdefault(command.group, []).append(command)
        for command in wanted:
            group = by_group[command.group]
            total = sum(WEIGHTS.get(c.name, 1.0) for c in group)
            share = GROUP_WEIGHTS.get(command.group, 1.0) * len(group) ** 0.5
            weights.append(share * WEIGHTS.get(command.name, 1.0) / total)
        self.cumulative = []
        for weight in weights:
            self.cumulative.append((self.cumulative[-1] if self.cumulative else 0) + weight)
        self.groups = sorted({c.group for c in wanted} & set(KEYS)) or ["string"]
        self.scans = [name for name in ("scan", "sscan", "hscan", "zscan") if name in names and (not families or name in {c.name for c in wanted})]
        self.transactions = {"multi", "exec", "watch", "discard"} <= names
        self.deadlines = "pexpire" in names
        self.queueable = [c for c in wanted if c.name not in NOT_QUEUED]
        self.listening = "subscribe" in names and (not families or "pubsub" in families)
        self.blocking = names & {"blpop", "blmove", "bzpopmin", "xread", "blmpop"}
        self.names = names

    def round(self, number, length):
        """(settings, batches) of one round of about `length` steps."""
        self.random = random.Random(f"{self.seed}/{number}")
        self.rnd = self.random.random
        self.serial = 0
        # In the other rounds databases are exchanged, which is a change of all keys here and none with Redis.
        self.tracking = self.listening and self.rnd() < 0.7
        settings = {}
        if self.rnd() < 0.7:
            settings = {name: self.pick(choices) for name, choices in SETTINGS.items()}
        batches, count = [], 0
        # A round is about few types: their values grow, and meet each other.
        self.focus = self.groups if self.rnd() < 0.3 else [self.pick(self.groups) for _ in range(2)]
        while count < length:
            for batch in self.batches():
                for step in batch:
                    step.batch = len(batches)
                batches.append(batch)
                count += len(batch)
        return settings, batches

    def pick(self, pool):
        return pool[int(self.rnd() * len(pool))]

    def batches(self):
        connection = int(self.rnd() * CONNECTIONS)
        chance = self.rnd()
        if chance < 0.03 and self.transactions:
            yield from self.transaction(connection)
        elif chance < 0.04 and self.deadlines:
            yield from self.deadline(connection)
        elif chance < 0.055 and self.scans:
            yield [self.scan(connection)]
        elif chance < 0.07 and self.blocking:
            yield from self.handover(connection)
        elif chance < 0.15:
            yield [Step(connection, "check", [b"light"])]
        elif chance < 0.23 and self.listening:
            listener = self.pick(range(listeners.LISTENERS + (listeners.TRACKERS if self.tracking else 0)))
            requests = listeners.batch(self) if listener < listeners.LISTENERS else listeners.tracking_batch(self, listener)
            yield [Step(listener, "listen", request) for request in requests]
        else:
            batch = []
            for _ in range(self.pick((1, 1, 1, 2, 5, 10, 30))):
                steps = self.command(connection)
                if steps[0].name == "spop":
                    if batch:
                        yield batch
                    yield steps
                    batch = []
                else:
                    batch += steps
            if batch:
                yield batch

    def transaction(self, connection):
        other = (connection + 1) % CONNECTIONS
        if self.rnd() < 0.4:
            yield [Step(connection, "watch", [b"WATCH", *(self.key(None) for _ in range(self.pick((1, 1, 2))))])]
            if self.rnd() < 0.5:
                steps = self.command(other, self.queueable)
                # What becomes of a stream's groups is a change to those who watch it: here, and not in Redis 8.2.
                if not any(step.name.startswith("x") for step in steps):
                    yield steps
        batch = [Step(connection, "multi", [b"MULTI"])]
        for _ in range(self.pick((0, 1, 2, 3, 8))):
            batch += self.command(connection, self.queueable)
        if self.rnd() < 0.05:
            batch.append(Step(connection, "watch", [b"WATCH", b"s0"]))
        name = "discard" if self.rnd() < 0.1 else "exec"
        batch.append(Step(connection, name, [self.cased(name.upper().encode())]))
        if self.rnd() < 0.3:
            yield from ([step] for step in batch)
        else:
            yield batch

    def deadline(self, connection):
        """A key whose time comes now: both servers have lost it before anything else happens."""
        key = self.key(None)
        yield [Step(connection, "pexpire", [b"PEXPIRE", key, b"4"])]
        yield [Step(connection, "sleep", [b"0.03"])]
        yield [Step(connection, "exists", [b"EXISTS", key])]

    def scan(self, connection):
        name = self.pick(self.scans)
        args = [name.upper().encode()]
        if name != "scan":
            args.append(self.key({"sscan": "set", "hscan": "hash", "zscan": "sorted_set"}[name]))
        args.append(b"0")
        if self.rnd() < 0.5:
            args += [b"COUNT", self.pick([b"1", b"2", b"10", b"100", b"1000"])]
        if self.rnd() < 0.3:
            args += [b"MATCH", self.pick(v.PATTERNS)]
        if name == "scan" and self.rnd() < 0.3:
            args += [b"TYPE", self.pick([b"string", b"list", b"hash", b"set", b"zset", b"stream", b"STRING", b"none"])]
        if name == "hscan" and self.rnd() < 0.3:
            args.append(b"NOVALUES")
        return Step(connection, "full-scan", args)

    def handover(self, connection):
        """One connection waits, another one brings, or drops, what it waits for."""
        other = (connection + 1) % CONNECTIONS
        kind = self.pick(sorted(self.blocking))
        end = b"0.3"
        key = self.pick(KEYS[{"bzpopmin": "sorted_set", "xread": "stream"}.get(kind, "list")])
        args = {
            "blpop": [self.pick([b"BLPOP", b"BRPOP"]), key, self.key("list"), end],
            "blmove": [b"BLMOVE", key, self.key("list"), self.pick([b"LEFT", b"RIGHT"]), self.pick([b"LEFT", b"RIGHT"]), end],
            "bzpopmin": [self.pick([b"BZPOPMIN", b"BZPOPMAX"]), key, self.key("sorted_set"), end],
            "xread": [b"XREAD", b"BLOCK", b"300", b"STREAMS", key, b"$"],
            "blmpop": [b"BLMPOP", end, b"2", key, self.key("list"), self.pick([b"LEFT", b"RIGHT"]), b"COUNT", b"2"],
        }[kind]
        bring = {
            "bzpopmin": [b"ZADD", key, b"1", b"a", b"2", b"b"],
            "xread": [b"XADD", key, self.pick([b"99999999999999-*", b"5-5"]), b"f", b"v"],
        }.get(kind, [self.pick([b"RPUSH", b"LPUSH"]), key, b"a", b"b", b"c"])
        if self.rnd() < 0.5:
            yield [Step(connection, "del", [b"DEL", *{*args[1:3], key}])]
        batch = [Step(other, bring[0].decode().lower(), bring)]
        if self.rnd() < 0.3:
            batch.insert(0, Step(other, "multi", [b"MULTI"]))
            if self.rnd() < 0.5:
                batch.append(Step(other, "del", [b"DEL", key]))
            batch.append(Step(other, "exec", [b"EXEC"]))
        if self.rnd() < 0.2:
            batch.append(Step(other, "rename", [b"RENAME", key, self.key("list")]))
        yield [Step(connection, "waiting", args), *batch]

    # One command.

    def command(self, connection, pool=None):
        command = None
        while not command or (command.name == "swapdb" and self.tracking):
            command = self.pick(pool) if pool else self.random.choices(self.commands, cum_weights=self.cumulative)[0]
        if command.name == "multi":
            return [Step(connection, "exec", [b"EXEC"])]
        args = self.call(command)
        steps = [Step(connection, command.name, args)]
        follow = AFTER_CHOICE.get(command.name)
        if follow:
            key = args[1] if len(args) > 1 else b""
            filled = [key if part is None else part for part in follow]
            if len(follow) == 1:
                filled.append(key)
            steps.append(Step(connection, filled[0].decode().lower(), filled))
        if command.name == "xadd" and b"*" in args[2:]:
            # An id from the clock would differ: make the newest id one of the future.
            ahead = [b"XADD", args[1], b"%d-1" % (99999999999000 + self.count()), b"f", b"v"]
            steps.insert(0, Step(connection, "xadd", ahead))
        return steps

    def call(self, command):
        self.name = command.name
        self.group = command.group
        out = [self.cased(word) for word in command.words]
        self.owed = None
        self.times = None
        before = len(out)
        args = command.args
        if len(args) > 2 and self.rnd() < 0.15:
            args = self.shuffled(args)
        for arg in args:
            self.emit(arg, out)
        if self.owed is not None:
            out[self.owed] = b"%d" % (1 + int(self.rnd() * 3))
        if command.name in ("zrange", "zrangestore"):
            self.bounds(out, before + (command.name == "zrangestore"))
        if self.rnd() < 0.07:
            self.mutate(out, before)
        if command.name == "zrangestore":
            # Of members with unequal scores the result is unspecified, and would stay.
            out = [b"BYSCORE" if word.upper() == b"BYLEX" else word for word in out]
        self.tame(out)
        return out

    def shuffled(self, args):
        """Options in another order; what is required stays in front."""
        cut = next((n for n, arg in enumerate(args) if arg.optional), len(args))
        rest = list(args[cut:])
        if any(not arg.optional for arg in rest):
            return args
        self.random.shuffle(rest)
        return list(args[:cut]) + rest

    def emit(self, arg, out):
        if arg.optional and self.rnd() > 0.3:
            return
        times = 1
        if arg.multiple:
            times = self.pick((1, 1, 2, 2, 3, 4, 5, 10)) if self.rnd() < 0.97 else 40
            if self.owed is not None:
                wrong = self.rnd() < 0.04
                out[self.owed] = self.pick(v.SMALL) if wrong else b"%d" % times
                self.owed, self.times = None, times
            elif self.times and self.rnd() < 0.93:
                times = self.times
        for n in range(times):
            if arg.token is not None and (n == 0 or arg.multiple_token) and arg.token:
                out.append(self.cased(arg.token))
            if arg.type == "pure-token":
                continue
            if arg.type == "oneof":
                self.emit(self.pick(arg.children), out)
            elif arg.type == "block":
                # Two lists in one block are equally long: STREAMS key ... id ...
                kept, self.times = self.times, None
                for child in arg.children:
                    self.emit(child, out)
                    if child.multiple and self.times is None and not arg.multiple:
                        self.times = self.counted
                self.times = kept
            elif arg.name.startswith("num") and arg.type == "integer" and arg.name in ("numkeys", "numfields", "numids"):
                self.owed = len(out)
                out.append(b"1")
            elif self.rnd() < 0.03:
                out.append(self.pick(v.HOSTILE))
            else:
                out.append(self.value(arg))
        self.counted = times

    def bounds(self, out, at):
        upper = [part.upper() for part in out]
        pool = v.SCORE_BOUNDS if b"BYSCORE" in upper else v.LEX_BOUNDS if b"BYLEX" in upper else None
        if pool and len(out) > at + 2 and self.rnd() < 0.95:
            out[at + 1], out[at + 2] = self.pick(pool), self.pick(pool)

    def mutate(self, out, before):
        how = int(self.rnd() * 6)
        at = before + int(self.rnd() * max(len(out) - before, 0))
        if how == 0 and len(out) > before:
            del out[at]
        elif how == 1 and len(out) > before:
            out.insert(at, out[at])
        elif how == 2:
            out.insert(at, self.pick(v.HOSTILE))
        elif how == 3 and len(out) > before:
            out[at] = self.pick(v.HOSTILE)
        elif how == 4 and len(out) > before + 1:
            other = before + int(self.rnd() * (len(out) - before))
            out[at], out[other] = out[other], out[at]
        else:
            out += [self.pick(v.HOSTILE) for _ in range(self.pick((1, 1, 2)))]

    def tame(self, out):
        """Keeps deadlines, waiting times and lengths within what can be compared, whatever was mutated."""
        name = self.name
        for at, arg in enumerate(out):
            if at and out[at - 1].upper() in TIME_TOKENS or at == 2 and name in TIME_AT_2:
                number = whole(arg)
                if out[at - 1].upper() in (b"EXAT", b"PXAT"):
                    # SET with a time that is past: Redis keeps the key until somebody looks.
                    if number is not None and 0 < number < 3_999_000_000_000:
                        out[at] = b"%d" % (4_000_000_000_000 + self.far(1000))
                elif number is not None and (0 < number < 500_000 or 1_000_000 < number < 500_000_000):
                    out[at] = b"%d" % self.far(1)
        if name in TIMEOUT_LAST or name in TIMEOUT_FIRST:
            at = 1 if name in TIMEOUT_FIRST else len(out) - 1
            if 0 < at < len(out) and waits(out[at]):
                out[at] = b"0.01"
        if name in BLOCK_TOKEN:
            for at in range(1, len(out)):
                if out[at - 1].upper() == b"BLOCK" and ((whole(out[at]) or 99) > 20 or whole(out[at]) == 0):
                    out[at] = b"5" if whole(out[at]) is not None else out[at]
        if name == "hello":
            # Redis 8.2.3 answers nothing at all to a HELLO whose AUTH fails.
            out[1:] = [arg for arg in out[1:] if arg.upper() != b"AUTH"]
        upper = [arg.upper() for arg in out]
        if name == "sort" and all(word in upper for word in (b"ALPHA", b"BY", b"STORE")):
            # Texts of equal weight are left in the order of an unstable sort, and what is stored would stay so.
            out[:] = [arg for arg in out if arg.upper() != b"ALPHA"]
        if name.startswith("geo") and b"COUNT" in upper and any(word.startswith(b"STORE") for word in upper):
            # Of members at equal distances it is unspecified which are counted, and they would stay.
            out[:] = [b"ASC" if arg.upper().startswith(b"STORE") else arg for arg in out]
        while name == "geosearchstore" and b"COUNT" in upper:
            at = upper.index(b"COUNT")
            del out[at : at + 2], upper[at : at + 2]
        if name in ("xadd", "xtrim"):
            # 8.2.3 trims nothing by ~ with DELREF and ACKED, and lets be pending what was deleted before.
            out[:] = [b"ACKED" if word == b"DELREF" else arg for word, arg in zip(upper, out)]
            if b"ACKED" in [arg.upper() for arg in out]:
                out[:] = [b"=" if arg == b"~" else arg for arg in out]
        if name == "restore" and len(out) > 2 and (whole(out[2]) or 0) > 1 << 62:
            # Added to the clock it overflows, in Redis to a time long past.
            out[2] = b"-1"
        if name in CHOOSERS:
            for at in range(2, len(out)):
                number = whole(out[at])
                if number is not None and -(1 << 63) < number < -1000:
                    out[at] = b"-7"

    # One argument.

    def count(self):
        self.serial += 1
        return self.serial

    def far(self, unit):
        return (1_000_000 + 17 * self.count()) * unit

    def cased(self, token):
        chance = self.rnd()
        if chance < 0.7:
            return token
        return token.lower() if chance < 0.95 else token.title()

    def key(self, group):
        chance = self.rnd()
        if group in KEYS and chance < 0.87:
            return self.pick(KEYS[group])
        if chance < 0.93:
            return self.pick(KEYS[self.pick(self.focus)])
        return self.pick(ODD_KEYS) if chance < 0.96 else self.pick(ALL_KEYS)

    def text(self):
        chance = self.rnd()
        if chance < 0.5:
            return self.pick(v.WORDS)
        if chance < 0.8:
            return self.pick(v.NUMBERS_AS_TEXT)
        if chance < 0.88:
            return self.pick(v.LENGTHS)
        if chance < 0.93:
            return self.pick(v.BINARY)
        if chance < 0.985:
            return self.pick(v.EDGES) if chance < 0.96 else self.pick(v.ODD_FLOATS)
        return self.pick(v.LONG) if chance < 0.998 else self.pick(v.HUGE)

    def number(self):
        chance = self.rnd()
        if chance < 0.8:
            return self.pick(v.INTEGERS)
        return self.pick(v.EDGES) if chance < 0.93 else self.pick(v.NOT_INTEGERS)

    def time(self, arg):
        if self.rnd() < 0.25:
            return self.pick(v.NOT_TIMES)
        absolute = arg.type == "unix-time" or self.name.endswith("at")
        milliseconds = arg.name == "milliseconds" or "milliseconds" in arg.name or self.name[:2] in ("pe", "hp") or self.name == "restore"
        base = self.far(1000 if milliseconds else 1)
        if absolute:
            base += (4_000_000_000_000 if milliseconds else 4_000_000_000)
        return b"%d" % base

    def value(self, arg):
        name, type_ = arg.name, arg.type
        if type_ == "key":
            return self.key(self.group)
        if type_ == "unix-time" or name in ("seconds", "ttl") or name == "milliseconds" and self.name not in BLOCK_TOKEN:
            return self.time(arg)
        special = SPECIAL.get((self.name, name)) or SPECIAL.get((self.group, name)) or SPECIAL.get(name)
        if special:
            return self.pick(special) if isinstance(special, list) else special(self)
        if type_ == "integer":
            return self.number()
        if type_ == "double":
            return self.pick(v.FLOATS) if self.rnd() < 0.85 else self.pick(v.ODD_FLOATS)
        if type_ == "pattern":
            return self.pick(v.PATTERNS)
        return self.text()

    def inner(self):
        """The command that COMMAND GETKEYS is asked about: its arguments, but for the last one here."""
        return self.pick(self.commands).words[0]

    def payload(self):
        payload = self.pick(self.payloads) if self.payloads else b""
        chance = self.rnd()
        if chance < 0.8 or not payload:
            return payload
        at = int(self.rnd() * len(payload))
        if chance < 0.9:
            return payload[:at]
        return payload[:at] + bytes([int(self.rnd() * 256)]) + payload[at + 1 :]

    def member(self):
        chance = self.rnd()
        if chance < 0.45:
            return self.pick(v.WORDS)
        return self.pick(v.NUMBERS_AS_TEXT) if chance < 0.85 else self.text()

    def stream_id(self):
        if self.name == "xadd":
            chance = self.rnd()
            if chance < 0.5:
                # Ever growing, so that most are accepted.
                return b"%d-%s" % (10 + self.count() // 3, self.pick([b"*", b"1", b"%d" % self.serial, b"*"]))
        return self.pick(v.TYPICAL_IDS) if self.rnd() < 0.5 else self.pick(v.STREAM_IDS)

    def group_id(self):
        return self.pick([b">", b">", b">", b"0", b"0-0", b"5"]) if self.rnd() < 0.8 else self.stream_id()

    def field(self):
        return self.pick(v.WORDS) if self.rnd() < 0.8 else self.member()

    def score(self):
        return self.pick(v.SCORES) if self.rnd() < 0.95 else self.pick(v.ODD_FLOATS)

    def bit_offset(self):
        return self.pick(v.BIT_OFFSETS) if self.rnd() < 0.5 else b"%d" % int(self.rnd() * 2000)

    def byte_offset(self):
        return self.pick(v.INDICES) if self.rnd() < 0.9 else self.pick([b"1048575", b"1048576", b"1048577", b"65536", b"4000000000"])

    def weight(self):
        return self.pick(v.FLOATS) if self.rnd() < 0.9 else self.pick(v.ODD_FLOATS)


G = Generator
SPECIAL = {
    "channel": listeners.CHANNELS, "shardchannel": listeners.CHANNELS, ("pubsub", "pattern"): listeners.PATTERNS,
    ("publish", "message"): listeners.MESSAGES, ("spublish", "message"): listeners.MESSAGES,
    "start": v.INDICES, "stop": v.INDICES, "end": v.INDICES, "index": v.INDICES, "count": v.COUNTS, "limit": v.COUNTS, "rank": v.COUNTS,
    "len": v.COUNTS, "num-matches": v.COUNTS, "maxlen": v.COUNTS, "min-match-len": v.COUNTS, "cursor": v.CURSORS,
    "offset": v.INDICES, ("setrange", "offset"): G.byte_offset, ("setbit", "offset"): G.bit_offset, ("getbit", "offset"): G.bit_offset,
    ("bitfield", "offset"): G.bit_offset, ("bitfield_ro", "offset"): G.bit_offset, "encoding": v.BITFIELD_TYPES, ("bitpos", "bit"): v.BITS,
    ("setbit", "value"): v.BITS, "increment": G.number, ("incrbyfloat", "increment"): G.score, ("hincrbyfloat", "increment"): G.score,
    ("zincrby", "increment"): G.score, "member": G.member, "member1": G.member, "member2": G.member, "element": G.member, "pivot": G.member,
    "field": G.field, "score": G.score, "weight": G.weight, "min": v.SCORE_BOUNDS, "max": v.SCORE_BOUNDS,
    ("zlexcount", "min"): v.LEX_BOUNDS, ("zlexcount", "max"): v.LEX_BOUNDS, ("zrangebylex", "min"): v.LEX_BOUNDS,
    ("zrangebylex", "max"): v.LEX_BOUNDS, ("zrevrangebylex", "min"): v.LEX_BOUNDS, ("zrevrangebylex", "max"): v.LEX_BOUNDS,
    ("zremrangebylex", "min"): v.LEX_BOUNDS, ("zremrangebylex", "max"): v.LEX_BOUNDS, "id": G.stream_id, ("xreadgroup", "id"): G.group_id,
    ("stream", "start"): G.stream_id, ("stream", "end"): G.stream_id, "last-id": G.stream_id, "lastid": G.stream_id,
    "max-deleted-id": G.stream_id, "threshold": lambda g: g.pick(v.COUNTS) if g.rnd() < 0.7 else g.stream_id(), "entries-added": v.COUNTS,
    "entriesread": v.COUNTS, ("stream", "group"): v.GROUPS, "consumer": v.CONSUMERS, "min-idle-time": v.IDLES, "ms": v.IDLES,
    "longitude": v.LONGITUDES, "latitude": v.LATITUDES, "radius": v.RADII, "width": v.RADII, "height": v.RADII,
    ("geo", "member"): v.GEOHASH_MEMBERS, ("geo", "member1"): v.GEOHASH_MEMBERS, ("geo", "member2"): v.GEOHASH_MEMBERS,
    "by-pattern": v.SORT_PATTERNS, "get-pattern": v.SORT_PATTERNS, "timeout": v.TIMEOUTS, ("xread", "milliseconds"): v.BLOCK_MS,
    ("xreadgroup", "milliseconds"): v.BLOCK_MS, "protover": v.VERSIONS, "db": v.DATABASES, "destination-db": v.DATABASES,
    "index1": v.DATABASES, "index2": v.DATABASES, ("select", "index"): v.DATABASES, "serialized-value": G.payload,
    ("command|getkeys", "command"): G.inner, ("command|getkeysandflags", "command"): G.inner,
    ("command|getkeys", "arg"): lambda g: g.key(None), ("command|getkeysandflags", "arg"): lambda g: g.key(None),
    ("scan", "type"): v.texts("string", "list", "hash", "set", "zset", "stream", "HASH", "none", ""),
}  # fmt: skip


def whole(text):
    """The number if this is one as servers read them (or nearly), else None."""
    try:
        return int(text) if len(text) < 25 else None
    except ValueError:
        return None


def waits(text):
    """Whether a server would wait longer than this run has time for: `0` is for ever."""
    try:
        seconds = float.fromhex(text.decode("latin-1")) if b"x" in text.lower() else float(text)
        return not -1e30 < seconds <= 0.05 or -0.001 < seconds <= 0
    except (ValueError, OverflowError):
        return False
