// Many positions of a real log: sealed segments read by themselves, indexed, and fetched from.

#include "wal/record_fetcher.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/sim/sim_io.h"
#include "tests/wal/archived_log.h"
#include "tests/wal/log_harness.h"
#include "wal/key_index_writer.h"
#include "wal/segment_files.h"
#include "wal/segment_reader.h"

namespace tallystick::wal {
namespace {

using sim::SimIo;
using ::testing::HasSubstr;

struct RecordFetcherTest : ::testing::Test {
  RecordFetcherTest() : io({.seed = 9, .short_read_percent = 40}), session(io, SmallOptions()) {
    EXPECT_TRUE(session.Open().ok());
    std::mt19937_64 random(9);
    EXPECT_TRUE(session.Run(60, random));
    EXPECT_TRUE(session.Settle());
    log = ReadLog(io);
    EXPECT_EQ(session.Compare(log), "");
    EXPECT_GT(log.tail.segment, 3u);
    for (const BlockCopy& block : log.blocks) {
      if (block.segment == log.tail.segment) continue;
      sealed.push_back(block);
    }
    end = sealed.back().end_position();
  }

  // The end of the segment before that one.
  SegmentEnd EndBefore(uint64_t segment) {
    const auto found = ReadSegmentEnd(io, kLogDirectory, segment, kIdentity);
    EXPECT_TRUE(found.ok()) << found.status();
    return found.value_or(SegmentEnd());
  }
  void IndexAll(KeyIndexSet& set) {
    for (uint64_t segment = 2; segment <= log.tail.segment; ++segment) {
      const SegmentEnd at = EndBefore(segment);
      auto reader = SegmentReader::Open(io, kLogDirectory, kIdentity, at);
      ASSERT_TRUE(reader.ok()) << reader.status();
      KeyIndexWriter writer(kIdentity, at.segment);
      for (BlockView block; *(*reader)->Next(&block);) {
        ASSERT_EQ(writer.AddBlock(*block.header, block.offset), absl::OkStatus());
      }
      ASSERT_EQ(writer.Write(io, kLogDirectory), absl::OkStatus());
      auto index = KeyIndex::Open(io, kLogDirectory, at.segment,
                                  {.identity = kIdentity, .last_hash = at.last_hash});
      ASSERT_TRUE(index.ok()) << index.status();
      set.Add(*std::move(index));
    }
  }
  absl::Status Fetch(RecordFetcher& fetcher, const std::vector<uint64_t>& positions) {
    absl::Status result = absl::UnknownError("not called back");
    seen.clear();
    fetcher.Fetch(
        positions, [this](uint64_t at, const BlockView& block) { Check(at, block); },
        [&result](const absl::Status& status) { result = status; });
    while (fetcher.busy()) io.Poll(-1);
    std::sort(seen.rbegin(), seen.rend());
    return result;
  }
  void Check(uint64_t at, const BlockView& block) {
    seen.push_back(at);
    const auto expected = std::find_if(sealed.begin(), sealed.end(), [at](const BlockCopy& item) {
      return at < item.end_position();
    });
    ASSERT_NE(expected, sealed.end());
    ASSERT_EQ(block.header->first_position, expected->header.first_position);
    ASSERT_EQ(block.offset, expected->offset);
    ASSERT_TRUE(std::equal(block.slots.begin(), block.slots.end(), expected->slots.begin(),
                           expected->slots.end(), Equal));
  }

