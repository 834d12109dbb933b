#include "api/tally/audit_rows.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "api/instants.h"

namespace tallystick::tally {
namespace {

PostingSums Difference(const PostingSums& from, const PostingSums& less) {
  PostingSums sums = from;
  sums.members -= less.members;
  for (size_t i = 0; i < sums.amount.size(); ++i) sums.amount[i] -= less.amount[i];
  return sums;
}

}  // namespace

absl::Status CheckRow(const AuditRow& row) {
  const auto wrong = [&row](absl::string_view what) {
    return absl::DataLossError(absl::StrCat("program ", row.program, " on ", DayText(row.day), ": ",
                                            what, ". Keep the log, and report it as a defect"));
  };
  for (const PostingSums* sums : {&row.opening, &row.movements, &row.closing}) {
    if (sums->Balance() != 0) return wrong("points are not conserved");
  }
  PostingSums sum = row.opening;
  sum.Add(row.movements);
  for (size_t i = 0; i < kPostingAccountCount; ++i) {
    if (sum.amount[i] == row.closing.amount[i]) continue;
    return wrong(absl::StrCat(PostingAccountName(static_cast<PostingAccount>(i)),
                              ": opening and movements are not the closing"));
  }
  return sum == row.closing ? absl::OkStatus() : wrong("members enrolled are miscounted");
}

void AuditRows::Begin(const ledger::StateMachine& opening) {
  for (const uint16_t program : opening.Programs()) {
    closings_[program] = SumsOf(*opening.TotalsOf(program));
    openings_[program].Add(closings_[program]);
  }
}

void AuditRows::AddRecord(const PostedRecord& posted) {
  if (posted.record->operation.kind() == Kind::Tick) return;
  moved_[posted.record->operation.program()].Add(posted);
}

absl::Status AuditRows::EndDay(int64_t day, const ledger::StateMachine& machine) {
  for (const uint16_t program : machine.Programs()) {
    AuditRow row;
    row.program = program;
    row.day = day;
    row.opening = closings_[program];
    row.movements = moved_[program];
    row.closing = SumsOf(*machine.TotalsOf(program));
    if (absl::Status s = CheckRow(row); !s.ok()) return s;
    if (row.opening != row.closing || row.movements != PostingSums()) {
      Day& sum = days_[{program, day}];
      sum.movements.Add(row.movements);
      sum.growth.Add(Difference(row.closing, row.opening));
    }
    closings_[program] = row.closing;
  }
  moved_.clear();
  return absl::OkStatus();
}

absl::StatusOr<std::vector<AuditRow>> AuditRows::Rows() const {
  std::vector<AuditRow> rows;
  for (const auto& [key, day] : days_) {
    AuditRow row;
    row.program = key.first;
    row.day = key.second;
    if (!rows.empty() && rows.back().program == row.program) {
      row.opening = rows.back().closing;
    } else if (const auto found = openings_.find(row.program); found != openings_.end()) {
      row.opening = found->second;
    }
    row.movements = day.movements;
    row.closing = row.opening;
    row.closing.Add(day.growth);
    if (absl::Status s = CheckRow(row); !s.ok()) return s;
    rows.push_back(row);
  }
  return rows;
}

AuditRow Between(const std::vector<AuditRow>& rows, uint16_t program, int64_t since, int64_t until,
                 const PostingSums& opening) {
  AuditRow sum{program, since, opening, {}, opening};
  for (const AuditRow& row : rows) {
    if (row.program != program || row.day > until) continue;
    if (row.day < since) {
      sum.opening = row.closing;
    } else {
      sum.movements.Add(row.movements);
    }
    sum.closing = row.closing;
  }
  return sum;
}

}  // namespace tallystick::tally
