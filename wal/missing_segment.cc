#include "wal/missing_segment.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "wal/aligned_bytes.h"
#include "wal/block.h"
#include "wal/format.h"
#include "wal/segment_source.h"

namespace tallystick::wal {
namespace {

struct Start {
  uint64_t first_position;
  uint64_t previous_segment;
};

absl::StatusOr<Start> ReadStart(Io& io, const LogFolders& folders, uint64_t segment) {
  SegmentSource source(io, folders);
  absl::Status opened = source.OpenPlain(segment);
  if (absl::IsNotFound(opened)) opened = source.OpenArchive(segment);
  if (!opened.ok()) return opened;
  AlignedBytes sector(kSectorBytes);
  const absl::StatusOr<size_t> got = source.ReadAt(0, sector.data(), kSectorBytes);
  if (!got.ok()) return got.status();
  const auto& header = *reinterpret_cast<const BlockHeader*>(sector.data());
  if (!IsStartOf(segment, sector.data(), *got)) {
    return absl::DataLossError(absl::StrCat(
        source.path(), ": it does not begin with a sound start block: verify the log"));
  }
  StartInfo info;
  std::memcpy(&info, sector.data() + sizeof(BlockHeader), sizeof(info));
  return Start{.first_position = header.first_position, .previous_segment = info.previous_segment};
}

// The first that the limits have not removed.
absl::StatusOr<uint64_t> OldestBehind(Io& io, const LogFolders& folders, uint64_t gone) {
  const absl::StatusOr<LogFiles> files = ListLogFiles(io, folders.log);
  if (!files.ok()) return files.status();
  const absl::StatusOr<std::vector<uint64_t>> archives = ListArchives(io, folders.archive);
  if (!archives.ok()) return archives.status();
  uint64_t oldest = 0;
  for (const std::vector<uint64_t>* numbers : {&files->segments, &*archives}) {
    const auto at = std::upper_bound(numbers->begin(), numbers->end(), gone);
    if (at != numbers->end() && (oldest == 0 || *at < oldest)) oldest = *at;
  }
  return oldest;
}

absl::Status Removed(const LogFolders& folders, uint64_t gone, const Start& oldest) {
  return absl::NotFoundError(absl::StrCat(folders.log, ": the log begins at position ",
                                          oldest.first_position, ": segments up to ", gone,
                                          ", before it, were removed as the archive's limits say"));
}

}  // namespace

absl::Status MissingSegment(Io& io, const LogFolders& folders, uint64_t segment) {
  const absl::StatusOr<uint64_t> gone = LastGone(io, folders);
  if (!gone.ok()) return gone.status();
  if (segment > *gone) {
    return absl::DataLossError(
        absl::StrCat("segment ", segment, " is lost: neither ",
                     FilePath(folders.log, segment, FileKind::kSegment), " nor ",
                     FilePath(folders.archive, segment, FileKind::kArchive),
                     " is there, and no limit of the archive removed it. Restore it from a copy"));
  }
  const absl::StatusOr<uint64_t> oldest = OldestBehind(io, folders, *gone);
  if (!oldest.ok()) return oldest.status();
  const absl::StatusOr<Start> start = ReadStart(io, folders, *oldest);
  return start.ok() ? Removed(folders, *gone, *start) : start.status();
}

absl::Status MissingBefore(Io& io, const LogFolders& folders, uint64_t segment) {
  const absl::StatusOr<Start> start = ReadStart(io, folders, segment);
  // What begins the log may have gone since its caller looked.
  if (absl::IsNotFound(start.status())) return MissingSegment(io, folders, segment);
  if (!start.ok()) return start.status();
  const absl::StatusOr<uint64_t> gone = LastGone(io, folders);
  if (!gone.ok()) return gone.status();
  if (start->previous_segment <= *gone) return Removed(folders, *gone, *start);
  // The one before may be there, and be damaged.
  SegmentSource source(io, folders);
  absl::Status opened = source.Open(start->previous_segment);
  if (!opened.ok()) return opened;
  return absl::DataLossError(
      absl::StrCat(source.path(), ": it does not begin with a sound start block, or ends where ",
                   "segment ", segment, " does not go on: verify the log"));
}

}  // namespace tallystick::wal
