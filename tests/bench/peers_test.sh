#!/usr/bin/env bash
# bench/peers/run.sh, small: every peer that is installed does the work, is verified, and comes back after a crash.
# usage: peers_test.sh SOURCE BUILD     exits with 77, which ctest takes for skipped, where a peer is missing
set -euo pipefail
for program in redis-server redis-cli /usr/lib/postgresql/15/bin/postgres; do
  command -v "$program" > /dev/null || { echo "skipped: there is no $program"; exit 77; }
done
out=$(mktemp)
trap 'rm -f "$out"' EXIT
PEERS="tallystick redis postgres" BUILD=$2 RUNS=1 MEMBERS=2000 OPS=20000 PEAK_OPS=100000 DURATION=0.5 RESERVE_MIB=0 \
  "$1/bench/peers/run.sh" "$2" > "$out" || { cat "$out"; exit 1; }
cat "$out"
# Of each peer the rate, and of its batched row all else.
for row in 'Tallystick, 1,000' 'Tallystick, 64' 'Redis, 100' 'Redis, 64' 'PostgreSQL, 5,000' 'PostgreSQL, 64'; do
  grep -E "^${row}[^-]* [1-9][0-9]* " "$out" > /dev/null || { echo "No rate in the row $row"; exit 1; }
done
for row in 'Redis, 100' 'PostgreSQL, 5,000'; do
  ! grep "^$row" "$out" | grep ' - ' || { echo "A figure is missing in the row $row"; exit 1; }
done
