#!/usr/bin/env bash
# Runs all tests of the dev and the tsan build and closes with one line for both. Arguments go to ctest (-R, -L, -V).
set -uo pipefail
cd "$(dirname "$0")/.."
results=$(mktemp -d)
on_cluster=
trap '[ -z "$on_cluster" ] || { kill "$on_cluster"; wait "$on_cluster"; } 2>/dev/null; rm -rf "$results"' EXIT
status=0
none=error
if [ $# -gt 0 ]; then none=ignore; fi  # a selection may leave one of the builds without a test
# clang's sanitizers look for llvm-symbolizer; binutils come with g++.
symbolizer=$(command -v addr2line)
export ASAN_SYMBOLIZER_PATH=$symbolizer UBSAN_SYMBOLIZER_PATH=$symbolizer
export TSAN_OPTIONS="external_symbolizer_path=$symbolizer ${TSAN_OPTIONS:-}"
# Tests that start many processes or measure time say RUN_SERIAL themselves.
run() {  # BUILD [ARGUMENTS OF CTEST]
  ctest --test-dir "build/$1" --parallel "$((2 * $(nproc)))" --output-on-failure --no-tests=$none \
    --output-junit "$results/$1.xml" "${@:2}" | tee "$results/$1.log"
  [ "${PIPESTATUS[0]}" -eq 0 ] || status=1
}
# Beside them, since it waits more than it works: a core of the tests on a real cluster. `make e2e` runs all of those.
if [ $# -eq 0 ]; then
  tests/e2e/cluster/run.py --core --junit "$results/on-cluster.xml" >build/on-cluster.log 2>&1 &
  on_cluster=$!
fi
# TSAN looks for races, which a few random histories show as well as many. What is left out has a single thread from end to
# end (operator/lease, ledger and throttle start none), and takes longest; the dev build runs it.
RC_PARAMS=max_success=20 run tsan \
  -E 'FleetTest.ManyWorkers|AHundredThousandShards|FrameTest.StopsInflatingABomb' "$@"
# Many wait for real servers and processes, and fail where the machine stands still for some seconds. What fails is run once
# more, and named below all the same; what fails twice has failed.
run dev --repeat until-pass:2 "$@"
if [ -n "$on_cluster" ]; then
  if kill -0 "$on_cluster" 2>/dev/null; then echo "waiting for the tests on a cluster: build/on-cluster.log"; fi
  wait "$on_cluster" || { status=1; cat build/on-cluster.log; }
  on_cluster=
  grep -hE '^(SKIPPED|PASSED ONLY)' build/on-cluster.log
fi
if [ -e build/dev/control-plane.absent ]; then echo "SKIPPED: what needs Kubernetes: $(cat build/dev/control-plane.absent)"; fi
/usr/bin/python3 - "$results" <<'END'
import pathlib, re, sys, xml.etree.ElementTree as xml
results = pathlib.Path(sys.argv[1])
suites = [xml.parse(path).getroot() for path in sorted(results.glob("*.xml"))]
failed = {c.get("name") for s in suites for c in s.iter("testcase") if c.get("status") == "fail"}
logs = "".join(path.read_text(errors="replace") for path in results.glob("*.log"))
once = set(re.findall(r"Test +#\d+: (\S.*?) \.+ *\*\*\*", logs)) - failed
once -= {c.get("name") for s in suites for c in s.iter("testcase") if c.get("status") in ("notrun", "disabled")}
for name in sorted(failed):
    print("FAILED:", name)
for name in sorted(once):
    print("PASSED ONLY WHEN REPEATED:", name)
total, failed, skipped = (sum(int(s.get(name, 0)) for s in suites) for name in ("tests", "failures", "skipped"))
print(f"{total - failed - skipped} passed, {failed} failed, {skipped} skipped")
END
exit "$status"
