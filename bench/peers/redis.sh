# shellcheck shell=bash disable=SC2154  # run.sh sets what this uses
# Redis: the functions of redis.lua, called by peer_bench.

redis_batched="Redis, 100 a call, 8 connections, 4 in flight"
redis_many="Redis, 64 connections, 1 in flight"
# Every answer waits for the file; no copies of all data by the side; members' hashes stay compact; one thread, since what
# more threads do for sockets does not pay where one call has many operations, or the disk decides.
redis_options=(--appendonly yes --appendfsync always --auto-aof-rewrite-percentage 0 --save '' --hash-max-listpack-entries 512
  --io-threads 1)

redis_check() { need redis-server redis-server && need redis-cli redis-server; }

redis_settings() { echo "Redis: $(redis-server --version | cut -d' ' -f3), functions of redis.lua; ${redis_options[*]@Q}"; }

redis_start() {
  redis-server --port 0 --unixsocket "$folder/redis/socket" --dir "$folder/redis" "${redis_options[@]}" >> "$folder/redis.log" &
  server=$!
}

redis_cli() { redis-cli -s "$folder/redis/socket" -e "$@" > /dev/null; }

redis_bench() { "$peer_bench" --peer redis --socket "$folder/redis/socket" "$@" > "$folder/bench.json"; }

redis_balance() { "$peer_bench" --peer redis --socket "$folder/redis/socket" balance; }

redis_measure() {
  local before
  mkdir "$folder/redis"
  redis_start
  until_it redis_cli ping
  redis_cli -x function load < "$here/redis.lua"
  before=$(memory "$server")
  redis_bench load --members "$members" --connections 8 --batch 100 --in-flight 4
  record "$redis_batched" memory "$(per "$members" "$before" "$(memory "$server")")"
  before=$(allocated "$folder/redis")
  redis_bench run --members "$members" --connections 8 --batch 100 --in-flight 4 --ops "$ops"
  record "$redis_batched" disk "$(per "$(answered "$folder/bench.json")" "$before" "$(allocated "$folder/redis")")"
  record_rates "$redis_batched" "$folder/bench.json" accepted
  record "$redis_batched" ops_of "${tallystick_peak-}"
  record "$redis_batched" p99_of "${tallystick_half-}"
  record_restart "$redis_batched" redis_balance redis_start

  before=$(allocated "$folder/redis")
  redis_bench run --members "$members" --connections 64 --seconds "$duration" --warm-up 1
  record "$redis_many" disk "$(per "$(answered "$folder/bench.json")" "$before" "$(allocated "$folder/redis")")"
  record_rates "$redis_many" "$folder/bench.json" accepted
  record "$redis_many" ops_of "${tallystick_many-}"
  record "$redis_many" p99_of "${tallystick_many-}"
  stop "$server"
  rm -rf "$folder/redis"
}
