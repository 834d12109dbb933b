#ifndef TALLYSTICK_TESTS_LEDGER_RANDOM_PROGRAMS_H_
#define TALLYSTICK_TESTS_LEDGER_RANDOM_PROGRAMS_H_

#include <cstdint>
#include <random>
#include <vector>

#include "tests/model/naive_program.h"

namespace tallystick::ledger {

// All randomness of a test run, from one seed.
class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  // Both ends included.
  int64_t Between(int64_t low, int64_t high) {
    const auto span = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
    const uint64_t drawn = span + 1 == 0 ? engine_() : engine_() % (span + 1);
    return static_cast<int64_t>(static_cast<uint64_t>(low) + drawn);
  }
  bool OneIn(int64_t n) { return Between(1, n) == 1; }
  bool Percent(int64_t percent) { return Between(1, 100) <= percent; }
  template <typename T>
  const T& Pick(const std::vector<T>& items) {
    return items[static_cast<size_t>(Between(0, static_cast<int64_t>(items.size()) - 1))];
  }
  // 1, or a few, or many, up to about `most`: small numbers and large ones alike.
  int64_t Magnitude(int64_t most) {
    const int bits = static_cast<int>(Between(0, 62));
    return 1 + Between(0, INT64_MAX >> bits) % most;
  }

 private:
  std::mt19937_64 engine_;
};

// What the programs of a run are like.
struct ProgramTaste {
  model::Instant start = 0;   // of the run's clock
  bool huge_numbers = false;  // points and rates near the largest
  bool long_lives = false;    // points that expire after years, not days
};

// Summer time twice a year around `start`, or offsets that leap at random.
model::Zone RandomZone(Random& random, model::Instant start);

model::Program RandomProgram(Random& random, const ProgramTaste& taste, uint16_t id);
// A version with other rules, effective around `now`, but not before the one before it.
model::Program RandomSuccessor(Random& random, const ProgramTaste& taste,
                               const model::Program& previous, model::Instant now);

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_TESTS_LEDGER_RANDOM_PROGRAMS_H_
