#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <vector>

#include "tests/ledger/ledger_fixture.h"

namespace tallystick::ledger {
namespace {

class ChainTest : public LedgerTest {
 protected:
  // Refused as a whole, and nothing has changed.
  void ExpectMalformed(std::vector<Operation> operations) {
    const uint64_t digest = ledger_.machine().Digest();
    for (const Result& result : Chain(Day(0), std::move(operations))) {
      EXPECT_EQ(result.outcome(), Outcome::BadRequest);
      EXPECT_EQ(result.field(), Field::Chain);
    }
    EXPECT_EQ(ledger_.machine().Digest(), digest);
  }
  Operation Pending(Points points, Instant expires_at) {
    return With(Make(Kind::Accrue, points), expires_at);
  }
};

TEST_F(ChainTest, EachLinkSeesWhatThoseBeforeItDid) {
  Start({});
  const auto results = Chain(Day(0), {Make(Kind::Accrue, 10), Make(Kind::Redeem, 10)});
  EXPECT_EQ(results[0].available(), 10);
  EXPECT_EQ(results[1].outcome(), Outcome::Ok);
  EXPECT_EQ(results[1].available(), 0);
}

TEST_F(ChainTest, FailedChainChangesNothing) {
  ProgramSpec spec;
  spec.pending_days = 2;
  spec.debt_floor = 1'000;
  Start(spec);
  const Id purchase = Purchase(Day(0), 30);
  At(Day(0), With(Make(Kind::Adjust, 5), Day(2)));
  ASSERT_EQ(Return(Day(1), 10, purchase).points(), -10);
  ledger_.BeginBlock({Day(3), false});
  const uint64_t digest = ledger_.machine().Digest();
  const auto results =
      Chain(Day(3), {Make(Kind::Adjust, 10), Make(Kind::Return, 15, purchase),
                     Make(Kind::Accrue, 7), Make(Kind::Redeem, 16), Make(Kind::Enrol, 0)});
  EXPECT_EQ(results[3].outcome(), Outcome::InsufficientPoints);
  EXPECT_EQ(results[3].available(), 15);
  EXPECT_EQ(results[3].pending(), 7);
  for (const size_t i : {0, 1, 2, 4}) {
    EXPECT_EQ(results[i].outcome(), Outcome::ChainRefused);
    EXPECT_EQ(results[i].available(), 20);
    EXPECT_EQ(results[i].pending(), 0);
    EXPECT_EQ(results[i].points(), 0);
  }
  EXPECT_EQ(ledger_.machine().Digest(), digest);
  EXPECT_TRUE(ledger_.open_slots().empty());
  EXPECT_TRUE(ledger_.machine().CheckInvariants().ok());
  EXPECT_LE(ledger_.machine().NextDue(), Day(3));  // what was due still is
  EXPECT_EQ(Return(Day(3), 20, purchase).points(), -20);
}

TEST_F(ChainTest, FailedChainEnrolsNobody) {
  Start({});
  member_ = Id(8, 8);
  ledger_.BeginBlock({Day(0), false});
  const uint64_t digest = ledger_.machine().Digest();
  const auto results =
      Chain(Day(0), {Make(Kind::Enrol, 0), Make(Kind::Accrue, 1), Make(Kind::Redeem, 2)});
  EXPECT_EQ(results[0].outcome(), Outcome::ChainRefused);
  EXPECT_EQ(results[0].available(), 0);
  EXPECT_EQ(ledger_.machine().Digest(), digest);
  EXPECT_EQ(ledger_.machine().BalanceAt(kProgram, member_, Day(0)), std::nullopt);
  EXPECT_EQ(At(Day(0), Make(Kind::Enrol, 0)).flags(), kEnrolled);
}

TEST_F(ChainTest, BadLinkHasItsOwnOutcome) {
  Start({});
  const auto results = Chain(Day(0), {Make(Kind::Accrue, 1), Make(Kind::Redeem, -1)});
  EXPECT_EQ(results[0].outcome(), Outcome::ChainRefused);
  EXPECT_EQ(results[1].outcome(), Outcome::BadRequest);
  EXPECT_EQ(results[1].field(), Field::Amount);
}

TEST_F(ChainTest, MalformedChainIsRefusedWhole) {
  Start({});
  Operation stranger = Make(Kind::Accrue, 1);
  stranger.mutable_member() = Id(2, 2);
  ExpectMalformed({Make(Kind::Accrue, 1), stranger});
  Operation elsewhere = Make(Kind::Accrue, 1);
  elsewhere.mutate_program(8);
  ExpectMalformed({Make(Kind::Accrue, 1), elsewhere});
  Operation tick(Id(77, 0), Id(1, 1), Id(), 0, Day(0), 0, 0, kProgram, 0, Kind::Tick, 0, 0);
  ExpectMalformed({Make(Kind::Accrue, 1), tick});
  Operation open = Make(Kind::Accrue, 1);
  open.mutate_flags(kLinked);
  ExpectMalformed({Make(Kind::Accrue, 1), open});
  ExpectMalformed({open});
  std::vector<Operation> long_chain;
  for (size_t i = 0; i <= kMaxChainOperations; ++i) long_chain.push_back(Make(Kind::Accrue, 1));
  ExpectMalformed(long_chain);
  long_chain.pop_back();
  for (const Result& result : Chain(Day(0), long_chain)) EXPECT_EQ(result.outcome(), Outcome::Ok);
}

TEST_F(ChainTest, ChainThatEndsOutsideItsRequestIsLeftWhole) {
  Start({});
  Operation single = Make(Kind::Accrue, 3);
  single.mutate_occurred_at(Day(0));
  Operation open = Make(Kind::Accrue, 1);
  open.mutate_occurred_at(Day(0));
  open.mutate_flags(kLinked);
  const std::vector<Operation> request = {single, open};
  Result results[2];
  ASSERT_EQ(ledger_.Apply(request, results), 2u);
  EXPECT_EQ(results[0].outcome(), Outcome::Ok);
  EXPECT_EQ(results[1].outcome(), Outcome::BadRequest);
  EXPECT_EQ(results[1].available(), 3);
}

TEST_F(ChainTest, ReplayedLinkCountsAsApplied) {
  Start({});
  ledger_.BeginBlock({Day(1), false});
  std::vector<Operation> chain = {Make(Kind::Accrue, 10), Make(Kind::Redeem, 4)};
  Chain(Day(1), chain);
  // The last link is known; behind the chain another member's operation follows in the log, which
  // must not be taken for the chain's end by a replay.
  const Id known(last_id_, 0);
  Operation again = Make(Kind::Redeem, 4);
  again.mutable_id() = known;
  const auto results = Chain(Day(1), {Make(Kind::Accrue, 1), again});
  EXPECT_EQ(results[0].available(), 7);
  EXPECT_EQ(results[1].flags(), kReplayed);
  EXPECT_EQ(results[1].available(), 6);
  Operation other = Make(Kind::Enrol, 0);
  other.mutable_member() = Id(5, 5);
  EXPECT_EQ(Chain(Day(1), {other})[0].flags(), kEnrolled);
  EXPECT_EQ(ledger_.open_slots().size(), 4u);
}

TEST_F(ChainTest, ReplaysAloneWriteNothing) {
  Start({});
  ledger_.BeginBlock({Day(1), false});
  const std::vector<Operation> chain = {Make(Kind::Accrue, 10), Make(Kind::Redeem, 4)};
  Chain(Day(1), chain);
  const uint64_t digest = ledger_.machine().Digest();
  for (const Result& result : Chain(Day(1), chain)) EXPECT_EQ(result.flags(), kReplayed);
  EXPECT_EQ(ledger_.machine().Digest(), digest);
}

TEST_F(ChainTest, RoomForEveryEventIsRoomEnough) {
  ProgramSpec spec;
  spec.pending_days = 1;
  Start(spec);
  constexpr size_t kLots = 10;
  for (size_t i = 0; i < kLots; ++i) At(Day(0), Pending(1, Day(3)));
  // Under the import clock time goes on from link to link: all lots activate before the first, and
  // expire before the second.
  Operation first = Make(Kind::Enrol, 0);
  first.mutate_occurred_at(Day(1));
  Operation second = Make(Kind::Enrol, 0);
  second.mutate_occurred_at(Day(3));
  first.mutate_flags(kLinked);
  const std::vector<Operation> chain = {first, second};
  const size_t room = 2 * kLots + kSlotsPerLink * chain.size();
  Result results[2];
  ledger_.BeginBlock({Day(50), true}, room - 1);
  EXPECT_EQ(ledger_.Apply(chain, results), 0u);
  ledger_.BeginBlock({Day(50), true}, room);
  EXPECT_EQ(ledger_.Apply(chain, results), 2u);
  EXPECT_EQ(results[0].available(), static_cast<Points>(kLots));
  EXPECT_EQ(results[1].available(), 0);
  EXPECT_EQ(ledger_.open_slots().size(), 2 * kLots + 2);
}

TEST_F(ChainTest, LotsMadeAndEmptiedInAChainAreGivenBackOnce) {
  ProgramSpec spec;
  spec.debt_floor = 100;
  Start(spec);
  const Id purchase = Purchase(Day(0), 20);
  At(Day(0), Make(Kind::Redeem, 20));
  ASSERT_EQ(Return(Day(0), 20, purchase).available(), -20);
  ledger_.BeginBlock({Day(1), false});
  const uint64_t digest = ledger_.machine().Digest();
  // Lots of adjustments, wholly taken by the debt, or by the redemption.
  const std::vector<Operation> failing = {Make(Kind::Adjust, 5), Make(Kind::Adjust, 25),
                                          Make(Kind::Redeem, 10), Make(Kind::Redeem, 1)};
  EXPECT_EQ(Chain(Day(1), failing)[3].outcome(), Outcome::InsufficientPoints);
  EXPECT_EQ(ledger_.machine().Digest(), digest);
  for (int i = 0; i < 5; ++i) {
    ledger_.BeginBlock({Day(1), false});
    Chain(Day(1), {Make(Kind::Adjust, 25), Make(Kind::Adjust, 2), Make(Kind::Redeem, 2)});
    EXPECT_TRUE(ledger_.machine().CheckInvariants().ok());
  }
}

TEST_F(ChainTest, ReceiptsOfChainsLeaveToo) {
  ProgramSpec spec;
  spec.retention_days = 1;
  spec.return_days = 1;
  Start(spec);
  for (int day = 0; day < 60; ++day) {
    ledger_.BeginBlock({Day(day), false});
    std::vector<Operation> chain;
    for (int i = 0; i < 10; ++i) {
      chain.push_back(Make(Kind::Accrue, 1));
      chain.push_back(Make(Kind::Enrol, 0));
    }
    Chain(Day(day), chain);
  }
  EXPECT_LE(ledger_.machine().sizes().receipts, 60u);
}

// What is looked at ahead is far behind after a chain that is refused for its length; and it is
// looked at before anything was checked.
TEST_F(ChainTest, RefusedChainsOfAnyLengthLeaveWhatFollowsAlone) {
  Start({});
  const Id purchase = Purchase(Day(0), 1'000);
  ledger_.BeginBlock({Day(0), false});
  std::mt19937_64 random(1);
  const auto below = [&](uint64_t bound) { return random() % bound; };
  for (int round = 0; round < 300; ++round) {
    std::vector<Operation> operations;
    std::vector<bool> alone;
    while (operations.size() < 1'000) {
      const uint64_t length = below(3) == 0 ? 65 + below(400) : 1;
      for (uint64_t link = 0; link < length; ++link) {
        constexpr Kind kKinds[] = {Kind::Accrue, Kind::Redeem, Kind::Return, Kind::Adjust};
        Operation op = Make(kKinds[below(4)], static_cast<int64_t>(1 + below(3)));
        if (op.kind() == Kind::Return) op.mutable_related() = below(2) == 0 ? purchase : op.id();
        if (below(4) == 0) op.mutable_member() = Id(99, 99);
        if (below(8) == 0) op.mutate_amount(std::numeric_limits<int64_t>::min());
        op.mutate_occurred_at(Day(0));
        if (link + 1 < length) op.mutate_flags(kLinked);
        operations.push_back(op);
        alone.push_back(length == 1);
      }
    }
    std::vector<Result> results(operations.size());
    for (size_t done = 0; done < operations.size();) {
      done += ledger_.Apply(absl::MakeConstSpan(operations).subspan(done), results.data() + done);
      if (done < operations.size()) ledger_.BeginBlock({Day(0), false});
    }
    for (size_t i = 0; i < operations.size(); ++i) {
      if (!alone[i]) {
        ASSERT_EQ(results[i].field(), Field::Chain);
      } else if (operations[i].amount() > 0 && operations[i].kind() == Kind::Accrue) {
        ASSERT_EQ(results[i].outcome(),
                  operations[i].member() == member_ ? Outcome::Ok : Outcome::UnknownMember);
      }
    }
  }
}

}  // namespace
}  // namespace tallystick::ledger
