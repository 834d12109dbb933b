// Points that one member sends to another, on another shard or his own.

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "tests/model/movements_fixture.h"

namespace tallystick::model {
namespace {

constexpr Id kReceiver{2, 2};
constexpr uint16_t kShard = 3;  // of the sender

using ParcelLots = std::vector<Parcel::Lot>;

// The fixture's member sends to one of another shard.
class Transfers : public MovementsFixture {
 protected:
  void TearDown() override {
    MovementsFixture::TearDown();
    there_.CheckConservation();
  }

  void StartBoth(Program program) {
    Start(program);
    program.id = kProgram;
    there_.PutProgram(program, Day(0));
    Enrol();
  }
  void Enrol() { There(Day(0), Make(Kind::kEnrol, 0)); }

  // An operation of the receiver.
  Result There(Instant t, Operation operation) {
    operation.member = kReceiver;
    operation.occurred_at = t;
    there_.BeginBlock(t, false);
    return there_.Apply({operation}).front();
  }

  Result Send(Instant t, int64_t points) { return At(t, Make(Kind::kTransfer, points, kReceiver)); }
  OpenTransfer Open() const { return ledger_.OpenTransfers().back(); }
  Parcel Pack() const { return ledger_.ParcelOf(Open(), kShard, Open().sequence); }
  Result Receive(Instant t, const Parcel& parcel) {
    there_.BeginBlock(t, false);
    return there_.Receive(parcel);
  }
  Result Finish(Instant t, Outcome outcome) {
    ledger_.BeginBlock(t, false);
    return ledger_.Finish(Open(), outcome);
  }

  Balance BalanceThere(Instant t) const { return *there_.BalanceAt(kProgram, kReceiver, t); }
  std::vector<Lot> LotsThere(Instant t) const { return there_.LotsAt(kProgram, kReceiver, t); }

