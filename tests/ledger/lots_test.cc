// What happens to lots: the order in which they are spent, activate and expire, to the microsecond.

#include <gtest/gtest.h>

#include <vector>

#include "tests/ledger/ledger_fixture.h"

namespace tallystick::ledger {
namespace {

class LotsTest : public LedgerTest {
 protected:
  std::vector<Points> Remaining(Instant at) {
    std::vector<Points> remaining;
    for (const Lot& lot : ledger_.machine().LotsAt(kProgram, member_, at)) {
      remaining.push_back(lot.remaining);
    }
    return remaining;
  }
};

TEST_F(LotsTest, SoonestExpiringAreSpentFirst) {
  Start({});
  At(Day(0), Make(Kind::Accrue, 1));  // never expires
  At(Day(0), With(Make(Kind::Accrue, 2), Day(20)));
  At(Day(0), With(Make(Kind::Accrue, 4), Day(10)));
  At(Day(1), With(Make(Kind::Accrue, 8), Day(10)));
  EXPECT_EQ(Remaining(Day(1)), (std::vector<Points>{4, 8, 2, 1}));
  At(Day(2), Make(Kind::Redeem, 5));
  EXPECT_EQ(Remaining(Day(2)), (std::vector<Points>{7, 2, 1}));
  At(Day(2), Make(Kind::Adjust, -9));
  EXPECT_EQ(Remaining(Day(2)), (std::vector<Points>{1}));
}

TEST_F(LotsTest, OfEqualExpiryTheEarlierActivatedIsSpentFirst) {
  Start({});
  At(Day(5), With(Make(Kind::Adjust, 1), Day(10)));
  Operation late = With(Make(Kind::Adjust, 2), Day(10));
  late.mutate_occurred_at(Day(4));
  At(Day(5), late);
  EXPECT_EQ(Remaining(Day(5)), (std::vector<Points>{2, 1}));
}

TEST_F(LotsTest, AtItsExpiryAPointIsGone) {
  Start({});
  At(Day(0), With(Make(Kind::Accrue, 10), Day(5)));
  EXPECT_EQ(At(Day(5) - 1, Make(Kind::Enrol, 0)).available(), 10);
  const Result refused = At(Day(5), Make(Kind::Redeem, 1));
  EXPECT_EQ(refused.outcome(), Outcome::InsufficientPoints);
  EXPECT_EQ(refused.available(), 0);
  EXPECT_EQ(totals().expired, 0);  // a refusal settles aside
}

TEST_F(LotsTest, AtItsActivationAPointIsThere) {
  ProgramSpec spec;
  spec.pending_days = 5;
  Start(spec);
  At(Day(0), Make(Kind::Accrue, 10));
  EXPECT_EQ(At(Day(5) - 1, Make(Kind::Redeem, 1)).outcome(), Outcome::InsufficientPoints);
  EXPECT_EQ(At(Day(5), Make(Kind::Redeem, 1)).available(), 9);
}

TEST_F(LotsTest, AtOneInstantExpiriesComeBeforeActivations) {
  ProgramSpec spec;
  spec.pending_days = 5;
  Start(spec);
  At(Day(0), Make(Kind::Accrue, 7));
  At(Day(0), With(Make(Kind::Adjust, 10), Day(5)));
  At(Day(0), With(Make(Kind::Accrue, 3), Day(5)));  // never activates
  const Result result = At(Day(5), Make(Kind::Redeem, 7));
  EXPECT_EQ(result.outcome(), Outcome::Ok);
  const auto slots = ledger_.open_slots();
  ASSERT_EQ(slots.size(), 4u);
  EXPECT_EQ(slots[0].operation.kind(), Kind::Expiry);
  EXPECT_EQ(slots[0].operation.amount(), 3);
  EXPECT_EQ(slots[0].result.pending(), 7);
  EXPECT_EQ(slots[1].operation.kind(), Kind::Expiry);
  EXPECT_EQ(slots[1].operation.amount(), 10);
  EXPECT_EQ(slots[2].operation.kind(), Kind::Activation);
  EXPECT_EQ(slots[2].result.available(), 7);
}

TEST_F(LotsTest, LateAccrualActivatesAndExpiresAtOnce) {
  ProgramSpec spec;
  spec.pending_days = 1;
  spec.expiry = ExpirySpec{.days = 3};
  Start(spec);
  Operation late = Make(Kind::Accrue, 10);
  late.mutate_occurred_at(Day(1));
  const Result result = At(Day(10), late);
  EXPECT_EQ(result.available(), 10);
  ASSERT_EQ(ledger_.open_slots().size(), 2u);
  EXPECT_EQ(ledger_.open_slots()[1].operation.occurred_at(), Day(4));
  EXPECT_EQ(BalanceOn(Day(10)).available, 0);
  EXPECT_EQ(totals().expired, 10);
}

TEST_F(LotsTest, LateAccrualMayExpireAtOnceFromPending) {
  ProgramSpec spec;
  spec.pending_days = 20;
  Start(spec);
  Operation late = With(Make(Kind::Accrue, 10), Day(5));
  late.mutate_occurred_at(Day(1));
  const Result result = At(Day(10), late);
  EXPECT_EQ(result.pending(), 10);
  EXPECT_EQ(result.available(), 0);
  EXPECT_EQ(BalanceOn(Day(10)).pending, 0);
}

TEST_F(LotsTest, PointsThatNeverExpireAreThereAtTheEndOfTime) {
  Start({});
  At(Day(0), Make(Kind::Accrue, 10));
  EXPECT_EQ(BalanceOn(kNever).available, 10);
  EXPECT_EQ(Remaining(kNever), (std::vector<Points>{10}));
}

TEST_F(LotsTest, ActivationPaysDebt) {
  ProgramSpec spec;
  spec.pending_days = 10;
  spec.debt_floor = 100;
  Start(spec);
  const Id purchase = Purchase(Day(0), 50);
  At(Day(1), Make(Kind::Purchase, 30));
  At(Day(10), Make(Kind::Redeem, 50));
  ASSERT_EQ(Return(Day(10), 50, purchase).available(), -50);
  const StateMachine::Balance balance = BalanceOn(Day(11));
  EXPECT_EQ(balance.available, 0);
  EXPECT_EQ(balance.debt, 20);
  EXPECT_EQ(balance.lot_count, 0u);
  EXPECT_EQ(At(Day(11), Make(Kind::Enrol, 0)).available(), -20);
}

TEST_F(LotsTest, DueAccountsAreSettledWithinBudgetAndRoom) {
  ProgramSpec spec;
  spec.implicit_enrolment = true;
  spec.expiry = ExpirySpec{.days = 3};
  Start(spec);
  for (uint64_t member = 10; member < 40; ++member) {
    Operation op = Make(Kind::Accrue, 1);
    op.mutable_member() = Id(member, 0);
    At(Day(1), op);
  }
  EXPECT_EQ(totals().available, 30);
  EXPECT_LE(ledger_.machine().NextDue(), Day(4));
  ledger_.BeginBlock({Day(4) - 1, false});
  while (ledger_.SettleDue(7)) continue;
  EXPECT_EQ(ledger_.open_slots().size(), 0u);
  int blocks = 0;
  do {
    ledger_.BeginBlock({Day(4) + blocks++, false}, 5);
  } while (ledger_.SettleDue(1'000));
  EXPECT_EQ(blocks,
            8);  // four accounts in five slots: the last slot is too few for what one may need
  EXPECT_EQ(totals().expired, 30);
  EXPECT_EQ(ledger_.machine().NextDue(), kNever);
}

}  // namespace
}  // namespace tallystick::ledger
