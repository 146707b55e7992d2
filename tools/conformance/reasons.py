#!/usr/bin/env python3
"""Guess from an error why a test does not pass: which subsystem is missing. A person corrects the guess."""

import re

UNKNOWN = "unexplained"

# (reason, pattern in the text of the error); the first that matches.
PATTERNS = [
    ("pubsub", r"unknown command '(?i:s?p?subscribe|s?unsubscribe|punsubscribe|publish|spublish|pubsub)|notify-keyspace"),
    ("debugger", r"debugger of scripts"),
    ("acl", r"unknown command '(?i:acl)|WRONGPASS|aclfile|NOPERM"),
    ("tracking", r"(?i:client (tracking|caching|getredir|trackinginfo))|unknown subcommand '(?i:tracking|caching|getredir)"),
    ("replication", r"unknown command '(?i:replicaof|slaveof|psync|sync|replconf|wait|waitaof|failover)|(?i:replication not started|replica)"),
    ("aof", r"unknown command '(?i:bgrewriteaof)|(?i:appendonly|aof)"),
    ("cluster", r"unknown command '(?i:cluster|asking|readonly|readwrite|migrate)|(?i:cluster)"),
    ("modules", r"unknown command '(?i:module)"),
]


def guess(result, name, outcome, real_fails):
    """The id of a reason for a test that does not pass."""
    if real_fails:
        return "real-fails-too"
    texts = [result.details.get(name, "")]
    if outcome != "failed":
        texts = [result.stopped, *reversed(result.outside)]
    for text in texts:
        for reason, pattern in PATTERNS:
            if re.search(pattern, text):
                return reason
    return UNKNOWN
