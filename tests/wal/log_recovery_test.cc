// Crashes at every point, and what recovery makes of them.

#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <tuple>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/sim/sim_io.h"
#include "tests/wal/log_harness.h"
#include "wal/block.h"
#include "wal/segment_files.h"

namespace tallystick::wal {
namespace {

using sim::CrashPoint;
using sim::SimIo;
using sim::SimOptions;

constexpr CrashPoint kCrashPoints[] = {CrashPoint::kBefore, CrashPoint::kMiddle,
                                       CrashPoint::kAfter};

SimOptions Disk(uint64_t seed) {
  return {.seed = seed, .short_write_percent = 20, .late_percent = 60};
}

// Opens, writes, stops. False: the power went.
bool Live(LogSession& session, int blocks, uint64_t seed) {
  std::mt19937_64 random(seed);
  if (!session.Open().ok()) return false;
  const bool written = session.Run(blocks, random);
  const bool stopped = written && session.writer->Stop().ok();
  session.acknowledged = std::max(session.acknowledged, session.writer->durable_position());
  return stopped;
}

class LogRecovery : public ::testing::TestWithParam<Durability> {};

INSTANTIATE_TEST_SUITE_P(Modes, LogRecovery,
                         ::testing::Values(Durability::kOpenDsync, Durability::kDsync,
                                           Durability::kFdatasync));

// After a crash at `boundary` of a life: what was acknowledged is there, what follows is a prefix
// of what was written; and so again after a crash while that log is opened and written on.
void CrashTwice(uint64_t seed, Durability durability, uint64_t boundary, CrashPoint point) {
  SimIo io(Disk(seed));
  LogSession session(io, SmallOptions(durability));
  io.CrashAt(boundary, point);
  Live(session, 14, seed);
  io.Crash();
  session.writer.reset();
  ASSERT_EQ(io.Exists(kLogDirectory) ? session.Compare(ReadLog(io)) : "", "");

  io.CrashAt(io.boundaries() + 1 + (seed * 7919 + boundary) % 30, point);
  Live(session, 5, seed + 1);
  io.Crash();
  session.writer.reset();
  ASSERT_EQ(session.mismatch, "");

  ASSERT_TRUE(Live(session, 3, seed + 2));
  ASSERT_EQ(session.mismatch, "");
  session.writer.reset();
  const LogCopy log = ReadLog(io);
  ASSERT_EQ(session.Compare(log), "");
  ASSERT_EQ(Records(log).size(), session.history.size());
  ASSERT_FALSE(log.tail.torn) << "it was stopped in order";
}

TEST_P(LogRecovery, EveryWriteBoundaryKeepsWhatWasAcknowledged) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    SimIo io(Disk(seed));
    LogSession session(io, SmallOptions(GetParam()));
    ASSERT_TRUE(Live(session, 14, seed));
    const uint64_t boundaries = io.boundaries();
    ASSERT_GT(boundaries, 30u);
    for (uint64_t boundary = 1; boundary <= boundaries; ++boundary) {
      for (const CrashPoint point : kCrashPoints) {
        CrashTwice(seed, GetParam(), boundary, point);
        if (::testing::Test::HasFatalFailure()) {
          FAIL() << "seed " << seed << ", boundary " << boundary << ", point "
                 << static_cast<int>(point);
        }
      }
    }
  }
}

// What a stopped process has written but not synced can be read; the next epoch builds on it, and
// then the power goes.
TEST_P(LogRecovery, PowerCutAfterAProcessDiedKeepsWhatWasReadThen) {
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE(seed);
    SimIo io(Disk(seed));
    LogSession session(io, SmallOptions(GetParam()));
    std::mt19937_64 random(seed);
    ASSERT_TRUE(session.Open().ok());
    ASSERT_TRUE(session.Run(12, random));
    io.KillProcess();
    session.writer.reset();
    ASSERT_EQ(session.Compare(ReadLog(io)), "");
    ASSERT_TRUE(session.Open().ok());
    ASSERT_EQ(session.mismatch, "");
    io.Crash();
    session.writer.reset();
    ASSERT_EQ(session.Compare(ReadLog(io)), "");
    ASSERT_EQ(Records(ReadLog(io)).size(), session.history.size());
  }
}

