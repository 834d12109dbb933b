// Drives a peer in a closed loop over one or many connections, from one thread, and measures, as
// `tally bench` does with a Tallystick server.

#ifndef TALLYSTICK_BENCH_PEERS_PEER_LOAD_H_
#define TALLYSTICK_BENCH_PEERS_PEER_LOAD_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "api/tally/histogram.h"
#include "bench/peers/peer.h"

namespace tallystick::peers {

struct PeerLoadOptions {
  size_t in_flight = 1;        // requests, on each connection
  double warm_up_seconds = 1;  // answered, but not measured
  // Whichever comes first ends it.
  uint64_t operations = UINT64_MAX;  // begun, warm-up included
  double seconds = 1e9;              // measured
};

// Warm-up included.
struct PeerTally {
  int64_t accepted = 0;
  int64_t refused = 0;
  int64_t replayed = 0;
  int64_t conflicts = 0;
  Points moved = 0;

  // An error when there is not one outcome for each operation.
  absl::Status Count(const std::vector<Operation>& operations, const std::string& outcomes);
};

class PeerLoad {
 public:
  // Puts the operations of a connection's next request into an empty vector; none: it has no more.
  using Fill = std::function<void(size_t connection, std::vector<Operation>* operations)>;

  PeerLoad(const PeerLoadOptions& options, Fill fill,
           std::vector<std::unique_ptr<PeerConnection>> connections);
  ~PeerLoad();

  // Returns when all is answered.
  absl::Status Run();

  // ---- after Run ----
  const PeerTally& tally() const { return tally_; }
  int64_t measured_operations() const { return measured_; }
  double seconds() const { return static_cast<double>(end_ns_ - start_ns_) * 1e-9; }
  const tally::Histogram& latency_ns() const { return latency_ns_; }  // of requests

 private:
  struct Caller;
  struct Request;

  absl::Status BeginNext(Caller& caller);
  absl::Status Answered(Caller& caller);
  absl::Status Exchange();
  bool BeginsMore() const;

  const PeerLoadOptions options_;
  const Fill fill_;
  std::vector<std::unique_ptr<Caller>> callers_;
  std::string outcomes_;

  int64_t start_ns_ = 0;  // of what is measured
  int64_t stop_ns_ = 0;
  int64_t end_ns_ = 0;
  int64_t now_ns_ = 0;
  uint64_t begun_ = 0;
  int64_t measured_ = 0;
  PeerTally tally_;
  tally::Histogram latency_ns_;
};

}  // namespace tallystick::peers

#endif  // TALLYSTICK_BENCH_PEERS_PEER_LOAD_H_
