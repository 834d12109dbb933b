#include "api/transaction_search.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "api/chain_records.h"
#include "api/history_keys.h"
#include "ledger/check.h"

namespace tallystick {
namespace {

// Positions of one id that are looked at together. More than one: it was used again, by another
// member or program, or another id's hash begins alike.
constexpr size_t kCandidates = 8;
// An index that is lost costs a round; it is back soon, and may be lost again.
constexpr size_t kMaxRounds = 8;

}  // namespace

void TransactionSearch::Start(std::vector<TransactionSought> sought, Done done) {
  TALLYSTICK_LEDGER_CHECK(!busy() && !sought.empty() && sought.size() <= kMaxSearchedAtOnce);
  sought_ = std::move(sought);
  done_ = std::move(done);
  progress_.assign(sought_.size(), Progress());
  for (size_t i = 0; i < sought_.size(); ++i) progress_[i].at = sought_[i].head;
  rounds_ = 0;
  BeginRound();
  GoOn();
}

void TransactionSearch::BeginRound() {
  ++rounds_;
  covered_until_ = history_.covered_until();
  indexes_lost_ = history_.indexes_lost();
  walked_ = 0;
  step_ = Step::kWalk;
}

void TransactionSearch::GoOn() {
  if (going_on_) return;
  going_on_ = true;
  for (bool waits = false; !waits;) {
    switch (step_) {
      case Step::kWalk:
        waits = !Walk();
        if (!waits) step_ = Step::kAsk;
        break;
      case Step::kAsk:
        step_ = Step::kGather;
        Ask();
        break;
      case Step::kGather:
        waits = asking_ > 0;
        if (waits) break;
        groups_.assign(1, {});
        for (size_t i = 0; i < sought_.size(); ++i) {
          if (!progress_[i].candidates.empty()) groups_[0].push_back(i);
        }
        step_ = Step::kFetch;
        break;
      case Step::kFetch:
        waits = !Fetch();
        if (waits || BeginNext()) break;
        going_on_ = false;
        std::vector<TransactionSought> found = std::move(sought_);
        return std::exchange(done_, nullptr)(found);
    }
  }
  going_on_ = false;
}

// ---- along the history chains ----

bool TransactionSearch::Walk() {
  while (walked_ < sought_.size()) {
    if (waiting_) return false;
    const Position at = progress_[walked_].at;
    if (IsSettled(sought_[walked_]) || at == 0 || at < covered_until_) {
      ++walked_;
      continue;
    }
    waiting_ = true;
    blocks_.Fetch(at, [this](const absl::StatusOr<wal::BlockView>& block) { Walked(block); });
  }
  return true;
}

// What the archive's limits have removed is not known any more, nor is what lies before it.
void TransactionSearch::Walked(const absl::StatusOr<wal::BlockView>& block) {
  waiting_ = false;
  if (absl::IsNotFound(block.status())) {
    progress_[walked_].at = 0;
  } else {
    sought_[walked_].status.Update(block.ok() ? TakeChain(walked_, *block) : block.status());
  }
  GoOn();
}

absl::Status TransactionSearch::TakeChain(size_t i, const wal::BlockView& block) {
  Position& at = progress_[i].at;
  const Position first = block.header->first_position;
  while (at >= first && at - first < block.slots.size() && !IsSettled(sought_[i])) {
    const Record& record = RecordAt(block, at);
    if (!IsOf(record, sought_[i].program, sought_[i].member)) return NotOfChain(at);
    Look(sought_[i], block, at);
    const Position previous = record.result.position();
    if (previous >= at) return LeadsForward(at);
    at = previous;
  }
  return absl::OkStatus();
}

void TransactionSearch::Look(TransactionSought& sought, const wal::BlockView& block,
                             Position position) {
  const Record& record = RecordAt(block, position);
  const Operation& operation = record.operation;
  if (operation.id() != sought.id || !IsOf(record, sought.program, sought.member)) return;
  // They carry the id of the transfer, or even of another member's; what came back is newer than
  // the transfer, and looked at before it, or with it.
  if (IsBetweenShards(operation.kind())) {
    if (operation.kind() != Kind::TransferBack) return;
    sought.came_back.push_back(operation.user_data());
    if (sought.found && sought.movement.result.position() == operation.user_data()) {
      sought.found = false;
    }
    return;
  }
  const std::vector<Position>& came_back = sought.came_back;
  if (std::find(came_back.begin(), came_back.end(), position) != came_back.end()) return;
  if (sought.same != nullptr && !SameBytes(record.operation, *sought.same)) {
    sought.other = true;
    return;
  }
  if (sought.found && sought.movement.result.position() > position) return;
  sought.found = true;
  sought.movement = MovementAt(block, position);
  sought.time = block.header->timestamp_us;
}

// ---- through the indexes ----

void TransactionSearch::Ask() {
  asking_ = sought_.size();
  for (size_t i = 0; i < sought_.size(); ++i) {
    Progress& progress = progress_[i];
    progress.candidates.clear();
    if (IsSettled(sought_[i]) || progress.at == 0) {
      --asking_;
      continue;
    }
    const Position before =
        progress.next != 0 ? std::min(progress.next, progress.at + 1) : progress.at + 1;
    history_.indexes().Find(
        {.family = kTransactionKeys,
         .key = HistoryKey(sought_[i].id),
         .before = before,
         .limit = kCandidates},
        [this, i](const absl::StatusOr<wal::KeyMatches>& matches) { Asked(i, matches); });
  }
}

void TransactionSearch::Asked(size_t i, const absl::StatusOr<wal::KeyMatches>& matches) {
  --asking_;
  if (matches.ok()) {
    progress_[i].candidates = matches->positions;
    progress_[i].next = matches->next;
  } else {
    Failed(i, matches.status());
  }
  GoOn();
}

bool TransactionSearch::LostAnIndex() const { return history_.indexes_lost() != indexes_lost_; }

// Without the index that was lost, it is sought again.
void TransactionSearch::Failed(size_t i, const absl::Status& status) {
  const bool found = sought_[i].found && sought_[i].same != nullptr;
  const bool again = LostAnIndex() && rounds_ < kMaxRounds;
  if (!found && !again) sought_[i].status.Update(status);
}

bool TransactionSearch::Fetch() {
  while (!waiting_ && !groups_.empty()) {
    group_ = std::move(groups_.back());
    groups_.pop_back();
    std::vector<uint64_t> positions;
    for (const size_t i : group_) {
      positions.insert(positions.end(), progress_[i].candidates.begin(),
                       progress_[i].candidates.end());
    }
    if (positions.empty()) continue;
    std::sort(positions.begin(), positions.end(), std::greater<>());
    positions.erase(std::unique(positions.begin(), positions.end()), positions.end());
    waiting_ = true;
    records_.Fetch(
        std::move(positions),
        [this](Position position, const wal::BlockView& block) { Visit(position, block); },
        [this](const absl::Status& status) { Fetched(status); });
  }
  return !waiting_;
}

void TransactionSearch::Visit(Position position, const wal::BlockView& block) {
  for (const size_t i : group_) {
    const std::vector<Position>& candidates = progress_[i].candidates;
    if (std::find(candidates.begin(), candidates.end(), position) == candidates.end()) continue;
    Look(sought_[i], block, position);
  }
}

// Of several that fail together, each is fetched by itself: most will be there.
void TransactionSearch::Fetched(const absl::Status& status) {
  waiting_ = false;
  if (!status.ok() && group_.size() > 1) {
    for (const size_t i : group_) groups_.push_back({i});
  } else if (!status.ok() && !absl::IsNotFound(status)) {
    Failed(group_[0], status);
  }
  GoOn();
}

// An index may be lost in another's search, too.
bool TransactionSearch::BeginNext() {
  const bool lost = LostAnIndex();
  bool again = false;
  bool more = false;
  for (size_t i = 0; i < sought_.size(); ++i) {
    TransactionSought& sought = sought_[i];
    Progress& progress = progress_[i];
    // One that is newer may be where the index was lost.
    const bool by_index = sought.found && sought.movement.result.position() <= progress.at;
    if (lost && by_index && sought.same == nullptr) sought.found = false;
    if (IsSettled(sought)) continue;
    if (lost && rounds_ == kMaxRounds && progress.at != 0) {
      sought.status = absl::ResourceExhaustedError(
          "the indexes of the history are lost one after the other, and built anew: try again");
      continue;
    }
    if (lost) progress.next = 0;
    // Of what the indexes have, that was all; there may have been more before.
    if (!lost && progress.next == 0 && std::exchange(progress.at, 0) != 0) {
      sought.status = history_.beginning();
    }
    again |= lost && progress.at != 0;
    more |= progress.next != 0;
  }
  if (again) {
    BeginRound();
  } else if (more) {
    step_ = Step::kAsk;
  }
  return again || more;
}

}  // namespace tallystick
