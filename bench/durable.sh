#!/usr/bin/env bash
# Durable operations a second of `tally bench` against a tallyd on a Unix socket, with fio's figures for the same disk
# taken between the runs. Prints each run and the medians; docs/benchmarks.md has what came of it.
#
# usage: bench/durable.sh [FOLDER]     a folder on the disk to be measured; otherwise build/
#   RUNS=5 SHARDS=1 MEMBERS=1000000 OPS=20000000 BATCH=1000 IN_FLIGHT=32   change them by the environment
#   RESERVE_MIB=6144   memory made ready before: the ledger remembers each operation, and would find new memory for it
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${RUNS:-5} shards=${SHARDS:-1} members=${MEMBERS:-1000000} ops=${OPS:-20000000} reserve=${RESERVE_MIB:-6144}
batch=${BATCH:-1000} in_flight=${IN_FLIGHT:-32}
bin=$PWD/build/release/bin
[ -x "$bin/tallyd" ] || { echo "Build it first: cmake --preset release && cmake --build --preset release" >&2; exit 1; }
command -v fio > /dev/null || { echo "This needs fio: apt-get install --no-install-recommends fio" >&2; exit 1; }

folder=$(mktemp -d -p "${1:-$PWD/build}")
trap 'kill $(jobs -p) 2> /dev/null || true; wait; rm -rf "$folder"' EXIT

# number NAME: of a JSON object on stdin.
number() { sed -n "s/.*\"$1\" *: *\([0-9.]*\).*/\1/p"; }
median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# The disk as the log uses it: blocks written in sequence, each durable when it is answered. Prints MB/s.
disk() {  # BLOCK DEPTH
  fio --name=log --filename="$folder/fio" --size=1G --rw=write --bs="$1" --iodepth="$2" --ioengine=io_uring --direct=1 \
    --sync=dsync --overwrite=1 --time_based --runtime=3 --output-format=json |
    sed -n '/"write" : {/,$p' | sed -n 's/.*"bw_bytes" : \([0-9]*\).*/\1/p' | head -1 | awk '{ printf "%.0f\n", $1 / 1e6 }'
}

echo "$(nproc) CPUs, $(sed -n 's/model name.*: //p' /proc/cpuinfo | head -1); Linux $(uname -r); $(df --output=fstype "$folder" | tail -1)"
echo "$shards shard(s), $members members, $ops operations in requests of $batch, $in_flight in flight, durable"
echo "run  op/s      fio 256k x 4 MB/s  fio 4k x 1 MB/s"
disk 256k 4 > /dev/null  # lays out the file
for run in $(seq "$runs"); do
  rm -rf "$folder/ledger" "$folder/ready"
  mkfifo "$folder/ready"
  "$bin/tallyd" --data "$folder/ledger" --create --shards "$shards" --reserve-mib "$reserve" --listen "unix:$folder/socket" > "$folder/ready" &
  read -r _ < "$folder/ready"
  "$bin/tally" --connect "unix:$folder/socket" bench --members "$members" --ops "$ops" --batch "$batch" \
    --in-flight "$in_flight" --json > "$folder/bench.json"
  kill $!
  wait
  rate=$(number ops_per_second < "$folder/bench.json")
  large=$(disk 256k 4)
  small=$(disk 4k 1)
  echo "$rate" >> "$folder/rates"
  echo "$large" >> "$folder/large"
  echo "$small" >> "$folder/small"
  printf '%-4s %-9.0f %-18s %s\n' "$run" "$rate" "$large" "$small"
done
awk -v rate="$(median < "$folder/rates")" -v large="$(median < "$folder/large")" -v small="$(median < "$folder/small")" 'BEGIN {
  printf "medians: %.0f op/s; the disk takes %.0f MB/s, that is %.1f M records of 128 bytes a second: ratio %.2f\n",
    rate, large, large / 128, rate * 128 / large / 1e6 }'
