#!/usr/bin/env bash
# bench/peers/table.awk: rows in their first order, medians, ratios, and a dash where nothing is known.
# usage: table_test.sh SOURCE
set -euo pipefail
line() { printf '%s\t%s\t%s\n' "$@"; }
table=$({
  for ops in 900 100 400; do line ours ops $ops; done
  line ours memory 159.6
  line half p99 1500
  for ops in 20 10 40; do line theirs ops $ops; done
  line theirs p99 4500
  line theirs refused 7
  line theirs ops_of ours
  line theirs p99_of half
  line theirs restart ''
} | awk -f "$1/bench/peers/table.awk" | tr -s ' ' | sed 's/ $//')
expected=' op/s refused p50 ms p99 ms disk B memory B restart s x op/s x p99
ours 400 - - - - 160 - - -
half - - - 1.50 - - - - -
theirs 20 7 - 4.50 - - - 20.0 3.0'
[ "$table" = "$expected" ] || { printf 'table.awk printed\n%s\ninstead of\n%s\n' "$table" "$expected"; exit 1; }
