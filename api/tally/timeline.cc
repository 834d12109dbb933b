#include "api/tally/timeline.h"

#include <algorithm>
#include <utility>

namespace tallystick::tally {

void Timeline::CountOperations(int64_t at_ns, int64_t operations) {
  Advance(at_ns);
  operations_ += operations;
  current_.operations += operations;
}

void Timeline::RecordLatency(int64_t at_ns, int64_t latency_ns) {
  Advance(at_ns);
  latency_ns_.Record(latency_ns);
  current_latency_ns_.Record(latency_ns);
}

void Timeline::Mark(int64_t at_ns, std::string text) {
  if (events_.size() < kMaxEvents) events_.push_back({at_ns, std::move(text)});
}

void Timeline::Finish() {
  if (current_latency_ns_.count() != 0 || current_.operations != 0) CloseInterval();
}

void Timeline::Advance(int64_t at_ns) {
  while (at_ns >= (static_cast<int64_t>(intervals_.size()) + 1) * interval_ns_) CloseInterval();
}

void Timeline::CloseInterval() {
  current_.p50_ns = current_latency_ns_.Percentile(50);
  current_.p99_ns = current_latency_ns_.Percentile(99);
  current_.max_ns = current_latency_ns_.max();
  intervals_.push_back(std::exchange(current_, {}));
  current_latency_ns_ = {};
  if (intervals_.size() < kMaxIntervals) return;
  for (size_t i = 0; i < kMaxIntervals / 2; ++i) {
    const Interval& first = intervals_[2 * i];
    const Interval& second = intervals_[2 * i + 1];
    intervals_[i] = {.operations = first.operations + second.operations,
                     .p50_ns = std::max(first.p50_ns, second.p50_ns),
                     .p99_ns = std::max(first.p99_ns, second.p99_ns),
                     .max_ns = std::max(first.max_ns, second.max_ns)};
  }
  intervals_.resize(kMaxIntervals / 2);
  interval_ns_ *= 2;
}

}  // namespace tallystick::tally
