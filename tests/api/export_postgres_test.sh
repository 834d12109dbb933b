#!/usr/bin/env bash
# A ledger's export in PostgreSQL: plain SQL comes to what the ledger itself says, also when it goes on with a later export.
# usage: export_postgres_test.sh TALLYD TALLY PROGRAM     exits with 77, which ctest takes for skipped, where PostgreSQL is missing
set -euo pipefail
tallyd=$1 tally=$2 program=$3
postgres=/usr/lib/postgresql/15/bin
[ -x "$postgres/postgres" ] || { echo "skipped: there is no $postgres/postgres"; exit 77; }
# Its server refuses to run as root.
as_postgres=()
if [ "$(id -u)" = 0 ]; then as_postgres=(setpriv --reuid=postgres --regid=postgres --init-groups); fi

folder=$(mktemp -d -t export_postgres_test.XXXXXX)
chmod 755 "$folder"
server='' database=''
stop() {
  if [ -n "$server" ]; then kill "$server" && wait "$server" || true; fi
  if [ -n "$database" ]; then kill -INT "$database" && wait "$database" || true; fi
  rm -rf "$folder"
}
trap stop EXIT

until_it() {
  for _ in $(seq 300); do
    if "$@" > /dev/null 2>&1; then return; fi
    sleep 0.1
  done
  echo "never: $*"
  exit 1
}

sql() { "$postgres/psql" -h "$folder/postgres" -U postgres -XAt "$@"; }
t() { "$tally" --connect "unix:$folder/socket" "$@"; }
serve() {
  "$tallyd" --data "$folder/ledger" --listen "unix:$folder/socket" --segment-mib 8 "$@" > /dev/null &
  server=$!
  until_it test -S "$folder/socket"
}
end() {
  kill "$server"
  wait "$server"
  server=''
}
import() {
  t sample-orders --orders 3000 --members 400 --seed "$1" --from "$2" --days 30 > "$folder/$1.csv"
  t import "$folder/$1.csv" --program 1 --order order --member member --time time --spend amount --return-prefix C \
    --time-format '%Y-%m-%d %H:%M:%S' > /dev/null
}
# moves MEMBER DAY LATER: a capture that has debt forgiven, a reversal, a cancellation, a close, and a hold until LATER.
moves() {
  local m=$1 day=$2
  at() { t "$@" --program 1 --at "$day" > /dev/null; }
  at enrol "$m"
  at accrue "$m" 100 --id "${m}01"
  at activate "$m" --purchase "${m}01"
  at hold "$m" 70 --id "${m}02" --until "$3"
  at return "$m" 100 --original "${m}01"
  at capture "$m" 50 --hold "${m}02"
  at adjust "$m" 60
  at hold "$m" 25 --id "${m}03" --until "$3"
  at redeem "$m" 10 --id "${m}04"
  at reverse "$m" 4 --redemption "${m}04"
  at accrue "$m" 9 --id "${m}05"
  at cancel "$m" 5 --purchase "${m}05"
  at extend "$m" --to "$3"
  at enrol "${m}9"
  at adjust "${m}9" 8
  at accrue "${m}9" 3
  at enrol "${m}8"
  at transfer "$m" 3 --to "${m}8"
  at transfer 9001 2 --to "${m}7" 2> /dev/null || true  # comes back: there is no such member
  at close "${m}9" --expire-rest
}
# What the ledger says of itself.
totals() {
  t totals --program 1 --json | tr -d '{}"' | tr ',' '\n' |
    sed -n 's/^outstanding://; /^\(issued\|redeemed\|expired\|clawed_back\|written_off\|adjusted\|reinstated\|forgiven\|pending\|available\|held\|debt\|members\|forfeited\|closed_out\|sent\|received\):/p' |
    sort
}
# What plain SQL says of the postings.
summed() {
  sql -F : -c "SET search_path TO tallystick" -c "SELECT account, sum(CASE WHEN account IN ('debt', 'issued', 'adjusted', 'reinstated', 'forgiven', 'received')
      THEN -amount ELSE amount END) FROM postings GROUP BY account
    UNION ALL SELECT 'members', count(*) FROM members
    UNION ALL SELECT 'forfeited', sum(forfeited) FROM totals UNION ALL SELECT 'closed_out', sum(closed_out) FROM totals" | grep -v '^SET$' | sort
}
compare() {
  # Accounts in which nothing ever moved have no postings.
  grep -v ':0$' "$folder/told" > "$folder/expected"
  summed | grep -v ':0$' > "$folder/summed"
  diff "$folder/expected" "$folder/summed"
  local apart
  apart=$(sql -c "SELECT count(*) FROM (
      SELECT program, member, sum(amount) FILTER (WHERE account = 'pending') AS pending,
        sum(amount) FILTER (WHERE account = 'available') AS available, sum(amount) FILTER (WHERE account = 'held') AS held,
        -sum(amount) FILTER (WHERE account = 'debt') AS debt
      FROM tallystick.postings GROUP BY program, member) p
    FULL JOIN tallystick.members m USING (program, member)
    WHERE (coalesce(p.pending, 0), coalesce(p.available, 0), coalesce(p.held, 0), coalesce(p.debt, 0)) IS DISTINCT FROM
      (m.pending, m.available, m.held, m.debt)")
  [ "$apart" = 0 ] || { echo "$apart members have other sums"; exit 1; }
}

