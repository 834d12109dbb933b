// What can be checked of one snapshot.

#ifndef TALLYSTICK_API_TALLY_SNAPSHOT_CHECK_H_
#define TALLYSTICK_API_TALLY_SNAPSHOT_CHECK_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "ledger/state_machine.h"
#include "wal/segment_files.h"
#include "wal/snapshot_reader.h"

namespace tallystick::tally {

struct CheckedSnapshot {
  Instant log_time = 0;
  uint64_t accounts = 0;
  uint64_t receipts = 0;
  uint64_t digest = 0;
};

// Every byte and row of it, and that the log in `folders` goes on from it. DataLoss: it is damaged.
// OutOfRange: it is sound, and the log does not have its place. Costs its rows' memory.
absl::StatusOr<CheckedSnapshot> CheckSnapshot(wal::Io& io, const wal::LogFolders& folders,
                                              wal::SnapshotReader& reader);

// OK, or DataLoss: the log up to the snapshot's position gives another digest.
absl::Status CompareDigests(const wal::SnapshotReader& reader, uint64_t snapshot, uint64_t log);

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_SNAPSHOT_CHECK_H_
