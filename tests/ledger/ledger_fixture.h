#ifndef TALLYSTICK_TESTS_LEDGER_LEDGER_FIXTURE_H_
#define TALLYSTICK_TESTS_LEDGER_LEDGER_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "tests/ledger/civil_instants.h"
#include "tests/ledger/logged_ledger.h"

namespace tallystick::ledger {

inline constexpr uint16_t kProgram = 7;
inline constexpr Instant kMinute = 60 * kMicrosPerSecond;

inline Operation With(Operation operation, Instant expires_at) {
  operation.mutate_expires_at(expires_at);
  return operation;
}

// A ledger on the wall clock with one program and one member, enrolled on day 0. At the end it must
// be sound, and its log must give it once more.
class LedgerTest : public ::testing::Test {
 protected:
  // Counted from the first of March 2024, 10:00.
  static Instant Day(int64_t day) { return Utc({2024, 3, 1, 10}) + day * kMicrosPerDay; }

  void Start(ProgramSpec spec) {
    spec.id = kProgram;
    ledger_.BeginBlock({Day(0), false});
    ASSERT_EQ(ledger_.PutProgram(spec).outcome(), Outcome::Ok);
    ASSERT_EQ(At(Day(0), Make(Kind::Enrol, 0)).flags(), kEnrolled);
  }

  void PutVersion(ProgramSpec spec, int32_t version, Instant effective, Instant now) {
    spec.id = kProgram;
    spec.version = version;
    spec.effective_us = effective;
    ledger_.BeginBlock({now, false});
    ASSERT_EQ(ledger_.PutProgram(spec).outcome(), Outcome::Ok);
  }

  // An operation of the member with an id of its own; its occurred_at is filled in by At().
  Operation Make(Kind kind, int64_t amount, const Id& related = Id()) {
    return Operation(Id(++last_id_, 0), member_, related, amount, 0, 0, 0, kProgram, 0, kind, 0, 0);
  }

  Result At(Instant t, Operation operation) {
    if (operation.occurred_at() == 0) operation.mutate_occurred_at(t);
    ledger_.BeginBlock({t, false});
    last_ = operation;
    Result result;
    EXPECT_EQ(ledger_.Apply({&operation, 1}, &result), 1u);
    return result;
  }

  // Returns the id of what was bought.
  Id Purchase(Instant t, int64_t spend) {
    EXPECT_EQ(At(t, Make(Kind::Purchase, spend)).outcome(), Outcome::Ok);
    return last_.id();
  }
  Result Return(Instant t, int64_t spend, const Id& purchase) {
    return At(t, Make(Kind::Return, spend, purchase));
  }

  // All in the open block; all but the last linked. `occurred_at` where it is 0.
  std::vector<Result> Chain(Instant occurred_at, std::vector<Operation> operations) {
    for (size_t i = 0; i < operations.size(); ++i) {
      if (operations[i].occurred_at() == 0) operations[i].mutate_occurred_at(occurred_at);
      if (i + 1 < operations.size()) operations[i].mutate_flags(kLinked);
    }
    std::vector<Result> results(operations.size());
    EXPECT_EQ(ledger_.Apply(operations, results.data()), operations.size());
    return results;
  }

  StateMachine::Balance BalanceOn(Instant t) {
    return *ledger_.machine().BalanceAt(kProgram, member_, t);
  }
  const Totals& totals() { return *ledger_.machine().TotalsOf(kProgram); }

  void TearDown() override {
    const absl::Status sound = ledger_.machine().CheckInvariants();
    EXPECT_TRUE(sound.ok()) << sound;
    StateMachine replayed;
    const absl::Status status = Replay(ledger_.Log(), replayed);
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(replayed.Digest(), ledger_.machine().Digest());
  }

  LoggedLedger ledger_;
  Id member_{1, 1};
  Operation last_;  // the last that went through At()
  uint64_t last_id_ = 0;
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_TESTS_LEDGER_LEDGER_FIXTURE_H_
