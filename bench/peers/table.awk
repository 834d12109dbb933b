# Makes one table of lines "ROW tab COLUMN tab VALUE", in the order of the rows' first lines. Columns: ops, p50 and p99 (µs),
# refused, disk, memory, restart; of several values of one, the median. Two columns name other rows: ops_of the one whose
# rate is divided by this one's, p99_of the one that this one's p99 is divided by.
BEGIN { FS = "\t" }

!($1 in seen) { seen[$1] = 1; rows[++row_count] = $1 }
$2 ~ /_of$/ { text[$1, $2] = $3; next }
$3 != "" { values[$1, $2, ++count[$1, $2]] = $3 }

function median(row, column,    n, i, j, v, sorted) {
  n = count[row, column]
  if (n == 0) return ""
  for (i = 1; i <= n; i++) {
    v = values[row, column, i] + 0
    for (j = i - 1; j > 0 && sorted[j] > v; j--) sorted[j + 1] = sorted[j]
    sorted[j + 1] = v
  }
  return sorted[int((n + 1) / 2)]
}

function cell(value, format) { return value == "" ? "-" : sprintf(format, value) }
function ms(us) { return us == "" ? "" : us / 1000 }
function ratio(a, b) { return a == "" || b == "" || b == 0 ? "" : a / b }

END {
  format = "%-54s %9s %8s %9s %9s %9s %9s %9s %8s %8s\n"
  printf format, "", "op/s", "refused", "p50 ms", "p99 ms", "disk B", "memory B", "restart s", "x op/s", "x p99"
  for (i = 1; i <= row_count; i++) {
    row = rows[i]
    printf format, row, cell(median(row, "ops"), "%.0f"), cell(median(row, "refused"), "%d"),
      cell(ms(median(row, "p50")), "%.2f"), cell(ms(median(row, "p99")), "%.2f"), cell(median(row, "disk"), "%.0f"),
      cell(median(row, "memory"), "%.0f"), cell(median(row, "restart"), "%.2f"),
      cell(ratio(median(text[row, "ops_of"], "ops"), median(row, "ops")), "%.1f"),
      cell(ratio(median(row, "p99"), median(text[row, "p99_of"], "p99")), "%.1f")
  }
}
