// What a transfer's id or parcel finds that comes again, the limits of a shard, images and replays.

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "tests/ledger/image_check.h"
#include "tests/ledger/transfers_fixture.h"

namespace tallystick::ledger {
namespace {

using TransferAgain = TransfersFixture;

// ---- ids and parcels that come again ----

TEST_F(TransferAgain, AnIdOnItsWayWaitsForTheSameOutcome) {
  StartBoth({});
  Accrue(Day(0), 100);
  const Result sent = Send(Day(1), 40);
  const Operation gift = last_;
  Result again = At(Day(2), gift);
  EXPECT_EQ(again.outcome(), Outcome::Ok);
  EXPECT_EQ(again.flags(), kReplayed | kInTransit);
  EXPECT_EQ(again.position(), sent.position());
  EXPECT_EQ(again.points(), -40);
  Operation other = gift;
  other.mutate_amount(41);
  EXPECT_EQ(Try(Day(2), other), Outcome::IdConflict);
  other = gift;
  other.mutable_related() = Id(9, 9);
  EXPECT_EQ(Try(Day(2), other), Outcome::IdConflict);
  EXPECT_EQ(OnTheirWay(), 1u);

  Complete(Day(2));
  again = At(Day(3), gift);
  EXPECT_EQ(again.outcome(), Outcome::Ok);
  EXPECT_EQ(again.flags(), kReplayed);
  EXPECT_EQ(again.position(), sent.position());
  EXPECT_EQ(again.available(), 60);
}

TEST_F(TransferAgain, AnIdThatHasComeBackIsANewOne) {
  StartBoth({});
  Accrue(Day(0), 100);
  const Result sent = Send(Day(1), 40);
  const Operation gift = last_;
  Finish(Day(1), Outcome::UnknownMember);
  const Result anew = At(Day(2), gift);
  EXPECT_EQ(anew.outcome(), Outcome::Ok);
  EXPECT_EQ(anew.flags(), kInTransit);
  EXPECT_NE(anew.position(), sent.position());
  EXPECT_EQ(Open().position, anew.position());
  Complete(Day(2));
  EXPECT_EQ(totals().sent, 40);
}

TEST_F(TransferAgain, AnIdThatHasComeBackMayBeOfAnotherKind) {
  StartBoth({});
  Accrue(Day(0), 100);
  Send(Day(1), 40);
  const Operation gift = last_;
  Finish(Day(1), Outcome::UnknownMember);
  Operation redeem = Make(Kind::Redeem, 5);
  redeem.mutable_id() = gift.id();
  EXPECT_EQ(At(Day(1), redeem).available(), 95);
  EXPECT_EQ(Try(Day(1), gift), Outcome::IdConflict);
  EXPECT_EQ(Try(Day(1), Make(Kind::ReverseRedemption, 5, gift.id())), Outcome::Ok);
}

TEST_F(TransferAgain, AnIdIsUsedAgainWhileTheFirstIsStillOnItsWay) {
  ProgramSpec spec;
  spec.retention_days = 10;
  StartBoth(spec);
  Accrue(Day(0), 100);
  Send(Day(1), 40);
  const StateMachine::OpenTransfer first = Open();
  Operation gift = last_;
  EXPECT_EQ(Try(Day(30), gift), Outcome::TooOld);
  gift.mutate_occurred_at(Day(30));
  EXPECT_EQ(At(Day(30), gift).flags(), kInTransit);
  ASSERT_EQ(OnTheirWay(), 2u);
  // The receipt is the second's.
  ledger_.BeginBlock({Day(30), false});
  EXPECT_EQ(ledger_.Finish(first, Outcome::Closed).outcome(), Outcome::Ok);
  EXPECT_EQ(At(Day(30), gift).flags(), kReplayed | kInTransit);
  Complete(Day(30));
  EXPECT_EQ(At(Day(30), gift).flags(), kReplayed);
  EXPECT_EQ(Here(Day(30)), (Sub{0, 60, 0, 0}));
}

TEST_F(TransferAgain, ATransferIsNeitherAHoldNorEarnedNorRedeemed) {
  StartBoth({});
  Accrue(Day(0), 100);
  Send(Day(1), 40);
  const Id gift = last_.id();
  const auto refused = [&] {
    EXPECT_EQ(Try(Day(1), Make(Kind::Capture, 40, gift)), Outcome::NotPermitted);
    EXPECT_EQ(Try(Day(1), Make(Kind::Release, 0, gift)), Outcome::NotPermitted);
    EXPECT_EQ(Try(Day(1), Make(Kind::Return, 40, gift)), Outcome::NotPermitted);
    EXPECT_EQ(Try(Day(1), Make(Kind::ReverseRedemption, 40, gift)), Outcome::NotPermitted);
    EXPECT_EQ(Try(Day(1), Make(Kind::Activate, 0, gift)), Outcome::NotPermitted);
    EXPECT_EQ(Try(Day(1), Make(Kind::Cancel, 0, gift)), Outcome::NotPermitted);
  };
  refused();
  Complete(Day(1));
  refused();
  // The receiver has no receipt of it.
  EXPECT_EQ(There(Day(1), Make(Kind::Return, 40, gift)).outcome(), Outcome::UnknownOriginal);
  Operation same = Make(Kind::Redeem, 40);
  same.mutable_id() = gift;
  EXPECT_EQ(There(Day(1), same).outcome(), Outcome::Ok);
}

TEST_F(TransferAgain, AParcelIsAppliedOnce) {
  StartBoth({});
  Accrue(Day(0), 10);
  Send(Day(0), 10);
  const Parcel parcel = Pack();
  EXPECT_EQ(Receive(Day(0), parcel).flags(), 0);
  const Position end = there_.EndBlock();
  const uint64_t digest = there_.machine().Digest();
  const Result again = Receive(Day(1), parcel);
  EXPECT_EQ(again.outcome(), Outcome::Ok);
  EXPECT_EQ(again.flags(), kReplayed);
  EXPECT_EQ(there_.EndBlock(), end);
  EXPECT_EQ(there_.machine().Digest(), digest);
  EXPECT_EQ(BalanceThere(Day(1)), (Sub{0, 10, 0, 0}));
}

TEST_F(TransferAgain, ParcelsArriveInAnyOrder) {
  StartBoth({});
  Accrue(Day(0), 100);
  std::vector<StateMachine::OpenTransfer> open;
  for (Points points = 1; points <= 4; ++points) {
    Send(Day(0), points);
    open.push_back(Open());
  }
  for (const size_t i : {2, 0, 3, 2, 1, 0, 1, 3}) {
    EXPECT_EQ(Receive(Day(0), Pack(open[i], open[0].position)).outcome(), Outcome::Ok);
  }
  EXPECT_EQ(BalanceThere(Day(0)), (Sub{0, 10, 0, 0}));
  EXPECT_EQ(there_.machine().NewestArrival(kShard), open[3].position);
}

// It was sent when more was open than when that one was that has arrived.
TEST_F(TransferAgain, AParcelIsLate) {
  StartBoth({});
  Accrue(Day(0), 100);
  std::vector<StateMachine::OpenTransfer> open;
  for (Points points = 1; points <= 3; ++points) {
    Send(Day(0), points);
    open.push_back(Open());
  }
  EXPECT_EQ(Receive(Day(0), Pack(open[0], open[0].position)).outcome(), Outcome::Ok);
  const Parcel late = Pack(open[1], open[0].position);
  ledger_.BeginBlock({Day(0), false});
  ledger_.Finish(open[0], Outcome::Ok);
  EXPECT_EQ(Receive(Day(0), Pack(open[2], open[1].position)).outcome(), Outcome::Ok);
  EXPECT_EQ(Receive(Day(0), late).outcome(), Outcome::Ok);
  EXPECT_EQ(BalanceThere(Day(0)), (Sub{0, 6, 0, 0}));
}

// The shard that sent it knows what has become of it, whatever the answer is.
TEST_F(TransferAgain, AParcelOfWhatWasSettledIsNotApplied) {
  StartBoth({});
  Accrue(Day(0), 100);
  Send(Day(0), 5);
  const Parcel first = Pack();
  Finish(Day(0), Outcome::UnknownMember);
  Send(Day(0), 5);
  Receive(Day(0), Pack());  // says that the first is settled
  EXPECT_EQ(Receive(Day(0), first).outcome(), Outcome::BadRequest);
  EXPECT_EQ(BalanceThere(Day(0)), (Sub{0, 5, 0, 0}));
}

TEST_F(TransferAgain, PositionsOfOneShardSayNothingOfAnother) {
  StartBoth({});
  Accrue(Day(0), 100);
  Send(Day(0), 5);
  Parcel parcel = Pack();
  Receive(Day(0), parcel);
  auto detail = DetailIn<TransferDetail>(parcel[1]);
  detail.shard = kShard + 1;
  std::memcpy(static_cast<void*>(&parcel[1]), &detail, sizeof(detail));
  EXPECT_EQ(Receive(Day(0), parcel).flags(), 0);
  EXPECT_EQ(BalanceThere(Day(0)), (Sub{0, 10, 0, 0}));
}

// Why a shard has one copy of a parcel under way at a time, and none of an earlier life: what was
// refused and came back would be applied by a copy that is late.
TEST_F(TransferAgain, ARefusalIsForgotten) {
  Start({});
  PutThere({});
  Accrue(Day(0), 10);
  Send(Day(0), 10);
  const Parcel parcel = Pack();
  EXPECT_EQ(Receive(Day(0), parcel).outcome(), Outcome::UnknownMember);
  There(Day(0), Make(Kind::Enrol, 0));
  EXPECT_EQ(Receive(Day(0), parcel).outcome(), Outcome::Ok);
  EXPECT_EQ(Finish(Day(0), Outcome::Ok).outcome(), Outcome::Ok);
}

// ---- limits of a shard ----

TEST_F(TransferAgain, AShardHasSoManyOnTheirWay) {
  StartBoth({});
  const Id sender = member_;
  for (uint32_t i = 0; i < 32'768; ++i) {
    if (i % kMaxHoldsPerAccount == 0) {
      member_ = Id(1'000 + i, 0);
      ASSERT_EQ(Try(Day(0), Make(Kind::Enrol, 0)), Outcome::Ok);
      Accrue(Day(0), kMaxHoldsPerAccount);
    }
    ASSERT_EQ(Try(Day(0), Gift(1)), Outcome::Ok) << i;
  }
  member_ = sender;
  Accrue(Day(0), 2);
  EXPECT_EQ(Try(Day(0), Gift(1)), Outcome::Overloaded);
  Finish(Day(0), Outcome::Ok);
  EXPECT_EQ(Try(Day(0), Gift(1)), Outcome::Ok);
  EXPECT_EQ(Try(Day(0), Gift(1)), Outcome::Overloaded);
  ImageCheck image(ledger_.machine());
  image.Begin(ledger_.EndBlock());
  image.CompareRest(ledger_.Log());
}

TEST_F(TransferAgain, AShardKnowsSoManyArrivals) {
  constexpr uint64_t kMost = 65'536;
  StartBoth({});
  Accrue(Day(0), 1);
  Send(Day(0), 1);
  Parcel parcel = Pack();
  const auto numbered = [&](Position position, Position open_from) {
    TransferDetail detail{};
    detail.position = position;
    detail.open_from = open_from;
    detail.shard = kShard;
    std::memcpy(static_cast<void*>(&parcel[1]), &detail, sizeof(detail));
    return parcel;
  };
  for (uint64_t i = 2; i < kMost + 2; ++i) {
    if (i % 8'192 == 2) {
      receiver_ = Id(1'000 + i, 0);
      ASSERT_EQ(There(Day(0), Make(Kind::Enrol, 0)).outcome(), Outcome::Ok);
      parcel[0].operation.mutable_member() = receiver_;
    }
    // Any order will do.
    ASSERT_EQ(Receive(Day(0), numbered(i ^ 1, 1)).outcome(), Outcome::Ok) << i;
  }
  EXPECT_EQ(Receive(Day(0), numbered(kMost + 2, 1)).outcome(), Outcome::Overloaded);
  EXPECT_EQ(Receive(Day(0), numbered(kMost, 1)).flags(), kReplayed) << "that comes first";
  // The parcel itself says that some are settled: else the shard would refuse them for ever.
  EXPECT_EQ(Receive(Day(0), numbered(kMost + 2, 3)).outcome(), Outcome::Ok);
  EXPECT_EQ(Receive(Day(0), numbered(kMost + 3, 3)).outcome(), Outcome::Overloaded);
  EXPECT_EQ(Receive(Day(0), numbered(kMost + 3, kMost + 3)).outcome(), Outcome::Ok);
  EXPECT_EQ(Receive(Day(0), numbered(7, 1)).outcome(), Outcome::BadRequest);
  ImageCheck image(there_.machine());
  image.Begin(there_.EndBlock());
  image.CompareRest(there_.Log());
}

// ---- images and replays ----

TEST_F(TransferAgain, AnImageHasWhatIsOnItsWayAndWhatArrived) {
  ProgramSpec spec;
  spec.expiry = ExpirySpec{.days = 100};
  StartBoth(spec);
  Accrue(Day(0), 50, Day(20));
  Accrue(Day(0), 50);
  Try(Day(0), Make(Kind::Hold, 10));
  Send(Day(1), 30);
  Send(Day(1), 30);
  const StateMachine::OpenTransfer second = Open();
  const Parcel parcel = Pack(second, 1);
  Receive(Day(1), parcel);

  ImageCheck here(ledger_.machine());
  here.Begin(ledger_.EndBlock());
  ImageCheck there(there_.machine());
  there.Begin(there_.EndBlock());
  // Meanwhile they go on.
  Send(Day(2), 5);
  Finish(Day(2), Outcome::Ok);
  Finish(Day(2), Outcome::Closed);
  EXPECT_EQ(Receive(Day(2), parcel).flags(), kReplayed);
  There(Day(2), Make(Kind::Redeem, 5));
  here.CompareRest(ledger_.Log());
  there.CompareRest(there_.Log());
}

TEST_F(TransferAgain, AnImageHasWhatWasOnItsWayWhenItBegan) {
  StartBoth({});
  Accrue(Day(0), 50);
  Send(Day(1), 30);
  ImageCheck image(ledger_.machine());
  image.Begin(ledger_.EndBlock());
  Accrue(Day(2), 5);
  image.CompareRest(ledger_.Log());
}

TEST_F(TransferAgain, AnImageHasWhatWasOnItsWayAndIsDone) {
  StartBoth({});
  Accrue(Day(0), 50);
  Send(Day(1), 30);
  ImageCheck image(ledger_.machine());
  image.Begin(ledger_.EndBlock());
  Finish(Day(2), Outcome::Ok);
  image.CompareRest(ledger_.Log());
}

// No transfers: three holds, the last with parts of three lots.
TEST_F(TransferAgain, AnImageHasTheLargestHolds) {
  constexpr Points kUnit = 1'000'000'000'000'000;
  StartBoth({});
  Accrue(Day(0), 3'114 * kUnit, Day(20));
  Accrue(Day(0), 3'128 * kUnit, Day(30));
  Accrue(Day(0), 1'068 * kUnit, Day(40));
  for (const Points points : {1, 2'487, 4'476}) {
    ASSERT_EQ(Try(Day(0), Make(Kind::Hold, points * kUnit)), Outcome::Ok);
  }
  ImageCheck image(ledger_.machine());
  image.Begin(ledger_.EndBlock());
  image.CompareRest(ledger_.Log());
}

TEST_F(TransferAgain, AnImageHasTheLargestTransfers) {
  StartBoth({});
  Accrue(Day(0), kMax);
  ASSERT_EQ(Try(Day(0), Gift(kMax / 3)), Outcome::Ok);
  ASSERT_EQ(Try(Day(0), Gift(kMax / 3 * 2)), Outcome::Ok);
  ImageCheck image(ledger_.machine());
  image.Begin(ledger_.EndBlock());
  image.CompareRest(ledger_.Log());
}

TEST_F(TransferAgain, WhatAnImageSaysGoesOnAsBefore) {
  StartBoth({});
  Accrue(Day(0), 50);
  Send(Day(1), 30);
  const StateMachine::OpenTransfer open = Open();
  const Parcel parcel = Pack();
  Receive(Day(1), parcel);

  const auto restored = [](LoggedLedger& ledger, StateMachine& machine) {
    MemorySink sink;
    ASSERT_TRUE(ledger.machine().BeginImage(ledger.EndBlock(), sink));
    ASSERT_EQ(ledger.machine().ContinueImage(SIZE_MAX / 2), ImageProgress::kDone);
    ASSERT_TRUE(ReadImage(sink.parts(), machine).ok());
    EXPECT_EQ(machine.Digest(), ledger.machine().Digest());
  };
  StateMachine here, there;
  restored(ledger_, here);
  restored(there_, there);
  std::vector<Record> slots(64);
  RecordSink sink{slots.data(), slots.size(), 0, 1'000};
  Result result;

  ASSERT_EQ(here.OpenTransfers().size(), 1u);
  EXPECT_EQ(here.OpenTransfers()[0].position, open.position);
  Parcel again;
  here.WriteParcel(here.OpenTransfers()[0], kShard, open.position, again);
  ASSERT_EQ(again.size(), parcel.size());
  EXPECT_EQ(std::memcmp(again.data(), parcel.data(), parcel.size() * kSlotBytes), 0);
  there.BeginBlock({Day(2), false});
  ASSERT_TRUE(there.Receive(again, result, sink));
  EXPECT_EQ(result.flags(), kReplayed);
  EXPECT_EQ(there.NewestArrival(kShard), open.position);
  here.BeginBlock({Day(2), false});
  ASSERT_TRUE(here.Finish(open, Outcome::Closed, result, sink));
  EXPECT_EQ(result.available(), 50);
  EXPECT_TRUE(here.CheckInvariants().ok()) << here.CheckInvariants();
}

TEST_F(TransferAgain, ALogThatDoesNotFollowFromItselfIsFoundOut) {
  StartBoth({});
  Accrue(Day(0), 50);
  Send(Day(1), 30);
  Receive(Day(1), Pack());
  Finish(Day(1), Outcome::Closed);
  const auto fails = [](std::vector<LogBlock> log, size_t from_end, auto change) {
    std::vector<Record>& slots = log.back().slots;
    change(slots[slots.size() - from_end]);
    StateMachine machine;
    return absl::IsDataLoss(Replay(log, machine));
  };
  const auto more = [](Record& record) {
    record.operation.mutate_amount(record.operation.amount() + 1);
  };
  const auto elsewhere = [](Record& record) {
    record.operation.mutate_user_data(record.operation.user_data() + 1);
  };
  EXPECT_TRUE(fails(ledger_.Log(), 1, more));
  EXPECT_TRUE(fails(ledger_.Log(), 1, elsewhere));
  EXPECT_TRUE(fails(ledger_.Log(), 1, [](Record& record) {
    record.operation.mutate_category(static_cast<uint16_t>(Outcome::Ok));
  }));
  EXPECT_TRUE(fails(there_.Log(), 3, more));
  EXPECT_TRUE(fails(there_.Log(), 1, [](Record& slot) {
    auto lot = DetailIn<TransferLot>(slot);
    ++lot.points;
    std::memcpy(static_cast<void*>(&slot), &lot, sizeof(lot));
  }));
}

}  // namespace
}  // namespace tallystick::ledger
