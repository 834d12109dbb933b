// The roll-forward of an audit: what was owed at each day's beginning, what moved, what was owed at
// its end.

#ifndef TALLYSTICK_API_TALLY_AUDIT_ROWS_H_
#define TALLYSTICK_API_TALLY_AUDIT_ROWS_H_

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/postings.h"
#include "ledger/state_machine.h"

namespace tallystick::tally {

// A program on a UTC day of log time. Sums are those of postings, so an opening has the program's
// accounts too: all that it had issued by then, and so on.
struct AuditRow {
  uint16_t program = 0;
  int64_t day = 0;  // since 1970-01-01
  PostingSums opening;
  PostingSums movements;  // from the postings
  PostingSums closing;    // from the state machine
};

// DataLoss, naming program and day: the row is not what it must be.
absl::Status CheckRow(const AuditRow& row);

// Gathers the days of all shards. Each shard's own days are checked as they come.
class AuditRows {
 public:
  // Before a shard's records, if it does not begin with nothing, or is not looked at from its
  // beginning.
  void Begin(const ledger::StateMachine& opening);
  // In the order of a shard's log; shard after shard.
  void AddRecord(const PostedRecord& posted);
  // Behind the last record of a day of the shard.
  absl::Status EndDay(int64_t day, const ledger::StateMachine& machine);
  void EndShard() { closings_.clear(); }

  // Of all shards together, by program and day; days on which nothing moved have no row. DataLoss:
  // as CheckRow.
  absl::StatusOr<std::vector<AuditRow>> Rows() const;
  // Of all shards together, by program, before the first row.
  const std::map<uint16_t, PostingSums>& openings() const { return openings_; }

 private:
  struct Day {
    PostingSums movements;
    PostingSums growth;  // closing − opening, from the state machines
  };

  std::map<std::pair<uint16_t, int64_t>, Day> days_;  // by program and day
  std::map<uint16_t, PostingSums> moved_;             // of the shard's open day, by program
  std::map<uint16_t, PostingSums> closings_;          // of the shard's day before
  std::map<uint16_t, PostingSums> openings_;
};

// Of rows of one program in order: one row for the days from `since` to `until`, ends included.
// Before the first row `opening` is owed.
AuditRow Between(const std::vector<AuditRow>& rows, uint16_t program, int64_t since, int64_t until,
                 const PostingSums& opening);

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_AUDIT_ROWS_H_
