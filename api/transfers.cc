#include "api/transfers.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/shard_of.h"
#include "ledger/check.h"

namespace tallystick {

Transfers::Transfers(const ledger::StateMachine& machine, uint16_t shard, uint16_t shard_count,
                     std::function<void(SubmitPart&)> answer)
    : machine_(machine), shard_(shard), answer_(std::move(answer)), lanes_(shard_count) {
  for (size_t to = 0; to < lanes_.size(); ++to) {
    lanes_[to].request = std::make_unique<ParcelsRequest>();
    lanes_[to].request->shard = static_cast<uint16_t>(to);
    lanes_[to].request->owner = this;
    lanes_[to].request->done = ParcelsDone;
  }
}

size_t Transfers::TakeSent() {
  const auto sent = machine_.OpenTransfers(newest_);
  for (const auto& transfer : sent) {
    Lane& lane = lanes_[ShardOf(transfer.to, static_cast<uint16_t>(lanes_.size()))];
    lane.entries.push_back({transfer, Outcome::Ok, 0, Result(), 0, 0});
    newest_ = transfer.position;
  }
  return sent.size();
}

void Transfers::Await(SubmitPart& part, size_t index, Position position, const Id& to) {
  if (position > newest_) TakeSent();
  Lane& lane = lanes_[ShardOf(to, static_cast<uint16_t>(lanes_.size()))];
  const auto entry =
      std::lower_bound(lane.entries.begin(), lane.entries.end(), position,
                       [](const Entry& e, Position p) { return e.transfer.position < p; });
  TALLYSTICK_LEDGER_CHECK(entry != lane.entries.end() && entry->transfer.position == position);
  uint32_t at = static_cast<uint32_t>(waiters_.size());
  if (free_waiters_.empty()) {
    waiters_.emplace_back();
  } else {
    at = free_waiters_.back();
    free_waiters_.pop_back();
  }
  waiters_[at] = {&part, static_cast<uint32_t>(index), entry->waiter};
  entry->waiter = at + 1;
  ++part.transfers;
  if (!lane.failure.ok()) Tell(*entry, lane.failure);
}

const ledger::StateMachine::OpenTransfer* Transfers::NextOwn() const {
  const Lane& own = lanes_[shard_];
  return own.received < own.entries.size() ? &own.entries[own.received].transfer : nullptr;
}

Position Transfers::own_open_from() const {
  return lanes_[shard_].entries.front().transfer.position;
}

void Transfers::Received(Lane& lane, const Result& result) {
  Entry& entry = lane.entries[lane.received++];
  entry.received = result.outcome();
  entry.received_at = result.position();
}

const ledger::StateMachine::OpenTransfer* Transfers::NextToSettle(Outcome* received,
                                                                  ledger::Arrival* arrival) {
  constexpr size_t kAhead = 4;
  for (size_t i = 0; i < lanes_.size(); ++i, next_lane_ = (next_lane_ + 1) % lanes_.size()) {
    const Lane& lane = lanes_[next_lane_];
    if (lane.settled == lane.received) continue;
    *received = lane.entries[lane.settled].received;
    *arrival = {static_cast<uint16_t>(next_lane_), lane.entries[lane.settled].received_at};
    for (int step = 0; step < 3; ++step) {
      const size_t ahead = lane.settled + kAhead * static_cast<size_t>(3 - step);
      if (ahead < lane.received) machine_.FetchSender(lane.entries[ahead].transfer, step);
    }
    return &lane.entries[lane.settled].transfer;
  }
  return nullptr;
}

void Transfers::Settled(const Result& result) {
  Lane& lane = lanes_[next_lane_];
  Entry& entry = lane.entries[lane.settled++];
  entry.settled = result.position();
  entry.came_back =
      Result(0, result.available(), result.pending(), 0, entry.received, 0, Field::Related, 0, 0);
}

void Transfers::Step(Position durable, Instant stamp) {
  has_answers_ = false;
  for (size_t to = 0; to < lanes_.size(); ++to) {
    Lane& lane = lanes_[to];
    // Settled in their order, and so durable.
    while (lane.settled > 0 && lane.entries.front().settled < durable) {
      Tell(lane.entries.front(), absl::OkStatus());
      lane.entries.pop_front();
      --lane.settled;
      --lane.received;
      lane.sent -= std::min<size_t>(lane.sent, 1);
    }
    if (to != shard_) SendParcels(lane, durable, stamp);
  }
}

void Transfers::SendParcels(Lane& lane, Position durable, Instant stamp) {
  const auto may_go = [&](size_t i) {
    return i < lane.entries.size() && lane.entries[i].transfer.position < durable;
  };
  if (!send_ || lane.under_way || !lane.failure.ok() || !may_go(lane.sent)) return;
  constexpr size_t kAhead = 8;
  ParcelsRequest& request = *lane.request;
  request.slots.clear();
  const Position open_from = lane.entries.front().transfer.position;
  size_t last = lane.sent;
  while (may_go(last) && last - lane.sent < kMaxParcels && request.slots.size() < kMaxParcelSlots) {
    if (may_go(last + kAhead)) machine_.FetchSender(lane.entries[last + kAhead].transfer, 0);
    machine_.WriteParcel(lane.entries[last++].transfer, shard_, open_from, request.slots);
  }
  request.results.assign(last - lane.sent, Result());
  request.applied = request.applied_slots = 0;
  request.stamp = stamp;
  request.status = absl::OkStatus();
  if (!send_(&request)) return;  // in the next turn, then
  lane.under_way = true;
  lane.sent = last;
}

void Transfers::ParcelsDone(ShardRequest& request) {
  static_cast<Transfers*>(request.owner)->TakeAnswers(static_cast<ParcelsRequest&>(request));
}

void Transfers::TakeAnswers(ParcelsRequest& request) {
  Lane& lane = lanes_[request.shard];
  lane.under_way = false;
  has_answers_ = true;
  if (!request.status.ok()) return FailLane(lane, request.status);
  not_before_ = std::max(not_before_, request.stamp);
  for (const Result& result : request.results) Received(lane, result);
}

// Whether it has received them is not known until it is there again.
void Transfers::FailLane(Lane& lane, const absl::Status& failure) {
  lane.failure = failure;
  for (size_t i = lane.received; i < lane.entries.size(); ++i) Tell(lane.entries[i], failure);
}

void Transfers::Overload() {
  Result overloaded;
  overloaded.mutate_outcome(Outcome::Overloaded);
  for (Lane& lane : lanes_) {
    for (size_t i = lane.settled; i < lane.entries.size(); ++i) {
      Tell(lane.entries[i], absl::OkStatus(), &overloaded);
    }
  }
}

void Transfers::Tell(Entry& entry, const absl::Status& failure) {
  Tell(entry, failure, entry.received == Outcome::Ok ? nullptr : &entry.came_back);
}

void Transfers::Tell(Entry& entry, const absl::Status& failure, const Result* result) {
  for (uint32_t at = std::exchange(entry.waiter, 0); at != 0;) {
    const Waiter waiter = waiters_[at - 1];
    free_waiters_.push_back(at - 1);
    at = waiter.next;
    SubmitPart& part = *waiter.part;
    if (!failure.ok()) {
      part.status = failure;
    } else if (result != nullptr) {
      part.results[waiter.index] = *result;
      if (result->outcome() == Outcome::Overloaded) ++part.transfers_overloaded;
    }
    if (--part.transfers == 0 && part.passed) answer_(part);
  }
}

bool Transfers::under_way() const {
  return std::any_of(lanes_.begin(), lanes_.end(), [](const Lane& l) { return l.under_way; });
}

bool Transfers::can_go_on() const {
  return NextOwn() != nullptr || std::any_of(lanes_.begin(), lanes_.end(), [](const Lane& lane) {
           return lane.settled < lane.received;
         });
}

bool Transfers::unsettled() const {
  return std::any_of(lanes_.begin(), lanes_.end(), [](const Lane& lane) {
    return lane.failure.ok() ? !lane.entries.empty() : lane.settled < lane.received;
  });
}

void Transfers::Fail(const absl::Status& failure) {
  for (Lane& lane : lanes_) {
    for (Entry& entry : lane.entries) Tell(entry, failure);
    lane.failure = failure;
  }
}

}  // namespace tallystick
