#!/usr/bin/env bash
# Runs one of the tests here for ctest, or says why it cannot and ends with 77: skipped.
set -euo pipefail
cd "$(dirname "$0")"
[ -x ../../build/tools/helm ] || { echo "build/tools/helm is not there: make cluster-tool"; exit 77; }
if [ "$1" = rights_test ]; then
  [ -e "${BACKFILL_TEST_KUBECONFIG:-}" ] || { echo "there is no control plane: make cluster-tool"; exit 77; }
fi
exec /usr/bin/python3 -B -m unittest -q "$1"
