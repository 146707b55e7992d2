#!/usr/bin/env python3
"""Where things lie: what is committed beside this file, what is fetched and built once for all clones of the
repository, and what one run leaves behind."""

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()

REFERENCE = HERE / "reference.toml"
EXPECTATIONS = HERE / "expectations.toml"
CI_FILES = HERE / "ci-files.txt"
PAGE = ROOT / "docs" / "conformance.md"

# The suite is not ours to publish: neither it nor anything built from it lies in the repository.
CACHE = Path(
    os.environ.get("CONFORMANCE_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kvstash-conformance"
)
RUNS = TARGET / "conformance"
KVSTASH = Path(os.environ.get("CONFORMANCE_SERVER") or TARGET / "release" / "kvstash").resolve()
