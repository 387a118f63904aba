#!/usr/bin/env bash
# The control plane that ctest starts for all tests which need one: `fixture.sh up STATE`, then `fixture.sh down STATE`. It ends
# with ctest, whatever becomes of that. Where there can be none this says why, also to the tests (in STATE.absent), and ends with
# 77: skipped.
set -euo pipefail
tool=$(dirname "$0")/../../build/cluster/control-plane
state=$2

absent() {
  mkdir -p "$(dirname "$state")"
  echo "$1" | tee "$state.absent"
  exit 77
}

case $1 in
  up)
    rm -f "$state.absent"
    [ "$(uname)" = Linux ] || absent "a control plane needs Linux"
    [ -x "$tool" ] || absent "build/cluster/control-plane is not there: make cluster-tool"
    exec "$tool" up --name "ctest in $(basename "$(dirname "$state")")" --state "$state" --owner "$PPID" --timeout 60s
    ;;
  down)
    [ -x "$tool" ] || absent "build/cluster/control-plane is not there: make cluster-tool"
    exec "$tool" down --state "$state"
    ;;
esac
