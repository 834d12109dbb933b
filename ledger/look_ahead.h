// Fetches into the cache what operations will touch, some operations before they are applied: a
// miss costs as much as applying an operation, and several go at once.

#ifndef TALLYSTICK_LEDGER_LOOK_AHEAD_H_
#define TALLYSTICK_LEDGER_LOOK_AHEAD_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "ledger/program_state.h"

namespace tallystick::ledger {

class StateMachine::LookAhead {
 public:
  LookAhead(const StateMachine& machine, absl::Span<const Operation> operations)
      : machine_(machine), operations_(operations) {}

  // Before operation `i` is applied; `i` grows. What is known of it, until the next call.
  const Approach& At(size_t i) {
    // A chain may have gone further than what was looked at.
    located_ = std::max(located_, i);
    fetched_ = std::max(fetched_, i);
    followed_ = std::max(followed_, i);
    for (const size_t end = End(i + 3 * kDistance); located_ <= end; ++located_) Locate();
    for (const size_t end = End(i + 2 * kDistance); fetched_ <= end; ++fetched_) FetchAccount();
    for (const size_t end = End(i + kDistance); followed_ <= end; ++followed_) FetchLots();
    return approaches_[i % kApproaches];
  }

 private:
  // Operations between one step of an operation and its next: enough to hide a miss, few enough
  // that the cache still has it.
  static constexpr size_t kDistance = 8;
  static constexpr size_t kApproaches = 4 * kDistance;

  size_t End(size_t i) const { return std::min(i, operations_.size() - 1); }

  void Locate() {
    const Operation& op = operations_[located_];
    Approach& approach = approaches_[located_ % kApproaches];
    approach = {machine_.accounts_.Hash(op.program(), op.member())};
    machine_.accounts_.PrefetchIndex(approach.hash);
  }

  void FetchAccount() {
    Approach& approach = approaches_[fetched_ % kApproaches];
    approach.row = machine_.accounts_.Guess(approach.hash);
    if (approach.row == kNoRow) return;
    machine_.accounts_.Prefetch(approach.row);
    approach.receipt_hash = machine_.receipts_.Hash(approach.row, operations_[fetched_].id());
    machine_.receipts_.PrefetchIndex(approach.receipt_hash);
  }

  void FetchLots() {
    const Approach& approach = approaches_[followed_ % kApproaches];
    if (approach.row == kNoRow) return;
    const Account& account = machine_.accounts_[approach.row];
    FetchLot(account.pending_lots.last);
    FetchLot(account.available_lots.last);
  }
  void FetchLot(uint32_t row) const {
    if (row != kNoRow) machine_.lots_.Prefetch(row);
  }

  const StateMachine& machine_;
  const absl::Span<const Operation> operations_;
  Approach approaches_[kApproaches];
  // The next operation of each step.
  size_t located_ = 0;
  size_t fetched_ = 0;
  size_t followed_ = 0;
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_LOOK_AHEAD_H_
