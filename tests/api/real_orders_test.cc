// A retailer's real orders, through a durable ledger and through the naive model: every member's
// balance is the same, today and at later instants; and importing them twice changes nothing.

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "api/embedded.h"
#include "api/ids.h"
#include "api/instants.h"
#include "api/orders.h"
#include "api/program_file.h"
#include "api/time_zones.h"
#include "api/worker.h"
#include "tests/api/process.h"
#include "tests/api/sql_file.h"
#include "tests/model/naive_ledger.h"

namespace tallystick {
namespace {

namespace fs = std::filesystem;

constexpr uint16_t kProgram = 1;

std::vector<Operation> ReadOrders(const fs::path& csv) {
  OrderRules rules;
  rules.columns = {"CustomerID", "InvoiceDate", "", "Quantity", "UnitPrice", "InvoiceNo", ""};
  rules.program = kProgram;
  rules.time_format = "%d/%m/%Y %H:%M";
  rules.zone = *LoadZone("Europe/London");
  rules.return_prefix = "C";
  OrderBuilder builder(rules, [](const Skip&) {});
  std::ifstream in(csv, std::ios::binary);
  EXPECT_TRUE(builder.AddFile(csv, in).ok());
  std::vector<Operation> operations;
  for (const Order& order : builder.TakeOrders()) operations.push_back(order.ToOperation(kProgram));
  return operations;
}

// The Seed program of docs/programs, in the model's own terms.
model::Program SeedProgram() {
  model::Program seed;
  seed.id = kProgram;
  seed.earn = {1, 1000, model::Rounding::kFloor, 0};
  seed.pending_days = 30;
  seed.expiry = {model::ExpiryAfter::kActivation, 0, 12, model::RoundUp::kMonth};
  seed.implicit_enrolment = true;
  seed.unknown_original = model::UnknownOriginal::kNewest;
  std::vector<Transition> transitions;
  EXPECT_TRUE(ResolveTimeZone("America/New_York", &seed.zone.initial_offset_s, &transitions).ok());
  for (const Transition& t : transitions) seed.zone.transitions.push_back({t.at(), t.offset_s()});
  return seed;
}

model::Operation ToModel(const Operation& op) {
  model::Operation out;
  out.id = {op.id().high(), op.id().low()};
  out.member = {op.member().high(), op.member().low()};
  out.related = {op.related().high(), op.related().low()};
  out.amount = op.amount();
  out.occurred_at = op.occurred_at();
  out.program = op.program();
  out.kind = static_cast<uint8_t>(op.kind());
  return out;
}

class RealOrders : public ::testing::Test {
 protected:
  void SetUp() override {
    const fs::path csv =
        fs::path(TALLYSTICK_SOURCE_DIR).parent_path() / "shared/data/online_retail_2010-12.csv";
    if (!fs::exists(csv)) GTEST_SKIP() << "the real orders are not beside this checkout";
    orders_ = ReadOrders(csv);
    directory_ = fs::temp_directory_path() / ("tallystick_real_orders." + std::to_string(getpid()));
    LedgerOptions options;
    options.directory = directory_ / "ledger";
    options.create = true;
    options.shards = 2;
    options.clock = ClockMode::kImport;
    options.segment_bytes = 8 << 20;
    auto ledger = Ledger::Open(options);
    ASSERT_TRUE(ledger.ok()) << ledger.status();
    ledger_ = *std::move(ledger);
    const auto program =
        ProgramFile::Read(fs::path(TALLYSTICK_SOURCE_DIR) / "docs/programs/seed.json");
    ASSERT_TRUE(program.ok()) << program.status();
    ASSERT_EQ(ledger_->PutProgram(Id(1, 0), program->bytes())->outcome, Outcome::Ok);
  }
  void TearDown() override {
    ledger_.reset();
    fs::remove_all(directory_);
  }

  std::vector<Result> Import() {
    std::vector<Result> results;
    for (const Operation& order : orders_) results.push_back(*ledger_->Apply(order));
    return results;
  }

