# Everything that is done here, by name. `make help` lists it.

TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help demo test lint format shop docs audit bench-backup bench-metrics bench-promql bench-logs bench-detect soak fuzz clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: ## Build Daybook, deploy the shop, roll out its second version under load
	@scripts/demo

test: ## Install what the tests need and run everything; ends with 'N passed, N failed'
	@scripts/test

lint: ## Format check and lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings

format: ## Format everything
	cargo fmt --all

shop: ## Build the example's static binary
	scripts/build-shop

docs: ## Build the book into target/book
	scripts/docs

audit: ## Check dependencies against RustSec's advisories (fetches its database with git)
	cargo deny check advisories

bench-%: shop ## Measure: rollout, edge, plan, cost, footprint, crash, migrate, backup, metrics, promql, logs, detect, kubernetes-scale (COUNT, SECONDS, RUNTIME, LINES, HOURS, SERVICES, KUBECTL bound it)
	cargo build --quiet --release -p daybook-cli -p daybook-bench
	scripts/bench $*

bench-backup:
	cargo build --quiet --release -p daybook-bench --features backup
	scripts/bench backup

bench-metrics:
	cargo build --quiet --release -p daybook-promql --example beside_prometheus
	scripts/bench metrics

bench-promql:
	cargo build --quiet --release -p daybook-promql --example promqltest
	scripts/bench promql

bench-detect: shop
	cargo build --quiet --release -p daybook-decide --example detect
	cargo build --quiet --release -p daybook-cli -p daybook-bench
	scripts/bench detect

bench-logs:
	cargo build --quiet --release -p daybook-logs --example measure_logs
	scripts/bench logs

soak: ## The crash simulation with many more seeds (SEEDS, default 100000)
	SEEDS=$(or $(SEEDS),100000) cargo test --release -p daybook-executor --test crash -- --nocapture

fuzz: ## Malformed inputs for longer, one line of figures for each suite (PROPTEST_CASES, default 100000)
	PROPTEST_CASES=$(or $(PROPTEST_CASES),100000) cargo test --release -p daybook-manifest -p daybook-server -p daybook-cli \
		r36_ -- --nocapture --test-threads=1

clean: ## Remove what was built, the demo with it
	-scripts/demo stop
	cargo clean
	rm -rf examples/shop/bin