// ---- the single cases of docs/log-format.md ----

std::string Segment(uint64_t number) { return FilePath(kLogDirectory, number, FileKind::kSegment); }

// A log of one closed segment and a start block in the next, with nothing torn.
void WriteAndReopen(LogSession& session) {
  ASSERT_TRUE(session.Open().ok());
  ASSERT_TRUE(session.Append(3));
  ASSERT_TRUE(session.writer->Stop().ok());
  session.writer.reset();
  ASSERT_TRUE(session.Open().ok());
  session.writer.reset();
  session.acknowledged = session.last_tail.next_position;  // the start block has no witness
}

TEST(LogTakeover, TornStartBlockIsSetAsideAndItsEpochIsNotGivenAgain) {
  SimIo io({.seed = 1});
  LogSession session(io, SmallOptions());
  WriteAndReopen(session);
  for (uint64_t opening = 2; opening < 6; ++opening) {
    // The start block of the newest segment is torn, over and over.
    io.Contents(Segment(opening))[200] ^= std::byte{1};
    ASSERT_TRUE(session.Open().ok());
    ASSERT_EQ(session.mismatch, "");
    session.writer.reset();
    session.acknowledged = session.last_tail.next_position;
    EXPECT_TRUE(io.Exists(FilePath(kLogDirectory, opening, FileKind::kCut)));
    const LogCopy log = ReadLog(io);
    EXPECT_EQ(log.tail.segment, opening + 1);
    EXPECT_EQ(log.tail.epoch, opening + 1) << "the torn one had " << opening;
    const auto& info = *reinterpret_cast<const StartInfo*>(log.blocks.back().slots.data());
    EXPECT_EQ(info.reason, StartReason::kCut);
    EXPECT_EQ(info.previous_segment, 1u);
  }
}

TEST(LogTakeover, EmptySegmentBehindTheEndIsSetAside) {
  // The crash came between the renaming of the spare and the start block.
  SimIo io({.seed = 1});
  LogSession session(io, SmallOptions());
  WriteAndReopen(session);
  std::vector<std::byte>& content = io.Contents(Segment(2));
  std::fill(content.begin(), content.end(), std::byte{0});
  ASSERT_TRUE(session.Open().ok());
  EXPECT_EQ(session.mismatch, "");
  EXPECT_FALSE(session.last_tail.torn);
  EXPECT_EQ(session.last_tail.highest_segment, 2u);
  EXPECT_TRUE(io.Exists(FilePath(kLogDirectory, 2, FileKind::kCut)));
  EXPECT_EQ(ReadLog(io).tail.epoch, 3u);
}

TEST(LogTakeover, TornCreationBeginsAgain) {
  SimIo io({.seed = 1});
  LogSession session(io, SmallOptions());
  ASSERT_TRUE(session.Open().ok());
  session.writer.reset();
  io.Contents(Segment(1))[100] ^= std::byte{1};
  const LogCopy torn = ReadLog(io);
  ASSERT_TRUE(torn.status.ok());
  EXPECT_EQ(torn.tail.segment, 0u);
  EXPECT_EQ(torn.tail.next_position, 1u);
  EXPECT_TRUE(torn.tail.torn);
  session.acknowledged = 1;
  ASSERT_TRUE(session.Open().ok());
  const LogCopy log = ReadLog(io);
  EXPECT_EQ(log.tail.segment, 2u);
  EXPECT_EQ(log.tail.epoch, 2u);
  const auto& info = *reinterpret_cast<const StartInfo*>(log.blocks[0].slots.data());
  EXPECT_EQ(info.reason, StartReason::kCreated);
}

