// Pseudo-random numbers that are the same on every host: from a seed, without the standard
// library's distributions, which are not.

#ifndef TALLYSTICK_API_TALLY_RANDOM_H_
#define TALLYSTICK_API_TALLY_RANDOM_H_

#include <cstdint>

#include "ledger/seeded_hash.h"

namespace tallystick::tally {

// xorshift128+ (Vigna, "Further scramblings of Marsaglia's xorshift generators"), seeded by
// splitmix64.
class Random {
 public:
  explicit Random(uint64_t seed) : a_(ledger::SplitMix(&seed)), b_(ledger::SplitMix(&seed)) {}

  uint64_t Next() {
    uint64_t x = a_;
    const uint64_t y = b_;
    a_ = y;
    x ^= x << 23;
    b_ = x ^ y ^ (x >> 18) ^ (y >> 5);
    return b_ + y;
  }
  // 0 .. bound − 1, all but equally likely while bound is far below 2^64.
  uint64_t Below(uint64_t bound) {
    return static_cast<uint64_t>(static_cast<unsigned __int128>(Next()) * bound >> 64);
  }

 private:
  uint64_t a_;
  uint64_t b_;
};

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_RANDOM_H_
