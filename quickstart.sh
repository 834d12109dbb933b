#!/bin/sh
# From a bare Debian 12 machine to a ledger that has survived a crash: installs what is missing, builds, serves,
# imports orders, kills the server in the middle of an import, and shows that nothing acknowledged was lost.
#
# usage: ./quickstart.sh [ORDERS.csv]
#   ORDERS.csv   with the columns of the UCI Online Retail data set; without it, made-up orders are imported
set -eu

say() { printf '\n== %s\n' "$*"; }
fail() { echo "quickstart: $*" >&2; exit 1; }

orders=
case "${1-}" in
  -h | --help) sed -n '2,/^set/ s/^# \{0,1\}//p' "$0"; exit 0 ;;
  -*) fail "there is no option $1: see ./quickstart.sh --help" ;;
esac
[ $# -le 1 ] || fail "one file of orders at most: see ./quickstart.sh --help"
if [ $# -eq 1 ]; then
  # Before all that takes minutes.
  if [ ! -f "$1" ] || [ ! -r "$1" ]; then fail "cannot read $1: name a CSV file of orders"; fi
  orders=$(realpath -- "$1")
  for column in InvoiceNo CustomerID InvoiceDate Quantity UnitPrice; do
    head -n 1 -- "$orders" | grep -q "$column" ||
      fail "$1 has no column $column: import a file of other columns with tally import, as README.md shows"
  done
fi
cd "$(dirname "$0")"

# number NAME FILE: a field of a JSON object; text NAME FILE likewise.
number() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" "$2"; }
text() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$2"; }

say "Installing what is missing"
.ci/install-packages

say "Building (the first time takes a few minutes)"
if command -v ccache > /dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=ccache; fi
cmake --preset release > /dev/null
cmake --build --preset release --target tallyd tally
bin=build/release/bin
tally=$bin/tally

# In build/, for a disk that is a disk: /tmp may be memory. The relative path is short enough for a socket.
work=$(mktemp -d build/quickstart.XXXXXX)
server=
clean_up() {
  [ -z "$server" ] || kill "$server" 2> /dev/null || true
  [ -z "$server" ] || wait "$server" 2> /dev/null || true
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP
export TALLY_CONNECT="unix:$work/socket"

# start_server [--create]: returns when it answers.
start_server() {
  rm -f "$work/ready"
  mkfifo "$work/ready"
  $bin/tallyd --data "$work/ledger" --clock import --listen "$TALLY_CONNECT" "$@" > "$work/ready" 2> "$work/log" &
  server=$!
  ready=
  read -r ready < "$work/ready" || true
  cat "$work/log"
  [ -n "$ready" ] || fail "the server did not start"
  echo "$ready"
}
# import_sample FILE OPTIONS...
import_sample() {
  file=$1
  shift
  $tally import "$file" --program 1 --order order --member member --time time --time-format '%Y-%m-%d %H:%M:%S' \
    --time-zone UTC --spend amount --return-prefix C "$@"
}

say "Starting a server, and putting the program of docs/programs/seed.json"
start_server --create
$tally program put docs/programs/seed.json

if [ -n "$orders" ]; then
  say "Importing $orders"
  $tally import "$orders" --program 1 --order InvoiceNo --member CustomerID --time InvoiceDate \
    --time-format '%d/%m/%Y %H:%M' --time-zone Europe/London --quantity Quantity --unit-price UnitPrice \
    --return-prefix C --rejects "$work/rejects.csv"
  member=$(awk -F, 'NR > 1 && $(NF - 1) ~ /^[0-9]+$/ { print $(NF - 1); exit }' "$orders")
else
  say "Importing 200,000 made-up orders of 20,000 members"
  $tally sample-orders --orders 200000 --members 20000 --seed 1 > "$work/first.csv"
  import_sample "$work/first.csv" --rejects "$work/rejects.csv"
  member=$(awk -F, 'NR == 2 { print $2 }' "$work/first.csv")
fi
[ -n "$member" ] || fail "no line of the orders names a member"

say "What member $member has, and the last of how it came"
$tally balance "$member" --program 1 | sed -n '1,9p'
$tally statement "$member" --program 1 --limit 8

say "What the program owes"
$tally totals --program 1
$tally totals --program 1 --json > "$work/before.json"

# Small requests, so that there is a middle to kill it in. They lie within the program's retention, so that all of them are known
# when they are sent again.
say "Importing more orders, and killing the server in the middle (SIGKILL)"
first_day=$(date -u -d "$(text time "$work/before.json") + 1 day" +%F)
[ "$(date -u -d "$first_day + 25 days" +%s)" -lt "$(date +%s)" ] ||
  fail "these orders reach too close to today: the made-up ones behind them would lie in the future"
$tally sample-orders --orders 100000 --members 20000 --seed 2 --from "$first_day" --days 25 > "$work/second.csv"
enough=$(($(number position "$work/before.json") + 10000))
(
  status=0
  import_sample "$work/second.csv" --batch 10 --in-flight 1 --patience 0 --json > "$work/killed.json" \
    2> "$work/import-log" || status=$?
  : > "$work/import-over"
  exit $status
) &
import=$!
position=0
while [ "$position" -lt "$enough" ]; do
  [ ! -e "$work/import-over" ] || fail "the import was over before the server could be killed"
  $tally totals --program 1 --json > "$work/now.json"
  position=$(number position "$work/now.json")
done
kill -KILL "$server"
wait "$server" 2> /dev/null || true
server=
wait "$import" && fail "the import did not notice that the server was killed"
cat "$work/import-log"
accepted=$(number accepted "$work/killed.json")
unanswered=$(number unanswered "$work/killed.json")
[ "$unanswered" -gt 0 ] || fail "the import was over before the server was killed"
echo "Killed at position $position or behind it: $accepted orders were acknowledged, $unanswered were not."

say "Starting it again: it reads its log"
start_server
$tally totals --program 1 --json > "$work/after.json"
grep -q '"balanced":true' "$work/after.json" || fail "the totals don't balance"
[ "$(number position "$work/after.json")" -ge "$position" ] || fail "records that had been seen are gone"
echo "The totals balance; the log is at position $(number position "$work/after.json")."

say "Importing the same orders again adds what is missing"
import_sample "$work/second.csv" --json > "$work/resumed.json"
orders_in_all=$(number orders "$work/resumed.json")
there=$(number replayed "$work/resumed.json")
added=$(number accepted "$work/resumed.json")
echo "$accepted orders had been acknowledged before the crash; $there were there (the ledger may know more than it had time to tell);"
echo "$added were added now; $orders_in_all in all."
[ "$there" -ge "$accepted" ] || fail "acknowledged orders were lost"
[ $((there + added)) -eq "$orders_in_all" ] || fail "some orders were neither there nor added"
$tally totals --program 1

say "Nothing acknowledged was lost, and the totals balance"
cat << EOF
To go on:
  $bin/tallyd --data DIRECTORY --create --listen unix:/tmp/tallyd.sock      a ledger of your own, on the wall clock
  export TALLY_CONNECT=unix:/tmp/tallyd.sock
  $tally program put docs/programs/seed.json
  $tally purchase 17850 9500 --program 1            \$95.00: 9 points, pending
  $tally balance 17850 --program 1
  $tally bench                                      how fast this machine does it
  $tally --help
docs/semantics.md says what an operation does, exactly.
EOF
