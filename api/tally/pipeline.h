// Keeps batches of operations in flight on one connection, and sees to it that each is
// answered for good: what the server was too busy for is sent again, in order.

#ifndef TALLYSTICK_API_TALLY_PIPELINE_H_
#define TALLYSTICK_API_TALLY_PIPELINE_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "api/client.h"
#include "ledger/types.h"

namespace tallystick::tally {

class Pipeline {
 public:
  struct Limits {
    size_t batch = 1000;    // operations in one request
    size_t in_flight = 16;  // requests
    // How long the server may be too busy for everything before the pipeline fails.
    int64_t patience_ms = 60'000;
    // A busy server is given this long before it is asked again: a few group commits.
    int64_t overloaded_wait_ms = 5;
  };

  // One answered request. `sequences` numbers the operations in the order in which they were added,
  // from 0. An operation whose result is Overloaded will be answered again.
  struct Answer {
    absl::Span<const uint64_t> sequences;
    absl::Span<const Operation> operations;
    absl::Span<const Result> results;
    int64_t latency_ns = 0;
  };
  using OnAnswer = std::function<void(const Answer&)>;

  // What a pipeline needs of a client; see Client's members of these names.
  struct Connection {
    size_t max_operations = 0;
    std::function<void(absl::Span<const Operation>, Client::ResultsCallback)> submit;
    std::function<absl::Status()> poll;  // waits for something
  };

  // ClientOptions::in_flight_bytes of a pipeline's client. The pipeline's own limits bound what is
  // in flight; a client that waited inside of Submit could read there that an operation was
  // overloaded, and then send one that was added behind it first.
  static constexpr size_t kClientInFlightBytes = std::numeric_limits<size_t>::max();

  // `client` outlives the pipeline. Batches above what the server takes are cut to it.
  Pipeline(Client& client, const Limits& limits, OnAnswer on_answer);
  Pipeline(Connection connection, const Limits& limits, OnAnswer on_answer);

  // Operations of one member apply in the order in which they are added. Waits while everything is
  // in flight. Allocates nothing unless the server is overloaded. An error is final.
  absl::Status Add(const Operation& operation);
  // Returns when everything that was added is answered.
  absl::Status Finish();

  // Operations that were sent once more because the server was overloaded, each time counted.
  int64_t resent() const { return resent_; }

 private:
  struct Batch {
    std::vector<uint64_t> sequences;
    std::vector<Operation> operations;
    int64_t sent_ns = 0;
  };
  struct Unanswered {
    uint64_t sequence;
    Operation operation;
  };

  void Append(uint64_t sequence, const Operation& operation);
  // Sends what is being filled; another batch is being filled afterwards.
  void Submit();
  absl::Status WaitFor(size_t in_flight_at_most);
  // Everything that was overloaded and everything that was added behind it, in order, one request
  // at a time.
  absl::Status SendOverloadedAgain();
  void TakeResults(Batch* batch, const absl::StatusOr<absl::Span<const Result>>& results);

  const Connection connection_;
  const Limits limits_;
  const OnAnswer on_answer_;
  std::vector<std::unique_ptr<Batch>> batches_;
  std::vector<Batch*> free_;
  Batch* filling_ = nullptr;
  std::vector<Unanswered> overloaded_;
  uint64_t added_ = 0;
  int64_t resent_ = 0;
  int64_t last_progress_ns_ = 0;
  absl::Status status_;
};

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_PIPELINE_H_
