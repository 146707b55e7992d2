#!/usr/bin/env bash
# Run fuzz targets: run.sh [TARGET|all] [SECONDS]. Without a target, lists them. `make fuzz` calls this.
#
# libFuzzer with the address sanitizer, debug assertions and overflow checks on; needs a nightly toolchain and a C++
# compiler, and nothing else (these are the flags that cargo-fuzz would pass). What is found interesting is kept in
# target/fuzz/corpus/TARGET, what fails in target/fuzz/failures/TARGET: run the target's program with such a file as its
# argument to see it again. Seeds are in tools/fuzz/seeds/TARGET.
set -euo pipefail
cd "$(dirname "$0")"

targets=$(sed -n 's/^name = "\([a-z_]*\)"$/\1/p' Cargo.toml)
if [ -z "${1:-}" ]; then
    echo "make fuzz TARGET=<target> SECONDS=<seconds>, of:"
    for target in $targets; do
        printf '  %-10s %s\n' "$target" "$(sed -n '1s/^\/\/! //p' "targets/$target.rs")"
    done
    exit
fi
if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "skipped: fuzzing needs a nightly toolchain (rustup toolchain install nightly)"
    exit
fi

wanted=$1
seconds=${2:-60}
[ "$wanted" = all ] && wanted=$targets
out=${CARGO_TARGET_DIR:-$(cd ../.. && pwd)/target}/fuzz
host=$(rustc +nightly -vV | sed -n 's/^host: //p')

export RUSTFLAGS="-Zsanitizer=address -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0 \
-Cdebug-assertions=on -Coverflow-checks=on --cfg system_allocator"
bins=()
for target in $wanted; do bins+=(--bin "$target"); done
cargo +nightly build --quiet --release --target "$host" --target-dir "$out/build" "${bins[@]}"

failed=()
for target in $wanted; do
    corpus=$out/corpus/$target failures=$out/failures/$target
    mkdir -p "$corpus" "$failures"
    options=(-max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -malloc_limit_mb=256 -print_final_stats=1
        -artifact_prefix="$failures/" -verbosity=0 -print_funcs=0)
    # Small blocks of many sizes, and what the sanitizer keeps of each: much more than is in use.
    [ "$target" = scripts ] && options+=(-rss_limit_mb=8192)
    [ -f "dictionaries/$target.txt" ] && options+=(-dict="dictionaries/$target.txt")
    echo "fuzz: $target, $seconds seconds"
    # What other threads were about to free at the end is no leak.
    ASAN_OPTIONS=detect_leaks=0 "$out/build/$host/release/$target" "${options[@]}" "$corpus" "seeds/$target" 2>&1 |
        grep -v '^"\|ecommended' | tail -60 || failed+=("$target")
done
[ "${#failed[@]}" -eq 0 ] || { echo "failed: ${failed[*]} (see $out/failures)"; exit 1; }
