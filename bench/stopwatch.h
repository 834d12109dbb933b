#ifndef TALLYSTICK_BENCH_STOPWATCH_H_
#define TALLYSTICK_BENCH_STOPWATCH_H_

#include <chrono>

namespace tallystick::bench {

class Stopwatch {
 public:
  double Seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace tallystick::bench

#endif  // TALLYSTICK_BENCH_STOPWATCH_H_
