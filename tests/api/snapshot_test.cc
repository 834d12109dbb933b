// Snapshots of whole ledgers: taken, lost, damaged, mixed up, and what a start makes of them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "api/embedded.h"
#include "api/ledger_files.h"
#include "api/program_file.h"
#include "wal/checksum.h"
#include "wal/snapshot_files.h"
#include "wal/snapshot_format.h"

namespace tallystick {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint16_t kProgram = 7;
constexpr Instant kStart = 1'700'000'000'000'000;

class Snapshots : public testing::Test {
 protected:
  Snapshots()
      : directory_(fs::temp_directory_path() /
                   ("tallystick_snapshots." + std::to_string(getpid()))) {
    fs::remove_all(directory_);
    fs::create_directories(directory_);
    options_ = Options("ledger");
    options_.create = true;
    Open();
    const auto file = ProgramFile::Parse(
        R"({"id": 7, "name": "Snapshots", "currency": "USD", "time_zone": "UTC",
            "earn": {"points": 1, "per_spend": 1}, "implicit_enrolment": true})",
        "program");
    const auto put = ledger_->PutProgram(Id(1, 1), file->bytes());
    EXPECT_TRUE(put.ok() && put->outcome == Outcome::Ok) << put.status();
    options_.create = false;
  }
  ~Snapshots() override {
    ledger_.reset();
    fs::remove_all(directory_);
  }

  LedgerOptions Options(const std::string& name) {
    LedgerOptions options;
    options.directory = directory_ / name;
    options.manual = true;
    options.clock = ClockMode::kImport;
    options.segment_bytes = 256 << 10;
    options.durability = wal::Durability::kNone;  // nothing here cuts the power
    options.block_digests = true;
    options.snapshot_interval_ms = 0;
    options.snapshot_log_bytes = 0;
    options.report = [this](const std::string& sentence) { reports_.push_back(sentence); };
    return options;
  }
  absl::Status TryOpen() {
    reports_.clear();
    absl::StatusOr<std::unique_ptr<Ledger>> opened = Ledger::Open(options_);
    if (!opened.ok()) return opened.status();
    ledger_ = *std::move(opened);
    return absl::OkStatus();
  }
  void Open() { ASSERT_EQ(TryOpen(), absl::OkStatus()); }
  void Close() {
    ASSERT_EQ(ledger_->Close(), absl::OkStatus());
    ledger_.reset();
  }

  // So many more purchases, of ten members.
  void Buy(int count) {
    for (int i = 0; i < count; ++i) {
      ++last_;
      const auto result = ledger_->Apply(Operation(Id(last_, 9), Id(last_ % 10 + 1, 2), Id(), 5,
                                                   kStart + static_cast<Instant>(last_), 0, 0,
                                                   kProgram, 0, Kind::Purchase, 0, 0));
      ASSERT_TRUE(result.ok() && result->outcome() == Outcome::Ok) << result.status();
    }
  }
  void ExpectAllThere() {
    EXPECT_EQ(ledger_->Totals(kProgram)->issued, static_cast<Points>(5 * last_));
    const auto statement = ledger_->Statement(kProgram, Id(2, 2));
    ASSERT_TRUE(statement.ok()) << statement.status();
    EXPECT_EQ(statement->movements.size(), (last_ + 9) / 10);
    // The first of all is known still.
    const auto again = ledger_->Apply(Operation(Id(1, 9), Id(2, 2), Id(), 5, kStart + 1, 0, 0,
                                                kProgram, 0, Kind::Purchase, 0, 0));
    EXPECT_EQ(again->flags() & kReplayed, kReplayed);
  }
  Position Take() {
    const auto taken = ledger_->Snapshot();
    EXPECT_TRUE(taken.ok()) << taken.status();
    EXPECT_EQ(taken->shards[0].failure, "");
    return taken->shards[0].position;
  }
  fs::path Folder(const std::string& name = "ledger") const {
    return ShardDirectory(directory_ / name, 0);
  }
  fs::path File(Position position, const std::string& name = "ledger") const {
    return wal::SnapshotPath(Folder(name), position);
  }
  size_t Count() const {
    size_t count = 0;
    for (const auto& file : fs::directory_iterator(Folder())) {
      count += file.path().extension() == ".snap" ? 1 : 0;
    }
    return count;
  }
  static void Damage(const fs::path& file) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(5'000);
    stream.put('x');
  }

  const fs::path directory_;
  LedgerOptions options_;
  std::unique_ptr<Ledger> ledger_;
  std::vector<std::string> reports_;
  uint64_t last_ = 0;
};

