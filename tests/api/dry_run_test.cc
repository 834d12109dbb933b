// What would happen, against what then happens.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/embedded.h"
#include "ledger/state_machine.h"
#include "tests/api/random_movements.h"

namespace tallystick {
namespace {

using ::testing::HasSubstr;

class DryRuns : public testing::Test {
 protected:
  DryRuns()
      : directory_(std::filesystem::temp_directory_path() /
                   ("tallystick_dry_run." + std::to_string(getpid()))) {
    std::filesystem::create_directories(directory_);
    ledger_ = RandomMovements::MakeLedger(directory_ / "ledger", 3);
  }
  ~DryRuns() override {
    ledger_.reset();
    std::filesystem::remove_all(directory_);
  }

  // What a record would change: of each shard, and of the account. A log that goes idle has blocks
  // without records, so that its positions say nothing.
  std::vector<uint64_t> Remembered(const Operation& operation) {
    std::vector<uint64_t> remembered = {BalanceOf(operation).position};
    const auto shards = ledger_->Shards();
    for (const ShardState& shard : shards->shards) {
      remembered.insert(remembered.end(),
                        {shard.accounts, shard.receipts, static_cast<uint64_t>(shard.time)});
    }
    return remembered;
  }
  BalanceAnswer BalanceOf(const Operation& operation) {
    return *ledger_->Balance(operation.program(), operation.member());
  }
  Operation Accrual(Points points) const {
    return Operation(Id(1'000 + points, 9), RandomMovements::Member(1), Id(), points,
                     movements_.now(), 0, 0, RandomMovements::kProgram, 0, Kind::Accrue, 0, 0);
  }

  const std::filesystem::path directory_;
  RandomMovements movements_{1};
  std::unique_ptr<Ledger> ledger_;
};

TEST_F(DryRuns, ComeToWhatIsThenDoneAndRecordNothing) {
  std::map<Kind, int> accepted;
  int replayed = 0;
  for (int i = 0; i < 3'000 && !HasFailure(); ++i) {
    std::vector<Operation> operations = movements_.Next();
    const std::vector<uint64_t> before = Remembered(operations[0]);
    const auto would = ledger_->DryRun(operations);
    ASSERT_TRUE(would.ok()) << would.status();
    ASSERT_EQ(would->steps.size(), operations.size());
    EXPECT_EQ(Remembered(operations[0]), before);
    if (i % 2 == 0) {
      // Once more, and it is still new.
      EXPECT_EQ(ledger_->DryRun(operations)->steps[0].result.flags() & kReplayed, 0);
    }
    const std::vector<Result> done = movements_.Submit(*ledger_, operations);
    for (size_t k = 0; k < operations.size(); ++k) {
      Result result = done[k];
      if (result.outcome() == Outcome::Ok) {
        ++accepted[operations[k].kind()];
        EXPECT_GT(result.position(), 0u);
        result.mutate_position(0);
      }
      EXPECT_EQ(std::memcmp(&would->steps[k].result, &result, sizeof(result)), 0)
          << "operation " << i << ", " << EnumNameKind(operations[k].kind());
    }
    if (done.back().outcome() != Outcome::Ok) continue;
    const Operation& last = operations.back();
    const BalanceAnswer balance = BalanceOf(last);
    EXPECT_EQ(would->available, balance.available);
    EXPECT_EQ(would->pending, balance.pending);
    EXPECT_EQ(would->held, balance.held);
    EXPECT_EQ(would->debt, balance.debt);
    EXPECT_EQ(would->status, balance.status);
    // The same detail as the history tells.
    const auto told = ledger_->Transaction(last.program(), last.member(), last.id());
    ASSERT_TRUE(told.ok()) << told.status();
    EXPECT_EQ(would->steps.back().detail, told->movement.detail);
    if (operations.size() > 1 || i % 5 != 0) continue;
    const auto again = ledger_->DryRun(operations);
    EXPECT_EQ(again->steps[0].result.flags() & kReplayed, kReplayed);
    EXPECT_EQ(again->steps[0].result.position(), done[0].position());
    ++replayed;
  }
  EXPECT_GT(replayed, 50);
  for (int kind = static_cast<int>(Kind::Enrol); kind <= static_cast<int>(Kind::Extend); ++kind) {
    if (static_cast<Kind>(kind) == Kind::Tick || static_cast<Kind>(kind) == Kind::Close) continue;
    EXPECT_GT(accepted[static_cast<Kind>(kind)], 0) << EnumNameKind(static_cast<Kind>(kind));
  }
}

TEST_F(DryRuns, SayWhenPointsWouldBeGoodAndAHoldWouldEnd) {
  movements_.Submit(*ledger_, {Accrual(10)});
  const auto accrual = ledger_->DryRun({{Accrual(20)}});
  ASSERT_TRUE(accrual.ok()) << accrual.status();
  EXPECT_EQ(accrual->steps[0].activates_at, movements_.now() + 2 * kMicrosPerDay);
  EXPECT_GT(accrual->steps[0].expires_at, accrual->steps[0].activates_at);
  EXPECT_EQ(accrual->pending, 30);

  const Operation hold(Id(77, 9), RandomMovements::Member(1), Id(), 7,
                       movements_.now() + 3 * kMicrosPerDay, 0, 0, RandomMovements::kProgram, 0,
                       Kind::Hold, 0, 0);
  const auto held = ledger_->DryRun({&hold, 1});
  ASSERT_TRUE(held.ok()) << held.status();
  EXPECT_EQ(held->steps[0].result.outcome(), Outcome::Ok);
  EXPECT_EQ(held->time, movements_.now() + 3 * kMicrosPerDay);
  EXPECT_EQ(held->steps[0].times_out_at, held->time + 2000 * kMicrosPerMinute);
  EXPECT_EQ(held->held, 7);
  EXPECT_EQ(held->available, 3);
  // What would be settled with it.
  ASSERT_EQ(held->event_count, 1u);
  EXPECT_EQ(held->events[0].kind, Kind::Activation);
  EXPECT_EQ(held->events[0].points, 10);
  EXPECT_EQ(ledger_->Balance(RandomMovements::kProgram, RandomMovements::Member(1))->pending, 10);
}

TEST_F(DryRuns, OfWhatIsNeitherOneOperationNorAChainAreRefused) {
  const auto refusal = [&](const std::vector<Operation>& operations) {
    return std::string(ledger_->DryRun(operations).status().message());
  };
  const char kSentence[] = "a dry run is of one operation, or of one chain of at most 64";
  EXPECT_THAT(refusal({}), HasSubstr(kSentence));
  EXPECT_THAT(refusal({Accrual(1), Accrual(2)}), HasSubstr(kSentence));
  std::vector<Operation> chain;
  for (size_t i = 0; i <= ledger::kMaxChainOperations; ++i) {
    chain.push_back(Accrual(static_cast<Points>(i + 1)));
    chain.back().mutate_flags(kLinked);
  }
  EXPECT_THAT(refusal(chain), HasSubstr(kSentence));
  chain.pop_back();
  // A chain that does not end is what Submit makes of it.
  EXPECT_EQ(ledger_->DryRun(chain)->steps[0].result.field(), Field::Chain);
  chain.back().mutate_flags(0);
  EXPECT_EQ(ledger_->DryRun(chain)->steps[63].result.outcome(), Outcome::Ok);
  chain[1].mutable_member() = RandomMovements::Member(2);
  EXPECT_EQ(ledger_->DryRun(chain)->steps[0].result.field(), Field::Chain);
}

}  // namespace
}  // namespace tallystick
