#!/usr/bin/env python3
"""Give kvstash and a real Redis the same random commands, and tell where they answer differently.

    make fuzz-diff SEED=1 SECONDS=300 FAMILIES="string generic"

The same seed makes the same rounds. A round starts on empty servers with fresh connections; its steps come from
COMMAND DOCS (grammar.py), values.py and generate.py. Replies are compared as compare.py says; everything there is, by
DEBUG DIGEST, is compared now and then, with encodings and deadlines; at the end of a round each server must read what
the other one DUMPs. What differs is shrunk (shrink.py) and printed as lines to repeat by hand.
"""

import argparse
import re
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

import grammar  # noqa: E402
import listeners  # noqa: E402
import peers  # noqa: E402
from compare import Judge, leaves  # noqa: E402
from generate import CONNECTIONS, Generator, Step  # noqa: E402
from shrink import shrink  # noqa: E402
from wire import Broken, Connection, encode, parse, quoted, show  # noqa: E402

BASE_SETTINGS = {"proto-max-bulk-len": "1048576", "maxmemory-policy": "noeviction", "slowlog-log-slower-than": "-1"}
DATABASES = (0, 1, 2, 15)
PAYLOADS = {
    "set": [(b"SET", b"k", b"text"), (b"SET", b"k", b"123"), (b"SET", b"k", b"r" * 300)],
    "rpush": [(b"RPUSH", b"k", b"a", b"1", b"b" * 70)],
    "hset": [(b"HSET", b"k", b"f", b"v", b"g", b"12"), (b"HSET", b"k", b"f", b"v" * 100)],
    "sadd": [(b"SADD", b"k", b"1", b"2", b"70000"), (b"SADD", b"k", b"a", b"2"), (b"SADD", b"k", b"a" * 100)],
    "zadd": [(b"ZADD", b"k", b"1", b"a", b"2.5", b"b"), (b"ZADD", b"k", b"1", b"a" * 100)],
    "xadd": [(b"XADD", b"k", b"5-1", b"f", b"v")],
}


class Mismatch:
    """What went wrong, at the last of `steps`."""

    def __init__(self, step, why, ours, theirs):
        self.step, self.why, self.ours, self.theirs = step, why, ours, theirs

    @property
    def signature(self):
        return self.step.name, self.why, gist(self.ours), gist(self.theirs)


def gist(reply):
    """A reply as far as it tells one kind of mismatch from another."""
    if isinstance(reply, str):
        return reply
    kind, content = reply
    if kind == "-":
        return "-" + re.sub(rb"'[^']*'|\d+", b"", content).decode("latin-1")
    return kind


class Side:
    """One server, with the connections of a round."""

    def __init__(self, binary):
        self.binary = binary
        self.server = None
        self.connections = []
        self.listeners = []
        self.start()

    def start(self):
        if self.server:
            self.server.__exit__()
        self.server = self.binary.start()
        self.admin = Connection(self.server.port, patience=60)
        self.known = {}

    def reset(self, settings):
        for connection in self.connections + self.listeners:
            connection.close()
        if self.server.process.poll() is not None:
            self.start()
        try:
            self.admin.ask("FLUSHALL", "SYNC")
        except Broken:
            self.start()
        for name, value in settings.items():
            if self.known.get(name) != value:
                self.known[name] = value
                self.admin.ask("CONFIG", "SET", name, value)
        self.connections = [Connection(self.server.port) for _ in range(CONNECTIONS)]
        # The second connection always speaks RESP3, the others change as they are told.
        self.connections[1].ask("HELLO", "3")
        self.listeners = listeners.connect(self.server.port)

    def crash(self):
        if self.server.process.poll() is None:
            return ""
        log = Path(self.server.dir, "log").read_text(errors="replace")
        lines = [line for line in log.splitlines() if "panick" in line or "crashed" in line or "ASSERT" in line.upper()]
        return " | ".join(lines[:2]) or log[-300:]


