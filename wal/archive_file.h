// An archived segment that is open: its head and frame table, checked, and the unpacking of frames.
//
// Errors, of everything here: DataLoss: the archive is damaged or cut short, with path, segment,
// offset and cause. FailedPrecondition: of another format version. Others: it could not be read.

#ifndef TALLYSTICK_WAL_ARCHIVE_FILE_H_
#define TALLYSTICK_WAL_ARCHIVE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "wal/archive_format.h"
#include "wal/io.h"

struct ZSTD_DCtx_s;

namespace tallystick::wal {

// The head of the archive of `segment` at `path`; reads one sector.
absl::StatusOr<ArchiveHead> ReadArchiveHead(Io& io, const std::string& path, uint64_t segment);

class ArchiveFile {
 public:
  // Reads head and table: two reads.
  static absl::StatusOr<std::unique_ptr<ArchiveFile>> Open(Io& io, const std::string& path,
                                                           uint64_t segment);
  ~ArchiveFile();  // REQUIRES: no request on handle() is under way
  ArchiveFile(const ArchiveFile&) = delete;
  ArchiveFile& operator=(const ArchiveFile&) = delete;

  const ArchiveHead& head() const { return head_; }
  const std::string& path() const { return path_; }
  Handle handle() const { return handle_; }  // for direct reads

  // Of the frame that holds byte `offset` of the segment. REQUIRES: offset < head().segment_bytes.
  size_t FrameAt(uint64_t offset) const { return offset / head_.frame_bytes; }
  uint64_t FrameBegin(size_t frame) const { return frame * uint64_t{head_.frame_bytes}; }
  size_t FrameBytes(size_t frame) const;  // unpacked
  // Where it lies in the file, in whole sectors.
  uint64_t PackedOffset(size_t frame) const { return table_[frame].offset; }
  size_t PackedBytes(size_t frame) const { return WholeSectors(table_[frame].bytes); }
  size_t MostPackedBytes() const { return most_packed_bytes_; }

  // Checks and unpacks a frame that was read, to FrameBytes(frame) bytes at `to`. A few hundred
  // microseconds for 256 KiB.
  absl::Status Unpack(size_t frame, absl::Span<const std::byte> packed, std::byte* to) const;
  // Why reading the frame brought less than all of it.
  absl::Status CutShort(size_t frame) const;

 private:
  struct FreeContext {
    void operator()(ZSTD_DCtx_s* context) const;
  };

  ArchiveFile(Io& io, const std::string& path, const ArchiveHead& head);
  absl::Status LoadTable();
  absl::Status Damaged(uint64_t offset, absl::string_view cause) const;

  Io& io_;
  const std::string path_;
  const ArchiveHead head_;
  Handle handle_ = kNoHandle;
  std::vector<ArchiveFrame> table_;
  size_t most_packed_bytes_ = 0;
  std::unique_ptr<ZSTD_DCtx_s, FreeContext> context_;
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_ARCHIVE_FILE_H_
