#!/usr/bin/env bash
# The throttling of a live system, measured at its target; RUNS (20) times each. Starts a control plane of its own, and ends it.
# Needs the release build and the control plane's tool (make cluster-tool). Writes build/bench/throttle-live.json.
set -euo pipefail
cd "$(dirname "$0")"
out=$(realpath ../../build)
mkdir -p "$out/bench"
state=$(mktemp -d)
trap '"$out/cluster/control-plane" down --state "$state/plane"; rm -rf "$state"' EXIT
BACKFILL_TEST_KUBECONFIG=$("$out/cluster/control-plane" up --state "$state/plane" --owner $$)
export BACKFILL_TEST_KUBECONFIG
JSON=${JSON:-$out/bench/throttle-live.json} "$out/release/bin/throttle_live_bench" "$@"
