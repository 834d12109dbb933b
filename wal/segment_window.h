// A window on one segment file: sequential reading in large pieces, past the page cache: after a
// failed sync the cache may show what the disk never got.

#ifndef TALLYSTICK_WAL_SEGMENT_WINDOW_H_
#define TALLYSTICK_WAL_SEGMENT_WINDOW_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "wal/io.h"

namespace tallystick::wal {

class SegmentWindow {
 public:
  // `capacity_bytes`: how much is read at once, and the most that Read can be asked for.
  SegmentWindow(Io& io, size_t capacity_bytes);
  ~SegmentWindow();
  SegmentWindow(const SegmentWindow&) = delete;
  SegmentWindow& operator=(const SegmentWindow&) = delete;

  // Turns to another file.
  absl::Status Open(const std::string& path);
  uint64_t size_bytes() const { return size_bytes_; }

  // At least `wanted` bytes at `offset` (a multiple of kSectorBytes), or all there are if the file
  // ends before; what the window holds beyond that comes with them. Valid until the next call.
  // Offsets that only grow cost one read of each byte. The span is aligned to 8.
  absl::StatusOr<absl::Span<const std::byte>> Read(uint64_t offset, size_t wanted);

  // Over all files.
  uint64_t bytes_read() const { return bytes_read_; }

 private:
  struct Free {
    void operator()(std::byte* data) const;
  };

  Io& io_;
  const size_t capacity_bytes_;
  std::unique_ptr<std::byte[], Free> buffer_;
  Handle handle_ = kNoHandle;
  uint64_t size_bytes_ = 0;
  uint64_t begin_ = 0;     // file offset of buffer_[0]
  size_t held_bytes_ = 0;  // in the buffer
  uint64_t bytes_read_ = 0;
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_SEGMENT_WINDOW_H_
