// The hash by which the indexes place rows: not part of any state or format.

#ifndef TALLYSTICK_LEDGER_SEEDED_HASH_H_
#define TALLYSTICK_LEDGER_SEEDED_HASH_H_

#include <cstdint>

#include "ledger/types.h"

namespace tallystick::ledger {

// The next of a sequence of well mixed numbers (Steele et al., "Fast splittable pseudorandom number
// generators", 2014): seeds of other things.
inline uint64_t SplitMix(uint64_t* state) {
  uint64_t z = *state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

inline uint64_t FoldedProduct(uint64_t x, uint64_t y) {
  const auto product = static_cast<unsigned __int128>(x) * y;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// Two folded multiplications of 64 by 64 bits, as in wyhash: some ten instructions, and all bits of
// the result depend on all bits of the id. With a secret seed nobody can choose ids that meet.
class SeededHash {
 public:
  explicit SeededHash(uint64_t seed)
      : a_(SplitMix(&seed)), b_(SplitMix(&seed)), c_(SplitMix(&seed) | 1) {}

  // `scope`: of the id; the same id in two scopes has two hashes.
  uint64_t Of(const Id& id, uint64_t scope) const {
    return FoldedProduct(FoldedProduct(id.low() ^ a_, id.high() ^ b_) ^ scope, c_);
  }

 private:
  uint64_t a_;
  uint64_t b_;
  uint64_t c_;
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_SEEDED_HASH_H_
