// The examples of the trade, through the state machine.

#include <gtest/gtest.h>

#include "tests/ledger/ledger_fixture.h"

namespace tallystick::ledger {
namespace {

// 1 point per $10, pending for the 30-day return window, then valid for a year.
class SeedProgram : public LedgerTest {
 protected:
  void StartSeed(int64_t debt_floor) {
    ProgramSpec spec;
    spec.earn = EarnSpec{.points = 1, .per_spend = 1'000};
    spec.pending_days = 30;
    spec.expiry = ExpirySpec{.after = ExpiryBase::activation, .months = 12};
    spec.debt_floor = debt_floor;
    Start(spec);
  }
};

TEST_F(SeedProgram, NinetyFiveDollarsEarnNinePendingPoints) {
  StartSeed(0);
  const Result result = At(Day(0), Make(Kind::Purchase, 9'500));
  EXPECT_EQ(result.points(), 9);
  EXPECT_EQ(result.pending(), 9);
  EXPECT_EQ(result.available(), 0);
  EXPECT_EQ(BalanceOn(Day(30) - 1).pending, 9);
  EXPECT_EQ(BalanceOn(Day(30)).available, 9);
}

TEST_F(SeedProgram, ReturnOnDay29TakesThePendingPointsOnly) {
  StartSeed(0);
  ASSERT_EQ(At(Day(0), Make(Kind::Adjust, 50)).available(), 50);
  const Id purchase = Purchase(Day(0), 9'500);
  const Result result = Return(Day(29), 9'500, purchase);
  EXPECT_EQ(result.points(), -9);
  EXPECT_EQ(result.pending(), 0);
  EXPECT_EQ(result.available(), 50);
  EXPECT_EQ(BalanceOn(Day(40)).available, 50);
}

TEST_F(SeedProgram, ReturnOnDay31ClawsBackFromAvailable) {
  StartSeed(0);
  const Id purchase = Purchase(Day(0), 9'500);
  const Result result = Return(Day(31), 9'500, purchase);
  EXPECT_EQ(result.points(), -9);
  EXPECT_EQ(result.available(), 0);
  EXPECT_EQ(result.flags(), 0);
  EXPECT_EQ(totals().clawed_back, 9);
}

TEST_F(SeedProgram, ReturnOfSpentPointsIsWrittenOffWithoutADebtFloor) {
  StartSeed(0);
  const Id purchase = Purchase(Day(0), 9'500);
  ASSERT_EQ(At(Day(30), Make(Kind::Redeem, 7)).available(), 2);
  const Result result = Return(Day(31), 9'500, purchase);
  EXPECT_EQ(result.points(), -2);
  EXPECT_EQ(result.available(), 0);
  EXPECT_EQ(result.flags(), kWrittenOff);
  EXPECT_EQ(totals().clawed_back, 2);
  EXPECT_EQ(totals().written_off, 7);
}

TEST_F(SeedProgram, ReturnOfSpentPointsIsADebtDownToTheFloor) {
  StartSeed(5);
  const Id purchase = Purchase(Day(0), 9'500);
  ASSERT_EQ(At(Day(30), Make(Kind::Redeem, 7)).available(), 2);
  const Result result = Return(Day(31), 9'500, purchase);
  EXPECT_EQ(result.points(), -7);
  EXPECT_EQ(result.available(), -5);
  EXPECT_EQ(result.flags(), kWrittenOff);
  EXPECT_EQ(totals().debt, 5);
  EXPECT_EQ(totals().written_off, 2);
  // What becomes available pays the debt first.
  EXPECT_EQ(At(Day(32), Make(Kind::Adjust, 8)).available(), 3);
  EXPECT_EQ(totals().debt, 0);
}

TEST_F(SeedProgram, PointsAreGoneAYearAfterActivation) {
  StartSeed(0);
  Purchase(Day(0), 9'500);
  const Instant gone = Utc({2025, 3, 31, 10});
  EXPECT_EQ(BalanceOn(gone - 1).available, 9);
  EXPECT_EQ(BalanceOn(gone).available, 0);
  EXPECT_EQ(At(gone, Make(Kind::Redeem, 1)).outcome(), Outcome::InsufficientPoints);
}

// 1 point per $1, no pending, no expiry, 100 points = $1.
class WooCommerce : public LedgerTest {
 protected:
  void StartWith(Rounding rounding) {
    ProgramSpec spec;
    spec.earn = EarnSpec{.points = 1, .per_spend = 100, .rounding = rounding};
    Start(spec);
  }
};

TEST_F(WooCommerce, TwoDollarsFiftyEarnThreeByDefault) {
  StartWith(Rounding::nearest);
  EXPECT_EQ(At(Day(0), Make(Kind::Purchase, 250)).points(), 3);
}

TEST_F(WooCommerce, TwoDollarsFiftyEarnTwoRoundedDown) {
  StartWith(Rounding::floor);
  EXPECT_EQ(At(Day(0), Make(Kind::Purchase, 250)).points(), 2);
}

TEST_F(WooCommerce, TwoDollarsFiftyEarnThreeRoundedUp) {
  StartWith(Rounding::ceil);
  EXPECT_EQ(At(Day(0), Make(Kind::Purchase, 250)).points(), 3);
}

TEST_F(WooCommerce, DiscountOfOneDollarAndOneCentCosts101) {
  StartWith(Rounding::nearest);
  Purchase(Day(0), 10'100);
  const Result result = At(Day(1), Make(Kind::Redeem, 101));
  EXPECT_EQ(result.points(), -101);
  EXPECT_EQ(result.available(), 0);
  EXPECT_EQ(At(Day(1), Make(Kind::Redeem, 1)).outcome(), Outcome::InsufficientPoints);
}

TEST_F(WooCommerce, OrderOf100DollarsWith10DollarsOfDiscountEarns90) {
  StartWith(Rounding::nearest);
  EXPECT_EQ(At(Day(0), Make(Kind::Purchase, 9'000)).points(), 90);
}

TEST_F(WooCommerce, RefundsOf40And60DollarsLeaveNothing) {
  StartWith(Rounding::nearest);
  const Id purchase = Purchase(Day(0), 10'000);
  EXPECT_EQ(Return(Day(1), 4'000, purchase).points(), -40);
  EXPECT_EQ(Return(Day(2), 6'000, purchase).points(), -60);
  EXPECT_EQ(BalanceOn(Day(2)).available, 0);
  EXPECT_EQ(Return(Day(3), 1, purchase).outcome(), Outcome::AlreadyReturned);
}

TEST_F(WooCommerce, PartialReturnsAddUpWhateverTheRulesHaveBecome) {
  StartWith(Rounding::nearest);
  const Id purchase = Purchase(Day(0), 1'010);  // 10 points
  ProgramSpec dearer;
  dearer.earn = EarnSpec{.points = 50, .per_spend = 100};
  PutVersion(dearer, 2, Day(1), Day(1));
  Points taken = 0;
  for (const int64_t spend : {333, 333, 333, 11}) taken += Return(Day(2), spend, purchase).points();
  EXPECT_EQ(taken, -10);
}

TEST_F(LedgerTest, TwelveMonthsToMonthEndLastThroughTheMonth) {
  ProgramSpec spec;
  spec.expiry = ExpirySpec{.months = 12, .round_up_to = Period::month};
  ledger_.BeginBlock({Utc({2020, 7, 6, 15}), false});
  spec.id = kProgram;
  ASSERT_EQ(ledger_.PutProgram(spec).outcome(), Outcome::Ok);
  At(Utc({2020, 7, 6, 15}), Make(Kind::Enrol, 0));
  At(Utc({2020, 7, 6, 15}), Make(Kind::Accrue, 5));
  EXPECT_EQ(BalanceOn(Utc({2021, 8, 1}) - 1).available, 5);
  EXPECT_EQ(BalanceOn(Utc({2021, 8, 1})).available, 0);
}

TEST_F(LedgerTest, Redeeming499Of500IsRefused) {
  ProgramSpec spec;
  spec.redeem_minimum = 500;
  spec.redeem_step = 500;
  Start(spec);
  At(Day(0), Make(Kind::Accrue, 1'600));
  EXPECT_EQ(At(Day(0), Make(Kind::Redeem, 499)).outcome(), Outcome::BelowMinimum);
  EXPECT_EQ(At(Day(0), Make(Kind::Redeem, 750)).outcome(), Outcome::BelowStep);
  EXPECT_EQ(At(Day(0), Make(Kind::Redeem, 2'000)).outcome(), Outcome::InsufficientPoints);
  EXPECT_EQ(At(Day(0), Make(Kind::Redeem, 1'500)).available(), 100);
}

}  // namespace
}  // namespace tallystick::ledger
