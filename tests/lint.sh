#!/usr/bin/env bash
# Everything about the sources that needs no test run. Prints what to do for each finding.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t sources < <(git ls-files '*.cc' '*.h')

echo "format: ${#sources[@]} files"
clang-format-19 --dry-run -Werror "${sources[@]}" || { echo "run: clang-format-19 -i on the files above"; exit 1; }

echo "sizes and names"
for f in "${sources[@]}"; do
  lines=$(wc -l <"$f")
  if [ "$lines" -gt 600 ]; then echo "$f has $lines lines: split it by concept (at most 600)"; exit 1; fi
done
if git ls-files | grep -iE '(^|/)(utils?|common|helpers?|misc|manager)(/|\.|_)'; then
  echo "the names above say nothing: name the concept"; exit 1
fi
for d in plan ledger lease throttle; do
  if grep -nE '#include <(grpc|cpprest|nlohmann)' -r "operator/$d"; then echo "operator/$d is pure"; exit 1; fi
done
if grep -nE '#include <(grpc|boost/asio|nlohmann)' -r worker/engine; then echo "worker/engine is pure"; exit 1; fi
if grep -nE '#include <(cpprest|prometheus|Civet|yaml-cpp|sys/socket)' -r operator/kube/{cache,runtime}; then
  echo "what is below the transport and the metrics stays there"; exit 1
fi
if grep -lE '#include <cpprest/http_client' -r --include='*.cc' --include='*.h' . --exclude-dir=build | grep -v '^./operator/kube/client/rest_'; then
  echo "cpprestsdk is behind HttpTransport"; exit 1
fi

echo "what is made from crds/"
/usr/bin/python3 docs/reference/generate.py --check
/usr/bin/python3 docs/reference/json_schema.py --check
diff -r crds charts/backfill-operator/files/crds || { echo "run: make generate"; exit 1; }

echo "clang: warnings and thread safety of what is shipped"
cmake --build build/tidy -j "$(nproc)" --target backfill backfill-worker backfill-operator copier-example >build/tidy/build.log 2>&1 || { grep -E 'error:|warning:' build/tidy/build.log; tail -20 build/tidy/build.log; exit 1; }

echo "lint: nothing found"
