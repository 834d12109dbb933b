// Ranks drawn by Zipf's law: a few members have most of the operations.

#ifndef TALLYSTICK_API_TALLY_ZIPF_H_
#define TALLYSTICK_API_TALLY_ZIPF_H_

#include <cmath>
#include <cstdint>

#include "api/tally/random.h"

namespace tallystick::tally {

// Ranks 0 .. n − 1 with probability ~ 1 / (rank + 1)^theta, in constant time (Gray et al., "Quickly
// generating billion-record synthetic databases", 1994).
class Zipf {
 public:
  Zipf(uint64_t n, double theta)
      : n_(n), theta_(theta), alpha_(1 / (1 - theta)), zeta_(Zeta(n, theta)) {
    eta_ = (1 - std::pow(2.0 / static_cast<double>(n), 1 - theta)) / (1 - Zeta(2, theta) / zeta_);
  }

  uint64_t Draw(Random& random) const {
    const double u = static_cast<double>(random.Next() >> 11) * 0x1p-53;
    const double uz = u * zeta_;
    if (uz < 1) return 0;
    if (uz < 1 + std::pow(0.5, theta_)) return 1;
    const auto rank =
        static_cast<uint64_t>(static_cast<double>(n_) * std::pow(eta_ * u - eta_ + 1, alpha_));
    return rank < n_ ? rank : n_ - 1;
  }

 private:
  // Summed up to a million, and by its integral from there.
  static double Zeta(uint64_t n, double theta) {
    const uint64_t summed = n < 1'000'000 ? n : 1'000'000;
    double sum = 0;
    for (uint64_t i = 1; i <= summed; ++i) sum += std::pow(static_cast<double>(i), -theta);
    if (n > summed) {
      sum += (std::pow(static_cast<double>(n), 1 - theta) -
              std::pow(static_cast<double>(summed), 1 - theta)) /
             (1 - theta);
    }
    return sum;
  }

  uint64_t n_;
  double theta_;
  double alpha_;
  double zeta_;
  double eta_;
};

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_ZIPF_H_
