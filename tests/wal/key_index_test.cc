// One index: what it answers, and how it is refused when it is damaged, cut, or another's.

#include "wal/key_index.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/sim/sim_io.h"
#include "tests/wal/index_harness.h"
#include "wal/block.h"
#include "wal/key_index_files.h"
#include "wal/key_index_probe.h"

namespace tallystick::wal {
namespace {

using sim::CrashPoint;
using sim::SimIo;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Part = KeyIndex::Part;

// Positions of each key of each family.
using Expected = std::multimap<std::tuple<size_t, uint64_t, uint64_t>, uint64_t>;

// A segment whose slots have a key of their own, but for some, and one of few that repeat.
IndexSource RandomSource(std::mt19937_64& random, uint64_t slots, uint64_t members) {
  IndexSource source;
  source.segment = 1 + random() % 1000;
  source.first_position = 1 + random() % 1'000'000'000;
  source.slots = slots;
  source.block_slots = 1 + random() % 2000;
  for (uint64_t at = source.first_position + 1; at < source.next_position(); ++at) {
    if (random() % 8 != 0) source.keys[0].push_back({{random(), random()}, at});
    if (random() % 8 != 0) source.keys[1].push_back({{random() % members, 7}, at});
  }
  return source;
}

Expected ExpectedOf(const IndexSource& source) {
  Expected expected;
  for (size_t f = 0; f < kKeyFamilies; ++f) {
    for (const auto& [key, at] : source.keys[f]) expected.insert({{f, key.low, key.high}, at});
  }
  return expected;
}

std::vector<uint64_t> NewestFirst(const Expected& expected, size_t family, const Id128& key,
                                  uint64_t before) {
  std::vector<uint64_t> positions;
  const auto [begin, end] = expected.equal_range({family, key.low, key.high});
  for (auto it = begin; it != end; ++it) {
    if (it->second < before) positions.push_back(it->second);
  }
  std::sort(positions.rbegin(), positions.rend());
  return positions;
}

struct KeyIndexTest : ::testing::Test {
  KeyIndexTest() : io({.seed = 5}) { EXPECT_TRUE(io.MakeDirectory(kLogDirectory).ok()); }

  std::unique_ptr<KeyIndex> Write(const IndexSource& source) {
    EXPECT_EQ(WriteIndex(io, source), absl::OkStatus());
    auto index = KeyIndex::Open(io, kLogDirectory, source.segment, {.identity = kIdentity});
    EXPECT_TRUE(index.ok()) << index.status();
    return *std::move(index);
  }
  std::vector<std::byte>& File(uint64_t segment) {
    return io.Contents(KeyIndexPath(kLogDirectory, segment));
  }
  absl::Status Refusal(uint64_t segment, const KeyIndex::Whose& whose = {.identity = kIdentity}) {
    return KeyIndex::Open(io, kLogDirectory, segment, whose).status();
  }

