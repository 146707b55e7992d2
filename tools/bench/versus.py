#!/usr/bin/env python3
"""What benchmarks share that compare the CPU time of a request with that of other servers."""

import argparse
import statistics
import sys

import peers


def in_turns(servers, rounds):
    """Every server once a round, each round beginning with another one."""
    for number in range(rounds):
        turn = number % len(servers)
        yield from servers[turn:] + servers[:turn]


def medians(samples):
    """Of each list of (in all, in the program), the median of both."""
    return {key: tuple(statistics.median(column) for column in zip(*runs)) for key, runs in samples.items()}


def cells(found):
    """One row's cells: both times of each server, and the first server's as parts of the better other one's."""
    best = [min(column) for column in zip(*found[1:])] if len(found) > 1 else found[0]
    ratio = " / ".join(f"{mine / max(other, 1e-9):.2f}" for mine, other in zip(found[0], best))
    return [f"{total:.2f} / {user:.2f}" for total, user in found] + [f"**{ratio}**"]


def head(names, *columns):
    """The heading of such a table."""
    return [*columns, *(f"{name}: µs / in the program" for name in names), "**CPU / better peer**"]


def main(doc, cases, key, measure, table):
    """The command line: measures and prints the table. `key` names the numbers that tell the cases apart."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--servers", default="kvstash,redis 8.2,valkey 9.1")
    parser.add_argument("--only", default="", help=f"{':'.join(key)}, separated by commas")
    options = parser.parse_args()
    if options.only:
        wanted = [tuple(int(n) for n in case.split(":")) for case in options.only.split(",")]
        cases[:] = [case for case in cases if case[: len(key)] in wanted]
    binaries = peers.find(options.servers.split(","))
    results = measure(binaries, options.rounds, options.scale, lambda text: print(text, file=sys.stderr, flush=True))
    for row in table(results, [binary.name for binary in binaries]):
        print(" | ".join(row))
