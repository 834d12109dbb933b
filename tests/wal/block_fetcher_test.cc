#include "wal/block_fetcher.h"

#include <algorithm>
#include <cerrno>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/sim/sim_io.h"
#include "tests/wal/archived_log.h"
#include "tests/wal/log_harness.h"
#include "wal/segment_files.h"

namespace tallystick::wal {
namespace {

using sim::SimIo;
using ::testing::HasSubstr;

struct BlockFetcherTest : ::testing::Test {
  BlockFetcherTest() : io({.seed = 9, .short_read_percent = 40}), session(io, Options()) {
    EXPECT_TRUE(session.Open().ok());
    std::mt19937_64 random(9);
    EXPECT_TRUE(session.Run(60, random));
    EXPECT_TRUE(session.Settle());
    log = ReadLog(io);
    EXPECT_EQ(session.Compare(log), "");
    EXPECT_GT(log.tail.segment, 2u);
  }

  static LogWriterOptions Options() {
    LogWriterOptions options = SmallOptions();
    options.segment_bytes = 4 * LogIndex::kGranuleBytes;
    return options;
  }

  absl::StatusOr<BlockCopy> Fetch(BlockFetcher& fetcher, uint64_t position) {
    absl::StatusOr<BlockCopy> result = absl::UnknownError("not called back");
    fetcher.Fetch(position, [&result](absl::StatusOr<BlockView> block) {
      if (!block.ok()) {
        result = block.status();
        return;
      }
      result = BlockCopy{.header = *block->header,
                         .slots = {block->slots.begin(), block->slots.end()},
                         .segment = block->segment,
                         .offset = block->offset};
    });
    while (fetcher.busy()) io.Poll(-1);
    return result;
  }

  void ExpectAllFound(BlockFetcher& fetcher) {
    for (const BlockCopy& expected : log.blocks) {
      for (const uint64_t position : {expected.header.first_position, expected.end_position() - 1,
                                      expected.header.first_position + expected.header.count / 2}) {
        const absl::StatusOr<BlockCopy> block = Fetch(fetcher, position);
        ASSERT_TRUE(block.ok()) << block.status();
        ASSERT_EQ(block->header.first_position, expected.header.first_position);
        ASSERT_EQ(block->segment, expected.segment);
        ASSERT_EQ(block->offset, expected.offset);
        ASSERT_TRUE(std::equal(block->slots.begin(), block->slots.end(), expected.slots.begin(),
                               expected.slots.end(), Equal));
      }
    }
  }

