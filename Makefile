# What can be done here. Everything that is built or fetched goes below target/.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export CLUSTER_BIN ?= $(CURDIR)/target/cluster/bin
CLUSTER := tests/cluster/cluster
PEERS := tests/peers/peers
# The integration tests and the manifests have a control plane each, so that neither waits for the other.
MANIFESTS := CLUSTER_HOME=$(CURDIR)/target/cluster/manifests
IMAGE ?= registry.example/strongroom:$(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
STATIC := $(shell uname -m | sed s/arm64/aarch64/)-unknown-linux-gnu

.PHONY: help run demo e2e measure torture bench profile test lint units manifests fmt generate check-generated image clean tools

help: ## this text
	@echo 'make TARGET, where TARGET is'
	@awk -F ':.*## ' '/^[a-z-]*:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo 'make run CONTEXT=name uses that context of your kubeconfig instead of a throwaway control plane.'

run: tools ## the main job, watched as it happens; Ctrl-C ends it and removes everything
	@python3 tests/demo/demo.py run $(if $(CONTEXT),--context '$(CONTEXT)')

demo: tools ## the same without a terminal: kills Strongroom in the middle, 0 only if every step was seen
	@python3 tests/demo/demo.py demo $(if $(CONTEXT),--context '$(CONTEXT)')

test: tools lint manifests units ## everything: format, clippy, manifests, unit and integration tests

lint: tools
	@echo '== formatting and clippy (about 5 min the first time)'
	cargo fmt --check
	cargo clippy --locked --all-targets --features failpoints -- -D warnings

manifests: tools check-generated
	@echo '== the chart and the samples on a real API server (about 15 s)'
	python3 tests/image/image.py --check
	$(CLUSTER) helm lint --strict helm/strongroom
	@trap '$(MANIFESTS) $(CLUSTER) down' EXIT; $(MANIFESTS) $(CLUSTER) up >/dev/null; $(MANIFESTS) python3 tests/manifests/accepted.py

units: tools
	@echo '== tests (about 6 min to build the first time)'
	$(CLUSTER) build test
	$(PEERS) kms openapi confidant credhub
	@tests/peers/postgres/find > /dev/null
	cargo test --locked --features failpoints --lib --bins
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-4} cargo test --locked --features failpoints --test it

e2e: tools ## a whole node with pods (Linux, root): helm, guides, day two, two replicas, uninstall; each step is checked
	@CLUSTER_HOME=$(CURDIR)/target/e2e/cluster $(CLUSTER) can-node
	@tests/peers/postgres/find > /dev/null
	$(CLUSTER) build node
	$(CLUSTER) build helm
	$(if $(STRONGROOM_BINARY),,$(MAKE) image)
	@python3 tests/e2e/e2e.py

torture: tools ## the crash laboratory in full, hours long: kills, losses of power, failing and full disks, changed bytes, databases
	@echo '== 1,000 SIGKILLs, power lost at every write, 200 failed syncs, 2,000 full disks, 100,000 changed bytes,'
	@echo '== 250 lost databases, 200 commits in doubt; how far each is, once a minute'
	TORTURE=1 cargo test --locked --features failpoints --test it crash:: postgres:: -- --nocapture --test-threads=1

measure: tools ## memory, speed and API writes of the release build with 1,000 Credentials
	$(CLUSTER) build control-plane
	@python3 tests/demo/measure.py

bench: tools ## beside OpenBao: a table, and docs/benchmarks.md; QUICK=1 for 2 minutes, MILLION=1 for a large store
	@python3 benches/bench.py $(if $(QUICK),--quick) $(if $(MILLION),--million)

fmt: tools ## formats the code
	cargo fmt

generate: tools ## writes crds/, the chart's copy of it, manifests/ and the rendered charts
	$(CLUSTER) build helm
	UPDATE_GENERATED=1 cargo test --locked --lib crd
	python3 tests/manifests/generate.py

check-generated: tools ## says which generated manifests are old (a unit test does so for crds/)
	$(CLUSTER) build test
	python3 tests/manifests/generate.py --check

image: tools ## target/strongroom.tar: a container image of the release build, made without a container engine
	@echo '== release build, linked statically (about 10 min the first time)'
	RUSTFLAGS='-C target-feature=+crt-static' cargo build --locked --release --bin strongroom --target $(STATIC)
	python3 tests/image/image.py --strongroom '$(IMAGE)' target/$(STATIC)/release/strongroom > target/strongroom.tar.part
	mv target/strongroom.tar.part target/strongroom.tar
	@echo "target/strongroom.tar holds $(IMAGE): docker load -i it, or kind load image-archive, or ctr images import"

clean: ## removes target/, with the built control plane in it
	rm -rf target

tools:
	@tests/tools cargo go python3 openssl curl cc
