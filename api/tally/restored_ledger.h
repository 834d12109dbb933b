// A copy of a ledger's logs that ends at a point, with the snapshots before it.

#ifndef TALLYSTICK_API_TALLY_RESTORED_LEDGER_H_
#define TALLYSTICK_API_TALLY_RESTORED_LEDGER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "api/ledger_files.h"
#include "api/tally/ledger_log.h"
#include "api/tally/log_point.h"
#include "api/tally/replay_report.h"
#include "wal/io.h"

namespace tallystick::tally {

struct RestoredLedger {
  std::vector<ShardLog> logs;  // of the copy, as they were read back
  Machines machines;           // that they give
  // By shard: the position that was asked for, where it lies inside a settling or a record's
  // details. The copy ends before or behind these, as a replay to there does.
  std::map<uint16_t, Position> asked;
  uint64_t snapshots = 0;
  // Sentences: snapshots that were not sound.
  std::vector<std::string> left_out;
};

// Writes the shards' folders into `into`, durably, and reads them back: they give the digest that
// the original gives at the point. The original is only read, and no further than the point; damage
// behind it is not seen. `identity` is the original's and the copy's. InvalidArgument: there is no
// such point, or shards would contradict each other there, one of them having received what another
// has not sent: nothing is written then. DataLoss: the original is damaged before it, or the copy
// is not its equal. ResourceExhausted: the disk is full. Memory: the state of all shards, and of
// one once more.
absl::StatusOr<RestoredLedger> RestoreLedger(wal::Io& io, const std::string& from,
                                             const LedgerIdentity& identity, const LogPoint& to,
                                             const std::string& into);

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_RESTORED_LEDGER_H_
