#include "api/statement_walk.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tallystick {
namespace {

const ControlRequest& Control(const ShardRequest& request) {
  return static_cast<const ControlRequest&>(request);
}

// Points that a return wrote off, from the detail slot behind its record.
Points WrittenOff(const Record& record, absl::Span<const wal::Slot> behind) {
  if ((record.result.flags() & kWrittenOff) == 0 || behind.empty()) return 0;
  ReturnDetail detail;
  std::memcpy(&detail, &behind[0], sizeof(detail));
  return detail.written_off;
}

}  // namespace

StatementWalk::StatementWalk(wal::BlockFetcher& fetcher,
                             std::function<void(ShardRequest&)> finished)
    : fetcher_(fetcher), finished_(std::move(finished)) {}

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

// Begins with the request in front, or goes on with it. A walk starts at the record before `before`
// if that is one of the account, as it is when a client asks on from where an answer ended; else at
// the account's newest record.
void StatementWalk::Advance() {
  if (advancing_) return;
  advancing_ = true;
  while (!queue_.empty() && !fetcher_.busy()) {
    if (!begun_) {
      const ControlRequest& request = Control(*queue_.front());
      begun_ = true;
      head_ = request.head;
      guessed_ = request.before > 1 && request.before <= head_;
      at_ = guessed_ ? request.before - 1 : head_;
    }
    if (at_ == 0) {
      Finish(absl::OkStatus());
    } else {
      fetcher_.Fetch(at_, [this](absl::StatusOr<wal::BlockView> block) { Read(std::move(block)); });
    }
  }
  advancing_ = false;
}

void StatementWalk::Read(absl::StatusOr<wal::BlockView> block) {
  auto& request = static_cast<ControlRequest&>(*queue_.front());
  auto& answer = std::get<StatementAnswer>(request.answer);
  absl::StatusOr<bool> more = block.ok() ? Take(*block, answer) : block.status();
  // The archive has limits: what is there is answered, and who asks on is told.
  if (absl::IsNotFound(more.status()) && !answer.movements.empty()) {
    answer.next = at_ + 1;
    more = false;
  }
  if (!more.ok() || !*more) Finish(more.status());
  Advance();
}

absl::StatusOr<bool> StatementWalk::Take(const wal::BlockView& block, StatementAnswer& answer) {
  const ControlRequest& request = Control(*queue_.front());
  const uint32_t limit =
      request.limit == 0 ? kMaxStatementMovements : std::min(request.limit, kMaxStatementMovements);
  const Position first = block.header->first_position;
  while (at_ >= first && at_ - first < block.slots.size()) {
    const size_t place = at_ - first;
    const auto& record = reinterpret_cast<const Record&>(block.slots[place]);
    if (record.operation.member() != request.member ||
        record.operation.program() != request.program) {
      if (!guessed_) {
        return absl::DataLossError(absl::StrCat("position ", at_,
                                                " is not a record of the member whose history "
                                                "chain leads to it: verify the log"));
      }
      guessed_ = false;
      at_ = head_;
      continue;
    }
    guessed_ = false;
    const Position previous = record.result.position();
    if (request.before == 0 || at_ < request.before) {
      if (answer.movements.size() == limit) {
        answer.next = at_ + 1;
        return false;
      }
      MovementAnswer movement{record.operation, record.result,
                              WrittenOff(record, block.slots.subspan(place + 1))};
      movement.result.mutate_position(at_);
      answer.movements.push_back(movement);
    }
    if (previous == 0) return false;
    if (previous >= at_) {
      return absl::DataLossError(
          absl::StrCat("the history chain at position ", at_, " leads forward: verify the log"));
    }
    at_ = previous;
  }
  return true;
}

void StatementWalk::Finish(absl::Status status) {
  ShardRequest* request = queue_.Pop();
  --waiting_;
  begun_ = false;
  request->status = std::move(status);
  finished_(*request);
}

}  // namespace tallystick
