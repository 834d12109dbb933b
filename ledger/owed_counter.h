// Counts what a program owes while operations go on.

#ifndef TALLYSTICK_LEDGER_OWED_COUNTER_H_
#define TALLYSTICK_LEDGER_OWED_COUNTER_H_

#include <cstdint>
#include <vector>

#include "ledger/owed.h"
#include "ledger/state_machine.h"

namespace tallystick::ledger {

// Accounts are counted in the order of their numbers. The state machine tells of each one before it
// changes: if it was counted already, it is taken out of the sums, and counted again, as it is
// then, in the next turn. So the sums are those of one moment: of the turn in which all are
// counted. Costs two walks through the lots of each account that changes meanwhile, and a bit an
// account.
class StateMachine::OwedCounter {
 public:
  explicit OwedCounter(StateMachine& machine) : machine_(machine) {}

  // As StateMachine::BeginOwed and the two behind it.
  bool Begin(uint16_t program, Instant as_of);
  bool Continue(size_t budget);
  Owed End();

  // Before anything of the account changes.
  void BeforeAccount(uint32_t row);

 private:
  // Adds what the account has to the sums, or takes it out of them. Returns how many lots it has.
  size_t Count(uint32_t row, bool in);
  void CountLot(const Lot& lot, bool in);
  OwedPoints& SumOf(Instant expires_at);
  void CountList(const LotList& list, bool in);

  StateMachine& machine_;
  uint16_t program_ = 0;
  uint16_t version_ = 0;  // whose time zone counts, an index
  Instant as_of_ = 0;
  uint32_t next_ = 0;            // accounts before it have been counted once
  std::vector<bool> counted_;    // by account: it is in the sums
  std::vector<uint32_t> again_;  // was taken out
  Owed owed_;
  // The month of the last lot, and its sum: those of an account come in the order of their expiry.
  Calendar::Month month_;
  OwedPoints* month_sum_ = nullptr;
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_OWED_COUNTER_H_
