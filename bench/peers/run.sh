#!/usr/bin/env bash
# The same work for Tallystick and its peers, on this machine, one after the other: the mix of `tally bench` (80 %
# accruals, 20 % redemptions, which a balance that is too small refuses), uniformly random members, transactions with random
# 128-bit ids of which none is applied twice, each member's history kept and readable by member, every answer durable.
# Prints each peer's settings, one table of the runs' medians, and what its columns mean. Servers listen on Unix sockets,
# keep all in a folder that is removed at the end, and are verified: balances and histories must have grown by what the
# answers said.
#
# usage: bench/peers/run.sh [FOLDER]   a folder on the disk to be measured; otherwise build/
#   PEERS="disk tallystick redis postgres tigerbeetle"   which, in this order
#   RUNS=3 MEMBERS=1000000
#   OPS=4000000         operations of a batched measurement of a peer, and those before each restart
#   PEAK_OPS=20000000   of Tallystick's batched measurements, which would not last a second else
#   DURATION=20         seconds that the measurements of 64 connections last
#   SHARDS=1 RESERVE_MIB=6144   of Tallystick; see bench/durable.sh
#   BUILD=build/release
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/bench/peers
peers=${PEERS:-disk tallystick redis postgres tigerbeetle} runs=${RUNS:-3} members=${MEMBERS:-1000000} ops=${OPS:-4000000}
# shellcheck disable=SC2034  # the peers' files use them
peak_ops=${PEAK_OPS:-20000000} duration=${DURATION:-20} shards=${SHARDS:-1} reserve=${RESERVE_MIB:-6144}
build=$(realpath -m "${BUILD:-build/release}")
bin=$build/bin peer_bench=$build/bench/peers/peer_bench
if [ ! -x "$bin/tallyd" ] || [ ! -x "$peer_bench" ]; then
  echo "Build it first: cmake --preset release && cmake --build --preset release" >&2
  exit 1
fi

for peer in $peers; do
  [ -f "$here/$peer.sh" ] || {
    echo "PEERS names $peer, which is none of disk, tallystick, redis, postgres, tigerbeetle" >&2
    exit 1
  }
  # Each defines PEER_check, PEER_settings and PEER_measure.
  # shellcheck source=/dev/null
  . "$here/$peer.sh"
done

mkdir -p "${1:-build}"
folder=$(mktemp -d -p "$(realpath "${1:-build}")")
chmod 711 "$folder"  # another user's server has its own folder inside
trap 'kill $(jobs -p) 2> /dev/null || true; wait; rm -rf "$folder"' EXIT
results=$folder/results
: > "$results"
server=  # process id of the one that runs

# need PROGRAM PACKAGE
need() {
  command -v "$1" > /dev/null || { echo "This needs $1: apt-get install --no-install-recommends $2" >&2; return 1; }
}

# record ROW COLUMN VALUE: see table.awk.
record() { printf '%s\t%s\t%s\n' "$1" "$2" "$3" >> "$results"; }

# number NAME: of a JSON object on stdin.
number() { sed -n "s/.*\"$1\" *: *\([0-9.e+-]*\).*/\1/p"; }

# answered FILE: operations, warm-up included, of what a benchmark printed.
answered() { tr -d ' \n' < "$1" | sed 's/.*"outcomes":{\([^}]*\)}.*/\1/' | tr ',' '\n' | awk -F: '{ n += $2 } END { print n }'; }

# record_rates ROW FILE ACCEPTED: what a benchmark printed; ACCEPTED is its word for operations that were.
record_rates() {
  record "$1" ops "$(number ops_per_second < "$2")"
  record "$1" p50 "$(number p50 < "$2")"
  record "$1" p99 "$(number p99 < "$2")"
  record "$1" refused "$(per 1 "$(number "$3" < "$2")" "$(answered "$2")")"
}

# Bytes that a folder takes on the disk; a file's last page may still be on its way there.
allocated() { sync -f "$1"; du --block-size=1 --summarize "$1" | cut -f1; }

# Bytes of memory of a process.
memory() { awk '/^VmRSS:/ { printf "%.0f\n", $2 * 1024 }' "/proc/$1/status"; }