  SimIo io;
  LogSession session;
  LogCopy log;
  std::vector<BlockCopy> sealed;  // blocks of all segments but the last
  uint64_t end = 0;
  std::vector<uint64_t> seen;
};

TEST_F(RecordFetcherTest, GivesEveryPositionOnceWithItsBlock) {
  for (const size_t memory : {size_t{0}, size_t{1} << 30}) {
    KeyIndexSet set(io, kLogDirectory, memory);
    IndexAll(set);
    ASSERT_EQ(set.Load(), absl::OkStatus());
    RecordFetcher fetcher(io, kLogDirectory, set);
    std::vector<uint64_t> positions;
    for (uint64_t at = end - 1; at > 0; --at) positions.push_back(at);
    ASSERT_EQ(Fetch(fetcher, positions), absl::OkStatus());
    EXPECT_EQ(seen, positions);
    const std::vector<uint64_t> few = {end - 1, end / 2, 2, 1};
    ASSERT_EQ(Fetch(fetcher, few), absl::OkStatus());
    EXPECT_EQ(seen, few);
    ASSERT_EQ(Fetch(fetcher, {}), absl::OkStatus());
  }
}

TEST_F(RecordFetcherTest, DamageAndFailuresEndIt) {
  KeyIndexSet set(io, kLogDirectory, size_t{1} << 30);
  IndexAll(set);
  ASSERT_EQ(set.Load(), absl::OkStatus());
  RecordFetcher fetcher(io, kLogDirectory, set);
  EXPECT_TRUE(absl::IsNotFound(Fetch(fetcher, {end, 2})));
  const BlockCopy& block = sealed[sealed.size() / 2];
  const std::vector<uint64_t> positions = {end - 1, block.header.first_position, 2};
  io.FailRead(2, EIO, ".log");
  EXPECT_THAT(std::string(Fetch(fetcher, positions).message()),
              HasSubstr("reading a block failed"));
  ASSERT_EQ(Fetch(fetcher, positions), absl::OkStatus());
  const std::string path = FilePath(kLogDirectory, block.segment, FileKind::kSegment);
  io.Contents(path)[block.offset + 200] ^= std::byte{4};
  const absl::Status damaged = Fetch(fetcher, positions);
  EXPECT_EQ(damaged.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(damaged.message()), HasSubstr(path));
  io.Contents(path).resize(block.offset + 100);
  EXPECT_EQ(Fetch(fetcher, positions).code(), absl::StatusCode::kDataLoss);
}

TEST_F(RecordFetcherTest, ArchivedSegmentsAreReadLikePlainOnes) {
  KeyIndexSet set(io, kLogDirectory, size_t{1} << 30);
  IndexAll(set);
  RecordFetcher fetcher(io, kLogDirectory, set);
  std::vector<uint64_t> positions;
  for (uint64_t at = end - 1; at > 0; --at) positions.push_back(at);
  ASSERT_EQ(Fetch(fetcher, positions), absl::OkStatus());
  MoveToArchive(io, log, 1);
  MoveToArchive(io, log, 2);
  ASSERT_EQ(Fetch(fetcher, positions), absl::OkStatus());
  EXPECT_EQ(seen, positions);
  RecordFetcher other(io, kLogDirectory, set);
  ASSERT_EQ(Fetch(other, positions), absl::OkStatus());
  EXPECT_EQ(seen, positions);
  std::vector<std::byte>& archive = io.Contents(ArchivePath(2));
  archive[archive.size() - kSectorBytes + 8] ^= std::byte{1};
  const absl::Status damaged = Fetch(other, positions);
  EXPECT_EQ(damaged.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(damaged.message()), HasSubstr(ArchivePath(2)));
  ASSERT_EQ(io.Remove(ArchivePath(2)), absl::OkStatus());
  RecordFetcher without(io, kLogDirectory, set);
  EXPECT_TRUE(absl::IsDataLoss(Fetch(without, positions)));
  ASSERT_EQ(MarkGone(io, LogFolders(kLogDirectory).archive, 2), absl::OkStatus());
  EXPECT_TRUE(absl::IsNotFound(Fetch(without, positions)));
}

// What was open as a plain file has become another segment.
TEST_F(RecordFetcherTest, ASegmentThatWasWrittenOverIsReadOutOfTheArchive) {
  KeyIndexSet set(io, kLogDirectory, size_t{1} << 30);
  IndexAll(set);
  RecordFetcher fetcher(io, kLogDirectory, set);
  ASSERT_EQ(Fetch(fetcher, {2, 1}), absl::OkStatus());
  ASSERT_EQ(WriteArchive(io, SealedOf(log, 1)), absl::OkStatus());
  const std::string free = FilePath(kLogDirectory, 1, FileKind::kFree);
  ASSERT_EQ(io.Rename(SegmentPath(1), free), absl::OkStatus());
  io.Contents(free) = io.Contents(SegmentPath(2));
  ASSERT_EQ(Fetch(fetcher, {2, 1}), absl::OkStatus());
  EXPECT_EQ(seen, (std::vector<uint64_t>{2, 1}));
}

TEST_F(RecordFetcherTest, ASealedSegmentReadByItselfIsTheSame) {
  for (uint64_t segment = 2; segment <= log.tail.segment; ++segment) {
    const SegmentEnd at = EndBefore(segment);
    auto reader = SegmentReader::Open(io, kLogDirectory, kIdentity, at);
    ASSERT_TRUE(reader.ok());
    BlockView block;
    for (const BlockCopy& expected : sealed) {
      if (expected.segment != at.segment) continue;
      const auto more = (*reader)->Next(&block);
      ASSERT_TRUE(more.ok() && *more) << more.status();
      ASSERT_EQ(std::memcmp(block.header, &expected.header, sizeof(BlockHeader)), 0);
      ASSERT_TRUE(std::equal(block.slots.begin(), block.slots.end(), expected.slots.begin(),
                             expected.slots.end(), Equal));
    }
    const auto more = (*reader)->Next(&block);
    ASSERT_TRUE(more.ok() && !*more) << more.status();
  }
}

TEST_F(RecordFetcherTest, ASealedSegmentWithAFlippedBitOrAnotherEndIsRefused) {
  const SegmentEnd at = EndBefore(3);
  const auto read = [&](const SegmentEnd& segment_end) -> absl::Status {
    auto reader = SegmentReader::Open(io, kLogDirectory, kIdentity, segment_end);
    if (!reader.ok()) return reader.status();
    for (BlockView block;;) {
      const auto more = (*reader)->Next(&block);
      if (!more.ok() || !*more) return more.status();
    }
  };
  EXPECT_EQ(read(at), absl::OkStatus());
  std::vector<std::byte>& file =
      io.Contents(FilePath(kLogDirectory, at.segment, FileKind::kSegment));
  for (size_t byte = 0; byte < at.offset; byte += 13) {
    file[byte] ^= std::byte{16};
    // Reserved bytes are covered by a checksum, too.
    ASSERT_EQ(read(at).code(), absl::StatusCode::kDataLoss) << byte;
    file[byte] ^= std::byte{16};
  }
  SegmentEnd other = at;
  other.last_hash.low ^= 1;
  EXPECT_EQ(read(other).code(), absl::StatusCode::kDataLoss);
  other = at;
  other.offset -= kSectorBytes;
  EXPECT_EQ(read(other).code(), absl::StatusCode::kDataLoss);
  other = at;
  ++other.next_position;
  EXPECT_EQ(read(other).code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(absl::IsFailedPrecondition(ReadSegmentEnd(io, kLogDirectory, 1, kIdentity).status()));
}

}  // namespace
}  // namespace tallystick::wal
