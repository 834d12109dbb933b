#include "ledger/aside.h"

#include <algorithm>

#include "ledger/program_state.h"

namespace tallystick::ledger {

Points StateMachine::Aside::PayDebt(Points points) {
  available += points;
  return std::min(points, std::max<Points>(available, 0));
}

void StateMachine::Aside::Settle(Instant t) {
  while (true) {
    const Instant hold_at = holds.empty() ? kNever : holds.front().times_out_at;
    const Instant expiry_at = spendable.empty() ? kNever : spendable.begin()->expires_at;
    const Instant waiting_at = waiting.empty() ? kNever : PendingEventAt(*waiting.begin());
    const Instant at = std::min({hold_at, expiry_at, waiting_at});
    if (at > t || at == kNever) return;
    const bool activates = waiting_at == at && WillActivate(*waiting.begin());
    if (hold_at == at) {
      const OpenHold hold = std::move(holds.front());
      holds.pop_front();
      TimeOut(hold);
    } else if (waiting_at == at && !activates) {
      pending -= waiting.begin()->remaining;
      waiting.erase(waiting.begin());
    } else if (expiry_at == at) {
      available -= spendable.begin()->remaining;
      spendable.erase(spendable.begin());
    } else {
      Lot lot = *waiting.begin();
      waiting.erase(waiting.begin());
      pending -= lot.remaining;
      lot.remaining = PayDebt(lot.remaining);
      lot.pending = false;
      if (lot.remaining > 0) spendable.insert(lot);
    }
  }
}

void StateMachine::Aside::TimeOut(const OpenHold& hold) {
  for (Lot lot : hold.lots) {
    lot.remaining = PayDebt(lot.remaining);
    lot.held = false;
    if (lot.remaining == 0) continue;
    if (lot.expires_at <= hold.times_out_at) {
      available -= lot.remaining;
      continue;
    }
    if (const auto same = spendable.find(lot); same != spendable.end()) {
      lot.remaining += same->remaining;
      spendable.erase(same);
    }
    spendable.insert(lot);
  }
}

void StateMachine::Aside::Fill(Balance& balance) const {
  balance.pending = pending;
  balance.available = std::max<Points>(available, 0);
  balance.debt = std::max<Points>(-available, 0);
  balance.held = 0;
  size_t lots = spendable.size() + waiting.size();
  for (const OpenHold& hold : holds) {
    if (IsZero(hold.to)) balance.held += hold.points;
    lots += hold.lots.size();
  }
  balance.lot_count = static_cast<uint32_t>(lots);
}

StateMachine::Aside StateMachine::SettledAside(uint32_t account_row, Instant t) const {
  const Account& account = accounts_[account_row];
  Aside aside;
  aside.available = account.available;
  aside.pending = account.pending;
  const auto each = [&](const LotList& list, auto&& add) {
    for (uint32_t row = lots_.First(list); row != kNoRow; row = lots_.Next(list, row)) {
      add(lots_[row]);
    }
  };
  each(account.available_lots,
       [&](const Lot& lot) { aside.spendable.insert(aside.spendable.end(), lot); });
  each(account.pending_lots,
       [&](const Lot& lot) { aside.waiting.insert(aside.waiting.end(), lot); });
  for (uint32_t row = FirstHold(account_row); row != kNoRow; row = holds_[row].next) {
    const Hold& hold = holds_[row];
    const Id to = hold.transit == kNoRow ? Id() : transits_[hold.transit].to;
    OpenHold& open =
        aside.holds.emplace_back(OpenHold{hold.position, hold.times_out_at, hold.points, {}, to});
    each(hold.lots, [&](const Lot& lot) { open.lots.push_back(lot); });
  }
  aside.Settle(t);
  return aside;
}

}  // namespace tallystick::ledger
