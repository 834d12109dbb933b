// The format may not change by accident: a log written once is kept in the repository.
//
// TALLYSTICK_WRITE_GOLDEN=1 writes it anew, for when the format changes on purpose.

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/sim/sim_io.h"
#include "tests/wal/log_harness.h"
#include "wal/segment_files.h"

namespace tallystick::wal {
namespace {

using sim::SimIo;

std::string GoldenPath() {
  return std::string(TALLYSTICK_GOLDEN_DIRECTORY) + "/log-v1/" + FileName(1, FileKind::kSegment);
}

// A start block, one of three records, one of forty, a witness; then zeros.
void WriteLog(LogSession& session) {
  ASSERT_TRUE(session.Open().ok());
  for (const size_t slots : {3, 40}) {
    ASSERT_TRUE(session.Append(slots));
    ASSERT_TRUE(session.Settle());
    session.io.AdvanceMicros(500);
  }
  ASSERT_TRUE(session.writer->Stop().ok());
}

LogWriterOptions GoldenOptions() {
  LogWriterOptions options = SmallOptions();
  options.witness_after_us = 1'000'000'000;  // none but at the end
  return options;
}

std::vector<std::byte> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  return {bytes, bytes + text.size()};
}

// The clock of the simulator stands still but for what the test adds; turns differ with the seed.
SimIo MakeDisk() { return SimIo({.seed = 1, .late_percent = 0}); }

TEST(LogGolden, WriterStillWritesTheSameBytes) {
  SimIo io = MakeDisk();
  LogSession session(io, GoldenOptions());
  WriteLog(session);
  const std::vector<std::byte>& written =
      io.Contents(FilePath(kLogDirectory, 1, FileKind::kSegment));
  if (std::getenv("TALLYSTICK_WRITE_GOLDEN") != nullptr) {
    std::ofstream file(GoldenPath(), std::ios::binary);
    file.write(reinterpret_cast<const char*>(written.data()),
               static_cast<std::streamsize>(written.size()));
    ASSERT_TRUE(file.good()) << GoldenPath();
  }
  const std::vector<std::byte> golden = ReadFile(GoldenPath());
  ASSERT_EQ(golden.size(), written.size()) << GoldenPath();
  for (size_t i = 0; i < golden.size(); ++i) {
    ASSERT_EQ(golden[i], written[i]) << GoldenPath() << ", byte " << i;
  }
}

TEST(LogGolden, ReaderStillReadsTheSameLog) {
  SimIo io = MakeDisk();
  LogSession session(io, GoldenOptions());
  WriteLog(session);
  SimIo disk = MakeDisk();
  disk.AddFile(FilePath(kLogDirectory, 1, FileKind::kSegment), ReadFile(GoldenPath()));
  const LogCopy log = ReadLog(disk);
  EXPECT_EQ(session.Compare(log), "");
  ASSERT_EQ(log.blocks.size(), 4u);
  EXPECT_EQ(log.blocks[0].header.type, BlockType::kStart);
  EXPECT_EQ(log.blocks[1].header.count, 3u);
  EXPECT_EQ(log.blocks[1].header.timestamp_us, 1'700'000'000'000'000);
  EXPECT_EQ(log.blocks[2].header.count, 40u);
  EXPECT_EQ(log.blocks[2].header.durable_before, 5u);
  EXPECT_EQ(log.blocks[3].header.type, BlockType::kWitness);
  EXPECT_EQ(log.tail.next_position, 46u);
  EXPECT_EQ(log.tail.offset, 5 * kSectorBytes);
  EXPECT_FALSE(log.tail.torn);
}

TEST(LogGolden, WriterGoesOnBehindIt) {
  SimIo disk = MakeDisk();
  disk.AddFile(FilePath(kLogDirectory, 1, FileKind::kSegment), ReadFile(GoldenPath()));
  absl::StatusOr<std::unique_ptr<LogWriter>> writer =
      LogWriter::Open(disk, GoldenOptions(), ReadLog(disk).tail);
  ASSERT_TRUE(writer.ok()) << writer.status();
  EXPECT_EQ((*writer)->next_position(), 47u);
  EXPECT_EQ(ReadLog(disk).tail.epoch, 2u);
}

}  // namespace
}  // namespace tallystick::wal
