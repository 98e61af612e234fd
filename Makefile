# `make demo` and `make test` are all that a newcomer needs. Both check first that what the build needs is there.
#
# Everything is built in the release profile: RocksDB and librdkafka are C++, and are compiled once for all targets.

CARGO ?= cargo

.PHONY: help demo test bench lint fmt setup

help:
	@echo 'make demo    a simulated shop, everything in one process: cohorts changing live'
	@echo 'make test    all tests, real Apache Kafka included'
	@echo 'make bench   the figures of the README'
	@echo 'make lint    format, clippy, documentation'
	@echo 'make fmt     formats the source'
	@echo 'make setup   checks what build and tests need; on Debian or Ubuntu as root, installs it'

demo:
	@sh .ci/setup build
	$(CARGO) run --release --locked -- demo

test:
	@sh .ci/setup tests
	$(CARGO) test --release --locked

bench:
	@sh .ci/setup tests
	$(CARGO) bench --locked --bench '*'

lint:
	@sh .ci/setup build
	$(CARGO) fmt --check
	$(CARGO) clippy --release --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --release --locked --no-deps --document-private-items
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny --config .deny.toml check; fi

fmt:
	$(CARGO) fmt

setup:
	@sh .ci/setup tests
