// The account's other movements, each rule with its numbers.

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "tests/model/movements_fixture.h"

namespace tallystick::model {
namespace {

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
  Start({.pending_days = 10,
         .debt_floor = kMostPoints,
         .unknown_original = UnknownOriginal::kNewest});
  ASSERT_EQ(Return(Day(0), kMostPoints - 5, {}).available, -(kMostPoints - 5));
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
  unknown.kind = 20;
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
