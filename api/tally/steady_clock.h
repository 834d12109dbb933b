// The clock that latencies are measured by.

#ifndef TALLYSTICK_API_TALLY_STEADY_CLOCK_H_
#define TALLYSTICK_API_TALLY_STEADY_CLOCK_H_

#include <chrono>
#include <cstdint>

namespace tallystick::tally {

inline int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_STEADY_CLOCK_H_
