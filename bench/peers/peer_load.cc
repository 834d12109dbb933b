#include "bench/peers/peer_load.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/tally/steady_clock.h"

namespace tallystick::peers {
namespace {

constexpr double kNanos = 1e9;
// A server that is silent for so long has stopped.
constexpr int kSilenceMs = 60'000;

}  // namespace

struct PeerLoad::Request {
  int64_t at_ns = 0;
  std::vector<Operation> operations;
};

struct PeerLoad::Caller {
  size_t index = 0;
  std::unique_ptr<PeerConnection> connection;
  std::vector<Request> requests;  // a ring
  size_t first = 0;
  size_t under_way = 0;
  bool has_more = true;
};

absl::Status PeerTally::Count(const std::vector<Operation>& operations,
                              const std::string& outcomes) {
  if (outcomes.size() != operations.size()) {
    return absl::InternalError(absl::StrCat("a request of ", operations.size(),
                                            " operations was answered with ", outcomes.size(),
                                            " outcomes"));
  }
  for (size_t i = 0; i < operations.size(); ++i) {
    switch (static_cast<PeerOutcome>(outcomes[i])) {
      case PeerOutcome::kAccepted:
        ++accepted;
        moved += Movement(operations[i]);
        break;
      case PeerOutcome::kRefused:
        ++refused;
        break;
      case PeerOutcome::kReplayed:
        ++replayed;
        break;
      case PeerOutcome::kConflict:
        ++conflicts;
        break;
      default:
        return absl::InternalError(absl::StrCat("an outcome is ", outcomes.substr(i, 1)));
    }
  }
  return absl::OkStatus();
}

PeerLoad::PeerLoad(const PeerLoadOptions& options, Fill fill,
                   std::vector<std::unique_ptr<PeerConnection>> connections)
    : options_(options), fill_(std::move(fill)) {
  for (auto& connection : connections) {
    auto& caller = callers_.emplace_back(std::make_unique<Caller>());
    caller->index = callers_.size() - 1;
    caller->connection = std::move(connection);
    caller->requests.resize(options_.in_flight);
  }
}

PeerLoad::~PeerLoad() = default;

bool PeerLoad::BeginsMore() const { return now_ns_ < stop_ns_ && begun_ < options_.operations; }

absl::Status PeerLoad::Run() {
  now_ns_ = tally::NowNs();
  start_ns_ = now_ns_ + static_cast<int64_t>(options_.warm_up_seconds * kNanos);
  stop_ns_ = start_ns_ + static_cast<int64_t>(std::min(options_.seconds, 1e9) * kNanos);
  end_ns_ = start_ns_;
  // By turns, so that no connection has begun all before another begins.
  for (size_t i = 0; i < options_.in_flight; ++i) {
    for (auto& caller : callers_) {
      if (absl::Status status = BeginNext(*caller); !status.ok()) return status;
    }
  }
  const auto busy = [](const auto& caller) { return caller->under_way != 0; };
  while (std::any_of(callers_.begin(), callers_.end(), busy)) {
    if (absl::Status status = Exchange(); !status.ok()) return status;
  }
  // A server that answers nothing towards the end is not the faster for it.
  if (now_ns_ >= stop_ns_) end_ns_ = stop_ns_;
  return absl::OkStatus();
}

absl::Status PeerLoad::BeginNext(Caller& caller) {
  if (!caller.has_more || !BeginsMore()) return absl::OkStatus();
  const size_t place = (caller.first + caller.under_way) % caller.requests.size();
  Request& request = caller.requests[place];
  request.operations.clear();
  fill_(caller.index, &request.operations);
  if (request.operations.empty()) {
    caller.has_more = false;
    return absl::OkStatus();
  }
  request.at_ns = tally::NowNs();
  ++caller.under_way;
  begun_ += request.operations.size();
  return caller.connection->Begin(request.operations);
}

// Sends what was begun, waits until something has come, and takes the answers.
absl::Status PeerLoad::Exchange() {
  std::vector<pollfd> ready(callers_.size());
  for (size_t i = 0; i < callers_.size(); ++i) {
    const absl::StatusOr<bool> left = callers_[i]->connection->Send();
    if (!left.ok()) return left.status();
    const auto events = static_cast<short>(*left ? POLLIN | POLLOUT : POLLIN);
    ready[i] = {callers_[i]->connection->descriptor(), events, 0};
  }
  const int count = poll(ready.data(), ready.size(), kSilenceMs);
  if (count == 0) return absl::DeadlineExceededError("the server has been silent for a minute");
  if (count < 0 && errno != EINTR) return absl::ErrnoToStatus(errno, "poll");
  for (size_t i = 0; i < callers_.size(); ++i) {
    if ((ready[i].revents & ~POLLOUT) == 0) continue;
    Caller& caller = *callers_[i];
    if (absl::Status status = caller.connection->Receive(); !status.ok()) return status;
    if (absl::Status status = Answered(caller); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status PeerLoad::Answered(Caller& caller) {
  while (caller.under_way != 0) {
    const absl::StatusOr<bool> answered = caller.connection->NextOutcomes(&outcomes_);
    if (!answered.ok()) return answered.status();
    if (!*answered) break;
    now_ns_ = tally::NowNs();
    Request& request = caller.requests[caller.first];
    if (absl::Status status = tally_.Count(request.operations, outcomes_); !status.ok()) {
      return status;
    }
    if (now_ns_ >= start_ns_) {
      if (now_ns_ <= stop_ns_) {
        measured_ += static_cast<int64_t>(outcomes_.size());
        end_ns_ = now_ns_;
      }
      if (request.at_ns <= stop_ns_) latency_ns_.Record(now_ns_ - request.at_ns);
    }
    caller.first = (caller.first + 1) % caller.requests.size();
    --caller.under_way;
    if (absl::Status status = BeginNext(caller); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace tallystick::peers