TEST(LogTakeover, UnfinishedSparesAreRemovedAndFinishedOnesUsed) {
  SimIo io({.seed = 1});
  LogSession session(io, SmallOptions());
  const uint64_t bytes = session.options.segment_bytes;
  const auto path = [](uint64_t number, FileKind kind) {
    return FilePath(kLogDirectory, number, kind);
  };
  io.AddFile(path(5, FileKind::kPreparing), std::vector<std::byte>(bytes));
  io.AddFile(path(6, FileKind::kSpare), std::vector<std::byte>(bytes));
  io.AddFile(path(7, FileKind::kSpare), std::vector<std::byte>(bytes / 2));
  ASSERT_TRUE(session.Open().ok());
  EXPECT_FALSE(io.Exists(path(5, FileKind::kPreparing)));
  EXPECT_FALSE(io.Exists(path(6, FileKind::kSpare))) << "it has become segment 1";
  EXPECT_FALSE(io.Exists(path(7, FileKind::kSpare))) << "it is of another size";
  EXPECT_TRUE(io.Exists(Segment(1)));
}

TEST(LogTakeover, CutTailIsKeptWhereItIs) {
  SimIo io({.seed = 1});
  LogSession session(io, SmallOptions());
  ASSERT_TRUE(session.Open().ok());
  ASSERT_TRUE(session.Append(1));
  ASSERT_TRUE(session.Settle());
  session.writer.reset();
  io.Contents(Segment(1))[kSectorBytes + 300] ^= std::byte{1};  // padding: covered as well
  const std::vector<std::byte> before = io.Contents(Segment(1));
  session.acknowledged = 2;  // the block had no witness
  ASSERT_TRUE(session.Open().ok());
  EXPECT_EQ(session.mismatch, "");
  EXPECT_TRUE(session.last_tail.torn);
  EXPECT_EQ(session.last_tail.cut_reason, "the body's checksum is wrong");
  EXPECT_EQ(io.Contents(Segment(1)), before);
}

TEST(LogTakeover, BlockThatHealsBehindACutStaysCut) {
  // It was unreadable when the cut was made; the start block that names the cut rules.
  SimIo io({.seed = 1});
  LogSession session(io, SmallOptions());
  ASSERT_TRUE(session.Open().ok());
  ASSERT_TRUE(session.Append(20));
  ASSERT_TRUE(session.Settle());
  session.writer.reset();
  io.Contents(Segment(1))[kSectorBytes + 200] ^= std::byte{1};
  session.acknowledged = 2;
  ASSERT_TRUE(session.Open().ok());
  ASSERT_TRUE(session.history.empty());
  ASSERT_TRUE(session.Append(1));
  ASSERT_TRUE(session.writer->Stop().ok());
  session.acknowledged = session.writer->durable_position();
  session.writer.reset();
  io.Contents(Segment(1))[kSectorBytes + 200] ^= std::byte{1};
  EXPECT_EQ(session.Compare(ReadLog(io)), "");
}

TEST(LogTakeover, NumbersOfSegmentsSetAsideAreNotGivenAgain) {
  SimIo io({.seed = 1});
  LogSession session(io, SmallOptions());
  io.AddFile(FilePath(kLogDirectory, 9, FileKind::kCut), {});
  ASSERT_TRUE(session.Open().ok());
  EXPECT_TRUE(io.Exists(Segment(10)));
  EXPECT_EQ(ReadLog(io).tail.epoch, 10u);
  EXPECT_EQ(session.Compare(ReadLog(io)), "");
}

TEST(LogTakeover, RunOutOfNumbersIsASentence) {
  SimIo io({.seed = 1});
  LogSession session(io, SmallOptions());
  io.AddFile(FilePath(kLogDirectory, UINT64_MAX, FileKind::kCut), {});
  const absl::Status status = session.Open();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.ToString(), ::testing::HasSubstr("segment ffffffffffffffff"));
}

}  // namespace
}  // namespace tallystick::wal
