// Cuts on the simulated disk: what is kept, what goes aside, and crashes at every step.

#include "wal/log_cut.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/sim/sim_io.h"
#include "tests/wal/log_harness.h"
#include "wal/log_survey.h"
#include "wal/segment_files.h"
#include "wal/snapshot_files.h"

namespace tallystick::wal {
namespace {

using sim::CrashPoint;
using sim::SimIo;
using ::testing::Contains;
using ::testing::HasSubstr;

constexpr uint64_t kNewerSnapshot = 1'000'000;

// A log of some segments, with a damaged block that later ones know to be durable.
struct DamagedLog {
  explicit DamagedLog(uint64_t seed = 3) : io({.seed = seed}), session(io, SmallOptions()) {
    EXPECT_TRUE(session.Open().ok());
    std::mt19937_64 random(7);
    EXPECT_TRUE(session.Run(24, random));
    EXPECT_TRUE(session.writer->Stop().ok());
    session.writer.reset();
    blocks = ReadLog(io).blocks;
    hit = blocks.size() / 2;
    while (blocks[hit].offset == 0 || blocks[hit + 1].segment != blocks[hit].segment) ++hit;
    const std::string path = FilePath(kLogDirectory, blocks[hit].segment, FileKind::kSegment);
    io.Contents(path)[blocks[hit].offset + 200] ^= std::byte{1};
    original = io.Contents(path);
    io.AddFile(SnapshotPath(kLogDirectory, 2), {std::byte{1}});
    io.AddFile(SnapshotPath(kLogDirectory, kNewerSnapshot), {std::byte{1}});
    EXPECT_EQ(ReadLog(io).status.code(), absl::StatusCode::kDataLoss);
  }

  LogPlace PlaceBehindBlock(size_t index) {
    LogPlace place;
    const auto survey =
        SurveyLog(io, kLogDirectory, kIdentity, [&](const BlockView& block, size_t) {
          if (block.header->first_position == blocks[index].header.first_position) {
            place = PlaceBehind(block);
          }
        });
    EXPECT_TRUE(survey.ok());
    EXPECT_NE(place.segment, 0u);
    return place;
  }
  absl::StatusOr<LogCut> Cut(size_t index) {
    return CutLog(io, kLogDirectory, kIdentity, PlaceBehindBlock(index));
  }
  std::string Aside(const std::string& name) const {
    return absl::StrCat(kLogDirectory, "/aside-1/", name);
  }
  // The log ends behind block `index`, as a whole; a writer goes on in a segment and an epoch that
  // were never given.
  void ExpectCut(size_t index) {
    const LogCopy log = ReadLog(io);
    ASSERT_TRUE(log.status.ok()) << log.status;
    EXPECT_EQ(log.blocks.size(), index + 1);
    EXPECT_EQ(log.tail.next_position, blocks[index].end_position());
    EXPECT_FALSE(log.tail.torn);
    EXPECT_EQ(log.tail.highest_segment, blocks.back().segment);
    session.history.resize(std::min(session.history.size(), Records(log).size()));
    session.acknowledged = 1;
    ASSERT_TRUE(session.Open().ok());
    EXPECT_EQ(session.mismatch, "");
    ASSERT_TRUE(session.Append(3));
    EXPECT_TRUE(session.Settle());
    session.writer.reset();
    const LogCopy more = ReadLog(io);
    ASSERT_TRUE(more.status.ok()) << more.status;
    EXPECT_GT(more.blocks.back().segment, blocks.back().segment);
    EXPECT_GT(more.blocks.back().header.epoch, blocks.back().header.epoch);
  }

