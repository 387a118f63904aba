#!/usr/bin/env bash
# Builds all tests and runs them, and closes with one line for all. With arguments nothing is built, and they choose (they go to
# ctest: -R, -L, -V).
set -uo pipefail
cd "$(dirname "$0")/.."
set -m  # what runs beside is a process group of its own, so that all of it can be ended
results=$(mktemp -d)
on_cluster=
with_tsan=
trap '[ -z "$with_tsan" ] || kill -- "-$with_tsan"; [ -z "$on_cluster" ] || kill "$on_cluster"; wait; rm -rf "$results"' EXIT 2>/dev/null
trap 'exit 130' INT TERM
status=0
none=error
if [ $# -gt 0 ]; then none=ignore; fi  # a selection may leave one of the builds without a test
# clang's sanitizers look for llvm-symbolizer; binutils come with g++.
symbolizer=$(command -v addr2line)
export ASAN_SYMBOLIZER_PATH=$symbolizer UBSAN_SYMBOLIZER_PATH=$symbolizer
export TSAN_OPTIONS="external_symbolizer_path=$symbolizer ${TSAN_OPTIONS:-}"
jobs=${JOBS:-$(nproc)}
# Tests that start many processes or measure time say RUN_SERIAL themselves.
run() {  # BUILD [ARGUMENTS OF CTEST]
  rm -rf "build/$1/reports"
  ctest --test-dir "build/$1" --parallel "$((3 * $(nproc)))" --output-on-failure --no-tests=$none \
    --output-junit "$results/$1.xml" "${@:2}" | tee "$results/$1.log"
  return "${PIPESTATUS[0]}"
}
# TSAN looks for races, which a few random histories show as well as many.
run_tsan() { RC_PARAMS=max_success=20 run tsan "$@"; }
# Many wait for real servers and processes, and fail where the machine stands still for some seconds. What fails is run once
# more, and named below all the same; what fails twice has failed.
run_dev() { run dev --repeat until-pass:2 "$@" || status=1; }

if [ $# -gt 0 ]; then
  run_tsan "$@" || status=1
  run_dev "$@"
else
  # It waits more than it works: a core of the tests on a real cluster, where that can be. `make e2e` runs all of those.
  tests/e2e/cluster/run.py --core --junit "$results/on-cluster.xml" >build/on-cluster.log 2>&1 &
  on_cluster=$!
  cmake --build --preset dev -j "$jobs" || exit 1
  # And as many of the tests wait, too, those with TSAN are built and run beside them.
  { nice -n 19 cmake --build --preset tsan -j "$jobs" && run_tsan; } >build/with-tsan.log 2>&1 &
  with_tsan=$!
  run_dev
  if kill -0 "$with_tsan" 2>/dev/null; then echo "waiting for the tests with TSAN: build/with-tsan.log"; fi
  wait "$with_tsan" || { status=1; cat build/with-tsan.log; }
  with_tsan=
  grep -E '^[0-9]+% tests passed' build/with-tsan.log
  if kill -0 "$on_cluster" 2>/dev/null; then echo "waiting for the tests on a cluster: build/on-cluster.log"; fi
  wait "$on_cluster" || { status=1; cat build/on-cluster.log; }
  on_cluster=
  grep -hE '^(SKIPPED|PASSED ONLY)' build/on-cluster.log
fi
if [ -e build/dev/control-plane.absent ]; then echo "SKIPPED: what needs Kubernetes: $(cat build/dev/control-plane.absent)"; fi
/usr/bin/python3 tests/summary.py "$results" || status=1
exit "$status"
