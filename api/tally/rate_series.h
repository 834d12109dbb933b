// How much happened when, in steps of time that suit how long it all took.

#ifndef TALLYSTICK_API_TALLY_RATE_SERIES_H_
#define TALLYSTICK_API_TALLY_RATE_SERIES_H_

#include <cstdint>
#include <map>
#include <string>

#include "ledger/types.h"

namespace tallystick::tally {

class RateSeries {
 public:
  // A plot has no more places to show.
  static constexpr size_t kMaxBuckets = 300;

  struct Bucket {
    uint64_t records = 0;
    uint64_t bytes = 0;
  };

  // In any order. When the buckets become too many, neighbours become one.
  void Add(Instant time, uint64_t records, uint64_t bytes);

  // From a second to thirty days.
  Instant step_us() const;
  // "1 s", "10 min", "6 h".
  std::string step_name() const;
  // By when they begin, multiples of the step; where nothing happened there is none.
  const std::map<Instant, Bucket>& buckets() const { return buckets_; }

 private:
  Instant BeginOf(Instant time) const;

  size_t step_ = 0;
  std::map<Instant, Bucket> buckets_;
};

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_RATE_SERIES_H_
