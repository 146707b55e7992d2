#!/usr/bin/env python3
"""What can be said to a server, from its own COMMAND LIST and COMMAND DOCS.

A command that both servers list is a command to try: nothing has to be written here when one is added.
"""


def plain(reply):
    """A parsed reply as bytes, numbers as text, and lists."""
    content = reply[1]
    return [plain(item) for item in content] if isinstance(content, list) else content


def pairs(flat):
    return dict(zip(flat[::2], flat[1::2]))


class Arg:
    """A node of the tree of arguments."""

    __slots__ = ("name", "type", "token", "optional", "multiple", "multiple_token", "children")

    def __init__(self, flat):
        facts = pairs(flat)
        flags = facts.get(b"flags", [])
        self.name = facts[b"name"].decode()
        self.type = facts[b"type"].decode()
        self.token = facts.get(b"token")
        self.optional = b"optional" in flags
        self.multiple = b"multiple" in flags
        self.multiple_token = b"multiple_token" in flags
        self.children = [Arg(child) for child in facts.get(b"arguments", [])]


class Command:
    """A command or a subcommand: how it is called, and what follows its name."""

    __slots__ = ("name", "words", "group", "args")

    def __init__(self, name, group, args):
        self.name = name
        self.words = name.encode().split(b"|")
        self.group = group
        self.args = args


def listed(connection):
    return {name.decode().lower() for name in plain(connection.ask("COMMAND", "LIST"))}


def documented(connection, names):
    """Commands among `names`, with the arguments that this server documents; containers only by their subcommands."""
    found = []
    docs = pairs(plain(connection.ask("COMMAND", "DOCS")))
    for name, flat in docs.items():
        facts = pairs(flat)
        group = facts[b"group"].decode().replace("-", "_")
        entries = [(name, facts)] if b"subcommands" not in facts else []
        entries += [(sub, pairs(doc)) for sub, doc in pairs(facts.get(b"subcommands", [])).items()]
        for full, facts in entries:
            full = full.decode().lower()
            if full in names:
                found.append(Command(full, group, [Arg(arg) for arg in facts.get(b"arguments", [])]))
    return sorted(found, key=lambda command: command.name)
