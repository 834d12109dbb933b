// From a 64-bit hash to a row number: buckets of one cache line, in tables that split one at a
// time.
//
// Extendible hashing: a directory of small tables, chosen by the top bits of the hash. A table that
// fills is split in two, which moves some 3,000 entries (15 µs); only the directory, 8 bytes a
// table, ever doubles. An entry is 8 bytes, the hash's upper half and the row, so that growing,
// erasing and most misses touch no row. A lookup touches the directory (cached) and, as a rule, one
// line: entries that find their bucket full go to the next one, and the full one counts them.
//
// A table is full when its entries had to pass too many full buckets, and not at a number of
// entries: to count these would touch one more line for each. Tables that grow alike would all
// split at the same time; so each has a limit of its own.

#ifndef TALLYSTICK_LEDGER_HASH_INDEX_H_
#define TALLYSTICK_LEDGER_HASH_INDEX_H_

#include <emmintrin.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ledger/slab.h"

namespace tallystick::ledger {

class HashIndex {
 public:
  static constexpr uint32_t kBuckets = 512;  // of a table
  static constexpr uint32_t kBucketEntries = 7;
  // A table is split when its entries have passed this many full buckets, and up to seven steps
  // more: at 65 to 88 % of its places, 78 % on average.
  static constexpr uint32_t kFewestPassed = 200;
  static constexpr uint32_t kPassedStep = 85;
  // With fewer entries it is not full, but crowded by hashes that are alike, which no split parts:
  // it is asked again when as many more have passed, and above kMostPassed each time.
  static constexpr uint32_t kFewestToSplit = kBuckets * kBucketEntries * 6 / 10;
  static constexpr uint32_t kMostPassed = 16 * kFewestPassed;
  // Bits of the hash that choose a table; those below it in the upper half choose the bucket.
  static constexpr uint32_t kMaxDepth = 20;

  explicit HashIndex(RegionSource* regions = nullptr);

  // ---- looking ahead, a step at a time, each when the cache has what the step before fetched ----
  // Where the hash's entry belongs: a place to look at, but not more than a guess once the index
  // has changed.
  class Place;
  // Fetches it.
  const Place* Approach(uint64_t hash) const;
  // Fetches the next bucket, too, if Find may have to look on, or Insert.
  static void FetchNext(const Place* place);
  // Both at once, unseen.
  void Prefetch(uint64_t hash) const;
  // The row that is probably the one; kNoRow: probably none.
  static uint32_t Guess(const Place* place, uint64_t hash);

  // The row for which `is_match(row)` holds among those inserted under `hash`, or kNoRow.
  template <typename IsMatch>
  uint32_t Find(uint64_t hash, IsMatch&& is_match) const {
    const Table& table = TableOf(hash);
    const uint32_t fragment = Fragment(hash);
    for (uint32_t b = Home(fragment);; b = Next(b)) {
      const Bucket& bucket = table.buckets[b];
      for (uint32_t hits = bucket.Hits(fragment); hits != 0; hits &= hits - 1) {
        const uint32_t row = bucket.rows[std::countr_zero(hits)];
        if (is_match(row)) return row;
      }
      if (bucket.passed == 0) return kNoRow;
    }
  }
  // REQUIRES: the pair is not in it.
  void Insert(uint64_t hash, uint32_t row);
  // REQUIRES: the pair is in it.
  void Erase(uint64_t hash, uint32_t row);

  size_t size() const { return size_; }
  size_t bytes() const;

 private:
  struct alignas(64) Bucket {
    uint32_t fragments[kBucketEntries];  // the first `count` are in use
    uint16_t count;
    uint16_t passed;  // entries that found it full, and lie behind
    uint32_t rows[kBucketEntries];
    uint32_t reserved;

    // A bit for each entry of this fragment.
    uint32_t Hits(uint32_t fragment) const {
      const __m128i wanted = _mm_set1_epi32(static_cast<int>(fragment));
      const auto* lanes = reinterpret_cast<const __m128i*>(fragments);
      const __m128i low = _mm_cmpeq_epi32(_mm_load_si128(lanes), wanted);
      const __m128i high = _mm_cmpeq_epi32(_mm_load_si128(lanes + 1), wanted);
      const auto equal = static_cast<uint32_t>(
          _mm_movemask_epi8(_mm_packs_epi16(_mm_packs_epi32(low, high), _mm_setzero_si128())));
      return equal & ((1u << count) - 1);
    }
  };
  static_assert(sizeof(Bucket) == 64);
  struct alignas(64) Table {
    Bucket buckets[kBuckets];
    uint32_t depth;        // leading bits that all its hashes share
    uint32_t passed;       // sum of its buckets'
    uint32_t most_passed;  // full when it is reached
  };
  struct Entry {
    uint32_t bucket;
    uint32_t number;
  };

  static uint32_t Fragment(uint64_t hash) { return static_cast<uint32_t>(hash >> 32); }
  static uint32_t Home(uint32_t fragment) { return fragment % kBuckets; }
  static uint32_t Next(uint32_t bucket) { return (bucket + 1) % kBuckets; }

  // depth_ 0 would shift by 64.
  Table& TableOf(uint64_t hash) { return *directory_[(hash >> 1) >> (63 - depth_)]; }
  const Table& TableOf(uint64_t hash) const { return *directory_[(hash >> 1) >> (63 - depth_)]; }
  Table* NewTable(uint32_t depth);
  uint32_t NextMostPassed() const;
  // Whether the table is perhaps to be split before an entry of this bucket is added.
  static bool IsFull(const Table& table, uint32_t home) {
    return table.buckets[home].count == kBucketEntries && table.passed >= table.most_passed;
  }
  bool SplitIfItHelps(uint64_t hash);
  void Split(uint64_t hash);
  static void Add(Table& table, uint32_t fragment, uint32_t row);
  static Entry EntryOf(Table& table, uint32_t fragment, uint32_t row);
  static void Remove(Bucket& bucket, uint32_t entry);
  // Moves entries that lie behind bucket `b`, which has got room, back towards their own.
  static void PullBack(Table& table, uint32_t b);

  uint32_t depth_ = 0;
  size_t size_ = 0;
  std::vector<Table*> directory_;
  Pages pages_;
  size_t tables_ = 0;
};

inline const HashIndex::Place* HashIndex::Approach(uint64_t hash) const {
  const Bucket* bucket = &TableOf(hash).buckets[Home(Fragment(hash))];
  ledger::Prefetch(bucket);
  return reinterpret_cast<const Place*>(bucket);
}

// Behind a table's last bucket lies its header: then the first is not fetched.
inline void HashIndex::FetchNext(const Place* place) {
  const auto* bucket = reinterpret_cast<const Bucket*>(place);
  const bool goes_on = (bucket->count == kBucketEntries) | (bucket->passed > 0);
  ledger::Prefetch(bucket + (goes_on ? 1 : 0));
}

inline void HashIndex::Prefetch(uint64_t hash) const {
  ledger::Prefetch(reinterpret_cast<const Bucket*>(Approach(hash)) + 1);
}

inline uint32_t HashIndex::Guess(const Place* place, uint64_t hash) {
  const auto* bucket = reinterpret_cast<const Bucket*>(place);
  const uint32_t fragment = Fragment(hash);
  uint32_t hits = bucket->Hits(fragment);
  if (hits == 0) {
    if (bucket->passed == 0) return kNoRow;
    hits = (++bucket)->Hits(fragment);
    if (hits == 0) return kNoRow;
  }
  return bucket->rows[std::countr_zero(hits)];
}

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_HASH_INDEX_H_
