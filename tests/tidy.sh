#!/usr/bin/env bash
# clang-tidy over own sources, or over the files that are named. Takes some minutes; `make lint` is the quick part.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -eq 0 ]; then mapfile -t files < <(git ls-files '*.cc' | grep -E '^(base|rows|operator|worker|cli)/'); else files=("$@"); fi
# The build makes what the sources include: generated messages and the embedded CRD.
cmake --build build/tidy -j "$(nproc)" --target backfill backfill-worker >build/tidy/build.log 2>&1 || { tail -20 build/tidy/build.log; exit 1; }
printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -n 4 clang-tidy-19 --quiet -p build/tidy 2>/dev/null || { echo "mend the findings above"; exit 1; }
echo "tidy: nothing found in ${#files[@]} files"