# per COUNT BEFORE AFTER
per() { awk -v n="$1" -v before="$2" -v after="$3" 'BEGIN { printf "%.1f\n", (after - before) / n }'; }

# until_it COMMAND...: again and again until it succeeds, for ten minutes at most.
until_it() {
  local deadline=$((SECONDS + 600))
  until "$@" > /dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || { echo "This has not succeeded in ten minutes: $*" >&2; return 1; }
    sleep 0.01
  done
}

# Ends a server at once, with all its children, as a crash would.
crash() {
  local pids
  pids="$1 $(pgrep -P "$1" || true)"
  # shellcheck disable=SC2086  # a list of words
  kill -9 $pids
  wait "$1" 2> /dev/null || true
  local pid
  for pid in $pids; do while kill -0 "$pid" 2> /dev/null; do sleep 0.01; done; done
}

# record_restart ROW PEER: crashes the server, starts it again, and takes the time until PEER_balance prints what it did
# before.
record_restart() {
  local before begin
  before=$("$2_balance")
  crash "$server"
  begin=${EPOCHREALTIME/./}
  "$2_start"
  until_it balance_is "$before" "$2"
  record "$1" restart "$(awk -v us=$((${EPOCHREALTIME/./} - begin)) 'BEGIN { printf "%.3f\n", us / 1e6 }')"
}
balance_is() { [ "$("$2_balance")" = "$1" ]; }

stop() {
  kill "$1"
  wait "$1" || true
}

# measure_server PEER BATCHED_ROW MANY_ROW BATCH_OPTION...: all that is measured of a peer whose new server runs, with its
# data in $folder/PEER. Removes both.
measure_server() {
  local peer=$1 batched=$2 many=$3 before
  shift 3
  before=$("${peer}_memory")
  "${peer}_bench" load --members "$members" "$@" > /dev/null
  record "$batched" memory "$(per "$members" "$before" "$("${peer}_memory")")"
  before=$(allocated "$folder/$peer")
  "${peer}_bench" run --members "$members" "$@" --ops "$ops" > "$folder/bench.json"
  record "$batched" disk "$(per "$(answered "$folder/bench.json")" "$before" "$(allocated "$folder/$peer")")"
  record_rates "$batched" "$folder/bench.json" accepted
  record "$batched" ops_of "${tallystick_peak-}"
  record "$batched" p99_of "${tallystick_half-}"
  record_restart "$batched" "$peer"
  "${peer}_bench" run --members "$members" --connections 64 --seconds "$duration" --warm-up 1 > "$folder/bench.json"
  record_rates "$many" "$folder/bench.json" accepted
  record "$many" ops_of "${tallystick_many-}"
  record "$many" p99_of "${tallystick_many-}"
  stop "$server"
  rm -rf "${folder:?}/$peer"
}

for peer in $peers; do "${peer}_check"; done
echo "$(nproc) CPUs, $(sed -n 's/model name.*: //p' /proc/cpuinfo | head -1); Linux $(uname -r); $(df --output=fstype "$folder" | tail -1)"
echo "$members members; medians of $runs run(s)"
for peer in $peers; do "${peer}_settings"; done
for run in $(seq "$runs"); do
  for peer in $peers; do
    echo "run $run: $peer" >&2
    "${peer}_measure"
  done
done
echo
awk -f "$here/table.awk" "$results"
cat << END

op/s      answered; of Tallystick, accepted. Refusals for want of points are counted beside
p50, p99  of a request: all operations of one call or one tally request, from sending to durable answer; open loop: from when it
          should have been sent; TigerBeetle: of its batches
disk      growth of the data folder by an operation, log included, as allocated (du), not apparent; of the disk, a write's bytes
memory    growth of resident memory by loading a member with one accrual; of PostgreSQL, shared memory and its processes' own
restart   killed after $ops operations, started again, until a member's balance was answered as before
x op/s    how many times as many Tallystick answers in the same shape; x p99: the row's p99 by Tallystick's, batched ones by that
          of the open loop at half of its peak
END
