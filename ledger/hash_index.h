// From a 64-bit hash to a row number: open addressing that grows a piece at a time.
//
// Extendible hashing: a directory of small tables, chosen by the top bits of the hash. A table that
// fills is split in two, which moves at most kTableEntries entries (some 15 µs); only the
// directory, 8 bytes a table, ever doubles. An entry is 8 bytes, the hash's upper half and the row,
// so that growing, erasing and most misses touch no row. A lookup touches the directory (cached)
// and one or two lines of a table.

#ifndef TALLYSTICK_LEDGER_HASH_INDEX_H_
#define TALLYSTICK_LEDGER_HASH_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ledger/slab.h"

namespace tallystick::ledger {

class HashIndex {
 public:
  static constexpr uint32_t kTableEntries = 4096;
  // Split above it: linear probing stays short (six probes for a miss).
  static constexpr uint32_t kMaxLoad = kTableEntries * 7 / 10;
  // Bits of the hash that choose a table; those below it in the upper half choose the entry.
  static constexpr uint32_t kMaxDepth = 20;

  HashIndex();

  void Prefetch(uint64_t hash) const {
    const Table& table = TableOf(hash);
    ledger::Prefetch(&table.entries[Home(Fragment(hash))]);
  }

  // The row for which `is_match(row)` holds among those inserted under `hash`, or kNoRow.
  template <typename IsMatch>
  uint32_t Find(uint64_t hash, IsMatch&& is_match) const {
    const Table& table = TableOf(hash);
    const uint32_t fragment = Fragment(hash);
    for (uint32_t i = Home(fragment); table.entries[i].row_plus_1 != 0; i = Next(i)) {
      const Entry& entry = table.entries[i];
      if (entry.fragment == fragment && is_match(entry.row_plus_1 - 1)) return entry.row_plus_1 - 1;
    }
    return kNoRow;
  }
  // A row that is probably there, without touching it; for prefetching.
  uint32_t Guess(uint64_t hash) const {
    return Find(hash, [](uint32_t) { return true; });
  }

  // REQUIRES: the pair is not in it.
  void Insert(uint64_t hash, uint32_t row);
  // REQUIRES: the pair is in it.
  void Erase(uint64_t hash, uint32_t row);

  size_t size() const { return size_; }
  size_t bytes() const;

 private:
  struct Entry {
    uint32_t fragment;
    uint32_t row_plus_1;  // 0: empty
  };
  struct alignas(64) Table {
    Entry entries[kTableEntries];
    uint32_t depth;  // leading bits that all its hashes share
    uint32_t count;
  };

  static uint32_t Fragment(uint64_t hash) { return static_cast<uint32_t>(hash >> 32); }
  static uint32_t Home(uint32_t fragment) { return fragment % kTableEntries; }
  static uint32_t Next(uint32_t entry) { return (entry + 1) % kTableEntries; }

  // depth_ 0 would shift by 64.
  const Table& TableOf(uint64_t hash) const { return *directory_[(hash >> 1) >> (63 - depth_)]; }
  Table* NewTable(uint32_t depth);
  void Split(uint64_t hash);
  static void Place(Table& table, Entry entry);

  uint32_t depth_ = 0;
  size_t size_ = 0;
  std::vector<Table*> directory_;
  Pages pages_;
  size_t tables_ = 0;
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_HASH_INDEX_H_