TEST_F(Snapshots, AStartLoadsTheNewestAndReplaysTheRest) {
  Buy(300);
  Take();
  Buy(40);
  const Position position = Take();
  Buy(7);
  Close();
  Open();
  EXPECT_THAT(reports_,
              Contains(HasSubstr("loaded the snapshot of position " + std::to_string(position))));
  EXPECT_THAT(reports_, Contains(HasSubstr("replayed 7 records")));
  ExpectAllThere();
}

TEST_F(Snapshots, TwoAreKept) {
  for (int i = 0; i < 4; ++i) {
    Buy(3);
    Take();
  }
  EXPECT_EQ(Count(), 2u);
}

TEST_F(Snapshots, WithoutAChangeTheOneThatIsThereDoes) {
  Buy(3);
  const Position position = Take();
  const auto again = ledger_->Snapshot();
  EXPECT_EQ(again->shards[0].position, position);
  EXPECT_EQ(again->shards[0].took_us, 0);
  Close();
  Open();
  EXPECT_EQ(ledger_->Snapshot()->shards[0].position, position);
  EXPECT_EQ(Count(), 1u);
}

TEST_F(Snapshots, ADamagedOneIsSetAsideAndTheOneBeforeItUsed) {
  Buy(30);
  const Position first = Take();
  Buy(40);
  const Position second = Take();
  Buy(5);
  Close();
  Damage(File(second));
  Open();
  EXPECT_THAT(reports_, Contains(HasSubstr("the body's checksum is wrong; the one before it")));
  EXPECT_THAT(reports_,
              Contains(HasSubstr("loaded the snapshot of position " + std::to_string(first))));
  EXPECT_TRUE(fs::exists(File(second).string() + ".bad"));
  ExpectAllThere();
}

TEST_F(Snapshots, WithoutASoundOneTheWholeLogIsReplayed) {
  Buy(300);
  const Position first = Take();
  Buy(40);
  const Position second = Take();
  Close();
  Damage(File(first));
  fs::resize_file(File(second), 4'096);
  Open();
  EXPECT_THAT(reports_, Contains(HasSubstr("; the whole log is replayed instead")));
  EXPECT_THAT(reports_, Contains(HasSubstr("replayed 34")));
  ExpectAllThere();
  EXPECT_EQ(Count(), 0u);
}

TEST_F(Snapshots, OneOfAnotherLedgerIsSetAside) {
  Buy(30);
  Close();
  fs::rename(directory_ / "ledger", directory_ / "other");
  options_.create = true;
  Open();
  options_.create = false;
  Close();
  options_.directory = directory_ / "other";
  Open();
  const Position position = Take();
  Close();
  fs::copy(File(position, "other"), File(position));
  options_.directory = directory_ / "ledger";
  Open();
  EXPECT_THAT(reports_, Contains(HasSubstr("the snapshot is of another ledger or shard; the "
                                           "whole log")));
  EXPECT_EQ(Count(), 0u);
}

// A ledger that was put back from a copy, with a snapshot that was taken later.
TEST_F(Snapshots, OneThatIsNewerThanTheLogStopsTheStart) {
  Buy(30);
  Take();
  Close();
  fs::copy(directory_ / "ledger", directory_ / "copy", fs::copy_options::recursive);
  const uint64_t copied = last_;
  Open();
  Buy(100);
  const Position second = Take();
  Close();
  fs::copy(File(second), File(second, "copy"));
  options_.directory = directory_ / "copy";
  last_ = copied;
  const auto opened = Ledger::Open(options_);
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kFailedPrecondition) << opened.status();
  EXPECT_THAT(opened.status().ToString(), HasSubstr("was taken when everything up to position " +
                                                    std::to_string(second) + " was durable"));
  EXPECT_TRUE(fs::exists(File(second, "copy")));
  fs::remove(File(second, "copy"));
  Open();
  ExpectAllThere();
}

