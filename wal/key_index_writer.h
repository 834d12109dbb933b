// Writes the key index of one segment: keys as they come, sorted and laid out at the end.

#ifndef TALLYSTICK_WAL_KEY_INDEX_WRITER_H_
#define TALLYSTICK_WAL_KEY_INDEX_WRITER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "wal/format.h"
#include "wal/io.h"
#include "wal/key_index_format.h"

namespace tallystick::wal {

// Holds 8 bytes for each key and each block, and as many again for the larger family while it
// sorts: 12 MiB for a segment of 64 MiB, 400 MiB for the largest.
class KeyIndexWriter {
 public:
  KeyIndexWriter(const LogIdentity& identity, uint64_t segment);

  // The segment's next block, of whatever type, from its first to its last; verified by the caller.
  // The hash of the first one's header seeds the keys' hash: whoever sends keys cannot foresee it.
  // OutOfRange: the segment is too large to be indexed.
  absl::Status AddBlock(const BlockHeader& header, uint64_t offset);
  // A key of the record at `position`, which lies in the block added last. A record may have
  // several keys, and a key several records. REQUIRES: positions of a family do not go back; it has
  // at most kMaxIndexedSlots keys.
  void AddKey(size_t family, const Id128& key, uint64_t position);

  // Sorts, and writes the file: durable under its name when it returns. Replaces one that is there.
  // Blocks, without Poll; after an error nothing is left under the name that was not there before.
  // ResourceExhausted: the disk is full. REQUIRES: a block was added. Call once.
  absl::Status Write(Io& io, const std::string& directory);

  // Of the file. Valid behind Write.
  uint64_t size_bytes() const { return size_bytes_; }

 private:
  using Words = std::vector<uint64_t>;

  const LogIdentity identity_;
  IndexHeader header_{};
  Words blocks_;
  std::array<Words, kKeyFamilies> entries_;
  uint64_t size_bytes_ = 0;
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_KEY_INDEX_WRITER_H_
