// Lots that nothing tells apart any more become one.

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "tests/ledger/image_check.h"
#include "tests/ledger/ledger_fixture.h"

namespace tallystick::ledger {
namespace {

// Receipts live for a day, of what is earned too.
class JoiningTest : public LedgerTest {
 protected:
  void SetUp() override {
    ProgramSpec spec;
    spec.retention_days = 1;
    spec.return_days = 1;
    Start(spec);
  }
  void Accrue(Instant t, int count, Instant expires_at) {
    ledger_.BeginBlock({t, false});
    for (int i = 0; i < count; ++i) Add(t, 2, expires_at);
  }
  // In the open block.
  void Add(Instant t, Points points, Instant expires_at) {
    Operation operation = With(Make(Kind::Accrue, points), expires_at);
    operation.mutate_occurred_at(t);
    Result result;
    ASSERT_EQ(ledger_.Apply({&operation, 1}, &result), 1u);
    ASSERT_EQ(result.outcome(), Outcome::Ok);
  }
  std::vector<Lot> LotsOn(Instant t) { return ledger_.machine().LotsAt(kProgram, member_, t); }
  uint32_t CountOn(Instant t) { return BalanceOn(t).lot_count; }
};

TEST_F(JoiningTest, ManyOfOneExpiryBecomeOneWhenTheirReceiptsAreDead) {
  Accrue(Day(0), 100, Day(100));
  Accrue(Day(0), 56, Day(200));
  Accrue(Day(1), 99, Day(100));
  EXPECT_EQ(CountOn(Day(4)), 255u);
  Accrue(Day(4), 1, Day(300));  // the 256th: the next one finds so many
  EXPECT_EQ(CountOn(Day(4)), 256u);
  Accrue(Day(4), 1, Day(100));
  const std::vector<Lot> lots = LotsOn(Day(4));
  ASSERT_EQ(lots.size(), 4u);
  EXPECT_EQ(lots[0].remaining, 2 * 199);
  EXPECT_EQ(lots[0].original, 2 * 199);
  EXPECT_EQ(lots[0].expires_at, Day(100));
  EXPECT_EQ(lots[1].remaining, 2);  // whose receipt lives
  EXPECT_EQ(lots[1].expires_at, Day(100));
  EXPECT_EQ(lots[2].remaining, 2 * 56);
  EXPECT_EQ(lots[3].expires_at, Day(300));
  EXPECT_EQ(BalanceOn(Day(4)).available, 2 * 257);
  // They expire as one.
  EXPECT_EQ(BalanceOn(Day(100)).available, 2 * (257 - 200));
  At(Day(100), Make(Kind::Redeem, 1));
  EXPECT_EQ(totals().expired, 2 * 200);
}

TEST_F(JoiningTest, LotsWhoseReceiptsLiveStay) {
  Accrue(Day(0), 300, Day(100));
  EXPECT_EQ(CountOn(Day(0)), 300u);
}

TEST_F(JoiningTest, WhatWasTakenOfALotGoesBackToIt) {
  Accrue(Day(0), 256, Day(100));
  const Result redeemed = At(Day(3), Make(Kind::Redeem, 3));  // one lot, and half of the next
  ASSERT_EQ(redeemed.outcome(), Outcome::Ok);
  const Id redemption = last_.id();
  EXPECT_EQ(CountOn(Day(3)), 255u);
  Accrue(Day(3), 1, Day(200));
  EXPECT_EQ(CountOn(Day(3)), 256u);
  Accrue(Day(3), 1, Day(200));
  // What is left of the second by itself, the others as one, and two whose receipts live.
  EXPECT_EQ(CountOn(Day(3)), 4u);
  Operation back = Make(Kind::ReverseRedemption, 3, redemption);
  ASSERT_EQ(At(Day(3), back).outcome(), Outcome::Ok);
  const std::vector<Lot> lots = LotsOn(Day(3));
  ASSERT_EQ(lots.size(), 5u);
  EXPECT_EQ(lots[0].remaining, 2);
  EXPECT_EQ(lots[1].remaining, 2);
  EXPECT_EQ(lots[2].remaining, 2 * 254);
}

TEST_F(JoiningTest, TheLimitIsOnLotsThatDiffer) {
  for (int i = 0; i < static_cast<int>(kMaxLotsPerAccount); ++i) {
    if (i % 5'000 == 0) ledger_.BeginBlock({Day(0), false});
    Add(Day(0), 1, Day(100) + (i < 10'000 ? i : 10'000) * kMicrosPerSecond);
  }
  EXPECT_EQ(At(Day(0), Make(Kind::Accrue, 1)).outcome(), Outcome::TooManyLots);
  // Two days later some of them are the same.
  EXPECT_EQ(At(Day(2) + 1, Make(Kind::Accrue, 1)).outcome(), Outcome::Ok);
  EXPECT_EQ(CountOn(Day(2) + 1), 10'002u);
}

// Before they are joined, its lots and the account's are more than an account's may be.
TEST_F(JoiningTest, ALargeParcelFindsRoomInABlock) {
  for (int i = 0; i < static_cast<int>(kMaxLotsPerAccount); ++i) {
    if (i % 5'000 == 0) ledger_.BeginBlock({Day(0), false});
    Add(Day(0), 1, Day(100));
  }
  constexpr size_t kLots = 5'000;
  std::vector<Record> parcel(2 + kLots);
  const auto put = [&](size_t slot, const auto& detail) {
    std::memcpy(static_cast<void*>(&parcel[slot]), &detail, sizeof(detail));
  };
  parcel[0].operation = Operation(Id(1, 9), member_, Id(2, 2), kLots, Day(5), 0, 0, kProgram, 0,
                                  Kind::TransferIn, 0, 0);
  parcel[0].result = Result();
  parcel[0].result.mutate_details(1 + kLots);
  put(1, TransferDetail{1, 1, 3, {}});
  for (size_t i = 0; i < kLots; ++i) {
    put(2 + i, TransferLot{Day(1), Day(200) + static_cast<Instant>(i), 1, {}});
  }
  ledger_.BeginBlock({Day(5), false});
  EXPECT_EQ(ledger_.Receive(parcel).outcome(), Outcome::Ok);
  EXPECT_EQ(CountOn(Day(5)), 1 + kLots);
}

TEST_F(JoiningTest, AChainThatIsRefusedJoinsNothing) {
  Accrue(Day(0), 256, Day(100));
  ledger_.BeginBlock({Day(5), false});
  const uint64_t before = ledger_.machine().Digest();
  const auto results = Chain(Day(5), {Make(Kind::Accrue, 1), Make(Kind::Redeem, 10'000)});
  EXPECT_EQ(results[1].outcome(), Outcome::InsufficientPoints);
  EXPECT_EQ(ledger_.machine().Digest(), before);
  EXPECT_EQ(CountOn(Day(5)), 256u);
}

// What an earlier engine wrote is replayed as it was.
TEST_F(JoiningTest, EarlierEnginesJoinedNothing) {
  LoggedLedger ledger;
  ProgramSpec spec;
  spec.id = kProgram;
  spec.retention_days = spec.return_days = 1;
  spec.implicit_enrolment = true;
  ledger.BeginBlock({Day(0), false, 2});
  ASSERT_EQ(ledger.PutProgram(spec).outcome(), Outcome::Ok);
  for (int day : {0, 5}) {
    ledger.BeginBlock({Day(day), false, 2});
    for (int i = 0; i < 256; ++i) {
      Operation op = With(Make(Kind::Accrue, 2), Day(100));
      op.mutate_occurred_at(Day(day));
      Result result;
      ASSERT_EQ(ledger.Apply({&op, 1}, &result), 1u);
      ASSERT_EQ(result.outcome(), Outcome::Ok);
    }
  }
  EXPECT_EQ(ledger.machine().BalanceAt(kProgram, member_, Day(5))->lot_count, 512u);
}

}  // namespace
}  // namespace tallystick::ledger