  SimIo io;
  LogSession session;
  std::vector<BlockCopy> blocks;
  size_t hit = 0;
  std::vector<std::byte> original;
};

TEST(LogCut, EndsTheLogBeforeTheDamageAndKeepsAll) {
  DamagedLog log;
  const auto cut = log.Cut(log.hit - 1);
  ASSERT_TRUE(cut.ok()) << cut.status();
  EXPECT_EQ(cut->aside, "aside-1");
  EXPECT_EQ(cut->copied, FileName(log.blocks[log.hit].segment, FileKind::kSegment));
  EXPECT_THAT(cut->moved, Contains(FileName(log.blocks.back().segment, FileKind::kSegment)));
  EXPECT_EQ(log.io.Contents(log.Aside(cut->copied)), log.original);
  EXPECT_THAT(*ListSnapshots(log.io, kLogDirectory), ::testing::ElementsAre(2u));
  EXPECT_TRUE(log.io.Exists(log.Aside("CUT")));
  log.ExpectCut(log.hit - 1);
}

// Behind each block, of sound logs and damaged ones alike.
TEST(LogCut, AnyBlockCanBeTheLast) {
  const size_t count = DamagedLog().blocks.size();
  for (size_t i = 0; i < count; ++i) {
    SCOPED_TRACE(i);
    DamagedLog log;
    if (i >= log.hit) {  // undo the damage
      log.io.Contents(FilePath(kLogDirectory, log.blocks[log.hit].segment,
                               FileKind::kSegment))[log.blocks[log.hit].offset + 200] ^=
          std::byte{1};
    }
    const auto cut = log.Cut(i);
    ASSERT_TRUE(cut.ok()) << cut.status();
    log.ExpectCut(i);
  }
}

TEST(LogCut, AnotherCutHasAFolderOfItsOwn) {
  DamagedLog log;
  ASSERT_TRUE(log.Cut(log.hit - 1).ok());
  const auto second = log.Cut(2);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->aside, "aside-2");
  log.ExpectCut(2);
}

TEST(LogCut, PlaceThatIsNotThereIsRefusedAndNothingChanges) {
  DamagedLog log;
  LogPlace place = log.PlaceBehindBlock(3);
  place.last_hash.low ^= 1;
  const uint64_t before = log.io.boundaries();
  const auto cut = CutLog(log.io, kLogDirectory, kIdentity, place);
  EXPECT_EQ(cut.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(log.io.boundaries(), before);
}

TEST(LogCut, IsRefusedWhileAWriterHasTheLog) {
  DamagedLog log;
  const LogPlace place = log.PlaceBehindBlock(3);
  const auto lock = log.io.Lock(absl::StrCat(kLogDirectory, "/lock"));
  ASSERT_TRUE(lock.ok());
  EXPECT_EQ(CutLog(log.io, kLogDirectory, kIdentity, place).status().code(),
            absl::StatusCode::kFailedPrecondition);
  log.io.Close(*lock);
}

// After a crash at any step the log is the old one (still refused, or with its newer snapshots), or
// the cut one, or refused; the same cut completes it, and the originals are there.
TEST(LogCut, CrashAtEveryStepIsCompletedByTheSameCut) {
  uint64_t steps = 0;
  {
    DamagedLog log;
    const uint64_t before = log.io.boundaries();
    ASSERT_TRUE(log.Cut(log.hit - 1).ok());
    steps = log.io.boundaries() - before;
  }
  ASSERT_GT(steps, 8u);
  for (uint64_t step = 1; step <= steps; ++step) {
    for (const CrashPoint point : {CrashPoint::kBefore, CrashPoint::kMiddle, CrashPoint::kAfter}) {
      for (uint64_t seed = 1; seed <= 3; ++seed) {
        SCOPED_TRACE(
            absl::StrCat("step ", step, ", point ", static_cast<int>(point), ", seed ", seed));
        DamagedLog log(seed);
        const LogPlace place = log.PlaceBehindBlock(log.hit - 1);
        log.io.CrashAt(log.io.boundaries() + step, point);
        (void)CutLog(log.io, kLogDirectory, kIdentity, place);
        log.io.Crash();
        const LogCopy between = ReadLog(log.io);
        if (between.status.ok()) {
          EXPECT_EQ(between.tail.next_position, place.next_position);
          EXPECT_THAT(*ListSnapshots(log.io, kLogDirectory), ::testing::ElementsAre(2u));
        } else {
          EXPECT_EQ(between.status.code(), absl::StatusCode::kDataLoss) << between.status;
        }
        const auto again = CutLog(log.io, kLogDirectory, kIdentity, place);
        ASSERT_TRUE(again.ok()) << again.status();
        const std::string name = FileName(place.segment, FileKind::kSegment);
        EXPECT_EQ(log.io.Contents(log.Aside(name)), log.original);
        EXPECT_TRUE(
            log.io.Exists(log.Aside(FileName(log.blocks.back().segment, FileKind::kSegment))));
        EXPECT_TRUE(log.io.Exists(
            absl::StrCat(kLogDirectory, "/aside-1/", SnapshotPath("", kNewerSnapshot).substr(1))));
        log.ExpectCut(log.hit - 1);
      }
    }
  }
}

TEST(LogCut, DiskThatIsFullOrFailsLeavesTheLogAsItWas) {
  for (const bool sync : {false, true}) {
    DamagedLog log;
    if (sync) {
      log.io.FailSync(1, EIO, ".part");
    } else {
      log.io.FailWrite(1, ENOSPC, ".part");
    }
    EXPECT_FALSE(log.Cut(log.hit - 1).ok());
    EXPECT_EQ(ReadLog(log.io).status.code(), absl::StatusCode::kDataLoss);
    EXPECT_EQ(
        log.io.Contents(FilePath(kLogDirectory, log.blocks[log.hit].segment, FileKind::kSegment)),
        log.original);
    ASSERT_TRUE(log.Cut(log.hit - 1).ok());
    log.ExpectCut(log.hit - 1);
  }
}

}  // namespace
}  // namespace tallystick::wal
