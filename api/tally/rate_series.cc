#include "api/tally/rate_series.h"

#include <array>
#include <utility>

namespace tallystick::tally {
namespace {

struct Step {
  int64_t seconds;
  const char* name;
};
// Each is a multiple of the one before, so that buckets can become one.
constexpr std::array<Step, 10> kSteps = {{{1, "1 s"},
                                          {10, "10 s"},
                                          {60, "1 min"},
                                          {600, "10 min"},
                                          {3'600, "1 h"},
                                          {6 * 3'600, "6 h"},
                                          {86'400, "1 day"},
                                          {5 * 86'400, "5 days"},
                                          {30 * 86'400, "30 days"},
                                          {360 * 86'400, "360 days"}}};

}  // namespace

Instant RateSeries::step_us() const { return kSteps[step_].seconds * kMicrosPerSecond; }
std::string RateSeries::step_name() const { return kSteps[step_].name; }

Instant RateSeries::BeginOf(Instant time) const {
  const Instant into = time % step_us();
  return time - (into < 0 ? into + step_us() : into);
}

void RateSeries::Add(Instant time, uint64_t records, uint64_t bytes) {
  Bucket& bucket = buckets_[BeginOf(time)];
  bucket.records += records;
  bucket.bytes += bytes;
  const auto too_long = [&] {
    const Instant span = buckets_.rbegin()->first - buckets_.begin()->first;
    return static_cast<size_t>(span / step_us()) >= kMaxBuckets;
  };
  while (step_ + 1 < kSteps.size() && too_long()) {
    ++step_;
    std::map<Instant, Bucket> fewer;
    for (const auto& [begin, from] : buckets_) {
      Bucket& to = fewer[BeginOf(begin)];
      to.records += from.records;
      to.bytes += from.bytes;
    }
    buckets_ = std::move(fewer);
  }
}

}  // namespace tallystick::tally
