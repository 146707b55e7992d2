#!/usr/bin/env python3
"""Write down what a running server reports of itself, for tests/parity to compare kvstash with.

    tools/facts.py commands PORT [NAME ...]   arity, flags, key positions, categories, key specifications, tips
    tools/facts.py info PORT                  the fields of every INFO section
    tools/facts.py config PORT                parameters and their defaults
    tools/facts.py judged PORT                what CONFIG SET says to values that hardly fit

Facts only: no summaries, no texts. The files in tests/data/ were made from Redis 8.2.3 (and Valkey 9.1.2 for the two
commands Redis 8.2 has not), started with no configuration.
"""

import socket
import sys


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.file = self.socket.makefile("rb")

    def cmd(self, *args):
        out = b"*%d\r\n" % len(args)
        for arg in args:
            arg = str(arg).encode()
            out += b"$%d\r\n%s\r\n" % (len(arg), arg)
        self.socket.sendall(out)
        return self.read()

    def read(self):
        line = self.file.readline()[:-2]
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            n = int(rest)
            return None if n < 0 else self.file.read(n + 2)[:-2].decode("utf-8", "replace")
        if kind == b"*":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        if kind == b":":
            return int(rest)
        if kind == b"-":
            raise SystemExit(rest.decode())
        return rest.decode()


def pairs(flat):
    return dict(zip(flat[::2], flat[1::2]))


def spec_text(spec):
    spec = pairs(spec)
    begin = pairs(spec["begin_search"])
    find = pairs(spec["find_keys"])

    def part(side):
        inner = pairs(side["spec"]) if side["spec"] else {}
        return side["type"] + "".join(f":{k}={v}" for k, v in inner.items())

    return f"spec flags={','.join(sorted(spec['flags']))} begin={part(begin)} find={part(find)}"


def command_lines(info):
    name, arity, flags, first, last, step, categories, tips, specs, subcommands = info[:10]
    print(name)
    print(f"  arity {arity}")
    print(f"  flags {' '.join(sorted(flags))}")
    print(f"  keys {first} {last} {step}")
    print(f"  categories {' '.join(sorted(categories))}")
    for tip in sorted(tips):
        print(f"  tip {tip}")
    for spec in specs:
        print(f"  {spec_text(spec)}")
    return subcommands


def commands(client, names):
    if not names:
        names = sorted(name for name in client.cmd("COMMAND", "LIST") if "|" not in name)
    for name in names:
        (info,) = client.cmd("COMMAND", "INFO", name)
        if info is None:
            continue
        docs = pairs(pairs(client.cmd("COMMAND", "DOCS", name))[name])
        subcommands = command_lines(info)
        print(f"  group {docs['group']}")
        print(f"  since {docs['since']}")
        subdocs = pairs(docs.get("subcommands", []))
        for sub in sorted(subcommands):
            command_lines(sub)
            print(f"  since {pairs(subdocs[sub[0]])['since']}")


def info(client):
    for line in client.cmd("INFO", "everything").splitlines():
        if line.startswith("# "):
            print(line[2:])
        elif ":" in line:
            name = line.split(":", 1)[0]
            # Per command, error, module and thread: the name says what it is about, not what fields there are.
            if name.startswith(("cmdstat_", "latency_percentiles", "errorstat_", "module", "io_thread_", "listener")):
                continue
            print(f"  {name}")


def config(client):
    parameters = pairs(client.cmd("CONFIG", "GET", "*"))
    for name in sorted(parameters.keys() - {"port", "dir"}):
        print(f"{name} {parameters[name]}".rstrip())


# Whatever is given to these is taken over, or is about the machine; and Redis 8.2.3 crashes at a bad tls-port.
NOT_JUDGED = set(
    "bind daemonize dbfilename dir logfile masterauth masteruser oom-score-adj pidfile port replicaof requirepass "
    "slaveof syslog-ident tls-port unixsocket".split()
)


def judged(client):
    """Start the server with --enable-protected-configs yes. Every parameter is put back to what it was."""
    parameters = pairs(client.cmd("CONFIG", "GET", "*"))
    for name in sorted(parameters.keys() - NOT_JUDGED):
        said = {}
        for value in ("zzz", "-1", "9000000000000000000", "200%"):
            try:
                said[value] = client.cmd("CONFIG", "SET", name, value)
            except SystemExit as error:
                said[value] = str(error).partition(" - ")[2]
            if said[value] == "OK":
                client.cmd("CONFIG", "SET", name, parameters[name])
        for value, text in said.items():
            immutable = "immutable" in text
            if value == "zzz" or not immutable and (value == "-1" or text != said["zzz"]):
                print(f"{name} {value} {text}")


def libraries(client, path):
    """The file's first line is a script with an @ in it, for which each line's expression stands, up to the first tab."""
    script, *lines = open(path, encoding="ascii").read().splitlines()
    print(script)
    for line in lines:
        expression = line.partition("\t")[0]
        print(expression, client.cmd("EVAL", script.replace("@", expression), 0), sep="\t")


def main():
    what, port, *names = sys.argv[1:]
    client = Client(int(port))
    if what == "commands":
        commands(client, names)
    elif what == "libraries":
        libraries(client, *names)
    else:
        {"info": info, "config": config, "judged": judged}[what](client)


if __name__ == "__main__":
    main()
