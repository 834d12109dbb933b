// The examples of the trade, as literal expectations of the model.

#include "tests/model/naive_ledger.h"

#include <gtest/gtest.h>

#include "tests/model/ledger_fixture.h"

namespace tallystick::model {
namespace {

// 1 point per $10, pending for the 30-day return window, then valid for a year.
class SeedProgram : public LedgerFixture {
 protected:
  static Program WithDebtFloor(int64_t debt_floor) {
    Program program;
    program.earn = {.points = 1, .per_spend = 1'000};
    program.pending_days = 30;
    program.expiry = {.after = ExpiryAfter::kActivation, .months = 12};
    program.debt_floor = debt_floor;
    return program;
  }
};

TEST_F(SeedProgram, NinetyFiveDollarsEarnNine) {
  Start(WithDebtFloor(0));
  const Result result = At(Day(0), Make(Kind::kPurchase, 9'500));
  EXPECT_EQ(result.points, 9);
  EXPECT_EQ(result.available, 0);
  EXPECT_EQ(result.pending, 9);
  EXPECT_EQ(BalanceOn(Day(30) - 1).pending, 9);
  EXPECT_EQ(BalanceOn(Day(30)).available, 9);
}

TEST_F(SeedProgram, ReturnOnDay29TakesThePendingPointsOnly) {
  Start(WithDebtFloor(0));
  ASSERT_EQ(At(Day(0), Make(Kind::kAdjust, 50)).available, 50);
  const Id purchase = Purchase(Day(0), 9'500);
  const Result result = Return(Day(29), 9'500, purchase);
  EXPECT_EQ(result.outcome, Outcome::kOk);
  EXPECT_EQ(result.points, -9);
  EXPECT_EQ(result.available, 50);
  EXPECT_EQ(result.pending, 0);
  EXPECT_EQ(BalanceOn(Day(40)).available, 50);
  EXPECT_TRUE(ledger_.TakeDerived().empty());
}

TEST_F(SeedProgram, ReturnOnDay31ClawsBackFromAvailable) {
  Start(WithDebtFloor(0));
  const Id purchase = Purchase(Day(0), 9'500);
  const Result result = Return(Day(31), 9'500, purchase);
  EXPECT_EQ(result.points, -9);
  EXPECT_EQ(result.available, 0);
  EXPECT_FALSE(result.written_off);
  EXPECT_EQ(totals().clawed_back, 9);
}

TEST_F(SeedProgram, ReturnOnDay31OfSpentPointsIsWrittenOffWithoutADebtFloor) {
  Start(WithDebtFloor(0));
  const Id purchase = Purchase(Day(0), 9'500);
  ASSERT_EQ(At(Day(30), Make(Kind::kRedeem, 9)).outcome, Outcome::kOk);
  const Result result = Return(Day(31), 9'500, purchase);
  EXPECT_EQ(result.outcome, Outcome::kOk);
  EXPECT_EQ(result.points, 0);
  EXPECT_EQ(result.available, 0);
  EXPECT_TRUE(result.written_off);
  EXPECT_EQ(totals().written_off, 9);
  EXPECT_EQ(totals().clawed_back, 0);
}

TEST_F(SeedProgram, ReturnOnDay31OfSpentPointsIsADebtUpToTheFloor) {
  Start(WithDebtFloor(5));
  const Id purchase = Purchase(Day(0), 9'500);
  ASSERT_EQ(At(Day(30), Make(Kind::kRedeem, 9)).outcome, Outcome::kOk);
  const Result result = Return(Day(31), 9'500, purchase);
  EXPECT_EQ(result.points, -5);
  EXPECT_EQ(result.available, -5);
  EXPECT_TRUE(result.written_off);
  EXPECT_EQ(totals().written_off, 4);
  EXPECT_EQ(totals().debt, 5);

  // What becomes available pays debt first.
  Purchase(Day(32), 9'500);
  EXPECT_EQ(BalanceOn(Day(62) - 1), (Balance{.pending = 9, .debt = 5, .lifetime_earned = 18}));
  EXPECT_EQ(BalanceOn(Day(62)), (Balance{.available = 4, .lifetime_earned = 18}));
}

TEST_F(SeedProgram, PointsAreGoneAYearAfterActivation) {
  Start(WithDebtFloor(0));
  Purchase(Day(0), 9'500);
  const Instant gone = UtcInstant(2025, 3, 31, 10 * kHour);
  EXPECT_EQ(BalanceOn(gone - 1).available, 9);
  EXPECT_EQ(BalanceOn(gone).available, 0);
}

// 1 point per $1, no expiry, no pending.
class WooCommerce : public LedgerFixture {
 protected:
  static Program WithRounding(Rounding rounding) {
    Program program;
    program.earn = {.points = 1, .per_spend = 100, .rounding = rounding};
    return program;
  }
};

TEST_F(WooCommerce, TwoDollarsFiftyEarnThreeByDefault) {
  Start(WithRounding(Rounding::kNearest));
  EXPECT_EQ(At(Day(0), Make(Kind::kPurchase, 250)).points, 3);
  EXPECT_EQ(At(Day(0), Make(Kind::kPurchase, 249)).points, 2);
}

TEST_F(WooCommerce, TwoDollarsFiftyEarnTwoRoundedDown) {
  Start(WithRounding(Rounding::kFloor));
  EXPECT_EQ(At(Day(0), Make(Kind::kPurchase, 250)).points, 2);
}

TEST_F(WooCommerce, TwoDollarsFiftyEarnThreeRoundedUp) {
  Start(WithRounding(Rounding::kCeil));
  EXPECT_EQ(At(Day(0), Make(Kind::kPurchase, 250)).points, 3);
  EXPECT_EQ(At(Day(0), Make(Kind::kPurchase, 200)).points, 2);
}

TEST_F(WooCommerce, DiscountOfOneDollarAndOneCentCosts101) {
  Start(WithRounding(Rounding::kNearest));
  Purchase(Day(0), 10'000);
  const Result refused = At(Day(1), Make(Kind::kRedeem, 101));
  EXPECT_EQ(refused.outcome, Outcome::kInsufficientPoints);
  EXPECT_EQ(refused.points, 0);
  EXPECT_EQ(refused.available, 100);
  Purchase(Day(1), 100);
  const Result result = At(Day(1), Make(Kind::kRedeem, 101));
  EXPECT_EQ(result.points, -101);
  EXPECT_EQ(result.available, 0);
}

TEST_F(WooCommerce, OrderOf100DollarsWith10DollarsOfDiscountEarns90) {
  Start(WithRounding(Rounding::kNearest));
  EXPECT_EQ(At(Day(0), Make(Kind::kPurchase, 10'000 - 1'000)).points, 90);
}

TEST_F(WooCommerce, RefundsOf40And60DollarsLeaveNothing) {
  Start(WithRounding(Rounding::kNearest));
  const Id purchase = Purchase(Day(0), 10'000);
  EXPECT_EQ(BalanceOn(Day(0)).available, 100);
  EXPECT_EQ(Return(Day(1), 4'000, purchase).points, -40);
  EXPECT_EQ(Return(Day(2), 6'000, purchase).points, -60);
  EXPECT_EQ(BalanceOn(Day(2)).available, 0);
  EXPECT_EQ(Return(Day(3), 1, purchase).outcome, Outcome::kAlreadyReturned);
}

TEST_F(WooCommerce, PartialReturnsAddUpWhateverTheRulesHaveBecome) {
  Start(WithRounding(Rounding::kNearest));
  const Id purchase = Purchase(Day(0), 250);
  Program generous = WithRounding(Rounding::kCeil);
  generous.id = kProgram;
  generous.earn.points = 10;
  generous.effective_at = Day(1);
  ledger_.PutProgram(generous, Day(1));
  EXPECT_EQ(Return(Day(2), 50, purchase).points, -1);   // f(200) = 2
  EXPECT_EQ(Return(Day(2), 151, purchase).points, -2);  // f(49) = 0
  EXPECT_EQ(Return(Day(2), 49, purchase).points, 0);
}

// 500 points are the least that can be redeemed.
TEST_F(LedgerFixture, Sephora499PointsAreRefused) {
  Program program;
  program.earn = {.points = 1, .per_spend = 100};
  program.redeem_minimum = 500;
  program.redeem_step = 500;
  Start(program);
  Purchase(Day(0), 60'000);
  EXPECT_EQ(At(Day(1), Make(Kind::kRedeem, 499)).outcome, Outcome::kBelowMinimum);
  EXPECT_EQ(At(Day(1), Make(Kind::kRedeem, 501)).outcome, Outcome::kBelowStep);
  EXPECT_EQ(At(Day(1), Make(Kind::kRedeem, 1'000)).outcome, Outcome::kInsufficientPoints);
  EXPECT_EQ(At(Day(1), Make(Kind::kRedeem, 500)).available, 100);
}

TEST_F(LedgerFixture, TwelveMonthsToMonthEndLastThroughTheMonth) {
  Program program;
  program.expiry = {.after = ExpiryAfter::kEarning, .months = 12, .round_up_to = RoundUp::kMonth};
  Start(program);
  const Instant earned = UtcInstant(2024, 7, 6, 9 * kHour);
  ASSERT_EQ(At(earned, Make(Kind::kAccrue, 10)).points, 10);
  EXPECT_EQ(BalanceOn(UtcInstant(2025, 8, 1) - 1).available, 10);
  EXPECT_EQ(BalanceOn(UtcInstant(2025, 8, 1)).available, 0);
}

}  // namespace
}  // namespace tallystick::model
