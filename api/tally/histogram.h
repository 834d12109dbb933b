// Latencies, counted in buckets that grow with them: at most 1.6 % wrong, in a few kilobytes, with
// no allocation. After HdrHistogram (hdrhistogram.org).

#ifndef TALLYSTICK_API_TALLY_HISTOGRAM_H_
#define TALLYSTICK_API_TALLY_HISTOGRAM_H_

#include <array>
#include <cstdint>

namespace tallystick::tally {

class Histogram {
 public:
  // Negative values count as 0.
  void Record(int64_t value);

  int64_t count() const { return count_; }
  int64_t max() const { return max_; }
  // The smallest value that at least this share of all recorded ones does not exceed, rounded up to
  // its bucket's largest, and never above max(). 0 when nothing was recorded.
  int64_t Percentile(double percent) const;

 private:
  // Each power of two is cut into 64 buckets.
  static constexpr int kSubBits = 6;
  static constexpr int kBuckets = (64 - kSubBits) << kSubBits;

  static int BucketOf(uint64_t value);
  static uint64_t LargestOf(int bucket);

  std::array<int64_t, kBuckets> buckets_ = {};
  int64_t count_ = 0;
  int64_t max_ = 0;
};

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_HISTOGRAM_H_
