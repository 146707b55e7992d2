#!/usr/bin/env python3
"""The smallest history that still ends in the same mismatch: delta debugging, then shorter requests.

`fails(steps)` replays steps on empty servers and says whether the last one still goes wrong in the same way. The last
step is never taken away.
"""

import time


def shrink(steps, fails, seconds=25.0, clock=time.monotonic):
    """A shorter list of steps that still fails; as short as the time allows."""
    until = clock() + seconds
    *history, last = steps
    history = fewer(history, last, fails, until, clock)
    steps = simpler(history + [last], fails, until, clock)
    *history, last = steps
    return fewer(history, last, fails, until, clock) + [last]


def fewer(history, last, fails, until, clock):
    if not history or fails([last]):
        return []
    related = [step for step in history if touches(step, last)]
    if len(related) < len(history) and fails(related + [last]):
        history = related
    size = max(len(history) // 2, 1)
    while clock() < until:
        at, kept = 0, len(history)
        while at < len(history) and clock() < until:
            # From the end: what came last matters most, and what is left of it stays in place.
            low = max(len(history) - at - size, 0)
            candidate = history[:low] + history[len(history) - at :]
            if fails(candidate + [last]):
                history = candidate
            else:
                at += size
        if size == 1 and len(history) == kept:
            break
        size = max(size // 2, 1)
    return history


def touches(step, last):
    return step.name in ("multi", "exec", "select", "hello") or bool(set(step.args[1:]) & set(last.args[1:]))


def simpler(steps, fails, until, clock):
    """Drops arguments and shortens long ones, while it still fails."""
    for n in range(len(steps)):
        at = len(steps[n].args) - 1
        while at > 0 and clock() < until:
            args = steps[n].args
            for candidate in shorter(args, at):
                changed = steps[:n] + [with_args(steps[n], candidate)] + steps[n + 1 :]
                if fails(changed):
                    steps = changed
                    break
            at -= 1
    return steps


def shorter(args, at):
    yield args[:at] + args[at + 1 :]
    arg = args[at]
    if len(arg) > 12:
        yield args[:at] + [arg[: len(arg) // 8]] + args[at + 1 :]
        yield args[:at] + [arg[: len(arg) // 2]] + args[at + 1 :]


def with_args(step, args):
    return type(step)(step.connection, step.name, args, step.batch)
