#!/usr/bin/env bash
# Runs fuzz targets. What they find is in the file that they name; the last line says how to repeat it.
#   run.sh short BIN NAME RUNS   one target, from its seeds, the same changes to them every time
#   run.sh long SECONDS          all targets of build/fuzz in turn, each for so long, from all that was ever kept
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# Long inputs soon: of a script the later steps are the interesting ones.
options=(-max_len=4096 -len_control=10 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1)

seeds() {  # BIN NAME: the folders that there are
  while read -r folder; do if [ -d "$folder" ]; then echo "$folder"; fi; done <"$1/fuzz_$2.seeds"
}
again() {  # LOG BIN NAME: what to say of a finding
  grep -E 'must hold:|ERROR:|runtime error:|SUMMARY:| in backfill' "$1" | head -20
  echo "repeat it with: $2/fuzz_$3 $(sed -n 's/.*Test unit written to //p' "$1" | tail -1)"
}

if [ "$1" = short ]; then
  bin=$2 name=$3 runs=$4
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  mapfile -t folders < <(seeds "$bin" "$name")
  # What is kept goes to a folder of its own, so that every run begins with the same seeds.
  if ! "$bin/fuzz_$name" "${options[@]}" -seed=1 -runs="$runs" -artifact_prefix="$bin/" "$work" "${folders[@]}" \
    >"$work.log" 2>&1; then
    again "$work.log" "$bin" "$name"
    exit 1
  fi
  grep -E 'stat::number_of_executed_units|stat::new_units_added' "$work.log"
  rm -f "$work.log"
  exit 0
fi

seconds=$2 build=$(cd "$here/../.." && pwd)/build/fuzz
bin=$build/bin corpus=$build/corpus status=0
printf '%-12s %10s %10s %8s %8s  %s\n' TARGET RUNS COVERAGE KEPT SECONDS FINDINGS
for seeds_file in "$bin"/fuzz_*.seeds; do
  name=$(basename "$seeds_file" .seeds) name=${name#fuzz_}
  if [ -n "${FUZZ_TARGETS:-}" ] && ! grep -qw "$name" <<<"$FUZZ_TARGETS"; then continue; fi
  mkdir -p "$corpus/$name"
  log=$corpus/$name.log
  mapfile -t folders < <(seeds "$bin" "$name")
  found=none
  began=$SECONDS
  "$bin/fuzz_$name" "${options[@]}" -max_total_time="$seconds" -artifact_prefix="$corpus/$name-" "$corpus/$name" \
    "${folders[@]}" >"$log" 2>&1 || { found=yes; status=1; }
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  kept=$(sed -n 's/^stat::new_units_added: *//p' "$log")
  coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
  printf '%-12s %10s %10s %8s %8s  %s\n' "$name" "${runs:--}" "${coverage:--}" "${kept:--}" "$((SECONDS - began))" "$found"
  if [ "$found" = yes ]; then again "$log" "$bin" "$name"; fi
done
exit "$status"
