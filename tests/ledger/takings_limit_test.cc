// The table of what redemptions took, at its limit.

#include <gtest/gtest.h>

#include <vector>

#include "tests/ledger/image_check.h"
#include "tests/ledger/ledger_fixture.h"

namespace tallystick::ledger {
namespace {

Operation Op(uint64_t id, uint64_t member, Kind kind, int64_t amount, Instant at,
             Id related = Id()) {
  return Operation(Id(id, 0), Id(member, 1), related, amount, at, 0, 0, kProgram, 0, kind, 0, 0);
}

constexpr Instant D = kMicrosPerDay;

// A ledger with a small table of takings, whose receipts live for a day.
struct Small {
  Small(uint32_t takings, bool import_clock)
      : limits{.takings = takings}, ledger(limits), import(import_clock) {
    ProgramSpec spec;
    spec.id = kProgram;
    spec.retention_days = 1;
    spec.return_days = 1;
    spec.implicit_enrolment = true;
    ledger.BeginBlock({D, import});
    EXPECT_EQ(ledger.PutProgram(spec).outcome(), Outcome::Ok);
  }
  Result Do(Instant at, Operation op, Instant stamp = 0) {
    ledger.BeginBlock({stamp != 0 ? stamp : at, import});
    Result r;
    EXPECT_EQ(ledger.Apply({&op, 1}, &r), 1u);
    return r;
  }
  void CompareReplay() {
    StateMachine replayed(limits);
    const absl::Status status = Replay(ledger.Log(), replayed);
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(replayed.Digest(), ledger.machine().Digest());
  }

  Limits limits;
  LoggedLedger ledger;
  bool import;
};
TEST(TakingsLimit, WhatWasAcceptedIsReplayed) {
  Small s(100, false);
  uint64_t id = 0;
  for (int i = 0; i < 60; ++i)
    ASSERT_EQ(s.Do(2 * D, Op(++id, 2, Kind::Accrue, 1, 2 * D)).outcome(), Outcome::Ok);
  ASSERT_EQ(s.Do(2 * D, Op(++id, 1, Kind::Accrue, 1000, 2 * D)).outcome(), Outcome::Ok);
  for (int i = 0; i < 95; ++i)
    ASSERT_EQ(s.Do(2 * D, Op(++id, 1, Kind::Redeem, 1, 2 * D)).outcome(), Outcome::Ok);
  const Operation redeem = Op(++id, 2, Kind::Redeem, 60, 10 * D);
  const uint64_t before = s.ledger.machine().Digest();
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(s.Do(10 * D, redeem).outcome(), Outcome::Overloaded);
    EXPECT_EQ(s.ledger.machine().Digest(), before) << "a refused operation changed the state";
  }
  // With what is accepted, log time goes on: then what is dead makes room.
  ASSERT_EQ(s.Do(10 * D, Op(++id, 3, Kind::Enrol, 0, 10 * D)).outcome(), Outcome::Ok);
  EXPECT_EQ(s.Do(10 * D, redeem).outcome(), Outcome::Ok);
  s.CompareReplay();
}

TEST(TakingsLimit, ARefusalForgetsNothing) {
  Small s(40, true);
  uint64_t id = 0;
  const Instant st = 100 * D;
  const Operation first = Op(++id, 3, Kind::Accrue, 777, 2 * D);
  ASSERT_EQ(s.Do(2 * D, first, st).outcome(), Outcome::Ok);
  for (int i = 0; i < 50; ++i)
    ASSERT_EQ(s.Do(2 * D, Op(++id, 2, Kind::Accrue, 1, 2 * D), st).outcome(), Outcome::Ok);
  ASSERT_EQ(s.Do(2 * D, first, st).flags(), kReplayed | kEnrolled);
  const uint64_t before = s.ledger.machine().Digest();
  EXPECT_EQ(s.Do(10 * D, Op(++id, 2, Kind::Redeem, 1, 10 * D), st).outcome(), Outcome::Overloaded);
  EXPECT_EQ(s.ledger.machine().Digest(), before) << "a refused operation changed the state";
  const Result again = s.Do(2 * D, first, st);
  EXPECT_EQ(again.flags() & kReplayed, kReplayed);
  EXPECT_EQ(s.ledger.machine().BalanceAt(kProgram, Id(3, 1), 2 * D)->available, 777);
  s.CompareReplay();
}

TEST(TakingsLimit, WhatADeadRedemptionTookLeavesWithIt) {
  for (const bool restart : {false, true}) {
    Small s(100, false);
    uint64_t id = 0;
    for (int m = 1; m <= 2; ++m)
      for (int i = 0; i < 90; ++i)
        ASSERT_EQ(s.Do(2 * D, Op(++id, m, Kind::Accrue, 1, 2 * D)).outcome(), Outcome::Ok);
    ASSERT_EQ(s.Do(2 * D, Op(++id, 1, Kind::Redeem, 90, 2 * D)).outcome(), Outcome::Ok);
    // time passes, all that was is dead
    for (int i = 0; i < 40; ++i)
      ASSERT_EQ(s.Do(50 * D, Op(++id, 3, Kind::Enrol, 0, 50 * D)).outcome(), Outcome::Ok);
    const Operation redeem = Op(++id, 2, Kind::Redeem, 1, 50 * D);
    if (!restart) {
      EXPECT_EQ(s.Do(50 * D, redeem).outcome(), Outcome::Ok);
      s.CompareReplay();
      continue;
    }
    // The server restarts from a snapshot, and accepts it; then its whole log is replayed.
    MemorySink sink;
    const Position p = s.ledger.EndBlock();
    ASSERT_TRUE(s.ledger.machine().BeginImage(p, sink));
    ASSERT_EQ(s.ledger.machine().ContinueImage(SIZE_MAX / 2), ImageProgress::kDone);
    StateMachine restored(s.limits);
    ASSERT_TRUE(ReadImage(sink.parts(), restored).ok());
    std::vector<Record> slots(kMaxSlotsPerChain + 64);
    RecordSink out{slots.data(), slots.size(), 0, p + 1};
    restored.BeginBlock({50 * D, false});
    Result r;
    ASSERT_EQ(restored.Apply({&redeem, 1}, &r, out), 1u);
    ASSERT_EQ(r.outcome(), Outcome::Ok);
    slots.resize(out.used);
    StateMachine replayed(s.limits);
    ASSERT_TRUE(Replay(s.ledger.Log(), replayed).ok());
    const absl::Status status = replayed.Replay({50 * D, false}, p + 1, slots);
    EXPECT_TRUE(status.ok()) << "whole log: " << status;
  }
}

}  // namespace
}  // namespace tallystick::ledger
