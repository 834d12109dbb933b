// Fetches into the cache what operations will touch, some operations before they are applied: a
// miss costs as much as applying an operation, and several go at once.

#ifndef TALLYSTICK_LEDGER_LOOK_AHEAD_H_
#define TALLYSTICK_LEDGER_LOOK_AHEAD_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "ledger/program_state.h"

namespace tallystick::ledger {

// In steps, each for a group of operations at once, so that many misses go together; a step is a
// group behind the one before it, which has brought what it reads.
class StateMachine::LookAhead {
 public:
  LookAhead(const StateMachine& machine, absl::Span<const Operation> operations)
      : machine_(machine), operations_(operations) {}

  // Before operation `i` is applied; `i` grows. What is known of it, until the next call.
  const Approach& At(size_t i) {
    if (i >= fetched_) FetchGroups(i);
    return courses_[i % kCourses];
  }

 private:
  // Some hundred nanoseconds of work: enough to hide a miss, few enough that the cache still has
  // what was fetched when it is used.
  static constexpr size_t kGroup = 8;
  static constexpr size_t kCourses = 128;
  // Four lots of a redemption are fetched ahead.
  static constexpr size_t kLotSteps = 4;
  static constexpr size_t kFirstTaking = 4;  // step that only looks at operations that take points
  static constexpr size_t kSteps = kFirstTaking + kLotSteps;
  static_assert(kCourses >= (kSteps + 1) * kGroup && (kCourses & (kCourses - 1)) == 0);

  struct Course : Approach {
    uint32_t lot = kNoRow;       // fetched last
    uint32_t original = kNoRow;  // of a return: perhaps its purchase's receipt
    uint64_t original_hash = 0;
    uint32_t hold = kNoRow;                         // that it names
    const HashIndex::Place* extra_place = nullptr;  // of the account's extra
    const HashIndex::Place* place = nullptr;        // of the account, and of both receipts
    const HashIndex::Place* receipt_place = nullptr;
    const HashIndex::Place* original_place = nullptr;
    uint64_t points = 0;  // to be taken, that are not in lots fetched so far
  };

  void FetchGroups(size_t i) {
    if (i > fetched_) Skip(i);
    fetched_ = i + kGroup;
    Go<&LookAhead::Locate>(0);
    Go<&LookAhead::LocateNext>(1);
    Go<&LookAhead::FetchAccount>(2);
    Go<&LookAhead::FetchLastLots>(3);
    GoTaking<&LookAhead::FetchFirstLot>(kFirstTaking);
    for (size_t step = kFirstTaking + 1; step < kSteps; ++step)
      GoTaking<&LookAhead::FetchNextLot>(step);
  }

  // A chain, perhaps one that is too long and refused as a whole, went past what was looked at: the
  // ring has room for what begins with `i`, and for nothing before it.
  void Skip(size_t i) {
    for (size_t step = 0; step < kFirstTaking; ++step) next_[step] = std::max(next_[step], i);
    for (size_t step = kFirstTaking; step < kSteps; ++step) {
      while (next_[step] < taking_count_ && taking_[next_[step] % kCourses] < i) ++next_[step];
    }
  }

  // Operations before it have passed the step when the group is applied.
  size_t EndOf(size_t step) const {
    return std::min(fetched_ + (kSteps - 1 - step) * kGroup, operations_.size());
  }

  template <void (LookAhead::*kStep)(size_t, Course&)>
  void Go(size_t step) {
    const size_t end = EndOf(step);
    for (size_t i = next_[step]; i < end; ++i) (this->*kStep)(i, courses_[i % kCourses]);
    next_[step] = std::max(next_[step], end);
  }

  // Only through those that take points: to ask each operation would be a guess that often fails.
  template <void (LookAhead::*kStep)(Course&)>
  void GoTaking(size_t step) {
    const size_t end = EndOf(step);
    size_t next = next_[step];
    for (; next < taking_count_ && taking_[next % kCourses] < end; ++next) {
      (this->*kStep)(courses_[taking_[next % kCourses] % kCourses]);
    }
    next_[step] = next;
  }

  void Locate(size_t i, Course& course) {
    const Operation& op = operations_[i];
    course.hash = machine_.accounts_.Hash(op.program(), op.member());
    course.place = machine_.accounts_.Approach(course.hash);
  }

