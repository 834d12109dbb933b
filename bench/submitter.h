// One thread that submits operations to an embedded ledger, many requests at a time.

#ifndef TALLYSTICK_BENCH_SUBMITTER_H_
#define TALLYSTICK_BENCH_SUBMITTER_H_

#include <atomic>
#include <cstdint>
#include <vector>

#include "api/embedded.h"
#include "api/tally/histogram.h"
#include "bench/disk.h"
#include "bench/stopwatch.h"

namespace tallystick::bench {

// Keeps some requests under way.
class Submitter {
 public:
  static constexpr size_t kBatch = 1000;
  static constexpr size_t kInFlight = 48;  // requests

  explicit Submitter(Ledger& ledger, size_t in_flight = kInFlight)
      : ledger_(ledger), most_in_flight_(in_flight) {
    operations_.reserve(kBatch);
  }

  void Add(const Operation& operation) {
    operations_.push_back(operation);
    if (operations_.size() == kBatch) Flush();
  }

  // Submits what was added, and waits for all.
  void Finish() {
    if (!operations_.empty()) Flush();
    WaitBelow(1);
  }

  // Of requests, from Submit to the callback; after Finish.
  const tally::Histogram& nanoseconds() const { return nanoseconds_; }
  uint64_t accepted() const { return accepted_; }

 private:
  void WaitBelow(size_t most) {
    for (size_t now = in_flight_; now >= most; now = in_flight_) in_flight_.wait(now);
  }

  void Flush() {
    WaitBelow(most_in_flight_);
    ++in_flight_;
    // All callbacks come from the one worker that this thread talks to.
    Must(ledger_.Submit(operations_, [this, watch = Stopwatch()](auto results) {
      Must(results.status());
      nanoseconds_.Record(static_cast<int64_t>(watch.Seconds() * 1e9));
      for (const Result& result : *results) accepted_ += result.outcome() == Outcome::Ok ? 1 : 0;
      --in_flight_;
      in_flight_.notify_one();
    }));
    operations_.clear();
  }

  Ledger& ledger_;
  const size_t most_in_flight_;
  std::vector<Operation> operations_;
  std::atomic<size_t> in_flight_ = 0;
  tally::Histogram nanoseconds_;
  uint64_t accepted_ = 0;
};

}  // namespace tallystick::bench

#endif  // TALLYSTICK_BENCH_SUBMITTER_H_
