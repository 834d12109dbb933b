// The decision table of docs/log-format.md, case by case.

#include "wal/log_reader.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/sim/sim_io.h"
#include "tests/wal/log_harness.h"
#include "wal/block.h"
#include "wal/checksum.h"
#include "wal/segment_files.h"

namespace tallystick::wal {
namespace {

using sim::SimIo;
using ::testing::HasSubstr;

std::string Segment(uint64_t number) { return FilePath(kLogDirectory, number, FileKind::kSegment); }

// A log of blocks that were each durable before the next was built: three sectors of start and
// records, then what the test adds.
struct LogReaderTest : ::testing::Test {
  LogReaderTest() : io({.seed = 1}), session(io, SmallOptions()) {
    EXPECT_TRUE(session.Open().ok());
    Add(3);
    Add(2);
  }

  void Add(size_t slots) {
    while (!session.Append(slots)) session.Turn();
    EXPECT_TRUE(session.Settle());
  }
  // Blocks that know nothing of each other's durability, across a segment change.
  void AddInFlight(std::initializer_list<size_t> sizes) {
    for (int i = 0; i < 50; ++i) session.Turn();
    for (const size_t slots : sizes) EXPECT_TRUE(session.Append(slots));
    EXPECT_TRUE(session.Settle());
  }
  void Kill() { session.writer.reset(); }
  void Reopen() {
    Kill();
    EXPECT_TRUE(session.Open().ok());
  }
  void Flip(uint64_t segment, uint64_t offset) {
    io.Contents(Segment(segment))[offset] ^= std::byte{1};
  }
  // Changes a header and makes its checksum right again.
  template <typename Change>
  void Patch(uint64_t segment, uint64_t offset, Change change) {
    auto& header = *reinterpret_cast<BlockHeader*>(io.Contents(Segment(segment)).data() + offset);
    change(header);
    header.header_crc = Crc32c(&header, offsetof(BlockHeader, header_crc));
  }

