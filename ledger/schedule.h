// What is due when: a hierarchical timing wheel over accounts, exact to the microsecond.
//
// It is an index, not state: which account is settled by a tick is in the log, so the order in
// which equal accounts come out has no meaning. All work is bounded by the caller's budget:
// accounts trickle from coarse slots to finer ones one at a time.

#ifndef TALLYSTICK_LEDGER_SCHEDULE_H_
#define TALLYSTICK_LEDGER_SCHEDULE_H_

#include <array>
#include <cstdint>

#include "ledger/slab.h"
#include "ledger/types.h"

namespace tallystick::ledger {

// An account's links in the wheel; zero-initialised: not in it.
struct ScheduleLink {
  uint32_t next_plus_1;  // account + 1, or 0 for the end
  uint32_t previous;     // account, or kHead | slot for the first; meaningless when not linked
};

class Schedule {
 public:
  // Of accounts that are due from `now` on, or at once.
  explicit Schedule(Instant now = 0) : now_(static_cast<uint64_t>(now)) {}

  static constexpr int kLevels = 8;
  static constexpr uint32_t kSlots = 256;
  static constexpr uint32_t kHead = uint32_t{1} << 31;  // accounts are fewer

  // Adds an account that is not in it. An instant in the past is due at once.
  // `links` gives access to an account's link: ScheduleLink& operator()(uint32_t account); `due_of`
  // to its instant.
  template <typename Links>
  void Add(uint32_t account, Instant due, Links&& links);
  template <typename Links>
  void Remove(uint32_t account, Links&& links);

  // An account that is due at or before `now`, taken out, or kNoRow; each step of work costs one of
  // `*budget`. `due_of(account)` is the instant that it was added with.
  template <typename Links, typename DueOf>
  uint32_t TakeDue(Instant now, uint32_t* budget, Links&& links, DueOf&& due_of);

  // No account is due before it; kNever when it is empty.
  Instant NextDue() const;

 private:
  static uint32_t IndexAt(uint64_t instant, int level) {
    return static_cast<uint32_t>(instant >> (8 * level)) % kSlots;
  }
  bool Occupied(int level, uint32_t index) const {
    return (occupied_[level][index / 64] >> (index % 64) & 1) != 0;
  }
  // The first occupied slot of a level behind `index`, or kSlots.
  uint32_t NextOccupied(int level, uint32_t index) const;
  // The level and slot that must be looked at next, and when it begins. Level kLevels: none.
  struct Step {
    int level;
    uint32_t index;
    uint64_t begins;
  };
  Step NextStep() const;

  uint64_t now_;                                               // everything before it has come out
  std::array<std::array<uint32_t, kSlots>, kLevels> heads_{};  // account + 1
  std::array<std::array<uint64_t, kSlots / 64>, kLevels> occupied_{};
};

template <typename Links>
void Schedule::Add(uint32_t account, Instant due, Links&& links) {
  const uint64_t at =
      due < 0 || static_cast<uint64_t>(due) < now_ ? now_ : static_cast<uint64_t>(due);
  const uint64_t differs = at ^ now_;
  const int level = differs == 0 ? 0 : (63 - std::countl_zero(differs)) / 8;
  const uint32_t index = IndexAt(at, level);
  uint32_t& head = heads_[level][index];
  links(account) = {head, kHead | (static_cast<uint32_t>(level) * kSlots + index)};
  if (head != 0) links(head - 1).previous = account;
  head = account + 1;
  occupied_[level][index / 64] |= uint64_t{1} << (index % 64);
}

template <typename Links>
void Schedule::Remove(uint32_t account, Links&& links) {
  const ScheduleLink link = links(account);
  if (link.next_plus_1 != 0) links(link.next_plus_1 - 1).previous = link.previous;
  if ((link.previous & kHead) == 0) {
    links(link.previous).next_plus_1 = link.next_plus_1;
    return;
  }
  const uint32_t slot = link.previous & ~kHead;
  heads_[slot / kSlots][slot % kSlots] = link.next_plus_1;
  if (link.next_plus_1 == 0) {
    occupied_[slot / kSlots][slot % kSlots / 64] &= ~(uint64_t{1} << (slot % 64));
  }
}

template <typename Links, typename DueOf>
uint32_t Schedule::TakeDue(Instant now, uint32_t* budget, Links&& links, DueOf&& due_of) {
  while (*budget > 0) {
    const Step step = NextStep();
    if (step.level == kLevels || now < 0 || step.begins > static_cast<uint64_t>(now)) return kNoRow;
    now_ = step.begins;
    --*budget;
    const uint32_t account = heads_[step.level][step.index] - 1;
    Remove(account, links);
    if (step.level == 0) return account;
    Add(account, due_of(account), links);
  }
  return kNoRow;
}

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_SCHEDULE_H_
