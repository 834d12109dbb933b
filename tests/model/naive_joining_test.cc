// Lots stay few: of an account that has many, those that nothing tells apart become one.

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/model/movements_fixture.h"

namespace tallystick::model {
namespace {

constexpr Id kSomeoneElse{2, 2};
constexpr uint16_t kShard = 3;  // of the sender of a parcel

using Lots = std::vector<Lot>;
using Joinings = std::vector<Joining>;

Program ShortLived() {
  Program program;
  program.id = kProgram;
  program.retention_days = 1;
  program.return_days = 1;
  return program;
}

// Receipts live for a day. An adjustment's lot is plain at once, an accrual's when its receipt is
// dead. Lots have 2 points, if nothing else is said.
class NaiveJoining : public MovementsFixture {
 protected:
  void SetUp() override { Start(ShortLived()); }

  Result Adjust(Instant t, Instant expires_at, int64_t points = 2) {
    return At(t, Expiring(Make(Kind::kAdjust, points), expires_at));
  }
  void AdjustTimes(size_t count, Instant t, Instant expires_at) {
    for (size_t i = 0; i < count; ++i) ASSERT_EQ(Adjust(t, expires_at).outcome, Outcome::kOk);
  }
  void AccrueTimes(size_t count, Instant t, Instant expires_at) {
    for (size_t i = 0; i < count; ++i) Accrue(t, 2, expires_at);
  }
  Result Transfer(Instant t, int64_t points) {
    return At(t, Make(Kind::kTransfer, points, kSomeoneElse));
  }

  // Lots that expire a minute apart arrive in one parcel: nothing joins them.
  Result Fill(size_t lots, Instant t, Instant first_expires_at, Instant activates_at = 0) {
    Parcel parcel;
    parcel.operation = Make(Kind::kTransferIn, 2 * static_cast<int64_t>(lots), kSomeoneElse);
    parcel.operation.occurred_at = t;
    parcel.shard = kShard;
    parcel.sequence = ++parcels_;
    parcel.open_from = 1;
    for (size_t i = 0; i < lots; ++i) {
      parcel.lots.push_back({2, activates_at == 0 ? t : activates_at,
                             first_expires_at + static_cast<int64_t>(i) * kMinute});
    }
    ledger_.BeginBlock(t, false);
    return ledger_.Receive(parcel);
  }

  std::vector<Result> Chain(Instant t, std::vector<Operation> operations) {
    for (Operation& operation : operations) {
      operation.occurred_at = t;
      operation.flags |= kLinked;
    }
    operations.back().flags = 0;
    ledger_.BeginBlock(t, false);
    return ledger_.Apply(operations);
  }

  // What was joined since the last call.
  Joinings TakeJoinings() {
    const Joinings all = ledger_.joinings();
    const Joinings since{all.begin() + static_cast<std::ptrdiff_t>(seen_), all.end()};
    seen_ = all.size();
    return since;
  }
  size_t CountOn(Instant t) const { return LotsOn(t).size(); }