  SimIo io;
  LogSession session;
};

TEST_F(LogReaderTest, MissingDirectoryIsNotFound) {
  EXPECT_EQ(LogReader::Open(io, "/nowhere", kIdentity).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(LogReaderTest, EmptyDirectoryIsAnEmptyLog) {
  ASSERT_TRUE(io.MakeDirectory("/empty").ok());
  const LogCopy log = ReadLog(io, "/empty");
  ASSERT_TRUE(log.status.ok());
  EXPECT_EQ(log.tail.segment, 0u);
  EXPECT_EQ(log.tail.next_position, 1u);
  EXPECT_FALSE(log.tail.torn);
}

TEST_F(LogReaderTest, ZerosAreACleanEnd) {
  Kill();
  const LogCopy log = ReadLog(io);
  EXPECT_EQ(session.Compare(log), "");
  EXPECT_FALSE(log.tail.torn);
  EXPECT_EQ(log.tail.cut_bytes, 0u);
  EXPECT_EQ(log.tail.offset, 3 * kSectorBytes);
  EXPECT_EQ(log.tail.next_position, 7u);
  EXPECT_EQ(log.tail.durable_before, 5u);
}

TEST_F(LogReaderTest, TornTailIsCut) {
  Kill();
  Flip(1, 2 * kSectorBytes + 150);
  const LogCopy log = ReadLog(io);
  ASSERT_TRUE(log.status.ok());
  EXPECT_EQ(Records(log).size(), 1u);
  EXPECT_TRUE(log.tail.torn);
  EXPECT_EQ(log.tail.offset, 2 * kSectorBytes);
  EXPECT_EQ(log.tail.next_position, 5u);
  EXPECT_EQ(log.tail.cut_reason, "the body's checksum is wrong");
  EXPECT_EQ(log.tail.cut_bytes, sizeof(BlockHeader) + 2 * sizeof(Slot));
}

TEST_F(LogReaderTest, LaterBlocksThatLandedBeforeATornOneAreCutWithIt) {
  AddInFlight({1, 1, 1});
  Kill();
  Flip(1, 3 * kSectorBytes + 10);
  const LogCopy log = ReadLog(io);
  ASSERT_TRUE(log.status.ok()) << log.status;
  EXPECT_EQ(log.tail.next_position, 7u);
  EXPECT_TRUE(log.tail.torn);
  EXPECT_GT(log.tail.cut_bytes, 2 * kSectorBytes);
}

TEST_F(LogReaderTest, DamagedBlockThatALaterOneKnowsIsDataLoss) {
  Kill();
  Flip(1, kSectorBytes + 150);
  const LogCopy log = ReadLog(io);
  EXPECT_EQ(log.status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(log.status.ToString(), HasSubstr(Segment(1) + ": offset 4096"));
  EXPECT_THAT(log.status.ToString(), HasSubstr("position 2"));
  EXPECT_THAT(log.status.ToString(), HasSubstr("the body's checksum is wrong"));
  EXPECT_THAT(log.status.ToString(), HasSubstr("0000000000000001.log at offset 8192"));
}

TEST_F(LogReaderTest, RefusalIsRepeated) {
  Kill();
  Flip(1, kSectorBytes + 150);
  auto reader = LogReader::Open(io, kLogDirectory, kIdentity);
  ASSERT_TRUE(reader.ok());
  BlockView block;
  ASSERT_TRUE((*reader)->Next(&block).ok());
  const absl::Status first = (*reader)->Next(&block).status();
  EXPECT_EQ(first.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ((*reader)->Next(&block).status(), first);
}

TEST_F(LogReaderTest, WitnessWithADamagedBodyStillWitnesses) {
  Kill();
  Flip(1, kSectorBytes + 150);
  Flip(1, 2 * kSectorBytes + 150);
  EXPECT_EQ(ReadLog(io).status.code(), absl::StatusCode::kDataLoss);
}

TEST_F(LogReaderTest, DamagedStartOfTheLogIsDataLoss) {
  Kill();
  Flip(1, 8);
  const LogCopy log = ReadLog(io);
  EXPECT_EQ(log.status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(log.status.ToString(), HasSubstr("first segment"));
}

TEST_F(LogReaderTest, TailAcrossASegmentChangeIsCut) {
  const size_t filler = session.writer->OpenBlock(1).slots.size();
  session.writer->AbandonBlock();
  AddInFlight({filler, 4, 2});
  Kill();
  ASSERT_EQ(ReadLog(io).tail.segment, 2u);
  Flip(1, 3 * kSectorBytes + 10);
  const LogCopy log = ReadLog(io);
  ASSERT_TRUE(log.status.ok()) << log.status;
  EXPECT_EQ(log.tail.segment, 1u);
  EXPECT_EQ(log.tail.highest_segment, 2u);
  EXPECT_TRUE(log.tail.torn);
  EXPECT_GT(log.tail.cut_bytes, 4 * kSectorBytes + 2 * kSectorBytes);
}

TEST_F(LogReaderTest, DamageAcrossASegmentChangeIsDataLoss) {
  while (session.writer->next_position() < 40) Add(session.writer->max_block_slots() / 4);
  Add(session.writer->max_block_slots());
  Add(1);
  Kill();
  ASSERT_GT(ReadLog(io).tail.segment, 1u);
  Flip(2, 0);
  const LogCopy log = ReadLog(io);
  EXPECT_EQ(log.status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(log.status.ToString(),
              HasSubstr("0000000000000002.log does not begin with a sound start block"));
}

TEST_F(LogReaderTest, MissingSegmentInTheMiddleIsDataLoss) {
  Reopen();
  Add(1);
  Reopen();
  Add(1);
  Kill();
  ASSERT_EQ(ReadLog(io).tail.segment, 3u);
  ASSERT_TRUE(io.Remove(Segment(2)).ok());
  const LogCopy log = ReadLog(io);
  EXPECT_EQ(log.status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(log.status.ToString(), HasSubstr("0000000000000002.log is missing"));
}

TEST_F(LogReaderTest, MissingFirstSegmentIsDataLoss) {
  Reopen();
  Kill();
  ASSERT_TRUE(io.Remove(Segment(1)).ok());
  EXPECT_EQ(ReadLog(io).status.code(), absl::StatusCode::kDataLoss);
}

TEST_F(LogReaderTest, BlocksOfAnotherSegmentAreNoWitnesses) {
  // A file used again, whose old blocks knew much.
  for (int i = 0; i < 4; ++i) Add(session.writer->max_block_slots());
  Kill();
  const LogCopy before = ReadLog(io);
  ASSERT_GT(before.tail.durable_before, 100u);
  const std::vector<std::byte> old = io.Contents(Segment(before.tail.segment));
  SimIo other({.seed = 2});
  LogSession young(other, SmallOptions());
  ASSERT_TRUE(young.Open().ok());
  ASSERT_TRUE(young.writer->Stop().ok());
  young.writer.reset();
  std::vector<std::byte>& content = other.Contents(Segment(1));
  std::copy(old.begin() + kSectorBytes, old.end(), content.begin() + kSectorBytes);
  const LogCopy log = ReadLog(other);
  ASSERT_TRUE(log.status.ok()) << log.status;
  EXPECT_EQ(log.blocks.size(), 1u);
  EXPECT_TRUE(log.tail.torn);
  EXPECT_THAT(log.tail.cut_reason, HasSubstr("written for segment"));
}

TEST_F(LogReaderTest, EveryRuleOfTheChainIsKept) {
  Kill();
  const uint64_t at = 2 * kSectorBytes;  // the last block, which has no witness
  const std::vector<std::byte> sound = io.Contents(Segment(1));
  const auto reason_after = [&](auto change) {
    io.Contents(Segment(1)) = sound;
    Patch(1, at, change);
    const LogCopy log = ReadLog(io);
    EXPECT_TRUE(!log.status.ok() || log.tail.offset == at);
    return log.status.ok() ? log.tail.cut_reason : log.status.ToString();
  };
  EXPECT_EQ(reason_after([](BlockHeader& h) { ++h.ledger_id.low; }),
            "the block is of another ledger or shard");
  EXPECT_EQ(reason_after([](BlockHeader& h) { ++h.shard; }),
            "the block is of another ledger or shard");
  EXPECT_EQ(reason_after([](BlockHeader& h) { ++h.shard_count; }),
            "the block is of another ledger or shard");
  EXPECT_EQ(reason_after([](BlockHeader& h) { ++h.segment; }),
            "the block was written for segment 2");
  EXPECT_EQ(reason_after([](BlockHeader& h) { ++h.epoch; }),
            "the block is of epoch 2 in a segment of 1");
  EXPECT_EQ(reason_after([](BlockHeader& h) { ++h.first_position; }),
            "the block begins at position 6 instead of 5");
  EXPECT_EQ(reason_after([](BlockHeader& h) { ++h.previous_hash.high; }),
            "the hash of the previous block is another");
  EXPECT_EQ(reason_after([](BlockHeader& h) { h.timestamp_us = 1; }), "time goes back");
  EXPECT_EQ(reason_after([](BlockHeader& h) {
              h.type = BlockType::kStart;
              h.count = 1;
            }),
            "a start block in the middle of a segment");
  EXPECT_EQ(reason_after([](BlockHeader& h) { h.body_crc ^= 1; }), "the body's checksum is wrong");
  EXPECT_EQ(
      reason_after([](BlockHeader& h) {
        h.count = 1000;
        h.bytes = static_cast<uint32_t>(BlockBytes(1000));
      }),
      "DATA_LOSS: " + Segment(1) +
          ": offset 8192: the segment ends inside the block of position 5. No crash shortens a "
          "segment: something else did, and blocks that were acknowledged may be missing "
          "behind. Nothing was changed. Restore the segment from a copy");
}

TEST_F(LogReaderTest, ForeignLogsAreRefused) {
  Kill();
  const auto refusal = [this](LogIdentity identity) {
    const absl::Status status = LogReader::Open(io, kLogDirectory, identity).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    return status.ToString();
  };
  LogIdentity identity = kIdentity;
  identity.ledger_id.high = 1;
  EXPECT_THAT(refusal(identity), HasSubstr("belongs to ledger 99aabbccddeeff001122334455667788"));
  identity = kIdentity;
  identity.shard = 4;
  EXPECT_THAT(refusal(identity), HasSubstr("belongs to shard 3 of 8, not to shard 4 of 8"));
  identity = kIdentity;
  identity.shard_count = 16;
  EXPECT_THAT(refusal(identity), HasSubstr("belongs to shard 3 of 8, not to shard 3 of 16"));
}

TEST_F(LogReaderTest, LaterFormatVersionIsRefused) {
  Kill();
  Patch(1, 0, [](BlockHeader& h) { h.format_version = 2; });
  const absl::Status status = LogReader::Open(io, kLogDirectory, kIdentity).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.ToString(), HasSubstr("format version 2; this program reads 1"));
}

TEST_F(LogReaderTest, WithoutAnIdentityTheFirstBlockSays) {
  Kill();
  auto reader = LogReader::Open(io, kLogDirectory, std::nullopt);
  ASSERT_TRUE(reader.ok());
  BlockView block;
  size_t blocks = 0;
  while (*(*reader)->Next(&block)) ++blocks;
  EXPECT_EQ(blocks, 3u);
  EXPECT_EQ((*reader)->tail().identity.ledger_id, kIdentity.ledger_id);
  EXPECT_EQ((*reader)->tail().identity.shard, kIdentity.shard);
  EXPECT_EQ((*reader)->tail().identity.shard_count, kIdentity.shard_count);
}

TEST_F(LogReaderTest, SegmentPassedOverMayHoldNothingDurable) {
  Reopen();  // segment 2 goes on from segment 1 ...
  Add(1);
  Add(1);
  Kill();
  const std::vector<std::byte> second = io.Contents(Segment(2));
  ASSERT_TRUE(io.Remove(Segment(2)).ok());
  io.AddFile(FilePath(kLogDirectory, 2, FileKind::kCut), second);
  session.acknowledged = session.last_tail.next_position;
  ASSERT_TRUE(session.Open().ok());  // ... and so does segment 3
  session.writer.reset();
  // Somebody puts segment 2 back in its place.
  ASSERT_TRUE(io.Rename(FilePath(kLogDirectory, 2, FileKind::kCut), Segment(2)).ok());
  const LogCopy log = ReadLog(io);
  EXPECT_EQ(log.status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(log.status.ToString(), HasSubstr("two segments go on from here"));
}

TEST_F(LogReaderTest, OfTwoSegmentsThatGoOnTheLaterEpochRules) {
  Reopen();
  Kill();
  const std::vector<std::byte> second = io.Contents(Segment(2));
  ASSERT_TRUE(io.Remove(Segment(2)).ok());
  io.AddFile(FilePath(kLogDirectory, 2, FileKind::kCut), second);
  session.acknowledged = session.last_tail.next_position;
  ASSERT_TRUE(session.Open().ok());
  Add(1);
  Kill();
  ASSERT_TRUE(io.Rename(FilePath(kLogDirectory, 2, FileKind::kCut), Segment(2)).ok());
  const LogCopy log = ReadLog(io);
  EXPECT_EQ(session.Compare(log), "");
  EXPECT_EQ(log.tail.segment, 3u);
}

TEST_F(LogReaderTest, StartBlockOfAnotherChainIsNoContinuation) {
  Kill();
  const LogCopy before = ReadLog(io);
  const uint64_t at = 2 * kSectorBytes;
  // It names the place of the last block, and all but the hash is as it must be.
  struct alignas(8) {
    std::byte bytes[kSectorBytes];
  } start{};
  auto& header = *reinterpret_cast<BlockHeader*>(start.bytes);
  header = before.blocks[0].header;
  header.epoch = 2;
  header.segment = 2;
  header.first_position = 5;
  header.timestamp_us = before.tail.timestamp_us;
  auto& info = *reinterpret_cast<StartInfo*>(start.bytes + sizeof(BlockHeader));
  info = {.previous_segment = 1, .previous_end = at, .reason = StartReason::kCut, .reserved = {}};
  header.previous_hash = HeaderHash(before.blocks[0].header);
  FinishBlock(start.bytes);
  io.AddFile(Segment(2), {start.bytes, start.bytes + kSectorBytes});
  const LogCopy log = ReadLog(io);
  EXPECT_EQ(session.Compare(log), "");
  EXPECT_EQ(log.tail.segment, 1u);
  EXPECT_TRUE(log.tail.torn);

  header.previous_hash = HeaderHash(before.blocks[1].header);
  FinishBlock(start.bytes);
  io.AddFile(Segment(2), {start.bytes, start.bytes + kSectorBytes});
  EXPECT_EQ(ReadLog(io).tail.segment, 2u) << "with the right hash it rules";
}

TEST_F(LogReaderTest, ReadErrorIsNotAnEnd) {
  Kill();
  for (uint64_t nth = 1; nth <= 2; ++nth) {
    io.FailRead(nth, EIO, ".log");
    const LogCopy log = ReadLog(io);
    EXPECT_FALSE(log.status.ok());
    EXPECT_NE(log.status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(log.status.ToString(), HasSubstr(Segment(1)));
  }
}

TEST_F(LogReaderTest, StrangeFilesAreLeftOut) {
  Kill();
  for (const char* name : {"0000000000000000.log", "000000000000000A.log", "1.log", "x.log",
                           "0000000000000002.log.bak", "README"}) {
    io.AddFile(std::string(kLogDirectory) + "/" + name, std::vector<std::byte>(10, std::byte{7}));
  }
  const LogCopy log = ReadLog(io);
  EXPECT_EQ(session.Compare(log), "");
  EXPECT_FALSE(log.tail.torn);
  EXPECT_EQ(log.tail.highest_segment, 1u);
}

TEST_F(LogReaderTest, ProgressReachesItsEnd) {
  Kill();
  auto reader = LogReader::Open(io, kLogDirectory, kIdentity);
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ((*reader)->bytes_read(), 0u);
  BlockView block;
  while (*(*reader)->Next(&block)) {
  }
  EXPECT_EQ((*reader)->bytes_total(), session.options.segment_bytes);
  EXPECT_GE((*reader)->bytes_read(), (*reader)->bytes_total());
}

TEST(LogReader, LargestBlocksAreReadThroughTheWindow) {
  SimIo io({.seed = 3});
  LogWriterOptions options = SmallOptions();
  options.segment_bytes = 3 * kMaxBlockBytes + 5 * kSectorBytes;
  options.blocks_in_flight = 2;
  LogSession session(io, options);
  ASSERT_TRUE(session.Open().ok());
  ASSERT_EQ(session.writer->max_block_slots(), kMaxBlockSlots);
  for (const size_t slots : {size_t{1}, kMaxBlockSlots, size_t{100}, kMaxBlockSlots,
                             kMaxBlockSlots - 5, kMaxBlockSlots}) {
    while (!session.Append(slots)) session.Turn();
  }
  ASSERT_TRUE(session.Settle());
  const LogCopy log = ReadLog(io);
  EXPECT_EQ(session.Compare(log), "");
  EXPECT_EQ(Records(log).size(), 6u);
  EXPECT_EQ(log.tail.segment, 2u);
  for (const BlockCopy& block : log.blocks) {
    const auto place = log.tail.index.Find(block.end_position() - 1);
    ASSERT_TRUE(place.has_value());
    EXPECT_EQ(place->segment, block.segment);
    EXPECT_LE(place->offset, block.offset);
    EXPECT_LE(place->first_position, block.header.first_position);
  }
}

}  // namespace
}  // namespace tallystick::wal
