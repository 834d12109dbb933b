// Ledgers of which the log lies in the archive, as its users see it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/embedded.h"
#include "api/ledger_files.h"
#include "api/program_file.h"
#include "wal/log_reader.h"
#include "wal/posix_io.h"
#include "wal/segment_files.h"

namespace tallystick {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr uint16_t kProgram = 7;
constexpr Instant kStart = 1'700'000'000'000'000;

class Archive : public testing::Test {
 protected:
  Archive()
      : directory_(fs::temp_directory_path() / ("tallystick_archive." + std::to_string(getpid()))),
        io_(*wal::PosixIo::Create()) {
    fs::remove_all(directory_);
    fs::create_directories(directory_);
    options_.directory = directory_ / "ledger";
    options_.manual = true;
    options_.clock = ClockMode::kImport;
    options_.segment_bytes = 512 << 10;            // for some sixty of the blocks that follow
    options_.durability = wal::Durability::kNone;  // nothing here cuts the power
    options_.snapshot_interval_ms = 0;
    options_.snapshot_log_bytes = 0;
    options_.disk_reserve_bytes = 0;
    options_.report = [this](const std::string& sentence) { reports_.push_back(sentence); };
  }
  ~Archive() override {
    ledger_.reset();
    fs::remove_all(directory_);
  }

  void Create() {
    options_.create = true;
    ASSERT_EQ(TryOpen(), absl::OkStatus());
    options_.create = false;
    const auto file = ProgramFile::Parse(
        R"({"id": 7, "name": "Archive", "currency": "USD", "time_zone": "UTC",
            "earn": {"points": 1, "per_spend": 1}, "implicit_enrolment": true})",
        "program");
    const auto put = ledger_->PutProgram(Id(1, 1), file->bytes());
    ASSERT_TRUE(put.ok() && put->outcome == Outcome::Ok) << put.status();
  }
  absl::Status TryOpen() {
    ledger_.reset();
    absl::StatusOr<std::unique_ptr<Ledger>> opened = Ledger::Open(options_);
    if (opened.ok()) ledger_ = *std::move(opened);
    return opened.status();
  }
  // So many more purchases, each with a block of its own, of ten members.
  void Buy(int count) {
    for (int i = 0; i < count; ++i) {
      ++last_;
      const auto result = ledger_->Apply(Operation(Id(last_, 9), Id(last_ % 10 + 1, 2), Id(), 5,
                                                   kStart + static_cast<Instant>(last_), 0, 0,
                                                   kProgram, 0, Kind::Purchase, 0, 0));
      ASSERT_TRUE(result.ok() && result->outcome() == Outcome::Ok) << result.status();
    }
  }
  void TakeSnapshot() {
    const auto taken = ledger_->Snapshot();
    ASSERT_TRUE(taken.ok()) << taken.status();
    ASSERT_EQ(taken->shards[0].failure, "");
  }
  // A log of some segments, of which the first are not needed by two snapshots.
  void Grow() {
    for (int i = 0; i < 3; ++i) {
      Buy(100);
      TakeSnapshot();
    }
    Work();
  }
  void Work() {
    for (int quiet = 0; quiet < 20;) quiet = ledger_->Step(0) ? 0 : quiet + 1;
  }
  std::vector<uint64_t> Archives() {
    const auto identity = ReadIdentity(*io_, options_.directory);
    return *wal::ListArchives(*io_, ShardFolders(options_.directory, *identity, 0).archive);
  }
  // How many positions can be read, from the first block on.
  absl::StatusOr<uint64_t> ReadAll() {
    const auto identity = ReadIdentity(*io_, options_.directory);
    const auto reader =
        wal::LogReader::Open(*io_, ShardFolders(options_.directory, *identity, 0),
                             wal::LogIdentity{identity->ledger_id, 0, identity->shard_count});
    if (!reader.ok()) return reader.status();
    wal::BlockView block;
    while (true) {
      const absl::StatusOr<bool> more = (*reader)->Next(&block);
      if (!more.ok()) return more.status();
      if (!*more) return (*reader)->tail().next_position;
    }
  }
  void ExpectWholeStatements() {
    for (uint64_t member = 1; member <= 10; ++member) {
      const auto statement = ledger_->Statement(kProgram, Id(member, 2));
      ASSERT_TRUE(statement.ok()) << statement.status();
      EXPECT_EQ(statement->movements.size(), last_ / 10);
    }
  }

  const fs::path directory_;
  const std::unique_ptr<wal::PosixIo> io_;
  LedgerOptions options_;
  std::unique_ptr<Ledger> ledger_;
  std::vector<std::string> reports_;
  uint64_t last_ = 0;
};

