#include "api/tally/pipeline.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/tally/steady_clock.h"

namespace tallystick::tally {
namespace {

Pipeline::Limits Cut(Pipeline::Limits limits, size_t max_operations) {
  limits.batch = std::clamp<size_t>(limits.batch, 1, std::max<size_t>(max_operations, 1));
  limits.in_flight = std::max<size_t>(limits.in_flight, 1);
  return limits;
}

Pipeline::Connection ConnectionOf(Client& client) {
  return {.max_operations = client.server().max_operations,
          .submit =
              [&client](absl::Span<const Operation> operations, Client::ResultsCallback done) {
                client.Submit(operations, std::move(done));
              },
          .poll = [&client] { return client.Poll(/*wait_ms=*/-1); }};
}

}  // namespace

Pipeline::Pipeline(Client& client, const Limits& limits, OnAnswer on_answer)
    : Pipeline(ConnectionOf(client), limits, std::move(on_answer)) {}

Pipeline::Pipeline(Connection connection, const Limits& limits, OnAnswer on_answer)
    : connection_(std::move(connection)),
      limits_(Cut(limits, connection_.max_operations)),
      on_answer_(std::move(on_answer)) {
  // One is filled while the others are in flight.
  for (size_t i = 0; i < limits_.in_flight + 1; ++i) {
    Batch* batch = batches_.emplace_back(std::make_unique<Batch>()).get();
    batch->sequences.reserve(limits_.batch);
    batch->operations.reserve(limits_.batch);
    free_.push_back(batch);
  }
  filling_ = free_.back();
  free_.pop_back();
}

void Pipeline::Append(uint64_t sequence, const Operation& operation) {
  filling_->sequences.push_back(sequence);
  filling_->operations.push_back(operation);
}

absl::Status Pipeline::Add(const Operation& operation) {
  Append(added_++, operation);
  if (filling_->operations.size() < limits_.batch) return status_;
  if (absl::Status status = WaitFor(limits_.in_flight - 1); !status.ok()) return status;
  if (!overloaded_.empty()) return SendOverloadedAgain();
  Submit();
  return status_;
}

absl::Status Pipeline::Finish() {
  if (absl::Status status = WaitFor(limits_.in_flight - 1); !status.ok()) return status;
  if (overloaded_.empty() && !filling_->operations.empty()) Submit();
  if (absl::Status status = WaitFor(0); !status.ok()) return status;
  return SendOverloadedAgain();
}

absl::Status Pipeline::WaitFor(size_t in_flight_at_most) {
  while (status_.ok() && limits_.in_flight - free_.size() > in_flight_at_most) {
    absl::Status polled = connection_.poll();
    if (status_.ok()) status_ = std::move(polled);
  }
  return status_;
}

void Pipeline::Submit() {
  Batch* batch = std::exchange(filling_, free_.back());
  free_.pop_back();
  batch->sent_ns = NowNs();
  connection_.submit(batch->operations,
                     [this, batch](const absl::StatusOr<absl::Span<const Result>>& results) {
                       TakeResults(batch, results);
                     });
}

void Pipeline::TakeResults(Batch* batch, const absl::StatusOr<absl::Span<const Result>>& results) {
  if (results.ok()) {
    const int64_t now_ns = NowNs();
    on_answer_({batch->sequences, batch->operations, *results, now_ns - batch->sent_ns});
    for (size_t i = 0; i < results->size(); ++i) {
      if ((*results)[i].outcome() == Outcome::Overloaded) {
        overloaded_.push_back({batch->sequences[i], batch->operations[i]});
      } else {
        last_progress_ns_ = now_ns;
      }
    }
  } else if (status_.ok()) {
    status_ = results.status();
  }
  batch->sequences.clear();
  batch->operations.clear();
  free_.push_back(batch);
}

absl::Status Pipeline::SendOverloadedAgain() {
  if (absl::Status status = WaitFor(0); !status.ok()) return status;
  for (size_t i = 0; i < filling_->operations.size(); ++i) {
    overloaded_.push_back({filling_->sequences[i], filling_->operations[i]});
  }
  filling_->sequences.clear();
  filling_->operations.clear();
  last_progress_ns_ = NowNs();
  while (!overloaded_.empty()) {
    if (NowNs() - last_progress_ns_ > limits_.patience_ms * 1'000'000) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the server was overloaded for ", limits_.patience_ms / 1000,
                       " s without a pause: try again when it is less busy"));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(limits_.overloaded_wait_ms));
    std::sort(overloaded_.begin(), overloaded_.end(),
              [](const auto& a, const auto& b) { return a.sequence < b.sequence; });
    const auto end = overloaded_.begin() +
                     static_cast<std::ptrdiff_t>(std::min(limits_.batch, overloaded_.size()));
    for (auto one = overloaded_.begin(); one != end; ++one) Append(one->sequence, one->operation);
    resent_ += end - overloaded_.begin();
    overloaded_.erase(overloaded_.begin(), end);
    Submit();
    if (absl::Status status = WaitFor(0); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace tallystick::tally
