# shellcheck shell=bash disable=SC2154  # run.sh sets what this uses
# Tallystick: tallyd and tally bench.

tallystick_peak="Tallystick, 1,000 a request, 32 in flight"
tallystick_half="Tallystick, the same at half that rate"
tallystick_many="Tallystick, 64 connections, 1 in flight"

tallystick_check() { :; }

tallystick_settings() {
  echo "Tallystick: $("$bin/tallyd" --version), $shards shard(s), $reserve MiB reserved except where memory and restart are" \
    "measured; $peak_ops operations each at its peak and at half of it"
}

# tallystick_start OPTION...: of tallyd.
tallystick_start() {
  rm -f "$folder/ready"
  mkfifo "$folder/ready"
  "$bin/tallyd" --data "$folder/ledger" --listen "unix:$folder/socket" "$@" > "$folder/ready" 2>> "$folder/tallyd.log" &
  server=$!
  read -r _ < "$folder/ready" || { cat "$folder/tallyd.log" >&2; return 1; }
}

tallystick_create() {
  rm -rf "$folder/ledger"
  tallystick_start --create --shards "$shards" "$@"
}

tallystick_bench() { "$bin/tally" --connect "unix:$folder/socket" bench --members "$members" --json "$@" > "$folder/bench.json"; }

# Loading is the first part of a benchmark, here of one operation.
tallystick_load() { tallystick_bench --ops 1 --batch 1 --in-flight 1 --warm-up 0; }

tallystick_balance() { "$bin/tally" --connect "unix:$folder/socket" balance 1 --program 999 --json | number available; }

tallystick_measure() {
  local before
  tallystick_create
  before=$(memory "$server")
  tallystick_load
  record "$tallystick_peak" memory "$(per "$members" "$before" "$(memory "$server")")"
  tallystick_bench --no-load --ops "$ops" --batch 1000 --in-flight 32 --warm-up 0
  record_restart "$tallystick_peak" tallystick
  stop "$server"

  tallystick_create --reserve-mib "$reserve"
  tallystick_load
  before=$(allocated "$folder/ledger")
  tallystick_bench --no-load --ops "$peak_ops" --batch 1000 --in-flight 32
  record "$tallystick_peak" disk "$(per "$(answered "$folder/bench.json")" "$before" "$(allocated "$folder/ledger")")"
  record_rates "$tallystick_peak" "$folder/bench.json" ok
  record "$tallystick_half" ops_of "$tallystick_peak"
  local half
  half=$(number ops_per_second < "$folder/bench.json" | awk '{ printf "%.0f\n", $1 / 2 }')
  stop "$server"

  tallystick_create --reserve-mib "$reserve"
  tallystick_load
  tallystick_bench --no-load --seconds "$duration" --connections 64 --batch 1 --in-flight 1
  record_rates "$tallystick_many" "$folder/bench.json" ok
  tallystick_bench --no-load --ops "$peak_ops" --batch 1000 --in-flight 64 --rate "$half"
  record_rates "$tallystick_half" "$folder/bench.json" ok
  stop "$server"
  rm -rf "$folder/ledger"
}