TEST_F(Archive, StatementsGoBackIntoIt) {
  Create();
  Grow();
  ASSERT_GE(Archives().size(), 2u);
  EXPECT_FALSE(fs::exists(directory_ / "ledger/shard-0000/0000000000000001.log"));
  ExpectWholeStatements();
  EXPECT_EQ(ledger_->Close(), absl::OkStatus());
  EXPECT_TRUE(ReadAll().ok()) << ReadAll().status();
  ASSERT_EQ(TryOpen(), absl::OkStatus());
  EXPECT_THAT(reports_, Contains(HasSubstr("loaded the snapshot")));
  ExpectWholeStatements();
  // Without any snapshot, all of it is replayed.
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  for (const auto& file : fs::directory_iterator(directory_ / "ledger/shard-0000")) {
    if (file.path().extension() == ".snap") fs::remove(file.path());
  }
  ASSERT_EQ(TryOpen(), absl::OkStatus());
  ExpectWholeStatements();
  EXPECT_EQ(ledger_->Totals(kProgram)->issued, static_cast<Points>(5 * last_));
}

TEST_F(Archive, ItsDirectoryIsRemembered) {
  options_.archive_directory = directory_ / "elsewhere/../archive";
  Create();
  Grow();
  ASSERT_GE(Archives().size(), 2u);
  EXPECT_TRUE(fs::exists(directory_ / "archive/shard-0000/0000000000000001.arc"));
  EXPECT_FALSE(fs::exists(directory_ / "ledger/shard-0000/archive"));
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  options_.archive_directory.clear();
  ASSERT_EQ(TryOpen(), absl::OkStatus());
  ExpectWholeStatements();
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  EXPECT_TRUE(ReadAll().ok()) << ReadAll().status();

  // Another one must hold what the old one held.
  options_.archive_directory = directory_ / "new";
  EXPECT_THAT(TryOpen().ToString(), HasSubstr("move them to"));
  fs::rename(directory_ / "archive", directory_ / "new");
  ASSERT_EQ(TryOpen(), absl::OkStatus());
  ExpectWholeStatements();
}

TEST_F(Archive, OffLeavesSegmentsAsTheyAre) {
  options_.archive = false;
  Create();
  Grow();
  EXPECT_THAT(Archives(), IsEmpty());
  EXPECT_TRUE(fs::exists(directory_ / "ledger/shard-0000/0000000000000001.log"));
}

TEST_F(Archive, WhereItCannotBeWrittenIsReportedAndServingGoesOn) {
  options_.archive_directory = directory_ / "archive";
  Create();
  fs::remove_all(directory_ / "archive");
  std::ofstream(directory_ / "archive") << "a file where a directory should be";
  Grow();
  EXPECT_THAT(reports_, Contains(AllOf(HasSubstr("shard 0: "),
                                       HasSubstr((directory_ / "archive").string()))));
  Buy(10);
  ExpectWholeStatements();
  EXPECT_EQ(ledger_->health(), absl::OkStatus());
}

