#!/usr/bin/env bash
# Latency at a fixed rate with a snapshot being taken and without one, in turns, each on a new server: `tally bench` in an open loop
# against a tallyd of one shard on a Unix socket. Prints each run and the medians; docs/benchmarks.md has what came of it.
#
# usage: bench/snapshot_load.sh [FOLDER]     a folder on the disk to be measured; otherwise build/
#   RATE=2000000 MEMBERS=1000000 LOAD=8000000 SECONDS_A_RUN=6 RUNS=3   change them by the environment; LOAD: operations before
set -euo pipefail
cd "$(dirname "$0")/.."
rate=${RATE:-2000000} members=${MEMBERS:-1000000} load=${LOAD:-8000000} seconds=${SECONDS_A_RUN:-6} runs=${RUNS:-3}
bin=$PWD/build/release/bin
[ -x "$bin/tallyd" ] || { echo "Build it first: cmake --preset release && cmake --build --preset release" >&2; exit 1; }

folder=$(mktemp -d -p "${1:-$PWD/build}")
trap 'kill $(jobs -p) 2> /dev/null || true; wait; rm -rf "$folder"' EXIT
tally() { "$bin/tally" --connect "unix:$folder/socket" "$@"; }
# number NAME: of a JSON object on stdin.
number() { sed -n "s/.*\"$1\" *: *\([0-9.]*\).*/\1/p" | head -1; }
median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

echo "$(nproc) CPUs, $(sed -n 's/model name.*: //p' /proc/cpuinfo | head -1); Linux $(uname -r); $(df --output=fstype "$folder" | tail -1)"
echo "$members members, $load operations before; $rate op/s for $seconds s, requests of 500, 64 in flight"
echo "snapshot  p50 us  p99 us  p99.9 us  longest us  snapshot MB  snapshot s"
mkfifo "$folder/ready"
for run in $(seq "$runs"); do
  for snapshot in without with; do
    "$bin/tallyd" --data "$folder/ledger" --create --shards 1 --reserve-mib 6144 --snapshot-every 0 --snapshot-log-mib 0 \
      --listen "unix:$folder/socket" > "$folder/ready" 2> /dev/null &
    server=$!
    read -r _ < "$folder/ready"
    tally bench --members "$members" --ops "$load" --batch 1000 --in-flight 32 --json > /dev/null
    tally bench --no-load --members "$members" --seed "$run" --batch 500 --in-flight 64 --rate "$rate" --seconds "$seconds" --warm-up 1 \
      --json > "$folder/bench.json" &
    bench=$!
    taken=
    if [ "$snapshot" = with ]; then
      sleep 2
      taken=$(tally snapshot take --json)
    fi
    wait "$bench"
    kill "$server"
    wait "$server"
    rm -rf "$folder/ledger"
    row=$(for name in p50 p99 p999 max; do number "$name" < "$folder/bench.json"; done | tr '\n' ' ')
    echo "$snapshot  $row $(number size_bytes <<< "$taken" | awk '{ print int($1 / 1e6) }') $(number took_us <<< "$taken" | awk '{ print $1 / 1e6 }')"
    number p99 < "$folder/bench.json" >> "$folder/$snapshot"
  done
done
echo "median p99: $(median < "$folder/without") us without, $(median < "$folder/with") us with"
