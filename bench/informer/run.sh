#!/usr/bin/env bash
# What list and watch of many pods cost the cache of operator/kube and an informer of client-go: CPU seconds and memory, a line
# of JSON for each way of asking. PODS (10000) and EVENTS (2000) say how many. It starts a control plane of its own, and ends it.
# Fails if the cache takes more than 100 MiB.
set -euo pipefail
cd "$(dirname "$0")"
out=$(realpath ../../build)
mkdir -p "$out/bench"
ours=$out/release/bin/informer_bench
[ -x "$ours" ] || { echo "build it first: cmake --build build/release --target informer_bench" >&2; exit 2; }
CGO_ENABLED=0 ../../tests/cluster/go.sh build -buildvcs=false -o "$out/bench/informer" .
state=$(mktemp -d)
trap '"$out/cluster/control-plane" down --state "$state/plane"; rm -rf "$state"' EXIT
KUBECONFIG=$("$out/cluster/control-plane" up --state "$state/plane" --owner $$)
export KUBECONFIG
options=(--pods "${PODS:-10000}" --events "${EVENTS:-2000}" --timeout 2m)
time "$ours" create --pods "${PODS:-10000}" >&2

# measure WHO WAY COMMAND..: events are made once it has listed.
measure() {
  local who=$1 way=$2 said
  shift 2
  mkfifo "$state/synced"
  "$@" "${options[@]}" 2>"$state/synced" >"$state/cost" &
  read -r said <"$state/synced"
  rm "$state/synced"
  if [ "$said" != synced ]; then echo "$said" >&2; exit 1; fi
  "$ours" touch --pods "${PODS:-10000}" --events "${EVENTS:-2000}"
  wait $!
  echo "{\"who\": \"$who\", \"way\": \"$way\", \"cost\": $(cat "$state/cost")}"
}
for way in json metadata-only; do
  measure backfill "$way" "$ours" watch $([ "$way" = json ] || echo "--$way")
  rss=$(sed 's/.*"max_rss_kib":\([0-9]*\).*/\1/' "$state/cost")
  if [ "$rss" -gt 102400 ]; then echo "more than 100 MiB: $rss KiB" >&2; exit 1; fi
done
for way in json protobuf metadata-only; do
  measure client-go "$way" "$out/bench/informer" watch $([ "$way" = json ] || echo "--$way")
done
