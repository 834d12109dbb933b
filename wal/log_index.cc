#include "wal/log_index.h"

#include <algorithm>

#include "wal/check.h"

namespace tallystick::wal {

void LogIndex::Add(uint64_t segment, uint64_t offset, uint64_t first_position) {
  if (segments_.empty() || segments_.back().number != segment) {
    TALLYSTICK_CHECK(segments_.empty() || segments_.back().number < segment);
    // Segments are of like length: what the last one needed, this one will need.
    const size_t expected = segments_.empty() ? 0 : segments_.back().entries.size();
    segments_.push_back({.number = segment, .first_position = first_position, .entries = {}});
    segments_.back().entries.reserve(expected);
  }
  std::vector<Entry>& entries = segments_.back().entries;
  if (!entries.empty()) {
    TALLYSTICK_CHECK(entries.back().first_position < first_position);
    if (entries.back().offset / kGranuleBytes == offset / kGranuleBytes) return;
  }
  entries.push_back({.first_position = first_position, .offset = offset});
}

void LogIndex::Learn(uint64_t segment, uint64_t offset, uint64_t first_position) {
  const auto found =
      std::lower_bound(segments_.begin(), segments_.end(), segment,
                       [](const Segment& item, uint64_t wanted) { return item.number < wanted; });
  if (found == segments_.end() || found->number != segment) return;
  std::vector<Entry>& entries = found->entries;
  const auto behind = std::upper_bound(
      entries.begin(), entries.end(), first_position,
      [](uint64_t wanted, const Entry& entry) { return wanted < entry.first_position; });
  if (behind == entries.begin()) return;
  const uint64_t granule = offset / kGranuleBytes;
  if (std::prev(behind)->offset / kGranuleBytes == granule) return;
  entries.insert(behind, {.first_position = first_position, .offset = offset});
}

std::optional<LogIndex::Place> LogIndex::Find(uint64_t position) const {
  const auto behind = [](uint64_t wanted, const auto& item) {
    return wanted < item.first_position;
  };
  auto segment = std::upper_bound(segments_.begin(), segments_.end(), position, behind);
  if (segment == segments_.begin()) return std::nullopt;
  --segment;
  auto entry = std::upper_bound(segment->entries.begin(), segment->entries.end(), position, behind);
  --entry;
  return Place{
      .segment = segment->number, .offset = entry->offset, .first_position = entry->first_position};
}

}  // namespace tallystick::wal
