// Lots stay few: those that nothing tells apart any more become one.

#include <bit>

#include "ledger/aside.h"
#include "ledger/image_writer.h"
#include "ledger/program_state.h"

namespace tallystick::ledger {

// Seldom, so that an account whose lots all differ does not pay for it with each operation.
bool StateMachine::JoinsManyLots(uint32_t count, uint32_t more) const {
  return block_.engine >= 3 &&
         (count + more > kMaxLotsPerAccount || (count >= kManyLots && std::has_single_bit(count)));
}

// Whether it is known by its dates alone: nothing was taken of it that could go back to it, and no
// return can name what made it.
bool StateMachine::IsPlainLot(const ProgramState& program, const Lot& lot, Instant t) const {
  if (lot.remaining != lot.original) return false;
  const uint32_t receipt = ReceiptOf(lot);
  return receipt == kNoRow || !IsLive(program, receipts_[receipt], t);
}

// Of lots in spending order: whether the second becomes part of the first.
bool StateMachine::AreJoined(const ProgramState& program, const Lot& first, const Lot& second,
                             Instant t) const {
  return first.expires_at == second.expires_at && IsPlainLot(program, first, t) &&
         IsPlainLot(program, second, t);
}

bool StateMachine::HasRoomOnceJoined(const Request& request, uint32_t more) const {
  const uint32_t count = request.settled.lot_count;
  if (!JoinsLots(count, more)) return false;
  uint32_t joined = 0;
  const Lot* before = nullptr;
  const auto look = [&](const Lot& lot) {
    if (before != nullptr && AreJoined(*request.program, *before, lot, request.t)) {
      ++joined;
    } else {
      before = &lot;
    }
  };
  if (request.account->next_due > request.t) {
    const LotList& list = request.account->available_lots;
    for (uint32_t row = lots_.First(list); row != kNoRow; row = lots_.Next(list, row)) {
      look(lots_[row]);
    }
  } else {
    const Aside aside = SettledAside(request.row, request.t);
    for (const Lot& lot : aside.spendable) look(lot);
  }
  return count + more - joined <= kMaxLotsPerAccount;
}

void StateMachine::JoinLots(const ProgramState& program, uint32_t account_row, Instant t) {
  Account& account = accounts_[account_row];
  LotList& list = account.available_lots;
  uint32_t before = lots_.First(list);
  if (before == kNoRow) return;
  for (uint32_t row = lots_.Next(list, before), next; row != kNoRow; row = next) {
    next = lots_.Next(list, row);
    if (!AreJoined(program, lots_[before], lots_[row], t)) {
      before = row;
      continue;
    }
    image_->BeforeLot(account_row, before);
    image_->BeforeLot(account_row, row);
    lots_[before].original += lots_[row].original;
    lots_[before].remaining += lots_[row].remaining;
    lots_[row].remaining = 0;
    EmptyLot(account, row);
  }
}

}  // namespace tallystick::ledger
