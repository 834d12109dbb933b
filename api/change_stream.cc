#include "api/change_stream.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tallystick {
namespace {

RecordsAnswer& AnswerOf(ControlRequest& request) { return std::get<RecordsAnswer>(request.answer); }

}  // namespace

ChangeStream::ChangeStream(wal::BlockFetcher& fetcher, std::function<void(ShardRequest&)> finished)
    : fetcher_(fetcher), finished_(std::move(finished)) {}

void ChangeStream::Start(ControlRequest* request, Position end, int64_t now_us) {
  request->answer = RecordsAnswer();
  const Position from = std::max<Position>(request->before, 1);
  absl::Status refused;
  if (from > end) {
    refused = absl::OutOfRangeError(absl::StrCat(
        "position ", from, " of shard ", request->shard, " is not written yet, the log ends at ",
        end - 1, ": a reader that has come farther has read another ledger's log"));
  } else if (readers_.size() == kMaxWaitingReaders) {
    refused = absl::ResourceExhaustedError(
        "too many readers of this shard's records are waiting: try again");
  }
  if (!refused.ok()) {
    request->status = refused;
    finished_(*request);
    return;
  }
  const int64_t wait_us = int64_t{std::min(request->wait_ms, kMaxRecordsWaitMs)} * 1000;
  readers_.push_back({request, now_us + wait_us, from});
}

int64_t ChangeStream::Step(Position end, int64_t now_us) {
  end_ = end;
  if (reading_ || readers_.empty()) return -1;
  const auto reader = std::find_if(readers_.begin(), readers_.end(),
                                   [&](const Reader& waiting) { return waiting.next < end; });
  if (reader != readers_.end()) {
    std::rotate(readers_.begin(), reader, reader + 1);
    reading_ = true;
    Read();
    return reading_ || readers_.empty() ? -1 : 0;
  }
  int64_t until_us = -1;
  for (size_t i = readers_.size(); i-- > 0;) {
    if (readers_[i].until_us <= now_us) {
      Finish(readers_.begin() + static_cast<std::ptrdiff_t>(i), absl::OkStatus());
    } else if (until_us < 0 || readers_[i].until_us < until_us) {
      until_us = readers_[i].until_us;
    }
  }
  return until_us < 0 ? -1 : until_us - now_us;
}

void ChangeStream::Read() {
  if (inside_read_) return;  // a cached block arrives inside Fetch
  inside_read_ = true;
  while (reading_ && !fetcher_.busy()) {
    fetcher_.Fetch(readers_.front().next,
                   [this](absl::StatusOr<wal::BlockView> block) { Arrived(std::move(block)); });
  }
  inside_read_ = false;
}

void ChangeStream::Arrived(absl::StatusOr<wal::BlockView> block) {
  absl::Status status = failure_.ok() ? block.status() : failure_;
  reading_ = status.ok() && Take(*block);
  // Start and witness blocks alone are no answer.
  const bool found = !AnswerOf(*readers_.front().request).runs.empty();
  if (!status.ok() || (!reading_ && found)) Finish(readers_.begin(), std::move(status));
  Read();
}

// Whole records, each with its details: no answer begins or ends inside one.
bool ChangeStream::Take(const wal::BlockView& block) {
  Reader& reader = readers_.front();
  RecordsAnswer& answer = AnswerOf(*reader.request);
  const Position first = block.header->first_position;
  if (block.header->type == wal::BlockType::kRecords) {
    RecordRun run{.time = block.header->timestamp_us};
    for (size_t i = 0; i < block.slots.size();) {
      const auto* record = reinterpret_cast<const Record*>(&block.slots[i]);
      const size_t slots = SlotsOf(*record);
      if (i + slots > block.slots.size()) break;  // the block says less than its records do
      if (first + i >= reader.next) {
        if (answer.slots.size() + slots > kMaxRecordsSlots) {
          reader.next = first + i;
          if (run.count > 0) answer.runs.push_back(run);
          return false;
        }
        if (run.count == 0) run.first = first + i;
        run.count += static_cast<uint32_t>(slots);
        answer.slots.insert(answer.slots.end(), record, record + slots);
      }
      i += slots;
    }
    if (run.count > 0) answer.runs.push_back(run);
  }
  reader.next = first + block.header->count;
  return reader.next < end_ && answer.slots.size() < kMaxRecordsSlots;
}

void ChangeStream::Finish(std::vector<Reader>::iterator reader, absl::Status status) {
  ControlRequest& request = *reader->request;
  AnswerOf(request).next = reader->next;
  AnswerOf(request).end = end_;
  request.status = std::move(status);
  readers_.erase(reader);
  finished_(request);
}

void ChangeStream::Fail(const absl::Status& failure) {
  failure_ = failure;
  // One whose block is on its way is answered when it is here.
  while (readers_.size() > (reading_ ? 1 : 0)) Finish(readers_.end() - 1, failure);
}

}  // namespace tallystick
