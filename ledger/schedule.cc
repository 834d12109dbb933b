#include "ledger/schedule.h"

#include <algorithm>

namespace tallystick::ledger {

uint32_t Schedule::NextOccupied(int level, uint32_t index) const {
  const auto& words = occupied_[level];
  for (uint32_t i = index + 1; i < kSlots; i = (i / 64 + 1) * 64) {
    const uint64_t rest = words[i / 64] >> (i % 64);
    if (rest != 0) return i + std::countr_zero(rest);
  }
  return kSlots;
}

// A slot of a finer level always begins before any later slot of a coarser one. The slot at the
// present index holds what is due now (level 0) or what has begun to trickle down (coarser levels).
Schedule::Step Schedule::NextStep() const {
  for (int level = 0; level < kLevels; ++level) {
    const uint32_t here = IndexAt(now_, level);
    if (Occupied(level, here)) return {level, here, now_};
  }
  for (int level = 0; level < kLevels; ++level) {
    const uint32_t index = NextOccupied(level, IndexAt(now_, level));
    if (index == kSlots) continue;
    const int shift = 8 * level;
    const uint64_t above = level + 1 == kLevels ? 0 : now_ >> (shift + 8) << (shift + 8);
    return {level, index, above | static_cast<uint64_t>(index) << shift};
  }
  return {kLevels, 0, 0};
}

Instant Schedule::NextDue() const {
  const Step step = NextStep();
  return step.level == kLevels ? kNever
                               : static_cast<Instant>(std::min<uint64_t>(step.begins, kNever));
}

}  // namespace tallystick::ledger
