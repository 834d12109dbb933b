#include "api/statement_walk.h"

#include <algorithm>
#include <utility>

#include "api/chain_records.h"
#include "api/history_keys.h"

namespace tallystick {

StatementWalk::StatementWalk(History& history, wal::BlockFetcher& fetcher,
                             wal::RecordFetcher& records,
                             std::function<void(ShardRequest&)> finished)
    : history_(history), fetcher_(fetcher), records_(records), finished_(std::move(finished)) {}

void StatementWalk::Start(ControlRequest* request) {
  if (waiting_ == kMaxWaitingStatements) {
    request->status = absl::ResourceExhaustedError(
        "too many statements are being read from this shard: try again");
    finished_(*request);
    return;
  }
  queue_.Push(request);
  ++waiting_;
  Advance();
}

StatementAnswer& StatementWalk::answer() const {
  return std::get<StatementAnswer>(static_cast<ControlRequest&>(*queue_.front()).answer);
}

size_t StatementWalk::Limit() const {
  const uint32_t limit = request().limit;
  return limit == 0 ? kMaxStatementMovements : std::min(limit, kMaxStatementMovements);
}

// A walk starts at the record before `before` if that is one of the account, as it is when a client
// asks on from where an answer ended; else at the account's newest record.
void StatementWalk::Begin() {
  begun_ = true;
  head_ = request().head;
  guessed_ = request().before > 1 && request().before <= head_;
  at_ = guessed_ ? request().before - 1 : head_;
  ahead_.clear();
  ahead_failed_ = false;
  ahead_begin_ = 0;
}

// Begins with the request in front, or goes on with it.
void StatementWalk::Advance() {
  if (advancing_) return;
  advancing_ = true;
  while (!queue_.empty() && !fetcher_.busy() && !looking_ahead_) {
    if (!begun_) Begin();
    if (at_ == 0) {
      Finish(absl::OkStatus());
    } else if (const Ahead* known = Known()) {
      Went(Take(known->movement, known->previous));
    } else if (MayLookAhead()) {
      LookAhead();
    } else {
      fetcher_.Fetch(at_, [this](absl::StatusOr<wal::BlockView> block) { Read(std::move(block)); });
    }
  }
  advancing_ = false;
}

void StatementWalk::Read(absl::StatusOr<wal::BlockView> block) {
  Went(block.ok() ? Take(*block) : block.status());
  Advance();
}

// Where the history cannot be read any farther, what is there is answered, if only with where that
// is, and who asks on from there is told.
void StatementWalk::Went(absl::StatusOr<bool> more) {
  if (!more.ok() && request().before != at_ + 1) {
    answer().next = at_ + 1;
    more = false;
  }
  if (!more.ok() || !*more) Finish(more.status());
}

absl::StatusOr<bool> StatementWalk::Take(const wal::BlockView& block) {
  const Position first = block.header->first_position;
  while (at_ >= first && at_ - first < block.slots.size()) {
    absl::StatusOr<bool> more =
        Take(MovementAt(block, at_), RecordAt(block, at_).result.position());
    if (!more.ok() || !*more) return more;
  }
  return true;
}

absl::StatusOr<bool> StatementWalk::Take(const MovementAnswer& movement, Position previous) {
  if (movement.operation.member() != request().member ||
      movement.operation.program() != request().program) {
    if (!guessed_) return NotOfChain(at_);
    guessed_ = false;
    at_ = head_;
    return true;
  }
  guessed_ = false;
  if (request().before == 0 || at_ < request().before) {
    if (answer().movements.size() == Limit()) {
      answer().next = at_ + 1;
      return false;
    }
    answer().movements.push_back(movement);
  }
  if (previous == 0) return false;
  if (previous >= at_) return LeadsForward(at_);
  at_ = previous;
  return true;
}

void StatementWalk::Finish(absl::Status status) {
  ShardRequest* request = queue_.Pop();
  --waiting_;
  begun_ = false;
  request->status = std::move(status);
  finished_(*request);
}

// ---- reading ahead ----

const StatementWalk::Ahead* StatementWalk::Known() const {
  const auto found =
      std::lower_bound(ahead_.begin(), ahead_.end(), at_,
                       [](const Ahead& a, Position wanted) { return a.position > wanted; });
  return found != ahead_.end() && found->position == at_ && found->here ? &*found : nullptr;
}

bool StatementWalk::MayLookAhead() const {
  return history_.on() && !guessed_ && !ahead_failed_ && history_.Covers(at_);
}

// Asks the indexes for as many of the member's records as the statement may still need.
void StatementWalk::LookAhead() {
  if (at_ <= ahead_begin_ && at_ >= ahead_complete_) {
    history_.Doubt(at_);
    ahead_failed_ = true;
    return;
  }
  looking_ahead_ = true;
  ahead_begin_ = at_;
  ahead_complete_ = history_.CoveredFrom(at_);
  history_.indexes().Find(
      {.family = kMemberKeys,
       .key = HistoryKey(request().member),
       .before = at_ + 1,
       .limit = Limit() - answer().movements.size() + 1},
      [this](const absl::StatusOr<wal::KeyMatches>& matches) { LookedAhead(matches); });
}

void StatementWalk::LookedAhead(const absl::StatusOr<wal::KeyMatches>& matches) {
  ahead_.clear();
  if (!matches.ok() || matches->positions.empty()) {
    looking_ahead_ = false;
    ahead_failed_ = !matches.ok();
    return Advance();
  }
  if (matches->next != 0) {
    ahead_complete_ = std::max<Position>(ahead_complete_, matches->positions.back());
  }
  ahead_.resize(matches->positions.size());
  for (size_t i = 0; i < ahead_.size(); ++i) ahead_[i].position = matches->positions[i];
  records_.Fetch(
      matches->positions,
      [this](uint64_t position, const wal::BlockView& block) { ReadAhead(position, block); },
      [this](const absl::Status& status) {
        looking_ahead_ = false;
        ahead_failed_ = !status.ok();
        Advance();
      });
}

void StatementWalk::ReadAhead(uint64_t position, const wal::BlockView& block) {
  const auto found =
      std::lower_bound(ahead_.begin(), ahead_.end(), position,
                       [](const Ahead& a, Position wanted) { return a.position > wanted; });
  found->here = true;
  found->movement = MovementAt(block, position);
  found->previous = RecordAt(block, position).result.position();
}

}  // namespace tallystick
