# shellcheck shell=bash disable=SC2154  # run.sh sets what this uses
# TigerBeetle, when there is one: its own benchmark, whose work is another one. A transfer moves an amount between two random
# accounts, with an id that is applied once; no balance is checked. It has no Unix socket.

tigerbeetle_row="TigerBeetle, its own benchmark's batches"
tigerbeetle_address=127.0.0.1:${TIGERBEETLE_PORT:-3033}

tigerbeetle_check() { :; }

tigerbeetle_settings() {
  if command -v tigerbeetle > /dev/null; then
    echo "TigerBeetle: $(tigerbeetle version), one replica; its own benchmark: transfers between two accounts, no balance checked"
  else
    echo "tigerbeetle: not on PATH, left out"
  fi
}

tigerbeetle_listens() { (: < "/dev/tcp/${tigerbeetle_address/:/\/}") 2> /dev/null; }

# tigerbeetle_figure PATTERN: the number behind it.
tigerbeetle_figure() { sed -n "s/.*$1 *= *\([0-9.]*\).*/\1/p" "$folder/tigerbeetle.out" | head -1; }

tigerbeetle_measure() {
  command -v tigerbeetle > /dev/null || return 0
  local before
  mkdir "$folder/tigerbeetle"
  tigerbeetle format --cluster=0 --replica=0 --replica-count=1 "$folder/tigerbeetle/data" > "$folder/tigerbeetle.log" 2>&1
  tigerbeetle start --addresses="$tigerbeetle_address" "$folder/tigerbeetle/data" >> "$folder/tigerbeetle.log" 2>&1 &
  server=$!
  until_it tigerbeetle_listens
  before=$(allocated "$folder/tigerbeetle")
  tigerbeetle benchmark --addresses="$tigerbeetle_address" --account-count="$members" --transfer-count="$ops" \
    > "$folder/tigerbeetle.out" 2>&1 || { cat "$folder/tigerbeetle.out" >&2; return 1; }
  record "$tigerbeetle_row" disk "$(per "$ops" "$before" "$(allocated "$folder/tigerbeetle")")"
  record "$tigerbeetle_row" ops "$(tigerbeetle_figure 'load accepted')"
  record "$tigerbeetle_row" p50 "$(tigerbeetle_figure 'batch latency p50' | awk '{ print $1 * 1000 }')"
  record "$tigerbeetle_row" p99 "$(tigerbeetle_figure 'batch latency p99' | awk '{ print $1 * 1000 }')"
  record "$tigerbeetle_row" ops_of "${tallystick_peak-}"
  record "$tigerbeetle_row" p99_of "${tallystick_half-}"
  stop "$server"
  rm -rf "$folder/tigerbeetle"
}
