#include "ledger/hash_index.h"

#include <gtest/gtest.h>

#include <random>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tallystick::ledger {
namespace {

// The rows under a hash, found by asking for each in turn.
std::vector<uint32_t> RowsUnder(const HashIndex& index, uint64_t hash) {
  std::vector<uint32_t> rows;
  index.Find(hash, [&](uint32_t row) {
    rows.push_back(row);
    return false;
  });
  return rows;
}

bool Holds(const HashIndex& index, uint64_t hash, uint32_t row) {
  return index.Find(hash, [&](uint32_t candidate) { return candidate == row; }) == row;
}

uint32_t Guess(const HashIndex& index, uint64_t hash) {
  const HashIndex::Place* place = index.Approach(hash);
  HashIndex::FetchNext(place);
  return HashIndex::Guess(place, hash);
}

// Inserts and erases at random and compares with a multimap of the standard library.
void CompareWithMultimap(uint64_t seed, int steps, int erase_percent,
                         const std::vector<uint64_t>& hashes) {
  std::mt19937_64 random(seed);
  HashIndex index;
  std::unordered_multimap<uint64_t, uint32_t> expected;
  std::vector<std::pair<uint64_t, uint32_t>> present;
  uint32_t next_row = 0;
  for (int step = 0; step < steps; ++step) {
    if (!present.empty() && static_cast<int>(random() % 100) < erase_percent) {
      std::swap(present[random() % present.size()], present.back());
      const auto [hash, row] = present.back();
      present.pop_back();
      index.Erase(hash, row);
      ASSERT_FALSE(Holds(index, hash, row));
      const auto [first, last] = expected.equal_range(hash);
      for (auto it = first; it != last; ++it) {
        if (it->second != row) continue;
        expected.erase(it);
        break;
      }
    } else {
      const uint64_t hash = hashes.empty() ? random() : hashes[random() % hashes.size()];
      index.Insert(hash, next_row);
      expected.emplace(hash, next_row);
      present.emplace_back(hash, next_row++);
    }
    ASSERT_EQ(index.size(), expected.size());
  }
  for (const auto& [hash, row] : expected) ASSERT_TRUE(Holds(index, hash, row));
  for (const uint64_t hash : hashes) {
    // Other hashes may share the half that an entry keeps.
    ASSERT_GE(RowsUnder(index, hash).size(), expected.count(hash));
  }
}

TEST(HashIndex, EmptyFindsNothing) {
  const HashIndex index;
  EXPECT_EQ(index.Find(0, [](uint32_t) { return true; }), kNoRow);
  EXPECT_EQ(Guess(index, ~uint64_t{0}), kNoRow);
  EXPECT_EQ(index.size(), 0u);
}

TEST(HashIndex, GrowsAndStillFindsEverything) { CompareWithMultimap(1, 60'000, 0, {}); }

TEST(HashIndex, ShrinksAndGrows) { CompareWithMultimap(2, 60'000, 48, {}); }

TEST(HashIndex, EqualHashesAreKeptApart) {
  std::vector<uint64_t> hashes;
  for (uint64_t i = 0; i < 7; ++i) hashes.push_back(i << 61 | i << 32 | 5);
  CompareWithMultimap(3, 12'000, 45, hashes);
}

TEST(HashIndex, CrowdAtATablesEndWrapsAround) {
  // Homes are the last buckets of a table, so that what finds them full goes over its end.
  std::vector<uint64_t> hashes;
  for (uint64_t i = 0; i < 16; ++i) {
    hashes.push_back((HashIndex::kBuckets - 1 - i % 4 + (i << 28)) << 32);
  }
  CompareWithMultimap(4, 20'000, 50, hashes);
}

TEST(HashIndex, CommonLeadingBitsSplitUntilTheyDiffer) {
  HashIndex index;
  std::mt19937_64 random(5);
  std::vector<uint64_t> hashes;
  // The first twelve bits are one: a dozen splits leave empty tables behind.
  for (uint32_t row = 0; row < 3 * HashIndex::kBuckets * HashIndex::kBucketEntries; ++row) {
    hashes.push_back(random() | uint64_t{0xfff} << 52);
    index.Insert(hashes.back(), row);
  }
  for (uint32_t row = 0; row < hashes.size(); ++row) ASSERT_TRUE(Holds(index, hashes[row], row));
  EXPECT_EQ(Guess(index, 0), kNoRow);
}

TEST(HashIndex, TablesDoNotAllSplitAtOnce) {
  HashIndex index;
  std::mt19937_64 random(7);
  uint32_t row = 0;
  const auto grow_to = [&](uint32_t size) {
    for (; row < size; ++row) index.Insert(random(), row);
    return index.bytes();
  };
  // While the index doubles, so do its tables. In steps of 2 %.
  const size_t first = grow_to(500'000);
  size_t most = 0;
  size_t bytes = first;
  for (uint32_t size = 500'000; size < 1'000'000; size += size / 50) {
    const size_t now = grow_to(size);
    most = std::max(most, now - bytes);
    bytes = now;
  }
  EXPECT_GT(bytes, first * 18 / 10);
  EXPECT_LT(most, (bytes - first) / 4);
}

TEST(HashIndex, TablesThatWereCrowdedOnceStillSplit) {
  HashIndex index;
  constexpr uint32_t kCrowd = 2'100;  // of one bucket
  for (uint32_t row = 0; row < kCrowd; ++row) index.Insert(42, row);
  for (uint32_t row = 0; row < kCrowd; ++row) index.Erase(42, row);
  std::mt19937_64 random(8);
  std::vector<uint64_t> hashes;
  for (uint32_t row = 0; row < 20'000; ++row) {
    hashes.push_back(random());
    index.Insert(hashes.back(), row);
  }
  for (uint32_t row = 0; row < hashes.size(); ++row) ASSERT_TRUE(Holds(index, hashes[row], row));
}

TEST(HashIndex, ManyTablesNeedSeveralChunks) {
  HashIndex index;
  std::mt19937_64 random(6);
  std::vector<uint64_t> hashes;
  for (uint32_t row = 0; row < 300'000; ++row) {
    hashes.push_back(random());
    index.Insert(hashes.back(), row);
  }
  EXPECT_GT(index.bytes(), size_t{64} * HashIndex::kBuckets * 64);
  size_t guessed = 0;
  for (uint32_t row = 0; row < hashes.size(); ++row) {
    ASSERT_TRUE(Holds(index, hashes[row], row));
    guessed += Guess(index, hashes[row]) == row ? 1 : 0;
  }
  EXPECT_GT(guessed, hashes.size() * 9 / 10);
  for (uint32_t row = 0; row < hashes.size(); row += 2) index.Erase(hashes[row], row);
  for (uint32_t row = 0; row < hashes.size(); ++row) {
    ASSERT_EQ(Holds(index, hashes[row], row), row % 2 == 1);
  }
}

}  // namespace
}  // namespace tallystick::ledger
