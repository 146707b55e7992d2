#!/usr/bin/env bash
# Run the tests of the rooms that use `unsafe` where every access is looked at: sanitize.sh miri|asan.
#
# Both need a nightly toolchain, and say so where there is none. Under Miri the tests shrink themselves (cfg!(miri));
# one core takes some minutes. Memory comes from the system's allocator, which both know: see src/lib.rs.
set -euo pipefail
cd "$(dirname "$0")/.."
rooms=(cow:: dict:: collections::)
models=(dict_model packed_model tree listpack rope)

if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "skipped: $1 needs a nightly toolchain (rustup toolchain install nightly)"
    exit
fi
case $1 in
miri)
    if ! cargo +nightly miri --version >/dev/null 2>&1; then
        echo "skipped: Miri is not installed (rustup +nightly component add miri rust-src)"
        exit
    fi
    # Isolation off: quickcheck asks the environment for its seed, and threads for their number.
    export MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-strict-provenance ${MIRIFLAGS:-}"
    export QUICKCHECK_TESTS=${QUICKCHECK_TESTS:-2} QUICKCHECK_GENERATOR_SIZE=${QUICKCHECK_GENERATOR_SIZE:-12}
    # HyperLogLogs have no unsafe code, and each of their tests would walk 16,384 registers many times.
    cargo +nightly miri test --lib -- "${rooms[@]}" --skip hyperloglog
    cargo +nightly miri test --test props -- "${models[@]}"
    ;;
asan)
    host=$(rustc +nightly -vV | sed -n 's/^host: //p')
    export RUSTFLAGS="-Zsanitizer=address --cfg system_allocator"
    # Threads of the tests may still hold something at the end.
    export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0}
    target=${CARGO_TARGET_DIR:-target}/asan
    cargo +nightly test --target "$host" --target-dir "$target" --lib -- "${rooms[@]}"
    cargo +nightly test --target "$host" --target-dir "$target" --test props
    ;;
*)
    echo "sanitize.sh miri|asan" >&2
    exit 2
    ;;
esac
