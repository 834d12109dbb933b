// What is held, captured and given back, each rule with its numbers.

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "tests/model/movements_fixture.h"

namespace tallystick::model {
namespace {

using Holds = MovementsFixture;

TEST_F(Holds, HoldPutsPointsAsideInSpendingOrder) {
  Start({});
  Accrue(Day(0), 5);
  Accrue(Day(0), 10, Day(20));
  const Result result = TryHold(Day(1), 12);
  EXPECT_EQ(result.outcome, Outcome::kOk);
  EXPECT_EQ(result.points, 0);
  EXPECT_EQ(result.available, 3);
  EXPECT_EQ(BalanceOn(Day(1)), (Balance{.available = 3, .held = 12, .lifetime_earned = 15}));
  EXPECT_EQ(totals().held, 12);
  EXPECT_EQ(totals().redeemed, 0);
  EXPECT_EQ(LotsOn(Day(1)), (std::vector{Lot{3, 5, Day(0), kNever, false}}));
  const model::Hold expected = {
      .sequence = 4,
      .times_out_at = Day(1) + 15 * kMinute,
      .points = 12,
      .lots = {{10, 10, Day(0), Day(20), false}, {2, 5, Day(0), kNever, false}}};
  EXPECT_EQ(HoldsOn(Day(1)), std::vector{expected});
}

TEST_F(Holds, HeldPointsCannotBeSpent) {
  Start({});
  Accrue(Day(0), 10);
  Hold(Day(0), 7);
  EXPECT_EQ(At(Day(0), Make(Kind::kRedeem, 4)).outcome, Outcome::kInsufficientPoints);
  EXPECT_EQ(At(Day(0), Make(Kind::kAdjust, -4)).outcome, Outcome::kInsufficientPoints);
  EXPECT_EQ(TryHold(Day(0), 4).outcome, Outcome::kInsufficientPoints);
  EXPECT_EQ(TryHold(Day(0), 3).outcome, Outcome::kOk);
}

TEST_F(Holds, RefusedHoldDoesNotExist) {
  Start({});
  Accrue(Day(0), 10);
  EXPECT_EQ(TryHold(Day(0), 11).outcome, Outcome::kInsufficientPoints);
  EXPECT_EQ(Capture(Day(0), last_.id).outcome, Outcome::kUnknownHold);
  EXPECT_TRUE(HoldsOn(Day(0)).empty());
}

TEST_F(Holds, HoldIsRefusedAsARedemptionIs) {
  Start({.redeem_minimum = 4, .redeem_step = 2});
  Accrue(Day(0), 10);
  EXPECT_EQ(TryHold(Day(0), 3).outcome, Outcome::kBelowMinimum);
  EXPECT_EQ(TryHold(Day(0), 13).outcome, Outcome::kBelowStep);
  EXPECT_EQ(TryHold(Day(0), 12, Day(31)).outcome, Outcome::kInsufficientPoints);
}

TEST_F(Holds, TimesOutAsTheVersionInForceSays) {
  Start({.hold_timeout_minutes = 20});
  ledger_.PutProgram({.id = kProgram, .hold_timeout_minutes = 60, .effective_at = Day(2)}, Day(0));
  Accrue(Day(0), 10);
  Operation late = Make(Kind::kHold, 1);
  late.occurred_at = Day(2) - 1;
  EXPECT_EQ(At(Day(3), late).outcome, Outcome::kOk);
  EXPECT_EQ(HoldsOn(Day(3))[0].times_out_at, Day(3) + 20 * kMinute);
  late = Make(Kind::kHold, 1);
  late.occurred_at = Day(2);
  EXPECT_EQ(At(Day(3), late).outcome, Outcome::kOk);
  EXPECT_EQ(HoldsOn(Day(3))[1].times_out_at, Day(3) + 60 * kMinute);
}

TEST_F(Holds, TimeoutIsAfterThePresentAndWithin30Days) {
  Start({});
  Accrue(Day(0), 10);
  Operation late = Expiring(Make(Kind::kHold, 1), Day(1));
  late.occurred_at = Day(0);
  EXPECT_EQ(At(Day(1), late).outcome, Outcome::kExpired);
  late.expires_at = Day(1) + 1;
  EXPECT_EQ(At(Day(1), late).outcome, Outcome::kOk);
  EXPECT_EQ(TryHold(Day(1), 1, Day(31) + 1).outcome, Outcome::kOverLimit);
  EXPECT_EQ(TryHold(Day(1), 1, Day(31)).outcome, Outcome::kOk);
}

TEST_F(Holds, AccountHasAtMost128OpenHolds) {
  Start({});
  Accrue(Day(0), 200);
  const Id first = Hold(Day(0), 1, Day(9));
  Hold(Day(0), 1, Day(5));
  for (int i = 2; i < 128; ++i) Hold(Day(0), 1, Day(9));
  EXPECT_EQ(TryHold(Day(1), 1).outcome, Outcome::kOverLimit);
  EXPECT_EQ(Capture(Day(1), first).outcome, Outcome::kOk);
  Hold(Day(1), 1, Day(9));
  EXPECT_EQ(TryHold(Day(5) - 1, 1).outcome, Outcome::kOverLimit);
  EXPECT_EQ(TryHold(Day(5), 1).outcome, Outcome::kOk);
}

TEST_F(Holds, WhatAHoldHasOfALotCountsAsALot) {
  Start({});
  std::vector<Operation> operations;
  for (int i = 0; i < 10'238; ++i) {
    operations.push_back(Make(Kind::kAccrue, 2));
    operations.back().occurred_at = Day(0);
  }
  for (const Result& result : ledger_.Apply(operations)) ASSERT_EQ(result.outcome, Outcome::kOk);
  const auto accrue = [this] { return At(Day(0), Make(Kind::kAccrue, 1)).outcome; };
  const Id half = Hold(Day(0), 1);
  const Id other_half = Hold(Day(0), 1);
  const Id half_of_next = Hold(Day(0), 1);
  EXPECT_EQ(accrue(), Outcome::kTooManyLots);
  EXPECT_EQ(TryHold(Day(0), 1).outcome, Outcome::kTooManyLots);
  // It joins what is left of its lot.
  Release(Day(0), half_of_next);
  EXPECT_EQ(accrue(), Outcome::kOk);
  EXPECT_EQ(accrue(), Outcome::kTooManyLots);
  // Nothing is left of its lot but what the other hold has.
  Release(Day(0), half);
  EXPECT_EQ(accrue(), Outcome::kTooManyLots);
  Release(Day(0), other_half);
  EXPECT_EQ(accrue(), Outcome::kOk);
}

TEST_F(Holds, AtItsTimeoutAHoldHasGivenBack) {
  Start({});
  Accrue(Day(0), 10);
  const Id hold = Hold(Day(0), 4);
  const Instant timeout = Day(0) + 15 * kMinute;
  EXPECT_EQ(BalanceOn(timeout - 1), (Balance{.available = 6, .held = 4, .lifetime_earned = 10}));
  EXPECT_EQ(BalanceOn(timeout), (Balance{.available = 10, .lifetime_earned = 10}));
  EXPECT_TRUE(HoldsOn(timeout).empty());
  EXPECT_EQ(LotsOn(timeout), (std::vector{Lot{10, 10, Day(0), kNever, false}}));
  EXPECT_EQ(Capture(timeout, hold).outcome, Outcome::kAlreadyReleased);
  EXPECT_EQ(Release(timeout, hold).outcome, Outcome::kAlreadyReleased);
  EXPECT_TRUE(ledger_.TakeDerived().empty());
  Redeem(timeout, 10);
  EXPECT_EQ(ledger_.TakeDerived(), (std::vector{Record(Kind::kHoldTimeout, 4, timeout, 3, 10)}));
}

TEST_F(Holds, HoldCanBeCapturedUntilItsTimeout) {
  Start({});
  Accrue(Day(0), 10);
  const Id hold = Hold(Day(0), 4, Day(3));
  EXPECT_EQ(Capture(Day(3) - 1, hold).points, -4);
  EXPECT_EQ(totals().redeemed, 4);
}

TEST_F(Holds, TimeoutsAreSettledByThemselves) {
  Start({});
  Accrue(Day(0), 10);
  Hold(Day(0), 4, Day(3));
  ledger_.BeginBlock(Day(4), false);
  ledger_.SettleAll();
  EXPECT_EQ(ledger_.log_time(), Day(4));
  EXPECT_EQ(ledger_.TakeDerived(), (std::vector{Record(Kind::kHoldTimeout, 4, Day(3), 3, 10)}));
  EXPECT_EQ(ledger_.Members(kProgram).front().second.held, 0);
}

TEST_F(Holds, CaptureTakesAllOrPartAndGivesBackTheRest) {
  Start({});
  Accrue(Day(0), 10);
  const Id all = Hold(Day(0), 6);
  const Result captured = Capture(Day(0), all);
  EXPECT_EQ(captured.points, -6);
  EXPECT_EQ(captured.available, 4);
  EXPECT_FALSE(captured.detailed);
  EXPECT_EQ(captured.details, Details{});
  const Id part = Hold(Day(0), 4);
  const Result partly = Capture(Day(0), part, 1);
  EXPECT_EQ(partly.points, -1);
  EXPECT_EQ(partly.available, 3);
  EXPECT_EQ(BalanceOn(Day(0)).held, 0);
  EXPECT_EQ(totals().redeemed, 7);
  EXPECT_EQ(Capture(Day(0), part, 1).outcome, Outcome::kAlreadyCaptured);
  EXPECT_EQ(Release(Day(0), part).outcome, Outcome::kAlreadyCaptured);
  // Its timeout is past, but what has happened to it stays.
  EXPECT_EQ(Capture(Day(1), part, 1).outcome, Outcome::kAlreadyCaptured);
  EXPECT_TRUE(ledger_.TakeDerived().empty());
}

TEST_F(Holds, CaptureTakesTheSoonestExpiringFirst) {
  Start({});
  Accrue(Day(0), 5);
  Accrue(Day(0), 5, Day(20));
  const Id hold = Hold(Day(0), 10);
  EXPECT_EQ(Capture(Day(0), hold, 6).available, 4);
  EXPECT_EQ(LotsOn(Day(0)), (std::vector{Lot{4, 5, Day(0), kNever, false}}));
}

TEST_F(Holds, CaptureOfMoreThanIsHeldIsRefused) {
  Start({.redeem_minimum = 2});
  Accrue(Day(0), 10);
  const Id hold = Hold(Day(0), 4);
  const Result refused = Capture(Day(0), hold, 5);
  EXPECT_EQ(refused.outcome, Outcome::kInsufficientPoints);
  EXPECT_EQ(refused.available, 6);
  EXPECT_EQ(Capture(Day(0), hold, 4).outcome, Outcome::kOk);
}

TEST_F(Holds, PartialCaptureIsWhatTheVersionOfTheHoldLetsBeRedeemed) {
  Start({.redeem_minimum = 4, .redeem_step = 2});
  Accrue(Day(0), 30);
  const Id hold = Hold(Day(0), 10, Day(9));
  const Id other = Hold(Day(0), 10, Day(9));
  Program stricter = {.id = kProgram, .redeem_minimum = 20, .redeem_step = 7};
  stricter.effective_at = Day(1);
  ledger_.PutProgram(stricter, Day(1));
  EXPECT_EQ(Capture(Day(1), hold, 2).outcome, Outcome::kBelowMinimum);
  EXPECT_EQ(Capture(Day(1), hold, 5).outcome, Outcome::kBelowStep);
  EXPECT_EQ(Capture(Day(1), hold, 6).outcome, Outcome::kOk);
  EXPECT_EQ(Capture(Day(1), other).outcome, Outcome::kOk);
}

TEST_F(Holds, ReleaseGivesBack) {
  Start({});
  Accrue(Day(0), 10);
  const Id hold = Hold(Day(0), 6);
  const Result result = Release(Day(0), hold);
  EXPECT_EQ(result.points, 0);
  EXPECT_EQ(result.available, 10);
  EXPECT_EQ(Release(Day(0), hold).outcome, Outcome::kAlreadyReleased);
  EXPECT_EQ(Capture(Day(0), hold).outcome, Outcome::kAlreadyReleased);
  EXPECT_EQ(BalanceOn(Day(1)), (Balance{.available = 10, .lifetime_earned = 10}));
}

TEST_F(Holds, OnlyAHoldOfTheAccountIsCapturedOrReleased) {
  Start({});
  const Id accrual = Accrue(Day(0), 10);
  for (const Kind kind : {Kind::kCapture, Kind::kRelease}) {
    EXPECT_EQ(At(Day(0), Make(kind, 0, {0, 999})).outcome, Outcome::kUnknownHold);
    EXPECT_EQ(At(Day(0), Make(kind, 0, accrual)).outcome, Outcome::kNotPermitted);
  }
  const Id hold = Hold(Day(0), 4);
  Operation enrolment = Make(Kind::kEnrol, 0);
  enrolment.member = {2, 2};
  At(Day(0), enrolment);
  Operation strange = Make(Kind::kCapture, 0, hold);
  strange.member = {2, 2};
  EXPECT_EQ(At(Day(0), strange).outcome, Outcome::kUnknownHold);
}

TEST_F(Holds, ExpiryIsFrozenWhileHeld) {
  Start({});
  Accrue(Day(0), 10, Day(5));
  const Id hold = Hold(Day(1), 6, Day(9));
  EXPECT_EQ(BalanceOn(Day(5)), (Balance{.held = 6, .lifetime_earned = 10}));
  EXPECT_EQ(Capture(Day(6), hold).points, -6);
  EXPECT_EQ(totals().expired, 4);
  EXPECT_EQ(totals().redeemed, 6);
}

TEST_F(Holds, WhatHasExpiredMeanwhileExpiresBehindTheRelease) {
  Start({});
  Accrue(Day(0), 5, Day(7));
  Accrue(Day(0), 3, Day(5));
  Accrue(Day(0), 4, Day(8));
  const Id hold = Hold(Day(1), 12, Day(9));
  const Result result = Release(Day(7), hold);
  EXPECT_EQ(result.points, 0);
  EXPECT_EQ(result.available, 12);
  EXPECT_EQ(ledger_.TakeDerived(), (std::vector{Record(Kind::kExpiry, 3, Day(5), 3, 9),
                                                Record(Kind::kExpiry, 5, Day(7), 2, 4)}));
  EXPECT_EQ(BalanceOn(Day(7)).available, 4);
  EXPECT_EQ(totals().expired, 8);
}

TEST_F(Holds, AnInstantBeforeItsExpiryALotIsGivenBackWhole) {
  Start({});
  Accrue(Day(0), 5, Day(7));
  const Id hold = Hold(Day(1), 3, Day(9));
  EXPECT_EQ(Release(Day(7) - 1, hold).available, 5);
  EXPECT_TRUE(ledger_.TakeDerived().empty());
  EXPECT_EQ(LotsOn(Day(7) - 1), (std::vector{Lot{5, 5, Day(0), Day(7), false}}));
  EXPECT_EQ(BalanceOn(Day(7)).available, 0);
}

TEST_F(Holds, WhatHasExpiredMeanwhileExpiresBehindThePartialCapture) {
  Start({});
  Accrue(Day(0), 5, Day(5));
  const Id hold = Hold(Day(1), 5, Day(9));
  const Result result = Capture(Day(6), hold, 2);
  EXPECT_EQ(result.points, -2);
  EXPECT_EQ(result.available, 3);
  EXPECT_EQ(ledger_.TakeDerived(), (std::vector{Record(Kind::kExpiry, 3, Day(5), 2, 0)}));
}

TEST_F(Holds, AtOneInstantTimeoutsComeBeforeExpiriesAndActivations) {
  Start({.pending_days = 5});
  At(Day(0), Expiring(Make(Kind::kAdjust, 10), Day(5)));
  Accrue(Day(0), 7);
  Hold(Day(1), 4, Day(5));
  Hold(Day(1), 3, Day(5));
  At(Day(5), Make(Kind::kEnrol, 0));
  // What a hold gives back of an expired lot goes right behind its timeout; what was beside the
  // holds goes when lots expire.
  EXPECT_EQ(ledger_.TakeDerived(), (std::vector{Record(Kind::kHoldTimeout, 4, Day(5), 4, 7, 7),
                                                Record(Kind::kExpiry, 4, Day(5), 2, 3, 7),
                                                Record(Kind::kHoldTimeout, 3, Day(5), 5, 6, 7),
                                                Record(Kind::kExpiry, 3, Day(5), 2, 3, 7),
                                                Record(Kind::kExpiry, 3, Day(5), 2, 0, 7),
                                                Record(Kind::kActivation, 7, Day(5), 3, 7, 0)}));
}

TEST_F(Holds, TimeoutsAndExpiriesComeInOrderOfInstants) {
  Start({});
  Accrue(Day(0), 10, Day(5));
  Hold(Day(1), 4, Day(6));
  Hold(Day(1), 3, Day(5) - 1);
  At(Day(7), Make(Kind::kEnrol, 0));
  EXPECT_EQ(ledger_.TakeDerived(), (std::vector{Record(Kind::kHoldTimeout, 3, Day(5) - 1, 4, 6),
                                                Record(Kind::kExpiry, 6, Day(5), 2, 0),
                                                Record(Kind::kHoldTimeout, 4, Day(6), 3, 4),
                                                Record(Kind::kExpiry, 4, Day(5), 2, 0)}));
}

TEST_F(Holds, TimeoutIsBeforeTheOperationOfItsInstant) {
  Start({});
  Accrue(Day(0), 10);
  Hold(Day(0), 10, Day(5));
  EXPECT_EQ(At(Day(5) - 1, Make(Kind::kRedeem, 10)).outcome, Outcome::kInsufficientPoints);
  EXPECT_EQ(At(Day(5), Make(Kind::kRedeem, 10)).outcome, Outcome::kOk);
}

// Ten points earned by ten of spend, four of them redeemed and six held.
class HoldInDebt : public MovementsFixture {
 protected:
  void StartInDebt(int64_t spend_returned, int64_t debt_floor) {
    Start({.debt_floor = debt_floor});
    At(Day(0), Expiring(Make(Kind::kPurchase, 10), Day(5)));
    const Id purchase = last_.id;
    Redeem(Day(1), 4);
    hold_ = Hold(Day(1), 6, Day(8));
    returned_ = Return(Day(2), spend_returned, purchase);
  }

