// A ledger's books, from its logs: every record with its postings, proved against the state machine
// that replays beside. What exports and audits read.

#ifndef TALLYSTICK_API_TALLY_BOOKS_H_
#define TALLYSTICK_API_TALLY_BOOKS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/ledger_files.h"
#include "api/postings.h"
#include "api/tally/ledger_log.h"
#include "api/tally/log_point.h"
#include "ledger/state_machine.h"
#include "wal/format.h"
#include "wal/log_reader.h"

namespace tallystick::tally {

// A shard's books behind a block.
struct ShardBooks {
  uint16_t shard = 0;
  Position position = 0;  // the last one, of whatever block
  wal::Id128 last_hash;   // of the last block's header
  const Poster& poster;
  const ledger::StateMachine& machine;
};

// What is told while the books are read, shard after shard. Null: not wanted. An error ends the
// reading.
struct BooksReader {
  // Where the reading ends: a point of the log.
  LogPoint to;
  // Behind a point before it: nothing of what lies before is told; on_from is told of the books as
  // they were there, of each shard, before anything else of it.
  std::optional<LogPoint> from;
  std::function<absl::Status(const ShardBooks& opening)> on_from;
  // At the beginning of a shard of which the first segments are gone: its books as the oldest
  // snapshot has them.
  std::function<absl::Status(const ShardBooks& opening)> on_opening;
  // Each block, of whatever type, before its records are told.
  std::function<absl::Status(uint16_t shard, const wal::BlockView& block)> on_block;
  // Each record in order, replayed: it is what its operation gives. Valid inside the call.
  std::function<absl::Status(uint16_t shard, const PostedRecord& posted)> on_record;
  // Behind the last record of each UTC day (of log time) that has any.
  std::function<absl::Status(uint16_t shard, int64_t day, const ledger::StateMachine& machine)>
      on_day;
  // At a shard's end, when its postings have been found to sum up to the state machine's totals and
  // to each member's balances.
  std::function<absl::Status(const ShardBooks& books)> on_shard;
};

// Reads and replays every shard's log from its beginning (replay_start.h) to its end, or to a
// point. A record belongs to a point with its settling and what expires behind it, as in tally log
// replay. Holds one shard's state at a time; twice what postings keep of it where a point lies in a
// block. DataLoss: a log or the books do not follow from themselves. InvalidArgument: there is no
// such point.
absl::Status ReadBooks(OfflineLedger& ledger, const BooksReader& reader);

// "1234" where the number fits 64 bits; OutOfRange with a sentence that names `what` where it does
// not, which takes several shards near the limit.
absl::StatusOr<int64_t> Narrow(PostingSums::Sum sum, absl::string_view what);

// Totals of a program that sums stand for; without what of `expired` they do not tell apart.
// OutOfRange as above.
absl::StatusOr<ledger::Totals> TotalsOf(const PostingSums& sums);

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_BOOKS_H_
