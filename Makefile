# The two commands to know: `make run` and `make test`. `make help` lists the rest.

CARGO ?= cargo
ARGS  ?=

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## build and start the server on embedded defaults, port 6379 (ARGS="--port 7000" adds arguments)
	$(CARGO) run --release -- $(ARGS)

.PHONY: build
build: ## the release binary, target/release/kvstash
	$(CARGO) build --release

.PHONY: test
test: test-tools ## every test: in-file, tidy, wire, props, sim, crash, parity
	@tools/run-tests.sh

.PHONY: test-tools
test-tools: # install redis-cli and redis-server where they are missing and this user may
	@tools/test-tools.sh

.PHONY: check
check: fmt-check clippy docs tidy ## what a commit must satisfy: fmt, clippy and documentation without warnings, tidy

.PHONY: fmt
fmt: ## format the sources
	$(CARGO) fmt --all

.PHONY: fmt-check
fmt-check:
	$(CARGO) fmt --all --check

.PHONY: clippy
clippy:
	$(CARGO) clippy --workspace --all-targets -- -D warnings

.PHONY: tidy
tidy: ## floors, headers, confinement, links: the order of the house, under a second
	$(CARGO) test -q --package tidy

.PHONY: bench
bench: ## kvstash against redis 7.0, redis 8.2 and valkey 9.1 (BENCH_ARGS="--quick" for a short one)
	$(CARGO) build --release
	python3 tools/bench/bench.py $(BENCH_ARGS)

.PHONY: microbench
microbench: ## dict, request parser and reply encoder alone (examples/*_bench.rs)
	@for file in examples/*_bench.rs; do $(CARGO) run --quiet --release --example $$(basename $$file .rs) || exit 1; done

CONFORMANCE = python3 tools/conformance/conformance.py
JOBS       ?= 2

.PHONY: conformance
conformance: build ## Redis's own test suite against kvstash (FILES="unit/protocol ...", JOBS=2, UPDATE=1)
	$(CONFORMANCE) run $(FILES) --jobs $(JOBS) $(if $(UPDATE),--update)

.PHONY: sim
sim: ## the simulation of replicas over many seeds (SEEDS=10000)
	SIM_SEEDS=$(or $(SEEDS),10000) $(CARGO) test --test sim all_come_to_the_same

.PHONY: conformance-ci
conformance-ci: build # the files of the suite that pass completely
	$(CONFORMANCE) ci --jobs $(JOBS)

.PHONY: reference
reference: ## the same suite against Redis itself, built from the same tarball (FILES=..., JOBS=2)
	$(CONFORMANCE) reference $(FILES) --jobs $(JOBS)

.PHONY: fuzz-diff
fuzz-diff: ## random commands, kvstash beside Redis 8.2 (SEED=1 SECONDS=60 FAMILIES="string generic" FUZZ_ARGS=...)
	$(CARGO) build --profile checked
	BENCH_KVSTASH=$${BENCH_KVSTASH:-$${CARGO_TARGET_DIR:-target}/checked/kvstash} python3 tools/fuzz_diff/fuzz.py \
		--seed $(or $(SEED),1) --seconds $(or $(SECONDS),60) --families "$(FAMILIES)" $(FUZZ_ARGS)

.PHONY: fuzz
fuzz: ## a fuzz target under the address sanitizer (TARGET=rdb SECONDS=600; TARGET=all; without TARGET, lists them)
	@tools/fuzz/run.sh "$(TARGET)" "$(SECONDS)"

.PHONY: miri
miri: ## cow, dict and collections under Miri, which sees undefined behaviour (nightly toolchain)
	@tools/sanitize.sh miri

.PHONY: asan
asan: ## cow, dict, collections and their model tests under the address sanitizer (nightly toolchain)
	@tools/sanitize.sh asan

.PHONY: docs
docs: ## the library's documentation, target/doc/kvstash/index.html
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --quiet --no-deps --document-private-items

.PHONY: replay
replay: ## random commands, and what is propagated of them, give the same data (UNITS=100000, SEED=1, BENCH_REDIS8=...)
	REPLAY_UNITS=$(or $(UNITS),100000) REPLAY_SEED=$(or $(SEED),1) $(CARGO) test --test wire replay::random -- --nocapture

.PHONY: crash-aof
crash-aof: ## kill -9 under appendfsync always: no acknowledged write is lost (ROUNDS=1000, SEED=1)
	KVSTASH_CRASH_ROUNDS=$(or $(ROUNDS),1000) KVSTASH_CRASH_SEED=$(or $(SEED),1) \
		$(CARGO) test --test crash aof::kill_9_under_always -- --nocapture

.PHONY: quorum
quorum: ## kill -9 of a primary, promotion of a replica: no acknowledged quorum write is lost (ROUNDS=1000, SEED=1)
	KVSTASH_QUORUM_ROUNDS=$(or $(ROUNDS),1000) KVSTASH_CRASH_SEED=$(or $(SEED),1) \
		$(CARGO) test --test crash quorum::what_was_acknowledged -- --nocapture

.PHONY: damage
damage: ## append-only and RDB files with flipped bits: noticed, never a crash (FLIPS=10000)
	KVSTASH_FLIPS=$(or $(FLIPS),10000) $(CARGO) test --test crash damage:: -- --nocapture

.PHONY: config-docs
config-docs: ## docs/config.md and configs/kvstash.toml, from the rows of the parameters
	KVSTASH_WRITE_DOCS=1 $(CARGO) test -q --lib config::docs

.PHONY: hooks
hooks: ## turn the pre-commit hook on in this clone
	git config core.hooksPath .githooks

.PHONY: clean
clean: ## remove everything built
	$(CARGO) clean
