// An account settled aside: what settling would make of its lots and holds, while the account
// stays as it is.

#ifndef TALLYSTICK_LEDGER_ASIDE_H_
#define TALLYSTICK_LEDGER_ASIDE_H_

#include <deque>
#include <set>
#include <vector>

#include "ledger/state_machine.h"

namespace tallystick::ledger {

// Copies, of all the account's lots: for reads of single accounts, and of those of which a hold has
// timed out and no tick has seen to it yet.
struct StateMachine::Aside {
  using Ordered = std::multiset<Lot, bool (*)(const Lot& a, const Lot& b)>;

  // Everything up to and with `t` happens.
  void Settle(Instant t);
  // All but what was earned in its lifetime.
  void Fill(Balance& balance) const;

  Points available = 0;  // negative: a debt
  Points pending = 0;
  Ordered spendable{SpentBefore};
  Ordered waiting{HappensBefore};
  std::deque<OpenHold> holds;  // in the order of their timeouts

 private:
  void TimeOut(const OpenHold& hold);
  // Becomes available, and pays debt. What is left of it.
  Points PayDebt(Points points);
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_ASIDE_H_
