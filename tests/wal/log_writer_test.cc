#include "wal/log_writer.h"

#include <cerrno>
#include <random>
#include <string>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/sim/sim_io.h"
#include "tests/wal/log_harness.h"
#include "wal/segment_files.h"

namespace tallystick::wal {
namespace {

using sim::SimIo;
using ::testing::HasSubstr;

class LogWriterModes : public ::testing::TestWithParam<Durability> {};

INSTANTIATE_TEST_SUITE_P(All, LogWriterModes,
                         ::testing::Values(Durability::kOpenDsync, Durability::kDsync,
                                           Durability::kFdatasync, Durability::kNone));

TEST_P(LogWriterModes, BlocksRoundTripAcrossSegments) {
  SimIo io({.seed = 7, .short_write_percent = 30});
  LogSession session(io, SmallOptions(GetParam()));
  ASSERT_TRUE(session.Open().ok());
  std::mt19937_64 random(7);
  ASSERT_TRUE(session.Run(60, random)) << session.writer->failure();
  ASSERT_TRUE(session.writer->Stop().ok());
  session.acknowledged = session.writer->durable_position();
  EXPECT_EQ(session.acknowledged, session.writer->next_position());
  const LogCopy log = ReadLog(io);
  EXPECT_EQ(session.Compare(log), "");
  EXPECT_EQ(Records(log).size(), 60u);
  EXPECT_GT(log.tail.segment, 5u) << "the test is to change segments";
  EXPECT_EQ(log.tail.next_position, session.writer->next_position());
  EXPECT_FALSE(log.tail.torn);
  EXPECT_EQ(log.tail.last_hash, ReadLog(io).tail.last_hash);
}

TEST_P(LogWriterModes, AcknowledgesInOrderWhateverTheOrderOfCompletion) {
  SimIo io({.seed = 3, .late_percent = 80});
  LogSession session(io, SmallOptions(GetParam()));
  ASSERT_TRUE(session.Open().ok());
  bool several = false;
  for (int i = 0; i < 200; ++i) {
    session.Append(1 + i % 5);
    several = several || session.writer->blocks_in_flight() > 3;
    const uint64_t before = session.writer->durable_position();
    session.Turn();
    const uint64_t durable = session.writer->durable_position();
    ASSERT_GE(durable, before);
    // Whatever is said to be durable is there, whole, even if the power goes now: a copy of what
    // can be read must reach at least that far.
    const LogCopy log = ReadLog(io);
    ASSERT_EQ(session.Compare(log), "");
    ASSERT_GE(log.tail.next_position, durable);
  }
  EXPECT_TRUE(several);
}

TEST(LogWriter, FirstBlockSaysHowTheLogBegan) {
  SimIo io({.seed = 1});
  LogSession session(io, SmallOptions());
  ASSERT_TRUE(session.Open().ok());
  EXPECT_EQ(session.writer->next_position(), 2u);
  EXPECT_EQ(session.writer->durable_position(), 2u);
  const LogCopy log = ReadLog(io);
  ASSERT_EQ(log.blocks.size(), 1u);
  const BlockHeader& header = log.blocks[0].header;
  EXPECT_EQ(header.type, BlockType::kStart);
  EXPECT_EQ(header.epoch, 1u);
  EXPECT_EQ(header.segment, 1u);
  EXPECT_EQ(header.first_position, 1u);
  EXPECT_EQ(header.previous_hash, Id128{});
  const auto& info = *reinterpret_cast<const StartInfo*>(log.blocks[0].slots.data());
  EXPECT_EQ(info.reason, StartReason::kCreated);
  EXPECT_EQ(info.previous_segment, 0u);
}

TEST(LogWriter, ReopeningBeginsAnEpochInAFreshSegment) {
  SimIo io({.seed = 1});
  LogSession session(io, SmallOptions());
  ASSERT_TRUE(session.Open().ok());
  ASSERT_TRUE(session.Append(3));
  ASSERT_TRUE(session.writer->Stop().ok());
  session.writer.reset();
  ASSERT_TRUE(session.Open().ok());
  EXPECT_EQ(session.mismatch, "");
  const LogCopy log = ReadLog(io);
  const BlockCopy& start = log.blocks.back();
  EXPECT_EQ(start.header.type, BlockType::kStart);
  EXPECT_EQ(start.header.epoch, 2u);
  EXPECT_EQ(start.header.segment, 2u);
  EXPECT_EQ(start.header.durable_before, start.header.first_position);
  const auto& info = *reinterpret_cast<const StartInfo*>(start.slots.data());
  EXPECT_EQ(info.reason, StartReason::kReopened);
  EXPECT_EQ(info.previous_segment, 1u);
  EXPECT_EQ(info.previous_end, session.last_tail.offset);
  EXPECT_EQ(io.Contents(FilePath(kLogDirectory, 1, FileKind::kSegment)).size(), info.previous_end)
      << "the unwritten rest of the segment before is given back";
}

TEST(LogWriter, ShortWritesAreCompletedBeforeABlockCounts) {
  SimIo io({.seed = 5, .short_write_percent = 60});
  LogSession session(io, SmallOptions());
  ASSERT_TRUE(session.Open().ok());
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(session.Append(session.writer->max_block_slots() / 2));
    ASSERT_TRUE(session.Settle());
    ASSERT_EQ(session.Compare(ReadLog(io)), "");
    while (!session.writer->CanOpenBlock(session.writer->max_block_slots() / 2)) session.Turn();
  }
}

TEST(LogWriter, SyncIsIssuedOnlyAfterEveryCoveredWriteIsWhole) {
  // What a sync was too early for would be lost in the crash.
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SimIo io({.seed = seed, .short_write_percent = 50, .late_percent = 70});
    LogSession session(io, SmallOptions(Durability::kFdatasync));
    ASSERT_TRUE(session.Open().ok());
    std::mt19937_64 random(seed);
    ASSERT_TRUE(session.Run(12, random));
    io.Crash();
    ASSERT_EQ(session.Compare(ReadLog(io)), "") << "seed " << seed;
  }
}

