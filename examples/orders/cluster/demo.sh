#!/usr/bin/env bash
# A Kubernetes of one node on this machine with the operator and the sample service, left running; prints what to do next.
# `make cluster-demo` builds what it needs. Again: upgrades what is there. `make cluster-down` ends it.
set -euo pipefail
cd "$(dirname "$0")/../../.."
cluster=build/cluster/cluster
helm_home=$(mktemp -d)
trap 'rm -rf "$helm_home"' EXIT
export HELM_CACHE_HOME=$helm_home/cache HELM_CONFIG_HOME=$helm_home/config HELM_DATA_HOME=$helm_home/data
on_node() { "$cluster" exec -- "$@"; }
say() { printf '== %s\n' "$*"; }

[ "$(id -u)" = 0 ] || { echo "a node needs root" >&2; exit 1; }
for needed in $cluster build/tools/helm build/images/{operator,worker,orders}.tar; do
  [ -e "$needed" ] || { echo "$needed is not there: make cluster-demo" >&2; exit 1; }
done

$cluster status >/dev/null 2>&1 || { say "a node"; $cluster up >/dev/null; }
say "images"
$cluster load build/images/{operator,worker,orders}.tar
# Built again under the same name it is another image: what shows that to Kubernetes is the annotation.
built=$(tar -xOf build/images/operator.tar --wildcards 'index.json' 'manifest.json' 2>/dev/null | sha256sum | cut -c1-12 || true)
say "the operator, by Helm"
on_node "$PWD/build/tools/helm" upgrade --install backfill-operator charts/backfill-operator --namespace backfill-system \
  --create-namespace --set image.tag=dev --set worker.image.tag=dev --set-string "podAnnotations.built=$built" --wait --timeout 120s >/dev/null
say "the sample service with 50,000 orders"
on_node kubectl apply -f examples/orders/cluster/orders.yaml
on_node kubectl rollout status -n shop deployment/orders --timeout=120s

cat <<'TEXT'

Next, a dry run; it counts, renders, and sends nothing:
  build/cluster/cluster exec -- kubectl apply -f examples/orders/cluster/backfill.yaml
  build/cluster/cluster exec -- kubectl wait -n shop backfill/reprice-orders --for=condition=Approved=false
  build/cluster/cluster exec -- kubectl get backfills -n shop -o wide
For real, at 1,000 orders a second:
  build/cluster/cluster exec -- kubectl patch -n shop backfill reprice-orders --type merge -p '{"spec":{"dryRun":false,"performDisruptiveBackfill":"reprice-orders"}}'
  build/cluster/cluster exec -- kubectl get backfills -n shop --watch
Stop it, go on, see what happened:
  build/cluster/cluster exec -- kubectl patch -n shop backfill reprice-orders --type merge -p '{"spec":{"paused":true}}'
  build/cluster/cluster exec -- kubectl patch -n shop backfill reprice-orders --type merge -p '{"spec":{"paused":false}}'
  build/cluster/cluster exec -- kubectl describe -n shop backfill reprice-orders
Everything away:
  make cluster-down
TEXT
