// What a load generator measures: latencies as a whole and over time, with what the server did
// meanwhile.

#ifndef TALLYSTICK_API_TALLY_TIMELINE_H_
#define TALLYSTICK_API_TALLY_TIMELINE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "api/tally/histogram.h"

namespace tallystick::tally {

class Timeline {
 public:
  // At most kMaxIntervals; a longer run gets longer ones.
  struct Interval {
    int64_t operations = 0;  // that were answered in it
    // Of the requests answered in it. Of two intervals that became one, the larger.
    int64_t p50_ns = 0;
    int64_t p99_ns = 0;
    int64_t max_ns = 0;
  };
  struct Event {
    int64_t at_ns = 0;
    std::string text;
  };

  static constexpr size_t kMaxIntervals = 600;
  static constexpr size_t kMaxEvents = 1000;
  static constexpr int64_t kFirstIntervalNs = 50'000'000;

  // All times are since the start, and never go back from one answer to the next.
  void CountOperations(int64_t at_ns, int64_t operations);
  void RecordLatency(int64_t at_ns, int64_t latency_ns);
  void Mark(int64_t at_ns, std::string text);
  // After the last.
  void Finish();

  int64_t operations() const { return operations_; }
  const Histogram& latency_ns() const { return latency_ns_; }
  int64_t interval_ns() const { return interval_ns_; }
  const std::vector<Interval>& intervals() const { return intervals_; }
  const std::vector<Event>& events() const { return events_; }

 private:
  // Closes the intervals that end before.
  void Advance(int64_t at_ns);
  void CloseInterval();

  int64_t operations_ = 0;
  Histogram latency_ns_;
  int64_t interval_ns_ = kFirstIntervalNs;
  std::vector<Interval> intervals_;
  Interval current_;
  Histogram current_latency_ns_;
  std::vector<Event> events_;
};

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_TIMELINE_H_
