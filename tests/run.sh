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
awk -v status="$status" '
  /<testsuite / || /^[[:space:]]+(tests|failures|disabled|skipped)=/ {
    while (match($0, /(tests|failures|skipped)="[0-9]+"/)) {
      split(substr($0, RSTART, RLENGTH), part, "=\\"|\\"$")
      count[part[1]] += substr(part[2], 1)
      $0 = substr($0, RSTART + RLENGTH)
    }
  }
  END { printf "%d passed, %d failed, %d skipped\\n", count["tests"] - count["failures"] - count["skipped"], count["failures"], count["skipped"] }
' "$results"/*.xml
exit "$status"
