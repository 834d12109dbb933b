// Sealed segments on their way into the archive, back into the log, and out of both.

#include "wal/segment_keeper.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/sim/sim_io.h"
#include "tests/wal/archived_log.h"
#include "wal/block.h"
#include "wal/snapshot_files.h"
#include "wal/snapshot_writer.h"

namespace tallystick::wal {
namespace {

using sim::CrashPoint;
using sim::SimIo;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr int64_t kDayUs = int64_t{24} * 3600 * 1'000'000;

// A log of one shard with its keeper, which has an Io of its own in a ledger, and shares the
// simulated one here.
struct SegmentKeeperTest : ::testing::Test {
  SegmentKeeperTest() : io({.seed = 8, .short_read_percent = 20}), session(io, SmallOptions()) {
    options.folders = kLogDirectory;
    options.identity = kIdentity;
    options.segment_bytes = session.options.segment_bytes;
    options.report = [this](const std::string& sentence) { reports.push_back(sentence); };
  }

  void Open() {
    ASSERT_EQ(session.Open(), absl::OkStatus());
    ASSERT_EQ(session.mismatch, "");
    MakeKeeper();
  }

  void MakeKeeper() {
    keeper = std::make_unique<SegmentKeeper>(io, options);
    keeper->Note(session.writer->sealed_before());
  }

  // Until the log has come to the segment after next.
  void Fill(std::mt19937_64& random) {
    const uint64_t until = session.writer->place().segment + 2;
    while (session.writer->place().segment < until) ASSERT_TRUE(session.Run(1, random));
    ASSERT_TRUE(session.Settle());
    session.Turn();
    keeper->Note(session.writer->sealed_before());
  }

  absl::Status TakeSnapshot() {
    auto writer = SnapshotWriter::Begin(io, {.directory = kLogDirectory, .identity = kIdentity},
                                        session.writer->place());
    if (!writer.ok()) return writer.status();
    (*writer)->TakePart()[0] = std::byte{1};
    (*writer)->PutPart(8);
    (*writer)->Finish();
    while (!(*writer)->durable() && (*writer)->failure().ok()) {
      (*writer)->Tick(io.MonotonicMicros(), true);
      io.Poll(-1);
    }
    if (!(*writer)->failure().ok()) return (*writer)->failure();
    if (absl::Status published = (*writer)->Publish(); !published.ok()) return published;
    absl::Status removed = RemoveOldSnapshots(io, kLogDirectory, 2);
    keeper->Note(session.writer->sealed_before());
    return removed;
  }

  // Until there is nothing to do. How many steps that took.
  int Work() {
    for (int steps = 0; steps < 10'000; ++steps) {
      if (keeper->Step(io.MonotonicMicros()) != 0) return steps;
    }
    ADD_FAILURE() << "the keeper never rests";
    return 0;
  }

  // A log of some segments, the first of which two snapshots need no more.
  void Grow(std::mt19937_64& random) {
    for (int i = 0; i < 3; ++i) {
      Fill(random);
      if (i > 0) {
        ASSERT_EQ(TakeSnapshot(), absl::OkStatus());
      }
    }
  }

  std::vector<uint64_t> Archives() { return *ListArchives(io, LogFolders(kLogDirectory).archive); }
  LogFiles Files() { return *ListLogFiles(io, kLogDirectory); }
  std::string Compare() { return session.Compare(ReadLog(io)); }