  NaiveLedger there_;
};

TEST_F(Transfers, PointsLeaveArriveAndAreDone) {
  StartBoth({});
  Accrue(Day(0), 100);
  const Result sent = Send(Day(1), 40);
  EXPECT_EQ(sent.points, -40);
  EXPECT_EQ(sent.available, 60);
  EXPECT_TRUE(sent.in_transit);
  EXPECT_EQ(BalanceOn(Day(1)), (Balance{.available = 60, .lifetime_earned = 100}));
  EXPECT_EQ(totals().sent, 40);

  const Result received = Receive(Day(1), Pack());
  EXPECT_EQ(received.points, 40);
  EXPECT_EQ(received.available, 40);
  EXPECT_EQ(BalanceThere(Day(1)), Balance{.available = 40});
  EXPECT_EQ(there_.TotalsOf(kProgram).received, 40);

  const Result done = Finish(Day(2), Outcome::kOk);
  EXPECT_EQ(done.points, 0);
  EXPECT_EQ(done.available, 60);
  EXPECT_TRUE(ledger_.OpenTransfers().empty());
  EXPECT_EQ(totals().sent, 40);
}

TEST_F(Transfers, RefusedPointsComeBack) {
  Start({});
  there_.PutProgram({.id = kProgram}, Day(0));
  Accrue(Day(0), 100);
  Send(Day(1), 40);
  const Result refused = Receive(Day(1), Pack());
  EXPECT_EQ(refused.outcome, Outcome::kUnknownMember);
  EXPECT_EQ(refused.points, 0);
  const Result back = Finish(Day(2), refused.outcome);
  EXPECT_EQ(back.points, 40);
  EXPECT_EQ(back.available, 100);
  EXPECT_EQ(totals().sent, 0);
  EXPECT_EQ(LotsOn(Day(2)), (std::vector{Lot{100, 100, Day(0), kNever, false}}));
}

TEST_F(Transfers, AnIdOnItsWayDoneAndBack) {
  StartBoth({});
  Accrue(Day(0), 100);
  Send(Day(1), 40);
  const Operation transfer = last_;
  Result again = At(Day(1), transfer);
  EXPECT_TRUE(again.replayed);
  EXPECT_TRUE(again.in_transit);
  Finish(Day(1), Outcome::kOk);
  again = At(Day(1), transfer);
  EXPECT_TRUE(again.replayed);
  EXPECT_FALSE(again.in_transit);

  Send(Day(1), 40);
  const Operation second = last_;
  Finish(Day(1), Outcome::kClosed);
  Operation other = second;
  other.kind = static_cast<uint8_t>(Kind::kRedeem);
  other.related = {};
  EXPECT_EQ(At(Day(1), other).available, 20);
  EXPECT_EQ(At(Day(1), second).outcome, Outcome::kIdConflict);
}

TEST_F(Transfers, RulesOfTheProgram) {
  StartBoth({.transfer_minimum = 5, .transfer_maximum = 50});
  Accrue(Day(0), 40);
  EXPECT_EQ(Send(Day(0), 4).outcome, Outcome::kBelowMinimum);
  EXPECT_EQ(Send(Day(0), 51).outcome, Outcome::kOverLimit);
  EXPECT_EQ(Send(Day(0), 50).outcome, Outcome::kInsufficientPoints);
  EXPECT_EQ(Send(Day(0), 5).outcome, Outcome::kOk);
}

TEST_F(Transfers, ForbiddenComesFirst) {
  StartBoth({.transfer_dates = TransferDates::kForbidden, .transfer_minimum = 5});
  EXPECT_EQ(Send(Day(0), 1).outcome, Outcome::kNotPermitted);
}

TEST_F(Transfers, LotsKeepTheirDates) {
  StartBoth({});
  Accrue(Day(0), 10, Day(20));
  Accrue(Day(1), 10, Day(10));
  Accrue(Day(2), 10);
  Send(Day(3), 25);
  EXPECT_EQ(Pack().lots, (ParcelLots{{10, Day(1), Day(10)}, {10, Day(0), Day(20)}, {5, Day(2)}}));
  Receive(Day(3), Pack());
  EXPECT_EQ(LotsThere(Day(3)),
            (std::vector{Lot{10, 10, Day(1), Day(10), false}, Lot{10, 10, Day(0), Day(20), false},
                         Lot{5, 5, Day(2), kNever, false}}));
}

TEST_F(Transfers, NeighboursWithTheSameDatesAreOneLot) {
  StartBoth({});
  Accrue(Day(1), 10, Day(10));
  Accrue(Day(1), 10, Day(10));
  Send(Day(3), 15);
  EXPECT_EQ(Pack().lots, (ParcelLots{{15, Day(1), Day(10)}}));
}

TEST_F(Transfers, FreshDatesAreThoseOfAnAdjustment) {
  StartBoth({.pending_days = 14,
             .expiry = {ExpiryAfter::kEarning, 10},
             .transfer_dates = TransferDates::kFresh});
  At(Day(1), Make(Kind::kAdjust, 10));
  At(Day(2), Make(Kind::kAdjust, 10));
  Operation transfer = Make(Kind::kTransfer, 15, kReceiver);
  transfer.occurred_at = Day(3) - kHour;
  At(Day(3), transfer);
  EXPECT_EQ(Pack().lots, (ParcelLots{{15, Day(3) - kHour, Day(13) - kHour}}));
}

TEST_F(Transfers, AParcelIsAppliedOnce) {
  StartBoth({});
  Accrue(Day(0), 10);
  Send(Day(0), 10);
  const Parcel parcel = Pack();
  EXPECT_FALSE(Receive(Day(0), parcel).replayed);
  There(Day(1), Make(Kind::kFreeze, 0));
  EXPECT_TRUE(Receive(Day(1), parcel).replayed);
  EXPECT_EQ(BalanceThere(Day(1)).available, 10);
}

TEST_F(Transfers, WhatWasSettledBeforeIsKnown) {
  StartBoth({});
  Accrue(Day(0), 20);
  Send(Day(0), 5);
  const Parcel first = Pack();
  Finish(Day(0), Outcome::kUnknownMember);
  Send(Day(0), 5);
  Receive(Day(0), Pack());
  EXPECT_EQ(Receive(Day(0), first).outcome, Outcome::kBadRequest);
  EXPECT_EQ(BalanceThere(Day(0)).available, 5);
}

TEST_F(Transfers, PointsOnTheirWayHaveNoEventsButTheDatesOfAnExtend) {
  StartBoth({.expiry = {ExpiryAfter::kEarning, 10}});
  Accrue(Day(0), 10);
  Send(Day(1), 10);
  EXPECT_EQ(Extend(Day(2), Day(30)).outcome, Outcome::kOk);
  EXPECT_EQ(Pack().lots, (ParcelLots{{10, Day(0), Day(30)}}));
  const Result back = Finish(Day(30), Outcome::kClosed);
  EXPECT_EQ(back.available, 10);
  EXPECT_EQ(BalanceOn(Day(30)).available, 0);
  EXPECT_EQ(totals().expired, 10);
}

TEST_F(Transfers, AnExtendMayChangeTheOrderOfWhatIsOnItsWay) {
  StartBoth({});
  Accrue(Day(1), 10, Day(10));
  Accrue(Day(0), 10, Day(11));
  Send(Day(2), 20);
  EXPECT_EQ(Pack().lots, (ParcelLots{{10, Day(1), Day(10)}, {10, Day(0), Day(11)}}));
  Extend(Day(2), Day(30));
  EXPECT_EQ(Pack().lots, (ParcelLots{{10, Day(0), Day(30)}, {10, Day(1), Day(30)}}));
}

TEST_F(Transfers, PointsThatExpireOnTheirWayPayDebtFirst) {
  StartBoth({.debt_floor = 100});
  const Operation purchase = Make(Kind::kPurchase, 3);
  There(Day(0), purchase);
  There(Day(0), Make(Kind::kRedeem, 3));
  There(Day(0), Make(Kind::kReturn, 3, purchase.id));
  Accrue(Day(0), 10, Day(5));
  Send(Day(1), 10);
  there_.TakeDerived();
  const Result received = Receive(Day(5), Pack());
  EXPECT_EQ(received.points, 10);
  EXPECT_EQ(received.available, 7);
  EXPECT_EQ(BalanceThere(Day(5)), Balance{.lifetime_earned = 3});
  ASSERT_EQ(there_.TakeDerived().size(), 1u);
}

TEST_F(Transfers, AShardBehindTheSendersHasThemPending) {
  StartBoth({});
  Accrue(Day(2), 10);
  Send(Day(2), 10);
  EXPECT_EQ(Receive(Day(1), Pack()).pending, 10);
  EXPECT_EQ(BalanceThere(Day(2)).available, 10);
}

TEST_F(Transfers, FrozenMembersReceiveButDoNotSend) {
  StartBoth({});
  Accrue(Day(0), 10);
  Send(Day(0), 5);
  At(Day(0), Make(Kind::kFreeze, 0));
  There(Day(0), Make(Kind::kFreeze, 0));
  EXPECT_EQ(Send(Day(0), 5).outcome, Outcome::kFrozen);
  EXPECT_EQ(Receive(Day(0), Pack()).outcome, Outcome::kOk);
  EXPECT_EQ(Finish(Day(0), Outcome::kOk).outcome, Outcome::kOk);
}

TEST_F(Transfers, ClosedMembersDoNotReceive) {
  StartBoth({});
  Accrue(Day(0), 10);
  Send(Day(0), 10);
  EXPECT_EQ(Close(Day(0)).outcome, Outcome::kNotPermitted);
  EXPECT_EQ(CloseExpiringTheRest(Day(0)).outcome, Outcome::kNotPermitted);
  There(Day(0), Make(Kind::kClose, 0));
  EXPECT_EQ(Receive(Day(0), Pack()).outcome, Outcome::kClosed);
}

TEST_F(Transfers, ReceivedPointsCountAsCredited) {
  StartBoth({});
  There(Day(0), Make(Kind::kAccrue, kMostPoints - 9));
  There(Day(0), Make(Kind::kRedeem, kMostPoints - 9));
  Accrue(Day(0), 20);
  Send(Day(0), 10);
  EXPECT_EQ(Receive(Day(0), Pack()).outcome, Outcome::kOverflow);
  Finish(Day(0), Outcome::kOverflow);
  Send(Day(0), 9);
  EXPECT_EQ(Receive(Day(0), Pack()).outcome, Outcome::kOk);
  EXPECT_EQ(There(Day(0), Make(Kind::kAccrue, 1)).outcome, Outcome::kOverflow);
}

TEST_F(Transfers, HoldsAndTransfersOnTheirWayAreCountedTogether) {
  StartBoth({});
  Accrue(Day(0), 1'000);
  for (size_t i = 0; i < kMaxOpenHolds / 2; ++i) {
    Hold(Day(0), 1);
    Send(Day(0), 1);
  }
  EXPECT_EQ(Send(Day(0), 1).outcome, Outcome::kOverLimit);
  EXPECT_EQ(TryHold(Day(0), 1).outcome, Outcome::kOverLimit);
  Finish(Day(0), Outcome::kOk);
  EXPECT_EQ(Send(Day(0), 1).outcome, Outcome::kOk);
}

TEST_F(Transfers, WhoeverReceivesIsAnotherMember) {
  StartBoth({});
  EXPECT_EQ(BadFieldOf(Make(Kind::kTransfer, 1, kMember)), Field::kRelated);
  EXPECT_EQ(BadFieldOf(Make(Kind::kTransfer, 1)), Field::kRelated);
  EXPECT_EQ(BadFieldOf(Make(Kind::kTransfer, 0, kReceiver)), Field::kAmount);
  EXPECT_EQ(BadFieldOf(Expiring(Make(Kind::kTransfer, 1, kReceiver), Day(9))), Field::kExpiresAt);
  EXPECT_EQ(BadFieldOf(Make(Kind::kTransferIn, 1, kReceiver)), Field::kKind);
}

TEST_F(Transfers, AChainHasNone) {
  StartBoth({});
  Accrue(Day(0), 10);
  Operation first = Make(Kind::kEnrol, 0);
  first.flags = kLinked;
  first.occurred_at = Day(0);
  Operation second = Make(Kind::kTransfer, 1, kReceiver);
  second.occurred_at = Day(0);
  const std::vector<Result> results = ledger_.Apply({first, second});
  for (const Result& result : results) {
    EXPECT_EQ(result.outcome, Outcome::kBadRequest);
    EXPECT_EQ(result.field, Field::kChain);
  }
}

TEST_F(Transfers, ClaimsOfReturnsStayWithWhoEarned) {
  StartBoth({.debt_floor = 3});
  const Id purchase = Purchase(Day(0), 10);
  Send(Day(0), 10);
  Receive(Day(0), Pack());
  const Result returned = Return(Day(0), 10, purchase);
  EXPECT_EQ(returned.points, -3);
  EXPECT_EQ(returned.details, (Details{10, 0, 0, 3, 7}));
  EXPECT_EQ(BalanceThere(Day(0)).available, 10);
  // What comes back pays debt.
  EXPECT_EQ(Finish(Day(0), Outcome::kClosed).available, 7);
}

}  // namespace
}  // namespace tallystick::model
