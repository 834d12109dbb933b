#ifndef TALLYSTICK_TESTS_LEDGER_COUNTED_ALLOCATIONS_H_
#define TALLYSTICK_TESTS_LEDGER_COUNTED_ALLOCATIONS_H_

#include <cstddef>

namespace tallystick::ledger {

// Allocations by operator new that this program has made so far. For programs of one thread.
size_t AllocationCount();

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_TESTS_LEDGER_COUNTED_ALLOCATIONS_H_
