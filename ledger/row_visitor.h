// Every logical row of a state, to be looked at: for tools that compare states.

#ifndef TALLYSTICK_LEDGER_ROW_VISITOR_H_
#define TALLYSTICK_LEDGER_ROW_VISITOR_H_

#include <cstdint>

#include "absl/types/span.h"
#include "ledger/holds.h"
#include "ledger/lots.h"
#include "ledger/members.h"
#include "ledger/receipts.h"
#include "ledger/state_machine.h"
#include "ledger/types.h"

namespace tallystick::ledger {

// An account with what is its own.
struct AccountRows {
  const Account& account;
  AccountStatus status = AccountStatus::kActive;
  Points held = 0;
  // Available ones in spending order, then pending ones by their next event.
  absl::Span<const Lot> lots;
  // In the order of their timeouts; then transfers on their way.
  absl::Span<const StateMachine::OpenHold> holds;
};

// Is given each row once, in no particular order. What it is given is valid during the call only;
// row numbers in it (links, schedules) mean nothing outside the state machine.
class RowVisitor {
 public:
  virtual ~RowVisitor() = default;
  virtual void OnAccount(const AccountRows& rows) = 0;
  // One that lives at log time, of a member's transaction, with what has become of it, and what it
  // took, in that order.
  virtual void OnReceipt(uint16_t program, const Id& member, const Receipt& receipt,
                         const Returned& returned, absl::Span<const Taking> takings) = 0;
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_ROW_VISITOR_H_
