#include "api/tally/replay_start.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/ids.h"
#include "api/load_image.h"
#include "wal/snapshot_files.h"
#include "wal/snapshot_reader.h"

namespace tallystick::tally {
namespace {

absl::StatusOr<ReplayStart> BehindSnapshot(wal::Io& io, const wal::LogFolders& folders,
                                           const wal::LogIdentity& identity, Position position) {
  const auto snapshot = wal::SnapshotReader::Open(io, folders.log, position, identity);
  if (!snapshot.ok()) return snapshot.status();
  ReplayStart start;
  start.machine = std::make_unique<ledger::StateMachine>(ledger::Limits{}, RandomId().low());
  if (absl::Status s = LoadImage(**snapshot, *start.machine, [] {}); !s.ok()) return s;
  auto reader = wal::LogReader::OpenAt(io, folders, identity, (*snapshot)->place());
  if (!reader.ok()) return reader.status();
  start.reader = *std::move(reader);
  start.last_hash = (*snapshot)->place().last_hash;
  return start;
}

}  // namespace

absl::StatusOr<ReplayStart> BeginReplay(wal::Io& io, const wal::LogFolders& folders,
                                        const wal::LogIdentity& identity) {
  auto oldest = wal::LogReader::OpenOldest(io, folders, identity);
  if (!oldest.ok()) return oldest.status();
  const Position first = (*oldest)->first_position();
  if (first == 1) {
    return ReplayStart{
        .reader = *std::move(oldest),
        .machine = std::make_unique<ledger::StateMachine>(ledger::Limits{}, RandomId().low())};
  }
  const auto snapshots = wal::ListSnapshots(io, folders.log);
  if (!snapshots.ok()) return snapshots.status();
  std::string why;
  for (const uint64_t position : *snapshots) {
    auto start = BehindSnapshot(io, folders, identity, position);
    if (start.ok() || absl::IsFailedPrecondition(start.status())) return start;
    absl::StrAppend(&why, "; ", start.status().message());
  }
  return absl::DataLossError(
      absl::StrCat(folders.log, ": the log begins at position ", first,
                   ", and no sound snapshot has the state that it goes on from", why,
                   ". Put the older segments or a snapshot back"));
}

}  // namespace tallystick::tally
