#include "ledger/hash_index.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace tallystick::ledger {

HashIndex::HashIndex(RegionSource* regions) : pages_(regions) { directory_.push_back(NewTable(0)); }

HashIndex::Table* HashIndex::NewTable(uint32_t depth) {
  auto* table = reinterpret_cast<Table*>(pages_.Take(sizeof(Table)));
  table->depth = depth;
  ++tables_;
  table->most_passed = NextMostPassed();
  return table;
}

// Spread evenly over tables in a row (Fibonacci hashing).
uint32_t HashIndex::NextMostPassed() const {
  return kFewestPassed + kPassedStep * static_cast<uint32_t>(tables_ * 0x9E37'79B9'7F4A'7C15 >> 61);
}

void HashIndex::Add(Table& table, uint32_t fragment, uint32_t row) {
  uint32_t b = Home(fragment);
  for (; table.buckets[b].count == kBucketEntries; b = Next(b)) {
    ++table.buckets[b].passed;
    ++table.passed;
    TALLYSTICK_LEDGER_CHECK(Next(b) != Home(fragment));
  }
  Bucket& bucket = table.buckets[b];
  bucket.fragments[bucket.count] = fragment;
  bucket.rows[bucket.count] = row;
  ++bucket.count;
}

HashIndex::Entry HashIndex::EntryOf(Table& table, uint32_t fragment, uint32_t row) {
  for (uint32_t b = Home(fragment);; b = Next(b)) {
    Bucket& bucket = table.buckets[b];
    for (uint32_t hits = bucket.Hits(fragment); hits != 0; hits &= hits - 1) {
      const auto entry = static_cast<uint32_t>(std::countr_zero(hits));
      if (bucket.rows[entry] == row) return {b, entry};
    }
    TALLYSTICK_LEDGER_CHECK(bucket.passed > 0);
  }
}

void HashIndex::Insert(uint64_t hash, uint32_t row) {
  while (IsFull(TableOf(hash), Home(Fragment(hash))) && SplitIfItHelps(hash)) {
  }
  Add(TableOf(hash), Fragment(hash), row);
  ++size_;
}

bool HashIndex::SplitIfItHelps(uint64_t hash) {
  Table& table = TableOf(hash);
  uint32_t count = 0;
  for (const Bucket& bucket : table.buckets) count += bucket.count;
  if (count >= kFewestToSplit) {
    Split(hash);
    return true;
  }
  table.most_passed = std::min(2 * table.most_passed, kMostPassed);
  return false;
}

void HashIndex::Split(uint64_t hash) {
  Table& old = TableOf(hash);
  TALLYSTICK_LEDGER_CHECK(old.depth < kMaxDepth);
  if (old.depth == depth_) {
    std::vector<Table*> doubled(directory_.size() * 2);
    for (size_t i = 0; i < doubled.size(); ++i) doubled[i] = directory_[i / 2];
    directory_.swap(doubled);
    ++depth_;
  }
  const uint32_t depth = old.depth + 1;
  old.most_passed = NextMostPassed();
  Table* upper = NewTable(depth);
  // The old table's slots of the directory, of which the upper half gets the new table.
  const size_t span = size_t{1} << (depth_ - old.depth);
  const size_t first = ((hash >> 1) >> (63 - depth_)) & ~(span - 1);
  for (size_t i = first + span / 2; i < first + span; ++i) directory_[i] = upper;

  std::array<Bucket, kBuckets> buckets;
  std::memcpy(buckets.data(), old.buckets, sizeof(old.buckets));
  std::memset(old.buckets, 0, sizeof(old.buckets));
  old.passed = 0;
  old.depth = depth;
  const uint32_t bit = uint32_t{1} << (32 - depth);
  for (const Bucket& bucket : buckets) {
    for (uint32_t entry = 0; entry < bucket.count; ++entry) {
      const uint32_t fragment = bucket.fragments[entry];
      Add((fragment & bit) != 0 ? *upper : old, fragment, bucket.rows[entry]);
    }
  }
}

void HashIndex::Erase(uint64_t hash, uint32_t row) {
  Table& table = TableOf(hash);
  const Entry found = EntryOf(table, Fragment(hash), row);
  for (uint32_t b = Home(Fragment(hash)); b != found.bucket; b = Next(b)) {
    --table.buckets[b].passed;
    --table.passed;
  }
  Remove(table.buckets[found.bucket], found.number);
  PullBack(table, found.bucket);
  --size_;
}

void HashIndex::Remove(Bucket& bucket, uint32_t entry) {
  --bucket.count;
  bucket.fragments[entry] = bucket.fragments[bucket.count];
  bucket.rows[entry] = bucket.rows[bucket.count];
}

void HashIndex::PullBack(Table& table, uint32_t b) {
  while (table.buckets[b].passed > 0) {
    // Each bucket on the way to the entry was passed by it.
    uint32_t from = b;
    uint32_t entry = kBucketEntries;
    while (entry == kBucketEntries) {
      --table.buckets[from].passed;
      --table.passed;
      from = Next(from);
      const Bucket& bucket = table.buckets[from];
      for (uint32_t i = 0; i < bucket.count && entry == kBucketEntries; ++i) {
        // As far from its own bucket as from `b`, or farther.
        const uint32_t home = Home(bucket.fragments[i]);
        if ((from - home) % kBuckets >= (from - b) % kBuckets) entry = i;
      }
    }
    Bucket& to = table.buckets[b];
    Bucket& bucket = table.buckets[from];
    to.fragments[to.count] = bucket.fragments[entry];
    to.rows[to.count] = bucket.rows[entry];
    ++to.count;
    Remove(bucket, entry);
    b = from;
  }
}

size_t HashIndex::bytes() const {
  return tables_ * sizeof(Table) + directory_.size() * sizeof(void*);
}

}  // namespace tallystick::ledger
