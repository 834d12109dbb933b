// Reading a log on from a place in its middle.

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/sim/sim_io.h"
#include "tests/wal/archived_log.h"
#include "tests/wal/log_harness.h"
#include "wal/block_fetcher.h"
#include "wal/segment_files.h"

namespace tallystick::wal {
namespace {

using sim::SimIo;
using ::testing::HasSubstr;

// A log of some openings, and the places that its writers had.
struct LogPlaceTest : ::testing::Test {
  LogPlaceTest() : io({.seed = 4, .short_read_percent = 30}), session(io, SmallOptions()) {
    std::mt19937_64 random(4);
    for (int opening = 0; opening < 3; ++opening) {
      EXPECT_TRUE(session.Open().ok());
      for (int i = 0; i < 12; ++i) {
        EXPECT_TRUE(session.Run(1, random));
        places.push_back(session.writer->place());
      }
      EXPECT_TRUE(session.Settle());
      if (opening < 2) session.writer.reset();
    }
    whole = ReadLog(io);
    EXPECT_EQ(session.Compare(whole), "");
    EXPECT_GT(whole.tail.segment, 6u);
  }

  absl::StatusOr<std::unique_ptr<LogReader>> OpenAt(const LogPlace& place) {
    return LogReader::OpenAt(io, kLogDirectory, kIdentity, place);
  }

  SimIo io;
  LogSession session;
  std::vector<LogPlace> places;
  LogCopy whole;
};

TEST_F(LogPlaceTest, TheRestIsReadFromAnyPlace) {
  for (const LogPlace& place : places) {
    auto reader = OpenAt(place);
    ASSERT_TRUE(reader.ok()) << reader.status();
    size_t next = 0;
    while (next < whole.blocks.size() &&
           whole.blocks[next].header.first_position < place.next_position) {
      ++next;
    }
    BlockView block;
    while (true) {
      const absl::StatusOr<bool> more = (*reader)->Next(&block);
      ASSERT_TRUE(more.ok()) << more.status();
      if (!*more) break;
      ASSERT_LT(next, whole.blocks.size());
      EXPECT_EQ(block.header->first_position, whole.blocks[next].header.first_position);
      EXPECT_EQ(block.segment, whole.blocks[next].segment);
      EXPECT_EQ(block.offset, whole.blocks[next].offset);
      ++next;
    }
    EXPECT_EQ(next, whole.blocks.size());
    const LogTail& tail = (*reader)->tail();
    EXPECT_EQ(tail.next_position, whole.tail.next_position);
    EXPECT_EQ(tail.segment, whole.tail.segment);
    EXPECT_EQ(tail.offset, whole.tail.offset);
    EXPECT_EQ(tail.last_hash, whole.tail.last_hash);
    EXPECT_EQ(tail.epoch, whole.tail.epoch);
    EXPECT_EQ(tail.highest_segment, whole.tail.highest_segment);
    EXPECT_EQ(tail.torn, whole.tail.torn);
  }
}

TEST_F(LogPlaceTest, BlocksBeforeThePlaceAreFoundAllTheSame) {
  auto reader = OpenAt(places.back());
  ASSERT_TRUE(reader.ok()) << reader.status();
  BlockView view;
  while (*(*reader)->Next(&view)) {
  }
  LogTail tail = (*reader)->TakeTail();
  BlockFetcher fetcher(io, kLogDirectory, tail.index, 1);
  for (const BlockCopy& block : whole.blocks) {
    uint64_t found = 0;
    fetcher.Fetch(block.end_position() - 1, [&](absl::StatusOr<BlockView> fetched) {
      ASSERT_TRUE(fetched.ok()) << fetched.status();
      found = fetched->header->first_position;
    });
    while (fetcher.busy()) io.Poll(-1);
    EXPECT_EQ(found, block.header.first_position);
  }
}

// As far back as there are segments.
TEST_F(LogPlaceTest, ALogWithoutItsFirstSegmentsIsReadFromAnyPlaceBehindThem) {
  for (uint64_t segment = 1; segment <= 4; ++segment) MoveToArchive(io, whole, segment);
  for (uint64_t segment = 1; segment <= 2; ++segment) {
    ASSERT_TRUE(io.Remove(ArchivePath(segment)).ok());
  }
  for (const LogPlace& place : places) {
    auto reader = OpenAt(place);
    ASSERT_EQ(reader.ok(), place.segment > 2) << reader.status();
    if (!reader.ok()) continue;
    BlockView view;
    while (*(*reader)->Next(&view)) {
    }
    LogTail tail = (*reader)->TakeTail();
    EXPECT_EQ(tail.next_position, whole.tail.next_position);
    for (const BlockCopy& block : whole.blocks) {
      EXPECT_EQ(tail.index.Find(block.header.first_position).has_value(), block.segment > 2);
    }
  }
}

// Of a log that was put back from a copy, for one.
TEST_F(LogPlaceTest, APlaceThatTheLogDoesNotHaveIsRefused) {
  LogPlace place = places[20];
  place.last_hash.low ^= 1;
  const auto other = OpenAt(place);
  EXPECT_EQ(other.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(other.status().message()), HasSubstr("another block is, where"));

  place = places[20];
  place.offset += kSectorBytes;
  EXPECT_FALSE(OpenAt(place).ok());
  place = places[20];
  place.next_position += 1;
  EXPECT_FALSE(OpenAt(place).ok());
  place = places[20];
  place.last_offset = uint64_t{1} << 40;
  EXPECT_THAT(std::string(OpenAt(place).status().message()), HasSubstr("the segment ends, where"));
  place = places[20];
  place.segment = 99;
  EXPECT_THAT(std::string(OpenAt(place).status().message()),
              HasSubstr("there is no such segment, where"));
}

TEST_F(LogPlaceTest, DamageBehindThePlaceIsFound) {
  const LogPlace& place = places[18];
  io.Contents(FilePath(kLogDirectory, place.segment + 1, FileKind::kSegment))[kSectorBytes + 200] ^=
      std::byte{1};
  auto reader = OpenAt(place);
  ASSERT_TRUE(reader.ok()) << reader.status();
  BlockView block;
  absl::StatusOr<bool> more = true;
  while (more.ok() && *more) more = (*reader)->Next(&block);
  EXPECT_EQ(more.status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace tallystick::wal
