#include "api/tally/load.h"

#include <sys/prctl.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "api/instants.h"
#include "api/tally/steady_clock.h"

namespace tallystick::tally {
namespace {

// How often the server's shards are looked at, and clients that have nothing to say.
constexpr int64_t kLookNs = 100'000'000;
// A connection that is being made again is looked after this often.
constexpr int64_t kReconnectNs = 10'000'000;
constexpr int64_t kNanos = 1'000'000'000;

int64_t Nanos(double seconds) {
  return static_cast<int64_t>(std::min(seconds, 1e9) * static_cast<double>(kNanos));
}

}  // namespace

struct Load::Caller {
  Client* client = nullptr;
  bool to_poll = false;  // has something to send that was not begun inside of a Poll
};

struct Load::Request {
  Load* load = nullptr;
  Caller* caller = nullptr;
  int64_t at_ns = 0;   // when it began, or should have
  uint32_t parts = 0;  // unanswered: a Submit, and each read
  int64_t served = 0;
  int64_t refused = 0;
  bool overloaded = false;
  std::vector<Operation> operations;
};

void Tally::Count(const Result& result) {
  ++outcomes[static_cast<size_t>(result.outcome())];
  if ((result.flags() & kReplayed) != 0) {
    ++replayed;
  } else if (result.points() > 0) {
    issued += result.points();
  } else {
    redeemed -= result.points();
  }
}

Load::Load(const LoadOptions& options, uint16_t program, Workload& workload,
           std::vector<std::unique_ptr<Client>>& clients)
    : options_(options), program_(program), workload_(workload) {
  for (auto& client : clients) {
    callers_.push_back(std::make_unique<Caller>());
    callers_.back()->client = client.get();
  }
  // By turns, so that requests in a row are of different connections.
  for (size_t i = 0; i < options_.in_flight; ++i) {
    for (auto& caller : callers_) {
      auto& request = requests_.emplace_back(std::make_unique<Request>());
      request->load = this;
      request->caller = caller.get();
      request->operations.reserve(options_.batch);
      free_.push_back(request.get());
    }
  }
  free_count_ = free_.size();
  ready_.resize(callers_.size());
}

Load::~Load() = default;

void Load::Prepare() {
  // Waits of an open loop are exact, not rounded up by 50 µs.
  prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
  begin_ns_ = schedule_ns_ = now_ns_ = NowNs();
  start_ns_ = begin_ns_ + Nanos(options_.warm_up_seconds);
  stop_ns_ = start_ns_ + Nanos(options_.seconds);
  next_look_ns_ = begin_ns_;
  if (options_.rate > 0) {
    between_ns_ = static_cast<double>(options_.batch) / options_.rate * static_cast<double>(kNanos);
  }
}

bool Load::BeginsMore(int64_t now_ns) const {
  return status_.ok() && now_ns < stop_ns_ && measured_operations_ < options_.operations;
}

absl::Status Load::Run(const OnProgress& on_progress) {
  Prepare();
  while (status_.ok()) {
    BeginDue(now_ns_);
    const bool more = BeginsMore(now_ns_);
    if (!more && free_count_ == free_.size() && !looking_) break;
    if (more) AskShards(now_ns_);
    Exchange(now_ns_);
    now_ns_ = NowNs();
    on_progress(answered_);
  }
  // A server that answers nothing towards the end is not the faster for it.
  if (now_ns_ >= stop_ns_) end_ns_ = stop_ns_;
  timeline_.Finish();
  return status_;
}

// All requests whose time has come, as long as some are free.
void Load::BeginDue(int64_t now_ns) {
  // What the warm-up was late with is not made up for.
  if (schedule_ns_ < start_ns_ && now_ns >= start_ns_) {
    schedule_ns_ = start_ns_;
    begun_requests_ = 0;
  }
  while (free_count_ != 0 && BeginsMore(now_ns)) {
    int64_t at_ns = now_ns;
    if (between_ns_ > 0) {
      at_ns = NextBeginNs();
      if (at_ns > now_ns) break;
    }
    Request& request = *free_[next_free_];
    next_free_ = (next_free_ + 1) % free_.size();
    --free_count_;
    Begin(request, at_ns);
    request.caller->to_poll = true;
  }
}

void Load::Begin(Request& request, int64_t at_ns) {
  ++begun_requests_;
  if (at_ns >= start_ns_) measured_operations_ += options_.batch;
  request.at_ns = at_ns;
  request.parts = 1;  // this function's own, until it is through
  request.served = request.refused = 0;
  request.overloaded = false;
  request.operations.clear();
  Client& client = *request.caller->client;
  const Instant now = ToInstant(absl::Now());
  for (size_t i = 0; i < options_.batch; ++i) {
    if (!workload_.DrawsRead()) {
      request.operations.push_back(workload_.Draw(now));
      continue;
    }
    ++request.parts;
    client.Balance(program_, workload_.DrawMember(), /*as_of=*/0,
                   [r = &request](const absl::StatusOr<BalanceAnswer>& answer) {
                     if (answer.ok()) {
                       if (answer->outcome == Outcome::Ok) ++r->load->tally_.reads;
                       r->load->CountPart(*r, answer->outcome);
                     }
                     r->load->PartDone(*r, answer.status());
                   });
  }
  if (!request.operations.empty()) {
    ++request.parts;
    client.Submit(request.operations,
                  [r = &request](const absl::StatusOr<absl::Span<const Result>>& results) {
                    if (results.ok()) {
                      for (const Result& result : *results) {
                        r->load->tally_.Count(result);
                        r->load->CountPart(*r, result.outcome());
                      }
                    }
                    r->load->PartDone(*r, results.status());
                  });
  }
  PartDone(request, absl::OkStatus());
}

void Load::CountPart(Request& request, Outcome outcome) {
  (outcome == Outcome::Ok ? request.served : request.refused) += 1;
  request.overloaded |= outcome == Outcome::Overloaded;
}

void Load::PartDone(Request& request, const absl::Status& status) {
  if (!status.ok() && status_.ok()) status_ = status;
  if (--request.parts == 0) Finished(request);
}

void Load::Finished(Request& request) {
  now_ns_ = NowNs();
  answered_ += request.served;
  if (Measures(now_ns_)) {
    end_ns_ = now_ns_;
    refused_ += request.refused;
    timeline_.CountOperations(now_ns_ - start_ns_, request.served);
  }
  if (Measures(request.at_ns) && !request.overloaded) {
    timeline_.RecordLatency(now_ns_ - start_ns_, now_ns_ - request.at_ns);
  }
  // The next of a closed loop goes out with this very Poll.
  if (between_ns_ == 0 && BeginsMore(now_ns_)) return Begin(request, now_ns_);
  free_[(next_free_ + free_count_) % free_.size()] = &request;
  ++free_count_;
}

int64_t Load::NextBeginNs() const {
  constexpr double kFar = 4e18;
  return schedule_ns_ +
         static_cast<int64_t>(std::min(between_ns_ * static_cast<double>(begun_requests_), kFar));
}

// Sends what was begun; waits until something is received, or another is to begin; receives.
void Load::Exchange(int64_t now_ns) {
  const auto poll = [this](Caller& caller) {
    if (absl::Status status = caller.client->Poll(0); !status.ok() && status_.ok()) {
      status_ = std::move(status);
    }
  };
  int64_t wait_ns = kLookNs;
  if (between_ns_ > 0 && free_count_ != 0 && BeginsMore(now_ns)) {
    wait_ns = std::clamp<int64_t>(NextBeginNs() - now_ns, 0, kLookNs);
  }
  for (size_t i = 0; i < callers_.size(); ++i) {
    Caller& caller = *callers_[i];
    if (std::exchange(caller.to_poll, false)) poll(caller);
    const Client& client = *caller.client;
    if (client.descriptor() < 0) wait_ns = std::min(wait_ns, kReconnectNs);
    const short events = static_cast<short>(POLLIN | (client.wants_to_send() ? POLLOUT : 0));
    ready_[i] = {client.descriptor(), events, 0};
  }
  const bool round = now_ns >= next_round_ns_;
  if (round) next_round_ns_ = now_ns + kLookNs;
  const timespec timeout = {wait_ns / kNanos, wait_ns % kNanos};
  ppoll(ready_.data(), ready_.size(), &timeout, nullptr);
  for (size_t i = 0; i < callers_.size(); ++i) {
    if (round || ready_[i].fd < 0 || ready_[i].revents != 0) poll(*callers_[i]);
  }
}

// The first connection asks, in between.
void Load::AskShards(int64_t now_ns) {
  if (looking_ || now_ns < next_look_ns_) return;
  looking_ = true;
  next_look_ns_ = now_ns + kLookNs;
  callers_.front()->to_poll = true;
  callers_.front()->client->Shards([this](const absl::StatusOr<ShardsAnswer>& answer) {
    looking_ = false;
    if (answer.ok()) TakeShards(*answer);
  });
}

void Load::TakeShards(const ShardsAnswer& answer) {
  const int64_t at_ns = NowNs() - start_ns_;
  segments_.resize(answer.shards.size());
  for (size_t i = 0; i < segments_.size(); ++i) {
    const uint64_t segment = answer.shards[i].segment;
    const uint64_t before = std::exchange(segments_[i], segment);
    if (before == 0 || before == segment || at_ns < 0) continue;
    timeline_.Mark(at_ns, absl::StrCat("shard ", i, ": segment ", segment));
  }
}

}  // namespace tallystick::tally
