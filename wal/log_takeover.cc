#include "wal/log_takeover.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "wal/block.h"
#include "wal/segment_files.h"
#include "wal/segment_window.h"

namespace tallystick::wal {
namespace {

absl::Status Changed(const std::string& directory) {
  return absl::FailedPreconditionError(
      absl::StrCat(directory, ": the log was written to after it was read; read it again"));
}

// Fails if a whole block has appeared where the log ended.
absl::Status CheckStillEnds(Io& io, const std::string& directory, const LogTail& tail) {
  SegmentWindow window(io, directory, kMaxBlockBytes);
  absl::Status opened = window.OpenPlain(tail.segment);
  if (!opened.ok()) return opened;
  absl::StatusOr<absl::Span<const std::byte>> bytes = window.Read(tail.offset, kSectorBytes);
  if (!bytes.ok()) return bytes.status();
  if (bytes->size() < sizeof(BlockHeader)) return absl::OkStatus();
  const BlockHeader header = *reinterpret_cast<const BlockHeader*>(bytes->data());
  if (HeaderFault(header) != nullptr || header.first_position != tail.next_position ||
      header.previous_hash != tail.last_hash) {
    return absl::OkStatus();
  }
  bytes = window.Read(tail.offset, header.bytes);
  if (!bytes.ok()) return bytes.status();
  const bool whole = bytes->size() >= header.bytes && BodyMatches(header, bytes->data());
  return whole ? Changed(directory) : absl::OkStatus();
}

// After a mere stop of the process, blocks can be read that are not durable: they were never
// acknowledged, but the next epoch builds on them.
absl::Status SyncSegment(Io& io, const std::string& path, uint64_t trim_to) {
  absl::StatusOr<Handle> handle = io.Open(path, {.write = true});
  if (!handle.ok()) return handle.status();
  absl::StatusOr<uint64_t> size = io.Size(*handle);
  absl::Status status = size.status();
  if (status.ok() && *size > trim_to) status = io.Resize(*handle, trim_to);
  if (status.ok()) status = io.Sync(*handle);
  io.Close(*handle);
  return status;
}

}  // namespace

absl::StatusOr<Handle> LockLog(Io& io, const std::string& directory) {
  absl::Status made = io.MakeDirectory(directory);
  if (!made.ok()) return made;
  return io.Lock(absl::StrCat(directory, "/lock"));
}

absl::Status TakeOverLog(Io& io, const std::string& directory, const LogTail& tail) {
  absl::StatusOr<LogFiles> files = ListLogFiles(io, directory);
  if (!files.ok()) return files.status();
  // A log of which nothing but the archive was put back ends in it, where nothing is ever written.
  const bool ends_in_archive =
      tail.segment != 0 &&
      !std::binary_search(files->segments.begin(), files->segments.end(), tail.segment);
  if (!ends_in_archive && files->HighestSegment() != tail.highest_segment) {
    return Changed(directory);
  }
  uint64_t first_unsynced = tail.segment;
  if (tail.segment != 0 && !ends_in_archive) {
    absl::Status ends = CheckStillEnds(io, directory, tail);
    if (!ends.ok()) return ends;
    if (const auto place = tail.index.Find(tail.durable_before)) first_unsynced = place->segment;
  }
  for (const uint64_t number : files->segments) {
    if (number < first_unsynced || number > tail.segment) continue;
    const bool trim = number == tail.segment && !tail.torn;
    absl::Status synced = SyncSegment(io, FilePath(directory, number, FileKind::kSegment),
                                      trim ? tail.offset : UINT64_MAX);
    if (!synced.ok()) return synced;
  }
  for (const uint64_t number : files->segments) {
    if (number <= tail.segment) continue;
    absl::Status renamed = io.Rename(FilePath(directory, number, FileKind::kSegment),
                                     FilePath(directory, number, FileKind::kCut));
    if (!renamed.ok()) return renamed;
  }
  return absl::OkStatus();
}

}  // namespace tallystick::wal