class Pair:
    """Both servers; executes batches and judges what comes back."""

    def __init__(self, ours, theirs, judge):
        self.ours, self.theirs, self.judge = Side(ours), Side(theirs), judge
        self.calls, self.errors, self.word = {}, {}, 0

    def reset(self, settings):
        self.settings = {**DEFAULTS, **settings, **BASE_SETTINGS}
        self.ours.reset(self.settings)
        self.theirs.reset(self.settings)
        self.queues = [None] * CONNECTIONS
        self.spoiled = False

    def execute(self, batch, counted=False):
        """Every mismatch in one batch."""
        first = batch[0]
        try:
            if first.name == "sleep":
                time.sleep(float(first.args[0]))
                return []
            if first.name == "check":
                return [found for found in [self.check(first)] if found]
            if first.name == "full-scan":
                return [found for found in [self.full_scan(first)] if found]
            if first.name == "listen":
                return self.listen(batch, counted)
            if first.name == "waiting":
                return self.handover(batch, counted)
            return self.pipeline(batch, counted)
        except Broken as broken:
            crash = self.ours.crash()
            return [Mismatch(batch[-1], "crash" if crash else "no answer", crash or str(broken), "")]

    def pipeline(self, batch, counted):
        data = b"".join(encode(step.args) for step in batch)
        at = batch[0].connection
        mine, other = self.ours.connections[at], self.theirs.connections[at]
        other.send(data)
        mine.send(data)
        try:
            theirs = other.replies(len(batch))
        except Broken as broken:
            self.theirs.start()
            raise SystemExit(f"the reference failed: {broken}; {len(other.buffer)} bytes: {bytes(other.buffer[:3000])!r}\n" + "\n".join(line_of(step) for step in batch)) from broken
        ours = mine.expect(theirs)
        return self.judged(batch, ours, theirs, counted)

    def judged(self, batch, ours, theirs, counted):
        found = []
        for n, step in enumerate(batch):
            a, b = ours[n], theirs[n]
            if counted:
                self.calls[step.name] = self.calls.get(step.name, 0) + 1
                if b[0] == 0x2D:
                    self.errors[step.name] = self.errors.get(step.name, 0) + 1
            queue = self.queues[step.connection]
            if b == b"+QUEUED\r\n":
                if queue is None:
                    queue = self.queues[step.connection] = []
                queue.append(step)
            elif step.name in ("exec", "discard", "reset") and b[0] != 0x2D:
                self.queues[step.connection] = None
            if a != b or step.name == "spop":
                x, y = parse(a)[0], parse(b)[0]
                after = (parse(ours[n + 1])[0], parse(theirs[n + 1])[0]) if n + 1 < len(batch) else None
                if step.name == "exec" and queue and x[0] == y[0] == "*" and x[1] and y[1] and len(x[1]) == len(y[1]) == len(queue):
                    for part, inner_x, inner_y in zip(queue, x[1], y[1]):
                        why = self.judge.judge(part.name, part.args, inner_x, inner_y)
                        if why:
                            found.append(Mismatch(step, f"{part.name} within: {why}", inner_x, inner_y))
                            break
                    continue
                why = self.judge.judge(step.name, step.args, x, y, after if step.name != "spop" else None)
                if why and not self.broken_estimator(step.args[1:]):
                    found.append(Mismatch(step, why, x, y))
                elif step.name == "spop":
                    self.put_back(step, x, y)
            if step.name == "exec":
                self.queues[step.connection] = None
        return found

    def broken_estimator(self, keys):
        """Whether one of these is a HyperLogLog with something behind it that is none: Redis goes on until it comes to
        the broken part, and what it has changed until then stays."""
        admin = self.ours.admin
        for database in DATABASES:
            admin.ask("SELECT", database)
            for key in keys[:8]:
                is_one = admin.ask("GETRANGE", key, "0", "3")[1] == b"HYLL"
                count = admin.ask("PFCOUNT", key) if is_one else (":", b"0")
                if count[0] == "-" and count[1].startswith(b"INVALIDOBJ"):
                    reason = "a broken HyperLogLog is refused as a whole; Redis serves it up to the broken part"
                    self.judge.seen[reason] = self.judge.seen.get(reason, 0) + 1
                    self.spoiled = True  # what is copied from it differs, too: the round ends
                    return True
        return False

    def put_back(self, step, ours, theirs):
        """What chance has taken from a set would be missing on one side only."""
        for side, reply in ((self.ours, ours), (self.theirs, theirs)):
            members = leaves(reply)
            if members and reply[0] not in "-+":
                side.connections[step.connection].ask("SADD", step.args[1], *members)

    def handover(self, batch, counted):
        """The first step waits while the others, from another connection, are made."""
        first, *rest = batch
        data = encode(first.args)
        for side in (self.theirs, self.ours):
            connection = side.connections[first.connection]
            connection.send(data)
        # Both must have read it; a connection that is served or in error is so at once.
        time.sleep(0.004)
        for side in (self.theirs, self.ours):
            side.admin.ask("PING")
        found = self.pipeline(rest, counted) if rest else []
        step = Step(first.connection, first.args[0].decode().lower(), first.args, first.batch)
        theirs = self.theirs.connections[first.connection].replies(1)
        ours = self.ours.connections[first.connection].replies(1)
        return self.judged([step], ours, theirs, counted) + found

    def listen(self, batch, counted):
        """What all listeners have heard since they were last asked, after the requests of one of them."""
        last = batch[-1]
        if counted:
            for step in batch:
                name = step.args[0].decode().lower()
                self.calls[name] = self.calls.get(name, 0) + 1
        self.word += 1
        word = b"word:%d" % self.word
        requests = [step.args for step in batch]
        theirs, ours = (listeners.exchange(side.listeners, last.connection, requests, word) for side in (self.theirs, self.ours))
        for n, (mine, other) in enumerate(zip(ours, theirs)):
            if mine != other:
                at = next((i for i, (a, b) in enumerate(zip(mine[1], other[1])) if a != b), min(len(mine[1]), len(other[1])))
                mine, other = (("*", reply[1][at : at + 3]) for reply in (mine, other))
                return [Mismatch(last, f"listener {n} hears", mine, other)]
        return []

    def full_scan(self, step):
        results = []
        for side in (self.ours, self.theirs):
            connection, args, found = side.connections[step.connection], list(step.args), set()
            cursor_at = 1 if args[0].lower() == b"scan" else 2
            for _ in range(100_000):
                reply = connection.ask(*args)
                if reply[0] != "*" or not isinstance(reply[1], list) or len(reply[1]) != 2:
                    found = {reply}
                    break
                items = reply[1][1][1]
                paired = cursor_at == 2 and args[0].lower() != b"sscan" and b"NOVALUES" not in args
                found |= set(zip(items[::2], items[1::2])) if paired else set(items)
                args[cursor_at] = reply[1][0][1]
                if args[cursor_at] == b"0":
                    break
            results.append(found)
        if results[0] == results[1]:
            return None
        if all(len(found) == 1 for found in results):
            (ours,), (theirs,) = results
            if isinstance(ours[0], str) and not self.judge.judge("scan", step.args, ours, theirs):
                return None
        ours, theirs = (("*", [("$", repr(item).encode()) for item in sorted(map(repr, found))]) for found in (results[0] - results[1], results[1] - results[0]))
        return Mismatch(step, "scan finds", ours, theirs)

    # Everything there is.

    def check(self, step):
        self.excused = False
        digests = [side.admin.ask("DEBUG", "DIGEST") for side in (self.ours, self.theirs)]
        if digests[0] == digests[1] and step.args[0] == b"light":
            return None
        for database in DATABASES:
            found = self.check_database(step, database)
            if found:
                return found
        if digests[0] != digests[1] and not self.excused:
            return Mismatch(step, "digest of everything", *digests)
        return None

    def equal_scores(self, mine, key, other, other_key):
        """Whether two sorted sets are equal but for the sign of a zero, which a digest spells."""
        content = []
        for admin, name in ((mine, key), (other, other_key)):
            flat = leaves(admin.ask("ZRANGE", name, "0", "-1", "WITHSCORES"))
            content.append({member: b"0" if score == b"-0" else score for member, score in zip(flat[::2], flat[1::2])})
        if content[0] != content[1] or not content[0]:
            return False
        reason = "a digest spells scores: -0 is 0 in a listpack, and SORT makes a skiplist of a sorted set in Redis alone"
        self.judge.seen[reason] = self.judge.seen.get(reason, 0) + 1
        return True

    def check_database(self, step, database):
        sides = (self.ours, self.theirs)
        for side in sides:
            side.admin.ask("SELECT", database)
        keys = [sorted(item[1] for item in side.admin.ask("KEYS", "*")[1]) for side in sides]
        if keys[0] != keys[1]:
            return Mismatch(step, "keys", *(("*", [("$", key) for key in mine if key not in other]) for mine, other in (keys, keys[::-1])))
        if not keys[0]:
            return None
        facts = [self.facts(side.admin, keys[0]) for side in sides]
        for n, key in enumerate(keys[0]):
            for aspect in ("type", "digest", "deadline", "encoding"):
                ours, theirs = facts[0][n][aspect], facts[1][n][aspect]
                if ours == theirs or aspect == "deadline" and self.judge.by_rule("pttl", [], ours, theirs, None) is None:
                    continue
                if aspect == "encoding":
                    length = int(self.theirs.admin.ask("STRLEN", key)[1]) if theirs[1] in (b"raw", b"embstr") else 0
                    if self.judge.known_encoding(ours[1].decode(), theirs[1].decode(), length):
                        continue
                kind = facts[1][n]["type"][1].decode()
                if aspect == "digest" and kind == "zset" and self.equal_scores(self.ours.admin, key, self.theirs.admin, key):
                    self.excused = True
                    continue
                if aspect == "digest" and kind == "string" and self.broken_estimator([key]):
                    self.excused = True
                    continue
                return Mismatch(step, f"{aspect} of a {kind}", ours, ("$", theirs[1] + b" of " + key[:40]))
        if step.args[0] == b"exchange":
            return self.exchange(step, keys[0])
        return None

    def facts(self, admin, keys):
        data = [encode([b"DEBUG", b"DIGEST-VALUE", *keys])]
        for key in keys:
            data += [encode([b"TYPE", key]), encode([b"PTTL", key]), encode([b"OBJECT", b"ENCODING", key])]
        admin.send(b"".join(data))
        replies = [parse(reply)[0] for reply in admin.replies(1 + 3 * len(keys))]
        digests = replies[0][1]
        return [
            {"digest": digests[n], "type": replies[1 + 3 * n], "deadline": replies[2 + 3 * n], "encoding": replies[3 + 3 * n]}
            for n in range(len(keys))
        ]

    def exchange(self, step, keys):
        """Each server reads what the other dumps."""
        sides = (self.ours, self.theirs)
        for key in keys:
            dumps = [side.admin.ask("DUMP", key) for side in sides]
            if dumps[0] == dumps[1] and len(key) % 4:
                continue
            # A deadline is part of a digest.
            limited = self.theirs.admin.ask("PTTL", key)[1] != b"-1"
            wanted = self.theirs.admin.ask("DEBUG", "DIGEST-VALUE", key)[1][0]
            for reader, dump, who in ((self.ours, dumps[1], "ours reads theirs"), (self.theirs, dumps[0], "theirs reads ours")):
                said = reader.admin.ask("RESTORE", "\0scratch", "1000000000" if limited else "0", dump[1], "REPLACE")
                digest = reader.admin.ask("DEBUG", "DIGEST-VALUE", "\0scratch")[1][0]
                sound = said[1] == b"OK" and digest == wanted
                if not sound and self.theirs.admin.ask("TYPE", key)[1] == b"zset":
                    sound = said[1] == b"OK" and self.equal_scores(reader.admin, "\0scratch", self.theirs.admin, key)
                reader.admin.ask("DEL", "\0scratch")
                if not sound:
                    return Mismatch(step, f"{who}: {self.theirs.admin.ask('TYPE', key)[1].decode()}", said, ("$", quoted(key).encode()))
        return None