// What a start has found useless counts against nothing before the start has succeeded.
TEST_F(Snapshots, AStartThatIsRefusedLeavesThemAsTheyAre) {
  Buy(30);
  const Position position = Take();
  Buy(30);
  Close();
  Damage(File(position));
  const fs::path segment = directory_ / "ledger/shard-0000/0000000000000001.log";
  fs::rename(segment, directory_ / "kept");
  EXPECT_FALSE(Ledger::Open(options_).ok());
  EXPECT_TRUE(fs::exists(File(position)));
  fs::rename(directory_ / "kept", segment);
  Open();
  EXPECT_FALSE(fs::exists(File(position)));
  EXPECT_TRUE(fs::exists(File(position).string() + ".bad"));
  ExpectAllThere();
}

TEST_F(Snapshots, OneUnderAnotherPositionsNameIsSetAside) {
  Buy(30);
  const Position position = Take();
  Close();
  fs::rename(File(position), File(position + 1));
  Open();
  EXPECT_THAT(reports_, Contains(HasSubstr("the snapshot is of position " +
                                           std::to_string(position) + "; the whole log")));
  ExpectAllThere();
}

TEST_F(Snapshots, OneOfANewerFormatStopsTheStartWithASentence) {
  Buy(3);
  const Position position = Take();
  Close();
  std::fstream stream(File(position), std::ios::in | std::ios::out | std::ios::binary);
  wal::ChunkHeader header;
  stream.read(reinterpret_cast<char*>(&header), sizeof(header));
  header.format_version = wal::kSnapshotVersion + 1;
  header.header_crc = wal::Crc32c(&header, offsetof(wal::ChunkHeader, header_crc));
  stream.seekp(0);
  stream.write(reinterpret_cast<const char*>(&header), sizeof(header));
  stream.close();
  const absl::Status opened = TryOpen();
  EXPECT_TRUE(absl::IsFailedPrecondition(opened)) << opened;
  EXPECT_THAT(std::string(opened.message()),
              HasSubstr("snapshot format version 2; this program reads 1: use the program that"));
  EXPECT_TRUE(fs::exists(File(position)));
}

TEST_F(Snapshots, AreTakenWhenTimeHasPassedOrTheLogHasGrown) {
  Close();
  options_.snapshot_log_bytes = 20 * kSlotBytes;
  Open();
  Buy(50);
  for (int i = 0; i < 1'000; ++i) ledger_->Step(0);
  EXPECT_GT(Count(), 0u);
  Close();
  options_.snapshot_log_bytes = 0;
  options_.snapshot_interval_ms = 1;
  Open();
  const auto newest = [&] {
    Position position = 0;
    for (const auto& file : fs::directory_iterator(Folder())) {
      if (file.path().extension() != ".snap") continue;
      position = std::max<Position>(position, std::stoull(file.path().stem(), nullptr, 16));
    }
    return position;
  };
  const Position before = newest();
  Buy(2);
  while (newest() == before) ledger_->Step(1'000);
  Close();
  Open();
  ExpectAllThere();
}

TEST_F(Snapshots, ALastOneIsTakenAtTheEnd) {
  Close();
  options_.snapshot_at_close = true;
  Open();
  Buy(20);
  Close();
  EXPECT_EQ(Count(), 1u);
  Open();
  EXPECT_THAT(reports_, Contains(HasSubstr("replayed 0 records")));
  ExpectAllThere();
}

TEST_F(Snapshots, ALastOneIsTakenBehindOneThatIsUnderWay) {
  options_.snapshot_at_close = true;
  options_.snapshot_log_bytes = 1;
  for (int i = 0; i < 8; ++i) {
    Close();
    Open();
    if (i > 0) {
      EXPECT_THAT(reports_, Contains(HasSubstr("replayed 0 records"))) << i;
    }
    Buy(i % 3 + 2);
  }
}

TEST_F(Snapshots, WhatACrashLeftHalfWrittenIsRemoved) {
  Buy(20);
  Close();
  const std::string left = wal::NewSnapshotPath(Folder(), 12);
  std::ofstream(left) << "half";
  Open();
  EXPECT_FALSE(fs::exists(left));
  EXPECT_THAT(reports_, Each(Not(HasSubstr("snapshot"))));
  ExpectAllThere();
}

TEST_F(Snapshots, OptionsThatCannotBeAreRefused) {
  Close();
  options_.snapshot_disk_percent = 0;
  EXPECT_THAT(std::string(TryOpen().message()), HasSubstr("1 to 100 percent of the disk"));
  options_.snapshot_disk_percent = 50;
  options_.snapshot_buffer_bytes = 1;
  EXPECT_THAT(std::string(TryOpen().message()), HasSubstr("at least 2 MiB of memory"));
}

}  // namespace
}  // namespace tallystick
