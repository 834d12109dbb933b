// One line on stderr that tells how far long work has come, when stderr is a terminal.

#ifndef TALLYSTICK_API_TALLY_PROGRESS_H_
#define TALLYSTICK_API_TALLY_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <string>

namespace tallystick::tally {

class Progress {
 public:
  // `total` 0: unknown.
  Progress(std::string what, int64_t total);
  // Takes the line away.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Draws at most ten times a second.
  void Update(int64_t done);

 private:
  const std::string what_;
  const int64_t total_;
  const bool shown_;
  std::chrono::steady_clock::time_point next_;
};

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_PROGRESS_H_
