#ifndef TALLYSTICK_LEDGER_PREFETCH_H_
#define TALLYSTICK_LEDGER_PREFETCH_H_

namespace tallystick::ledger {

// Asks for the cache line of `at`, which need not be a valid address.
//
// Not __builtin_prefetch: to GCC 12 a function that does nothing else has no effect, and its calls
// are left out.
inline void Prefetch(const void* at) {
  asm volatile("prefetcht0 %0" : : "m"(*static_cast<const char*>(at)));
}

// What is written in sequence is fetched so many places before it.
inline constexpr int kWriteAhead = 12;

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_PREFETCH_H_
