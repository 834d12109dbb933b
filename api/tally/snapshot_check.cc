#include "api/tally/snapshot_check.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "api/ids.h"
#include "api/load_image.h"
#include "wal/log_reader.h"

namespace tallystick::tally {

absl::StatusOr<CheckedSnapshot> CheckSnapshot(wal::Io& io, const wal::LogFolders& folders,
                                              wal::SnapshotReader& reader) {
  ledger::StateMachine machine(ledger::Limits{}, RandomId().low());
  if (absl::Status s = LoadImage(reader, machine, [] {}); !s.ok()) return s;
  if (absl::Status s = machine.CheckInvariants(); !s.ok()) {
    return absl::DataLossError(absl::StrCat(reader.path(), ": ", s.message()));
  }
  const auto log = wal::LogReader::OpenAt(io, folders, reader.identity(), reader.place());
  if (!log.ok()) {
    return absl::OutOfRangeError(
        absl::StrCat(reader.path(), ": the log does not go on from it: ", log.status().message()));
  }
  const ledger::StateMachine::Sizes sizes = machine.sizes();
  return CheckedSnapshot{.log_time = machine.log_time(),
                         .accounts = sizes.accounts,
                         .receipts = sizes.receipts,
                         .digest = machine.Digest()};
}

absl::Status CompareDigests(const wal::SnapshotReader& reader, uint64_t snapshot, uint64_t log) {
  if (snapshot == log) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrFormat("%s: its digest is %016x, and that of the log up to its position %016x",
                      reader.path(), snapshot, log));
}

}  // namespace tallystick::tally
