#!/usr/bin/env bash
# A coordinator under many simulated workers: SHARDS (100000), WORKERS (1000), RATE (records/s, 40000), over TLS, with its ledger
# on an API server that it starts and ends, and killed in the middle; then what a stream and a message cost for TALK (15) seconds
# each, beside a server in Go. Fails if a rule was broken.
set -euo pipefail
cd "$(dirname "$0")"
out=$(realpath ../../build)
mkdir -p "$out/bench"
CGO_ENABLED=0 ../../tests/cluster/go.sh build -C peer -buildvcs=false -o "$out/bench/scale-peer" .
state=$(mktemp -d)
trap '"$out/cluster/control-plane" down --state "$state/plane"; rm -rf "$state"' EXIT
KUBECONFIG=$("$out/cluster/control-plane" up --state "$state/plane" --owner $$)
export KUBECONFIG
kubectl() { "$out/cluster/kubectl" "$@" >/dev/null; }
kubectl apply --server-side -f ../../crds/backfill.dev_backfills.yaml -f ../../crds/backfill.dev_backfillledgers.yaml
kubectl wait --for=condition=Established crd/backfills.backfill.dev crd/backfillledgers.backfill.dev
kubectl create namespace scale
kubectl apply -f - <<EOF
apiVersion: backfill.dev/v1alpha1
kind: Backfill
metadata: {name: scale, namespace: scale}
spec:
  source: {range: {start: 0, end: 1000}}
  target: {http: {url: "http://target/{{key}}"}}
  throttle: {maxRecordsPerSecond: 1000}
EOF
bench() { "$out/release/bin/scale_bench" --coordinator "$out/release/bin/scale_coordinator" --workers "${WORKERS:-1000}" "$@"; }
bench --api-server --shards "${SHARDS:-100000}" --rate "${RATE:-40000}"
for how in "" --plain; do
  bench --talk "${TALK:-15}" --messages-per-second 4000 $how
  bench --talk "${TALK:-15}" --messages-per-second 4000 $how --peer "$out/bench/scale-peer"
done
