// Where a position lies: a sparse map from positions to blocks, in memory.

#ifndef TALLYSTICK_WAL_LOG_INDEX_H_
#define TALLYSTICK_WAL_LOG_INDEX_H_

#include <cstdint>
#include <optional>
#include <vector>

namespace tallystick::wal {

// One entry for the first block of every kGranuleBytes of a segment: 16 bytes for 64 KiB of log.
class LogIndex {
 public:
  static constexpr uint64_t kGranuleBytes = 64 << 10;

  struct Place {
    uint64_t segment;
    uint64_t offset;          // of a block that begins at or before the position
    uint64_t first_position;  // of that block
  };

  // Blocks are added in the order of their positions.
  void Add(uint64_t segment, uint64_t offset, uint64_t first_position);

  // A block of a segment that is there already, found later: the next search there begins nearer.
  void Learn(uint64_t segment, uint64_t offset, uint64_t first_position);

  // Of the oldest and of the newest block; 0: there is none.
  uint64_t first_segment() const { return segments_.empty() ? 0 : segments_.front().number; }
  uint64_t last_segment() const { return segments_.empty() ? 0 : segments_.back().number; }

  // Nothing for a position before the first block. O(log n).
  std::optional<Place> Find(uint64_t position) const;

 private:
  struct Entry {
    uint64_t first_position;
    uint64_t offset;
  };
  struct Segment {
    uint64_t number;
    uint64_t first_position;
    std::vector<Entry> entries;
  };
  std::vector<Segment> segments_;
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_LOG_INDEX_H_
