#include "ledger/row_visitor.h"

#include <vector>

#include "ledger/program_state.h"

namespace tallystick::ledger {

void StateMachine::VisitRows(RowVisitor& visitor) const {
  std::vector<Lot> lots;
  std::vector<OpenHold> holds;
  const auto add = [&](const LotList& list, std::vector<Lot>& to) {
    for (uint32_t lot = lots_.First(list); lot != kNoRow; lot = lots_.Next(list, lot)) {
      to.push_back(lots_[lot]);
    }
  };
  for (uint32_t row = 0; row < accounts_.count(); ++row) {
    const Account& account = accounts_[row];
    lots.clear();
    add(account.available_lots, lots);
    add(account.pending_lots, lots);
    AccountRows rows{account, AccountStatus::kActive, 0, lots, {}};
    if (const AccountExtra* extra = holds_.ExtraOf(account, row)) {
      rows.status = extra->status;
      rows.held = extra->held;
      holds.clear();
      for (uint32_t at = extra->first_hold; at != kNoRow; at = holds_[at].next) {
        const Hold& hold = holds_[at];
        const Id to = hold.transit == kNoRow ? Id() : transits_[hold.transit].to;
        holds.push_back({hold.position, hold.times_out_at, hold.points, {}, to});
        add(hold.lots, holds.back().lots);
      }
      rows.holds = holds;
    }
    visitor.OnAccount(rows);
  }
  std::vector<Taking> takings;
  for (const auto& program : programs_) {
    for (const ReceiptQueue& queue : program->queues) {
      receipts_.ForEach(queue, [&](uint32_t row) {
        const Receipt& receipt = receipts_[row];
        if (!IsLive(*program, receipt, log_time_)) return;
        takings.clear();
        const auto [first, count] = receipts_.FindTakings(queue, receipt);
        for (uint32_t i = 0; i < count; ++i) {
          takings.push_back(receipts_.takings().At(queue.takings, Takings::Behind(first, i)));
        }
        visitor.OnReceipt(program->id, accounts_[receipt.account].member, receipt,
                          receipts_.ReturnedOf(receipt), takings);
      });
    }
  }
}

}  // namespace tallystick::ledger
