// The archive's format and its writing.

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/sim/sim_io.h"
#include "tests/wal/archived_log.h"
#include "wal/archive_file.h"
#include "wal/checksum.h"

namespace tallystick::wal {
namespace {

using sim::CrashPoint;
using sim::SimIo;
using ::testing::AllOf;
using ::testing::HasSubstr;

bool Same(const LogCopy& a, const LogCopy& b) {
  if (!a.status.ok() || !b.status.ok() || a.blocks.size() != b.blocks.size()) return false;
  for (size_t i = 0; i < a.blocks.size(); ++i) {
    const BlockCopy& x = a.blocks[i];
    const BlockCopy& y = b.blocks[i];
    if (std::memcmp(&x.header, &y.header, sizeof(BlockHeader)) != 0 || x.segment != y.segment ||
        x.offset != y.offset || x.slots.size() != y.slots.size()) {
      return false;
    }
    for (size_t k = 0; k < x.slots.size(); ++k) {
      if (!Equal(x.slots[k], y.slots[k])) return false;
    }
  }
  return a.tail.next_position == b.tail.next_position && a.tail.segment == b.tail.segment &&
         a.tail.offset == b.tail.offset && a.tail.torn == b.tail.torn &&
         a.tail.highest_segment == b.tail.highest_segment;
}

// A log of some openings, read before anything is archived.
struct ArchiveTest : ::testing::Test {
  explicit ArchiveTest(uint64_t segment_bytes = 8 * kSectorBytes)
      : io({.seed = 5, .short_read_percent = 30}), session(io, Options(segment_bytes)) {
    std::mt19937_64 random(5);
    for (int opening = 0; opening < 3; ++opening) {
      EXPECT_TRUE(session.Open().ok());
      EXPECT_TRUE(session.Run(12, random));
      EXPECT_TRUE(session.Settle());
      EXPECT_TRUE(session.writer->Stop().ok());
      session.writer.reset();
    }
    whole = ReadLog(io);
    EXPECT_EQ(session.Compare(whole), "");
    EXPECT_GE(whole.tail.segment, 3u);
  }

  static LogWriterOptions Options(uint64_t segment_bytes) {
    LogWriterOptions options = SmallOptions();
    options.segment_bytes = segment_bytes;
    return options;
  }

  absl::Status ReadStatus() { return ReadLog(io).status; }

