#include "ledger/row_visitor.h"

#include <gtest/gtest.h>

#include "ledger/row_hash.h"
#include "tests/ledger/ledger_fixture.h"

namespace tallystick::ledger {
namespace {

// Sums up what it is shown as the digest does.
struct Summing : RowVisitor {
  void OnAccount(const Account& account, absl::Span<const Lot> lots) override {
    sum += RowHash::OfAccount(account);
    for (const Lot& lot : lots) sum += RowHash::OfLot(account, lot);
    ++accounts;
    EXPECT_EQ(lots.size(), account.lot_count);
  }
  void OnReceipt(uint16_t program, const Id& member, const Receipt& receipt,
                 const Returned& returned) override {
    sum += RowHash::OfReceipt(program, member, receipt, returned);
    ++receipts;
  }
  uint64_t sum = 0;
  int accounts = 0;
  int receipts = 0;
};

class Visitor : public LedgerTest {};

TEST_F(Visitor, IsShownAllThatTheDigestIsOf) {
  ProgramSpec spec;
  spec.pending_days = 2;
  spec.debt_floor = 500;
  spec.retention_days = 30;
  spec.return_days = 60;
  spec.implicit_enrolment = true;
  Start(spec);
  for (uint64_t member = 1; member <= 5; ++member) {
    member_ = Id(member, 1);
    const auto day = static_cast<int64_t>(3 * member);
    const Id purchase = Purchase(Day(day), 100);
    At(Day(day + 2), Make(Kind::Accrue, 20));
    if (member % 2 == 0) Return(Day(day + 2), 30, purchase);
  }
  Summing seen;
  ledger_.machine().VisitRows(seen);
  const StateMachine::ProgramVersion& version = ledger_.machine().VersionsOf(kProgram).front();
  EXPECT_EQ(seen.sum + RowHash::OfTime(ledger_.machine().log_time()) +
                RowHash::OfTotals(kProgram, totals(), version.bound_before) +
                RowHash::OfVersion(version.id, version.bytes),
            ledger_.machine().Digest());
  EXPECT_EQ(seen.accounts, 5);
  EXPECT_EQ(seen.receipts, 13);
}

}  // namespace
}  // namespace tallystick::ledger
