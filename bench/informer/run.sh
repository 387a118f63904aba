#!/usr/bin/env bash
# What list and watch of many pods cost an informer of client-go: CPU seconds and memory, a line of JSON for each way of asking.
# PODS (10000) and EVENTS (2000) say how many. It starts a control plane of its own, and ends it.
set -euo pipefail
cd "$(dirname "$0")"
out=$(realpath ../../build)
mkdir -p "$out/bench"
CGO_ENABLED=0 ../../tests/cluster/go.sh build -buildvcs=false -o "$out/bench/informer" .
state=$(mktemp -d)
trap '"$out/cluster/control-plane" down --state "$state/plane"; rm -rf "$state"' EXIT
KUBECONFIG=$("$out/cluster/control-plane" up --state "$state/plane" --owner $$)
export KUBECONFIG
options=(--pods "${PODS:-10000}" --events "${EVENTS:-2000}" --timeout 2m)
time "$out/bench/informer" create "${options[@]}" >&2
for way in "" --protobuf --metadata-only; do
  mkfifo "$state/synced"
  "$out/bench/informer" watch "${options[@]}" $way 2>"$state/synced" >"$state/cost" &
  read -r said <"$state/synced"
  rm "$state/synced"
  if [ "$said" != synced ]; then echo "$said" >&2; exit 1; fi
  "$out/bench/informer" touch "${options[@]}"
  wait $!
  echo "{\"way\": \"${way:---json}\", \"cost\": $(cat "$state/cost")}"
done
