# Two commands for a new user: `make run` and `make test`.

.PHONY: run build test lint bench libchdb fuzz clean-data

run: build ## build, and serve from ./tidegate-data
	./target/release/tidegate serve

build: libchdb ## the release programs: target/release/tidegate and tidegate-engine
	cargo build --release --locked --bin tidegate --bin tidegate-engine

test: libchdb ## every test, against the real engine
	cargo build --locked --bin tidegate --bin tidegate-engine
	cargo test --workspace --locked
	crates/chdb/tests/clients/run.sh

lint: ## formatting, clippy with warnings denied, the rules of the tree
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo xtask tidy

fuzz: ## a minute for each fuzz target
	cargo xtask fuzz --seconds 60

bench: libchdb ## the table of docs/performance.md
	cargo xtask bench

libchdb: ## the embedded ClickHouse, through npm, pinned by its hash
	@scripts/get-libchdb.sh

clean-data: ## forget every row that `make run` stored
	rm -rf tidegate-data