DEFAULTS = {}


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seed", default="1")
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--families", default="", help="groups of COMMAND DOCS; all without")
    options.add_argument("--rounds", default="", help="these rounds only: 7 or 7-9")
    options.add_argument("--length", type=int, default=1500, help="steps in a round")
    options.add_argument("--shrink-seconds", type=float, default=25)
    options.add_argument("--show", action="store_true", help="print every step before it is made")
    chosen = options.parse_args()

    found = {binary.name.split()[0]: binary for binary in peers.find({"kvstash", "redis"}) if binary.name != "redis 7.0"}
    if set(found) != {"kvstash", "redis"}:
        sys.exit("fuzz-diff needs kvstash (BENCH_KVSTASH) and a Redis 8.2 (BENCH_REDIS8, or the package index)")
    judge = Judge()
    pair = Pair(found["kvstash"], found["redis"], judge)
    try:
        sys.exit(run(pair, judge, chosen))
    finally:
        pair.ours.server.__exit__()
        pair.theirs.server.__exit__()


def generator_for(pair, judge, seed, families):
    both = grammar.listed(pair.ours.admin) & grammar.listed(pair.theirs.admin)
    commands = [c for c in grammar.documented(pair.theirs.admin, both) if c.name not in judge.denied]
    names = {command.name for command in commands}
    payloads = []
    for name, makers in PAYLOADS.items():
        for maker in makers if name in names else ():
            pair.theirs.admin.ask("DEL", "k")
            pair.theirs.admin.ask(*maker)
            payloads.append(pair.theirs.admin.ask("DUMP", "k")[1])
    pair.theirs.admin.ask("DEL", "k")
    return Generator(seed, commands, payloads, [family.replace("-", "_") for family in families.split()])


