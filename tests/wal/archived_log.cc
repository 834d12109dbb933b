#include "tests/wal/archived_log.h"

#include <gtest/gtest.h>

#include "wal/block.h"

namespace tallystick::wal {

SealedSegment SealedOf(const LogCopy& log, uint64_t segment) {
  SealedSegment sealed;
  sealed.number = segment;
  for (const BlockCopy& block : log.blocks) {
    if (block.segment != segment) continue;
    sealed.bytes = block.offset + block.header.bytes;
    sealed.next_position = block.end_position();
    sealed.last_hash = HeaderHash(block.header);
  }
  return sealed;
}

absl::Status WriteArchive(Io& io, const SealedSegment& segment) {
  absl::StatusOr<std::unique_ptr<ArchiveWriter>> writer =
      ArchiveWriter::Begin(io, kLogDirectory, kIdentity, segment);
  if (!writer.ok()) return writer.status();
  while (true) {
    const absl::StatusOr<bool> done = (*writer)->Step();
    if (!done.ok()) return done.status();
    if (*done) return absl::OkStatus();
  }
}

void MoveToArchive(Io& io, const LogCopy& log, uint64_t segment) {
  ASSERT_EQ(WriteArchive(io, SealedOf(log, segment)), absl::OkStatus());
  ASSERT_EQ(io.Remove(SegmentPath(segment)), absl::OkStatus());
}

}  // namespace tallystick::wal
