# What a person types: `make run`, `make test`. Everything else is cargo's.
.DEFAULT_GOAL := help
SHELL := bash
DATA ?= ./tidegate-data

.PHONY: help run build libchdb test lint bench fuzz clean

help: ## Lists what can be made.
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 20

run: build ## Builds everything and starts the server on an empty or existing ./tidegate-data.
	@target/release/tidegate serve --data $(DATA)

build: libchdb ## Builds tidegate and tidegate-engine in release mode.
	cargo build --release --locked -p tidegate -p tidegate-chdb

libchdb: ## Fetches the embedded ClickHouse into lib/ through npm, pinned and checked.
	@scripts/get-libchdb.sh lib

# `cargo test` builds the two programs as well: the tests start the real ones.
test: libchdb ## Runs every test.
	cargo test --workspace --locked
	crates/chdb/tests/clients/run.sh
	crates/cli/tests/duckdb/run.sh
	crates/cli/tests/tiers/run.sh
	crates/cli/tests/prometheus/run.sh
	crates/cli/tests/postgres/run.sh
	crates/cli/tests/mail/run.sh

lint: ## Checks format, lints and the rules of the tree.
	cargo fmt --all --check
	cargo xtask tidy
	cargo clippy --workspace --all-targets --locked -- -D warnings
	@if command -v c++ > /dev/null; then \
	    echo cargo clippy --manifest-path fuzz/Cargo.toml; \
	    cargo clippy --manifest-path fuzz/Cargo.toml --target-dir target --locked -- -D warnings; \
	else echo "the fuzz targets: NOT CHECKED, there is no C++ compiler"; fi

bench: libchdb ## Measures this machine (minutes); prints a table, fails on nothing.
	cargo xtask bench

fuzz: ## Gives every reader of bytes random ones for a minute each (needs a C++ compiler).
	cargo xtask fuzz --seconds 60

clean: ## Removes what was built; data folders and lib/ stay.
	cargo clean