def run(pair, judge, chosen):
    from generate import SETTINGS

    for name in SETTINGS:
        values = [side.admin.ask("CONFIG", "GET", name)[1] for side in (pair.ours, pair.theirs)]
        if values[0] and values[1]:
            DEFAULTS[name] = values[1][1][1].decode()
    generator = generator_for(pair, judge, chosen.seed, chosen.families)
    print(f"seed {chosen.seed}: {len(generator.commands)} commands; {pair.ours.binary.version} beside {pair.theirs.binary.name} {pair.theirs.binary.version}", flush=True)
    low, _, high = chosen.rounds.partition("-")
    number, last = int(low or 0), int(high or low or 1 << 60)
    started, spent, mismatches, told = time.monotonic(), 0.0, {}, set()
    while number <= last and time.monotonic() - started - spent < chosen.seconds:
        settings, batches = generator.round(number, chosen.length)
        settings = {name: value for name, value in settings.items() if name in DEFAULTS}
        pair.reset(settings)
        history = []
        for batch in [*batches, [Step(0, "check", [b"exchange"], len(batches))]]:
            if chosen.show:
                print("\n".join(line_of(step) for step in batch), flush=True)
            bad = pair.execute(batch, counted=True)
            if pair.spoiled:
                break
            for mismatch in bad:
                cut = next(n for n, step in enumerate(batch) if step.name == mismatch.step.name and step.args == mismatch.step.args or mismatch.step.args == step.args)
                name = mismatch.step.name
                mismatches[name] = mismatches.get(name, 0) + 1
                if mismatch.signature in told:
                    continue
                told.add(mismatch.signature)
                before = time.monotonic()
                whole = batch if batch[0].name in ("waiting", "listen") else batch[: cut + 1]
                report(pair, settings, history + whole, mismatch, number, chosen)
                spent += time.monotonic() - before
                told |= {mismatch.signature}
            if bad:
                # The two may have gone different ways: whatever follows would be told again and again.
                break
            history += batch
        number += 1
    elapsed = time.monotonic() - started - spent
    table(pair, mismatches, judge, generator)
    total = sum(pair.calls.values())
    print(f"{total} commands in {elapsed:.0f} s ({total / max(elapsed, 1e-9):.0f}/s), rounds up to {number - 1}, {sum(mismatches.values())} mismatches, {len(told)} different")
    return 1 if mismatches else 0


