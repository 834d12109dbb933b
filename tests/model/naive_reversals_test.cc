// Redemptions that are reversed, each rule with its numbers.

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "tests/model/movements_fixture.h"

namespace tallystick::model {
namespace {

using Reversals = MovementsFixture;

TEST_F(Reversals, PointsGoBackToTheirLotsLastConsumedFirst) {
  Start({});
  Accrue(Day(0), 5, Day(20));
  Accrue(Day(0), 5);
  const Id redemption = Redeem(Day(1), 8);
  const Result part = Reverse(Day(2), 4, redemption);
  EXPECT_EQ(part.points, 4);
  EXPECT_EQ(part.available, 6);
  EXPECT_FALSE(part.detailed);
  EXPECT_EQ(part.details, Details{});
  EXPECT_EQ(LotsOn(Day(2)),
            (std::vector{Lot{1, 5, Day(0), Day(20), false}, Lot{5, 5, Day(0), kNever, false}}));
  EXPECT_EQ(Reverse(Day(2), 5, redemption).outcome, Outcome::kAlreadyReturned);
  EXPECT_EQ(Reverse(Day(2), 4, redemption).points, 4);
  EXPECT_EQ(LotsOn(Day(2)),
            (std::vector{Lot{5, 5, Day(0), Day(20), false}, Lot{5, 5, Day(0), kNever, false}}));
  EXPECT_EQ(Reverse(Day(2), 1, redemption).outcome, Outcome::kAlreadyReturned);
  EXPECT_EQ(totals().reinstated, 8);
  EXPECT_EQ(totals().redeemed, 8);
  EXPECT_EQ(BalanceOn(Day(2)).lifetime_earned, 10);
}

TEST_F(Reversals, CaptureIsReversedLikeARedemption) {
  Start({});
  Accrue(Day(0), 5, Day(20));
  Accrue(Day(0), 5);
  const Id hold = Hold(Day(1), 9);
  ASSERT_EQ(Capture(Day(1), hold, 7).points, -7);
  const Id capture = last_.id;
  EXPECT_EQ(Reverse(Day(2), 8, capture).outcome, Outcome::kAlreadyReturned);
  EXPECT_EQ(Reverse(Day(2), 3, capture).points, 3);
  EXPECT_EQ(LotsOn(Day(2)),
            (std::vector{Lot{1, 5, Day(0), Day(20), false}, Lot{5, 5, Day(0), kNever, false}}));
}

TEST_F(Reversals, OnlyARedemptionOfTheAccountIsReversed) {
  Start({});
  const Id accrual = Accrue(Day(0), 10);
  const Id hold = Hold(Day(0), 1);
  EXPECT_EQ(At(Day(0), Make(Kind::kAdjust, -1)).outcome, Outcome::kOk);
  const Id adjustment = last_.id;
  EXPECT_EQ(Reverse(Day(0), 1, {0, 999}).outcome, Outcome::kUnknownOriginal);
  for (const Id& id : {accrual, hold, adjustment}) {
    EXPECT_EQ(Reverse(Day(0), 1, id).outcome, Outcome::kNotPermitted);
  }
}

TEST_F(Reversals, ReceiptsOfRedemptionsAndCapturesLiveForReturnDays) {
  Start({.retention_days = 2, .return_days = 10});
  Accrue(Day(0), 10);
  const Id hold = Hold(Day(0), 5);
  const Id redemption = Redeem(Day(0), 5);
  ASSERT_EQ(Capture(Day(0), hold).outcome, Outcome::kOk);
  const Id capture = last_.id;
  for (const Id& id : {redemption, capture}) {
    EXPECT_EQ(Reverse(Day(10), 1, id).outcome, Outcome::kOk);
    EXPECT_EQ(Reverse(Day(10) + 1, 1, id).outcome, Outcome::kUnknownOriginal);
  }
}

TEST_F(Reversals, LotThatHasNotExpiredKeepsItsDates) {
  Start({});
  Accrue(Day(0), 10, Day(5));
  const Id redemption = Redeem(Day(1), 10);
  EXPECT_EQ(Reverse(Day(5) - 1, 10, redemption).available, 10);
  EXPECT_EQ(LotsOn(Day(5) - 1), (std::vector{Lot{10, 10, Day(0), Day(5), false}}));
  EXPECT_EQ(BalanceOn(Day(5)).available, 0);
}

TEST_F(Reversals, LotThatHasExpiredIsRestoredWithAGraceOf30Days) {
  Start({});
  Accrue(Day(0), 10, Day(5));
  const Id redemption = Redeem(Day(1), 6);
  const Result result = Reverse(Day(5), 6, redemption);
  EXPECT_EQ(result.points, 6);
  EXPECT_EQ(result.available, 6);
  EXPECT_FALSE(result.detailed);
  EXPECT_EQ(LotsOn(Day(5)), (std::vector{Lot{6, 10, Day(0), Day(35), false}}));
  EXPECT_EQ(BalanceOn(Day(35) - 1).available, 6);
  EXPECT_EQ(BalanceOn(Day(35)).available, 0);
  EXPECT_EQ(totals().expired, 4);
}

TEST_F(Reversals, GraceIsInCivilDaysOfTheVersionInForce) {
  const Zone berlin = {.initial_offset_s = 3'600,
                       .transitions = {{UtcInstant(2024, 3, 31, kHour), 7'200}}};
  Start({});
  Accrue(Day(0), 10, Day(5));
  const Id redemption = Redeem(Day(1), 6);
  ledger_.PutProgram(
      {.id = kProgram, .reversal_grace_days = 21, .effective_at = Day(2), .zone = berlin}, Day(2));
  Reverse(Day(10), 6, redemption);
  EXPECT_EQ(LotsOn(Day(10))[0].expires_at, Day(31) - kHour);
}

TEST_F(Reversals, LotThatHasExpiredMayBeForfeited) {
  Start({.forfeit_expired = true});
  Accrue(Day(0), 10, Day(5));
  Accrue(Day(0), 10);
  const Id redemption = Redeem(Day(1), 13);
  const Result result = Reverse(Day(5), 13, redemption);
  EXPECT_EQ(result.points, 3);
  EXPECT_EQ(result.available, 10);
  EXPECT_TRUE(result.detailed);
  EXPECT_EQ(result.details, (Details{13, 0, 10}));
  EXPECT_EQ(totals().reinstated, 13);
  EXPECT_EQ(totals().forfeited, 10);
  EXPECT_EQ(totals().expired, 10);
  EXPECT_TRUE(ledger_.TakeDerived().empty());
  const Result replay = At(Day(5), last_);
  EXPECT_TRUE(replay.detailed);
  EXPECT_EQ(replay.details, Details{});
}

TEST_F(Reversals, NothingIsForfeitedAnInstantBeforeItsExpiry) {
  Start({.forfeit_expired = true});
  Accrue(Day(0), 10, Day(5));
  const Id redemption = Redeem(Day(1), 10);
  EXPECT_EQ(Reverse(Day(5) - 1, 10, redemption).points, 10);
  EXPECT_EQ(totals().forfeited, 0);
}

TEST_F(Reversals, LotWithPointsKeepsItsPresentDates) {
  Start({});
  Accrue(Day(0), 10, Day(5));
  const Id first = Redeem(Day(1), 3);
  const Id second = Redeem(Day(1), 3);
  Reverse(Day(6), 3, first);
  Reverse(Day(7), 3, second);
  EXPECT_EQ(LotsOn(Day(7)), (std::vector{Lot{6, 10, Day(0), Day(36), false}}));
}

TEST_F(Reversals, EmptyLotHasTheDatesOfTheTaking) {
  Start({});
  Accrue(Day(0), 10, Day(5));
  const Id first = Redeem(Day(1), 3);
  const Id second = Redeem(Day(1), 3);
  Reverse(Day(6), 3, first);
  const Id third = Redeem(Day(6), 3);
  Reverse(Day(7), 1, third);
  EXPECT_EQ(LotsOn(Day(7)), (std::vector{Lot{1, 10, Day(0), Day(36), false}}));
  Redeem(Day(7), 1);
  Reverse(Day(8), 1, second);
  EXPECT_EQ(LotsOn(Day(8)), (std::vector{Lot{1, 10, Day(0), Day(38), false}}));
}

TEST_F(Reversals, RestoredLotTakesWhatIsHeldOfItAlong) {
  Start({});
  Accrue(Day(0), 10, Day(5));
  const Id redemption = Redeem(Day(1), 4);
  Hold(Day(1), 6, Day(9));
  Reverse(Day(6), 4, redemption);
  EXPECT_EQ(HoldsOn(Day(6))[0].lots, (std::vector{Lot{6, 10, Day(0), Day(36), false}}));
  EXPECT_EQ(LotsOn(Day(9)), (std::vector{Lot{10, 10, Day(0), Day(36), false}}));
}

TEST_F(Reversals, LotThatIsAllHeldKeepsItsPresentDates) {
  Start({});
  Accrue(Day(0), 10, Day(5));
  const Id redemption = Redeem(Day(1), 4);
  Hold(Day(1), 6, Day(9));
  Extend(Day(1), Day(20));
  Reverse(Day(6), 4, redemption);
  EXPECT_EQ(LotsOn(Day(6)), (std::vector{Lot{4, 10, Day(0), Day(20), false}}));
  EXPECT_EQ(HoldsOn(Day(6))[0].lots, (std::vector{Lot{6, 10, Day(0), Day(20), false}}));
}

TEST_F(Reversals, ForfeitLeavesWhatIsHeld) {
  Start({.forfeit_expired = true});
  Accrue(Day(0), 10, Day(5));
  const Id redemption = Redeem(Day(1), 4);
  const Id hold = Hold(Day(1), 6, Day(9));
  EXPECT_EQ(Reverse(Day(6), 4, redemption).details, (Details{4, 0, 4}));
  EXPECT_EQ(Capture(Day(6), hold).points, -6);
  const Id capture = last_.id;
  EXPECT_EQ(Reverse(Day(6), 6, capture).details, (Details{6, 0, 6}));
}

TEST_F(Reversals, WhatComesBackPaysDebt) {
  Start({.debt_floor = 100});
  const Id purchase = Purchase(Day(0), 10);
  const Id redemption = Redeem(Day(1), 10);
  ASSERT_EQ(Return(Day(2), 4, purchase).available, -4);
  const Result result = Reverse(Day(3), 10, redemption);
  EXPECT_EQ(result.points, 10);
  EXPECT_EQ(result.available, 6);
  EXPECT_FALSE(result.detailed);
  EXPECT_EQ(totals().debt, 0);
}

TEST_F(Reversals, WhatWasWrittenOffIsRepaidFirst) {
  Start({.debt_floor = 3});
  const Id purchase = Purchase(Day(0), 10);
  const Id redemption = Redeem(Day(1), 10);
  ASSERT_EQ(Return(Day(2), 10, purchase).details, (Details{10, 0, 0, 3, 7}));
  const Result first = Reverse(Day(3), 6, redemption);
  EXPECT_EQ(first.points, 0);
  EXPECT_EQ(first.available, -3);
  EXPECT_TRUE(first.detailed);
  EXPECT_EQ(first.details, (Details{6, 6, 0}));
  EXPECT_EQ(totals().written_off, 1);
  EXPECT_EQ(totals().clawed_back, 9);
  const Result second = Reverse(Day(3), 4, redemption);
  EXPECT_EQ(second.points, 3);
  EXPECT_EQ(second.available, 0);
  EXPECT_EQ(second.details, (Details{4, 1, 0}));
  EXPECT_EQ(totals().written_off, 0);
  EXPECT_EQ(totals().clawed_back, 10);
  EXPECT_EQ(totals().reinstated, 10);
}

TEST_F(Reversals, RepaymentComesBeforeForfeit) {
  Start({.forfeit_expired = true});
  At(Day(0), Expiring(Make(Kind::kPurchase, 10), Day(5)));
  const Id purchase = last_.id;
  const Id redemption = Redeem(Day(1), 10);
  ASSERT_TRUE(Return(Day(2), 4, purchase).written_off);
  EXPECT_EQ(Reverse(Day(6), 10, redemption).details, (Details{10, 4, 6}));
}

TEST_F(Reversals, WhatIsRepaidStaysClaimed) {
  Start({});
  const Id purchase = Purchase(Day(0), 10);
  const Id redemption = Redeem(Day(1), 10);
  ASSERT_TRUE(Return(Day(2), 4, purchase).written_off);
  EXPECT_EQ(Reverse(Day(3), 10, redemption).points, 6);
  EXPECT_EQ(Return(Day(4), 6, purchase).points, -6);
  EXPECT_EQ(totals().clawed_back, 10);
}

TEST_F(Reversals, OnlyItsOwnPurchaseIsRepaid) {
  Start({});
  const Id first = Purchase(Day(0), 10);
  Purchase(Day(0), 10);
  const Id of_first = Redeem(Day(1), 10);
  const Id of_second = Redeem(Day(1), 10);
  ASSERT_TRUE(Return(Day(2), 10, first).written_off);
  EXPECT_EQ(Reverse(Day(3), 10, of_second).points, 10);
  EXPECT_EQ(Reverse(Day(3), 10, of_first).details, (Details{10, 10, 0}));
}

TEST_F(Reversals, NothingIsRepaidOnceTheReceiptOfThePurchaseIsGone) {
  Start({.retention_days = 2, .return_days = 10});
  const Id purchase = Purchase(Day(0), 10);
  const Id redemption = Redeem(Day(5), 10);
  ASSERT_TRUE(Return(Day(6), 10, purchase).written_off);
  EXPECT_EQ(Reverse(Day(10), 1, redemption).points, 0);
  EXPECT_EQ(Reverse(Day(10) + 1, 9, redemption).points, 9);
  EXPECT_EQ(totals().written_off, 9);
}

TEST_F(Reversals, WhatWasForfeitedIsNotClaimed) {
  Start({.forfeit_expired = true, .debt_floor = 100});
  At(Day(0), Expiring(Make(Kind::kPurchase, 10), Day(5)));
  const Id purchase = last_.id;
  const Id redemption = Redeem(Day(1), 10);
  ASSERT_EQ(Reverse(Day(6), 7, redemption).details, (Details{7, 0, 7}));
  EXPECT_EQ(Return(Day(6), 10, purchase).points, -3);
}

TEST_F(Reversals, ReinstatedPointsCountAsCredited) {
  Start({});
  Accrue(Day(0), kMostPoints - 3);
  const Id redemption = Redeem(Day(0), 10);
  EXPECT_EQ(Reverse(Day(0), 4, redemption).outcome, Outcome::kOverflow);
  EXPECT_EQ(Reverse(Day(0), 2, redemption).outcome, Outcome::kOk);
  EXPECT_EQ(At(Day(0), Make(Kind::kAccrue, 2)).outcome, Outcome::kOverflow);
  EXPECT_EQ(Reverse(Day(0), 9, redemption).outcome, Outcome::kAlreadyReturned);
  EXPECT_EQ(Reverse(Day(0), 1, redemption).outcome, Outcome::kOk);
}

TEST_F(Reversals, ReversalIsCheckedBeforeItIsKnownWhatItRepays) {
  Start({.debt_floor = kMostPoints, .unknown_original = UnknownOriginal::kNewest});
  Accrue(Day(0), 10);
  const Id redemption = Redeem(Day(0), 10);
  ASSERT_EQ(Return(Day(0), kMostPoints - 5, {}).available, -(kMostPoints - 5));
  EXPECT_EQ(Reverse(Day(0), 6, redemption).outcome, Outcome::kOverflow);
  EXPECT_EQ(Reverse(Day(0), 5, redemption).points, 5);
}

TEST_F(Reversals, TakingsCountAsLots) {
  Start({});
  std::vector<Operation> operations;
  for (int i = 0; i < 10'239; ++i) {
    operations.push_back(Make(Kind::kAccrue, 2));
    operations.back().occurred_at = Day(0);
  }
  for (const Result& result : ledger_.Apply(operations)) ASSERT_EQ(result.outcome, Outcome::kOk);
  const Id redemption = Redeem(Day(0), 3);
  Accrue(Day(0), 1);
  // 10,239 lots have points, and the third point is of one of them.
  EXPECT_EQ(Reverse(Day(0), 2, redemption).outcome, Outcome::kTooManyLots);
  EXPECT_EQ(Reverse(Day(0), 1, redemption).outcome, Outcome::kOk);
  EXPECT_EQ(Reverse(Day(0), 2, redemption).outcome, Outcome::kOk);
}

TEST_F(Reversals, ChecksNameTheFirstBadField) {
  Start({});
  Operation bad = Make(Kind::kReverseRedemption, 0);
  EXPECT_EQ(BadFieldOf(bad), Field::kAmount);
  bad.amount = 1;
  EXPECT_EQ(BadFieldOf(bad), Field::kRelated);
  bad.related = {0, 1};
  bad.expires_at = Day(1);
  EXPECT_EQ(BadFieldOf(bad), Field::kExpiresAt);
}

}  // namespace
}  // namespace tallystick::model
