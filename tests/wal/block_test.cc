#include "wal/block.h"

#include <cstring>
#include <string>

#include "gtest/gtest.h"
#include "wal/checksum.h"
#include "wal/log_index.h"
#include "wal/segment_files.h"

namespace tallystick::wal {
namespace {

TEST(Checksum, Crc32cHasThePublishedValues) {
  EXPECT_EQ(Crc32c("123456789", 9), 0xE3069283u);
  EXPECT_EQ(Crc32c("", 0), 0u);
  const std::string zeros(32, '\0');  // RFC 3720, B.4
  EXPECT_EQ(Crc32c(zeros.data(), zeros.size()), 0x8A9136AAu);
}

TEST(Checksum, Hash128HasThePublishedValueOfNothing) {
  const Id128 hash = Hash128("", 0);
  EXPECT_EQ(hash.low, 0x6001c324468d497full);
  EXPECT_EQ(hash.high, 0x99aa06d3014798d8ull);
}

struct alignas(8) Buffer {
  std::byte bytes[2 * kSectorBytes];
};

Buffer MakeBlock(size_t count) {
  Buffer buffer;
  std::memset(buffer.bytes, 0xAB, sizeof(buffer.bytes));
  auto& header = *reinterpret_cast<BlockHeader*>(buffer.bytes);
  header.type = BlockType::kRecords;
  header.count = static_cast<uint32_t>(count);
  header.first_position = 10;
  header.durable_before = 10;
  FinishBlock(buffer.bytes);
  return buffer;
}

const BlockHeader& HeaderOf(const Buffer& buffer) {
  return *reinterpret_cast<const BlockHeader*>(buffer.bytes);
}

TEST(Block, FinishedBlockIsSoundAndPaddedWithZeros) {
  const Buffer buffer = MakeBlock(2);
  EXPECT_EQ(HeaderFault(HeaderOf(buffer)), nullptr);
  EXPECT_TRUE(BodyMatches(HeaderOf(buffer), buffer.bytes));
  EXPECT_EQ(HeaderOf(buffer).bytes, kSectorBytes);
  for (size_t i = sizeof(BlockHeader) + 2 * sizeof(Slot); i < kSectorBytes; ++i) {
    ASSERT_EQ(buffer.bytes[i], std::byte{0}) << i;
  }
  EXPECT_EQ(buffer.bytes[kSectorBytes], std::byte{0xAB}) << "wrote behind the block";
}

TEST(Block, EveryFlippedBitIsNoticed) {
  Buffer buffer = MakeBlock(40);
  const size_t bytes = HeaderOf(buffer).bytes;
  ASSERT_EQ(bytes, 2 * kSectorBytes);
  for (size_t bit = 0; bit < bytes * 8; ++bit) {
    buffer.bytes[bit / 8] ^= std::byte{1} << (bit % 8);
    ASSERT_TRUE(HeaderFault(HeaderOf(buffer)) != nullptr ||
                !BodyMatches(HeaderOf(buffer), buffer.bytes))
        << bit;
    buffer.bytes[bit / 8] ^= std::byte{1} << (bit % 8);
  }
}

TEST(Block, ImpossibleHeadersAreNamed) {
  const auto fault_after = [](auto change) {
    Buffer buffer = MakeBlock(1);
    auto& header = *reinterpret_cast<BlockHeader*>(buffer.bytes);
    change(header);
    header.header_crc = Crc32c(&header, offsetof(BlockHeader, header_crc));
    const char* fault = HeaderFault(header);
    return std::string(fault == nullptr ? "" : fault);
  };
  EXPECT_EQ(fault_after([](BlockHeader&) {}), "");
  EXPECT_EQ(fault_after([](BlockHeader& h) { h.magic = 0; }), "no block begins here");
  EXPECT_EQ(fault_after([](BlockHeader& h) { h.format_version = 2; }),
            "the format version is another");
  EXPECT_EQ(fault_after([](BlockHeader& h) { h.count = 0; }), "the count of slots is impossible");
  EXPECT_EQ(fault_after([](BlockHeader& h) { h.count = ~0u; }), "the count of slots is impossible");
  EXPECT_EQ(fault_after([](BlockHeader& h) { h.bytes += 4096; }), "size and count do not agree");
  EXPECT_EQ(fault_after([](BlockHeader& h) { h.durable_before = 11; }),
            "it knows of later positions");
  EXPECT_EQ(fault_after([](BlockHeader& h) { h.type = BlockType{0}; }),
            "the block's type is unknown");
  EXPECT_EQ(fault_after([](BlockHeader& h) {
              h.type = BlockType::kWitness;
              h.count = 2;
            }),
            "the count of slots is impossible for its type");
}

TEST(LogIndex, FindsTheGranuleOfAPosition) {
  LogIndex index;
  EXPECT_FALSE(index.Find(1).has_value());
  index.Add(1, 0, 1);
  index.Add(1, 4096, 2);  // the same granule
  index.Add(1, LogIndex::kGranuleBytes + 4096, 50);
  index.Add(4, 0, 80);
  EXPECT_FALSE(index.Find(0).has_value());
  const auto expect = [&index](uint64_t position, uint64_t segment, uint64_t offset,
                               uint64_t first) {
    const auto place = index.Find(position);
    ASSERT_TRUE(place.has_value());
    EXPECT_EQ(place->segment, segment);
    EXPECT_EQ(place->offset, offset);
    EXPECT_EQ(place->first_position, first);
  };
  expect(1, 1, 0, 1);
  expect(49, 1, 0, 1);
  expect(50, 1, LogIndex::kGranuleBytes + 4096, 50);
  expect(79, 1, LogIndex::kGranuleBytes + 4096, 50);
  expect(80, 4, 0, 80);
  expect(UINT64_MAX, 4, 0, 80);
}

TEST(LogIndex, LearnsBlocksBetweenThoseThatItKnows) {
  LogIndex index;
  index.Add(3, 0, 100);
  index.Add(4, 0, 900);
  index.Learn(3, 4096, 110);  // a granule that is known
  EXPECT_EQ(index.Find(500)->offset, 0u);
  index.Learn(3, 5 * LogIndex::kGranuleBytes, 500);
  index.Learn(3, 2 * LogIndex::kGranuleBytes, 300);
  index.Learn(3, 2 * LogIndex::kGranuleBytes, 300);
  index.Learn(7, 0, 5'000);  // a segment that is not
  EXPECT_EQ(index.Find(299)->offset, 0u);
  EXPECT_EQ(index.Find(300)->offset, 2 * LogIndex::kGranuleBytes);
  EXPECT_EQ(index.Find(499)->first_position, 300u);
  EXPECT_EQ(index.Find(899)->first_position, 500u);
  EXPECT_EQ(index.Find(900)->segment, 4u);
  EXPECT_EQ(index.last_segment(), 4u);
}

TEST(SegmentFiles, NamesAreSixteenHexDigits) {
  EXPECT_EQ(FileName(1, FileKind::kSegment), "0000000000000001.log");
  EXPECT_EQ(FileName(0xabcdef, FileKind::kCut), "0000000000abcdef.cut");
  EXPECT_EQ(FilePath("/d", UINT64_MAX, FileKind::kSpare), "/d/ffffffffffffffff.spare");
}

}  // namespace
}  // namespace tallystick::wal