def batched(steps):
    """Steps that were sent together are sent together again."""
    batch = []
    for step in steps:
        if batch and (step.batch != batch[0].batch or batch[0].name in ("check", "sleep", "full-scan") or step.name == "check"):
            yield batch
            batch = []
        batch.append(step)
    if batch:
        yield batch


def replay(pair, settings, steps):
    """What goes wrong at the last step, or the first crash."""
    pair.reset(settings)
    found = []
    for batch in batched(steps):
        found = pair.execute(batch)
        if any(mismatch.why in ("crash", "no answer") for mismatch in found):
            return found
    return [mismatch for mismatch in found if mismatch.step.args == steps[-1].args or batch[0].name in ("waiting", "listen")]


def report(pair, settings, steps, mismatch, number, chosen):
    wanted = mismatch.signature
    print(f"\nMISMATCH {mismatch.step.name}: {mismatch.why}   (seed {chosen.seed}, round {number}, {len(steps)} steps)", flush=True)
    print(f"  ours:   {tell(mismatch.ours)}\n  theirs: {tell(mismatch.theirs)}", flush=True)

    def fails(candidate):
        return any(found.signature == wanted for found in replay(pair, settings, candidate))

    if not fails(steps):
        print("  not seen again when repeated; the step was\n    " + line_of(steps[-1]), flush=True)
        return
    kept = dict(settings)
    if not any(found.signature == wanted for found in replay(pair, {}, steps)):
        for name in list(kept):
            fewer = {key: value for key, value in kept.items() if key != name}
            if any(found.signature == wanted for found in replay(pair, fewer, steps)):
                kept = fewer
    else:
        kept = {}
    settings = kept
    steps = shrink(steps, fails, chosen.shrink_seconds)
    seen = next((found for found in replay(pair, settings, steps) if found.signature == wanted), mismatch)
    print(f"  shrunk to {len(steps)}" + (f", with {settings}" if settings else ""))
    for step in steps:
        print("    " + line_of(step))
    print(f"  ours:   {tell(seen.ours)}\n  theirs: {tell(seen.theirs)}", flush=True)


def tell(reply):
    return reply if isinstance(reply, str) else show(reply)


def line_of(step):
    extra = "" if step.name not in ("check", "sleep", "full-scan", "waiting", "listen") else f"({step.name}) "
    return f"{step.connection}> {extra}" + " ".join(quoted(arg) for arg in step.args)


def table(pair, mismatches, judge, generator):
    print(f"\n{'command':<28}{'calls':>9}{'errors':>9}{'mismatches':>12}")
    for name in sorted({*pair.calls, *mismatches}):
        print(f"{name:<28}{pair.calls.get(name, 0):>9}{pair.errors.get(name, 0):>9}{mismatches.get(name, 0) or '':>12}")
    never = [command.name for command in generator.commands if not pair.calls.get(command.name)]
    if never:
        print("never called: " + " ".join(never))
    for reason, times in sorted(judge.seen.items()):
        print(f"known, {times} times: {reason}")


if __name__ == "__main__":
    main()
