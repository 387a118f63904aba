#!/usr/bin/env bash
# Checks lease.pml and split.pml with spin (Debian: spin, gcc): each protocol must hold in every state, and fail with any one of its rules
# switched off. About a minute on one core, 1 GB of memory.
set -euo pipefail
models=$(cd "$(dirname "$0")" && pwd)
for tool in spin gcc; do
	command -v $tool >/dev/null || { echo "$tool is not installed"; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# explore WANT MODEL DEFINES: what fails does so soon, so that compiling it well would take longer. Prints "holds", "fails", or "unfinished" when the search did not see every state
explore() {
	rm -f pan pan.log
	# shellcheck disable=SC2086 # the defines are words
	spin -a $3 "$models/$2" >spin.log && gcc "$([ "$1" = holds ] && echo -O2 || echo -O0)" -DSAFETY -DMEMLIM=4000 -w -o pan pan.c
	./pan -E -m6000000 -w22 >pan.log 2>&1 || true
	if grep -q 'assertion violated' pan.log; then echo fails
	elif grep -q 'errors: 0' pan.log && ! grep -qE 'max search depth too small|Search not completed' pan.log; then echo holds
	else echo unfinished; fi
}
passed=0
bad=0
expect() {
	local got
	got=$(explore "$1" "$2" "$3")
	printf '%-10s %-6s %-9s %s (%s states)\n' "$got" "$1" "$2" "$3" "$(grep -oP '^ *\K[0-9.e+]+(?= states, stored)' pan.log || echo '?')"
	if [ "$got" = "$1" ]; then passed=$((passed + 1)); else bad=$((bad + 1)); fi
}
echo "got        want   model     rules"
# A leader that renews; and one that is deposed at every tick, so that workers come back to another one all the time.
expect holds lease.pml "-DLEAD=2 -DTTL=2 -DFENCE=1 -DWIRE=1 -DDEATHS=0"
expect holds lease.pml "-DLEAD=1 -DTTL=3 -DFENCE=2 -DWIRE=1"
expect fails lease.pml "-DFROM_RECEIPT"
expect fails lease.pml "-DNO_LEADER_CHECK"
expect fails lease.pml "-DNO_BARRIER"
expect fails lease.pml "-DRESERVED_IS_FREE"
expect fails lease.pml "-DTAKE_UP_IN_FREEZE -DTTL=3 -DFENCE=2"
expect fails lease.pml "-DGRANT_FIRST"
expect fails lease.pml "-DBLIND_WRITE"
expect fails lease.pml "-DDEAD_AT_ONCE -DLEAD=1"
expect fails lease.pml "-DTTL=2 -DFENCE=2 -DWIRE=1 -DLEAD=1"
expect holds split.pml "-DATTEMPTS=2"
expect fails split.pml "-DGRANT_BEFORE_SPLIT_DURABLE"
expect fails split.pml "-DCUT_UNASKED"
expect fails split.pml "-DANY_ATTEMPT"
expect fails split.pml "-DDONE_AT_ITS_END"
echo "$passed passed, $bad failed"
[ "$bad" = 0 ]
