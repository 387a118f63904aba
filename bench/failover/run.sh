#!/usr/bin/env bash
# How long it takes until another operator leads and workers have leases again, RUNS (20) times each by kill -9 and by SIGTERM.
# It starts a control plane of its own, and ends it. Needs the release build and the control plane's tool (make cluster-tool).
set -euo pipefail
cd "$(dirname "$0")"
out=$(realpath ../../build)
state=$(mktemp -d)
trap '"$out/cluster/control-plane" down --state "$state/plane"; rm -rf "$state"' EXIT
BACKFILL_TEST_KUBECONFIG=$("$out/cluster/control-plane" up --state "$state/plane" --owner $$)
export BACKFILL_TEST_KUBECONFIG
"$out/release/bin/failover_bench" "$@"