  void LocateNext(size_t, Course& course) { HashIndex::FetchNext(course.place); }

  void FetchAccount(size_t i, Course& course) {
    const Operation& op = operations_[i];
    course.row = HashIndex::Guess(course.place, course.hash);
    if (course.row == kNoRow) return;
    machine_.accounts_.Prefetch(course.row);
    course.receipt_hash = machine_.receipts_.Hash(course.row, op.id());
    course.receipt_place = machine_.receipts_.Approach(course.receipt_hash);
    if (!IsZero(op.related())) {
      course.original_hash = machine_.receipts_.Hash(course.row, op.related());
      course.original_place = machine_.receipts_.Approach(course.original_hash);
    }
  }

  // New lots belong behind them.
  void FetchLastLots(size_t i, Course& course) {
    const Operation& op = operations_[i];
    if (course.row == kNoRow) return;
    HashIndex::FetchNext(course.receipt_place);
    const Account& account = machine_.accounts_[course.row];
    course.extra_place = nullptr;
    if (account.has_extra != 0) [[unlikely]]
      course.extra_place = machine_.holds_.Approach(course.row);
    machine_.lots_.Prefetch(account.pending_lots.last);
    machine_.lots_.Prefetch(account.available_lots.last);
    course.lot = account.available_lots.last;
    // Of any number: whether the operation makes sense has not been asked yet.
    const auto amount = static_cast<uint64_t>(op.amount());
    course.points = op.amount() < 0 ? -amount : amount;
    course.original = kNoRow;
    course.hold = kNoRow;
    const bool names_another = !IsZero(op.related());
    if (names_another) {
      course.original = HashIndex::Guess(course.original_place, course.original_hash);
      if (course.original != kNoRow) machine_.receipts_.Prefetch(course.original);
    }
    taking_[taking_count_ % kCourses] = i;
    const bool takes =
        (static_cast<int>(names_another) | static_cast<int>(op.kind() == Kind::Redeem) |
         static_cast<int>(op.kind() == Kind::Hold) | static_cast<int>(op.amount() < 0)) != 0;
    taking_count_ += takes ? 1 : 0;
  }

  // What is spent first, or what belongs to the operation that is named.
  void FetchFirstLot(Course& course) {
    if (course.original != kNoRow) {
      const Receipt& original = machine_.receipts_[course.original];
      if ((original.flags & kHasReturns) != 0) {
        // It says more of itself elsewhere.
      } else if (original.kind == Kind::Hold) {
        course.hold = original.link;
        machine_.holds_.Prefetch(original.link);
      } else if (ProgramState::Earns(original.kind)) {
        machine_.lots_.Prefetch(original.link);
      }
    }
    if (course.extra_place != nullptr) [[unlikely]]
      machine_.holds_.PrefetchExtra(course.extra_place, course.row);
    if (course.lot != kNoRow) Follow(course);
  }

  void FetchNextLot(Course& course) {
    if (course.hold != kNoRow) [[unlikely]] {
      // What it has, in the place of what is available.
      const uint32_t last = machine_.holds_.LastLot(course.hold);
      course.lot = machine_.lots_.exists(last) ? last : kNoRow;
      course.hold = kNoRow;
      machine_.lots_.Prefetch(last);
      return;
    }
    if (course.lot == kNoRow) return;
    course.points -= static_cast<uint64_t>(machine_.lots_[course.lot].remaining);
    if (static_cast<int64_t>(course.points) > 0) {
      Follow(course);
    } else {
      course.lot = kNoRow;
    }
  }

  // A lot may have changed, or gone, since it was fetched: its row may say anything.
  void Follow(Course& course) {
    course.lot = machine_.lots_.Behind(course.lot);
    machine_.lots_.Prefetch(course.lot);
  }

  const StateMachine& machine_;
  const absl::Span<const Operation> operations_;
  size_t fetched_ = 0;        // operations that have passed all steps
  size_t next_[kSteps] = {};  // of each step: an operation, or an entry of taking_
  size_t taking_count_ = 0;
  size_t taking_[kCourses];  // operations that take points, in order
  Course courses_[kCourses];
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_LOOK_AHEAD_H_
