#ifndef TALLYSTICK_TESTS_MODEL_LEDGER_FIXTURE_H_
#define TALLYSTICK_TESTS_MODEL_LEDGER_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "tests/model/naive_ledger.h"

namespace tallystick::model {

inline constexpr uint16_t kProgram = 7;
inline constexpr Id kMember{1, 1};

// A ledger on the wall clock with one program and one member, whose days are counted from the
// first of March 2024.
class LedgerFixture : public ::testing::Test {
 protected:
  static Instant Day(int64_t day) { return UtcInstant(2024, 3, 1, 10 * kHour) + day * kDay; }

  void TearDown() override { ledger_.CheckConservation(); }

  void Start(Program program) {
    program.id = kProgram;
    ledger_.PutProgram(program, Day(0));
    const Result enrolled = At(Day(0), Make(Kind::kEnrol, 0));
    ASSERT_EQ(enrolled.outcome, Outcome::kOk);
    ASSERT_TRUE(enrolled.enrolled);
  }

  // An operation of the member with an id of its own; its occurred_at is filled in by At().
  Operation Make(Kind kind, int64_t amount, Id related = {}) {
    Operation operation;
    operation.id = {0, ++last_id_};
    operation.member = kMember;
    operation.related = related;
    operation.amount = amount;
    operation.program = kProgram;
    operation.kind = static_cast<uint8_t>(kind);
    return operation;
  }

  Result At(Instant t, Operation operation) {
    if (operation.occurred_at == 0) operation.occurred_at = t;
    last_ = operation;
    ledger_.BeginBlock(t, false);
    return ledger_.Apply({operation}).front();
  }

  // Returns the id of what was bought.
  Id Purchase(Instant t, int64_t spend) {
    const Result result = At(t, Make(Kind::kPurchase, spend));
    EXPECT_EQ(result.outcome, Outcome::kOk);
    return last_.id;
  }

  Result Return(Instant t, int64_t spend, Id purchase) {
    return At(t, Make(Kind::kReturn, spend, purchase));
  }

  Balance BalanceOn(Instant t) const { return *ledger_.BalanceAt(kProgram, kMember, t); }
  Totals totals() const { return ledger_.TotalsOf(kProgram); }

  NaiveLedger ledger_;
  Operation last_;  // the last that went through At()
  uint64_t last_id_ = 0;
};

}  // namespace tallystick::model

#endif  // TALLYSTICK_TESTS_MODEL_LEDGER_FIXTURE_H_
