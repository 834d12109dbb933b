#include "ledger/row_visitor.h"

#include <gtest/gtest.h>

#include "ledger/row_hash.h"
#include "tests/ledger/ledger_fixture.h"

namespace tallystick::ledger {
namespace {

// Sums up what it is shown as the digest does.
struct Summing : RowVisitor {
  void OnAccount(const AccountRows& rows) override {
    sum += RowHash::OfAccount(rows.account) + RowHash::OfStatus(rows.account, rows.status);
    for (const Lot& lot : rows.lots) sum += RowHash::OfLot(rows.account, lot);
    size_t lots = rows.lots.size();
    Points held = 0;
    for (const StateMachine::OpenHold& hold : rows.holds) {
      sum += RowHash::OfHold(rows.account, hold.position, hold.times_out_at, hold.points);
      for (const Lot& lot : hold.lots) sum += RowHash::OfHeld(hold.position, lot);
      lots += hold.lots.size();
      held += hold.points;
      ++holds;
    }
    ++accounts;
    EXPECT_EQ(lots, rows.account.lot_count);
    EXPECT_EQ(held, rows.held);
  }
  void OnReceipt(uint16_t program, const Id& member, const Receipt& receipt,
                 const Returned& returned, absl::Span<const Taking> of_receipt) override {
    sum += RowHash::OfReceipt(program, member, receipt, returned);
    for (size_t i = 0; i < of_receipt.size(); ++i) {
      sum += RowHash::OfTaking(receipt, i, of_receipt[i]);
    }
    takings += static_cast<int>(of_receipt.size());
    ++receipts;
  }
  uint64_t sum = 0;
  int accounts = 0;
  int receipts = 0;
  int holds = 0;
  int takings = 0;
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
    if (member % 2 == 1) At(Day(day + 3), Make(Kind::Hold, 15));
    if (member == 3) At(Day(day + 3), Make(Kind::Redeem, 40));
    if (member == 5) At(Day(day + 3), Make(Kind::Freeze, 0));
  }
  Summing seen;
  ledger_.machine().VisitRows(seen);
  const StateMachine::ProgramVersion& version = ledger_.machine().VersionsOf(kProgram).front();
  EXPECT_EQ(seen.sum + RowHash::OfTime(ledger_.machine().log_time()) +
                RowHash::OfTotals(kProgram, totals(), version.bound_before) +
                RowHash::OfVersion(version.id, version.bytes),
            ledger_.machine().Digest());
  EXPECT_EQ(seen.accounts, 5);
  EXPECT_EQ(seen.receipts, 18);
  EXPECT_EQ(seen.holds, 3);
  EXPECT_EQ(seen.takings, 1);
}

}  // namespace
}  // namespace tallystick::ledger
