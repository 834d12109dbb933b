// Packs one sealed segment into the archive, checking every block of it on the way.
//
// The archive gets its name by a durable rename after all of it was synced, and is then read back
// and held against the segment, byte for byte. A segment that is damaged is left alone.

#ifndef TALLYSTICK_WAL_ARCHIVE_WRITER_H_
#define TALLYSTICK_WAL_ARCHIVE_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "wal/aligned_bytes.h"
#include "wal/archive_format.h"
#include "wal/io.h"
#include "wal/segment_files.h"
#include "wal/segment_source.h"
#include "wal/segment_window.h"

struct ZSTD_CCtx_s;

namespace tallystick::wal {

// A segment that another goes on from, and what that one says of it.
struct SealedSegment {
  uint64_t number = 0;
  uint64_t bytes = 0;  // valid ones
  uint64_t next_position = 0;
  Id128 last_hash;
};

// Whether the archive of that segment is there and says that it is. Reads its head. NotFound: there
// is none. DataLoss: it is damaged. FailedPrecondition: it is sound, and of another log, or of
// another copy of this one.
absl::Status CheckArchiveOf(Io& io, const LogFolders& folders, const LogIdentity& identity,
                            const SealedSegment& segment);

// Whether N.arc holds what N.log does, a piece at a time.
class ArchiveComparison {
 public:
  ArchiveComparison(Io& io, const LogFolders& folders, uint64_t segment);
  // Reads and compares a frame. True: all is the same. DataLoss: it is not, or the archive is
  // damaged.
  absl::StatusOr<bool> Step();

 private:
  const uint64_t segment_;
  SegmentSource plain_;
  SegmentSource packed_;
  AlignedBytes buffers_[2];
  uint64_t offset_ = 0;
};

class ArchiveWriter {
 public:
  // Makes the archive's directory if it is missing, and N.arc.new in it, in the place of one that a
  // crash has left.
  static absl::StatusOr<std::unique_ptr<ArchiveWriter>> Begin(Io& io, const LogFolders& folders,
                                                              const LogIdentity& identity,
                                                              const SealedSegment& segment);
  // Removes N.arc.new, unless it has become N.arc.
  ~ArchiveWriter();
  ArchiveWriter(const ArchiveWriter&) = delete;
  ArchiveWriter& operator=(const ArchiveWriter&) = delete;

  // A piece of the work: about a frame, at most the largest block. True: N.arc is there, durable,
  // and holds what N.log does. DataLoss: N.log is damaged, or what was written is read back as
  // something else; says where.
  absl::StatusOr<bool> Step();

  uint64_t packed_bytes() const { return end_; }

 private:
  struct FreeContext {
    void operator()(ZSTD_CCtx_s* context) const;
  };

  ArchiveWriter(Io& io, const LogFolders& folders, const LogIdentity& identity,
                const SealedSegment& segment);
  absl::Status TakeBlock();
  absl::Status CheckBlock(const BlockHeader& header, absl::Span<const std::byte> bytes);
  absl::Status WriteFrame();
  absl::Status Publish();
  absl::Status Damaged(absl::string_view cause) const;

  Io& io_;
  const LogFolders folders_;
  const LogIdentity identity_;
  const SealedSegment segment_;
  const std::string path_;  // while it is written
  Handle handle_ = kNoHandle;
  bool published_ = false;
  SegmentWindow window_;
  std::unique_ptr<ZSTD_CCtx_s, FreeContext> context_;

  // The next block.
  uint64_t offset_ = 0;
  LogPlace last_;  // of the block before
  ArchiveHead head_{};

  AlignedBytes frame_;
  size_t frame_used_ = 0;
  AlignedBytes packed_;
  std::vector<ArchiveFrame> table_;
  uint64_t end_ = 0;  // of the file so far
  std::unique_ptr<ArchiveComparison> comparison_;
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_ARCHIVE_WRITER_H_
