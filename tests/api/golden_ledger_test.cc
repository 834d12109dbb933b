// Formats are promises: a ledger's directory, as each version wrote it, is opened by every later
// program, from its snapshots and from its whole log, and comes to the same.
//
// TALLYSTICK_WRITE_GOLDEN=1 writes it anew, for when a format changes on purpose.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "api/embedded.h"
#include "api/ledger_files.h"
#include "api/program_file.h"

namespace tallystick {
namespace {

namespace fs = std::filesystem;

constexpr int kNewest = 3;  // version of the formats
constexpr uint16_t kProgram = 7;
constexpr uint64_t kMembers = 40;
constexpr Instant kStart = 1'700'000'000'000'000;

class GoldenLedger : public testing::Test {
 protected:
  GoldenLedger()
      : directory_(fs::temp_directory_path() / ("tallystick_golden." + std::to_string(getpid()))) {
    fs::remove_all(directory_);
    fs::create_directories(directory_);
  }
  ~GoldenLedger() override {
    ledger_.reset();
    fs::remove_all(directory_);
  }

  static fs::path Golden(int version) {
    return fs::path(TALLYSTICK_GOLDEN_DIRECTORY) / ("ledger-v" + std::to_string(version));
  }

  LedgerOptions Options(const fs::path& at) {
    LedgerOptions options;
    options.directory = at;
    options.manual = true;
    options.clock = ClockMode::kImport;
    options.segment_bytes = 512 << 10;
    options.durability = wal::Durability::kNone;  // nothing here cuts the power
    options.block_digests = true;
    options.snapshot_interval_ms = 0;
    options.snapshot_log_bytes = 0;
    options.report = [this](const std::string& sentence) { reports_.push_back(sentence); };
    return options;
  }
  void Open(const LedgerOptions& options) {
    ledger_.reset();
    reports_.clear();
    absl::StatusOr<std::unique_ptr<Ledger>> opened = Ledger::Open(options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    ledger_ = *std::move(opened);
  }

  // What a user would ask of it, as one text; of what programs of the version knew.
  std::string Told(int version) {
    nlohmann::ordered_json told;
    const auto totals = ledger_->Totals(kProgram);
    EXPECT_TRUE(totals.ok()) << totals.status();
    told["totals"] = {totals->members,     totals->issued,      totals->redeemed, totals->expired,
                      totals->clawed_back, totals->written_off, totals->adjusted, totals->pending,
                      totals->available,   totals->debt};
    if (version >= 2) told["movements"] = {totals->reinstated, totals->forgiven, totals->held};
    for (uint64_t member = 1; member <= kMembers; ++member) {
      const auto balance = ledger_->Balance(kProgram, Id(member, 2));
      const auto statement = ledger_->Statement(kProgram, Id(member, 2));
      EXPECT_TRUE(balance.ok() && statement.ok()) << balance.status() << statement.status();
      nlohmann::ordered_json movements = nlohmann::ordered_json::array();
      for (const MovementAnswer& movement : statement->movements) {
        movements.push_back({movement.result.position(), EnumNameKind(movement.operation.kind()),
                             movement.result.points(), movement.detail.written_off});
      }
      told["members"].push_back({balance->pending, balance->available, balance->debt,
                                 balance->lifetime_earned, movements});
      if (version >= 2) told["held"].push_back(balance->held);
    }
    if (version >= 3) told["transfers"] = {totals->sent, totals->received};
    return told.dump(1);
  }

  void Add(Kind kind, uint64_t member, int64_t amount, Instant at, uint64_t related = 0) {
    operations_.emplace_back(Id(++last_id_, 1), Id(member, 2), related == 0 ? Id() : Id(related, 1),
                             amount, at, 0, 0, kProgram, 0, kind, 0, 0);
  }
  // `meanwhile`: before they are answered.
  void Apply(const std::function<void()>& meanwhile = [] {}) {
    bool done = false;
    const absl::Status taken = ledger_->Submit(operations_, [&](auto results) {
      done = true;
      ASSERT_TRUE(results.ok()) << results.status();
      for (const Result& result : *results) {
        // What a member may do depends on what it did before; what is asked is sound.
        ASSERT_THAT(
            result.outcome(),
            testing::AllOf(testing::Ne(Outcome::BadRequest), testing::Ne(Outcome::TooOld),
                           testing::Ne(Outcome::IdConflict), testing::Ne(Outcome::Overloaded)));
      }
    });
    ASSERT_EQ(taken, absl::OkStatus());
    meanwhile();
    while (!done) ledger_->Step();
    operations_.clear();
  }
  // What engine 2 has learned.
  void Move(uint64_t member, int day, Instant at, uint64_t purchase) {
    uint64_t& hold = holds_[member];
    uint64_t& redemption = redemptions_[member];
    switch ((member * 5 + static_cast<uint64_t>(day)) % 13) {
      case 0:
        Add(Kind::Hold, member, 12, at);
        operations_.back().mutate_expires_at(at + 25 * kMicrosPerDay);
        hold = last_id_;
        break;
      case 3:
        if (hold != 0 && member % 3 != 0) Add(Kind::Capture, member, 7, at, hold);
        if (hold != 0) redemption = last_id_;
        break;
      case 4:
        if (redemption != 0) Add(Kind::ReverseRedemption, member, 2, at, redemption);
        break;
      case 5:
        if (hold != 0 && member % 3 == 1) Add(Kind::Release, member, 0, at, hold);
        break;
      case 6:
        Add(Kind::Cancel, member, 1, at, purchase);
        break;
      case 7:
        Add(Kind::Activate, member, 0, at, purchase);
        break;
      case 8:
        Add(Kind::Extend, member, 0, at);
        operations_.back().mutate_expires_at(at + 20 * kMicrosPerDay);
        break;
      case 9:
        if (member % 5 == 0) Add(Kind::Freeze, member, 0, at);
        break;
      case 11:
        if (member % 10 == 0) Add(Kind::Unfreeze, member, 0, at);
        if (member == 37 && day >= 8) {
          Add(Kind::Close, member, 0, at);
          operations_.back().mutate_flags(kExpireRest);
        }
        break;
      default:
        break;
    }
  }

  // What engine 3 has learned; some to a member that is not there, and some to one that is closed.
  void Send(uint64_t member, int day, Instant at) {
    if ((member + static_cast<uint64_t>(day)) % 17 != 0) return;
    const uint64_t to =
        member % 11 == 0 ? 1000 : (member + 7 * static_cast<uint64_t>(day) + 1) % kMembers + 1;
    if (to == member) return;
    Add(Kind::Transfer, member, 3 + day, at);
    operations_.back().mutable_related() = Id(to, 2);
  }

  // Purchases, returns, redemptions and adjustments, over enough time that points mature and
  // expire.
  void Live(int days, Instant from) {
    for (int day = 0; day < days; ++day) {
      for (uint64_t member = 1; member <= kMembers; ++member) {
        const Instant at = from + day * kMicrosPerDay + static_cast<Instant>(member);
        Add(Kind::Purchase, member, static_cast<int64_t>(100 + member * 7 + day), at);
        const uint64_t purchase = last_id_;
        if ((member + day) % 5 == 0) Add(Kind::Return, member, 90, at, purchase);
        if ((member + day) % 7 == 0) Add(Kind::Redeem, member, 30, at);
        if ((member + day) % 11 == 0) Add(Kind::Adjust, member, -5, at);
        Move(member, day, at, purchase);
        Send(member, day, at);
      }
      Apply();
    }
  }

  const fs::path directory_;
  std::vector<std::string> reports_;
  std::unique_ptr<Ledger> ledger_;
  uint64_t last_id_ = 0;
  std::map<uint64_t, uint64_t> holds_, redemptions_;  // the last ids, by member
  std::vector<Operation> operations_;                 // not yet submitted
};

std::string ReadText(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST_F(GoldenLedger, IsWrittenAnewWhenAsked) {
  if (std::getenv("TALLYSTICK_WRITE_GOLDEN") == nullptr) GTEST_SKIP() << "nobody asks";
  const fs::path made = directory_ / "ledger";
  LedgerOptions options = Options(made);
  options.create = true;
  options.shards = 2;
  Open(options);
  const auto file = ProgramFile::Parse(
      R"({"id": 7, "name": "Golden", "currency": "USD", "time_zone": "America/New_York",
          "earn": {"points": 1, "per_spend": 10}, "pending": {"days": 3},
          "expiry": {"after": "activation", "days": 20}, "implicit_enrolment": true})",
      "program");
  ASSERT_EQ(ledger_->PutProgram(Id(1, 9), file->bytes())->outcome, Outcome::Ok);
  options.create = false;
  for (int life = 0; life < 3; ++life) {
    Live(12, kStart + life * 12 * kMicrosPerDay);
    // Snapshots have points that are on their way.
    for (uint64_t member = 1; member <= 10; ++member) {
      Add(Kind::Transfer, member, 1, kStart + (life + 1) * 12 * kMicrosPerDay);
      operations_.back().mutable_related() = Id(member % kMembers + 1, 2);
    }
    Apply([this] { ASSERT_TRUE(ledger_->Snapshot().ok()); });
    for (int turn = 0; turn < 2000; ++turn) ledger_->Step();
    ASSERT_EQ(ledger_->Close(), absl::OkStatus());
    Open(options);
  }
  const std::string told = Told(kNewest);
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  ledger_.reset();
  for (const auto& entry : fs::recursive_directory_iterator(made)) {
    const std::string suffix = entry.path().extension();
    if (suffix == ".spare" || suffix == ".prep" || suffix == ".free") fs::remove(entry.path());
  }
  fs::remove_all(Golden(kNewest));
  fs::copy(made, Golden(kNewest), fs::copy_options::recursive);
  std::ofstream(Golden(kNewest) / "told.json") << told;
}

class GoldenVersion : public GoldenLedger, public testing::WithParamInterface<int> {
 protected:
  // A copy, as the programs of the version left it.
  fs::path Copy() {
    const fs::path copy = directory_ / "copy";
    fs::copy(Golden(GetParam()), copy, fs::copy_options::recursive);
    fs::remove(copy / "told.json");
    return copy;
  }
  std::string Expected() { return ReadText(Golden(GetParam()) / "told.json"); }
};

TEST_P(GoldenVersion, OpensFromItsSnapshots) {
  Open(Options(Copy()));
  EXPECT_THAT(reports_, testing::Contains(testing::HasSubstr("loaded the snapshot")));
  EXPECT_EQ(Told(GetParam()), Expected());
}

TEST_P(GoldenVersion, OpensFromItsWholeLog) {
  const fs::path copy = Copy();
  bool archived = false;
  for (uint16_t shard = 0; shard < 2; ++shard) {
    const fs::path folder = ShardDirectory(copy, shard);
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string suffix = entry.path().extension();
      if (suffix == ".snap" || suffix == ".idx") fs::remove(entry.path());
    }
    archived = archived || fs::exists(folder / "archive");
  }
  EXPECT_TRUE(archived) << "the archive's format is promised too";
  Open(Options(copy));
  EXPECT_EQ(Told(GetParam()), Expected());
}

TEST_P(GoldenVersion, GoesOn) {
  Open(Options(Copy()));
  last_id_ = 1'000'000;
  Live(2, kStart + 40 * kMicrosPerDay);
  ASSERT_TRUE(ledger_->Snapshot().ok());
  const std::string told = Told(kNewest);
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  Open(Options(directory_ / "copy"));
  EXPECT_EQ(Told(kNewest), told);
}

INSTANTIATE_TEST_SUITE_P(Versions, GoldenVersion, testing::Range(1, kNewest + 1));

}  // namespace
}  // namespace tallystick
