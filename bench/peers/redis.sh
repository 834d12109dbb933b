# shellcheck shell=bash disable=SC2154  # run.sh sets what this uses
# Redis: the functions of redis.lua, called by peer_bench.

redis_batched="Redis, 100 a call, 4 connections, 4 in flight"
redis_many="Redis, 64 connections, 1 in flight"
# Of 50 to 5,000 operations a call and 1 to 8 calls in flight on 2 to 64 connections: the rate is the same within a tenth
# from 16 calls under way on, and what is more only waits.
redis_batch=(--connections 4 --batch 100 --in-flight 4)
# Every answer waits for the file; no copies of all data by the side; members' hashes stay compact; one thread, for on two
# CPUs a second one for sockets takes half of the rate or more.
redis_options=(--appendonly yes --appendfsync always --auto-aof-rewrite-percentage 0 --save '' --hash-max-listpack-entries 512
  --io-threads 1)

redis_check() { need redis-server redis-server && need redis-cli redis-server; }

redis_settings() { echo "Redis: $(redis-server --version | cut -d' ' -f3), functions of redis.lua; ${redis_options[*]@Q}"; }

redis_start() {
  redis-server --port 0 --unixsocket "$folder/redis/socket" --dir "$folder/redis" "${redis_options[@]}" >> "$folder/redis.log" &
  server=$!
}

redis_cli() { redis-cli -s "$folder/redis/socket" -e "$@" > /dev/null; }

redis_bench() { "$peer_bench" --peer redis --socket "$folder/redis/socket" "$@"; }

redis_balance() { redis_bench balance; }

redis_memory() { memory "$server"; }

redis_measure() {
  mkdir "$folder/redis"
  redis_start
  until_it redis_cli ping
  redis_cli -x function load < "$here/redis.lua"
  measure_server redis "$redis_batched" "$redis_many" "${redis_batch[@]}"
}