// Blocks wait behind what is written into spares: the second is prepared as the log goes on.
TEST(LogWriter, SpareSegmentsKeepPaceWithTheLog) {
  SimIo io({.seed = 1});
  LogWriterOptions options = SmallOptions();
  options.segment_bytes = uint64_t{4} << 20;
  options.spare_segments = 2;
  LogSession session(io, options);
  ASSERT_TRUE(session.Open().ok());
  const auto spares = [&] {
    int count = 0;
    const auto names = io.List(kLogDirectory);
    for (const std::string& name : *names) count += name.find(".spare") != name.npos ? 1 : 0;
    return count;
  };
  for (int i = 0; i < 1'000; ++i) session.Turn();
  EXPECT_EQ(spares(), 1) << "the log has not gone on";
  // Three quarters of the segment: one and a half times as much is more than a whole spare.
  const size_t slots = session.writer->max_block_slots();
  for (uint64_t bytes = 0; bytes < options.segment_bytes * 3 / 4; bytes += slots * sizeof(Slot)) {
    ASSERT_TRUE(session.Append(slots));
    ASSERT_TRUE(session.Settle());
  }
  for (int i = 0; i < 1'000; ++i) session.Turn();
  EXPECT_EQ(spares(), 2);
}

// With no other spare ready, it is urgent once the log has come as far as the spare.
TEST(LogWriter, SpareSegmentIsWrittenFasterWhenTheLogComesNear) {
  SimIo io({.seed = 1});
  LogWriterOptions options = SmallOptions();
  options.segment_bytes = uint64_t{8} << 20;
  options.spare_segments = 1;
  LogSession session(io, options);
  ASSERT_TRUE(session.Open().ok());
  for (int i = 0; i < 1'000; ++i) session.Turn();
  constexpr size_t kSlots = 2'000;
  // Without a Tick, so that the spare which the second segment takes is not made up for.
  const auto append_up_to = [&](uint64_t bytes) {
    while (session.writer->next_position() * sizeof(Slot) < bytes) {
      ASSERT_TRUE(session.Append(kSlots));
      while (session.writer->blocks_in_flight() > 0) io.Poll(0);
    }
  };
  append_up_to(options.segment_bytes + (kSlots * sizeof(Slot)));
  ASSERT_EQ(io.pending(), 0u);
  session.writer->Tick(io.MonotonicMicros());
  const size_t at_first = io.pending();
  EXPECT_GE(at_first, 1u);
  append_up_to(options.segment_bytes * 3 / 2);
  session.writer->Tick(io.MonotonicMicros());
  EXPECT_GE(io.pending(), 3 * at_first);
}

TEST(LogWriter, IdleWriterWitnessesItsLastBlockOnce) {
  SimIo io({.seed = 1});
  LogSession session(io, SmallOptions());
  ASSERT_TRUE(session.Open().ok());
  session.writer->Tick(io.MonotonicMicros());
  io.AdvanceMicros(10'000);
  session.writer->Tick(io.MonotonicMicros());
  EXPECT_EQ(session.writer->blocks_in_flight(), 0u) << "a start block needs no witness";
  ASSERT_TRUE(session.Append(1));
  ASSERT_TRUE(session.Settle());
  const uint64_t end = session.writer->next_position();
  int64_t wait_us = session.writer->Tick(io.MonotonicMicros());
  EXPECT_GT(wait_us, 0);
  EXPECT_LE(wait_us, session.options.witness_after_us);
  io.AdvanceMicros(session.options.witness_after_us);
  session.writer->Tick(io.MonotonicMicros());
  EXPECT_EQ(session.writer->next_position(), end + 1);
  ASSERT_TRUE(session.Settle());
  io.AdvanceMicros(10 * session.options.witness_after_us);
  session.Turn();
  session.Turn();
  EXPECT_EQ(session.writer->next_position(), end + 1) << "one witness is enough";
  const LogCopy log = ReadLog(io);
  EXPECT_EQ(log.blocks.back().header.type, BlockType::kWitness);
  EXPECT_EQ(log.blocks.back().header.durable_before, end);
  ASSERT_TRUE(session.writer->Stop().ok());
  EXPECT_EQ(session.writer->next_position(), end + 1) << "nor does Stop add another";
}

TEST(LogWriter, WitnessAlwaysHasRoom) {
  SimIo io({.seed = 1});
  LogSession session(io, SmallOptions());
  ASSERT_TRUE(session.Open().ok());
  while (!session.Append(session.writer->max_block_slots())) session.Turn();
  ASSERT_TRUE(session.Settle());
  ASSERT_TRUE(session.writer->Stop().ok());
  const LogCopy log = ReadLog(io);
  EXPECT_EQ(log.tail.segment, 1u);
  EXPECT_EQ(log.tail.offset, session.options.segment_bytes);
  EXPECT_EQ(log.blocks.back().header.type, BlockType::kWitness);
}

TEST(LogWriter, FailedWriteIsFinal) {
  SimIo io({.seed = 2});
  LogSession session(io, SmallOptions());
  ASSERT_TRUE(session.Open().ok());
  ASSERT_TRUE(session.Append(1));
  ASSERT_TRUE(session.Settle());
  const uint64_t durable = session.writer->durable_position();
  io.FailWrite(1, EIO, ".log");
  ASSERT_TRUE(session.Append(2));
  ASSERT_TRUE(session.Append(2));
  EXPECT_FALSE(session.Settle());
  for (int i = 0; i < 100; ++i) session.Turn();
  EXPECT_THAT(session.writer->failure().ToString(), HasSubstr("0000000000000001.log"));
  EXPECT_THAT(session.writer->failure().ToString(), HasSubstr("writing a block failed"));
  EXPECT_FALSE(session.writer->CanOpenBlock(1));
  EXPECT_EQ(session.writer->Stop(), session.writer->failure());
  EXPECT_GE(session.writer->durable_position(), durable);
  EXPECT_LT(session.writer->durable_position(), session.writer->next_position());
  EXPECT_EQ(session.Compare(ReadLog(io)), "");
}

TEST(LogWriter, NothingBecomesDurableAfterAFailure) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    SimIo io({.seed = seed, .late_percent = 80});
    LogSession session(io, SmallOptions());
    ASSERT_TRUE(session.Open().ok());
    io.FailWrite(1, EIO, ".log");  // of the four below the one that happens to come first
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(session.Append(1));
    while (session.writer->failure().ok()) session.Turn();
    const uint64_t durable = session.writer->durable_position();
    while (io.pending() > 0) session.Turn();
    ASSERT_EQ(session.writer->durable_position(), durable) << "seed " << seed;
  }
}

TEST(LogWriter, FailedSyncIsFinal) {
  SimIo io({.seed = 2});
  LogSession session(io, SmallOptions(Durability::kFdatasync));
  ASSERT_TRUE(session.Open().ok());
  const uint64_t durable = session.writer->durable_position();
  io.FailSync(1, EIO, ".log");
  ASSERT_TRUE(session.Append(2));
  EXPECT_FALSE(session.Settle());
  for (int i = 0; i < 100; ++i) session.Turn();
  EXPECT_THAT(session.writer->failure().ToString(), HasSubstr("syncing the segment failed"));
  EXPECT_EQ(session.writer->durable_position(), durable);
  io.Crash();
  EXPECT_EQ(session.Compare(ReadLog(io)), "");
}

TEST(LogWriter, FailedSegmentChangeIsFinal) {
  SimIo io({.seed = 2});
  LogSession session(io, SmallOptions());
  ASSERT_TRUE(session.Open().ok());
  for (int i = 0; i < 50; ++i) session.Turn();
  ASSERT_TRUE(session.Append(session.writer->max_block_slots()));
  ASSERT_TRUE(session.Settle());
  const uint64_t durable = session.writer->durable_position();
  ASSERT_TRUE(session.writer->CanOpenBlock(1));
  // Somebody has taken the spare away.
  const absl::StatusOr<LogFiles> files = ListLogFiles(io, kLogDirectory);
  ASSERT_EQ(files->spares.size(), 1u);
  ASSERT_TRUE(io.Remove(FilePath(kLogDirectory, files->spares[0], FileKind::kSpare)).ok());
  ASSERT_TRUE(session.Append(1));
  EXPECT_FALSE(session.writer->failure().ok());
  EXPECT_FALSE(session.writer->CanOpenBlock(1));
  EXPECT_EQ(session.writer->durable_position(), durable);
}

TEST(LogWriter, FullDiskIsBackPressureUntilThereIsRoom) {
  SimIo io({.seed = 4});
  LogSession session(io, SmallOptions());
  ASSERT_TRUE(session.Open().ok());
  io.SetDiskBytes(2 * session.options.segment_bytes + 3 * kSectorBytes);
  for (int i = 0; i < 1000; ++i) {
    session.Append(session.writer->max_block_slots());
    session.Turn();
  }
  ASSERT_TRUE(session.Settle());
  EXPECT_TRUE(session.writer->failure().ok()) << "a full disk never fails a block";
  EXPECT_FALSE(session.writer->CanOpenBlock(session.writer->max_block_slots()));
  EXPECT_EQ(session.history.size(), 2u);
  const absl::Status space = session.writer->space_status();
  EXPECT_EQ(space.code(), absl::StatusCode::kResourceExhausted) << space;
  EXPECT_THAT(space.ToString(), HasSubstr(kLogDirectory));
  EXPECT_THAT(space.ToString(), HasSubstr("add disk space"));

  io.SetDiskBytes(UINT64_MAX);
  session.Turn();
  EXPECT_FALSE(session.writer->CanOpenBlock(session.writer->max_block_slots()))
      << "it is tried again once a second, not at every turn";
  io.AdvanceMicros(1'000'000);
  for (int i = 0; i < 1000 && !session.Append(session.writer->max_block_slots()); ++i) {
    session.Turn();
  }
  ASSERT_TRUE(session.Settle());
  EXPECT_EQ(session.history.size(), 3u);
  for (int i = 0; i < 100; ++i) session.Turn();
  EXPECT_TRUE(session.writer->space_status().ok());
  ASSERT_TRUE(session.writer->Stop().ok());
  session.acknowledged = session.writer->durable_position();
  EXPECT_EQ(session.Compare(ReadLog(io)), "");
}

TEST(LogWriter, OpeningOnAFullDiskSaysSo) {
  SimIo io({.seed = 4});
  io.SetDiskBytes(2 * kSectorBytes);
  LogSession session(io, SmallOptions());
  const absl::Status status = session.Open();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(status.ToString(), HasSubstr(kLogDirectory));
  io.SetDiskBytes(UINT64_MAX);
  EXPECT_TRUE(session.Open().ok());
}

TEST(LogWriter, FailedSpareIsThrownAwayAndMadeAgain) {
  for (const bool sync : {false, true}) {
    SimIo io({.seed = 4});
    LogSession session(io, SmallOptions());
    ASSERT_TRUE(session.Open().ok());
    if (sync) {
      io.FailSync(1, EIO, ".prep");
    } else {
      io.FailWrite(1, EIO, ".prep");
    }
    for (int i = 0; i < 200; ++i) session.Turn();
    EXPECT_FALSE(session.writer->space_status().ok());
    EXPECT_TRUE(session.writer->failure().ok());
    EXPECT_TRUE(ListLogFiles(io, kLogDirectory)->preparing.empty());
    io.AdvanceMicros(1'000'000);
    for (int i = 0; i < 200; ++i) session.Turn();
    EXPECT_TRUE(session.writer->space_status().ok()) << session.writer->space_status();
  }
}

TEST(LogWriter, PreparedSegmentsAreWholeAfterACrash) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SimIo io({.seed = seed});
    LogWriterOptions options = SmallOptions();
    options.segment_bytes = size_t{3} << 20;  // several pieces: the start block touches the first
    LogSession session(io, options);
    ASSERT_TRUE(session.Open().ok());
    for (int i = 0; i < 100; ++i) session.Turn();
    ASSERT_TRUE(session.writer->space_status().ok());
    io.Crash();
    session.writer.reset();
    const absl::StatusOr<LogFiles> files = ListLogFiles(io, kLogDirectory);
    ASSERT_TRUE(files.ok());
    ASSERT_EQ(files->segments.size(), 1u);
    ASSERT_EQ(files->spares.size(), 1u);
    for (const std::string& path : {FilePath(kLogDirectory, 1, FileKind::kSegment),
                                    FilePath(kLogDirectory, files->spares[0], FileKind::kSpare)}) {
      ASSERT_EQ(io.Contents(path).size(), session.options.segment_bytes) << "seed " << seed;
    }
  }
}

