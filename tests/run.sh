#!/usr/bin/env bash
# Runs all tests of the dev and the tsan build and closes with one line for both. Arguments go to ctest (-R, -L, -V).
set -uo pipefail
cd "$(dirname "$0")/.."
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
status=0
for build in tsan dev; do
  # Tests that start many processes or measure time say RUN_SERIAL themselves.
  ctest --test-dir "build/$build" --parallel "$(nproc)" --output-on-failure --no-tests=error \
    --output-junit "$results/$build.xml" "$@" || status=1
done
/usr/bin/python3 - "$results"/*.xml <<'END'
import sys, xml.etree.ElementTree as xml
suites = [xml.parse(path).getroot() for path in sys.argv[1:]]
total, failed, skipped = (sum(int(s.get(name, 0)) for s in suites) for name in ("tests", "failures", "skipped"))
print(f"{total - failed - skipped} passed, {failed} failed, {skipped} skipped")
END
exit "$status"
