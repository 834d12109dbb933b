// Points that one member sends to another, by examples: what each of the two shards does, and what
// it refuses.

#include <gtest/gtest.h>

#include <vector>

#include "tests/ledger/transfers_fixture.h"

namespace tallystick::ledger {
namespace {

using Transfers = TransfersFixture;

// ---- what each of the three records does ----

TEST_F(Transfers, PointsLeaveArriveAndAreDone) {
  StartBoth({});
  Accrue(Day(0), 100);
  const Result sent = Send(Day(1), 40);
  EXPECT_EQ(sent.outcome(), Outcome::Ok);
  EXPECT_EQ(sent.points(), -40);
  EXPECT_EQ(sent.available(), 60);
  EXPECT_EQ(sent.flags(), kInTransit);
  EXPECT_EQ(Here(Day(1)), (Sub{0, 60, 0, 0}));
  EXPECT_EQ(totals().sent, 40);
  EXPECT_EQ(totals().held, 0);
  EXPECT_EQ(BalanceOn(Day(1)).lot_count, 2u);
  EXPECT_TRUE(ledger_.machine().HoldsAt(kProgram, member_, Day(1)).empty());
  ASSERT_EQ(OnTheirWay(), 1u);
  EXPECT_EQ(Open().position, sent.position());
  EXPECT_EQ(Open().program, kProgram);
  EXPECT_EQ(Open().from, member_);
  EXPECT_EQ(Open().to, receiver_);

  const Result received = Receive(Day(2), Pack());
  EXPECT_EQ(received.outcome(), Outcome::Ok);
  EXPECT_EQ(received.points(), 40);
  EXPECT_EQ(received.available(), 40);
  EXPECT_EQ(received.flags(), 0);
  EXPECT_EQ(BalanceThere(Day(2)), (Sub{0, 40, 0, 0}));
  EXPECT_EQ(totals_there().received, 40);
  EXPECT_EQ(there_.machine().BalanceAt(kProgram, receiver_, Day(2))->lifetime_earned, 0);
  EXPECT_EQ(there_.machine().NewestArrival(kShard), sent.position());

  const Result done = Finish(Day(3), Outcome::Ok);
  EXPECT_EQ(done.outcome(), Outcome::Ok);
  EXPECT_EQ(done.points(), 0);
  EXPECT_EQ(done.available(), 60);
  EXPECT_EQ(OnTheirWay(), 0u);
  EXPECT_EQ(BalanceOn(Day(3)).lot_count, 1u);
  EXPECT_EQ(totals().sent, 40);
}

TEST_F(Transfers, RecordsSayWhichTransferTheyAreOf) {
  StartBoth({});
  Accrue(Day(0), 100, Day(50));
  Operation gift = Gift(40);
  gift.mutate_user_data(77);
  gift.mutate_occurred_at(Day(1) - kMinute);
  gift.mutate_category(5);
  const Position position = At(Day(1), gift).position();
  Receive(Day(2), Pack());
  const std::vector<Record> in = there_.Log().back().slots;
  ASSERT_EQ(in.size(), 3u);
  const Operation& arrival = in[0].operation;
  EXPECT_EQ(arrival.kind(), Kind::TransferIn);
  EXPECT_EQ(arrival.id(), gift.id());
  EXPECT_EQ(arrival.member(), receiver_);
  EXPECT_EQ(arrival.related(), member_);
  EXPECT_EQ(arrival.amount(), 40);
  EXPECT_EQ(arrival.occurred_at(), Day(1));
  EXPECT_EQ(arrival.user_data(), 77u);
  EXPECT_EQ(arrival.program(), kProgram);
  EXPECT_EQ(in[0].result.details(), 2);
  const auto detail = DetailIn<TransferDetail>(in[1]);
  EXPECT_EQ(detail.position, position);
  EXPECT_EQ(detail.open_from, position);
  EXPECT_EQ(detail.shard, kShard);
  EXPECT_EQ(LotsIn(in), (std::vector<LotOf>{{40, Day(0), Day(50)}}));

  Finish(Day(3), Outcome::Ok);
  const Record done = ledger_.Log().back().slots.back();
  EXPECT_EQ(done.operation.kind(), Kind::TransferDone);
  EXPECT_EQ(done.operation.id(), gift.id());
  EXPECT_EQ(done.operation.member(), member_);
  EXPECT_EQ(done.operation.related(), receiver_);
  EXPECT_EQ(done.operation.amount(), 40);
  EXPECT_EQ(done.operation.user_data(), position);
  EXPECT_EQ(done.operation.category(), static_cast<uint16_t>(Outcome::Ok));
  EXPECT_EQ(done.operation.occurred_at(), Day(1));
  EXPECT_EQ(done.result.points(), 0);

  Send(Day(4), 10);
  const Position second = Open().position;
  Finish(Day(4), Outcome::Closed);
  const Record back = ledger_.Log().back().slots.back();
  EXPECT_EQ(back.operation.kind(), Kind::TransferBack);
  EXPECT_EQ(back.operation.user_data(), second);
  EXPECT_EQ(back.operation.category(), static_cast<uint16_t>(Outcome::Closed));
  EXPECT_EQ(back.operation.amount(), 10);
  EXPECT_EQ(back.result.points(), 10);
}

TEST_F(Transfers, WhatIsRefusedThereComesBack) {
  Start({});
  PutThere({});
  Accrue(Day(0), 100, Day(50));
  Send(Day(1), 40);
  const Position end = there_.EndBlock();
  const uint64_t before = there_.machine().Digest();
  const Result refused = Receive(Day(1), Pack());
  EXPECT_EQ(refused.outcome(), Outcome::UnknownMember);
  EXPECT_EQ(refused.points(), 0);
  EXPECT_EQ(there_.EndBlock(), end) << "a refusal was written";
  EXPECT_EQ(there_.machine().Digest(), before);
  EXPECT_EQ(there_.machine().NewestArrival(kShard), 0u);

  const Result back = Finish(Day(2), refused.outcome());
  EXPECT_EQ(back.available(), 100);
  EXPECT_EQ(Here(Day(2)), (Sub{0, 100, 0, 0}));
  EXPECT_EQ(LotsHere(Day(2)), (std::vector<LotOf>{{100, Day(0), Day(50)}}));
  EXPECT_EQ(totals().sent, 0);
  EXPECT_EQ(OnTheirWay(), 0u);
}

TEST_F(Transfers, OnlyWhatIsOpenIsFinished) {
  StartBoth({});
  Accrue(Day(0), 100);
  Send(Day(1), 40);
  const StateMachine::OpenTransfer open = Open();
  StateMachine::OpenTransfer other = open;
  ++other.position;
  ledger_.BeginBlock({Day(1), false});
  EXPECT_EQ(ledger_.Finish(other, Outcome::Ok).outcome(), Outcome::UnknownOriginal);
  Finish(Day(1), Outcome::Ok);
  const Position end = ledger_.EndBlock();
  ledger_.BeginBlock({Day(1), false});
  EXPECT_EQ(ledger_.Finish(open, Outcome::Ok).outcome(), Outcome::UnknownOriginal);
  EXPECT_EQ(ledger_.Finish(open, Outcome::Closed).outcome(), Outcome::UnknownOriginal);
  EXPECT_EQ(ledger_.EndBlock(), end);
}

TEST_F(Transfers, MembersOfOneShard) {
  Start({});
  const Id sender = member_;
  member_ = receiver_;
  At(Day(0), Make(Kind::Enrol, 0));
  member_ = sender;
  Accrue(Day(0), 100);
  Send(Day(0), 40);
  const StateMachine::OpenTransfer open = Open();
  const Parcel parcel = Pack();
  EXPECT_EQ(ledger_.Receive(parcel).points(), 40);
  EXPECT_EQ(ledger_.Finish(open, Outcome::Ok).outcome(), Outcome::Ok);
  EXPECT_EQ(totals().sent, 40);
  EXPECT_EQ(totals().received, 40);
  EXPECT_EQ(totals().available, 100);
}

// ---- what a transfer is refused for ----

TEST_F(Transfers, EachLimitOfTheProgram) {
  ProgramSpec spec;
  spec.transfer = TransferSpec{.minimum = 5, .maximum = 50};
  StartBoth(spec);
  Accrue(Day(0), 40);
  EXPECT_EQ(Try(Day(0), Gift(4)), Outcome::BelowMinimum);
  EXPECT_EQ(Try(Day(0), Gift(51)), Outcome::OverLimit);
  EXPECT_EQ(Try(Day(0), Gift(50)), Outcome::InsufficientPoints);
  EXPECT_EQ(Try(Day(0), Gift(41)), Outcome::InsufficientPoints);
  EXPECT_EQ(Try(Day(0), Gift(5)), Outcome::Ok);
  EXPECT_EQ(Try(Day(0), Gift(35)), Outcome::Ok);
}

TEST_F(Transfers, AForbiddenOneIsNotPermittedBeforeAllElse) {
  ProgramSpec spec;
  spec.transfer = TransferSpec{.dates = TransferDates::forbidden, .minimum = 5};
  StartBoth(spec);
  EXPECT_EQ(Try(Day(0), Gift(4)), Outcome::NotPermitted);
}

TEST_F(Transfers, TheVersionInForceRules) {
  StartBoth({});
  Accrue(Day(0), 40);
  ProgramSpec forbidden;
  forbidden.transfer = TransferSpec{.dates = TransferDates::forbidden};
  PutVersion(forbidden, 2, Day(2), Day(1));
  EXPECT_EQ(Try(Day(2) - 1, Gift(10)), Outcome::Ok);
  EXPECT_EQ(Try(Day(2), Gift(10)), Outcome::NotPermitted);
  Operation earlier = Gift(10);
  earlier.mutate_occurred_at(Day(2) - 1);
  EXPECT_EQ(Try(Day(2), earlier), Outcome::Ok);
}

TEST_F(Transfers, FieldsThatAreBad) {
  StartBoth({});
  const auto field = [&](const Operation& operation) {
    const Result result = At(Day(0), operation);
    EXPECT_EQ(result.outcome(), Outcome::BadRequest);
    return result.field();
  };
  EXPECT_EQ(field(Make(Kind::Transfer, 1, member_)), Field::Related);
  EXPECT_EQ(field(Make(Kind::Transfer, 1)), Field::Related);
  EXPECT_EQ(field(Gift(0)), Field::Amount);
  EXPECT_EQ(field(Gift(-1)), Field::Amount);
  EXPECT_EQ(field(With(Gift(1), Day(9))), Field::ExpiresAt);
  for (const Kind kind : {Kind::TransferIn, Kind::TransferDone, Kind::TransferBack}) {
    EXPECT_EQ(field(Make(kind, 1, receiver_)), Field::Kind);
  }
  Operation linked = Gift(1);
  linked.mutate_flags(kLinked);
  EXPECT_EQ(field(linked), Field::Chain);
}

TEST_F(Transfers, AChainHasNone) {
  StartBoth({});
  Accrue(Day(0), 10);
  for (const Result& result : Chain(Day(0), {Make(Kind::Enrol, 0), Gift(1)})) {
    EXPECT_EQ(result.outcome(), Outcome::BadRequest);
    EXPECT_EQ(result.field(), Field::Chain);
  }
  for (const Result& result : Chain(Day(0), {Gift(1), Make(Kind::Enrol, 0)})) {
    EXPECT_EQ(result.field(), Field::Chain);
  }
  EXPECT_EQ(OnTheirWay(), 0u);
}

TEST_F(Transfers, AClaimBesideAChainFindsNothingOnItsWay) {
  // A chain that fails puts everything back beside what is on its way.
  StartBoth({});
  const Id purchase = Purchase(Day(0), 10);
  Send(Day(0), 10);
  const uint64_t before = ledger_.machine().Digest();
  const std::vector<Result> results =
      Chain(Day(0), {Make(Kind::Return, 10, purchase), With(Make(Kind::Extend, 0), Day(90)),
                     Make(Kind::Redeem, 1)});
  EXPECT_EQ(results[2].outcome(), Outcome::InsufficientPoints);
  EXPECT_EQ(ledger_.machine().Digest(), before);
  Complete(Day(1));
}

TEST_F(Transfers, HoldsAndTransfersOnTheirWayAreCountedTogether) {
  StartBoth({});
  Accrue(Day(0), 1'000);
  for (uint32_t i = 0; i < kMaxHoldsPerAccount / 2; ++i) {
    ASSERT_EQ(Try(Day(0), Gift(1)), Outcome::Ok);
    ASSERT_EQ(Try(Day(0), Make(Kind::Hold, 1)), Outcome::Ok);
  }
  EXPECT_EQ(Try(Day(0), Gift(1)), Outcome::OverLimit);
  EXPECT_EQ(Try(Day(0), Make(Kind::Hold, 1)), Outcome::OverLimit);
  EXPECT_EQ(Try(Day(0), Gift(1'000)), Outcome::InsufficientPoints) << "that comes first";
  Complete(Day(0));
  EXPECT_EQ(Try(Day(0), Gift(1)), Outcome::Ok);
  Finish(Day(0), Outcome::Closed);
  EXPECT_EQ(Try(Day(0), Make(Kind::Hold, 1)), Outcome::Ok);
}

TEST_F(Transfers, AFullAccountSendsNothing) {
  StartBoth({});
  for (uint32_t i = 0; i < kMaxLotsPerAccount; ++i) {
    ASSERT_EQ(Try(Day(0), With(Make(Kind::Accrue, 2), Day(100) + i)), Outcome::Ok);
  }
  EXPECT_EQ(Try(Day(0), Gift(1)), Outcome::TooManyLots);
  EXPECT_EQ(Try(Day(0), Make(Kind::Redeem, 2)), Outcome::Ok);
  EXPECT_EQ(Try(Day(0), Gift(1)), Outcome::Ok);
  // The part on its way is a lot as well.
  EXPECT_EQ(Try(Day(0), Make(Kind::Accrue, 1)), Outcome::TooManyLots);
  Complete(Day(0));
  EXPECT_EQ(Try(Day(0), Make(Kind::Accrue, 1)), Outcome::Ok);
  // All that it has: more lots than any other arrives with.
  EXPECT_EQ(Try(Day(0), Make(Kind::Redeem, 1)), Outcome::Ok);
  EXPECT_EQ(Try(Day(0), Gift(BalanceOn(Day(0)).available)), Outcome::Ok);
  const size_t lots = LotsIn(Pack()).size();
  EXPECT_EQ(lots, kMaxLotsPerAccount - 1);
  EXPECT_EQ(Receive(Day(0), Pack()).outcome(), Outcome::Ok);
  EXPECT_EQ(there_.machine().BalanceAt(kProgram, receiver_, Day(0))->lot_count, lots + 1);
}

// ---- what a parcel is refused for ----

TEST_F(Transfers, WhoeverIsNotThere) {
  Start({});
  Accrue(Day(0), 10);
  Send(Day(0), 10);
  EXPECT_EQ(Receive(Day(0), Pack()).outcome(), Outcome::UnknownProgram);
  ProgramSpec implicit;
  implicit.implicit_enrolment = true;
  PutThere(implicit);
  EXPECT_EQ(Receive(Day(0), Pack()).outcome(), Outcome::UnknownMember);
  There(Day(0), Make(Kind::Enrol, 0));
  There(Day(0), Make(Kind::Close, 0));
  EXPECT_EQ(Receive(Day(0), Pack()).outcome(), Outcome::Closed);
}

TEST_F(Transfers, ReceivedPointsCountAsCredited) {
  StartBoth({});
  There(Day(0), Make(Kind::Accrue, kMax - 9));
  There(Day(0), Make(Kind::Redeem, kMax - 9));
  Accrue(Day(0), 20);
  Send(Day(0), 10);
  const Result refused = Receive(Day(0), Pack());
  EXPECT_EQ(refused.outcome(), Outcome::Overflow);
  Finish(Day(0), refused.outcome());
  Send(Day(0), 9);
  Complete(Day(0));
  EXPECT_EQ(There(Day(0), Make(Kind::Accrue, 1)).outcome(), Outcome::Overflow);
  EXPECT_EQ(There(Day(0), Make(Kind::Adjust, 1)).outcome(), Outcome::Overflow);
}

TEST_F(Transfers, TheLargestNumber) {
  StartBoth({});
  Accrue(Day(0), kMax);
  EXPECT_EQ(Send(Day(0), kMax).available(), 0);
  EXPECT_EQ(Finish(Day(0), Outcome::Closed).available(), kMax);
  EXPECT_EQ(Send(Day(0), kMax).points(), -kMax);
  EXPECT_EQ(totals().sent, kMax);
  Complete(Day(0));
  EXPECT_EQ(BalanceThere(Day(0)), (Sub{0, kMax, 0, 0}));
  EXPECT_EQ(Try(Day(0), Make(Kind::Accrue, 1)), Outcome::Overflow) << "credited is not undone";
}

TEST_F(Transfers, AReceiverWithTooManyLots) {
  StartBoth({});
  for (uint32_t i = 0; i < kMaxLotsPerAccount - 1; ++i) {
    ASSERT_EQ(There(Day(0), With(Make(Kind::Accrue, 2), Day(100))).outcome(), Outcome::Ok);
  }
  Accrue(Day(0), 5, Day(50));
  Accrue(Day(0), 5, Day(60));
  Send(Day(0), 10);
  EXPECT_EQ(LotsIn(Pack()).size(), 2u);
  EXPECT_EQ(Receive(Day(0), Pack()).outcome(), Outcome::TooManyLots);
  Finish(Day(0), Outcome::TooManyLots);
  Send(Day(0), 5);
  Complete(Day(0));
  // Settled to the present it has room again.
  Send(Day(0), 5);
  EXPECT_EQ(Receive(Day(0), Pack()).outcome(), Outcome::TooManyLots);
  EXPECT_EQ(Receive(Day(50), Pack()).outcome(), Outcome::Ok);
}

// ---- members that are frozen or closed ----

TEST_F(Transfers, AFrozenMemberReceivesButDoesNotSend) {
  StartBoth({});
  Accrue(Day(0), 20);
  Send(Day(0), 5);
  Try(Day(0), Make(Kind::Freeze, 0));
  There(Day(0), Make(Kind::Freeze, 0));
  EXPECT_EQ(Try(Day(0), Gift(5)), Outcome::Frozen);
  Complete(Day(0));
  EXPECT_EQ(BalanceThere(Day(0)), (Sub{0, 5, 0, 0}));
  // What he sent before comes back to him, too.
  Try(Day(0), Make(Kind::Unfreeze, 0));
  Send(Day(0), 5);
  Try(Day(0), Make(Kind::Freeze, 0));
  EXPECT_EQ(Finish(Day(0), Outcome::Closed).available(), 15);
}

TEST_F(Transfers, NobodyClosesWhileSomethingIsOnItsWay) {
  StartBoth({});
  Accrue(Day(0), 20);
  Send(Day(0), 20);
  Operation close = Make(Kind::Close, 0);
  EXPECT_EQ(Try(Day(0), close), Outcome::NotPermitted);
  close.mutate_flags(kExpireRest);
  EXPECT_EQ(Try(Day(0), close), Outcome::NotPermitted);
  // The receiver may, in the middle; and the points come back.
  There(Day(0), Make(Kind::Close, 0));
  const Result refused = Receive(Day(0), Pack());
  EXPECT_EQ(refused.outcome(), Outcome::Closed);
  Finish(Day(0), refused.outcome());
  EXPECT_EQ(Try(Day(0), close), Outcome::Ok);
  EXPECT_EQ(totals().closed_out, 20);
  EXPECT_EQ(Try(Day(0), Gift(1)), Outcome::Closed);
}

TEST_F(Transfers, WhoeverClosesAfterItArrivedKnowsItStill) {
  StartBoth({});
  Accrue(Day(0), 20);
  Send(Day(0), 20);
  const Parcel parcel = Pack();
  EXPECT_EQ(Receive(Day(0), parcel).flags(), 0);
  There(Day(0), Make(Kind::Redeem, 20));
  EXPECT_EQ(There(Day(0), Make(Kind::Close, 0)).outcome(), Outcome::Ok);
  const Result again = Receive(Day(0), parcel);
  EXPECT_EQ(again.outcome(), Outcome::Ok);
  EXPECT_EQ(again.flags(), kReplayed);
  EXPECT_EQ(Finish(Day(0), again.outcome()).outcome(), Outcome::Ok);
  EXPECT_EQ(Try(Day(0), Make(Kind::Close, 0)), Outcome::Ok);
}

}  // namespace
}  // namespace tallystick::ledger
