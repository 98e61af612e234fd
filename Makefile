# `make demo` and `make test` are all that a newcomer needs. Both check first that what the build needs is there.
#
# Everything is built in the release profile: RocksDB and librdkafka are C++, and are compiled once for all targets.

CARGO ?= cargo

.PHONY: help demo test torture chaos bench lint fmt setup dist image image-test

help:
	@echo 'make demo    a simulated shop, everything in one process: cohorts changing live'
	@echo 'make test    all tests, real Apache Kafka included'
	@echo 'make torture random cases on every core: MINUTES=60, or CASES=10000000, from SEED=0 on'
	@echo 'make chaos   random faults on three brokers: MINUTES=10, or FAULTS=500; SEED=7 to repeat; SOURCES=1 gathers'
	@echo 'make bench   the figures of docs/performance.md'
	@echo 'make lint    format, clippy, documentation, dependencies'
	@echo 'make fmt     formats the source'
	@echo 'make dist    what is shipped, in dist/: binary, archive, Debian package, checksums'
	@echo 'make image   the container image cohortd:latest, from that binary; ENGINE=podman for another than docker'
	@echo 'make image-test  builds the image from the release binary and holds it to its promises, by podman'
	@echo 'make setup   checks what build and tests need; on Debian or Ubuntu as root, installs it'

demo:
	@sh .ci/setup build
	$(CARGO) run --release --locked -- demo

# Most tests wait for brokers, sessions and clocks: four at a time for each core.
test:
	@sh .ci/setup tests
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-$$((4 * $$(getconf _NPROCESSORS_ONLN)))} $(CARGO) test --release --locked

torture:
	@sh .ci/setup build
	$(if $(SEED),COHORTD_SEED=$(SEED)) $(if $(CASES),COHORTD_CASES=$(CASES)) $(if $(MINUTES),COHORTD_MINUTES=$(MINUTES)) \
		$(CARGO) test --release --locked --test it torture:: -- --ignored --nocapture

# KINDS='kill,disk full' takes only faults with such names, ALONE=1 one at a time.
chaos:
	@sh .ci/setup tests
	$(if $(SEED),COHORTD_SEED=$(SEED)) $(if $(FAULTS),COHORTD_FAULTS=$(FAULTS)) $(if $(MINUTES),COHORTD_MINUTES=$(MINUTES)) \
		$(if $(KINDS),COHORTD_KINDS='$(KINDS)') $(if $(ALONE),COHORTD_ALONE=1) $(if $(SOURCES),COHORTD_SOURCES=$(SOURCES)) \
		$(CARGO) test --release --locked --test chaos at_length -- --ignored --nocapture

bench:
	@sh .ci/setup tests
	$(CARGO) bench --locked --bench '*'

lint:
	@sh .ci/setup build
	$(CARGO) fmt --check
	$(CARGO) clippy --release --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --release --locked --no-deps --document-private-items
	@CARGO='$(CARGO)' sh .ci/dependencies

fmt:
	$(CARGO) fmt

setup:
	@sh .ci/setup tests

dist:
	@sh .ci/setup build
	sh deploy/dist.sh

# `docker build -f deploy/Dockerfile` needs no binary, and half an hour.
ENGINE ?= docker
image: dist
	$(ENGINE) build -f deploy/Dockerfile.prebuilt --build-arg REVISION=$$(git rev-parse HEAD) -t cohortd:latest .

image-test:
	@sh .ci/setup image
	$(CARGO) build --release --locked --bin cohortd
	sh deploy/image-test.sh $${CARGO_TARGET_DIR:-target}/release/cohortd