  SimIo io;
  LogSession session;
  KeeperOptions options;
  std::unique_ptr<SegmentKeeper> keeper;
  std::vector<std::string> reports;
};

TEST_F(SegmentKeeperTest, ArchivesWhatTheOlderOfTwoSnapshotsNeedsNoMore) {
  std::mt19937_64 random(1);
  Open();
  Fill(random);
  Work();
  EXPECT_THAT(Archives(), IsEmpty());
  ASSERT_EQ(TakeSnapshot(), absl::OkStatus());
  const uint64_t older = session.writer->place().segment;
  Fill(random);
  Work();
  EXPECT_THAT(Archives(), IsEmpty()) << "there is one snapshot only";
  ASSERT_EQ(TakeSnapshot(), absl::OkStatus());
  Work();
  std::vector<uint64_t> expected;
  for (uint64_t segment = 1; segment < older; ++segment) expected.push_back(segment);
  EXPECT_EQ(Archives(), expected);
  EXPECT_EQ(Files().segments.front(), older);
  EXPECT_EQ(Compare(), "");
  EXPECT_THAT(reports, IsEmpty());
}

TEST_F(SegmentKeeperTest, LeavesAllWhereItIsWhenArchivingIsOff) {
  std::mt19937_64 random(1);
  options.archive = false;
  Open();
  Grow(random);
  Work();
  EXPECT_THAT(Archives(), IsEmpty());
  EXPECT_EQ(Files().segments.front(), 1u);
}

TEST_F(SegmentKeeperTest, GoesOnAfterARestart) {
  std::mt19937_64 random(1);
  options.archive = false;
  Open();
  Grow(random);
  Work();
  ASSERT_EQ(session.writer->Stop(), absl::OkStatus());
  session.writer.reset();
  options.archive = true;
  Open();
  Fill(random);
  Work();
  EXPECT_FALSE(Archives().empty());
  EXPECT_EQ(Compare(), "");
}

// The writer makes no new file while one that was given up can be written over.
TEST_F(SegmentKeeperTest, TheLogWritesOverWhatWasArchived) {
  std::mt19937_64 random(2);
  Open();
  Grow(random);
  Work();
  ASSERT_FALSE(Files().free.empty());
  EXPECT_LE(Files().free.size(), options.free_kept);
  const std::vector<uint64_t> before = Files().free;
  for (int i = 0; i < 3; ++i) {
    Fill(random);
    // What is called a segment held nothing but zeros when it got that name.
    const LogFiles files = Files();
    for (const uint64_t spare : files.spares) {
      const std::vector<std::byte>& content =
          io.Contents(FilePath(kLogDirectory, spare, FileKind::kSpare));
      EXPECT_EQ(std::count(content.begin(), content.end(), std::byte{0}), content.size());
    }
  }
  for (const uint64_t number : before) EXPECT_THAT(Files().free, Not(Contains(number)));
  EXPECT_EQ(Compare(), "");
}

TEST_F(SegmentKeeperTest, ADamagedSegmentIsReportedAndLeft) {
  std::mt19937_64 random(3);
  Open();
  Grow(random);
  std::byte& bit = io.Contents(SegmentPath(1))[kSectorBytes + 140];
  bit ^= std::byte{1};
  Work();
  EXPECT_THAT(reports, ElementsAre(AllOf(HasSubstr(SegmentPath(1)), HasSubstr("not archived"))));
  EXPECT_TRUE(io.Exists(SegmentPath(1)));
  EXPECT_THAT(Archives(), Contains(2));
  bit ^= std::byte{1};
  EXPECT_EQ(Compare(), "");
}

TEST_F(SegmentKeeperTest, AnArchiveThatDoesNotHoldItsSegmentIsWrittenAgain) {
  std::mt19937_64 random(3);
  Open();
  Grow(random);
  ASSERT_EQ(WriteArchive(io, SealedOf(ReadLog(io), 1)), absl::OkStatus());
  io.Contents(ArchivePath(1)).back() ^= std::byte{1};
  Work();
  EXPECT_FALSE(io.Exists(SegmentPath(1)));
  EXPECT_EQ(Compare(), "");
}

struct CountingTask : SegmentTask {
  explicit CountingTask(std::vector<uint64_t>& seen_in) : seen(seen_in) {}
  absl::Status Begin(const SealedSegment& segment) override {
    seen.push_back(segment.number);
    left = 3;
    return absl::OkStatus();
  }
  absl::StatusOr<bool> Step() override { return --left == 0; }