  SimIo io;
  LogSession session;
  LogCopy log;
};

TEST_F(BlockFetcherTest, EveryPositionIsFoundInItsBlock) {
  BlockFetcher fetcher(io, kLogDirectory, session.writer->index(), 3);
  ExpectAllFound(fetcher);
}

TEST_F(BlockFetcherTest, EveryPositionOfAnArchivedLogIsFoundInItsBlock) {
  for (uint64_t segment = 1; segment < log.tail.segment; ++segment) MoveToArchive(io, log, segment);
  BlockFetcher fetcher(io, kLogDirectory, session.writer->index(), 3);
  ExpectAllFound(fetcher);
}

// The fetcher has the file open while it is archived and written over.
TEST_F(BlockFetcherTest, ASegmentThatGoesIntoTheArchiveIsFollowedThere) {
  BlockFetcher fetcher(io, kLogDirectory, session.writer->index(), 1);
  ASSERT_TRUE(Fetch(fetcher, log.blocks[3].header.first_position).ok());
  ASSERT_EQ(log.blocks[3].segment, 1u);
  ASSERT_EQ(WriteArchive(io, SealedOf(log, 1)), absl::OkStatus());
  std::vector<std::byte>& plain = io.Contents(SegmentPath(1));
  std::fill(plain.begin(), plain.end(), std::byte{0});
  ASSERT_TRUE(io.Rename(SegmentPath(1), FilePath(kLogDirectory, 1, FileKind::kFree)).ok());
  for (const size_t block : {size_t{1}, size_t{4}}) {
    const absl::StatusOr<BlockCopy> found = Fetch(fetcher, log.blocks[block].header.first_position);
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(found->header.first_position, log.blocks[block].header.first_position);
  }
}

TEST_F(BlockFetcherTest, ADamagedArchiveIsNamed) {
  MoveToArchive(io, log, 1);
  io.Contents(ArchivePath(1)).back() ^= std::byte{1};
  BlockFetcher fetcher(io, kLogDirectory, session.writer->index(), 1);
  std::vector<BlockCopy>::const_iterator last = log.blocks.begin();
  for (auto it = log.blocks.begin(); it->segment == 1; ++it) last = it;
  const absl::Status status = Fetch(fetcher, last->header.first_position).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(status.ToString(), HasSubstr(ArchivePath(1)));
}

TEST_F(BlockFetcherTest, WhatTheLimitsRemovedIsNotFoundAndWhatIsLostIsDamage) {
  MoveToArchive(io, log, 1);
  ASSERT_TRUE(io.Remove(ArchivePath(1)).ok());
  BlockFetcher fetcher(io, kLogDirectory, session.writer->index(), 1);
  absl::Status status = Fetch(fetcher, 2).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(status.ToString(), HasSubstr("segment 1 is lost"));
  ASSERT_TRUE(MarkGone(io, LogFolders(kLogDirectory).archive, 1).ok());
  status = Fetch(fetcher, 2).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  const auto second = std::find_if(log.blocks.begin(), log.blocks.end(),
                                   [](const BlockCopy& block) { return block.segment == 2; });
  EXPECT_THAT(status.ToString(), HasSubstr(absl::StrCat("the log begins at position ",
                                                        second->header.first_position, ":")));
}

// Opened without them, the log's index does not know the first segments.
TEST_F(BlockFetcherTest, WhatLiesBeforeTheFirstSegmentIsRemovedOrLostToo) {
  LogIndex index;
  uint64_t first = 0;
  for (const BlockCopy& block : log.blocks) {
    if (block.segment < 3) continue;
    if (first == 0) first = block.header.first_position;
    index.Add(block.segment, block.offset, block.header.first_position);
  }
  MoveToArchive(io, log, 1);
  MoveToArchive(io, log, 2);
  BlockFetcher fetcher(io, kLogDirectory, index, 1);
  io.Contents(ArchivePath(2)).resize(100);
  absl::Status status = Fetch(fetcher, first - 1).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(status.ToString(), HasSubstr(ArchivePath(2)));
  ASSERT_TRUE(io.Remove(ArchivePath(2)).ok());
  status = Fetch(fetcher, 2).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(status.ToString(), HasSubstr("segment 2 is lost"));
  ASSERT_TRUE(MarkGone(io, LogFolders(kLogDirectory).archive, 2).ok());
  status = Fetch(fetcher, 2).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(status.ToString(),
              HasSubstr(absl::StrCat("the log begins at position ", first, ":")));
}

TEST_F(BlockFetcherTest, CachedBlockIsGivenAtOnceUntilOthersDisplaceIt) {
  BlockFetcher fetcher(io, kLogDirectory, session.writer->index(), 2);
  const auto at_once = [&](size_t block) {
    bool called = false;
    fetcher.Fetch(log.blocks[block].header.first_position,
                  [&called](const absl::StatusOr<BlockView>&) { called = true; });
    const bool result = called;
    while (fetcher.busy()) io.Poll(-1);
    return result;
  };
  EXPECT_FALSE(at_once(1));
  EXPECT_TRUE(at_once(1));
  EXPECT_FALSE(at_once(20));
  EXPECT_TRUE(at_once(1));
  EXPECT_FALSE(at_once(40));
  EXPECT_TRUE(at_once(1));
  EXPECT_FALSE(at_once(20)) << "the one unused for longest has made room";
}

TEST_F(BlockFetcherTest, CallbackMayFetchTheNext) {
  BlockFetcher fetcher(io, kLogDirectory, session.writer->index(), 1);
  std::vector<uint64_t> seen;
  BlockFetcher::Callback walk = [&](absl::StatusOr<BlockView> block) {
    ASSERT_TRUE(block.ok());
    seen.push_back(block->header->first_position);
    if (seen.back() > 1) fetcher.Fetch(seen.back() - 1, walk);
  };
  fetcher.Fetch(session.writer->durable_position() - 1, walk);
  while (fetcher.busy()) io.Poll(-1);
  EXPECT_EQ(seen.size(), log.blocks.size());
}

TEST_F(BlockFetcherTest, PositionBeforeTheFirstIsNotFound) {
  BlockFetcher fetcher(io, kLogDirectory, session.writer->index(), 1);
  EXPECT_EQ(Fetch(fetcher, 0).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(BlockFetcherTest, DamageIsNamed) {
  BlockFetcher fetcher(io, kLogDirectory, session.writer->index(), 1);
  const BlockCopy& victim = log.blocks[10];
  const std::string path = FilePath(kLogDirectory, victim.segment, FileKind::kSegment);
  std::byte& body = io.Contents(path)[victim.offset + sizeof(BlockHeader) + 1];
  body ^= std::byte{4};
  absl::Status status = Fetch(fetcher, victim.header.first_position).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(status.ToString(), HasSubstr("the body's checksum is wrong"));
  EXPECT_THAT(status.ToString(), HasSubstr(path));
  body ^= std::byte{4};
  EXPECT_TRUE(Fetch(fetcher, victim.header.first_position).ok());

  io.Contents(path)[victim.offset + 20] ^= std::byte{4};
  status = Fetch(fetcher, log.blocks[11].header.first_position).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << "the way there leads over it";

  io.Contents(path).resize(victim.offset);
  BlockFetcher fresh(io, kLogDirectory, session.writer->index(), 1);
  status = Fetch(fresh, victim.header.first_position).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(status.ToString(), HasSubstr("the segment ends here"));
}

TEST_F(BlockFetcherTest, ReadErrorIsPassedOn) {
  BlockFetcher fetcher(io, kLogDirectory, session.writer->index(), 1);
  io.FailRead(1, EIO, ".log");
  const absl::Status status = Fetch(fetcher, 5).status();
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(Fetch(fetcher, 5).ok());
}

TEST_F(BlockFetcherTest, MissingSegmentIsPassedOn) {
  BlockFetcher fetcher(io, kLogDirectory, session.writer->index(), 1);
  ASSERT_TRUE(io.Remove(FilePath(kLogDirectory, 1, FileKind::kSegment)).ok());
  EXPECT_FALSE(Fetch(fetcher, 1).ok());
  EXPECT_TRUE(Fetch(fetcher, log.tail.next_position - 1).ok());
}

}  // namespace
}  // namespace tallystick::wal
