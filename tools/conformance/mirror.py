#!/usr/bin/env python3
"""Fetch one upstream tarball through apt, without touching the machine's own sources.

The machine says where its mirrors are and which keys it trusts; a configuration of our own, in a folder of our own,
asks the same mirrors for the sources of another suite. apt checks the signatures, we check the digest besides.
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path


class Unavailable(Exception):
    """The tarball can not be had on this machine; the text says why."""


def fetch(package, version, suite, tarball, folder):
    """Download `tarball`, the upstream part of `package` `version` in `suite`, into `folder`."""
    if not shutil.which("apt-get"):
        raise Unavailable("there is no apt-get here")
    found = mirrors()
    if not found:
        raise Unavailable("apt names no mirror on this machine")
    reasons = []
    for uri, signed_by in found:
        with tempfile.TemporaryDirectory(prefix="conformance-apt-") as private:
            try:
                return fetch_from(uri, signed_by, package, version, suite, tarball, Path(folder), Path(private))
            except Unavailable as reason:
                reasons.append(f"{uri}: {reason}")
    raise Unavailable("; ".join(reasons))


def fetch_from(uri, signed_by, package, version, suite, tarball, folder, private):
    options = private_configuration(private, uri, signed_by, suite)
    apt(["apt-get", *options, "update"], private)
    listing = apt(["apt-cache", *options, "showsrc", package], private)
    full = next((line.split()[1] for line in listing.splitlines() if re.match(rf"Version: {version}\b", line)), None)
    if not full:
        raise Unavailable(f"suite {suite} has no {package} {version}")
    apt(["apt-get", *options, "source", "--tar-only", f"{package}={full}"], private)
    result = folder / tarball
    shutil.move(private / tarball, result)
    return result


def private_configuration(private, uri, signed_by, suite):
    """Options that make apt read and write below `private` only."""
    for name in ("parts", "lists/partial", "cache/archives/partial"):
        (private / name).mkdir(parents=True)
    lines = ["Types: deb-src", f"URIs: {uri}", f"Suites: {suite}", "Components: main"]
    if signed_by:
        lines.append(f"Signed-By: {signed_by}")
    (private / "parts" / "suite.sources").write_text("\n".join(lines) + "\n")
    settings = {
        "Dir::Etc::SourceList": "/dev/null",
        "Dir::Etc::SourceParts": private / "parts",
        "Dir::State::Lists": private / "lists",
        "Dir::Cache": private / "cache",
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def apt(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise Unavailable(f"{command[0]} failed: {' '.join(last)}")
    return done.stdout


def mirrors():
    """[(URI, keys)] of the machine's binary packages, those for security updates last."""
    found = []
    for path in source_files():
        text = path.read_text(errors="replace")
        entries = deb822(text) if path.suffix == ".sources" else one_line(text)
        found += [entry for entry in entries if entry not in found]
    return sorted(found, key=lambda entry: "security" in entry[0])


def source_files():
    listed = subprocess.run(
        ["apt-config", "shell", "LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"],
        capture_output=True,
        text=True,
    ).stdout
    paths = dict(re.findall(r"^(\w+)='(.*)'$", listed, re.M))
    files = [Path(paths["LIST"])] if "LIST" in paths else []
    if "PARTS" in paths:
        files += sorted(path for path in Path(paths["PARTS"]).glob("*") if path.suffix in (".sources", ".list"))
    return [path for path in files if path.is_file()]


def deb822(text):
    """The entries of a file of stanzas. Keys that stand in the file itself are left to apt's own keyring."""
    found = []
    for stanza in re.split(r"\n\s*\n", re.sub(r"(?m)^#.*\n?", "", text)):
        fields = {name.lower(): value.strip() for name, value in re.findall(r"(?m)^([\w-]+):[ \t]*(.*)$", stanza)}
        if fields.get("enabled", "yes").lower() in ("no", "false") or "deb" not in fields.get("types", "").split():
            continue
        found += [(uri, fields.get("signed-by", "")) for uri in fields.get("uris", "").split()]
    return found


def one_line(text):
    found = []
    for options, uri in re.findall(r"(?m)^\s*deb\s+(\[[^\]]*\]\s+)?(\S+)\s+\S+", text):
        keys = re.search(r"signed-by=([^\s\]]+)", options)
        found.append((uri, keys.group(1) if keys else ""))
    return found
