#!/usr/bin/env bash
# Run every test, with cargo nextest where it is installed and cargo test where it is not.
#
# The documentation's examples come first: nextest does not run them, and the last lines a reader (or a CI) sees should
# be the summary of the real run.
set -euo pipefail
cargo=${CARGO:-cargo}

"$cargo" test --quiet --doc
if "$cargo" nextest --version >/dev/null 2>&1; then
    exec "$cargo" nextest run --workspace --no-fail-fast
fi
exec "$cargo" test --workspace --no-fail-fast --all-targets
