# shellcheck shell=bash disable=SC2154  # run.sh sets what this uses
# PostgreSQL: the tables and functions of postgres.sql, called by peer_bench.

postgres_batched="PostgreSQL, 5,000 a call, 4 connections, 2 in flight"
postgres_many="PostgreSQL, 64 connections, 1 in flight"
postgres_bin=/usr/lib/postgresql/15/bin
# The highest rate of 2 to 6 connections, 2,000 to 10,000 operations a call, and 1 to 4 calls in flight. Three connections with
# one call in flight do five per cent less, and take half as long for a call.
postgres_batch=(--connections 4 --batch 5000 --in-flight 2)
# As its documentation advises for much writing; all data fits in its buffers, a quarter of 24 GiB, and no checkpoint comes while
# it is measured. Full-page writes stay on. The functions' plans are made once. Tried and slower: fdatasync, wal_buffers=64MB,
# wal_init_zero=off, commit_delay of 100 to 1,000 µs.
postgres_options=(shared_buffers=6GB huge_pages=try synchronous_commit=on full_page_writes=on wal_level=minimal max_wal_senders=0
  wal_sync_method=open_datasync wal_buffers=256MB wal_compression=off max_wal_size=64GB checkpoint_timeout=1h autovacuum=off
  jit=off plan_cache_mode=force_generic_plan max_connections=100)
# Its server refuses to run as root.
as_postgres=()
if [ "$(id -u)" = 0 ]; then as_postgres=(setpriv --reuid=postgres --regid=postgres --init-groups); fi

postgres_check() {
  [ -x "$postgres_bin/postgres" ] || {
    echo "This needs $postgres_bin/postgres: apt-get install --no-install-recommends postgresql-15" >&2
    return 1
  }
  "${as_postgres[@]}" test -x "$folder" || {
    echo "The user postgres cannot reach $folder: name another folder, or run this as another user than root" >&2
    return 1
  }
}

postgres_settings() {
  echo "PostgreSQL: $("$postgres_bin/postgres" --version | cut -d' ' -f3), functions of postgres.sql; ${postgres_options[*]}"
}

postgres_start() {
  "${as_postgres[@]}" "$postgres_bin/postgres" -D "$folder/postgres/data" -k "$folder/postgres" -c listen_addresses= \
    "${postgres_options[@]/#/--}" >> "$folder/postgres.log" 2>&1 &
  server=$!
}

postgres_bench() { "$peer_bench" --peer postgres --socket "$folder/postgres" "$@"; }

postgres_balance() { postgres_bench balance; }

# Its buffers are the host's shared memory, of which its processes map what each has touched: they are counted there.
postgres_memory() {
  local pid
  for pid in "$server" $(pgrep -P "$server"); do cat "/proc/$pid/smaps_rollup" 2> /dev/null || true; done |
    cat /proc/meminfo - |
    awk '/^Shmem:|^Pss_Anon:/ { kib += $2 } END { printf "%.0f\n", kib * 1024 }'
}

postgres_measure() {
  mkdir "$folder/postgres"
  if [ ${#as_postgres[@]} -gt 0 ]; then chown postgres: "$folder/postgres"; fi
  (cd "$folder/postgres" && "${as_postgres[@]}" "$postgres_bin/initdb" -D data --auth=trust --username=postgres > initdb.log)
  postgres_start
  until_it "$postgres_bin/pg_isready" -h "$folder/postgres"
  "$postgres_bin/psql" -h "$folder/postgres" -U postgres -v ON_ERROR_STOP=1 -qf "$here/postgres.sql"
  measure_server postgres "$postgres_batched" "$postgres_many" "${postgres_batch[@]}"
}