  std::vector<uint64_t>& seen;
  int left = 0;
};

// Another copy of the ledger has used the same archive.
TEST_F(SegmentKeeperTest, ASoundArchiveOfAnotherHistoryIsNeitherTakenNorReplaced) {
  std::mt19937_64 random(2);
  Open();
  Grow(random);
  // As if that one's segment 2 had ended earlier.
  const LogCopy log = ReadLog(io);
  SealedSegment shorter;
  for (const auto& block : log.blocks) {
    if (block.header.segment != 2 || block.header.type == BlockType::kStart) continue;
    shorter = {.number = 2,
               .bytes = block.offset + block.header.bytes,
               .next_position = block.header.first_position + block.header.count,
               .last_hash = HeaderHash(block.header)};
    break;
  }
  ASSERT_EQ(WriteArchive(io, shorter), absl::OkStatus());
  const std::vector<std::byte> theirs = io.Contents(ArchivePath(2));
  Work();
  EXPECT_THAT(reports, ElementsAre(AllOf(HasSubstr(ArchivePath(2)), HasSubstr("not of this log"))));
  EXPECT_EQ(Archives(), (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(io.Contents(ArchivePath(2)), theirs);
  EXPECT_EQ(Files().segments.front(), 2u);
  // It is moved away.
  ASSERT_EQ(io.Remove(ArchivePath(2)), absl::OkStatus());
  io.AdvanceMicros(30'000'000);
  Work();
  EXPECT_GT(Archives().size(), 2u);
  EXPECT_EQ(Compare(), "");
}

// As on the mount point of a disk that is not mounted.
TEST_F(SegmentKeeperTest, WhereTheArchiveIsMissingNothingIsArchived) {
  std::mt19937_64 random(2);
  Open();
  Grow(random);
  Work();
  const std::vector<uint64_t> archived = Archives();
  ASSERT_GE(archived.size(), 2u);
  std::vector<std::vector<std::byte>> files;
  for (const uint64_t segment : archived) {
    files.push_back(io.Contents(ArchivePath(segment)));
    ASSERT_EQ(io.Remove(ArchivePath(segment)), absl::OkStatus());
  }
  std::vector<uint64_t> done;
  MakeKeeper();
  keeper->AddTask(std::make_unique<CountingTask>(done));
  for (int i = 0; i < 3; ++i) {
    Fill(random);
    ASSERT_EQ(TakeSnapshot(), absl::OkStatus());
    io.AdvanceMicros(60'000'000);
    Work();
  }
  EXPECT_THAT(Archives(), IsEmpty());
  EXPECT_EQ(Files().segments.front(), archived.back() + 1);
  EXPECT_THAT(reports, ElementsAre(HasSubstr("Is the archive's disk mounted?")));
  // What is sealed is indexed all the same.
  EXPECT_EQ(done.back(), session.writer->sealed_before() - 1);
  for (size_t i = 0; i < archived.size(); ++i) io.AddFile(ArchivePath(archived[i]), files[i]);
  io.AdvanceMicros(30'000'000);
  Work();
  EXPECT_GT(Archives().size(), archived.size());
  EXPECT_EQ(Compare(), "");
}

TEST_F(SegmentKeeperTest, AFullDiskIsToldOnceAndTriedAgain) {
  std::mt19937_64 random(3);
  Open();
  Grow(random);
  for (int i = 0; i < 3; ++i) {
    io.FailWrite(1, ENOSPC, ".arc.new");
    Work();
    EXPECT_THAT(Archives(), IsEmpty());
    io.AdvanceMicros(60'000'000);
  }
  EXPECT_EQ(reports.size(), 1u);
  EXPECT_EQ(Compare(), "");
  Work();
  EXPECT_FALSE(Archives().empty());
  EXPECT_EQ(Compare(), "");
}

TEST_F(SegmentKeeperTest, TasksSeeEachSealedSegmentInOrderBeforeItIsArchived) {
  std::mt19937_64 random(4);
  Open();
  std::vector<uint64_t> seen;
  keeper->AddTask(std::make_unique<CountingTask>(seen));
  for (int i = 0; i < 4; ++i) {
    Fill(random);
    ASSERT_EQ(TakeSnapshot(), absl::OkStatus());
    Work();
    std::vector<uint64_t> expected;
    for (uint64_t s = 1; s < session.writer->sealed_before(); ++s) expected.push_back(s);
    EXPECT_EQ(seen, expected);
  }
  EXPECT_FALSE(Archives().empty());
}

TEST_F(SegmentKeeperTest, ATaskThatIsAbandonedIsEndedAndBegunAgain) {
  struct LongTask : SegmentTask {
    explicit LongTask(std::vector<std::string>& seen_in) : seen(seen_in) {}
    absl::Status Begin(const SealedSegment& segment) override {
      seen.push_back("begin " + std::to_string(segment.number));
      return absl::OkStatus();
    }
    absl::StatusOr<bool> Step() override { return false; }
    void Abandon() override { seen.emplace_back("abandon"); }
    std::vector<std::string>& seen;
  };
  std::mt19937_64 random(4);
  Open();
  std::vector<std::string> seen;
  keeper->AddTask(std::make_unique<LongTask>(seen));
  Grow(random);
  keeper->Note(session.writer->sealed_before());
  for (int i = 0; i < 3; ++i) keeper->Step(io.MonotonicMicros());
  ASSERT_TRUE(keeper->at_work());
  keeper->Abandon();
  for (int i = 0; i < 3; ++i) keeper->Step(io.MonotonicMicros());
  EXPECT_EQ(seen, (std::vector<std::string>{"begin 1", "abandon", "begin 1"}));
}

// What fails is tried again, and does not hold up the archive.
TEST_F(SegmentKeeperTest, ATaskThatFailsIsToldOnceAndTriedAgain) {
  struct FailingTask : SegmentTask {
    explicit FailingTask(absl::Status& answer_in, std::vector<uint64_t>& done_in)
        : answer(answer_in), done(done_in) {}
    absl::Status Begin(const SealedSegment& segment) override {
      number = segment.number;
      return absl::OkStatus();
    }
    absl::StatusOr<bool> Step() override {
      if (!answer.ok()) return answer;
      done.push_back(number);
      return true;
    }
    absl::Status& answer;
    std::vector<uint64_t>& done;
    uint64_t number = 0;
  };
  std::mt19937_64 random(4);
  Open();
  absl::Status answer = absl::ResourceExhaustedError("no room");
  std::vector<uint64_t> done;
  keeper->AddTask(std::make_unique<FailingTask>(answer, done));
  Grow(random);
  Work();
  EXPECT_FALSE(Archives().empty());
  EXPECT_EQ(std::count(reports.begin(), reports.end(), "no room"), 1);
  EXPECT_TRUE(done.empty());
  io.AdvanceMicros(31'000'000);
  Work();
  EXPECT_EQ(std::count(reports.begin(), reports.end(), "no room"), 1);
  answer = absl::OkStatus();
  io.AdvanceMicros(31'000'000);
  Work();
  std::vector<uint64_t> expected;
  for (uint64_t s = 1; s < session.writer->sealed_before(); ++s) expected.push_back(s);
  std::sort(done.begin(), done.end());
  EXPECT_EQ(done, expected);
  SealedSegment first;
  first.number = 1;
  // Damage is not tried again.
  done.clear();
  answer = absl::DataLossError("damaged");
  keeper->Redo(first);
  Work();
  answer = absl::OkStatus();
  io.AdvanceMicros(31'000'000);
  Work();
  EXPECT_TRUE(done.empty());
  keeper->Redo(first);
  Work();
  EXPECT_EQ(done, std::vector<uint64_t>{1});
}

// ---- limits ----

TEST_F(SegmentKeeperTest, WhatIsOldIsRemovedAndTold) {
  std::mt19937_64 random(5);
  options.limits.keep_us = 2 * kDayUs;
  Open();
  Grow(random);
  Work();
  const std::vector<uint64_t> archived = Archives();
  ASSERT_GE(archived.size(), 2u);
  io.AdvanceMicros(kDayUs);
  Work();
  EXPECT_EQ(Archives(), archived);
  io.AdvanceMicros(kDayUs + 1);
  Work();
  EXPECT_THAT(Archives(), IsEmpty());
  ASSERT_EQ(reports.size(), archived.size());
  EXPECT_THAT(reports[0],
              AllOf(HasSubstr("removes segment 1 from the archive"), HasSubstr("positions 1 to "),
                    HasSubstr("UTC"), HasSubstr("more than 2 days ago")));
  // What the snapshots need is there.
  EXPECT_EQ(Files().segments.front(), archived.back() + 1);
}

TEST_F(SegmentKeeperTest, AnArchiveThatIsTooLargeLosesItsOldest) {
  std::mt19937_64 random(5);
  Open();
  Grow(random);
  Work();
  const std::vector<uint64_t> archived = Archives();
  ASSERT_GE(archived.size(), 2u);
  uint64_t bytes = 0;
  for (const uint64_t segment : archived) bytes += io.Contents(ArchivePath(segment)).size();
  options.limits.keep_bytes = bytes - 1;
  MakeKeeper();
  Work();
  EXPECT_EQ(Archives(), std::vector<uint64_t>(archived.begin() + 1, archived.end()));
  EXPECT_THAT(reports, ElementsAre(AllOf(HasSubstr("removes segment 1 from the archive"),
                                         HasSubstr("that this shard may keep"))));
}

// What follows a damaged one does not go before it: the archive would have a hole.
TEST_F(SegmentKeeperTest, ADamagedArchiveGoesWithWhatFollowsIt) {
  std::mt19937_64 random(5);
  Open();
  Grow(random);
  Work();
  const std::vector<uint64_t> archived = Archives();
  ASSERT_GE(archived.size(), 2u);
  uint64_t bytes = 0;
  for (const uint64_t segment : archived) bytes += io.Contents(ArchivePath(segment)).size();
  io.Contents(ArchivePath(1))[100] ^= std::byte{1};
  options.limits.keep_bytes = bytes - io.Contents(ArchivePath(1)).size();
  MakeKeeper();
  Work();
  EXPECT_EQ(Archives(), archived);
  options.limits.keep_bytes -= 1;
  MakeKeeper();
  Work();
  EXPECT_EQ(Archives(), std::vector<uint64_t>(archived.begin() + 2, archived.end()));
  EXPECT_THAT(reports, Contains(HasSubstr("removes segment 1 from the archive, which is damaged")));
  EXPECT_EQ(*LastGone(io, LogFolders(kLogDirectory)), 2u);
}

// ---- crashes ----

// Fills, takes snapshots and works while the power may go; then all that was acknowledged is read,
// and the keeper goes on.
TEST_F(SegmentKeeperTest, APowerCutAnywhereLosesNothing) {
  options.limits.keep_bytes = 0;
  for (const CrashPoint point : {CrashPoint::kBefore, CrashPoint::kMiddle, CrashPoint::kAfter}) {
    for (uint64_t boundary = 1;; ++boundary) {
      SCOPED_TRACE(testing::Message()
                   << "boundary " << boundary << ", " << static_cast<int>(point));
      SimIo disk({.seed = boundary, .late_percent = 30});
      LogSession log(disk, SmallOptions());
      KeeperOptions kept = options;
      kept.report = nullptr;
      std::mt19937_64 random(7);
      ASSERT_EQ(log.Open(), absl::OkStatus());
      auto own = std::make_unique<SegmentKeeper>(disk, kept);
      const auto round = [&] {
        const uint64_t until = log.writer->place().segment + 2;
        while (log.writer->place().segment < until) {
          if (!log.Run(1, random)) return false;
          own->Note(log.writer->sealed_before());
          own->Step(disk.MonotonicMicros());
        }
        if (!log.Settle()) return false;
        auto writer = SnapshotWriter::Begin(
            disk, {.directory = kLogDirectory, .identity = kIdentity}, log.writer->place());
        if (!writer.ok()) return false;
        (*writer)->Finish();
        while (!(*writer)->durable() && (*writer)->failure().ok()) {
          (*writer)->Tick(disk.MonotonicMicros(), true);
          disk.Poll(-1);
        }
        return (*writer)->durable() && (*writer)->Publish().ok() &&
               RemoveOldSnapshots(disk, kLogDirectory, 2).ok();
      };
      ASSERT_TRUE(round());
      ASSERT_TRUE(round());
      disk.CrashAt(disk.boundaries() + boundary, point);
      const bool survived = round();
      if (survived) {
        own->Note(log.writer->sealed_before());
        while (disk.powered() && own->Step(disk.MonotonicMicros()) == 0) {
        }
      }
      const bool finished = disk.powered();
      own.reset();
      log.writer.reset();
      disk.Crash();
      ASSERT_EQ(RemoveUnfinishedSnapshots(disk, kLogDirectory), absl::OkStatus());
      ASSERT_EQ(log.Open(), absl::OkStatus());
      ASSERT_EQ(log.mismatch, "");
      own = std::make_unique<SegmentKeeper>(disk, kept);
      ASSERT_TRUE(round());
      own->Note(log.writer->sealed_before());
      while (own->Step(disk.MonotonicMicros()) == 0) {
      }
      ASSERT_FALSE(ListArchives(disk, LogFolders(kLogDirectory).archive)->empty());
      ASSERT_EQ(log.Compare(ReadLog(disk)), "");
      if (finished) {
        EXPECT_GT(boundary, 40u);
        break;
      }
    }
  }
}

}  // namespace
}  // namespace tallystick::wal