  SimIo io;
};

TEST_F(KeyIndexTest, FindsWhatAMultimapFinds) {
  for (uint64_t seed = 1; seed <= 28; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    constexpr uint64_t kSlots[] = {1, 2, 40, 509, 513, 3'000, 70'000};
    const uint64_t slots = kSlots[seed % std::size(kSlots)];
    const IndexSource source = RandomSource(random, slots, 1 + slots / 50);
    const Expected expected = ExpectedOf(source);
    const std::unique_ptr<KeyIndex> index = Write(source);
    ASSERT_EQ(index->Verify(io), absl::OkStatus());
    for (int step = 0; step < 3; ++step) {
      if (step > 0) {
        ASSERT_EQ(index->Load(io, step == 1 ? Part::kTables : Part::kFilters), absl::OkStatus());
      }
      for (int i = 0; i < 300; ++i) {
        const size_t family = random() % 2;
        const auto& keys = source.keys[family];
        const bool known = !keys.empty() && random() % 4 != 0;
        const Id128 key = known ? keys[random() % keys.size()].first : Id128{random(), 7};
        const uint64_t before = source.first_position + random() % (slots + 100);
        const auto found = FindAll(io, *index, family, key, before);
        ASSERT_TRUE(found.ok()) << found.status();
        ASSERT_EQ(*found, NewestFirst(expected, family, key, before));
      }
    }
  }
}

TEST_F(KeyIndexTest, FindsTheBlockOfEveryPosition) {
  IndexSource source;
  source.first_position = 1'000'001;
  source.slots = 5'000;
  source.block_slots = 3;
  const std::unique_ptr<KeyIndex> index = Write(source);
  EXPECT_GT(index->layout().trees[kBlockTree].leaf_pages, 3u);
  for (const bool in_memory : {false, true}) {
    if (in_memory) {
      ASSERT_EQ(index->Load(io, Part::kTables), absl::OkStatus());
    }
    for (uint64_t slot = 0; slot < source.slots; ++slot) {
      const auto word = FindBlock(io, *index, source.first_position + slot);
      ASSERT_TRUE(word.ok()) << word.status();
      const uint64_t block = slot == 0 ? 0 : (slot - 1) / 3 + 1;
      ASSERT_EQ(BlockWordSlot(*word), block == 0 ? 0 : (block - 1) * 3 + 1);
      ASSERT_EQ(BlockWordOffset(*word), block * kSectorBytes);
      ASSERT_EQ(BlockWordBytes(*word), kSectorBytes);
    }
  }
}

TEST_F(KeyIndexTest, SaysWhatItIsOf) {
  IndexSource source;
  source.segment = 9;
  source.first_position = 500;
  source.slots = 100;
  const std::unique_ptr<KeyIndex> index = Write(source);
  EXPECT_EQ(index->header().segment, 9u);
  EXPECT_EQ(index->header().first_position, 500u);
  EXPECT_EQ(index->header().next_position, 600u);
  EXPECT_EQ(index->header().first_timestamp_us, static_cast<int64_t>(kFirstTimestamp));
  EXPECT_EQ(index->header().last_timestamp_us, static_cast<int64_t>(kFirstTimestamp) + 94);
  EXPECT_EQ(index->header().end_offset, 5 * kSectorBytes);
  EXPECT_EQ(index->header().blocks, 5u);
}

// A member whose records are all there are.
TEST_F(KeyIndexTest, OneKeyInEverySlotComesInBoundedPieces) {
  IndexSource source;
  source.first_position = 77;
  source.slots = 500'001;
  source.block_slots = 2047;
  const Id128 hot{1, 2};
  for (uint64_t at = 78; at < source.next_position(); ++at) source.keys[1].push_back({hot, at});
  const std::unique_ptr<KeyIndex> index = Write(source);
  EXPECT_EQ(index->header().families[1].lines, 1u);
  auto found = FindAll(io, *index, 1, hot, source.next_position());
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ(found->size(), 500'000u);
  EXPECT_EQ(found->front(), source.next_position() - 1);
  EXPECT_EQ(found->back(), 78u);
  EXPECT_TRUE(std::is_sorted(found->rbegin(), found->rend()));
  for (const uint64_t before : {78u, 79u, 79u + 509, 79u + 510, 79u + 511, 250'000u}) {
    found = FindAll(io, *index, 1, hot, before);
    ASSERT_TRUE(found.ok());
    ASSERT_EQ(found->size(), before - 78) << before;
  }
  EXPECT_THAT(*FindAll(io, *index, 1, {2, 1}, source.next_position()), IsEmpty());
}

TEST_F(KeyIndexTest, FilterLetsFewPassThatAreNotThere) {
  std::mt19937_64 random(11);
  const IndexSource source = RandomSource(random, 100'000, 50'000);
  const std::unique_ptr<KeyIndex> index = Write(source);
  ASSERT_EQ(index->Load(io, Part::kTables), absl::OkStatus());
  ASSERT_EQ(index->Load(io, Part::kFilters), absl::OkStatus());
  for (size_t family = 0; family < kKeyFamilies; ++family) {
    int passed = 0;
    for (int i = 0; i < 100'000; ++i) {
      KeyIndexProbe probe = KeyIndexProbe::ForKey(*index, family, {random(), random()}, 100'000);
      passed += *probe.Advance(nullptr) == 0 ? 0 : 1;
    }
    EXPECT_LT(passed, 1'000);
    EXPECT_GT(passed, 0) << "the filter is not asked";
  }
}

TEST_F(KeyIndexTest, EveryFlippedBitIsNoticed) {
  std::mt19937_64 random(3);
  IndexSource source = RandomSource(random, 200, 6);
  source.segment = 4;
  const Expected expected = ExpectedOf(source);
  Write(source);
  const size_t size = File(4).size();
  ASSERT_EQ(size, 9 * sizeof(IndexPage));
  for (size_t bit = 0; bit < size * 8; ++bit) {
    std::byte& byte = File(4)[bit / 8];
    byte ^= std::byte{1} << (bit % 8);
    const auto index = KeyIndex::Open(io, kLogDirectory, 4, {.identity = kIdentity});
    if (index.ok()) {
      ASSERT_EQ((*index)->Verify(io).code(), absl::StatusCode::kDataLoss) << bit;
      const auto& [key, at] = source.keys[bit % 2][bit % source.keys[bit % 2].size()];
      if (bit % 5 == 0) {
        const auto found = FindAll(io, **index, bit % 2, key, source.next_position());
        if (found.ok()) {
          ASSERT_EQ(*found, NewestFirst(expected, bit % 2, key, source.next_position())) << bit;
        } else {
          ASSERT_EQ(found.status().code(), absl::StatusCode::kDataLoss) << bit;
        }
        ASSERT_NE((*index)->Load(io, Part::kTables).ok() && (*index)->Load(io, Part::kFilters).ok(),
                  bit / 8 / sizeof(IndexPage) < (*index)->layout().filters_end)
            << bit;
      }
    } else {
      ASSERT_LT(bit, sizeof(IndexPage) * 8);
      ASSERT_EQ(index.status().code(), absl::StatusCode::kDataLoss) << bit;
    }
    byte ^= std::byte{1} << (bit % 8);
  }
}

TEST_F(KeyIndexTest, IsRefusedWhereverItIsCutShort) {
  std::mt19937_64 random(3);
  IndexSource source = RandomSource(random, 200, 6);
  source.segment = 4;
  Write(source);
  const std::vector<std::byte> whole = File(4);
  for (size_t size = 0; size < whole.size(); size += 64) {
    File(4).resize(size);
    ASSERT_EQ(Refusal(4).code(), absl::StatusCode::kDataLoss) << size;
    File(4) = whole;
  }
  File(4).resize(whole.size() + sizeof(IndexPage));
  EXPECT_THAT(std::string(Refusal(4).message()), HasSubstr("offset 36864: the index is damaged"));
}

TEST_F(KeyIndexTest, APageOfAnotherIndexIsNoticed) {
  std::mt19937_64 random(3);
  for (const uint64_t segment : {4, 5}) {
    IndexSource source = RandomSource(random, 200, 6);
    source.segment = segment;
    Write(source);
  }
  std::copy_n(File(5).begin() + 8 * sizeof(IndexPage), sizeof(IndexPage),
              File(4).begin() + 8 * sizeof(IndexPage));
  const auto index = KeyIndex::Open(io, kLogDirectory, 4, {});
  ASSERT_TRUE(index.ok());
  EXPECT_THAT(
      std::string((*index)->Verify(io).message()),
      HasSubstr("0000000000000004.idx: offset 32768: the index is damaged: the page belongs "
                "elsewhere: build it anew from its segment"));
}

TEST_F(KeyIndexTest, OfAnotherLedgerShardOrSegmentIsRefused) {
  const IndexSource source;
  const Id128 last_hash = Write(source)->header().last_hash;
  LogIdentity other = kIdentity;
  other.ledger_id.low ^= 1;
  EXPECT_EQ(Refusal(1, {.identity = other}).code(), absl::StatusCode::kInvalidArgument);
  other = kIdentity;
  other.shard = 4;
  EXPECT_EQ(Refusal(1, {.identity = other}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Refusal(1, {.last_hash = last_hash}), absl::OkStatus());
  EXPECT_EQ(Refusal(1, {.last_hash = Id128{1, 2}}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Refusal(2).code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(io.Rename(KeyIndexPath(kLogDirectory, 1), KeyIndexPath(kLogDirectory, 2)).ok());
  EXPECT_EQ(Refusal(2).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(KeyIndexTest, OfANewerFormatIsRefusedWithASentence) {
  Write(IndexSource());
  IndexPage page;
  std::memcpy(&page, File(1).data(), sizeof(page));
  reinterpret_cast<IndexHeader*>(page.content)->format_version = kIndexVersion + 1;
  page.crc = PageCrc(page);
  std::memcpy(File(1).data(), &page, sizeof(page));
  EXPECT_EQ(Refusal(1).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(Refusal(1).message()),
              HasSubstr("index format version 2; this program reads 1"));
}

TEST_F(KeyIndexTest, AFailedWriteOrSyncOrAFullDiskLeavesTheOldOne) {
  std::mt19937_64 random(3);
  IndexSource source = RandomSource(random, 20'000, 6);
  source.segment = 1;
  Write(source);
  const std::vector<std::byte> whole = File(1);
  io.FailWrite(1, EIO);
  EXPECT_FALSE(WriteIndex(io, source).ok());
  io.FailSync(1, EIO);
  EXPECT_FALSE(WriteIndex(io, source).ok());
  io.SetDiskBytes(whole.size() * 3 / 2);
  const absl::Status full = WriteIndex(io, source);
  EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
  EXPECT_THAT(*io.List(kLogDirectory), ElementsAre("0000000000000001.idx"));
  EXPECT_TRUE(File(1) == whole);
}

TEST_F(KeyIndexTest, ASegmentBeyondTheLimitIsRefused) {
  KeyIndexWriter writer(kIdentity, 1);
  BlockHeader header{};
  header.segment = 1;
  header.first_position = 1;
  absl::Status status;
  uint64_t offset = 0;
  for (; status.ok() && offset <= kMaxSegmentBytes; offset += kMaxBlockBytes) {
    header.count = kMaxBlockSlots;
    header.bytes = kMaxBlockBytes;
    status = writer.AddBlock(header, offset);
    header.first_position += header.count;
  }
  EXPECT_TRUE(absl::IsOutOfRange(status)) << status;
  EXPECT_EQ(offset, kMaxSegmentBytes + kMaxBlockBytes);
}

// Whenever the power goes: the index is whole, or there is none by its name.
TEST(KeyIndex, ACrashLeavesAWholeOneOrNone) {
  std::mt19937_64 random(8);
  IndexSource source = RandomSource(random, 3'000, 60);
  source.segment = 2;
  bool survived = false;
  size_t crashes = 0;
  size_t found = 0;
  for (uint64_t boundary = 1; !survived; ++boundary) {
    for (const CrashPoint point : {CrashPoint::kBefore, CrashPoint::kMiddle, CrashPoint::kAfter}) {
      SimIo io({.seed = boundary});
      ASSERT_TRUE(io.MakeDirectory(kLogDirectory).ok());
      io.CrashAt(io.boundaries() + boundary, point);
      survived = WriteIndex(io, source).ok() && io.powered();
      if (survived) break;
      ++crashes;
      io.Crash();
      ASSERT_TRUE(RemoveUnfinishedKeyIndexes(io, kLogDirectory).ok());
      const auto segments = ListKeyIndexes(io, kLogDirectory);
      ASSERT_TRUE(segments.ok());
      ASSERT_EQ(segments->size(), io.List(kLogDirectory)->size());
      for (const uint64_t segment : *segments) {
        const auto index = KeyIndex::Open(io, kLogDirectory, segment, {.identity = kIdentity});
        ASSERT_TRUE(index.ok()) << index.status();
        ASSERT_EQ((*index)->Verify(io), absl::OkStatus());
        ++found;
      }
      ASSERT_EQ(WriteIndex(io, source), absl::OkStatus());
    }
  }
  EXPECT_GT(crashes, 10u);
  EXPECT_GT(found, 0u) << "after the renaming it is there";
}

IndexSource GoldenSource() {
  IndexSource source;
  source.slots = 46;
  for (uint64_t at = 2; at < source.next_position(); ++at) {
    source.keys[0].push_back({{at, 1000 + at}, at});
    source.keys[1].push_back({{at % 5, 1}, at});
  }
  return source;
}

// The format may not change by accident. TALLYSTICK_WRITE_GOLDEN=1 writes the file anew, for when
// it changes on purpose.
TEST_F(KeyIndexTest, GoldenFileIsStillWrittenAndRead) {
  const std::string path =
      std::string(TALLYSTICK_GOLDEN_DIRECTORY) + "/index-v1/0000000000000001.idx";
  const IndexSource source = GoldenSource();
  Write(source);
  if (std::getenv("TALLYSTICK_WRITE_GOLDEN") != nullptr) {
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(File(1).data()),
               static_cast<std::streamsize>(File(1).size()));
    ASSERT_TRUE(file.good()) << path;
  }
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  ASSERT_EQ(text.size(), File(1).size()) << path;
  EXPECT_EQ(std::memcmp(text.data(), File(1).data(), text.size()), 0) << path;

  SimIo disk({.seed = 1});
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  disk.AddFile(KeyIndexPath(kLogDirectory, 1), {bytes, bytes + text.size()});
  const auto index = KeyIndex::Open(disk, kLogDirectory, 1, {.identity = kIdentity});
  ASSERT_TRUE(index.ok()) << index.status();
  EXPECT_THAT(*FindAll(disk, **index, 0, {9, 1009}, 47), ElementsAre(9));
  EXPECT_THAT(*FindAll(disk, **index, 1, {3, 1}, 20), ElementsAre(18, 13, 8, 3));
  EXPECT_EQ(BlockWordOffset(*FindBlock(disk, **index, 40)), 2 * kSectorBytes);
}

}  // namespace
}  // namespace tallystick::wal
