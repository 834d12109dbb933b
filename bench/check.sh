#!/usr/bin/env bash
# Fails when applying operations or appending to the log has become slower by more than 30 %, measured against what
# the machine allows in the same run: random reads and writes of memory, and bare writes to the same disk. Absolute
# times say nothing on a machine that others share; the best of three repetitions is least disturbed, and what looks
# slow is measured once more.
#
# usage: bench/check.sh APPLY_BENCH LOG_BENCH
set -euo pipefail
apply_bench=$1 log_bench=$2

# The lower end of what docs/benchmarks.md has for the ratios.
apply_ratio=0.23 log_ratio=0.33

# best PROGRAM FILTER COLUMN: the largest figure of three repetitions.
best() {
  "$1" --benchmark_filter="$2" --benchmark_repetitions=3 --benchmark_min_time=0.5 --benchmark_format=csv 2> /dev/null |
    awk -F, -v column="$3" '
      /^name,/ { for (i = 1; i <= NF; i++) if ($i == column) wanted = i; next }
      wanted && $1 !~ /_(mean|median|stddev|cv)"?$/ && $wanted > best { best = $wanted }
      END { printf "%.0f\n", best }'
}

# verdict NAME FIGURE LIMIT EXPECTED
verdict() {
  awk -v name="$1" -v figure="$2" -v limit="$3" -v expected="$4" 'BEGIN {
    if (figure <= 0 || limit <= 0) { print name ": the benchmark gave no figure"; exit 1 }
    ratio = figure / limit
    slow = ratio < 0.7 * expected
    printf "%s: %.3g of %.3g a second, ratio %.3f, usually %.2f%s\n", name, figure, limit, ratio, expected,
      slow ? ": slower by more than 30 %" : ""
    exit slow
  }'
}

check_apply() {
  verdict "apply, beside random memory" \
    "$(best "$apply_bench" '^Apply/accrue_redeem/1000000/' items_per_second)" \
    "$(best "$apply_bench" '^MemoryBound/1000000/' items_per_second)" "$apply_ratio"
}
check_log() {
  verdict "log, beside bare writes" \
    "$(best "$log_bench" '^LogAppend/2047/8/' bytes_per_second)" \
    "$(best "$log_bench" '^RawWrites/2047/8/' bytes_per_second)" "$log_ratio"
}

failed=0
check_apply || check_apply || failed=1
check_log || check_log || failed=1
exit "$failed"
