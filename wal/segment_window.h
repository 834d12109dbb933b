// A window on one segment, or another file: sequential reading in large portions, each while the
// one before it is being looked at, and past the page cache: after a failed sync the cache may show
// what the disk never got.

#ifndef TALLYSTICK_WAL_SEGMENT_WINDOW_H_
#define TALLYSTICK_WAL_SEGMENT_WINDOW_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "wal/aligned_bytes.h"
#include "wal/io.h"
#include "wal/segment_source.h"

namespace tallystick::wal {

class SegmentWindow {
 public:
  // `most_bytes`: what Read may be asked for. Waits by io.Poll, so that other requests of `io` may
  // complete inside of Open, Read and the destructor.
  SegmentWindow(Io& io, const LogFolders& folders, size_t most_bytes);
  // For files that are no segments.
  SegmentWindow(Io& io, size_t most_bytes) : SegmentWindow(io, LogFolders("", ""), most_bytes) {}
  ~SegmentWindow();
  SegmentWindow(const SegmentWindow&) = delete;
  SegmentWindow& operator=(const SegmentWindow&) = delete;

  // Turns to another segment, as SegmentSource does.
  absl::Status Open(uint64_t number);
  absl::Status OpenPlain(uint64_t number);
  absl::Status OpenArchive(uint64_t number);
  absl::Status OpenFile(const std::string& path);
  uint64_t size_bytes() const { return size_bytes_; }
  bool archived() const { return source_.archived(); }
  const std::string& path() const { return source_.path(); }

  // At least `wanted` bytes at `offset` (a multiple of kSectorBytes), or all there are if the
  // segment ends before; what the window holds beyond that comes with them. Valid until the next
  // call. Offsets that only grow cost one read of each byte. The span is aligned to 8.
  absl::StatusOr<absl::Span<const std::byte>> Read(uint64_t offset, size_t wanted);

  // Over all segments.
  uint64_t bytes_read() const { return bytes_read_; }

 private:
  void Close();
  absl::Status Opened(const absl::Status& opened);
  // Brings the next portion, behind what is held from `offset` on.
  absl::Status Advance(uint64_t offset);
  // The whole of a portion, or up to the end of the segment.
  absl::StatusOr<size_t> ReadPortion(uint64_t from, std::byte* to, size_t size);
  void ReadAhead();
  void WaitForAhead();
  size_t PortionAt(uint64_t from) const;

  Io& io_;
  const size_t most_bytes_;
  const size_t portion_bytes_;
  SegmentSource source_;
  // Each has room for a portion and, before it, for what is still held of the one before. One is
  // being looked at, the other is read into.
  std::array<AlignedBytes, 2> buffers_;
  size_t current_ = 0;
  uint64_t size_bytes_ = 0;
  const std::byte* held_ = nullptr;  // what is held, in the current buffer
  uint64_t begin_ = 0;               // its offset in the segment
  size_t held_bytes_ = 0;
  // What was read ahead.
  uint64_t ahead_offset_ = 0;
  size_t ahead_wanted_ = 0;
  size_t ahead_got_ = 0;  // 0: nothing, or an error
  uint64_t bytes_read_ = 0;
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_SEGMENT_WINDOW_H_
