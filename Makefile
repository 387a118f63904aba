# Everything a newcomer needs. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
JOBS ?= $(shell nproc)

# Debian 12. The compiler and build tools, the libraries, what the tests run, what lint and the fuzz tests need.
PACKAGES := g++ cmake ninja-build ccache mold pkg-config \
  libgrpc++-dev protobuf-compiler-grpc libprotobuf-dev protobuf-compiler libboost-dev libcpprest-dev libboost-system-dev nlohmann-json3-dev \
  libyaml-cpp-dev libsqlite3-dev libfmt-dev libspdlog-dev libcli11-dev libssl-dev zlib1g-dev libzstd-dev libcurl4-openssl-dev \
  prometheus-cpp-dev libcivetweb-dev libhowardhinnant-date-dev tzdata \
  libgtest-dev libgmock-dev librapidcheck-dev spin gcc python3 python3-yaml openssl lua5.4 \
  clang-19 clang-tidy-19 clang-format-19 libclang-rt-19-dev
# What the benchmarks compare with.
BENCH_PACKAGES := wrk nghttp2-client util-linux golang-go
# The control plane under the tests is built with Go; tests/cluster/go.sh fetches a newer one with Debian's where it is needed.
PACKAGES += $(if $(shell command -v go),,golang-go ca-certificates)
# What a node runs.
CLUSTER_PACKAGES := runc iptables iproute2 busybox-static containernetworking-plugins
# What builds images; with IMAGE_BUILDER=docker or podman those do.
IMAGE_PACKAGES := binutils ca-certificates $(if $(IMAGE_BUILDER),,buildah)
# What counts instructions and system calls.
GATE_PACKAGES := valgrind strace util-linux
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

.PHONY: deps
deps: ## install the Debian packages that are missing (quick when none is)
	@# dpkg-query fails when it does not know a package, which is the case that matters here.
	@wanted='$(PACKAGES)'; missing=$$({ dpkg-query -W -f '$${Package} $${db:Status-Status}\n' $$wanted 2>/dev/null || true; } \
	  | awk '$$2=="installed"{print $$1}' | sort -u | comm -13 - <(printf '%s\n' $$wanted | sort -u) | tr '\n' ' '); \
	if [ -n "$${missing// /}" ]; then \
	  echo "installing: $$missing"; \
	  $(SUDO) apt-get update -q; \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing; \
	fi

build/%/build.ninja: CMakeLists.txt CMakePresets.json
	cmake --preset $* >/dev/null

.PHONY: build
build: deps build/release/build.ninja ## build/release/bin/{backfill,kubectl-backfill,backfill-worker,backfill-operator}
	cmake --build --preset release -j $(JOBS) --target backfill backfill-worker backfill-operator

.PHONY: images
images: PACKAGES += $(IMAGE_PACKAGES)
images: build ## build/images/{operator,worker}.tar: OCI archives, non-root, no base image
	@packaging/images.sh operator worker

.PHONY: demo
demo: build ## the sample service, a dry run, a real run of 200,000 orders, what became of the failed ones
	@examples/orders/demo.sh

# Binaries as users run them; the tests themselves with ASAN and UBSAN, the pure libraries with TSAN as well.
# As root the machine can be a node as well: then a core of the end-to-end tests runs beside the others.
ROOT := $(filter 0,$(shell id -u))
.PHONY: test
test: PACKAGES += $(if $(ROOT),$(IMAGE_PACKAGES) $(CLUSTER_PACKAGES))
test: CLUSTER_TOOL = $(if $(ROOT),$(shell tests/e2e/cluster/run.py --can-run >/dev/null && echo all))
test: build cluster-tool build/dev/build.ninja build/tsan/build.ninja ## build and run every test
	@$(if $(ROOT),if tests/cluster/go.sh version >/dev/null 2>&1 && tests/e2e/cluster/run.py --can-run; then \
	  $(MAKE) -s --no-print-directory node-and-images; fi)
	cmake --build --preset release -j $(JOBS) --target informer_bench
	JOBS=$(JOBS) tests/run.sh

.PHONY: cluster-tool
cluster-tool: deps ## the Kubernetes control plane, Helm and kstatus under the tests (minutes the first time, then nothing to do)
	@tests/cluster/go.sh version >/dev/null || status=$$?; \
	case $${status:-0} in \
	  0) $(MAKE) -s --no-print-directory -C tests/cluster $(or $(CLUSTER_TOOL),control-plane); \
	     $(MAKE) -s --no-print-directory -C tests/chart/tools all; \
	     cd tests/gitops && ../cluster/go_build.sh -o ../../build/gitops/verdicts .;; \
	  77) echo "tests that need a control plane will be skipped";; \
	  *) exit $$status;; \
	esac

.PHONY: cluster
cluster: PACKAGES += $(CLUSTER_PACKAGES)
cluster: deps ## a real Kubernetes of one node, in its own network on this machine (root)
	@$(MAKE) -s --no-print-directory -C tests/cluster all
	@$(SUDO) build/cluster/cluster status >/dev/null 2>&1 || $(SUDO) build/cluster/cluster up >/dev/null
	@echo "Kubernetes runs. Next:"; \
	for command in 'exec -- kubectl get pods -A' 'load IMAGE.tar' 'status'; do \
	  echo "  $(if $(SUDO),$(SUDO) )build/cluster/cluster $$command"; done; \
	echo "  make cluster-down"