  std::vector<Operation> orders_;
  fs::path directory_;
  std::unique_ptr<Ledger> ledger_;
};

TEST_F(RealOrders, GiveEveryMemberTheNaiveBalance) {
  model::NaiveLedger naive;
  naive.PutProgram(SeedProgram(), 0);
  naive.BeginBlock(ledger_->worker(0).io().WallMicros(), true);
  const std::vector<Result> results = Import();
  std::map<std::pair<uint64_t, uint64_t>, Id> members;
  int64_t accepted = 0;
  for (size_t i = 0; i < orders_.size(); ++i) {
    const model::Result expected = naive.Apply({ToModel(orders_[i])})[0];
    ASSERT_EQ(static_cast<int>(results[i].outcome()), static_cast<int>(expected.outcome)) << i;
    ASSERT_EQ(results[i].points(), expected.points) << i;
    const Id& member = orders_[i].member();
    if (expected.outcome == model::Outcome::kOk) ++accepted;
    members.emplace(std::make_pair(member.high(), member.low()), member);
  }
  EXPECT_EQ(accepted, 1506);
  int64_t compared = 0;
  for (const char* text :
       {"2010-12-21", "2011-01-10", "2011-12-31", "2012-01-31 05:00:00", "2012-03-01"}) {
    const Instant as_of = *ParseInstant(text);
    for (const auto& [key, member] : members) {
      const auto expected = naive.BalanceAt(kProgram, {key.first, key.second}, as_of);
      const auto balance = ledger_->Balance(kProgram, member, as_of);
      ASSERT_TRUE(balance.ok()) << balance.status();
      ASSERT_EQ(balance->outcome == Outcome::Ok, expected.has_value());
      if (!expected) continue;
      ASSERT_EQ(balance->pending, expected->pending) << text;
      ASSERT_EQ(balance->available, expected->available) << text;
      ASSERT_EQ(balance->debt, expected->debt) << text;
      ASSERT_EQ(balance->lifetime_earned, expected->lifetime_earned) << text;
      ++compared;
    }
  }
  EXPECT_EQ(compared, 5 * 860);
}

TEST_F(RealOrders, SentAgainAreReplayedOrRefusedAsBefore) {
  const std::vector<Result> first = Import();
  const auto before = ledger_->Totals(kProgram);
  for (size_t i = 0; i < orders_.size(); ++i) {
    if (first[i].outcome() != Outcome::Ok) continue;
    const auto again = ledger_->Apply(orders_[i]);
    ASSERT_NE(again->flags() & kReplayed, 0) << i;
    ASSERT_EQ(again->position(), first[i].position()) << i;
  }
  const auto after = ledger_->Totals(kProgram);
  EXPECT_EQ(after->issued, before->issued);
  EXPECT_EQ(after->pending, before->pending);
  EXPECT_EQ(after->clawed_back, before->clawed_back);
}

TEST_F(RealOrders, ComeToTheSameByPlainSql) {
  Import();
  const auto totals = ledger_->Totals(kProgram);
  std::map<std::string, BalanceAnswer> balances;
  for (const Operation& order : orders_) {
    const auto balance = ledger_->Balance(kProgram, order.member());
    if (balance->outcome == Outcome::Ok) balances[FormatId(order.member())] = *balance;
  }
  ledger_.reset();
  const std::string file = directory_ / "book.db";
  Process process({TALLY, "log", "export", directory_ / "ledger", "--sqlite", file});
  ASSERT_EQ(process.End(), 0) << process.Errors();
  const auto sum = [&](const std::string& account) {
    return SqlNumber(
        file, "SELECT coalesce(sum(amount), 0) FROM postings WHERE account = '" + account + "'");
  };
  EXPECT_EQ(-sum("issued"), totals->issued);
  EXPECT_EQ(sum("clawed_back"), totals->clawed_back);
  EXPECT_EQ(sum("written_off"), totals->written_off);
  EXPECT_EQ(sum("pending"), totals->pending);
  EXPECT_EQ(sum("available"), totals->available);
  const auto rows =
      Sql(file,
          "SELECT member, sum(iif(account = 'pending', amount, 0)), sum(iif(account = "
          "'available', amount, 0)) FROM postings GROUP BY member");
  int64_t compared = 0;
  for (const auto& row : rows) {
    EXPECT_EQ(row[1], std::to_string(balances[row[0]].pending)) << row[0];
    EXPECT_EQ(row[2], std::to_string(balances[row[0]].available)) << row[0];
    ++compared;
  }
  EXPECT_GT(compared, 800);
  EXPECT_EQ(SqlNumber(file, "SELECT count(*) FROM members"), static_cast<int64_t>(balances.size()));
}

}  // namespace
}  // namespace tallystick
