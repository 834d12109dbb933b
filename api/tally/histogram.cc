#include "api/tally/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace tallystick::tally {

// Values below 128 have a bucket each; of larger ones the highest seven bits count.
int Histogram::BucketOf(uint64_t value) {
  const int shift = std::max(0, static_cast<int>(std::bit_width(value)) - (kSubBits + 1));
  return (shift << kSubBits) + static_cast<int>(value >> shift);
}

uint64_t Histogram::LargestOf(int bucket) {
  const int shift = std::max(0, (bucket >> kSubBits) - 1);
  const auto first = static_cast<uint64_t>(bucket - (shift << kSubBits));
  return ((first + 1) << shift) - 1;
}

void Histogram::Record(int64_t value) {
  value = std::max<int64_t>(value, 0);
  ++buckets_[static_cast<size_t>(BucketOf(static_cast<uint64_t>(value)))];
  ++count_;
  max_ = std::max(max_, value);
}

int64_t Histogram::Percentile(double percent) const {
  const auto wanted =
      static_cast<int64_t>(std::ceil(percent / 100.0 * static_cast<double>(count_)));
  int64_t seen = 0;
  for (int bucket = 0; bucket < kBuckets; ++bucket) {
    seen += buckets_[static_cast<size_t>(bucket)];
    if (seen > 0 && seen >= wanted) {
      return std::min(static_cast<int64_t>(LargestOf(bucket)), max_);
    }
  }
  return max_;
}

}  // namespace tallystick::tally
