// Writes a log's first blocks once more: another directory gets the same bytes at the same places,
// up to a position.

#ifndef TALLYSTICK_WAL_LOG_COPY_H_
#define TALLYSTICK_WAL_LOG_COPY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "wal/format.h"
#include "wal/io.h"
#include "wal/log_reader.h"

namespace tallystick::wal {

// Takes blocks as a LogReader gives them, from the first block of all on. What it has written reads
// as a log that ends behind the last of them; segments end with their last block.
class LogCopy {
 public:
  // The directory is made with the first block. Nobody takes it for a log before Finish: its caller
  // sees to that.
  LogCopy(Io& io, std::string directory);
  ~LogCopy();
  LogCopy(const LogCopy&) = delete;
  LogCopy& operator=(const LogCopy&) = delete;

  absl::Status Append(const BlockView& block);
  // The block's first `count` slots, as a block of its own with these flags and no digest: both are
  // the layer above's, and may not be true of a part. Nothing can be appended behind it.
  // REQUIRES: 1 <= count <= the block's; it holds records.
  absl::Status AppendPart(const BlockView& block, uint32_t count, uint8_t flags);
  // Everything is durable, the names included.
  absl::Status Finish();

 private:
  // Blocks are written so many bytes at a time.
  static constexpr size_t kPieceBytes = size_t{1} << 20;

  absl::Status BeginSegment(uint64_t number);
  absl::Status EndSegment();
  absl::Status WriteOut();
  // The bytes of a block behind what waits to be written, aligned to 8.
  std::byte* Room(size_t bytes);

  Io& io_;
  const std::string directory_;
  bool made_ = false;
  uint64_t segment_ = 0;
  Handle handle_ = kNoHandle;
  uint64_t written_ = 0;  // of the segment
  std::vector<Slot> waiting_;
  size_t waiting_bytes_ = 0;
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_LOG_COPY_H_
