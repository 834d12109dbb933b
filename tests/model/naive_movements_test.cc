// Holds, reversals and the other movements of an account, each rule with its numbers.

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "tests/model/ledger_fixture.h"
#include "tests/model/naive_ledger.h"

namespace tallystick::model {
namespace {

constexpr int64_t kMaxPoints = std::numeric_limits<int64_t>::max();
using Details = std::vector<int64_t>;

class MovementsFixture : public LedgerFixture {
 protected:
  static Operation Expiring(Operation operation, Instant expires_at) {
    operation.expires_at = expires_at;
    return operation;
  }

  // Both return the id of the operation, which must be accepted.
  Id Accrue(Instant t, int64_t points, Instant expires_at = 0) {
    EXPECT_EQ(At(t, Expiring(Make(Kind::kAccrue, points), expires_at)).outcome, Outcome::kOk);
    return last_.id;
  }
  Id Redeem(Instant t, int64_t points) {
    EXPECT_EQ(At(t, Make(Kind::kRedeem, points)).outcome, Outcome::kOk);
    return last_.id;
  }
  Id Hold(Instant t, int64_t points, Instant times_out_at = 0) {
    EXPECT_EQ(TryHold(t, points, times_out_at).outcome, Outcome::kOk);
    return last_.id;
  }

  Result TryHold(Instant t, int64_t points, Instant times_out_at = 0) {
    return At(t, Expiring(Make(Kind::kHold, points), times_out_at));
  }
  Result Capture(Instant t, Id hold, int64_t points = 0) {
    return At(t, Make(Kind::kCapture, points, hold));
  }
  Result Release(Instant t, Id hold) { return At(t, Make(Kind::kRelease, 0, hold)); }

  Result Reverse(Instant t, int64_t points, Id redemption) {
    return At(t, Make(Kind::kReverseRedemption, points, redemption));
  }

  Result Activate(Instant t, Id earned) { return At(t, Make(Kind::kActivate, 0, earned)); }
  Result Cancel(Instant t, Id earned, int64_t points = 0) {
    return At(t, Make(Kind::kCancel, points, earned));
  }
  Result Extend(Instant t, Instant expires_at) {
    return At(t, Expiring(Make(Kind::kExtend, 0), expires_at));
  }
  Result Close(Instant t) { return At(t, Make(Kind::kClose, 0)); }
  Result CloseExpiringTheRest(Instant t) {
    Operation close = Make(Kind::kClose, 0);
    close.flags = kExpireRest;
    return At(t, close);
  }

  Field BadFieldOf(const Operation& operation) {
    const Result result = At(Day(0), operation);
    EXPECT_EQ(result.outcome, Outcome::kBadRequest);
    return result.field;
  }

  static Derived Record(Kind kind, int64_t points, Instant at, uint64_t origin, int64_t available,
                        int64_t pending = 0) {
    return {.kind = kind,
            .member = kMember,
            .program = kProgram,
            .points = points,
            .at = at,
            .origin_sequence = origin,
            .available = available,
            .pending = pending};
  }

