#!/usr/bin/env python3
"""The suite, and the programs that are built from the same sources: fetched and built once, kept outside the repository.

`redis-cli` and `redis-benchmark` are part of what the suite drives, and have to be of its version: an older `redis-cli`
lacks keys that integration/redis-cli presses, and hangs that file. `redis-server` is built only for a reference run.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import mirror
import places

VERSION = "8.0.2"
TARBALL = f"redis_{VERSION}.orig.tar.gz"
SHA256 = "caf3c0069f06fc84c5153bd2a348b204c578de80490c73857bee01d9b5d7401f"
DEBIAN = ("redis", f"5:{VERSION}-", "trixie")
CLIENTS = ["redis-cli", "redis-benchmark"]
# The links of a tree that are the server under another name.
SERVERS = ["redis-server", "redis-sentinel", "redis-check-rdb", "redis-check-aof"]


# Lines outside of all tests that end a file where something is not supported: (file, lines, why they are left out).
STRUCK = [
    (
        "unit/scripting",
        "    r script debug sync\n    r eval {return 'hello'} 0\n    r eval {return 'hello'} 0\n",
        "the debugger of scripts is refused; what follows has nothing to do with it",
    ),
]


def sources():
    """The folder of the unpacked tarball."""
    places.CACHE.mkdir(parents=True, exist_ok=True)
    with open(places.CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = places.CACHE / f"redis-{VERSION}"
        if not folder.exists():
            unpack(tarball(), folder)
        return folder


def tarball():
    """CONFORMANCE_TARBALL, or the cached one, or a new one from apt; of the known digest in any case."""
    path = Path(os.environ.get("CONFORMANCE_TARBALL") or places.CACHE / TARBALL)
    if not path.exists():
        say(f"fetching {TARBALL} through apt")
        name, version, suite = DEBIAN
        path = mirror.fetch(name, version, suite, TARBALL, places.CACHE)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256:
        raise mirror.Unavailable(f"{path} has the digest {digest} instead of {SHA256}")
    return path


def unpack(path, folder):
    unpacked = places.CACHE / "unpacking"
    shutil.rmtree(unpacked, ignore_errors=True)
    with tarfile.open(path) as archive:
        archive.extractall(unpacked, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    next(unpacked.iterdir()).rename(folder)
    unpacked.rmdir()


def build(programs):
    """The paths of `programs`, built where they are not; an empty list if there is nothing to build them with."""
    folder = sources() / "src"
    with open(places.CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [name for name in programs if not (folder / name).exists()]
        if missing:
            if not (shutil.which("make") and shutil.which("cc")):
                return []
            say(f"building {', '.join(missing)} {VERSION}")
            command = ["nice", "make", "-C", str(folder), f"-j{os.cpu_count()}", "MALLOC=libc", *missing]
            done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "MAKEFLAGS": ""})
            if done.returncode != 0:
                raise mirror.Unavailable(f"building {missing} failed:\n{done.stderr[-2000:]}")
    return [folder / name for name in programs]


def tree(server, place):
    """Lay out at `place` what a run needs, with links to `server`. Every run has a tree of its own: tests write there."""
    origin = sources()
    (place / "src").mkdir(parents=True)
    shutil.copytree(origin / "tests", place / "tests")
    for name, lines, _ in STRUCK:
        path = place / "tests" / f"{name}.tcl"
        text = path.read_text()
        assert lines in text, f"{name} has no such lines any more"
        path.write_text(text.replace(lines, ""))
    (place / "tests" / "tmp").mkdir(exist_ok=True)
    (place / "utils").symlink_to(origin / "utils")
    for script in origin.glob("runtest*"):
        (place / script.name).symlink_to(script)
    for name in SERVERS:
        (place / "src" / name).symlink_to(server)
    built = build(CLIENTS)
    for name in CLIENTS:
        program = next((path for path in built if path.name == name), None) or shutil.which(name)
        if program:
            (place / "src" / name).symlink_to(program)


def files():
    """The names of all test files, as the suite names them, in its order."""
    tests = sources() / "tests"
    groups = ["unit", "unit/type", "unit/cluster", "integration"]
    return [f"{group}/{path.stem}" for group in groups for path in sorted((tests / group).glob("*.tcl"))]


def need_tools():
    """tclsh and what the suite's scripts call; installed through apt where they are missing and this user may."""
    wanted = {"tclsh": "tcl", "pgrep": "procps", "unshare": "util-linux", "cc": "gcc libc6-dev", "make": "make"}
    missing = [package for tool, package in wanted.items() if not shutil.which(tool)]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"installing {' '.join(missing)}")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        packages = [name for names in missing for name in names.split()]
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
            subprocess.run(["apt-get", *command], env=environment, stdout=subprocess.DEVNULL)
    if not shutil.which("tclsh"):
        raise mirror.Unavailable("the suite needs tclsh 8.6 or newer (package tcl)")


def say(text):
    print(f"conformance: {text}", file=sys.stderr, flush=True)
