// Holds, reversals, and what else moves an account, by examples.

#include <gtest/gtest.h>

#include <vector>

#include "tests/ledger/ledger_fixture.h"

namespace tallystick::ledger {
namespace {

class Movements : public LedgerTest {
 protected:
  void StartExpiring(int32_t days, int64_t debt_floor = 0) {
    ProgramSpec spec;
    spec.expiry = ExpirySpec{.days = days};
    spec.debt_floor = debt_floor;
    Start(spec);
  }
  Outcome Try(Instant t, const Operation& operation) { return At(t, operation).outcome(); }
  Id Hold(Instant t, Points points) {
    EXPECT_EQ(Try(t, Make(Kind::Hold, points)), Outcome::Ok);
    return last_.id();
  }
  Id Redeem(Instant t, Points points) {
    EXPECT_EQ(Try(t, Make(Kind::Redeem, points)), Outcome::Ok);
    return last_.id();
  }
  Result Capture(Instant t, Points points, const Id& hold) {
    return At(t, Make(Kind::Capture, points, hold));
  }
  Result Release(Instant t, const Id& hold) { return At(t, Make(Kind::Release, 0, hold)); }
  Result Reverse(Instant t, Points points, const Id& redemption) {
    return At(t, Make(Kind::ReverseRedemption, points, redemption));
  }
  // Of the last record in the log, which has one.
  template <typename Detail>
  Detail LastDetail() {
    const std::vector<Record>& slots = ledger_.Log().back().slots;
    return DetailIn<Detail>(slots.back());
  }
  struct Sub {
    Points pending, available, held, debt;
    bool operator==(const Sub&) const = default;
  };
  Sub On(Instant t) {
    const StateMachine::Balance b = BalanceOn(t);
    return {b.pending, b.available, b.held, b.debt};
  }
  std::vector<Lot> Lots(Instant t) { return ledger_.machine().LotsAt(kProgram, member_, t); }
  std::vector<StateMachine::OpenHold> Holds(Instant t) {
    return ledger_.machine().HoldsAt(kProgram, member_, t);
  }
};

// ---- holds ----

TEST_F(Movements, AHoldPinsLotsInSpendingOrder) {
  StartExpiring(10);
  Purchase(Day(1), 30);
  Purchase(Day(2), 30);
  const Result result = At(Day(3), Make(Kind::Hold, 40));
  EXPECT_EQ(result.outcome(), Outcome::Ok);
  EXPECT_EQ(result.points(), 0);
  EXPECT_EQ(result.available(), 20);
  EXPECT_EQ(On(Day(3)), (Sub{0, 20, 40, 0}));
  const auto holds = Holds(Day(3));
  ASSERT_EQ(holds.size(), 1u);
  EXPECT_EQ(holds[0].times_out_at, Day(3) + 15 * kMinute);
  ASSERT_EQ(holds[0].lots.size(), 2u);
  EXPECT_EQ(holds[0].lots[0].remaining, 30);
  EXPECT_EQ(holds[0].lots[1].remaining, 10);
  EXPECT_EQ(totals().held, 40);
  EXPECT_EQ(BalanceOn(Day(3)).lot_count, 3u);
}

TEST_F(Movements, ACaptureTakesTheSoonestExpiringAndGivesBackTheRest) {
  StartExpiring(10);
  Purchase(Day(1), 30);
  Purchase(Day(2), 30);
  const Id hold = Hold(Day(3), 40);
  const Result result = Capture(Day(3) + kMinute, 35, hold);
  EXPECT_EQ(result.outcome(), Outcome::Ok);
  EXPECT_EQ(result.points(), -35);
  EXPECT_EQ(result.available(), 25);
  EXPECT_EQ(On(Day(3) + kMinute), (Sub{0, 25, 0, 0}));
  EXPECT_EQ(totals().redeemed, 35);
  // What came back is the second lot again.
  ASSERT_EQ(Lots(Day(4)).size(), 1u);
  EXPECT_EQ(Lots(Day(4))[0].remaining, 25);
  EXPECT_EQ(Capture(Day(4), 1, hold).outcome(), Outcome::AlreadyCaptured);
  EXPECT_EQ(Release(Day(4), hold).outcome(), Outcome::AlreadyCaptured);
}

TEST_F(Movements, ACaptureOfNothingNamedTakesAll) {
  StartExpiring(10);
  Purchase(Day(1), 30);
  const Id hold = Hold(Day(3), 20);
  EXPECT_EQ(Capture(Day(3), 21, hold).outcome(), Outcome::InsufficientPoints);
  const Operation all = Make(Kind::Capture, 0, hold);
  EXPECT_EQ(At(Day(3), all).points(), -20);
  Result again = At(Day(4), last_);
  EXPECT_EQ(again.outcome(), Outcome::Ok);
  EXPECT_EQ(again.flags(), kReplayed);
  EXPECT_EQ(again.points(), -20);
}

TEST_F(Movements, AReleasedOrTimedOutHoldCannotBeUsedAgain) {
  StartExpiring(100);
  Purchase(Day(1), 30);
  const Id released = Hold(Day(3), 20);
  EXPECT_EQ(Release(Day(3), released).available(), 30);
  EXPECT_EQ(Capture(Day(3), 1, released).outcome(), Outcome::AlreadyReleased);
  EXPECT_EQ(Release(Day(3), released).outcome(), Outcome::AlreadyReleased);

  const Id timed_out = Hold(Day(4), 20);
  const Instant timeout = Day(4) + 15 * kMinute;
  EXPECT_EQ(On(timeout - 1), (Sub{0, 10, 20, 0}));
  EXPECT_EQ(On(timeout), (Sub{0, 30, 0, 0}));
  EXPECT_EQ(Capture(timeout, 1, timed_out).outcome(), Outcome::AlreadyReleased);
  EXPECT_EQ(Release(timeout, timed_out).outcome(), Outcome::AlreadyReleased);
  Redeem(timeout, 30);
  EXPECT_EQ(Capture(Day(5), 1, timed_out).outcome(), Outcome::AlreadyReleased);
}

TEST_F(Movements, TheLastMicrosecondOfAHoldCaptures) {
  StartExpiring(100);
  Purchase(Day(1), 30);
  const Id hold = Hold(Day(4), 20);
  EXPECT_EQ(Capture(Day(4) + 15 * kMinute - 1, 20, hold).outcome(), Outcome::Ok);
}

TEST_F(Movements, ATimeoutIsARecordOfTheMembersChain) {
  StartExpiring(100);
  Purchase(Day(1), 30);
  At(Day(4), Make(Kind::Hold, 20));
  ledger_.BeginBlock({Day(5), false});
  EXPECT_FALSE(ledger_.SettleDue(100));
  const Record& record = ledger_.Log().back().slots.back();
  EXPECT_EQ(record.operation.kind(), Kind::HoldTimeout);
  EXPECT_EQ(record.operation.amount(), 20);
  EXPECT_EQ(record.operation.occurred_at(), Day(4) + 15 * kMinute);
  EXPECT_EQ(record.result.points(), 0);
  EXPECT_EQ(record.result.available(), 30);
  EXPECT_EQ(record.operation.related().low(), record.result.position());
}

TEST_F(Movements, ExpiryIsFrozenWhileHeldAndCatchesUpAtOnce) {
  StartExpiring(10);
  Purchase(Day(1), 30);
  Operation hold = With(Make(Kind::Hold, 20), Day(20));
  EXPECT_EQ(Try(Day(3), hold), Outcome::Ok);
  EXPECT_EQ(On(Day(11) - 1), (Sub{0, 10, 20, 0}));
  EXPECT_EQ(On(Day(11)), (Sub{0, 0, 20, 0}));
  // Five are still good for the till; the rest has expired meanwhile.
  const Result captured = Capture(Day(12), 5, hold.id());
  EXPECT_EQ(captured.outcome(), Outcome::Ok);
  EXPECT_EQ(captured.available(), 15) << "before what expires behind it";
  EXPECT_EQ(On(Day(12)), (Sub{0, 0, 0, 0}));
  EXPECT_EQ(totals().expired, 25);
  EXPECT_EQ(totals().redeemed, 5);
}

TEST_F(Movements, AtOneInstantTheTimeoutComesBeforeTheExpiry) {
  StartExpiring(10);
  Purchase(Day(1), 30);
  EXPECT_EQ(Try(Day(3), With(Make(Kind::Hold, 30), Day(11))), Outcome::Ok);
  EXPECT_EQ(On(Day(11) - 1), (Sub{0, 0, 30, 0}));
  EXPECT_EQ(On(Day(11)), (Sub{0, 0, 0, 0}));
  ledger_.BeginBlock({Day(11), false});
  ledger_.SettleDue(100);
  const std::vector<Record> slots = ledger_.Log().back().slots;
  ASSERT_EQ(slots.size(), 2u);
  EXPECT_EQ(slots[0].operation.kind(), Kind::HoldTimeout);
  EXPECT_EQ(slots[0].result.available(), 30);
  EXPECT_EQ(slots[1].operation.kind(), Kind::Expiry);
  EXPECT_EQ(slots[1].result.available(), 0);
}

TEST_F(Movements, TimeoutsOfHolds) {
  ProgramSpec spec;
  spec.hold_timeout_minutes = 60;
  Start(spec);
  Purchase(Day(1), 1'000);
  EXPECT_EQ(Try(Day(2), Make(Kind::Hold, 1)), Outcome::Ok);
  EXPECT_EQ(Holds(Day(2))[0].times_out_at, Day(2) + 60 * kMinute);
  EXPECT_EQ(Try(Day(2), With(Make(Kind::Hold, 1), Day(32))), Outcome::Ok);
  EXPECT_EQ(Try(Day(2), With(Make(Kind::Hold, 1), Day(32) + 1)), Outcome::OverLimit);
  Operation late = With(Make(Kind::Hold, 1), Day(2));
  late.mutate_occurred_at(Day(1));
  EXPECT_EQ(Try(Day(2), late), Outcome::Expired);
  for (uint32_t i = 2; i < kMaxHoldsPerAccount; ++i) Hold(Day(2), 1);
  EXPECT_EQ(Try(Day(2), Make(Kind::Hold, 1)), Outcome::OverLimit);
  EXPECT_EQ(Try(Day(2) + 60 * kMinute, Make(Kind::Hold, 1)), Outcome::Ok);
}

TEST_F(Movements, HoldsAreSpending) {
  ProgramSpec spec;
  spec.redeem_minimum = 10;
  spec.redeem_step = 5;
  Start(spec);
  Purchase(Day(1), 100);
  EXPECT_EQ(Try(Day(2), Make(Kind::Hold, 5)), Outcome::BelowMinimum);
  EXPECT_EQ(Try(Day(2), Make(Kind::Hold, 12)), Outcome::BelowStep);
  EXPECT_EQ(Try(Day(2), Make(Kind::Hold, 105)), Outcome::InsufficientPoints);
  const Id hold = Hold(Day(2), 20);
  EXPECT_EQ(Capture(Day(2), 5, hold).outcome(), Outcome::BelowMinimum);
  EXPECT_EQ(Capture(Day(2), 12, hold).outcome(), Outcome::BelowStep);
  EXPECT_EQ(Capture(Day(2), 15, hold).outcome(), Outcome::Ok);
  EXPECT_EQ(Capture(Day(2), 15, Id(77, 77)).outcome(), Outcome::UnknownHold);
  const Id purchase = Purchase(Day(2), 1);
  EXPECT_EQ(Release(Day(2), purchase).outcome(), Outcome::NotPermitted);
}

TEST_F(Movements, HeldPointsAreNoShieldAgainstAClaim) {
  StartExpiring(100);
  const Id purchase = Purchase(Day(1), 100);
  const Id hold = Hold(Day(1), 70);
  const Result result = Return(Day(1), 100, purchase);
  EXPECT_EQ(result.points(), -100);
  EXPECT_EQ(result.available(), -70);
  EXPECT_EQ(On(Day(1)), (Sub{0, 0, 70, 70}));
  // What is released pays the debt.
  EXPECT_EQ(Release(Day(1), hold).available(), 0);
  EXPECT_EQ(On(Day(1)), (Sub{0, 0, 0, 0}));
}

TEST_F(Movements, ACaptureForgivesDebtBeyondTheFloor) {
  StartExpiring(100, 10);
  const Id purchase = Purchase(Day(1), 100);
  const Id hold = Hold(Day(1), 70);
  Return(Day(1), 100, purchase);
  const Operation capture = Make(Kind::Capture, 50, hold);
  const Result result = At(Day(1), capture);
  // Of seventy that are owed twenty come back with the hold; ten may stay a debt.
  EXPECT_EQ(result.points(), 40 - 50);
  EXPECT_EQ(result.flags(), kDetailed);
  EXPECT_EQ(result.details(), 1);
  const auto detail = LastDetail<CaptureDetail>();
  EXPECT_EQ(detail.captured, 50);
  EXPECT_EQ(detail.given_back, 20);
  EXPECT_EQ(detail.forgiven, 40);
  EXPECT_EQ(On(Day(1)), (Sub{0, 0, 0, 10}));
  EXPECT_EQ(totals().forgiven, 40);
  const Result again = At(Day(2), capture);
  EXPECT_EQ(again.outcome(), Outcome::IdConflict) << "occurred_at is another";
}

// ---- reversals ----

TEST_F(Movements, AReversalGoesIntoTheLotsThatItCameFromTheLastFirst) {
  StartExpiring(10);
  Purchase(Day(1), 30);
  Purchase(Day(2), 30);
  const Id redemption = Redeem(Day(3), 40);
  const Result first = Reverse(Day(4), 15, redemption);
  EXPECT_EQ(first.outcome(), Outcome::Ok);
  EXPECT_EQ(first.points(), 15);
  // Ten of the second lot, then five of the first.
  ASSERT_EQ(Lots(Day(4)).size(), 2u);
  EXPECT_EQ(Lots(Day(4))[0].remaining, 5);
  EXPECT_EQ(Lots(Day(4))[0].expires_at, Day(11));
  EXPECT_EQ(Lots(Day(4))[1].remaining, 30);
  EXPECT_EQ(Reverse(Day(4), 26, redemption).outcome(), Outcome::AlreadyReturned);
  EXPECT_EQ(Reverse(Day(4), 25, redemption).outcome(), Outcome::Ok);
  EXPECT_EQ(Reverse(Day(4), 1, redemption).outcome(), Outcome::AlreadyReturned);
  EXPECT_EQ(Reverse(Day(4), 1, last_.id()).outcome(), Outcome::UnknownOriginal);
  ASSERT_EQ(Lots(Day(4)).size(), 2u);
  EXPECT_EQ(Lots(Day(4))[0].remaining, 30);
  EXPECT_EQ(totals().reinstated, 40);
}

TEST_F(Movements, AReversalOfAReversalIsNotPermitted) {
  StartExpiring(10);
  const Id purchase = Purchase(Day(1), 30);
  const Id redemption = Redeem(Day(1), 30);
  EXPECT_EQ(Reverse(Day(1), 30, redemption).outcome(), Outcome::Ok);
  EXPECT_EQ(Reverse(Day(1), 30, last_.id()).outcome(), Outcome::NotPermitted);
  EXPECT_EQ(Reverse(Day(1), 30, purchase).outcome(), Outcome::NotPermitted);
  EXPECT_EQ(Reverse(Day(1), 30, Id(99, 0)).outcome(), Outcome::UnknownOriginal);
}

TEST_F(Movements, ACaptureIsReversedAsARedemption) {
  StartExpiring(10);
  Purchase(Day(1), 30);
  const Id hold = Hold(Day(1), 20);
  Capture(Day(1), 12, hold);
  const Id capture = last_.id();
  EXPECT_EQ(Reverse(Day(1), 1, hold).outcome(), Outcome::NotPermitted);
  EXPECT_EQ(Reverse(Day(1), 13, capture).outcome(), Outcome::AlreadyReturned);
  EXPECT_EQ(Reverse(Day(1), 12, capture).available(), 30);
  EXPECT_EQ(Lots(Day(1)).size(), 1u);
}

TEST_F(Movements, ALotThatExpiredMeanwhileIsRestoredWithAGrace) {
  StartExpiring(10);
  Purchase(Day(1), 30);
  const Id redemption = Redeem(Day(2), 30);
  EXPECT_EQ(Reverse(Day(11), 30, redemption).points(), 30);
  ASSERT_EQ(Lots(Day(11)).size(), 1u);
  EXPECT_EQ(Lots(Day(11))[0].expires_at, Day(41));
  EXPECT_EQ(On(Day(41) - 1), (Sub{0, 30, 0, 0}));
  EXPECT_EQ(On(Day(41)), (Sub{0, 0, 0, 0}));
}

TEST_F(Movements, OrForfeited) {
  ProgramSpec spec;
  spec.expiry = ExpirySpec{.days = 10};
  spec.expired_reversal = ExpiredReversal::forfeit;
  spec.grace_days = 30;
  Start(spec);
  const Id purchase = Purchase(Day(1), 30);
  Purchase(Day(5), 30);
  const Id redemption = Redeem(Day(5), 40);
  const Result result = Reverse(Day(11), 40, redemption);
  EXPECT_EQ(result.points(), 10);
  EXPECT_EQ(result.flags(), kDetailed);
  const auto detail = LastDetail<ReversalDetail>();
  EXPECT_EQ(detail.reinstated, 40);
  EXPECT_EQ(detail.repaid, 0);
  EXPECT_EQ(detail.forfeited, 30);
  EXPECT_EQ(totals().reinstated, 40);
  EXPECT_EQ(totals().expired, 30);
  EXPECT_EQ(totals().forfeited, 30);
  EXPECT_EQ(On(Day(11)), (Sub{0, 30, 0, 0}));
  // What its lot has lost, a return does not claim.
  EXPECT_EQ(Return(Day(11), 30, purchase).points(), 0);
}

TEST_F(Movements, ReversedPointsRepayWhatWasWrittenOff) {
  StartExpiring(100);
  const Id purchase = Purchase(Day(1), 100);
  const Id redemption = Redeem(Day(1), 80);
  const Result returned = Return(Day(1), 100, purchase);
  EXPECT_EQ(returned.points(), -20);
  EXPECT_EQ(totals().written_off, 80);
  EXPECT_EQ(Reverse(Day(1), 50, redemption).points(), 0);
  EXPECT_EQ(LastDetail<ReversalDetail>().repaid, 50);
  EXPECT_EQ(totals().written_off, 30);
  EXPECT_EQ(totals().clawed_back, 70);
  EXPECT_EQ(Reverse(Day(1), 30, redemption).points(), 0);
  EXPECT_EQ(totals().written_off, 0);
  EXPECT_EQ(totals().clawed_back, 100);
  EXPECT_EQ(On(Day(1)), (Sub{0, 0, 0, 0}));
}

TEST_F(Movements, ReversedPointsPayDebt) {
  StartExpiring(100, 500);
  const Id purchase = Purchase(Day(1), 100);
  const Id redemption = Redeem(Day(1), 80);
  Return(Day(1), 100, purchase);
  EXPECT_EQ(On(Day(1)), (Sub{0, 0, 0, 80}));
  EXPECT_EQ(Reverse(Day(1), 50, redemption).available(), -30);
  EXPECT_EQ(Reverse(Day(1), 30, redemption).available(), 0);
  EXPECT_TRUE(Lots(Day(1)).empty());
}

TEST_F(Movements, TheOwnLotOfAPurchaseIsClaimedAfterItCameBack) {
  StartExpiring(100);
  const Id purchase = Purchase(Day(1), 10);
  const Id redemption = Redeem(Day(1), 10);
  Purchase(Day(2), 10);
  Reverse(Day(3), 10, redemption);
  Return(Day(3), 10, purchase);
  ASSERT_EQ(Lots(Day(3)).size(), 1u);
  EXPECT_EQ(Lots(Day(3))[0].expires_at, Day(102));
}

TEST_F(Movements, ALotIsOneWhatIsHeldOfItIncluded) {
  StartExpiring(10);
  Purchase(Day(1), 30);
  const Id redemption = Redeem(Day(2), 10);
  EXPECT_EQ(Try(Day(2), With(Make(Kind::Hold, 20), Day(25))), Outcome::Ok);
  const Id hold = last_.id();
  // Past its date, all that is left of the lot is held. What comes back has a grace, and so has
  // what is held.
  Reverse(Day(12), 10, redemption);
  EXPECT_EQ(Holds(Day(12))[0].lots[0].expires_at, Day(42));
  EXPECT_EQ(Release(Day(12), hold).available(), 30);
  ASSERT_EQ(Lots(Day(12)).size(), 1u);
  EXPECT_EQ(Lots(Day(12))[0].remaining, 30);
}

TEST_F(Movements, RedemptionsOfTheFirstEngineAreNotRemembered) {
  StartExpiring(10);
  Purchase(Day(1), 30);
  ledger_.BeginBlock({Day(1), false, 1});
  Operation redeem = Make(Kind::Redeem, 10);
  redeem.mutate_occurred_at(Day(1));
  Result result;
  ledger_.Apply({&redeem, 1}, &result);
  EXPECT_EQ(result.outcome(), Outcome::Ok);
  EXPECT_EQ(Reverse(Day(1), 10, redeem.id()).outcome(), Outcome::UnknownOriginal);
}

// ---- standing ----

TEST_F(Movements, PendingPointsAreActivatedEarly) {
  ProgramSpec spec;
  spec.pending_days = 30;
  spec.expiry = ExpirySpec{.days = 100};
  Start(spec);
  const Id purchase = Purchase(Day(1), 30);
  EXPECT_EQ(At(Day(2), Make(Kind::Activate, 0, purchase)).available(), 30);
  EXPECT_EQ(On(Day(2)), (Sub{0, 30, 0, 0}));
  EXPECT_EQ(Lots(Day(2))[0].activates_at, Day(2));
  EXPECT_EQ(Lots(Day(2))[0].expires_at, Day(101));
  EXPECT_EQ(Try(Day(3), Make(Kind::Activate, 0, purchase)), Outcome::NotPermitted);
  EXPECT_EQ(Try(Day(3), Make(Kind::Activate, 0, Id(99, 9))), Outcome::UnknownOriginal);
  const Id second = Purchase(Day(3), 30);
  EXPECT_EQ(Try(Day(33), Make(Kind::Activate, 0, second)), Outcome::NotPermitted);
}

TEST_F(Movements, PendingPointsAreCancelled) {
  ProgramSpec spec;
  spec.pending_days = 30;
  Start(spec);
  const Id purchase = Purchase(Day(1), 30);
  EXPECT_EQ(Try(Day(2), Make(Kind::Cancel, 31, purchase)), Outcome::InsufficientPoints);
  EXPECT_EQ(At(Day(2), Make(Kind::Cancel, 10, purchase)).points(), -10);
  EXPECT_EQ(On(Day(2)), (Sub{20, 0, 0, 0}));
  // A return claims at most what was not cancelled.
  EXPECT_EQ(Return(Day(2), 15, purchase).points(), -15);
  EXPECT_EQ(Return(Day(2), 15, purchase).points(), -5);
  EXPECT_EQ(totals().clawed_back, 30);
  EXPECT_EQ(Try(Day(2), Make(Kind::Cancel, 0, purchase)), Outcome::NotPermitted);
  const Id second = Purchase(Day(3), 30);
  EXPECT_EQ(At(Day(4), Make(Kind::Cancel, 0, second)).points(), -30);
}

TEST_F(Movements, ExpiryIsExtended) {
  StartExpiring(10);
  Purchase(Day(1), 10);
  Purchase(Day(2), 10);
  Purchase(Day(9), 10);
  EXPECT_EQ(Try(Day(10), With(Make(Kind::Hold, 5), Day(30))), Outcome::Ok);
  EXPECT_EQ(Try(Day(10), With(Make(Kind::Extend, 0), Day(15))), Outcome::Ok);
  const auto lots = Lots(Day(10));
  ASSERT_EQ(lots.size(), 3u);
  EXPECT_EQ(lots[0].expires_at, Day(15));
  EXPECT_EQ(lots[0].remaining, 5);
  EXPECT_EQ(lots[1].expires_at, Day(15));
  EXPECT_EQ(lots[2].expires_at, Day(19));
  EXPECT_EQ(Holds(Day(10))[0].lots[0].expires_at, Day(15));
  EXPECT_EQ(Try(Day(10), Make(Kind::Extend, 0)), Outcome::BadRequest);
}

TEST_F(Movements, AFrozenMemberEarnsButDoesNotSpend) {
  StartExpiring(10);
  const Id purchase = Purchase(Day(1), 10);
  const Id hold = Hold(Day(1), 5);
  EXPECT_EQ(Try(Day(1), Make(Kind::Freeze, 0)), Outcome::Ok);
  EXPECT_EQ(Try(Day(1), Make(Kind::Freeze, 0)), Outcome::Ok);
  EXPECT_EQ(Try(Day(1), Make(Kind::Redeem, 1)), Outcome::Frozen);
  EXPECT_EQ(Try(Day(1), Make(Kind::Hold, 1)), Outcome::Frozen);
  EXPECT_EQ(Capture(Day(1), 5, hold).outcome(), Outcome::Ok);
  EXPECT_EQ(Return(Day(1), 5, purchase).outcome(), Outcome::Ok);
  Purchase(Day(1), 10);
  EXPECT_EQ(Try(Day(1), Make(Kind::Unfreeze, 0)), Outcome::Ok);
  EXPECT_EQ(Try(Day(1), Make(Kind::Redeem, 1)), Outcome::Ok);
}

TEST_F(Movements, ACloseRefusesWhilePointsRemainOrExpiresThem) {
  StartExpiring(10);
  Purchase(Day(1), 10);
  const Id hold = Hold(Day(1), 5);
  Operation close = Make(Kind::Close, 0);
  EXPECT_EQ(Try(Day(1), close), Outcome::NotPermitted);
  close.mutate_flags(kExpireRest);
  EXPECT_EQ(Try(Day(1), close), Outcome::NotPermitted) << "a hold is open";
  Release(Day(1), hold);
  const Result result = At(Day(1), close);
  EXPECT_EQ(result.points(), -10);
  EXPECT_EQ(LastDetail<CloseDetail>().available, 10);
  EXPECT_EQ(totals().expired, 10);
  EXPECT_EQ(totals().closed_out, 10);
  EXPECT_EQ(Try(Day(1), Make(Kind::Purchase, 5)), Outcome::Closed);
  EXPECT_EQ(Try(Day(1), Make(Kind::Enrol, 0)), Outcome::Closed);
  EXPECT_EQ(At(Day(1), close).flags(), kReplayed | kDetailed);
  EXPECT_EQ(ledger_.machine().StatusOf(kProgram, member_), AccountStatus::kClosed);
}

TEST_F(Movements, ACloseForgivesDebt) {
  StartExpiring(10, 100);
  const Id purchase = Purchase(Day(1), 10);
  Redeem(Day(1), 10);
  Return(Day(1), 10, purchase);
  Operation close = Make(Kind::Close, 0);
  EXPECT_EQ(Try(Day(1), close), Outcome::NotPermitted);
  close.mutate_flags(kExpireRest);
  EXPECT_EQ(At(Day(1), close).points(), 10);
  EXPECT_EQ(totals().forgiven, 10);
}

// ---- chains ----

TEST_F(Movements, AChainThatFailsUndoesAllOfThem) {
  StartExpiring(10);
  const Id purchase = Purchase(Day(1), 30);
  Purchase(Day(2), 30);
  const Id redemption = Redeem(Day(2), 20);
  const Id hold = Hold(Day(2), 30);
  const uint64_t before = ledger_.machine().Digest();
  ledger_.BeginBlock({Day(2) + kMinute, false});
  const std::vector<Result> results = Chain(
      Day(2), {Make(Kind::Capture, 15, hold), Make(Kind::ReverseRedemption, 12, redemption),
               Make(Kind::Hold, 20), With(Make(Kind::Extend, 0), Day(50)),
               Make(Kind::Return, 20, purchase), Make(Kind::Freeze, 0), Make(Kind::Redeem, 1)});
  EXPECT_EQ(results[6].outcome(), Outcome::Frozen);
  EXPECT_EQ(results[0].outcome(), Outcome::ChainRefused);
  EXPECT_EQ(ledger_.machine().Digest(), before);
  EXPECT_TRUE(ledger_.machine().CheckInvariants().ok()) << ledger_.machine().CheckInvariants();
  EXPECT_EQ(Capture(Day(2) + kMinute, 30, hold).outcome(), Outcome::Ok);
  EXPECT_EQ(Reverse(Day(2) + kMinute, 20, redemption).outcome(), Outcome::Ok);
}

TEST_F(Movements, AnUndoneChainLeavesAPurchaseItsLot) {
  StartExpiring(10);
  Purchase(Day(1), 5);
  const Id purchase = Purchase(Day(2), 30);
  At(Day(2), Make(Kind::Adjust, -5));
  const Id redemption = Redeem(Day(2), 10);
  // All of the lot is held, and made anew, and then neither.
  ledger_.BeginBlock({Day(3), false});
  const std::vector<Result> results =
      Chain(Day(3), {Make(Kind::Hold, 20), Make(Kind::ReverseRedemption, 10, redemption),
                     Make(Kind::Redeem, 1'000)});
  EXPECT_EQ(results[1].outcome(), Outcome::ChainRefused);
  EXPECT_TRUE(ledger_.machine().CheckInvariants().ok()) << ledger_.machine().CheckInvariants();
  Operation soon = With(Make(Kind::Accrue, 8), Day(4));
  At(Day(3), soon);
  Return(Day(3), 20, purchase);
  ASSERT_EQ(Lots(Day(3)).size(), 1u);
  EXPECT_EQ(Lots(Day(3))[0].remaining, 8);
}

}  // namespace
}  // namespace tallystick::ledger
