// What makes an operation meaningless, whatever the ledger holds.

#ifndef TALLYSTICK_LEDGER_SHAPE_H_
#define TALLYSTICK_LEDGER_SHAPE_H_

#include <cstdint>

#include "ledger/types.h"

namespace tallystick::ledger {

// Most operations, told by one branch: they have no bad field.
inline bool IsPlain(const Operation& op) {
  const auto kind = static_cast<uint32_t>(op.kind());
  constexpr uint32_t kKinds = 1u << static_cast<uint32_t>(Kind::Accrue) |
                              1u << static_cast<uint32_t>(Kind::Purchase) |
                              1u << static_cast<uint32_t>(Kind::Redeem);
  const uint64_t zeros = (op.flags() & ~uint32_t{kLinked}) | op.reserved() |
                         static_cast<uint64_t>(op.expires_at()) | op.related().low() |
                         op.related().high();
  // Both ends of (0, kEndOfTime) by one comparison without signs.
  const bool in_time = static_cast<uint64_t>(op.occurred_at()) - 1 < uint64_t{kEndOfTime} - 1;
  return static_cast<int>(kind < 32) & static_cast<int>(kKinds >> (kind & 31) & 1) &
         static_cast<int>(zeros == 0) & static_cast<int>(op.amount() > 0) &
         static_cast<int>(in_time) & static_cast<int>(!IsZero(op.id())) &
         static_cast<int>(!IsZero(op.member()));
}

// As BadField, of an operation that is not plain.
Field BadFieldOfOther(const Operation& operation);

// The first bad field in the order of docs/semantics.md; None: there is none.
inline Field BadField(const Operation& operation) {
  return IsPlain(operation) ? Field::None : BadFieldOfOther(operation);
}

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_SHAPE_H_
