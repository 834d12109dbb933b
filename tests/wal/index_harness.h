// Key indexes of segments that are not there: headers of blocks, and keys, are all that an index
// needs.

#ifndef TALLYSTICK_TESTS_WAL_INDEX_HARNESS_H_
#define TALLYSTICK_TESTS_WAL_INDEX_HARNESS_H_

#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "tests/wal/log_harness.h"
#include "wal/key_index.h"
#include "wal/key_index_set.h"
#include "wal/key_index_writer.h"

namespace tallystick::wal {

inline constexpr uint64_t kFirstTimestamp = 1'700'000'000'000'000;

// What a segment's index is made from. Blocks have `block_slots` slots each, the last one fewer.
struct IndexSource {
  uint64_t segment = 1;
  uint64_t first_position = 1;
  uint64_t slots = 1;
  uint64_t block_slots = 31;
  // Keys of each family and their positions, which do not fall.
  std::array<std::vector<std::pair<Id128, uint64_t>>, kKeyFamilies> keys;

  uint64_t next_position() const { return first_position + slots; }
};

// Writes it into kLogDirectory.
absl::Status WriteIndex(Io& io, const IndexSource& source);

// Everything of a key below `before`, newest first, a page at a time; blocks.
absl::StatusOr<std::vector<uint64_t>> FindAll(Io& io, const KeyIndex& index, size_t family,
                                              const Id128& key, uint64_t before);
// The block that holds a position, as the index has it.
absl::StatusOr<uint64_t> FindBlock(Io& io, const KeyIndex& index, uint64_t position);

}  // namespace tallystick::wal

#endif  // TALLYSTICK_TESTS_WAL_INDEX_HARNESS_H_
