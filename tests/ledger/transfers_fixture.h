#ifndef TALLYSTICK_TESTS_LEDGER_TRANSFERS_FIXTURE_H_
#define TALLYSTICK_TESTS_LEDGER_TRANSFERS_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "tests/ledger/ledger_fixture.h"

namespace tallystick::ledger {

inline constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
inline constexpr uint16_t kShard = 3;  // of the sender

// The fixture's member sends to one of another shard.
class TransfersFixture : public LedgerTest {
 protected:
  using Parcel = std::vector<Record>;
  struct Sub {
    Points pending, available, held, debt;
    bool operator==(const Sub&) const = default;
  };
  struct LotOf {
    Points remaining;
    Instant activates_at, expires_at;
    bool pending = false;
    bool operator==(const LotOf&) const = default;
  };

  void TearDown() override {
    LedgerTest::TearDown();
    const absl::Status sound = there_.machine().CheckInvariants();
    EXPECT_TRUE(sound.ok()) << sound;
    StateMachine replayed;
    const absl::Status status = Replay(there_.Log(), replayed);
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(replayed.Digest(), there_.machine().Digest());
  }

  void StartBoth(ProgramSpec spec) {
    Start(spec);
    PutThere(spec);
    ASSERT_EQ(There(Day(0), Make(Kind::Enrol, 0)).flags(), kEnrolled);
  }
  void PutThere(ProgramSpec spec) {
    spec.id = kProgram;
    there_.BeginBlock({Day(0), false});
    ASSERT_EQ(there_.PutProgram(spec).outcome(), Outcome::Ok);
  }

  // An operation of the receiver.
  Result There(Instant t, Operation operation) {
    operation.mutable_member() = receiver_;
    operation.mutate_occurred_at(t);
    there_.BeginBlock({t, false});
    Result result;
    EXPECT_EQ(there_.Apply({&operation, 1}, &result), 1u);
    return result;
  }

  Id Accrue(Instant t, Points points, Instant expires_at = 0) {
    EXPECT_EQ(Try(t, With(Make(Kind::Accrue, points), expires_at)), Outcome::Ok);
    return last_.id();
  }
  Outcome Try(Instant t, const Operation& operation) { return At(t, operation).outcome(); }
  Operation Gift(Points points) { return Make(Kind::Transfer, points, receiver_); }
  Result Send(Instant t, Points points) { return At(t, Gift(points)); }

  StateMachine::OpenTransfer Open() { return ledger_.machine().OpenTransfers().back(); }
  size_t OnTheirWay() { return ledger_.machine().OpenTransfers().size(); }
  Parcel Pack() { return Pack(Open(), Open().position); }
  Parcel Pack(const StateMachine::OpenTransfer& transfer, Position open_from) {
    Parcel parcel;
    ledger_.machine().WriteParcel(transfer, kShard, open_from, parcel);
    return parcel;
  }
  // What the parcel says of its lots.
  static std::vector<LotOf> LotsIn(const Parcel& parcel) {
    std::vector<LotOf> lots;
    for (size_t i = 2; i < parcel.size(); ++i) {
      const auto lot = DetailIn<TransferLot>(parcel[i]);
      lots.push_back({lot.points, lot.activates_at, lot.expires_at});
    }
    return lots;
  }
  Result Receive(Instant t, const Parcel& parcel) {
    there_.BeginBlock({t, false});
    return there_.Receive(parcel);
  }
  Result Finish(Instant t, Outcome outcome) {
    ledger_.BeginBlock({t, false});
    return ledger_.Finish(Open(), outcome);
  }
  // What was sent last arrives, and is done.
  void Complete(Instant t) {
    ASSERT_EQ(Receive(t, Pack()).outcome(), Outcome::Ok);
    ASSERT_EQ(Finish(t, Outcome::Ok).outcome(), Outcome::Ok);
  }

  static Sub SubOf(const StateMachine::Balance& b) {
    return {b.pending, b.available, b.held, b.debt};
  }
  Sub Here(Instant t) { return SubOf(BalanceOn(t)); }
  Sub BalanceThere(Instant t) { return SubOf(*there_.machine().BalanceAt(kProgram, receiver_, t)); }
  static std::vector<LotOf> Shown(const std::vector<Lot>& lots) {
    std::vector<LotOf> shown;
    for (const Lot& lot : lots) {
      shown.push_back({lot.remaining, lot.activates_at, lot.expires_at, lot.pending});
    }
    return shown;
  }
  std::vector<LotOf> LotsHere(Instant t) {
    return Shown(ledger_.machine().LotsAt(kProgram, member_, t));
  }
  std::vector<LotOf> LotsThere(Instant t) {
    return Shown(there_.machine().LotsAt(kProgram, receiver_, t));
  }
  const Totals& totals_there() { return *there_.machine().TotalsOf(kProgram); }

  LoggedLedger there_;
  Id receiver_{2, 2};
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_TESTS_LEDGER_TRANSFERS_FIXTURE_H_
