#include "ledger/hash_index.h"

#include <array>
#include <cstring>

namespace tallystick::ledger {

HashIndex::HashIndex() { directory_.push_back(NewTable(0)); }

HashIndex::Table* HashIndex::NewTable(uint32_t depth) {
  auto* table = reinterpret_cast<Table*>(pages_.Take(sizeof(Table)));
  table->depth = depth;
  ++tables_;
  return table;
}

void HashIndex::Place(Table& table, Entry entry) {
  uint32_t i = Home(entry.fragment);
  while (table.entries[i].row_plus_1 != 0) i = Next(i);
  table.entries[i] = entry;
  ++table.count;
}

void HashIndex::Insert(uint64_t hash, uint32_t row) {
  while (TableOf(hash).count >= kMaxLoad) Split(hash);
  Place(const_cast<Table&>(TableOf(hash)), {Fragment(hash), row + 1});
  ++size_;
}

void HashIndex::Split(uint64_t hash) {
  auto& old = const_cast<Table&>(TableOf(hash));
  TALLYSTICK_LEDGER_CHECK(old.depth < kMaxDepth);
  if (old.depth == depth_) {
    std::vector<Table*> doubled(directory_.size() * 2);
    for (size_t i = 0; i < doubled.size(); ++i) doubled[i] = directory_[i / 2];
    directory_.swap(doubled);
    ++depth_;
  }
  const uint32_t depth = old.depth + 1;
  Table* upper = NewTable(depth);
  // The old table's slots of the directory, of which the upper half gets the new table.
  const size_t span = size_t{1} << (depth_ - old.depth);
  const size_t first = ((hash >> 1) >> (63 - depth_)) & ~(span - 1);
  for (size_t i = first + span / 2; i < first + span; ++i) directory_[i] = upper;

  std::array<Entry, kTableEntries> entries;
  std::memcpy(entries.data(), old.entries, sizeof(old.entries));
  std::memset(old.entries, 0, sizeof(old.entries));
  old.count = 0;
  old.depth = depth;
  const uint32_t bit = uint32_t{1} << (32 - depth);
  for (const Entry& entry : entries) {
    if (entry.row_plus_1 != 0) Place((entry.fragment & bit) != 0 ? *upper : old, entry);
  }
}

void HashIndex::Erase(uint64_t hash, uint32_t row) {
  auto& table = const_cast<Table&>(TableOf(hash));
  uint32_t hole = Home(Fragment(hash));
  while (table.entries[hole].row_plus_1 != row + 1) {
    TALLYSTICK_LEDGER_CHECK(table.entries[hole].row_plus_1 != 0);
    hole = Next(hole);
  }
  // Close the gap: an entry moves back when the hole lies between its home and its place.
  for (uint32_t i = Next(hole); table.entries[i].row_plus_1 != 0; i = Next(i)) {
    const uint32_t home = Home(table.entries[i].fragment);
    if (((i - home) % kTableEntries) >= ((i - hole) % kTableEntries)) {
      table.entries[hole] = table.entries[i];
      hole = i;
    }
  }
  table.entries[hole] = Entry{0, 0};
  --table.count;
  --size_;
}

size_t HashIndex::bytes() const {
  return tables_ * sizeof(Table) + directory_.size() * sizeof(Table*);
}

}  // namespace tallystick::ledger