  Id hold_;
  Result returned_;
};

TEST_F(HoldInDebt, ReturnLeavesWhatIsHeldButOwesAsMuch) {
  StartInDebt(10, 0);
  EXPECT_EQ(returned_.points, -6);
  EXPECT_EQ(returned_.available, -6);
  EXPECT_TRUE(returned_.written_off);
  EXPECT_EQ(returned_.details, (Details{10, 0, 0, 6, 4}));
  EXPECT_EQ(BalanceOn(Day(2)), (Balance{.held = 6, .debt = 6, .lifetime_earned = 10}));
}

TEST_F(HoldInDebt, DebtFloorIsBesideWhatIsHeld) {
  StartInDebt(10, 3);
  EXPECT_EQ(returned_.details, (Details{10, 0, 0, 9, 1}));
}

TEST_F(HoldInDebt, ReleasePaysTheDebtFirst) {
  StartInDebt(5, 0);
  const Result result = Release(Day(3), hold_);
  EXPECT_EQ(result.points, 0);
  EXPECT_EQ(result.available, 1);
  EXPECT_EQ(LotsOn(Day(3)), (std::vector{Lot{1, 10, Day(0), Day(5), false}}));
}

TEST_F(HoldInDebt, WhatPaysDebtDoesNotExpire) {
  StartInDebt(5, 0);
  At(Day(9), Make(Kind::kEnrol, 0));
  EXPECT_EQ(ledger_.TakeDerived(), (std::vector{Record(Kind::kHoldTimeout, 6, Day(8), 4, 1),
                                                Record(Kind::kExpiry, 1, Day(5), 2, 0)}));
  EXPECT_EQ(totals().debt, 0);
}

TEST_F(HoldInDebt, CaptureOfAllForgivesTheDebtBeyondTheFloor) {
  StartInDebt(10, 0);
  const Result result = Capture(Day(3), hold_);
  EXPECT_EQ(result.points, 0);
  EXPECT_EQ(result.available, 0);
  EXPECT_TRUE(result.detailed);
  EXPECT_EQ(result.details, (Details{6, 0, 6}));
  EXPECT_EQ(totals().forgiven, 6);
  EXPECT_EQ(totals().redeemed, 4 + 6);
  EXPECT_EQ(totals().debt, 0);
  const Result replay = At(Day(3), last_);
  EXPECT_TRUE(replay.replayed);
  EXPECT_TRUE(replay.detailed);
  EXPECT_EQ(replay.details, Details{});
}

TEST_F(HoldInDebt, PartialCapturePaysWithTheRestAndForgives) {
  StartInDebt(10, 0);
  const Result result = Capture(Day(3), hold_, 2);
  EXPECT_EQ(result.points, 0);
  EXPECT_EQ(result.details, (Details{2, 4, 2}));
}

TEST_F(HoldInDebt, CaptureForgivesNothingWithinTheFloor) {
  StartInDebt(10, 10);
  const Result result = Capture(Day(3), hold_);
  EXPECT_EQ(result.points, -6);
  EXPECT_EQ(result.available, -10);
  EXPECT_FALSE(result.detailed);
  EXPECT_EQ(totals().forgiven, 0);
}

TEST_F(HoldInDebt, CaptureForgivesByTheVersionInForceBesideOtherHolds) {
  StartInDebt(10, 10);
  At(Day(3), Make(Kind::kAdjust, 12));
  Hold(Day(3), 2, Day(9));
  EXPECT_EQ(BalanceOn(Day(3)), (Balance{.held = 8, .lifetime_earned = 10}));
  const Id purchase = Purchase(Day(3), 5);
  Redeem(Day(3), 5);
  ASSERT_EQ(Return(Day(3), 5, purchase).available, -5);
  ledger_.PutProgram({.id = kProgram, .debt_floor = 1, .effective_at = Day(4)}, Day(4));
  const Result result = Capture(Day(4), hold_, 5);
  // One given back pays one of five; two are still held.
  EXPECT_EQ(result.details, (Details{5, 1, 1}));
  EXPECT_EQ(result.points, -4);
  EXPECT_EQ(result.available, -3);
}

TEST_F(Holds, ReceiptOfAHoldServes31DaysWhateverTheRetention) {
  Start({.retention_days = 1, .return_days = 0});
  Accrue(Day(0), 10);
  const Id hold = Hold(Day(0), 4, Day(30));
  EXPECT_EQ(Capture(Day(31), hold).outcome, Outcome::kAlreadyReleased);
  EXPECT_EQ(Capture(Day(31) + 1, hold).outcome, Outcome::kUnknownHold);
}

TEST_F(Holds, ChecksNameTheFirstBadField) {
  Start({});
  Operation bad = Make(Kind::kHold, 0);
  EXPECT_EQ(BadFieldOf(bad), Field::kAmount);
  bad.amount = 1;
  bad.related = {0, 1};
  EXPECT_EQ(BadFieldOf(bad), Field::kRelated);
  bad.related = {};
  bad.expires_at = Day(0);
  EXPECT_EQ(BadFieldOf(bad), Field::kExpiresAt);

  EXPECT_EQ(BadFieldOf(Make(Kind::kCapture, -1)), Field::kAmount);
  EXPECT_EQ(BadFieldOf(Make(Kind::kCapture, 0)), Field::kRelated);
  EXPECT_EQ(BadFieldOf(Make(Kind::kRelease, 1)), Field::kAmount);
  EXPECT_EQ(BadFieldOf(Make(Kind::kRelease, 0)), Field::kRelated);
  EXPECT_EQ(BadFieldOf(Expiring(Make(Kind::kCapture, 0, {0, 1}), Day(1))), Field::kExpiresAt);
  EXPECT_EQ(BadFieldOf(Expiring(Make(Kind::kRelease, 0, {0, 1}), Day(1))), Field::kExpiresAt);
}

TEST_F(Holds, FailedChainLeavesNoHold) {
  Start({});
  Accrue(Day(0), 10);
  Operation hold = Make(Kind::kHold, 4);
  Operation capture = Make(Kind::kCapture, 5, hold.id);
  hold.flags = kLinked;
  hold.occurred_at = capture.occurred_at = Day(0);
  const std::vector<Result> refused = ledger_.Apply({hold, capture});
  EXPECT_EQ(refused[1].outcome, Outcome::kInsufficientPoints);
  EXPECT_EQ(refused[1].available, 6);
  EXPECT_EQ(BalanceOn(Day(0)).held, 0);
  capture.amount = 3;
  EXPECT_EQ(ledger_.Apply({hold, capture})[1].available, 7);
}

}  // namespace
}  // namespace tallystick::model
