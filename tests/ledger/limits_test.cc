// The largest numbers, the most lots, full tables.

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <vector>

#include "tests/ledger/ledger_fixture.h"

namespace tallystick::ledger {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

class LimitsTest : public LedgerTest {};

TEST_F(LimitsTest, CreditsStopAtTheLargestNumber) {
  ProgramSpec spec;
  spec.earn = EarnSpec{.points = 10};
  Start(spec);
  EXPECT_EQ(At(Day(0), Make(Kind::Purchase, kMax)).outcome(), Outcome::Overflow);
  EXPECT_EQ(At(Day(0), Make(Kind::Accrue, kMax - 1)).outcome(), Outcome::Ok);
  EXPECT_EQ(At(Day(0), Make(Kind::Redeem, kMax - 1)).available(), 0);
  // What was ever credited counts, not what is left.
  EXPECT_EQ(At(Day(0), Make(Kind::Adjust, 2)).outcome(), Outcome::Overflow);
  EXPECT_EQ(At(Day(0), Make(Kind::Adjust, 1)).outcome(), Outcome::Ok);
  EXPECT_EQ(At(Day(0), Make(Kind::Accrue, 1)).outcome(), Outcome::Overflow);
  EXPECT_EQ(At(Day(0), Make(Kind::Adjust, -kMax)).outcome(), Outcome::InsufficientPoints);
  EXPECT_EQ(At(Day(0), Make(Kind::Adjust, -1)).outcome(), Outcome::Ok);
}

TEST_F(LimitsTest, WrittenOffPointsStopAtTheLargestNumber) {
  ProgramSpec spec;
  spec.unknown_original = UnknownOriginal::newest;
  Start(spec);
  At(Day(0), Make(Kind::Accrue, 5));
  const Id accrual = last_.id();
  EXPECT_EQ(Return(Day(0), kMax - 3, Id()).points(), -5);
  EXPECT_EQ(totals().written_off, kMax - 8);
  EXPECT_EQ(Return(Day(0), 9, Id()).outcome(), Outcome::Overflow);
  // The claim itself must fit, whatever would be taken from lots.
  At(Day(0), Make(Kind::Adjust, 20));
  EXPECT_EQ(Return(Day(0), 9, Id()).outcome(), Outcome::Overflow);
  EXPECT_EQ(Return(Day(0), 5, accrual).points(), -5);
  EXPECT_EQ(Return(Day(0), 8, Id()).points(), -8);
}

TEST_F(LimitsTest, ClaimsAtARateStopAtTheLargestNumber) {
  ProgramSpec spec;
  spec.earn = EarnSpec{.points = 3, .per_spend = 2, .minimum_spend = 1'000};
  spec.unknown_original = UnknownOriginal::newest;
  Start(spec);
  EXPECT_EQ(Return(Day(0), kMax, Id()).outcome(), Outcome::Overflow);
  EXPECT_EQ(Return(Day(0), kMax / 3 * 2 + 1, Id()).flags(), kWrittenOff);
  EXPECT_EQ(totals().written_off, kMax);
}

// Dead receipts leave from the front of a queue, some for each operation. One id that is used again
// as soon as its receipt is dead must not fill its place in the index meanwhile.
TEST_F(LimitsTest, AnIdUsedAgainAndAgainHasOneEntry) {
  ProgramSpec spec;
  spec.retention_days = 1;
  spec.return_days = 1;
  Start(spec);
  ledger_.BeginBlock({Day(0), false});
  for (int i = 0; i < 12'000; ++i) {
    if (i % 1'000 == 0) ledger_.BeginBlock({Day(0), false});
    Chain(Day(0), {Make(Kind::Enrol, 0)});
  }
  Operation again = Make(Kind::Enrol, 0);
  for (int i = 0; i <= 5'000; ++i) {
    const Instant t = Day(2 + 2 * i);
    again.mutate_occurred_at(t);
    if (i % 2 == 0) {
      EXPECT_EQ(At(t, again).outcome(), Outcome::Ok);
    } else {
      ledger_.BeginBlock({t, false});
      // A chain that fails leaves the dead receipt where it was.
      const Operation failing = Make(Kind::Redeem, 1);
      EXPECT_EQ(Chain(t, {again, failing})[1].outcome(), Outcome::InsufficientPoints);
      EXPECT_EQ(Chain(t, {again, Make(Kind::Enrol, 0)})[0].outcome(), Outcome::Ok);
    }
  }
  const Result replayed = At(Day(2 + 2 * 5'000), again);
  EXPECT_EQ(replayed.flags(), kReplayed);
}

// Receipts of a version that remembers for long do not hold back those of one that does not.
TEST_F(LimitsTest, ShorterReturnDaysLetReceiptsLeave) {
  ProgramSpec spec;
  spec.retention_days = 1;
  spec.return_days = 3'000;
  Start(spec);
  Purchase(Day(0), 1);
  spec.return_days = 2;
  PutVersion(spec, 2, Day(1), Day(1));
  for (int day = 1; day < 300; ++day) Purchase(Day(day), 1);
  // They leave some at a time.
  EXPECT_LT(ledger_.machine().sizes().receipts, 40u);
}

// The wall clock may have looked for what is due far ahead of the last operation.
TEST_F(LimitsTest, WhatIsDueIsFoundAfterTheClockChangedToImport) {
  Start({});
  At(Day(0), With(Make(Kind::Accrue, 5), Day(10)));
  At(Day(0), Make(Kind::Redeem, 5));
  At(Day(0), With(Make(Kind::Accrue, 7), Day(12)));
  ledger_.BeginBlock({Day(11), false});
  while (ledger_.SettleDue(1'000)) continue;
  ledger_.BeginBlock({Day(40), true});
  Operation again = With(Make(Kind::Accrue, 3), Day(5));
  again.mutate_occurred_at(Day(4));
  Result result;
  ASSERT_EQ(ledger_.Apply({&again, 1}, &result), 1u);
  ASSERT_EQ(result.outcome(), Outcome::Ok);
  Operation tick(Id(999, 9), Id(), Id(), 0, Day(6), 0, 0, 0, 0, Kind::Tick, 0, 0);
  ASSERT_EQ(ledger_.Apply({&tick, 1}, &result), 1u);
  EXPECT_LE(ledger_.machine().NextDue(), Day(5));
  while (ledger_.SettleDue(1'000)) continue;
  EXPECT_EQ(totals().expired, 3);
}

// An account is in the schedule for a lot that is spent: nothing is due, and no slots are needed.
TEST_F(LimitsTest, SpentLotsNeedNoSlots) {
  Start({});
  At(Day(0), With(Make(Kind::Accrue, 5), Day(2)));
  for (int i = 0; i < 10; ++i) At(Day(0), Make(Kind::Accrue, 1));
  At(Day(0), Make(Kind::Redeem, 5));
  ledger_.BeginBlock({Day(3), false}, 3);
  Operation op = Make(Kind::Enrol, 0);
  op.mutate_occurred_at(Day(3));
  Result result;
  EXPECT_EQ(ledger_.Apply({&op, 1}, &result), 1u);
  EXPECT_EQ(result.available(), 10);
}

TEST_F(LimitsTest, DeadReceiptsOfManyVersionsLeave) {
  ProgramSpec spec;
  spec.retention_days = 1;
  spec.return_days = 1;
  Start(spec);
  constexpr int kPerDay = 400;
  for (int day = 1; day <= 200; ++day) {
    PutVersion(spec, day + 1, Day(day), Day(day));
    for (int i = 0; i < kPerDay; ++i) At(Day(day), Make(Kind::Accrue, 1));
    At(Day(day), Make(Kind::Redeem, kPerDay));
  }
  EXPECT_LT(ledger_.machine().sizes().receipts, 5u * kPerDay);
}

TEST_F(LimitsTest, DebtReachesTheLargestNumber) {
  ProgramSpec spec;
  spec.debt_floor = kMax;
  spec.unknown_original = UnknownOriginal::newest;
  Start(spec);
  EXPECT_EQ(Return(Day(0), kMax, Id()).available(), -kMax);
  EXPECT_EQ(At(Day(0), Make(Kind::Accrue, kMax)).available(), 0);
  EXPECT_EQ(totals().debt, 0);
}

TEST_F(LimitsTest, AccountHoldsAtMost10240LotsWithPoints) {
  ProgramSpec spec;
  spec.earn = EarnSpec{.per_spend = 100};
  spec.pending_days = 1;
  Start(spec);
  std::vector<Operation> operations;
  for (uint32_t i = 0; i < kMaxLotsPerAccount; ++i) {
    operations.push_back(With(Make(Kind::Accrue, 1), Day(3)));
    operations.back().mutate_occurred_at(Day(0));
  }
  std::vector<Result> results(operations.size());
  ASSERT_EQ(ledger_.Apply(operations, results.data()), operations.size());
  for (const Result& result : results) ASSERT_EQ(result.outcome(), Outcome::Ok);
  EXPECT_EQ(At(Day(0), Make(Kind::Accrue, 1)).outcome(), Outcome::TooManyLots);
  EXPECT_EQ(At(Day(0), Make(Kind::Adjust, 1)).outcome(), Outcome::TooManyLots);
  EXPECT_EQ(At(Day(0), Make(Kind::Purchase, 99)).outcome(), Outcome::Ok);
  EXPECT_EQ(At(Day(1), Make(Kind::Redeem, 1)).outcome(), Outcome::Ok);
  EXPECT_EQ(At(Day(1), Make(Kind::Accrue, 1)).outcome(), Outcome::Ok);
  EXPECT_EQ(At(Day(1), Make(Kind::Accrue, 1)).outcome(), Outcome::TooManyLots);
  // Settled aside they are gone.
  EXPECT_EQ(At(Day(3), Make(Kind::Accrue, 1)).outcome(), Outcome::Ok);
}

TEST_F(LimitsTest, LargestSettlingFitsTheLargestOperation) {
  ProgramSpec spec;
  spec.pending_days = 1;
  Start(spec);
  for (uint32_t i = 0; i < kMaxLotsPerAccount; ++i) {
    Operation op = With(Make(Kind::Accrue, 1), Day(3));
    op.mutate_occurred_at(Day(0));
    Result result;
    ledger_.Apply({&op, 1}, &result);
    if (ledger_.room() == 0) ledger_.BeginBlock({Day(0), false});
  }
  Operation op = Make(Kind::Enrol, 0);
  op.mutate_occurred_at(Day(4));
  Result result;
  ledger_.BeginBlock({Day(4), false}, kMaxSlotsPerOperation - 1);
  EXPECT_EQ(ledger_.Apply({&op, 1}, &result), 0u);
  ledger_.BeginBlock({Day(4), false}, kMaxSlotsPerOperation);
  EXPECT_EQ(ledger_.Apply({&op, 1}, &result), 1u);
  EXPECT_EQ(totals().expired, kMaxLotsPerAccount);
}

Operation Of(uint64_t id, uint64_t member, Kind kind, int64_t amount, Instant at) {
  return Operation(Id(id, 0), Id(member, 0), Id(), amount, at, 0, 0, kProgram, 0, kind, 0, 0);
}

// A small ledger whose tables fill.
class FullTables : public ::testing::Test {
 protected:
  void Start(const Limits& limits, ProgramSpec spec) {
    ledger_ = std::make_unique<LoggedLedger>(limits);
    ledger_->BeginBlock({kMicrosPerDay, false});
    spec.id = kProgram;
    ASSERT_EQ(ledger_->PutProgram(spec).outcome(), Outcome::Ok);
  }
  Outcome Apply(int64_t day, uint64_t member, Kind kind, int64_t amount) {
    const Instant at = day * kMicrosPerDay;
    ledger_->BeginBlock({at, false});
    const Operation op = Of(++last_id_, member, kind, amount, at);
    const uint64_t digest = ledger_->machine().Digest();
    Result result;
    EXPECT_EQ(ledger_->Apply({&op, 1}, &result), 1u);
    if (result.outcome() != Outcome::Ok) {
      EXPECT_EQ(ledger_->machine().Digest(), digest);
    }
    return result.outcome();
  }

  std::unique_ptr<LoggedLedger> ledger_;
  uint64_t last_id_ = 0;
};

TEST_F(FullTables, FullAccountsRefuseNewMembersOnly) {
  Start({.accounts = 2}, {});
  EXPECT_EQ(Apply(1, 1, Kind::Enrol, 0), Outcome::Ok);
  EXPECT_EQ(Apply(1, 2, Kind::Enrol, 0), Outcome::Ok);
  EXPECT_EQ(Apply(1, 3, Kind::Enrol, 0), Outcome::Overloaded);
  EXPECT_EQ(Apply(1, 2, Kind::Accrue, 5), Outcome::Ok);
}

TEST_F(FullTables, FullLotsLetPointsBeSpent) {
  ProgramSpec spec;
  spec.return_days = 0;
  spec.retention_days = 1;
  Start({.lots = 2}, spec);
  EXPECT_EQ(Apply(1, 1, Kind::Enrol, 0), Outcome::Ok);
  EXPECT_EQ(Apply(1, 1, Kind::Adjust, 5), Outcome::Ok);
  EXPECT_EQ(Apply(1, 1, Kind::Adjust, 6), Outcome::Ok);
  EXPECT_EQ(Apply(1, 1, Kind::Adjust, 7), Outcome::Overloaded);
  EXPECT_EQ(Apply(1, 1, Kind::Redeem, 5), Outcome::Ok);
  EXPECT_EQ(Apply(1, 1, Kind::Adjust, 7), Outcome::Ok);
}

TEST_F(FullTables, RowsOfLotsThatNobodyNeedsAreUsedAgain) {
  ProgramSpec spec;
  spec.return_days = 1;
  spec.retention_days = 1;
  spec.pending_days = 1;
  spec.expiry = ExpirySpec{.days = 4};
  Start({.lots = 40}, spec);
  EXPECT_EQ(Apply(1, 1, Kind::Enrol, 0), Outcome::Ok);
  for (int day = 1; day < 500; ++day) {
    ASSERT_EQ(Apply(day, 1, Kind::Accrue, 5), Outcome::Ok) << day;
    ASSERT_EQ(Apply(day, 1, Kind::Adjust, 5), Outcome::Ok) << day;
    ASSERT_EQ(Apply(day, 1, Kind::Redeem, 5), Outcome::Ok) << day;
  }
}

TEST_F(FullTables, FullReceiptsLetTheOldOnesGo) {
  ProgramSpec spec;
  spec.retention_days = 2;
  spec.return_days = 2;
  Start({.receipts = 3}, spec);
  EXPECT_EQ(Apply(1, 1, Kind::Enrol, 0), Outcome::Ok);
  EXPECT_EQ(Apply(1, 1, Kind::Accrue, 5), Outcome::Ok);
  EXPECT_EQ(Apply(2, 1, Kind::Accrue, 5), Outcome::Ok);
  EXPECT_EQ(Apply(3, 1, Kind::Redeem, 5), Outcome::Overloaded);
  EXPECT_EQ(Apply(4, 1, Kind::Redeem, 50), Outcome::InsufficientPoints);
  EXPECT_EQ(Apply(4, 1, Kind::Redeem, 5), Outcome::Ok);
  EXPECT_EQ(Apply(9, 1, Kind::Redeem, 1), Outcome::Ok);
  EXPECT_TRUE(ledger_->machine().CheckInvariants().ok());
}

// Which receipts have left so far may differ between live and replay; what full tables refuse may
// not.
TEST_F(FullTables, FullReceiptsLetThoseOfOtherProgramsGo) {
  ProgramSpec spec;
  spec.retention_days = 1;
  spec.return_days = 1;
  const Limits limits{.receipts = 60};
  Start(limits, spec);
  spec.id = kProgram + 1;
  ASSERT_EQ(ledger_->PutProgram(spec).outcome(), Outcome::Ok);
  const auto other = [&](int64_t day, Kind kind, int64_t amount) {
    ledger_->BeginBlock({day * kMicrosPerDay, false});
    Operation op = Of(++last_id_, 1, kind, amount, day * kMicrosPerDay);
    op.mutate_program(static_cast<uint16_t>(spec.id));
    Result result;
    EXPECT_EQ(ledger_->Apply({&op, 1}, &result), 1u);
    return result.outcome();
  };
  EXPECT_EQ(Apply(1, 1, Kind::Enrol, 0), Outcome::Ok);
  EXPECT_EQ(other(1, Kind::Enrol, 0), Outcome::Ok);
  for (int i = 0; i < 19; ++i) EXPECT_EQ(Apply(1, 1, Kind::Adjust, 1), Outcome::Ok);
  // A chain that fails when it has let receipts arrive.
  ledger_->BeginBlock({6 * kMicrosPerDay, false});
  std::vector<Operation> chain;
  chain.reserve(21);
  for (int i = 0; i < 20; ++i)
    chain.push_back(Of(++last_id_, 1, Kind::Adjust, 1, 6 * kMicrosPerDay));
  chain.push_back(Of(++last_id_, 1, Kind::Redeem, 1'000, 6 * kMicrosPerDay));
  for (size_t i = 0; i + 1 < chain.size(); ++i) chain[i].mutate_flags(kLinked);
  std::vector<Result> results(chain.size());
  EXPECT_EQ(ledger_->Apply(chain, results.data()), chain.size());
  EXPECT_EQ(results.back().outcome(), Outcome::InsufficientPoints);
  while (ledger_->machine().sizes().receipts < 59) {
    ASSERT_EQ(other(6, Kind::Accrue, 1), Outcome::Ok);
  }
  EXPECT_EQ(Apply(6, 1, Kind::Adjust, 1), Outcome::Ok);
  EXPECT_EQ(other(6, Kind::Accrue, 1), Outcome::Ok);
  StateMachine replayed(limits);
  const absl::Status status = Replay(ledger_->Log(), replayed);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(replayed.Digest(), ledger_->machine().Digest());
}

TEST_F(FullTables, ProgramsAreLimited) {
  Start({}, {});
  ProgramSpec spec;
  for (uint32_t id = 100; id < 100 + kMaxPrograms - 1; ++id) {
    spec.id = static_cast<int32_t>(id);
    ASSERT_EQ(ledger_->PutProgram(spec).outcome(), Outcome::Ok);
  }
  spec.id = 1;
  EXPECT_EQ(ledger_->PutProgram(spec).outcome(), Outcome::OverLimit);
}

}  // namespace
}  // namespace tallystick::ledger