 private:
  size_t seen_ = 0;
  uint64_t parcels_ = 0;
};

// ---- when ----

TEST_F(NaiveJoining, TheOperationThatFinds256LotsJoinsThem) {
  AdjustTimes(256, Day(0), Day(100));
  EXPECT_EQ(CountOn(Day(0)), 256u);
  EXPECT_EQ(TakeJoinings(), Joinings{});
  Adjust(Day(0), Day(100));
  EXPECT_EQ(TakeJoinings(), (Joinings{{256, 1}}));
  EXPECT_EQ(LotsOn(Day(0)), (Lots{{512, 512, Day(0), Day(100)}, {2, 2, Day(0), Day(100)}}));
}

TEST_F(NaiveJoining, HappensAtPowersOfTwoFrom256) {
  size_t lots = 0;
  for (const size_t many : {128, 256, 512, 1'024, 2'048, 4'096, 8'192}) {
    Fill(many - 1 - lots, Day(0), Day(100 * static_cast<int64_t>(many)));
    for (lots = many - 1; lots < many + 3; ++lots) Fill(1, Day(0), Day(50) + lots);
  }
  EXPECT_EQ(
      TakeJoinings(),
      (Joinings{
          {256, 256}, {512, 512}, {1'024, 1'024}, {2'048, 2'048}, {4'096, 4'096}, {8'192, 8'192}}));
}

TEST_F(NaiveJoining, MoreLotsThan256StayUntilTheNextPower) {
  AccrueTimes(300, Day(0), Day(100));
  EXPECT_EQ(TakeJoinings(), (Joinings{{256, 256}}));
  // Two days later nothing tells them apart, but 300 to 511 are no counts at which it matters.
  AdjustTimes(212, Day(2), Day(200));
  EXPECT_EQ(CountOn(Day(2)), 512u);
  EXPECT_EQ(TakeJoinings(), Joinings{});
  Adjust(Day(2), Day(300));
  EXPECT_EQ(TakeJoinings(), (Joinings{{512, 2}}));
}

TEST_F(NaiveJoining, TheCountIsThatOfTheSettledAccount) {
  Fill(255, Day(0), Day(100));
  Fill(3, Day(0), Day(2));
  EXPECT_EQ(CountOn(Day(0)), 258u);
  Adjust(Day(2) + kMinute, Day(200));  // of 258 two have expired
  EXPECT_EQ(TakeJoinings(), (Joinings{{256, 256}}));
}

TEST_F(NaiveJoining, TheCountIsOfHeldSentAndPendingLotsToo) {
  Fill(100, Day(0), Day(100), Day(5));  // pending
  AdjustTimes(153, Day(0), Day(100));
  Hold(Day(0), 3, Day(1));  // one lot, and half of the next
  EXPECT_EQ(CountOn(Day(0)), 252u);
  Transfer(Day(0), 2);  // the other half, and half of the next
  EXPECT_EQ(CountOn(Day(0)), 251u);
  Adjust(Day(0), Day(100));
  EXPECT_EQ(TakeJoinings(), Joinings{});
  Adjust(Day(0), Day(100));  // with two parts held and two sent there are 256
  EXPECT_EQ(TakeJoinings(), (Joinings{{256, 100 + 4 + 1 + 1}}));
}

TEST_F(NaiveJoining, EveryOperationThatAddsLotsJoins) {
  AdjustTimes(256, Day(0), Day(100));
  EXPECT_EQ(At(Day(0), Make(Kind::kPurchase, 2)).outcome, Outcome::kOk);
  EXPECT_EQ(TakeJoinings(), (Joinings{{256, 1}}));  // and the purchase
  AdjustTimes(254, Day(0), Day(100));
  Accrue(Day(0), 2, Day(200));
  EXPECT_EQ(TakeJoinings(), (Joinings{{256, 2}}));  // what was joined, joined again; and two more
  AdjustTimes(253, Day(0), Day(100));
  Hold(Day(0), 1);
  EXPECT_EQ(TakeJoinings(), (Joinings{{256, 3}}));  // of the first lot a part is held
  AdjustTimes(252, Day(0), Day(100));
  EXPECT_EQ(Transfer(Day(0), 1).outcome, Outcome::kOk);
  EXPECT_EQ(TakeJoinings(), (Joinings{{256, 5}}));  // two parts, what is left beside, a run
  AdjustTimes(250, Day(0), Day(100));
  const Id redemption = Redeem(Day(0), 1);
  EXPECT_EQ(TakeJoinings(), Joinings{});
  EXPECT_EQ(Reverse(Day(0), 1, redemption).outcome, Outcome::kOk);
  EXPECT_EQ(TakeJoinings(), (Joinings{{256, 6}}));
  AdjustTimes(250, Day(0), Day(100));
  EXPECT_EQ(Fill(1, Day(0), Day(300)).outcome, Outcome::kOk);
  EXPECT_EQ(TakeJoinings(), (Joinings{{256, 6}}));
}

TEST_F(NaiveJoining, NoOtherOperationJoins) {
  Program program = ShortLived();
  program.earn.minimum_spend = 10;
  ledger_.PutProgram(program, Day(0));
  AdjustTimes(254, Day(0), Day(100));
  const Id hold = Hold(Day(0), 1);
  const Id other_hold = Hold(Day(0), 1);
  Adjust(Day(0), Day(100));  // that makes 254 beside two that are held
  EXPECT_EQ(CountOn(Day(0)), 254u);

  EXPECT_EQ(At(Day(0), Make(Kind::kPurchase, 9)).outcome, Outcome::kOk);  // no points
  EXPECT_EQ(Adjust(Day(0), 0, -1).outcome, Outcome::kOk);
  EXPECT_EQ(Extend(Day(0), Day(100)).outcome, Outcome::kOk);
  for (const Kind kind : {Kind::kEnrol, Kind::kFreeze, Kind::kUnfreeze}) {
    EXPECT_EQ(At(Day(0), Make(kind, 0)).outcome, Outcome::kOk);
  }
  EXPECT_EQ(CountOn(Day(0)), 254u);
  Redeem(Day(0), 2);
  EXPECT_EQ(CountOn(Day(0)), 253u);
  EXPECT_EQ(Capture(Day(0), hold).outcome, Outcome::kOk);
  EXPECT_EQ(Release(Day(0), other_hold).outcome, Outcome::kOk);
  EXPECT_EQ(TakeJoinings(), Joinings{});
}

TEST_F(NaiveJoining, ARefusedOrReplayedOperationJoinsNothing) {
  AdjustTimes(255, Day(0), Day(100));
  const Operation again = Make(Kind::kAdjust, 2);
  At(Day(0), again);
  EXPECT_TRUE(At(Day(0), last_).replayed);
  EXPECT_EQ(TryHold(Day(0), 1'000).outcome, Outcome::kInsufficientPoints);
  EXPECT_EQ(TryHold(Day(0), 1, Day(40)).outcome, Outcome::kOverLimit);
  EXPECT_EQ(Transfer(Day(0), 1'000).outcome, Outcome::kInsufficientPoints);
  EXPECT_EQ(Reverse(Day(0), 1, {9, 9}).outcome, Outcome::kUnknownOriginal);
  EXPECT_EQ(Adjust(Day(0), 0, kMostPoints).outcome, Outcome::kOverflow);
  EXPECT_EQ(TakeJoinings(), Joinings{});
  EXPECT_EQ(CountOn(Day(0)), 256u);
}

TEST_F(NaiveJoining, AChainJoinsWhereOneOfItFindsSoMany) {
  AdjustTimes(255, Day(0), Day(100));
  const Operation one = Expiring(Make(Kind::kAdjust, 2), Day(100));
  const auto next = [&] { return Expiring(Make(Kind::kAdjust, 2), Day(100)); };
  const std::vector<Result> refused = Chain(Day(0), {next(), next(), Make(Kind::kRedeem, 10'000)});
  EXPECT_EQ(refused[0].outcome, Outcome::kChainRefused);
  EXPECT_EQ(refused[2].outcome, Outcome::kInsufficientPoints);
  EXPECT_EQ(TakeJoinings(), Joinings{});
  EXPECT_EQ(CountOn(Day(0)), 255u);
  EXPECT_EQ(Chain(Day(0), {one, next(), next()})[2].outcome, Outcome::kOk);
  EXPECT_EQ(TakeJoinings(), (Joinings{{256, 1}}));
  EXPECT_EQ(CountOn(Day(0)), 3u);
}

// ---- which lots, and what becomes of them ----

TEST_F(NaiveJoining, NeighboursOfOneExpiryBecomeTheFirstOfThem) {
  AdjustTimes(100, Day(0), Day(200));
  AdjustTimes(100, Day(0), Day(100));
  // Earlier than its neighbours, though it came behind them.
  Operation early = Expiring(Make(Kind::kAdjust, 5), Day(100));
  early.occurred_at = Day(0) - kHour;
  const uint64_t first = At(Day(0), early).sequence;
  AdjustTimes(55, Day(0), 0);
  const uint64_t last = Adjust(Day(0), Day(100)).sequence;
  EXPECT_EQ(TakeJoinings(), (Joinings{{256, 3}}));
  EXPECT_EQ(LotsOn(Day(0)), (Lots{{205, 205, Day(0) - kHour, Day(100)},
                                  {2, 2, Day(0), Day(100)},
                                  {200, 200, Day(0), Day(200)},
                                  {110, 110, Day(0), kNever}}));
  At(Day(100), Make(Kind::kEnrol, 0));
  EXPECT_EQ(ledger_.TakeDerived(),
            (std::vector<Derived>{Record(Kind::kExpiry, 205, Day(100), first, 312),
                                  Record(Kind::kExpiry, 2, Day(100), last, 310)}));
}

TEST_F(NaiveJoining, WhatLiesBetweenLotsKeepsThemApart) {
  AdjustTimes(100, Day(0), Day(100));
  Accrue(Day(0) + kMinute, 2, Day(100));  // its receipt is live
  AdjustTimes(155, Day(0) + 2 * kMinute, Day(100));
  Adjust(Day(0) + 3 * kMinute, Day(100));
  EXPECT_EQ(LotsOn(Day(0) + kHour), (Lots{{200, 200, Day(0), Day(100)},
                                          {2, 2, Day(0) + kMinute, Day(100)},
                                          {310, 310, Day(0) + 2 * kMinute, Day(100)},
                                          {2, 2, Day(0) + 3 * kMinute, Day(100)}}));
}

TEST_F(NaiveJoining, AnAccrualIsPlainWhenItsReceiptIsDead) {
  AccrueTimes(256, Day(0), Day(100));
  Adjust(Day(1), Day(200));  // on the bound
  EXPECT_EQ(TakeJoinings(), (Joinings{{256, 256}}));
  Redeem(Day(1), 2);
  Adjust(Day(1) + 1, Day(200));
  EXPECT_EQ(TakeJoinings(), (Joinings{{256, 2}}));
}

TEST_F(NaiveJoining, APurchaseIsPlainWhenNoReturnCanNameIt) {
  Program program = ShortLived();
  program.return_days = 3;
  ledger_.PutProgram(program, Day(0));
  for (int i = 0; i < 256; ++i) Purchase(Day(0), 2);
  Adjust(Day(3), Day(200));
  EXPECT_EQ(TakeJoinings(), (Joinings{{256, 256}}));
  EXPECT_EQ(At(Day(3), Make(Kind::kAdjust, -2)).outcome, Outcome::kOk);  // the one that expires
  Adjust(Day(3) + 1, Day(200));
  EXPECT_EQ(TakeJoinings(), (Joinings{{256, 1}}));
}

TEST_F(NaiveJoining, WhatWasTakenOfALotGoesBackToIt) {
  AdjustTimes(256, Day(0), Day(100));
  const Id redemption = Redeem(Day(0), 3);  // one lot, and half of the next
  Adjust(Day(0), Day(200));
  EXPECT_EQ(CountOn(Day(0)), 256u);
  Adjust(Day(0), Day(200));
  EXPECT_EQ(TakeJoinings(), (Joinings{{256, 3}}));
  EXPECT_EQ(LotsOn(Day(0)), (Lots{{1, 2, Day(0), Day(100)},
                                  {508, 508, Day(0), Day(100)},
                                  {2, 2, Day(0), Day(200)},
                                  {2, 2, Day(0), Day(200)}}));
  EXPECT_EQ(Reverse(Day(0), 3, redemption).outcome, Outcome::kOk);
  EXPECT_EQ(LotsOn(Day(0)), (Lots{{2, 2, Day(0), Day(100)},
                                  {2, 2, Day(0), Day(100)},
                                  {508, 508, Day(0), Day(100)},
                                  {2, 2, Day(0), Day(200)},
                                  {2, 2, Day(0), Day(200)}}));
}

TEST_F(NaiveJoining, WhatWasTakenOfJoinedLotsGoesBackToThemAsOne) {
  AdjustTimes(256, Day(0), Day(100));
  Adjust(Day(0), Day(200));
  const Id redemption = Redeem(Day(0), 513);  // all of it, and half of the other
  EXPECT_EQ(LotsOn(Day(0)), (Lots{{1, 2, Day(0), Day(200)}}));
  EXPECT_EQ(Reverse(Day(0), 11, redemption).outcome, Outcome::kOk);
  EXPECT_EQ(LotsOn(Day(0)), (Lots{{10, 512, Day(0), Day(100)}, {2, 2, Day(0), Day(200)}}));
}

TEST_F(NaiveJoining, ALotThatPaidDebtOrWasReturnedIsNotWhole) {
  Program program = ShortLived();
  program.debt_floor = 100;
  ledger_.PutProgram(program, Day(0));
  const Id spent = Accrue(Day(0), 10);
  Redeem(Day(0), 10);
  Return(Day(0), 10, spent);
  Accrue(Day(0), 12, Day(90));  // of which 10 pay
  EXPECT_EQ(LotsOn(Day(0)), (Lots{{2, 12, Day(0), Day(90)}}));
  const Id returned = Accrue(Day(0), 5, Day(90));
  Return(Day(0), 1, returned);
  AdjustTimes(254, Day(2), Day(100));
  Adjust(Day(2), Day(100));
  EXPECT_EQ(LotsOn(Day(2)), (Lots{{2, 12, Day(0), Day(90)},
                                  {4, 5, Day(0), Day(90)},
                                  {508, 508, Day(2), Day(100)},
                                  {2, 2, Day(2), Day(100)}}));
}

TEST_F(NaiveJoining, WhatIsHeldOrSentIsNotJoined) {
  AdjustTimes(100, Day(0), Day(100));
  const Id hold = Hold(Day(0), 5, Day(1));
  Transfer(Day(0), 5);
  AdjustTimes(155, Day(0), Day(100));
  EXPECT_EQ(TakeJoinings(), Joinings{});
  Adjust(Day(0), Day(100));
  EXPECT_EQ(TakeJoinings(), (Joinings{{256, 7}}));
  const Lot whole{2, 2, Day(0), Day(100)};
  const Lot half{1, 2, Day(0), Day(100)};
  const Lot run{500, 500, Day(0), Day(100)};
  EXPECT_EQ(HoldsOn(Day(0)).front().lots, (Lots{whole, whole, half}));
  EXPECT_EQ(LotsOn(Day(0)), (Lots{run, whole}));
  EXPECT_EQ(Release(Day(0), hold).outcome, Outcome::kOk);
  EXPECT_EQ(LotsOn(Day(0)), (Lots{whole, whole, half, run, whole}));
  ledger_.Finish(ledger_.OpenTransfers().back(), Outcome::kUnknownMember);
  EXPECT_EQ(LotsOn(Day(0)), (Lots{whole, whole, whole, whole, whole, run, whole}));
}

TEST_F(NaiveJoining, WhatIsPendingIsNotJoined) {
  for (int i = 0; i < 10; ++i) Fill(1, Day(0), Day(100), Day(5));
  AdjustTimes(246, Day(0), Day(100));
  Adjust(Day(0), Day(100));
  EXPECT_EQ(TakeJoinings(), (Joinings{{256, 11}}));
  AdjustTimes(244, Day(5), Day(100));  // when it is available
  Adjust(Day(5), Day(100));
  EXPECT_EQ(TakeJoinings(), (Joinings{{256, 1}}));
}

TEST_F(NaiveJoining, WhatIsLeftOfAHoldsLotStaysByItself) {
  AdjustTimes(256, Day(0), Day(100));
  const Id hold = Hold(Day(0), 5);  // of what it has joined
  EXPECT_EQ(TakeJoinings(), (Joinings{{256, 1}}));
  EXPECT_EQ(HoldsOn(Day(0)).front().lots, (Lots{{5, 512, Day(0), Day(100)}}));
  EXPECT_EQ(LotsOn(Day(0)), (Lots{{507, 512, Day(0), Day(100)}}));
  Release(Day(0), hold);
  EXPECT_EQ(LotsOn(Day(0)), (Lots{{512, 512, Day(0), Day(100)}}));
}

TEST_F(NaiveJoining, AnUnknownReturnFindsThemAsOldAsTheFirst) {
  Program program = ShortLived();
  program.unknown_original = UnknownOriginal::kNewest;
  ledger_.PutProgram(program, Day(0));
  Adjust(Day(0), Day(100));
  Adjust(Day(0), Day(200));
  AdjustTimes(254, Day(0), Day(100));
  Adjust(Day(0), Day(300));
  EXPECT_EQ(Return(Day(0), 5, {9, 9}).points, -5);
  EXPECT_EQ(LotsOn(Day(0)), (Lots{{509, 510, Day(0), Day(100)}}));
}

TEST_F(NaiveJoining, AnExtendMakesNeighbours) {
  Fill(255, Day(0), Day(90));
  Adjust(Day(0), Day(90));
  Extend(Day(0), Day(100));
  Adjust(Day(0), Day(100));
  EXPECT_EQ(TakeJoinings(), (Joinings{{256, 1}}));
}

// ---- at the limit ----

TEST_F(NaiveJoining, AtTheLimitTheyAreJoinedForWantOfRoom) {
  Fill(10'238, Day(0), Day(100));
  AccrueTimes(2, Day(0), Day(50));
  EXPECT_EQ(Adjust(Day(0), 0).outcome, Outcome::kTooManyLots);
  EXPECT_EQ(At(Day(0), Make(Kind::kAccrue, 1)).outcome, Outcome::kTooManyLots);
  EXPECT_EQ(At(Day(0), Make(Kind::kPurchase, 1)).outcome, Outcome::kTooManyLots);
  EXPECT_EQ(TryHold(Day(0), 1).outcome, Outcome::kTooManyLots);
  EXPECT_EQ(Transfer(Day(0), 1).outcome, Outcome::kTooManyLots);
  EXPECT_EQ(Fill(1, Day(0), Day(50)).outcome, Outcome::kTooManyLots);
  EXPECT_EQ(TakeJoinings(), Joinings{});
  EXPECT_EQ(CountOn(Day(2)), 10'240u);

  EXPECT_EQ(TryHold(Day(2), 1).outcome, Outcome::kOk);
  EXPECT_EQ(TakeJoinings(), (Joinings{{10'240, 10'239}}));
  EXPECT_EQ(TryHold(Day(2), 1).outcome, Outcome::kTooManyLots);
}

TEST_F(NaiveJoining, WhatFillsTheLimitJoinsNothing) {
  Fill(10'237, Day(0), Day(100));
  AdjustTimes(3, Day(0), Day(50));
  EXPECT_EQ(TakeJoinings(), Joinings{});
  AdjustTimes(1, Day(0), Day(50));
  EXPECT_EQ(TakeJoinings(), (Joinings{{10'240, 10'238}}));
  AdjustTimes(3, Day(0), Day(50));
  EXPECT_EQ(TakeJoinings(), (Joinings{{10'240, 10'238}}));
}

TEST_F(NaiveJoining, AReversalNeedsRoomForItsTakings) {
  Fill(10'230, Day(0), Day(100));
  AdjustTimes(8, Day(0), Day(50));
  const Id redemption = Redeem(Day(0), 16);
  AdjustTimes(8, Day(0), Day(60));
  EXPECT_EQ(CountOn(Day(0)), 10'238u);
  EXPECT_EQ(Reverse(Day(0), 4, redemption).outcome, Outcome::kOk);  // two: there is room
  EXPECT_EQ(TakeJoinings(), Joinings{});
  EXPECT_EQ(Reverse(Day(0), 12, redemption).outcome, Outcome::kOk);
  EXPECT_EQ(TakeJoinings(), (Joinings{{10'240, 10'232}}));
  EXPECT_EQ(CountOn(Day(0)), 10'238u);
}

TEST_F(NaiveJoining, WhatIsLeftMayStillBeTooMany) {
  Fill(10'238, Day(0), Day(100));
  AdjustTimes(2, Day(0), Day(40));
  Adjust(Day(0), Day(50));
  EXPECT_EQ(TakeJoinings(), (Joinings{{10'240, 10'239}}));
  const Id redemption = Redeem(Day(0), 6);  // two takings
  AdjustTimes(2, Day(0), Day(60));
  EXPECT_EQ(Reverse(Day(0), 6, redemption).outcome, Outcome::kTooManyLots);
  EXPECT_EQ(Fill(2, Day(0), Day(70)).outcome, Outcome::kTooManyLots);
  EXPECT_EQ(TakeJoinings(), Joinings{});
  EXPECT_EQ(CountOn(Day(0)), 10'240u);
  EXPECT_EQ(Reverse(Day(0), 2, redemption).outcome, Outcome::kOk);
  EXPECT_EQ(TakeJoinings(), (Joinings{{10'240, 10'239}}));
}

TEST_F(NaiveJoining, AParcelNeedsRoomForItsLots) {
  Fill(10'235, Day(0), Day(100));
  AdjustTimes(3, Day(0), Day(50));
  EXPECT_EQ(Fill(3, Day(0), Day(60)).outcome, Outcome::kOk);
  EXPECT_EQ(TakeJoinings(), (Joinings{{10'238, 10'236}}));
  EXPECT_EQ(CountOn(Day(0)), 10'239u);
  EXPECT_EQ(Fill(1, Day(0), Day(70)).outcome, Outcome::kOk);
  EXPECT_EQ(TakeJoinings(), Joinings{});
}

}  // namespace
}  // namespace tallystick::model