  SimIo io;
  LogSession session;
  LogCopy whole;
};

// Segments of some frames, with blocks across their borders.
struct LargeArchiveTest : ArchiveTest {
  LargeArchiveTest() : ArchiveTest(5 * kArchiveFrameBytes) {}
};

TEST_F(ArchiveTest, AHeadSaysWhatTheSegmentIs) {
  const SealedSegment sealed = SealedOf(whole, 1);
  ASSERT_EQ(WriteArchive(io, sealed), absl::OkStatus());
  const absl::StatusOr<ArchiveHead> head = ReadArchiveHead(io, ArchivePath(1), 1);
  ASSERT_TRUE(head.ok()) << head.status();
  EXPECT_EQ(head->segment_bytes, sealed.bytes);
  EXPECT_EQ(head->first_position, 1u);
  EXPECT_EQ(head->next_position, sealed.next_position);
  EXPECT_EQ(head->last_hash, sealed.last_hash);
  EXPECT_EQ(head->epoch, whole.blocks[0].header.epoch);
  EXPECT_EQ(head->archived_us, io.WallMicros());
  EXPECT_EQ(head->file_bytes, io.Contents(ArchivePath(1)).size());
  EXPECT_FALSE(io.Exists(ArchivePath(1) + ".new"));
}

TEST_F(ArchiveTest, AnArchivedLogReadsTheSame) {
  for (uint64_t segment = 1; segment < whole.tail.segment; ++segment) {
    MoveToArchive(io, whole, segment);
    EXPECT_TRUE(Same(ReadLog(io), whole)) << ReadStatus();
  }
}

TEST_F(LargeArchiveTest, AnArchivedLogReadsTheSame) {
  ASSERT_GT(SealedOf(whole, 1).bytes, kArchiveFrameBytes);
  for (uint64_t segment = whole.tail.segment - 1; segment > 0; --segment) {
    MoveToArchive(io, whole, segment);
    EXPECT_TRUE(Same(ReadLog(io), whole)) << ReadStatus();
  }
}

// Of what was put back from a copy the archive has the end, or is all.
TEST_F(ArchiveTest, ALogThatEndsInItsArchiveGoesOn) {
  MoveToArchive(io, whole, whole.tail.segment);
  EXPECT_TRUE(Same(ReadLog(io), whole)) << ReadStatus();
  for (uint64_t segment = 1; segment < whole.tail.segment; ++segment) {
    MoveToArchive(io, whole, segment);
  }
  EXPECT_TRUE(Same(ReadLog(io), whole)) << ReadStatus();
  ASSERT_EQ(session.Open(), absl::OkStatus());
  EXPECT_EQ(session.mismatch, "");
  std::mt19937_64 random(6);
  ASSERT_TRUE(session.Run(5, random));
  ASSERT_TRUE(session.Settle());
  EXPECT_EQ(session.Compare(ReadLog(io)), "");
}

// A copy of an earlier time beside the archive of what came later.
TEST_F(ArchiveTest, OneThatIsAheadOfTheLogIsAnothers) {
  const uint64_t last = whole.tail.segment - 1;
  ASSERT_EQ(WriteArchive(io, SealedOf(whole, last)), absl::OkStatus());
  const uint64_t end = SealedOf(whole, last).bytes;
  ASSERT_EQ(io.Remove(SegmentPath(whole.tail.segment)), absl::OkStatus());
  io.Contents(SegmentPath(last)).resize(end - kSectorBytes);
  EXPECT_EQ(ReadStatus().code(), absl::StatusCode::kFailedPrecondition) << ReadStatus();
  EXPECT_THAT(ReadStatus().ToString(), HasSubstr("which went on, then give this one an archive"));
}

// A crash between the archive's renaming and the giving up of the segment leaves both.
TEST_F(ArchiveTest, WhereBothAreThereThePlainSegmentRulesWhileItIsSound) {
  ASSERT_EQ(WriteArchive(io, SealedOf(whole, 2)), absl::OkStatus());
  std::vector<std::byte>& archive = io.Contents(ArchivePath(2));
  archive.back() ^= std::byte{1};
  archive[0] ^= std::byte{1};
  EXPECT_TRUE(Same(ReadLog(io), whole)) << ReadStatus();
  archive.back() ^= std::byte{1};
  archive[0] ^= std::byte{1};
  std::vector<std::byte>& plain = io.Contents(SegmentPath(2));
  for (const size_t at : {size_t{140}, kSectorBytes + 10, kSectorBytes + 200}) {
    plain[at] ^= std::byte{1};
    EXPECT_TRUE(Same(ReadLog(io), whole)) << ReadStatus();
    plain[at] ^= std::byte{1};
  }
  plain[200] ^= std::byte{1};
  archive[sizeof(ArchiveHead) + kSectorBytes + 5] ^= std::byte{1};
  EXPECT_EQ(ReadStatus().code(), absl::StatusCode::kDataLoss);
}

TEST_F(ArchiveTest, AMissingArchiveInTheMiddleIsDataLoss) {
  for (const uint64_t segment : {1, 2, 3}) MoveToArchive(io, whole, segment);
  ASSERT_TRUE(io.Remove(ArchivePath(2)).ok());
  EXPECT_EQ(ReadStatus().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(ReadStatus().ToString(), HasSubstr("0000000000000002.log is missing"));
  EXPECT_THAT(ReadStatus().ToString(), HasSubstr("archive/0000000000000001.arc"));
}

TEST_F(ArchiveTest, ALogWithoutItsFirstSegmentsSaysSo) {
  for (const uint64_t segment : {1, 2, 3}) MoveToArchive(io, whole, segment);
  for (const uint64_t segment : {1, 2}) ASSERT_TRUE(io.Remove(ArchivePath(segment)).ok());
  EXPECT_THAT(ReadStatus().ToString(),
              AllOf(HasSubstr("the log begins at position"), HasSubstr("0000000000000003.arc"),
                    HasSubstr("It can be read from a snapshot on")));
}

TEST_F(ArchiveTest, EveryFlippedBitIsDataLoss) {
  MoveToArchive(io, whole, 1);
  std::vector<std::byte>& archive = io.Contents(ArchivePath(1));
  ASSERT_LT(archive.size(), 64u << 10);
  for (size_t at = 0; at < archive.size(); ++at) {
    // One bit of each byte, another one each time.
    const std::byte bit{static_cast<uint8_t>(1 << at % 8)};
    archive[at] ^= bit;
    const absl::Status status = ReadStatus();
    archive[at] ^= bit;
    ASSERT_EQ(status.code(), absl::StatusCode::kDataLoss) << "byte " << at << ": " << status;
    ASSERT_THAT(status.ToString(),
                AllOf(HasSubstr(ArchivePath(1)), HasSubstr("segment 1"), HasSubstr("at offset ")));
  }
  EXPECT_TRUE(Same(ReadLog(io), whole));
}

TEST_F(ArchiveTest, EveryTruncationIsDataLoss) {
  MoveToArchive(io, whole, 1);
  const std::vector<std::byte> archive = io.Contents(ArchivePath(1));
  for (size_t size = 0; size < archive.size(); ++size) {
    io.Contents(ArchivePath(1)).resize(size);
    const absl::Status status = ReadStatus();
    io.Contents(ArchivePath(1)) = archive;
    ASSERT_EQ(status.code(), absl::StatusCode::kDataLoss) << "size " << size << ": " << status;
    ASSERT_THAT(status.ToString(), HasSubstr(ArchivePath(1)));
  }
}

TEST_F(ArchiveTest, AnotherFormatVersionIsNotRead) {
  MoveToArchive(io, whole, 1);
  ArchiveHead head;
  std::vector<std::byte>& archive = io.Contents(ArchivePath(1));
  std::memcpy(&head, archive.data(), sizeof(head));
  head.format_version = 2;
  head.head_crc = Crc32c(&head, offsetof(ArchiveHead, head_crc));
  std::memcpy(archive.data(), &head, sizeof(head));
  EXPECT_EQ(ReadStatus().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(ReadStatus().ToString(), HasSubstr("format version 2"));
}

TEST_F(ArchiveTest, AnotherLedgersArchiveIsRefused) {
  MoveToArchive(io, whole, 1);
  const absl::StatusOr<std::unique_ptr<LogReader>> reader =
      LogReader::Open(io, kLogDirectory, LogIdentity{.ledger_id = {.low = 1, .high = 2}});
  EXPECT_EQ(reader.status().code(), absl::StatusCode::kFailedPrecondition);
}

// ---- writing ----

TEST_F(ArchiveTest, ADamagedSegmentIsNotArchived) {
  const SealedSegment sealed = SealedOf(whole, 2);
  std::vector<std::byte>& plain = io.Contents(SegmentPath(2));
  for (uint64_t at = 0; at < sealed.bytes; at += 97) {
    plain[at] ^= std::byte{4};
    const absl::Status status = WriteArchive(io, sealed);
    plain[at] ^= std::byte{4};
    ASSERT_EQ(status.code(), absl::StatusCode::kDataLoss) << "byte " << at;
    ASSERT_THAT(status.ToString(), AllOf(HasSubstr(SegmentPath(2)), HasSubstr("not archived")));
    ASSERT_FALSE(io.Exists(ArchivePath(2)));
    ASSERT_FALSE(io.Exists(ArchivePath(2) + ".new"));
  }
  const uint64_t size = plain.size();
  plain.resize(sealed.bytes - 1);
  EXPECT_EQ(WriteArchive(io, sealed).code(), absl::StatusCode::kDataLoss);
  plain.resize(size);
}

TEST_F(ArchiveTest, ASegmentThatTheNextDoesNotGoOnFromIsNotArchived) {
  SealedSegment sealed = SealedOf(whole, 2);
  sealed.last_hash.low ^= 1;
  EXPECT_THAT(WriteArchive(io, sealed).ToString(), HasSubstr("goes on from another block"));
  sealed = SealedOf(whole, 2);
  sealed.bytes -= kSectorBytes;
  EXPECT_EQ(WriteArchive(io, sealed).code(), absl::StatusCode::kDataLoss);
}

TEST_F(ArchiveTest, WhatIsReadBackAsSomethingElseIsReported) {
  ASSERT_EQ(WriteArchive(io, SealedOf(whole, 2)), absl::OkStatus());
  io.Contents(SegmentPath(2))[3000] ^= std::byte{1};
  ArchiveComparison comparison(io, kLogDirectory, 2);
  const absl::StatusOr<bool> same = comparison.Step();
  EXPECT_THAT(same.status().ToString(), HasSubstr("it does not hold what"));
}

TEST_F(ArchiveTest, AFailedWriteLeavesNothing) {
  const SealedSegment sealed = SealedOf(whole, 2);
  for (uint64_t nth = 1; nth <= 3; ++nth) {
    io.FailWrite(nth, ENOSPC, ".arc.new");
    EXPECT_EQ(WriteArchive(io, sealed).code(), absl::StatusCode::kResourceExhausted);
    EXPECT_FALSE(io.Exists(ArchivePath(2) + ".new"));
    EXPECT_FALSE(io.Exists(ArchivePath(2)));
  }
  io.FailSync(1, EIO, ".arc.new");
  EXPECT_FALSE(WriteArchive(io, sealed).ok());
  EXPECT_FALSE(io.Exists(ArchivePath(2)));
  EXPECT_EQ(WriteArchive(io, sealed), absl::OkStatus());
}

TEST_F(ArchiveTest, APowerCutAnywhereLeavesTheLogReadable) {
  const SealedSegment sealed = SealedOf(whole, 2);
  for (const CrashPoint point : {CrashPoint::kBefore, CrashPoint::kMiddle, CrashPoint::kAfter}) {
    for (uint64_t boundary = 1;; ++boundary) {
      io.CrashAt(io.boundaries() + boundary, point);
      const bool done = WriteArchive(io, sealed).ok();
      io.Crash();
      ASSERT_TRUE(Same(ReadLog(io), whole)) << "boundary " << boundary << ": " << ReadStatus();
      ASSERT_EQ(WriteArchive(io, sealed), absl::OkStatus()) << "boundary " << boundary;
      ASSERT_TRUE(io.Remove(ArchivePath(2)).ok());
      if (done) {
        EXPECT_GT(boundary, 4u);
        break;
      }
    }
  }
}

// ---- golden ----

std::string Golden(const char* name) {
  return std::string(TALLYSTICK_GOLDEN_DIRECTORY) + "/" + name;
}

std::vector<std::byte> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  return {bytes, bytes + text.size()};
}

// The golden log's segment, archived once. TALLYSTICK_WRITE_GOLDEN=1 archives it anew: then another
// release of zstd may pack it otherwise, but each unpacks the same.
TEST(ArchiveGolden, ReaderStillReadsTheSameArchive) {
  SimIo io({.seed = 1, .late_percent = 0});
  io.AddFile(SegmentPath(1), ReadFile(Golden("log-v1/0000000000000001.log")));
  const LogCopy plain = ReadLog(io);
  ASSERT_EQ(plain.status, absl::OkStatus());
  const std::string path = Golden("archive-v1/0000000000000001.arc");
  if (std::getenv("TALLYSTICK_WRITE_GOLDEN") != nullptr) {
    ASSERT_EQ(WriteArchive(io, SealedOf(plain, 1)), absl::OkStatus());
    const std::vector<std::byte>& written = io.Contents(ArchivePath(1));
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(written.data()),
               static_cast<std::streamsize>(written.size()));
    ASSERT_TRUE(file.good()) << path;
  }
  SimIo disk({.seed = 1, .late_percent = 0});
  disk.AddFile(kLogDirectory + std::string("/lock"), {});
  disk.AddFile(ArchivePath(1), ReadFile(path));
  const LogCopy archived = ReadLog(disk);
  ASSERT_EQ(archived.status, absl::OkStatus());
  EXPECT_EQ(archived.blocks.size(), 4u);
  EXPECT_TRUE(Same(archived, plain));
}

}  // namespace
}  // namespace tallystick::wal
