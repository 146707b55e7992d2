#!/usr/bin/env bash
# Test the tools, and make redis-cli, redis-benchmark and redis-server available to the tests.
#
# Installs Debian's packages when they are missing and this user may; otherwise says what is missing and goes on: the
# tests that exchange files with a real server then report themselves as skipped. The real server is only ever started
# by the tests, on a free port: the package's own service is kept from starting, since port 6379 belongs to `make run`.
set -euo pipefail

# The tools' own tests.
if python3 -c 'import tomllib' 2>/dev/null; then
    python3 "$(dirname "$0")/conformance/test_conformance.py" --quiet
    python3 "$(dirname "$0")/fuzz_diff/test_fuzz_diff.py" --quiet
else
    echo "test-tools: no Python 3.11 or newer; tools/conformance and tools/fuzz_diff are not tested" >&2
fi

missing=()
command -v redis-cli >/dev/null || missing+=(redis-tools)
command -v redis-server >/dev/null || missing+=(redis-server)
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "test-tools: ${missing[*]} not installed and cannot be installed here; the tests that need them are skipped" >&2
    exit 0
fi

policy=/usr/sbin/policy-rc.d
ours=no
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    ours=yes
fi
trap '[ "$ours" = no ] || rm -f "$policy"' EXIT

echo "test-tools: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/dev/null; then
    echo "test-tools: installing ${missing[*]} failed; the tests that need them are skipped" >&2
fi