TEST_F(Archive, ADamagedFileIsNamedToWhoeverReadsIt) {
  Create();
  Grow();
  const fs::path file = directory_ / "ledger/shard-0000/archive/0000000000000001.arc";
  {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(9'000);
    stream.put('x');
  }
  const auto statement = ledger_->Statement(kProgram, Id(1, 2));
  ASSERT_TRUE(statement.ok()) << statement.status();
  EXPECT_LT(statement->movements.size(), last_ / 10);
  const auto rest = ledger_->Statement(kProgram, Id(1, 2), statement->next);
  EXPECT_EQ(rest.status().code(), absl::StatusCode::kDataLoss) << rest.status();
  EXPECT_THAT(rest.status().ToString(), HasSubstr(file.string()));
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  EXPECT_EQ(ReadAll().status().code(), absl::StatusCode::kDataLoss);
  // A start does not need it.
  EXPECT_EQ(TryOpen(), absl::OkStatus());
}

TEST_F(Archive, WhatIsBeyondItsLimitIsRemovedAndTold) {
  Create();
  Grow();
  const std::vector<uint64_t> archived = Archives();
  ASSERT_GE(archived.size(), 2u);
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  options_.archive_keep_bytes = 1;
  ASSERT_EQ(TryOpen(), absl::OkStatus());
  Work();
  EXPECT_THAT(Archives(), IsEmpty());
  EXPECT_THAT(reports_, Contains(HasSubstr("shard 0: removes segment 1 from the archive")));

  // A statement answers what is there, and then says why there is no more.
  const auto statement = ledger_->Statement(kProgram, Id(1, 2));
  ASSERT_TRUE(statement.ok()) << statement.status();
  EXPECT_FALSE(statement->movements.empty());
  EXPECT_LT(statement->movements.size(), last_ / 10);
  ASSERT_NE(statement->next, 0u);
  const auto rest = ledger_->Statement(kProgram, Id(1, 2), statement->next);
  EXPECT_EQ(rest.status().code(), absl::StatusCode::kNotFound) << rest.status();
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  EXPECT_THAT(ReadAll().status().ToString(), HasSubstr("It can be read from a snapshot on"));
  options_.archive_keep_bytes = 0;
  ASSERT_EQ(TryOpen(), absl::OkStatus());
  Buy(10);
  EXPECT_EQ(ledger_->Totals(kProgram)->issued, static_cast<Points>(5 * last_));
}

// A copy of an earlier time, or a ledger restored to one, with the archive of what came later.
TEST_F(Archive, ThatOfALaterCopyIsRefused) {
  options_.archive_directory = directory_ / "archive";
  Create();
  Buy(50);
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  fs::copy(directory_ / "ledger", directory_ / "earlier", fs::copy_options::recursive);
  ASSERT_EQ(TryOpen(), absl::OkStatus());
  Grow();
  Grow();
  ASSERT_GE(Archives().size(), 3u);
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  options_.directory = directory_ / "earlier";
  const absl::Status refused = TryOpen();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
  EXPECT_THAT(refused.ToString(), HasSubstr("give this one an archive directory of its own"));
  // Nor as its new one.
  options_.directory = directory_ / "fresh";
  options_.archive_directory.clear();
  options_.create = true;
  Create();
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  options_.archive_directory = directory_ / "archive";
  EXPECT_THAT(TryOpen().ToString(), HasSubstr("is of a segment that the log in"));
}

// Both copies went on, with one archive: each keeps what is its own.
TEST_F(Archive, OfTwoCopiesNeitherReplacesTheOthers) {
  options_.archive_directory = directory_ / "archive";
  Create();
  Grow();
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  fs::copy(directory_ / "ledger", directory_ / "copy", fs::copy_options::recursive);
  const size_t common = Archives().size();
  const uint64_t bought = last_;
  // The copy goes on far without archiving.
  options_.directory = directory_ / "copy";
  options_.archive = false;
  ASSERT_EQ(TryOpen(), absl::OkStatus());
  for (int i = 0; i < 3; ++i) Grow();
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  const uint64_t bought_by_copy = std::exchange(last_, bought);
  // The original archives segments of the same numbers.
  options_.directory = directory_ / "ledger";
  options_.archive = true;
  ASSERT_EQ(TryOpen(), absl::OkStatus());
  Grow();
  ASSERT_GT(Archives().size(), common);
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  const uint64_t bought_by_original = std::exchange(last_, bought_by_copy);

  options_.directory = directory_ / "copy";
  reports_.clear();
  ASSERT_EQ(TryOpen(), absl::OkStatus());
  Work();
  EXPECT_THAT(reports_, Contains(HasSubstr("is sound, and not of this log")));
  ExpectWholeStatements();
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  last_ = bought_by_original;
  options_.directory = directory_ / "ledger";
  ASSERT_EQ(TryOpen(), absl::OkStatus());
  ExpectWholeStatements();
  EXPECT_EQ(ledger_->Totals(kProgram)->issued, static_cast<Points>(5 * last_));
}

TEST_F(Archive, ACopyThatHasItWithItNeedsNoOther) {
  options_.archive_directory = directory_ / "archive";
  Create();
  Grow();
  ASSERT_GE(Archives().size(), 2u);
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  fs::copy(directory_ / "ledger", directory_ / "copy", fs::copy_options::recursive);
  fs::copy(directory_ / "archive/shard-0000", directory_ / "copy/shard-0000/archive",
           fs::copy_options::recursive);
  const uint64_t copied = last_;
  ASSERT_EQ(TryOpen(), absl::OkStatus());
  Grow();
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  fs::remove_all(directory_ / "archive");
  last_ = copied;
  options_.directory = directory_ / "copy";
  options_.archive_directory.clear();
  EXPECT_TRUE(ReadAll().ok()) << ReadAll().status();
  ASSERT_EQ(TryOpen(), absl::OkStatus());
  ExpectWholeStatements();
  Grow();
  EXPECT_FALSE(fs::exists(directory_ / "archive"));
}

TEST_F(Archive, IsOneServersAtATime) {
  options_.archive_directory = directory_ / "archive";
  Create();
  const std::unique_ptr<Ledger> first = std::move(ledger_);
  options_.directory = directory_ / "other";
  options_.create = true;
  EXPECT_THAT(TryOpen().ToString(), HasSubstr("is in use"));
}

// The disk that it is on may not be mounted.
TEST_F(Archive, WhileItIsMissingNothingIsArchivedAndNoIndexIsRemoved) {
  options_.archive_directory = directory_ / "archive";
  Create();
  Grow();
  ASSERT_GE(Archives().size(), 2u);
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  const auto indexes = [&] {
    size_t count = 0;
    for (const auto& file : fs::directory_iterator(directory_ / "ledger/shard-0000")) {
      count += file.path().extension() == ".idx" ? 1 : 0;
    }
    return count;
  };
  const size_t before = indexes();
  fs::rename(directory_ / "archive", directory_ / "unmounted");
  ASSERT_EQ(TryOpen(), absl::OkStatus());
  EXPECT_THAT(reports_, Contains(HasSubstr("Is the archive's disk mounted?")));
  Grow();
  EXPECT_THAT(Archives(), IsEmpty());
  EXPECT_GE(indexes(), before);
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  fs::remove_all(directory_ / "archive");
  fs::rename(directory_ / "unmounted", directory_ / "archive");
  ASSERT_EQ(TryOpen(), absl::OkStatus());
  Work();
  ExpectWholeStatements();
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  EXPECT_TRUE(ReadAll().ok()) << ReadAll().status();
}

TEST_F(Archive, AThreadOfItsOwnFillsIt) {
  options_.manual = false;
  Create();
  for (int i = 0; i < 3; ++i) {
    Buy(100);
    TakeSnapshot();
  }
  // The thread works while operations go on; there is always a next one to look after.
  for (int i = 0; i < 100'000 && Archives().empty(); ++i) Buy(1);
  EXPECT_THAT(Archives(), Not(IsEmpty()));
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  EXPECT_TRUE(ReadAll().ok()) << ReadAll().status();
}

}  // namespace
}  // namespace tallystick