  std::vector<model::Hold> HoldsOn(Instant t) const {
    return ledger_.HoldsAt(kProgram, kMember, t);
  }
  std::vector<Lot> LotsOn(Instant t) const { return ledger_.LotsAt(kProgram, kMember, t); }
};

using Returns = MovementsFixture;

TEST_F(Returns, WrittenOffClaimSaysWhatItTookFromWhere) {
  Start({.pending_days = 10, .debt_floor = 2});
  const Id purchase = Purchase(Day(0), 10);
  At(Day(1), Make(Kind::kAdjust, 3));
  const Result half = Return(Day(2), 4, purchase);
  EXPECT_EQ(half.points, -4);
  EXPECT_EQ(half.details, Details{});
  Redeem(Day(10), 6);
  const Result rest = Return(Day(11), 6, purchase);
  EXPECT_TRUE(rest.written_off);
  EXPECT_EQ(rest.points, -5);
  EXPECT_EQ(rest.details, (Details{6, 0, 3, 2, 1}));
  const Result replay = At(Day(11), last_);
  EXPECT_TRUE(replay.written_off);
  EXPECT_EQ(replay.details, Details{});
}

TEST_F(Returns, UnknownPurchaseTakesPendingAndAvailableByAge) {
  Start({.pending_days = 10, .unknown_original = UnknownOriginal::kNewest});
  At(Day(0), Make(Kind::kAdjust, 3));
  Accrue(Day(1), 5);
  EXPECT_EQ(Return(Day(2), 9, {}).details, (Details{9, 5, 3, 0, 1}));
}

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
  Accrue(Day(0), kMaxPoints - 3);
  const Id redemption = Redeem(Day(0), 10);
  EXPECT_EQ(Reverse(Day(0), 4, redemption).outcome, Outcome::kOverflow);
  EXPECT_EQ(Reverse(Day(0), 2, redemption).outcome, Outcome::kOk);
  EXPECT_EQ(At(Day(0), Make(Kind::kAccrue, 2)).outcome, Outcome::kOverflow);
  EXPECT_EQ(Reverse(Day(0), 9, redemption).outcome, Outcome::kAlreadyReturned);
  EXPECT_EQ(Reverse(Day(0), 1, redemption).outcome, Outcome::kOk);
}

TEST_F(Reversals, ReversalIsCheckedBeforeItIsKnownWhatItRepays) {
  Start({.debt_floor = kMaxPoints, .unknown_original = UnknownOriginal::kNewest});
  Accrue(Day(0), 10);
  const Id redemption = Redeem(Day(0), 10);
  ASSERT_EQ(Return(Day(0), kMaxPoints - 5, {}).available, -(kMaxPoints - 5));
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

using Activations = MovementsFixture;

TEST_F(Activations, PendingLotIsActivatedEarly) {
  Start({.pending_days = 10, .expiry = {.after = ExpiryAfter::kActivation, .days = 5}});
  const Id purchase = Purchase(Day(0), 7);
  const Result result = Activate(Day(2), purchase);
  EXPECT_EQ(result.points, 0);
  EXPECT_EQ(result.available, 7);
  EXPECT_EQ(result.pending, 0);
  EXPECT_EQ(LotsOn(Day(2)), (std::vector{Lot{7, 7, Day(2), Day(15), false}}));
  EXPECT_TRUE(ledger_.TakeDerived().empty());
  At(Day(12), Make(Kind::kEnrol, 0));
  EXPECT_TRUE(ledger_.TakeDerived().empty());
}

TEST_F(Activations, ActivatedPointsPayDebt) {
  Start({.pending_days = 10, .debt_floor = 100, .unknown_original = UnknownOriginal::kNewest});
  ASSERT_EQ(Return(Day(0), 3, {}).available, -3);
  const Id accrual = Accrue(Day(0), 7);
  const Result result = Activate(Day(1), accrual);
  EXPECT_EQ(result.points, 0);
  EXPECT_EQ(result.available, 4);
  EXPECT_EQ(totals().debt, 0);
}

TEST_F(Activations, OnlyAPendingLotIsActivatedOrCancelled) {
  Start({.earn = {.per_spend = 100}, .pending_days = 10});
  const Id accrual = Accrue(Day(0), 7);
  const Id nothing_earned = Purchase(Day(0), 99);
  ASSERT_EQ(At(Day(0), Make(Kind::kAdjust, 5)).outcome, Outcome::kOk);
  const Id adjustment = last_.id;
  const Id expired = Accrue(Day(0), 7, Day(5));
  for (const Kind kind : {Kind::kActivate, Kind::kCancel}) {
    EXPECT_EQ(At(Day(0), Make(kind, 0, {0, 999})).outcome, Outcome::kUnknownOriginal);
    EXPECT_EQ(At(Day(0), Make(kind, 0, adjustment)).outcome, Outcome::kNotPermitted);
    EXPECT_EQ(At(Day(0), Make(kind, 0, nothing_earned)).outcome, Outcome::kNotPermitted);
    EXPECT_EQ(At(Day(5), Make(kind, 0, expired)).outcome, Outcome::kNotPermitted);
    EXPECT_EQ(At(Day(10), Make(kind, 0, accrual)).outcome, Outcome::kNotPermitted);
  }
  EXPECT_EQ(Activate(Day(5) - 1, expired).outcome, Outcome::kOk);
  EXPECT_EQ(Activate(Day(10) - 1, accrual).outcome, Outcome::kOk);
  EXPECT_EQ(Activate(Day(10) - 1, accrual).outcome, Outcome::kNotPermitted);
}

TEST_F(Activations, ReceiptServesWhileItsLotIsPending) {
  Start({.pending_days = 40, .retention_days = 1, .return_days = 0});
  const Id accrual = Accrue(Day(0), 7);
  EXPECT_EQ(Activate(Day(40) - 1, accrual).outcome, Outcome::kOk);
  EXPECT_EQ(Activate(Day(41), accrual).outcome, Outcome::kNotPermitted);
  EXPECT_EQ(Activate(Day(41) + 1, accrual).outcome, Outcome::kUnknownOriginal);
}

using Cancellations = MovementsFixture;

TEST_F(Cancellations, PendingPointsAreClawedBackWholeOrInPart) {
  Start({.pending_days = 10});
  const Id accrual = Accrue(Day(0), 7);
  Accrue(Day(0), 5);
  const Result refused = Cancel(Day(1), accrual, 8);
  EXPECT_EQ(refused.outcome, Outcome::kInsufficientPoints);
  EXPECT_EQ(refused.pending, 12);
  const Result part = Cancel(Day(1), accrual, 3);
  EXPECT_EQ(part.points, -3);
  EXPECT_EQ(part.pending, 9);
  EXPECT_EQ(part.available, 0);
  const Result rest = Cancel(Day(1), accrual);
  EXPECT_EQ(rest.points, -4);
  EXPECT_EQ(rest.pending, 5);
  EXPECT_EQ(Cancel(Day(1), accrual).outcome, Outcome::kNotPermitted);
  EXPECT_EQ(totals().clawed_back, 7);
  EXPECT_EQ(totals().expired, 0);
}

TEST_F(Cancellations, ReturnClaimsNothingThatWasCancelled) {
  Start({.pending_days = 10, .debt_floor = 100});
  const Id purchase = Purchase(Day(0), 10);
  ASSERT_EQ(Cancel(Day(1), purchase, 6).points, -6);
  EXPECT_EQ(Return(Day(2), 10, purchase).points, -4);
  EXPECT_EQ(totals().clawed_back, 10);
  EXPECT_EQ(totals().written_off, 0);
}

TEST_F(Cancellations, ClawedBackStopsAtTheLargestNumber) {
  Start(
      {.pending_days = 10, .debt_floor = kMaxPoints, .unknown_original = UnknownOriginal::kNewest});
  ASSERT_EQ(Return(Day(0), kMaxPoints - 5, {}).available, -(kMaxPoints - 5));
  const Id accrual = Accrue(Day(0), 10);
  EXPECT_EQ(Cancel(Day(0), accrual, 11).outcome, Outcome::kInsufficientPoints);
  EXPECT_EQ(Cancel(Day(0), accrual).outcome, Outcome::kOverflow);
  EXPECT_EQ(Cancel(Day(0), accrual, 6).outcome, Outcome::kOverflow);
  EXPECT_EQ(Cancel(Day(0), accrual, 5).outcome, Outcome::kOk);
}

using Extensions = MovementsFixture;

TEST_F(Extensions, EveryLotWithPointsExpiresNoEarlier) {
  Start({.pending_days = 30});
  const auto adjust = [this](int64_t points, Instant expires_at) {
    At(Day(0), Expiring(Make(Kind::kAdjust, points), expires_at));
  };
  adjust(1, Day(5));
  adjust(2, Day(20));
  adjust(3, Day(21));
  adjust(4, 0);
  Accrue(Day(0), 6, Day(6));
  const Result result = Extend(Day(1), Day(20));
  EXPECT_EQ(result.outcome, Outcome::kOk);
  EXPECT_EQ(result.points, 0);
  EXPECT_EQ(result.available, 10);
  EXPECT_EQ(result.pending, 6);
  EXPECT_EQ(LotsOn(Day(1)),
            (std::vector{Lot{1, 1, Day(0), Day(20), false}, Lot{2, 2, Day(0), Day(20), false},
                         Lot{3, 3, Day(0), Day(21), false}, Lot{4, 4, Day(0), kNever, false},
                         Lot{6, 6, Day(30), Day(20), true}}));
}

TEST_F(Extensions, LotThatWouldNeverActivateMay) {
  Start({.pending_days = 10});
  Accrue(Day(0), 6, Day(10));
  Extend(Day(1), Day(10) + 1);
  EXPECT_EQ(BalanceOn(Day(10)).available, 6);
  EXPECT_EQ(BalanceOn(Day(10) + 1).available, 0);
}

TEST_F(Extensions, WhatHasExpiredStaysSo) {
  Start({});
  Accrue(Day(0), 6, Day(5));
  EXPECT_EQ(Extend(Day(5), Day(20)).available, 0);
  EXPECT_EQ(totals().expired, 6);
}

TEST_F(Extensions, WhatIsHeldIsExtendedEvenPastItsExpiry) {
  Start({});
  Accrue(Day(0), 10, Day(5));
  Hold(Day(1), 6, Day(9));
  EXPECT_EQ(Extend(Day(6), Day(20)).available, 0);
  EXPECT_EQ(HoldsOn(Day(6))[0].lots, (std::vector{Lot{6, 10, Day(0), Day(20), false}}));
  EXPECT_EQ(LotsOn(Day(9)), (std::vector{Lot{6, 10, Day(0), Day(20), false}}));
}

TEST_F(Extensions, HoldSpendsInTheOrderOfThePresentDates) {
  Start({});
  Accrue(Day(0), 5, Day(5));
  Accrue(Day(0), 5, Day(7));
  At(Day(0), Expiring(Make(Kind::kAccrue, 5), Day(6)));
  Operation earlier = Expiring(Make(Kind::kAccrue, 5), Day(8));
  earlier.occurred_at = Day(0) - kDay;
  At(Day(0), earlier);
  const Id hold = Hold(Day(1), 20, Day(9));
  Extend(Day(1), Day(10));
  // All expire together now, so the earliest activated goes first.
  Capture(Day(1), hold, 6);
  EXPECT_EQ(LotsOn(Day(1)),
            (std::vector{Lot{4, 5, Day(0), Day(10), false}, Lot{5, 5, Day(0), Day(10), false},
                         Lot{5, 5, Day(0), Day(10), false}}));
}

TEST_F(Extensions, EmptyLotIsNotExtended) {
  Start({});
  Accrue(Day(0), 10, Day(5));
  const Id redemption = Redeem(Day(1), 10);
  Extend(Day(1), Day(20));
  Reverse(Day(2), 3, redemption);
  EXPECT_EQ(LotsOn(Day(2))[0].expires_at, Day(5));
}

TEST_F(Extensions, ReversalKeepsTheExtensionOfALotWithPointsOnly) {
  Start({});
  Accrue(Day(0), 10, Day(5));
  const Id before = Redeem(Day(1), 4);
  Extend(Day(1), Day(20));
  const Id after = Redeem(Day(1), 4);
  Reverse(Day(2), 1, before);
  EXPECT_EQ(LotsOn(Day(2)), (std::vector{Lot{3, 10, Day(0), Day(20), false}}));
  Redeem(Day(2), 3);
  Reverse(Day(2), 1, before);
  EXPECT_EQ(LotsOn(Day(2)), (std::vector{Lot{1, 10, Day(0), Day(5), false}}));
  Redeem(Day(2), 1);
  Reverse(Day(2), 1, after);
  EXPECT_EQ(LotsOn(Day(2)), (std::vector{Lot{1, 10, Day(0), Day(20), false}}));
}

using Freezes = MovementsFixture;

TEST_F(Freezes, OnlyRedemptionsAndHoldsAreRefused) {
  Start({.pending_days = 10});
  At(Day(0), Make(Kind::kAdjust, 20));
  const Id held = Hold(Day(0), 2);
  const Id released = Hold(Day(0), 2);
  const Id redemption = Redeem(Day(0), 2);
  const Result frozen = At(Day(0), Make(Kind::kFreeze, 0));
  EXPECT_EQ(frozen.points, 0);
  EXPECT_EQ(frozen.available, 14);
  EXPECT_EQ(At(Day(0), Make(Kind::kFreeze, 0)).outcome, Outcome::kOk);

  const Result refused = At(Day(0), Make(Kind::kRedeem, 1));
  EXPECT_EQ(refused.outcome, Outcome::kFrozen);
  EXPECT_EQ(refused.available, 14);
  EXPECT_EQ(TryHold(Day(0), 100).outcome, Outcome::kFrozen);
  EXPECT_EQ(At(Day(0), Make(Kind::kEnrol, 0)).outcome, Outcome::kOk);
  const Id purchase = Purchase(Day(0), 5);
  EXPECT_EQ(Return(Day(0), 1, purchase).outcome, Outcome::kOk);
  EXPECT_EQ(Cancel(Day(0), purchase, 1).outcome, Outcome::kOk);
  EXPECT_EQ(Activate(Day(0), purchase).outcome, Outcome::kOk);
  EXPECT_EQ(At(Day(0), Make(Kind::kAdjust, -1)).outcome, Outcome::kOk);
  EXPECT_EQ(Capture(Day(0), held).outcome, Outcome::kOk);
  EXPECT_EQ(Release(Day(0), released).outcome, Outcome::kOk);
  EXPECT_EQ(Reverse(Day(0), 1, redemption).outcome, Outcome::kOk);
  EXPECT_EQ(Extend(Day(0), Day(9)).outcome, Outcome::kOk);

  EXPECT_EQ(At(Day(0), Make(Kind::kUnfreeze, 0)).points, 0);
  EXPECT_EQ(At(Day(0), Make(Kind::kUnfreeze, 0)).outcome, Outcome::kOk);
  Redeem(Day(0), 1);
  Hold(Day(0), 1);
}

TEST_F(Freezes, KnownIdIsReplayedOnAFrozenAccount) {
  Start({});
  Accrue(Day(0), 10);
  Redeem(Day(0), 1);
  const Operation redeemed = last_;
  At(Day(0), Make(Kind::kFreeze, 0));
  EXPECT_TRUE(At(Day(0), redeemed).replayed);
}

TEST_F(Freezes, FrozenAccountCanBeClosed) {
  Start({});
  At(Day(0), Make(Kind::kFreeze, 0));
  EXPECT_EQ(Close(Day(0)).outcome, Outcome::kOk);
  EXPECT_EQ(At(Day(0), Make(Kind::kRedeem, 1)).outcome, Outcome::kClosed);
}

using Closings = MovementsFixture;

TEST_F(Closings, EmptyAccountIsClosedForEver) {
  Start({});
  Accrue(Day(0), 10);
  Redeem(Day(0), 10);
  const Id redemption = last_.id;
  const Result result = Close(Day(0));
  EXPECT_EQ(result.outcome, Outcome::kOk);
  EXPECT_EQ(result.points, 0);
  EXPECT_FALSE(result.detailed);
  EXPECT_EQ(result.details, Details{});
  EXPECT_TRUE(At(Day(0), last_).replayed);

  EXPECT_EQ(Reverse(Day(0), 1, redemption).outcome, Outcome::kClosed);
  EXPECT_EQ(Extend(Day(0), Day(5)).outcome, Outcome::kClosed);
  for (const Kind kind : {Kind::kEnrol, Kind::kFreeze, Kind::kUnfreeze, Kind::kClose}) {
    EXPECT_EQ(At(Day(1), Make(kind, 0)).outcome, Outcome::kClosed);
  }
  for (const Kind kind :
       {Kind::kAccrue, Kind::kPurchase, Kind::kReturn, Kind::kRedeem, Kind::kAdjust, Kind::kHold}) {
    EXPECT_EQ(At(Day(1), Make(kind, 1)).outcome, Outcome::kClosed);
  }
  for (const Kind kind : {Kind::kCapture, Kind::kRelease, Kind::kActivate, Kind::kCancel}) {
    EXPECT_EQ(At(Day(1), Make(kind, 0, {0, 1})).outcome, Outcome::kClosed);
  }
  EXPECT_EQ(totals().members, 1);
}

TEST_F(Closings, PendingOrAvailablePointsOrADebtAreInTheWay) {
  Start({.debt_floor = 100, .unknown_original = UnknownOriginal::kNewest});
  Accrue(Day(0), 10);
  const Result refused = Close(Day(0));
  EXPECT_EQ(refused.outcome, Outcome::kNotPermitted);
  EXPECT_EQ(refused.available, 10);
  ASSERT_EQ(Return(Day(0), 15, {}).available, -5);
  EXPECT_EQ(Close(Day(0)).outcome, Outcome::kNotPermitted);
  ledger_.PutProgram({.id = kProgram, .pending_days = 10, .effective_at = Day(1)}, Day(1));
  At(Day(1), Make(Kind::kAdjust, 5));
  const Id pending = Accrue(Day(1), 1);
  EXPECT_EQ(Close(Day(1)).outcome, Outcome::kNotPermitted);
  ASSERT_EQ(Cancel(Day(1), pending).outcome, Outcome::kOk);
  EXPECT_EQ(Close(Day(1)).outcome, Outcome::kOk);
}

TEST_F(Closings, RestExpiresWithTheOperation) {
  Start({.pending_days = 10});
  At(Day(0), Make(Kind::kAdjust, 5));
  Accrue(Day(0), 7);
  const Result result = CloseExpiringTheRest(Day(1));
  EXPECT_EQ(result.outcome, Outcome::kOk);
  EXPECT_EQ(result.points, -12);
  EXPECT_EQ(result.available, 0);
  EXPECT_EQ(result.pending, 0);
  EXPECT_TRUE(result.detailed);
  EXPECT_EQ(result.details, (Details{7, 5, 0}));
  EXPECT_EQ(totals().expired, 12);
  EXPECT_EQ(totals().closed_out, 12);
  EXPECT_EQ(BalanceOn(Day(20)), (Balance{.lifetime_earned = 7}));
  EXPECT_TRUE(LotsOn(Day(1)).empty());
  EXPECT_TRUE(ledger_.TakeDerived().empty());
  const Result replay = At(Day(1), last_);
  EXPECT_TRUE(replay.replayed);
  EXPECT_TRUE(replay.detailed);
  EXPECT_EQ(replay.details, Details{});
}

TEST_F(Closings, DebtIsForgiven) {
  Start({.pending_days = 10, .debt_floor = 100, .unknown_original = UnknownOriginal::kNewest});
  ASSERT_EQ(Return(Day(0), 3, {}).available, -3);
  Accrue(Day(0), 7);
  const Result result = CloseExpiringTheRest(Day(1));
  EXPECT_EQ(result.points, 3 - 7);
  EXPECT_EQ(result.available, 0);
  EXPECT_EQ(result.details, (Details{7, 0, 3}));
  EXPECT_EQ(totals().forgiven, 3);
  EXPECT_EQ(totals().closed_out, 7);
}

TEST_F(Closings, HeldPointsAreInTheWayUntilTheirTimeout) {
  Start({});
  Accrue(Day(0), 10);
  Hold(Day(0), 10, Day(5));
  EXPECT_EQ(CloseExpiringTheRest(Day(5) - 1).outcome, Outcome::kNotPermitted);
  EXPECT_EQ(CloseExpiringTheRest(Day(5)).details, (Details{0, 10, 0}));
}

TEST_F(Closings, PendingPointsThatExpireBeforeTheyActivateAreNotInTheWayLater) {
  Start({.pending_days = 10});
  Accrue(Day(0), 3, Day(5));
  EXPECT_EQ(Close(Day(5) - 1).outcome, Outcome::kNotPermitted);
  EXPECT_EQ(Close(Day(5)).outcome, Outcome::kOk);
}

TEST_F(Closings, WhatExpiresBeforeIsNotClosedOut) {
  Start({});
  Accrue(Day(0), 10, Day(5));
  EXPECT_EQ(Close(Day(5) - 1).outcome, Outcome::kNotPermitted);
  const Result result = CloseExpiringTheRest(Day(5));
  EXPECT_EQ(result.points, 0);
  EXPECT_FALSE(result.detailed);
  EXPECT_EQ(totals().expired, 10);
  EXPECT_EQ(totals().closed_out, 0);
}

using OtherMovements = MovementsFixture;

TEST_F(OtherMovements, ChecksNameTheFirstBadField) {
  Start({});
  for (const Kind kind :
       {Kind::kActivate, Kind::kFreeze, Kind::kUnfreeze, Kind::kClose, Kind::kExtend}) {
    EXPECT_EQ(BadFieldOf(Make(kind, 1)), Field::kAmount);
    EXPECT_EQ(BadFieldOf(Make(kind, -1)), Field::kAmount);
  }
  EXPECT_EQ(BadFieldOf(Make(Kind::kCancel, -1)), Field::kAmount);
  EXPECT_EQ(BadFieldOf(Make(Kind::kCancel, 1)), Field::kRelated);
  EXPECT_EQ(BadFieldOf(Make(Kind::kActivate, 0)), Field::kRelated);
  for (const Kind kind : {Kind::kFreeze, Kind::kUnfreeze, Kind::kClose, Kind::kExtend}) {
    EXPECT_EQ(BadFieldOf(Make(kind, 0, {0, 1})), Field::kRelated);
  }
  for (const Kind kind : {Kind::kFreeze, Kind::kUnfreeze, Kind::kClose}) {
    EXPECT_EQ(BadFieldOf(Expiring(Make(kind, 0), Day(1))), Field::kExpiresAt);
  }
  for (const Kind kind : {Kind::kActivate, Kind::kCancel}) {
    EXPECT_EQ(BadFieldOf(Expiring(Make(kind, 0, {0, 1}), Day(1))), Field::kExpiresAt);
  }
  EXPECT_EQ(BadFieldOf(Make(Kind::kExtend, 0)), Field::kExpiresAt);
  EXPECT_EQ(BadFieldOf(Expiring(Make(Kind::kExtend, 0), Day(0))), Field::kExpiresAt);
  Operation unknown = Make(Kind::kExtend, 0);
  unknown.kind = 19;
  EXPECT_EQ(BadFieldOf(unknown), Field::kKind);
}

TEST_F(OtherMovements, OnlyACloseExpiresTheRest) {
  Start({});
  for (uint8_t kind = 2; kind <= 18; ++kind) {
    Operation operation = Make(static_cast<Kind>(kind), 0);
    operation.flags = kExpireRest;
    if (static_cast<Kind>(kind) == Kind::kClose) continue;
    EXPECT_EQ(BadFieldOf(operation), Field::kFlags);
  }
  Operation close = Make(Kind::kClose, 0);
  close.flags = 4;
  EXPECT_EQ(BadFieldOf(close), Field::kFlags);
}

TEST_F(OtherMovements, StrangersAreUnknownMembers) {
  Start({.implicit_enrolment = true});
  for (uint8_t kind = 9; kind <= 18; ++kind) {
    Operation operation = Make(static_cast<Kind>(kind), 0);
    operation.member = {2, 2};
    const Kind of = static_cast<Kind>(kind);
    if (of == Kind::kHold || of == Kind::kReverseRedemption) operation.amount = 1;
    if ((of >= Kind::kCapture && of <= Kind::kCancel)) operation.related = {0, 1};
    if (of == Kind::kExtend) operation.expires_at = Day(1);
    EXPECT_EQ(At(Day(0), operation).outcome, Outcome::kUnknownMember);
  }
}

}  // namespace
}  // namespace tallystick::model