# What tests on a cluster and the demo take: a node, Helm, images; those are made again when what is in them is.
.PHONY: on-cluster node-and-images
on-cluster: PACKAGES += $(IMAGE_PACKAGES) $(CLUSTER_PACKAGES)
on-cluster: build
	@$(MAKE) -s --no-print-directory node-and-images build/images/orders.tar
	@[ ! -x build/tools/prometheus ] || $(MAKE) -s --no-print-directory build/images/prometheus.tar
node-and-images:
	@$(MAKE) -s --no-print-directory -C tests/cluster all
	@$(MAKE) -s --no-print-directory -C tests/chart/tools all
	cmake --build --preset release -j $(JOBS) --target backfill-test-sink
	@$(MAKE) -s --no-print-directory build/images/operator.tar build/images/worker.tar build/images/test-sink.tar
build/images/operator.tar: build/release/bin/backfill-operator build/release/bin/backfill
build/images/worker.tar: build/release/bin/backfill-worker
build/images/test-sink.tar: build/release/bin/backfill-test-sink
build/images/orders.tar: examples/orders/orders.py
build/images/prometheus.tar: build/tools/prometheus
build/images/%.tar: Containerfile packaging/images.sh packaging/stage.py
	@packaging/images.sh $*

E2E ?=
.PHONY: e2e
e2e: on-cluster ## all end-to-end tests on a real Kubernetes of this machine (root); E2E=PART chooses; leaves nothing behind
	@$(SUDO) tests/e2e/cluster/run.py $(E2E)

.PHONY: cluster-demo
cluster-demo: on-cluster ## the same Kubernetes left running with the operator and the sample service; says what to do next
	@$(SUDO) examples/orders/cluster/demo.sh

.PHONY: cluster-down
cluster-down: ## end it and remove all it made
	@[ ! -x build/cluster/cluster ] || $(SUDO) build/cluster/cluster down

FUZZ_SECONDS ?= 60
.PHONY: fuzz
fuzz: deps build/fuzz/build.ninja ## feed changed inputs to every parser and protocol, FUZZ_SECONDS (60) each
	cmake --build --preset fuzz -j $(JOBS)
	tests/fuzz/run.sh long $(FUZZ_SECONDS)

.PHONY: generate
generate: ## what is made from crds/: the page about the file, its JSON Schema, the chart's copy
	docs/reference/generate.py
	docs/reference/json_schema.py
	cp crds/*.yaml charts/backfill-operator/files/crds/

.PHONY: lint
lint: deps build/tidy/build.ninja ## format, file sizes and names, the page about the file, clang's warnings and thread safety
	tests/lint.sh

.PHONY: tidy
tidy: deps build/tidy/build.ninja ## clang-tidy over all own sources (some minutes)
	tests/tidy.sh

.PHONY: gate
gate: PACKAGES += $(GATE_PACKAGES)
gate: build ## count instructions and system calls a record and a row; fails if they have risen
	cmake --build --preset release -j $(JOBS) --target backfill-test-sink rows_bench
	bench/gate.py

.PHONY: bench
bench: PACKAGES += $(BENCH_PACKAGES)
bench: build ## what a record and a row cost, beside other programs (some minutes, on an idle machine)
	cmake --build --preset release -j $(JOBS) --target backfill-test-sink rows_bench
	mkdir -p build/bench
	go build -o build/bench/post bench/peers/post.go
	bench/bench.py

# SHARDS, WORKERS, RATE, TALK (seconds) and RUNS (of a failover) shorten it: bench/README.md.
.PHONY: bench-scale
bench-scale: build cluster-tool ## 100,000 shards, 1,000 workers over TLS, an operator killed in the middle; failover (8 min)
	cmake --build --preset release -j $(JOBS) --target scale_bench scale_coordinator failover_bench
	bench/scale/run.sh
	RUNS=$${RUNS:-4} bench/failover/run.sh

BENCH_SEEDS ?= 40
.PHONY: bench-throttle
bench-throttle: deps build/release/build.ninja ## the governor beside other ways to set a rate, simulated; writes docs/throttle-bench.md; fails if a gate is missed
	cmake --build --preset release -j $(JOBS) --target throttle_bench
	mkdir -p build/bench
	build/release/bin/throttle_bench --scenarios bench/throttle/scenarios --crowds bench/throttle/crowds --seeds $(BENCH_SEEDS) --threads $(JOBS) \
	  --markdown docs/throttle-bench.md --json build/bench/throttle.json

# RUNS (20) of each: bench/throttle_live/README.md.
.PHONY: bench-throttle-live
bench-throttle-live: build cluster-tool ## how fast a breach or a pause reaches a target: operator, workers and Prometheus as processes (10 min)
	cmake --build --preset release -j $(JOBS) --target throttle_live_bench
	bench/throttle_live/run.sh

.PHONY: clean
clean: ## remove build/
	rm -rf build
