// Every logical row of a state, to be looked at: for tools that compare states.

#ifndef TALLYSTICK_LEDGER_ROW_VISITOR_H_
#define TALLYSTICK_LEDGER_ROW_VISITOR_H_

#include <cstdint>

#include "absl/types/span.h"
#include "ledger/lots.h"
#include "ledger/members.h"
#include "ledger/receipts.h"
#include "ledger/types.h"

namespace tallystick::ledger {

// Is given each row once, in no particular order. What it is given is valid during the call only;
// row numbers in it (links, schedules) mean nothing outside the state machine.
class RowVisitor {
 public:
  virtual ~RowVisitor() = default;
  // With its lots: available ones in spending order, then pending ones by their next event.
  virtual void OnAccount(const Account& account, absl::Span<const Lot> lots) = 0;
  // One that lives at log time, of a member's transaction, with what was returned of it.
  virtual void OnReceipt(uint16_t program, const Id& member, const Receipt& receipt,
                         const Returned& returned) = 0;
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_ROW_VISITOR_H_
