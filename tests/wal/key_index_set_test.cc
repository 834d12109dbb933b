// Keys in many segments at once.

#include "wal/key_index_set.h"

#include <algorithm>
#include <cerrno>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/sim/sim_io.h"
#include "tests/wal/index_harness.h"
#include "wal/key_index_files.h"

namespace tallystick::wal {
namespace {

using sim::SimIo;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr size_t kPlenty = size_t{1} << 30;

struct KeyIndexSetTest : ::testing::Test {
  KeyIndexSetTest() : io({.seed = 5, .short_read_percent = 30}) {
    EXPECT_TRUE(io.MakeDirectory(kLogDirectory).ok());
  }

  // Segments of random lengths, with gaps between their numbers, and keys of few.
  void WriteSegments(size_t segments, uint64_t most_slots, uint64_t keys, std::mt19937_64& random) {
    uint64_t number = 0;
    uint64_t position = 1;
    for (size_t i = 0; i < segments; ++i) {
      IndexSource source;
      source.segment = number += 1 + random() % 3;
      source.first_position = position;
      source.slots = 1 + random() % most_slots;
      source.block_slots = 1 + random() % 90;
      for (uint64_t at = position + 1; at < source.next_position(); ++at) {
        const Id128 id{random() % (keys * 10), 0};
        const Id128 member{random() % keys, 1};
        source.keys[0].push_back({id, at});
        source.keys[1].push_back({member, at});
        expected[0][id.low].push_back(at);
        expected[1][member.low].push_back(at);
      }
      ASSERT_EQ(WriteIndex(io, source), absl::OkStatus());
      position = source.next_position();
      sources.push_back(std::move(source));
    }
    end = position;
  }

  void AddAll(KeyIndexSet& set) {
    for (const IndexSource& source : sources) AddOne(set, source.segment);
  }
  void AddOne(KeyIndexSet& set, uint64_t segment) {
    auto index = KeyIndex::Open(io, kLogDirectory, segment, {.identity = kIdentity});
    ASSERT_TRUE(index.ok()) << index.status();
    set.Add(*std::move(index));
  }
  absl::StatusOr<KeyMatches> Find(KeyIndexSet& set, const KeyQuery& query) {
    absl::StatusOr<KeyMatches> result = absl::UnknownError("not called back");
    set.Find(query, [&result](absl::StatusOr<KeyMatches> found) { result = std::move(found); });
    while (set.busy()) io.Poll(-1);
    return result;
  }
  absl::StatusOr<BlockPlace> Locate(KeyIndexSet& set, uint64_t position) {
    absl::StatusOr<BlockPlace> result = absl::UnknownError("not called back");
    set.Locate(position, [&result](const absl::StatusOr<BlockPlace>& found) { result = found; });
    while (set.busy()) io.Poll(-1);
    return result;
  }
  // Of the key, below `before`, newest first.
  std::vector<uint64_t> Expected(const KeyQuery& query) {
    std::vector<uint64_t> positions;
    for (const uint64_t at : expected[query.family][query.key.low]) {
      if (at < query.before) positions.push_back(at);
    }
    std::reverse(positions.begin(), positions.end());
    return positions;
  }

