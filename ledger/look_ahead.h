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
    size_t ahead = kSteps * kDistance;
    Go<&LookAhead::Locate>(0, i, ahead);
    Go<&LookAhead::LocateNext>(1, i, ahead - kDistance);
    Go<&LookAhead::FetchAccount>(2, i, ahead - 2 * kDistance);
    Go<&LookAhead::FetchLastLots>(3, i, ahead - 3 * kDistance);
    Go<&LookAhead::FetchFirstLot>(4, i, ahead - 4 * kDistance);
    for (size_t step = 5; step < kSteps; ++step) {
      Go<&LookAhead::FetchNextLot>(step, i, ahead - step * kDistance);
    }
    return approaches_[i % kApproaches];
  }

 private:
  // Operations between one step of an operation and its next: enough to hide a miss, few enough
  // that the cache still has it.
  static constexpr size_t kDistance = 6;
  // Four lots of a redemption are fetched ahead.
  static constexpr size_t kSteps = 8;
  static constexpr size_t kApproaches = 64;
  static_assert(kApproaches > kSteps * kDistance);

  // What an operation takes points from.
  struct Course : Approach {
    uint32_t lot = kNoRow;       // fetched last
    uint32_t original = kNoRow;  // of a return: perhaps its purchase's receipt
    uint64_t original_hash = 0;
    int64_t points = 0;  // that are not in lots fetched so far; 0: takes none
  };

  template <void (LookAhead::*kStep)(const Operation&, Course&)>
  void Go(size_t step, size_t i, size_t ahead) {
    const size_t end = std::min(i + ahead + 1, operations_.size());
    // A chain may have gone further than what was looked at.
    size_t& next = next_[step];
    for (next = std::max(next, i); next < end; ++next) {
      (this->*kStep)(operations_[next], approaches_[next % kApproaches]);
    }
  }

  void Locate(const Operation& op, Course& course) {
    course = {};
    course.hash = machine_.accounts_.Hash(op.program(), op.member());
    machine_.accounts_.PrefetchIndex(course.hash);
  }

  void LocateNext(const Operation&, Course& course) {
    machine_.accounts_.PrefetchIndexNext(course.hash);
  }

  void FetchAccount(const Operation& op, Course& course) {
    course.row = machine_.accounts_.Guess(course.hash);
    if (course.row == kNoRow) return;
    machine_.accounts_.Prefetch(course.row);
    course.receipt_hash = machine_.receipts_.Hash(course.row, op.id());
    machine_.receipts_.PrefetchIndex(course.receipt_hash);
    if (op.kind() == Kind::Return) {
      course.original_hash = machine_.receipts_.Hash(course.row, op.related());
      machine_.receipts_.PrefetchIndex(course.original_hash);
    }
  }

  // New lots belong behind them.
  void FetchLastLots(const Operation& op, Course& course) {
    if (course.row == kNoRow) return;
    machine_.receipts_.PrefetchIndexNext(course.receipt_hash);
    const Account& account = machine_.accounts_[course.row];
    machine_.lots_.Prefetch(account.pending_lots.last);
    machine_.lots_.Prefetch(account.available_lots.last);
    course.lot = account.available_lots.last;
    if (op.kind() == Kind::Redeem || op.amount() < 0) {
      course.points = op.amount() < 0 ? -op.amount() : op.amount();
    } else if (op.kind() == Kind::Return) {
      course.original = machine_.receipts_.Guess(course.original_hash);
      if (course.original != kNoRow) machine_.receipts_.Prefetch(course.original);
    }
  }

  // What is spent first, or the lot of the purchase that is given back.
  void FetchFirstLot(const Operation&, Course& course) {
    if (course.original != kNoRow) {
      const Receipt& original = machine_.receipts_[course.original];
      if ((original.flags & kHasReturns) == 0) machine_.lots_.Prefetch(original.link);
    }
    if (course.points > 0) Follow(course);
  }

  void FetchNextLot(const Operation&, Course& course) {
    if (course.points <= 0 || course.lot == kNoRow) return;
    course.points -= machine_.lots_[course.lot].remaining;
    if (course.points > 0) Follow(course);
  }

  // A lot may have changed, or gone, since it was fetched: its row may say anything.
  void Follow(Course& course) {
    if (course.lot == kNoRow) return;
    course.lot = machine_.lots_.Behind(course.lot);
    machine_.lots_.Prefetch(course.lot);
  }

  const StateMachine& machine_;
  const absl::Span<const Operation> operations_;
  Course approaches_[kApproaches];
  size_t next_[kSteps] = {};  // operation of each step
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_LOOK_AHEAD_H_
