// A ledger's logs, read without its server: what the offline tools have in common.

#ifndef TALLYSTICK_API_TALLY_LEDGER_LOG_H_
#define TALLYSTICK_API_TALLY_LEDGER_LOG_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "api/tally/log_point.h"
#include "api/tally/offline_ledger.h"
#include "api/tally/replay_start.h"
#include "ledger/types.h"
#include "wal/log_reader.h"

namespace tallystick::tally {

// What reading one shard's log to its end has shown. The counts go to `position`, the tail to the
// end.
struct ShardLog {
  uint16_t shard = 0;
  uint64_t blocks = 0;
  uint64_t records = 0;
  Position first_position = 1;  // greater than 1: what is before is gone, or a snapshot's
  Position position = 0;
  wal::LogTail tail;

  bool whole() const { return position == tail.next_position - 1; }
};

// Reads every shard's log from its oldest block to its end, one after the other; `on_block` also
// gets the shard's number. What is counted ends with position `to`, each shard's own. Stops at the
// first error.
absl::StatusOr<std::vector<ShardLog>> ReadLedger(
    OfflineLedger& ledger, Position to,
    const std::function<absl::Status(uint16_t shard, const wal::BlockView& block)>& on_block);

// Says on stderr of which shards the first segments are gone.
void TellBeginnings(const std::vector<ShardLog>& logs);

// Who replays a ledger's logs.
struct LedgerReplay {
  // At each shard's beginning; the state is the reader's to take.
  std::function<absl::Status(uint16_t shard, ReplayStart& start)> on_begin;
  // A block behind it, and the last position of it that belongs to the point; the one before the
  // block: none does.
  std::function<absl::Status(uint16_t shard, const wal::BlockView& block, Position last)> on_block;
};

// The same from where a replay can begin, up to a point. InvalidArgument: the ledger has no such
// point.
absl::StatusOr<std::vector<ShardLog>> ReplayLedgerTo(OfflineLedger& ledger, const LogPoint& to,
                                                     const LedgerReplay& replay);

// The records of a block in order, each with its position and the detail slots that follow it; none
// for a block of another type. Stops at the first error.
absl::Status EachRecord(
    const wal::BlockView& block,
    const std::function<absl::Status(Position position, const Record& record,
                                     absl::Span<const wal::Slot> details)>& on_record);

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_LEDGER_LOG_H_
