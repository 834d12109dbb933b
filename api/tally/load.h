// Drives a server with a workload over one or many connections, from one thread, and measures.
//
// Closed loop: each connection keeps a number of requests in flight, the next begins when one is
// answered. It finds the peak. Open loop: requests begin at fixed instants, whatever the server
// does, and latency counts from these: a stall is felt by all requests that it would have kept
// waiting, not only by those that were in flight (Tene, "How NOT to measure latency": coordinated
// omission).

#ifndef TALLYSTICK_API_TALLY_LOAD_H_
#define TALLYSTICK_API_TALLY_LOAD_H_

#include <poll.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "api/client.h"
#include "api/outcomes.h"
#include "api/tally/timeline.h"
#include "api/tally/workload.h"

namespace tallystick::tally {

struct LoadOptions {
  size_t batch = 1000;         // operations in a request
  size_t in_flight = 16;       // requests, for each connection; an open loop is late beyond it
  double rate = 0;             // operations a second, of all connections; 0: closed loop
  double warm_up_seconds = 1;  // answered, but not measured
  // Whichever comes first ends it.
  uint64_t operations = 10'000'000;
  double seconds = 1e9;
};

// What the ledger's totals must have changed by.
struct Tally {
  std::array<int64_t, kOutcomeCount> outcomes = {};
  int64_t reads = 0;
  int64_t replayed = 0;
  Points issued = 0;
  Points redeemed = 0;

  void Count(const Result& result);
};

class Load {
 public:
  // `clients` and `workload` outlive it.
  Load(const LoadOptions& options, uint16_t program, Workload& workload,
       std::vector<std::unique_ptr<Client>>& clients);
  ~Load();

  // Called now and then with how many operations were answered.
  using OnProgress = std::function<void(int64_t answered)>;
  // Returns when all is answered. An error is a connection's, or a refused request's; then the
  // clients are of no further use.
  absl::Status Run(const OnProgress& on_progress);

  // ---- after Run ----
  // Of what began after the warm-up. Requests of a batch; of requests with an overloaded operation
  // there is no latency. What was refused does not count as an operation: the log has none of it.
  const Timeline& timeline() const { return timeline_; }
  double seconds() const { return static_cast<double>(end_ns_ - start_ns_) * 1e-9; }
  int64_t refused() const { return refused_; }
  const Tally& tally() const { return tally_; }  // warm-up included

 private:
  struct Caller;
  struct Request;

  void Prepare();
  void Begin(Request& request, int64_t at_ns);
  void PartDone(Request& request, const absl::Status& status);
  void Finished(Request& request);
  bool BeginsMore(int64_t now_ns) const;
  void BeginDue(int64_t now_ns);
  void CountPart(Request& request, Outcome outcome);
  int64_t NextBeginNs() const;
  void Exchange(int64_t now_ns);
  void AskShards(int64_t now_ns);
  void TakeShards(const ShardsAnswer& answer);
  bool Measures(int64_t at_ns) const { return at_ns >= start_ns_ && at_ns <= stop_ns_; }

  const LoadOptions options_;
  const uint16_t program_;
  Workload& workload_;
  std::vector<std::unique_ptr<Caller>> callers_;
  std::vector<std::unique_ptr<Request>> requests_;
  std::vector<Request*> free_;  // a ring: the one that rested longest begins next
  size_t next_free_ = 0;
  size_t free_count_ = 0;

  int64_t begin_ns_ = 0;     // of the warm-up
  int64_t start_ns_ = 0;     // of what is measured
  int64_t schedule_ns_ = 0;  // of an open loop: when its first request is to begin
  int64_t stop_ns_ = 0;
  int64_t end_ns_ = 0;
  double between_ns_ = 0;             // requests of an open loop
  uint64_t begun_requests_ = 0;       // since schedule_ns_
  uint64_t measured_operations_ = 0;  // begun
  int64_t refused_ = 0;
  int64_t answered_ = 0;
  int64_t now_ns_ = 0;  // read once for each answer
  absl::Status status_;
  Tally tally_;
  Timeline timeline_;

  std::vector<pollfd> ready_;  // of the callers
  int64_t next_look_ns_ = 0;
  int64_t next_round_ns_ = 0;  // when all clients are polled
  bool looking_ = false;
  std::vector<uint64_t> segments_;  // of the shards, when last seen
};

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_LOAD_H_
