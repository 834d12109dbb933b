// Dates of points on their way, and every edge in time.

#include <gtest/gtest.h>

#include <vector>

#include "tests/ledger/transfers_fixture.h"

namespace tallystick::ledger {
namespace {

using TransferDatesTest = TransfersFixture;

// ---- dates ----

TEST_F(TransferDatesTest, LotsKeepTheirDatesInSpendingOrder) {
  StartBoth({});
  Accrue(Day(0), 10, Day(20));
  Accrue(Day(1), 10, Day(10));
  Accrue(Day(2), 10);
  Send(Day(3), 25);
  const std::vector<LotOf> lots = {
      {10, Day(1), Day(10)}, {10, Day(0), Day(20)}, {5, Day(2), kNever}};
  EXPECT_EQ(LotsIn(Pack()), lots);
  Complete(Day(3));
  EXPECT_EQ(LotsThere(Day(3)), lots);
  EXPECT_EQ(LotsHere(Day(3)), (std::vector<LotOf>{{5, Day(2), kNever}}));
}

TEST_F(TransferDatesTest, NeighboursWithBothDatesTheSameAreOneLot) {
  StartBoth({});
  Accrue(Day(1), 10, Day(10));
  Accrue(Day(1), 10, Day(10));
  Accrue(Day(1), 10, Day(10) + 1);
  Send(Day(3), 25);
  EXPECT_EQ(LotsIn(Pack()), (std::vector<LotOf>{{20, Day(1), Day(10)}, {5, Day(1), Day(10) + 1}}));
  Complete(Day(3));
}

TEST_F(TransferDatesTest, FreshDatesAreThoseOfAnAdjustment) {
  ProgramSpec spec;
  spec.pending_days = 14;
  spec.expiry = ExpirySpec{.after = ExpiryBase::activation, .days = 10};
  spec.transfer = TransferSpec{.dates = TransferDates::fresh};
  StartBoth(spec);
  At(Day(1), Make(Kind::Adjust, 10));
  At(Day(2), Make(Kind::Adjust, 10));
  Operation gift = Gift(15);
  gift.mutate_occurred_at(Day(3) - kMinute);
  At(Day(3), gift);
  EXPECT_EQ(LotsIn(Pack()), (std::vector<LotOf>{{15, Day(3) - kMinute, Day(13) - kMinute}}));
  // By the sender's rules, whenever it arrives.
  Complete(Day(5));
  EXPECT_EQ(LotsThere(Day(5)), (std::vector<LotOf>{{15, Day(3) - kMinute, Day(13) - kMinute}}));
}

TEST_F(TransferDatesTest, FreshDatesCountFromLogTimeAtTheLatest) {
  ProgramSpec spec;
  spec.expiry = ExpirySpec{.days = 10};
  spec.transfer = TransferSpec{.dates = TransferDates::fresh};
  StartBoth(spec);
  At(Day(1), Make(Kind::Adjust, 10));
  Operation gift = Gift(10);
  gift.mutate_occurred_at(Day(3) + kMinute);
  At(Day(3), gift);
  EXPECT_EQ(LotsIn(Pack()), (std::vector<LotOf>{{10, Day(3), Day(13)}}));
  Complete(Day(3));
}

TEST_F(TransferDatesTest, ALaterVersionDoesNotChangeWhatIsOnItsWay) {
  StartBoth({});
  Accrue(Day(0), 10, Day(50));
  Send(Day(1), 10);
  ProgramSpec fresh;
  fresh.transfer = TransferSpec{.dates = TransferDates::fresh};
  PutVersion(fresh, 2, Day(0), Day(1));
  EXPECT_EQ(LotsIn(Pack()), (std::vector<LotOf>{{10, Day(0), Day(50)}}));
  Complete(Day(1));
}

TEST_F(TransferDatesTest, PointsOnTheirWayGetTheDatesOfAnExtend) {
  StartBoth({});
  Accrue(Day(0), 10, Day(10));
  Send(Day(1), 10);
  const Parcel before = Pack();
  EXPECT_EQ(Try(Day(2), With(Make(Kind::Extend, 0), Day(30))), Outcome::Ok);
  EXPECT_EQ(LotsIn(Pack()), (std::vector<LotOf>{{10, Day(0), Day(30)}}));
  // What has been sent already is not called back.
  EXPECT_EQ(Receive(Day(2), before).outcome(), Outcome::Ok);
  EXPECT_EQ(Receive(Day(2), Pack()).flags(), kReplayed);
  EXPECT_EQ(LotsThere(Day(2)), (std::vector<LotOf>{{10, Day(0), Day(10)}}));
  Finish(Day(2), Outcome::Ok);
}

TEST_F(TransferDatesTest, AnExtendMayChangeTheOrderOfWhatIsOnItsWay) {
  StartBoth({});
  Operation later = With(Make(Kind::Accrue, 10), Day(10));
  later.mutate_occurred_at(Day(1));
  Operation sooner = With(Make(Kind::Accrue, 10), Day(11));
  sooner.mutate_occurred_at(Day(0));
  Try(Day(1), later);
  Try(Day(1), sooner);
  Send(Day(2), 20);
  EXPECT_EQ(LotsIn(Pack()), (std::vector<LotOf>{{10, Day(1), Day(10)}, {10, Day(0), Day(11)}}));
  Try(Day(2), With(Make(Kind::Extend, 0), Day(30)));
  EXPECT_EQ(LotsIn(Pack()), (std::vector<LotOf>{{10, Day(0), Day(30)}, {10, Day(1), Day(30)}}));
}

TEST_F(TransferDatesTest, WhatComesBackHasTheDatesOfAnExtend) {
  StartBoth({});
  Accrue(Day(0), 10, Day(10));
  Send(Day(1), 4);
  Try(Day(2), With(Make(Kind::Extend, 0), Day(30)));
  EXPECT_EQ(Finish(Day(20), Outcome::Closed).available(), 10);
  EXPECT_EQ(LotsHere(Day(20)), (std::vector<LotOf>{{10, Day(0), Day(30)}}));
}

// ---- edges in time ----

TEST_F(TransferDatesTest, TheLastMicrosecondOfALotIsSent) {
  StartBoth({});
  Accrue(Day(0), 10, Day(10));
  Accrue(Day(0), 5, Day(11));
  EXPECT_EQ(Try(Day(10) - 1, Gift(4)), Outcome::Ok);
  EXPECT_EQ(Try(Day(10), Gift(6)), Outcome::InsufficientPoints);
  EXPECT_EQ(Send(Day(10), 5).available(), 0);
  EXPECT_EQ(totals().expired, 6);
}

TEST_F(TransferDatesTest, NothingOnItsWayExpires) {
  StartBoth({});
  Accrue(Day(0), 10, Day(10));
  Send(Day(1), 10);
  ledger_.BeginBlock({Day(30), false});
  EXPECT_FALSE(ledger_.SettleDue(100));
  EXPECT_EQ(totals().expired, 0);
  EXPECT_EQ(OnTheirWay(), 1u);
}

TEST_F(TransferDatesTest, ALotThatExpiresWhenItArrives) {
  StartBoth({});
  Accrue(Day(0), 10, Day(10));
  Accrue(Day(0), 5, Day(11));
  Send(Day(1), 15);
  const Result received = Receive(Day(10), Pack());
  EXPECT_EQ(received.points(), 15);
  EXPECT_EQ(received.available(), 15) << "before what expires behind it";
  EXPECT_EQ(BalanceThere(Day(10)), (Sub{0, 5, 0, 0}));
  EXPECT_EQ(totals_there().expired, 10);
  const std::vector<Record>& slots = there_.Log().back().slots;
  ASSERT_EQ(slots.size(), 5u);
  const Record& expiry = slots.back();
  EXPECT_EQ(expiry.operation.kind(), Kind::Expiry);
  EXPECT_EQ(expiry.operation.amount(), 10);
  EXPECT_EQ(expiry.operation.occurred_at(), Day(10));
  EXPECT_EQ(expiry.result.available(), 5);
  // Its origin is its detail slot's position.
  EXPECT_EQ(expiry.operation.related().low(), there_.Log().back().first_position + 2);
}

TEST_F(TransferDatesTest, ALotThatExpiresBehindItsArrival) {
  StartBoth({});
  Accrue(Day(0), 10, Day(10));
  Send(Day(1), 10);
  EXPECT_EQ(Receive(Day(10) - 1, Pack()).available(), 10);
  EXPECT_EQ(BalanceThere(Day(10) - 1), (Sub{0, 10, 0, 0}));
  EXPECT_EQ(BalanceThere(Day(10)), (Sub{0, 0, 0, 0}));
}

TEST_F(TransferDatesTest, ALotThatExpiresWhenItComesBack) {
  StartBoth({});
  Accrue(Day(0), 10, Day(10));
  Send(Day(1), 4);
  const Result back = Finish(Day(10), Outcome::Closed);
  EXPECT_EQ(back.available(), 4) << "before what expires behind it";
  EXPECT_EQ(Here(Day(10)), (Sub{0, 0, 0, 0}));
  EXPECT_EQ(totals().expired, 10);
  const std::vector<Record>& slots = ledger_.Log().back().slots;
  ASSERT_EQ(slots.size(), 3u);
  EXPECT_EQ(slots[0].operation.kind(), Kind::Expiry);
  EXPECT_EQ(slots[0].operation.amount(), 6);
  EXPECT_EQ(slots[1].operation.kind(), Kind::TransferBack);
  EXPECT_EQ(slots[2].operation.kind(), Kind::Expiry);
  EXPECT_EQ(slots[2].operation.amount(), 4);
}

TEST_F(TransferDatesTest, ALotThatComesBackAMicrosecondBefore) {
  StartBoth({});
  Accrue(Day(0), 10, Day(10));
  Send(Day(1), 4);
  EXPECT_EQ(Finish(Day(10) - 1, Outcome::Closed).available(), 10);
  EXPECT_EQ(LotsHere(Day(10) - 1), (std::vector<LotOf>{{10, Day(0), Day(10)}}));
  EXPECT_EQ(Here(Day(10)), (Sub{0, 0, 0, 0}));
}

TEST_F(TransferDatesTest, AShardBehindTheSendersHasThemPending) {
  StartBoth({});
  Accrue(Day(1), 5, Day(9));
  Accrue(Day(3), 10, Day(9));
  Send(Day(3), 15);
  const Result received = Receive(Day(1), Pack());
  EXPECT_EQ(received.pending(), 10);
  EXPECT_EQ(received.available(), 5);
  EXPECT_EQ(BalanceThere(Day(3) - 1), (Sub{10, 5, 0, 0}));
  EXPECT_EQ(BalanceThere(Day(3)), (Sub{0, 15, 0, 0}));
}

TEST_F(TransferDatesTest, UnderTheImportClockTheArrivalHasTheTimeOfTheTransfer) {
  StartBoth({});
  Accrue(Day(0), 10);
  Send(Day(5), 10);
  there_.BeginBlock({Day(400), true});
  EXPECT_EQ(there_.Receive(Pack()).outcome(), Outcome::Ok);
  EXPECT_EQ(there_.machine().log_time(), Day(5));
}

TEST_F(TransferDatesTest, AnArrivalIsNeitherTooOldNorTooEarly) {
  ProgramSpec spec;
  spec.retention_days = 1;
  StartBoth(spec);
  Accrue(Day(0), 20);
  Send(Day(1), 10);
  EXPECT_EQ(Receive(Day(100), Pack()).outcome(), Outcome::Ok);
  Finish(Day(100), Outcome::Ok);
  Send(Day(200), 10);
  EXPECT_EQ(Receive(Day(150), Pack()).outcome(), Outcome::Ok);
}

TEST_F(TransferDatesTest, ArrivalsPayDebtLotByLot) {
  ProgramSpec spec;
  spec.debt_floor = 100;
  StartBoth(spec);
  const Operation purchase = Make(Kind::Purchase, 13);
  There(Day(0), purchase);
  There(Day(0), Make(Kind::Redeem, 13));
  There(Day(0), Make(Kind::Return, 13, purchase.id()));
  EXPECT_EQ(BalanceThere(Day(0)), (Sub{0, 0, 0, 13}));
  Accrue(Day(0), 10, Day(5));
  Accrue(Day(0), 10, Day(6));
  Accrue(Day(0), 10, Day(7));
  Send(Day(1), 30);
  // The first has expired, and pays before it does.
  const Result received = Receive(Day(5), Pack());
  EXPECT_EQ(received.points(), 30);
  EXPECT_EQ(received.available(), 17);
  EXPECT_EQ(LotsThere(Day(5)), (std::vector<LotOf>{{7, Day(0), Day(6)}, {10, Day(0), Day(7)}}));
  EXPECT_EQ(totals_there().expired, 0);
}

TEST_F(TransferDatesTest, WhatIsLeftOfAPaidLotExpires) {
  ProgramSpec spec;
  spec.debt_floor = 100;
  StartBoth(spec);
  const Operation purchase = Make(Kind::Purchase, 4);
  There(Day(0), purchase);
  There(Day(0), Make(Kind::Redeem, 4));
  There(Day(0), Make(Kind::Return, 4, purchase.id()));
  Accrue(Day(0), 10, Day(5));
  Send(Day(1), 10);
  EXPECT_EQ(Receive(Day(5), Pack()).available(), 6);
  EXPECT_EQ(BalanceThere(Day(5)), (Sub{0, 0, 0, 0}));
  EXPECT_EQ(totals_there().expired, 6);
}

TEST_F(TransferDatesTest, ClaimsOfReturnsStayWithWhoEarned) {
  ProgramSpec spec;
  spec.debt_floor = 3;
  StartBoth(spec);
  const Id purchase = Purchase(Day(0), 10);
  Send(Day(0), 10);
  EXPECT_EQ(Return(Day(0), 10, purchase).points(), -3);
  EXPECT_EQ(totals().written_off, 7);
  // What comes back pays debt.
  const Result back = Finish(Day(0), Outcome::Closed);
  EXPECT_EQ(back.available(), 7);
  EXPECT_EQ(Here(Day(0)), (Sub{0, 7, 0, 0}));
}

TEST_F(TransferDatesTest, ALotThatIsOnItsWayIsTheAccounts) {
  // So that what a reversal puts back has its present dates.
  StartBoth({});
  Accrue(Day(0), 20, Day(10));
  ASSERT_EQ(Try(Day(1), Make(Kind::Redeem, 10)), Outcome::Ok);
  const Id redemption = last_.id();
  Send(Day(1), 10);
  Try(Day(2), With(Make(Kind::Extend, 0), Day(30)));
  EXPECT_EQ(At(Day(3), Make(Kind::ReverseRedemption, 10, redemption)).available(), 10);
  EXPECT_EQ(LotsHere(Day(3)), (std::vector<LotOf>{{10, Day(0), Day(30)}}));
  EXPECT_EQ(Finish(Day(3), Outcome::Closed).available(), 20);
  EXPECT_EQ(LotsHere(Day(3)), (std::vector<LotOf>{{20, Day(0), Day(30)}}));
}

}  // namespace
}  // namespace tallystick::ledger
