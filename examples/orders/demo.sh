#!/usr/bin/env bash
# The sample service with 200,000 orders, a dry run, the real run, and what became of the orders that failed.
# Ends by itself after about half a minute and leaves nothing behind.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
export PATH="${BACKFILL_BIN:-$here/../../build/release/bin}:$PATH"
orders=200000
work="$(mktemp -d)"
service=""
command=""

end() {
  # Not only the service: without this an interrupted demo would leave its runner to finish the run.
  for pid in $command $service; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in $command $service; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
# Ctrl-C reaches the runner as well, which then waits for the requests in flight. A second signal would cut that short.
interrupted() {
  for _ in $(seq 50); do
    { [ -n "$command" ] && kill -0 "$command" 2>/dev/null; } || break
    sleep 0.2
  done
  exit 130
}
trap end EXIT
trap interrupted INT
trap 'exit 143' TERM

say() { printf '\n== %s\n' "$*"; }
# Shows a command and runs it; in the background, since bash would let a foreground one end before it hears a signal.
show() {
  printf '\n$ %s\n' "$*"
  "$@" &
  command=$!
  local code=0
  wait "$command" || code=$?
  command=""
  return "$code"
}
get() { python3 -c 'import sys, urllib.request; sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())' "$1"; }

command -v backfill >/dev/null || { echo "there is no 'backfill' in build/release/bin: run 'make build' first" >&2; exit 1; }
cd "$work"

touch service.out
say "A service with $orders orders whose totals were rounded by an old rule"
python3 "$here/orders.py" --port 0 --db "$work/orders.db" --orders "$orders" >service.out 2>service.err &
service=$!
url=""
for _ in $(seq 600); do
  url="$(sed -n 's/^listening on //p' service.out)"
  [ -n "$url" ] && break
  kill -0 "$service" 2>/dev/null || { cat service.err >&2; exit 1; }
  sleep 0.1
done
[ -n "$url" ] || { echo "the service did not start within a minute" >&2; exit 1; }
echo "it listens on $url; order 2 is $(get "$url/v1/orders/2")"

say "What is to be done is declared in a file. It is a dry run first"
sed -e "s|http://127.0.0.1:8080|$url|" -e 's/^  dryRun: false/  dryRun: true/' -e '/^  performDisruptiveBackfill:/d' \
  -e 's/ This one is for real\.//' "$here/backfill-batch.yaml" >reprice.yaml
show cat reprice.yaml
show backfill lint -f reprice.yaml
show backfill plan -f reprice.yaml

say "The dry run: the service is asked what it would do, and changes nothing"
show backfill run -f reprice.yaml
get "$url/metrics" | grep '^orders_repriced_total'

say "For real: two lines of the file change, the plan stays the same"
sed -i 's/^  dryRun: true/  dryRun: false\n  performDisruptiveBackfill: reprice-all-orders/' reprice.yaml
show backfill run -f reprice.yaml

say "Afterwards"
show backfill status reprice-all-orders
show backfill failures reprice-all-orders

say "The service's own account: what failed once was sent again, what fails for good is as it was"
get "$url/metrics" | grep -E '^orders_(repriced|http_requests)_total'
echo "order 60000, which failed, is $(get "$url/v1/orders/60000")"
echo "order 20001, which failed once and was sent again, is $(get "$url/v1/orders/20001")"

say "Running the same file again does nothing: it is done"
show backfill run -f reprice.yaml

printf '\nThat was it. Nothing is left running, and %s is removed.\n' "$work"
