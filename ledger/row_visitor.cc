#include "ledger/row_visitor.h"

#include <vector>

#include "ledger/program_state.h"

namespace tallystick::ledger {

void StateMachine::VisitRows(RowVisitor& visitor) const {
  std::vector<Lot> lots;
  for (uint32_t row = 0; row < accounts_.count(); ++row) {
    const Account& account = accounts_[row];
    lots.clear();
    for (const LotList& list : {account.available_lots, account.pending_lots}) {
      for (uint32_t lot = lots_.First(list); lot != kNoRow; lot = lots_.Next(list, lot)) {
        lots.push_back(lots_[lot]);
      }
    }
    visitor.OnAccount(account, lots);
  }
  for (const auto& program : programs_) {
    for (const ReceiptQueue& queue : program->queues) {
      receipts_.ForEach(queue, [&](uint32_t row) {
        const Receipt& receipt = receipts_[row];
        if (!IsLive(*program, receipt, log_time_)) return;
        visitor.OnReceipt(program->id, accounts_[receipt.account].member, receipt,
                          receipts_.ReturnedOf(receipt));
      });
    }
  }
}

}  // namespace tallystick::ledger
