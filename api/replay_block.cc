#include "api/replay_block.h"

#include "absl/strings/str_cat.h"

namespace tallystick {

absl::Status ReplayBlock(const wal::BlockView& block, const std::string& directory,
                         ledger::StateMachine& machine, Position last) {
  const wal::BlockHeader& header = *block.header;
  if (header.type != wal::BlockType::kRecords) return absl::OkStatus();
  const std::string where =
      absl::StrCat(directory, ": segment ", block.segment, " offset ", block.offset, ": ");
  if (header.engine_version > ledger::kEngineVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat(where, "written by engine ", header.engine_version, ", this program knows ",
                     ledger::kEngineVersion, ": use the newer program"));
  }
  const ledger::BlockTime time{header.timestamp_us, (header.flags & kBlockImportClock) != 0,
                               header.engine_version};
  const absl::Span<const Record> records(reinterpret_cast<const Record*>(block.slots.data()),
                                         block.slots.size());
  absl::Status status = machine.Replay(time, header.first_position, records, last);
  if (!status.ok()) return absl::Status(status.code(), absl::StrCat(where, status.message()));
  const bool whole = header.first_position + header.count - 1 <= last;
  if (whole && (header.flags & kBlockDigest) != 0 && machine.Digest() != header.digest) {
    return absl::DataLossError(
        absl::StrCat(where, "the state behind this block has another digest than it had live"));
  }
  return absl::OkStatus();
}

}  // namespace tallystick