mkdir "$folder/postgres"
if [ ${#as_postgres[@]} -gt 0 ]; then chown postgres: "$folder/postgres"; fi
(cd "$folder/postgres" && "${as_postgres[@]}" "$postgres/initdb" -D data --auth=trust --username=postgres > initdb.log)
"${as_postgres[@]}" "$postgres/postgres" -D "$folder/postgres/data" -k "$folder/postgres" -c listen_addresses= -c fsync=off \
  > "$folder/postgres.log" 2>&1 &
database=$!
until_it "$postgres/pg_isready" -h "$folder/postgres"

serve --create --shards 2 --clock import
t program put "$program" > /dev/null
import 1 2024-01-01
moves 9001 2024-02-01 2024-02-20
totals > "$folder/told"
end
"$tally" log export "$folder/ledger" --postgres "$folder/whole.sql" --json > "$folder/whole.json"
from=$(sed 's/.*"to":"\([^"]*\)".*/\1/' "$folder/whole.json")
sql -q -f "$folder/whole.sql"
compare

# What an older program made has other tables.
sql -q -c "UPDATE tallystick.meta SET value = '2' WHERE key = 'format'"
"$tally" log export "$folder/ledger" --postgres "$folder/nothing.sql" --from "$from" > /dev/null
if sql -q -f "$folder/nothing.sql" 2> "$folder/refusal"; then
  echo "An export was loaded into tables of another format"
  exit 1
fi
grep -q 'the tables are of another format than 3: drop the schema tallystick' "$folder/refusal" || { cat "$folder/refusal"; exit 1; }
sql -q -c "UPDATE tallystick.meta SET value = '3' WHERE key = 'format'"

# A second export, behind the first; loaded once, and refused the second time, without a trace.
serve
import 2 2024-03-01
moves 9002 2024-04-01 2024-05-01
t tick --to 2024-06-01 > /dev/null
totals > "$folder/told"
end
"$tally" log export "$folder/ledger" --postgres "$folder/later.sql" --from "$from" > /dev/null
sql -q -f "$folder/later.sql"
compare
if sql -q -f "$folder/later.sql" 2> "$folder/refusal"; then
  echo "The same export was loaded twice"
  exit 1
fi
grep -q 'the tables do not end where this export goes on' "$folder/refusal" || { cat "$folder/refusal"; exit 1; }
compare

# An export into tables that something else has changed.
sql -q -c "UPDATE tallystick.postings SET amount = amount + 1 WHERE (shard, position, line) =
  (SELECT shard, position, line FROM tallystick.postings LIMIT 1)"
sql -q -c "UPDATE tallystick.shards SET position = split_part(split_part('$from', ',', shard + 1), ':', 2)::bigint"
sql -q -c "DELETE FROM tallystick.postings p USING tallystick.shards s WHERE p.shard = s.shard AND p.position > s.position"
if sql -q -f "$folder/later.sql" 2> "$folder/refusal"; then
  echo "An export was loaded into tables that do not sum up"
  exit 1
fi
grep -q 'do not sum up to the totals' "$folder/refusal" || { cat "$folder/refusal"; exit 1; }