TEST(LogWriter, SecondWriterIsRefused) {
  SimIo io({.seed = 1});
  LogSession first(io, SmallOptions());
  LogSession second(io, SmallOptions());
  ASSERT_TRUE(first.Open().ok());
  const absl::Status status = second.Open();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  first.writer.reset();
  EXPECT_TRUE(second.Open().ok());
}

TEST(LogWriter, TailThatWasReadTooEarlyIsRefused) {
  SimIo io({.seed = 1});
  LogSession first(io, SmallOptions());
  ASSERT_TRUE(first.Open().ok());
  const LogTail early = ReadLog(io).tail;
  ASSERT_TRUE(first.Append(1));
  ASSERT_TRUE(first.writer->Stop().ok());
  first.writer.reset();
  LogSession second(io, SmallOptions());
  EXPECT_EQ(second.OpenAt(early).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(second.OpenAt(LogTail()).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(second.OpenAt(ReadLog(io).tail).ok());
  EXPECT_EQ(first.Compare(ReadLog(io)), "");
}

TEST(LogWriter, OptionsThatCannotWorkAreRefused) {
  SimIo io({.seed = 1});
  const auto open = [&io](auto change) {
    LogWriterOptions options = SmallOptions();
    change(options);
    return LogWriter::Open(io, options, LogTail()).status().code();
  };
  using Options = LogWriterOptions;
  EXPECT_EQ(open([](Options& o) { o.segment_bytes += 1; }), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(open([](Options& o) { o.segment_bytes = kMinSegmentBytes - kSectorBytes; }),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(open([](Options& o) { o.segment_bytes = kMaxSegmentBytes + kSectorBytes; }),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(open([](Options& o) { o.blocks_in_flight = 0; }), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(open([](Options& o) { o.blocks_in_flight = kMaxBlocksInFlight + 1; }),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(open([](Options& o) { o.spare_segments = 0; }), absl::StatusCode::kInvalidArgument);
  LogTail strange;
  strange.segment = strange.highest_segment = 1;
  EXPECT_EQ(LogWriter::Open(io, SmallOptions(), strange).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(LogWriter, OneBlockMoreThanFlyMayBeSealed) {
  SimIo io({.seed = 1});
  LogWriterOptions options = SmallOptions();
  options.blocks_in_flight = 1;
  LogSession session(io, options);
  ASSERT_TRUE(session.Open().ok());
  ASSERT_TRUE(session.Append(1));
  ASSERT_TRUE(session.Append(1));
  EXPECT_EQ(io.pending(), 1u) << "the second write waits";
  EXPECT_EQ(session.writer->blocks_in_flight(), 2u);
  EXPECT_FALSE(session.writer->CanOpenBlock(1));
  ASSERT_TRUE(session.Settle());
  EXPECT_TRUE(session.writer->CanOpenBlock(1));
  EXPECT_EQ(session.Compare(ReadLog(io)), "");
}

TEST(LogWriter, AbandonedBlockLeavesNothing) {
  SimIo io({.seed = 1});
  LogSession session(io, SmallOptions());
  ASSERT_TRUE(session.Open().ok());
  const uint64_t next = session.writer->next_position();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(session.writer->CanOpenBlock(1));
    EXPECT_EQ(session.writer->OpenBlock(1).first_position, next);
    session.writer->AbandonBlock();
  }
  EXPECT_EQ(session.writer->next_position(), next);
  ASSERT_TRUE(session.Append(1));
  ASSERT_TRUE(session.Settle());
  EXPECT_EQ(session.Compare(ReadLog(io)), "");
}

TEST(LogWriter, BlockHasAsMuchRoomAsTheSegmentLeaves) {
  SimIo io({.seed = 1});
  LogSession session(io, SmallOptions());
  ASSERT_TRUE(session.Open().ok());
  const OpenedBlock whole = session.writer->OpenBlock(1);
  EXPECT_EQ(whole.slots.size(), session.writer->max_block_slots());
  // Eight sectors without start and witness, less a header.
  EXPECT_EQ(whole.slots.size(), 6 * kSectorBytes / sizeof(Slot) - 1);
  session.writer->AbandonBlock();
  ASSERT_TRUE(session.Append(2 * kSectorBytes / sizeof(Slot)));  // three sectors with its header
  EXPECT_EQ(session.writer->OpenBlock(1).slots.size(), 3 * kSectorBytes / sizeof(Slot) - 1);
  session.writer->AbandonBlock();
  ASSERT_TRUE(session.Settle());
}

}  // namespace
}  // namespace tallystick::wal