  SimIo io;
  std::vector<IndexSource> sources;
  uint64_t end = 0;
  std::map<uint64_t, std::vector<uint64_t>> expected[kKeyFamilies];
};

struct KeyIndexSetSeeds : KeyIndexSetTest, ::testing::WithParamInterface<uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Seed, KeyIndexSetSeeds, ::testing::Range<uint64_t>(1, 11));

TEST_P(KeyIndexSetSeeds, FindsWhatAMultimapFindsWithMuchMemoryOrNone) {
  std::mt19937_64 random(GetParam());
  WriteSegments(60, 3'000, 40, random);
  for (const size_t memory : {size_t{0}, size_t{200'000}, kPlenty}) {
    KeyIndexSet set(io, kLogDirectory, memory);
    AddAll(set);
    ASSERT_EQ(set.Load(), absl::OkStatus());
    EXPECT_LE(set.memory_bytes(), memory);
    EXPECT_EQ(set.memory_bytes() > 0, memory > 0);
    for (int i = 0; i < 200; ++i) {
      KeyQuery query;
      query.family = random() % 2;
      query.key = {random() % (query.family == 0 ? 420 : 42), query.family};
      query.before = random() % 2 == 0 ? end : random() % (end + 10);
      query.limit = 1 + random() % 2'000;
      const std::vector<uint64_t> all = Expected(query);
      std::vector<uint64_t> got;
      do {
        const absl::StatusOr<KeyMatches> found = Find(set, query);
        ASSERT_TRUE(found.ok()) << found.status();
        ASSERT_LE(found->positions.size(), query.limit);
        ASSERT_TRUE(found->next == 0 || found->positions.size() == query.limit);
        got.insert(got.end(), found->positions.begin(), found->positions.end());
        query.before = found->next;
      } while (query.before != 0);
      ASSERT_EQ(got, all);
    }
  }
}

TEST_F(KeyIndexSetTest, SearchesRunSideBySide) {
  std::mt19937_64 random(3);
  WriteSegments(50, 1'000, 40, random);
  KeyIndexSet set(io, kLogDirectory, 0);
  AddAll(set);
  size_t answered = 0;
  for (uint64_t member = 0; member < 40; ++member) {
    const KeyQuery query{.family = 1, .key = {member, 1}, .limit = 1'000'000};
    set.Find(query, [&, query](absl::StatusOr<KeyMatches> found) {
      ASSERT_TRUE(found.ok()) << found.status();
      EXPECT_EQ(found->positions, Expected(query));
      ++answered;
    });
  }
  EXPECT_LE(io.pending(), kMaxIndexReads);
  while (set.busy()) {
    io.Poll(-1);
    ASSERT_LE(io.pending(), kMaxIndexReads);
  }
  EXPECT_EQ(answered, 40u);
}

TEST_F(KeyIndexSetTest, TooManySearchesAreRefused) {
  std::mt19937_64 random(3);
  WriteSegments(2, 1'000, 4, random);
  KeyIndexSet set(io, kLogDirectory, 0);
  AddAll(set);
  size_t refused = 0;
  for (size_t i = 0; i < kMaxIndexSearches + 3; ++i) {
    set.Find({.family = 1, .key = {1, 1}}, [&refused](const absl::StatusOr<KeyMatches>& found) {
      refused += absl::IsResourceExhausted(found.status()) ? 1 : 0;
    });
  }
  EXPECT_EQ(refused, 3u);
  while (set.busy()) io.Poll(-1);
  EXPECT_EQ(refused, 3u);
}

TEST_F(KeyIndexSetTest, CallbackMaySearchAgain) {
  std::mt19937_64 random(3);
  WriteSegments(20, 300, 4, random);
  KeyIndexSet set(io, kLogDirectory, kPlenty);
  AddAll(set);
  std::vector<uint64_t> got;
  KeyQuery query{.family = 1, .key = {2, 1}, .limit = 7};
  KeyIndexSet::FindCallback take = [&](absl::StatusOr<KeyMatches> found) {
    ASSERT_TRUE(found.ok());
    got.insert(got.end(), found->positions.begin(), found->positions.end());
    query.before = found->next;
    if (query.before != 0) set.Find(query, take);
  };
  set.Find(query, take);
  while (set.busy()) io.Poll(-1);
  query.before = end;
  EXPECT_EQ(got, Expected(query));
}

TEST_F(KeyIndexSetTest, LocatesEveryBlock) {
  std::mt19937_64 random(3);
  WriteSegments(8, 400, 4, random);
  for (const size_t memory : {size_t{0}, kPlenty}) {
    KeyIndexSet set(io, kLogDirectory, memory);
    AddAll(set);
    ASSERT_EQ(set.Load(), absl::OkStatus());
    for (const IndexSource& source : sources) {
      for (uint64_t slot = 0; slot < source.slots; ++slot) {
        const uint64_t position = source.first_position + slot;
        const absl::StatusOr<BlockPlace> place = Locate(set, position);
        ASSERT_TRUE(place.ok()) << place.status();
        ASSERT_EQ(place->segment, source.segment);
        const uint64_t begin =
            slot == 0 ? 0 : (slot - 1) / source.block_slots * source.block_slots + 1;
        ASSERT_EQ(place->first_position, source.first_position + begin);
      }
    }
    EXPECT_TRUE(absl::IsNotFound(Locate(set, end).status()));
    EXPECT_TRUE(absl::IsNotFound(Locate(set, 0).status()));
  }
}

TEST_F(KeyIndexSetTest, MemoryGoesToTheNewest) {
  std::mt19937_64 random(3);
  WriteSegments(10, 2'000, 500, random);
  KeyIndexSet all(io, kLogDirectory, kPlenty);
  AddAll(all);
  ASSERT_EQ(all.Load(), absl::OkStatus());
  const size_t most = all.memory_bytes() - 1;
  KeyIndexSet set(io, kLogDirectory, most);
  for (const IndexSource& source : sources) {
    auto index = KeyIndex::Open(io, kLogDirectory, source.segment, {});
    ASSERT_TRUE(index.ok());
    ASSERT_EQ((*index)->Load(io, KeyIndex::Part::kTables), absl::OkStatus());
    ASSERT_EQ((*index)->Load(io, KeyIndex::Part::kFilters), absl::OkStatus());
    set.Add(*std::move(index));
    ASSERT_LE(set.memory_bytes(), most);
  }
  EXPECT_GT(set.memory_bytes(), most / 2);
  // Of the oldest segment the filter is read, of others nothing, for a key that they do not have.
  const KeyQuery query{.family = 1, .key = {99'999, 1}};
  io.FailRead(1, EIO, KeyIndexPath("", sources.back().segment).substr(1));
  EXPECT_EQ(Find(set, query).status(), absl::OkStatus());
  io.FailRead(1, EIO, KeyIndexPath("", sources.front().segment).substr(1));
  EXPECT_FALSE(Find(set, query).ok());
  for (const IndexSource& source : sources) set.Remove(source.segment);
  EXPECT_EQ(set.memory_bytes(), 0u);
  EXPECT_EQ(set.size(), 0u);
}

TEST_F(KeyIndexSetTest, DamageIsNamedAndTheRestGoesOnWithoutIt) {
  std::mt19937_64 random(3);
  WriteSegments(5, 1'000, 4, random);
  KeyIndexSet set(io, kLogDirectory, 0);
  AddAll(set);
  const uint64_t segment = sources[2].segment;
  std::vector<std::byte>& file = io.Contents(KeyIndexPath(kLogDirectory, segment));
  file[file.size() - sizeof(IndexPage) + 100] ^= std::byte{1};
  const KeyQuery query{.family = 1, .key = {1, 1}, .limit = 1'000'000};
  bool damaged = false;
  for (uint64_t member = 0; member < 4; ++member) {
    KeyQuery of = query;
    of.key.low = member;
    const absl::Status status = Find(set, of).status();
    if (status.ok()) continue;
    damaged = true;
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()), HasSubstr(KeyIndexPath("", segment)));
  }
  EXPECT_TRUE(damaged);
  set.Remove(segment);
  EXPECT_FALSE(set.Has(segment));
  ASSERT_TRUE(Find(set, query).ok());
  // Built anew, it is read anew.
  ASSERT_EQ(WriteIndex(io, sources[2]), absl::OkStatus());
  AddOne(set, segment);
  const auto found = Find(set, query);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->positions, Expected(query));
}

TEST_F(KeyIndexSetTest, AFailedReadOrAMissingFileIsAnError) {
  std::mt19937_64 random(3);
  WriteSegments(3, 1'000, 4, random);
  KeyIndexSet set(io, kLogDirectory, 0);
  AddAll(set);
  const KeyQuery query{.family = 1, .key = {1, 1}, .limit = 1'000'000};
  io.FailRead(2, EIO);
  EXPECT_THAT(std::string(Find(set, query).status().message()),
              HasSubstr("reading the index failed"));
  EXPECT_TRUE(Find(set, query).ok());
  set.Remove(sources[1].segment);
  AddOne(set, sources[1].segment);
  ASSERT_TRUE(io.Remove(KeyIndexPath(kLogDirectory, sources[1].segment)).ok());
  EXPECT_TRUE(absl::IsNotFound(Find(set, query).status()));
}

TEST_F(KeyIndexSetTest, EmptySetFindsNothingAtOnce) {
  KeyIndexSet set(io, kLogDirectory, 0);
  bool called = false;
  set.Find({.family = 0, .key = {1, 1}}, [&called](absl::StatusOr<KeyMatches> found) {
    called = true;
    EXPECT_THAT(found->positions, IsEmpty());
    EXPECT_EQ(found->next, 0u);
  });
  EXPECT_TRUE(called);
}

}  // namespace
}  // namespace tallystick::wal
