#include "ledger/takings.h"

namespace tallystick::ledger {

Taking& Takings::Append(TakingQueue& queue, bool continues) {
  const uint32_t number = queue.end;
  const uint32_t offset = Distance(queue.base, number);
  if (offset == queue.chunks.size() * kRowsPerChunk) {
    if (free_chunks_.empty()) {
      free_chunks_.push_back(static_cast<uint32_t>(chunks_.size()));
      chunks_.push_back(reinterpret_cast<Taking*>(pages_.Take(kChunkBytes)));
    }
    queue.chunks.push_back(free_chunks_.back());
    free_chunks_.pop_back();
  }
  Taking* rows = chunks_[queue.chunks.back()];
  Taking& row = rows[offset % kRowsPerChunk];
  Prefetch(&row + kWriteAhead);
  if (continues) At(queue, Behind(number, kNumbers - 1)).points_and_last &= ~uint64_t{1};
  queue.end = Behind(number, 1);
  ++size_;
  return row;
}

uint32_t Takings::CountFrom(const TakingQueue& queue, uint32_t number) const {
  uint32_t count = 1;
  while (!At(queue, Behind(number, count - 1)).is_last()) ++count;
  return count;
}

void Takings::PopFrontTo(TakingQueue& queue, uint32_t number) {
  size_ -= Distance(queue.begin, number);
  queue.begin = number;
  while (Distance(queue.base, number) >= kRowsPerChunk) {
    free_chunks_.push_back(queue.chunks.front());
    queue.chunks.erase(queue.chunks.begin());
    queue.base = Behind(queue.base, kRowsPerChunk);
  }
}

void Takings::PopBackTo(TakingQueue& queue, uint32_t number) {
  size_ -= Distance(number, queue.end);
  queue.end = number;
  while (queue.chunks.size() * kRowsPerChunk >= Distance(queue.base, number) + kRowsPerChunk) {
    free_chunks_.push_back(queue.chunks.back());
    queue.chunks.pop_back();
  }
}

}  // namespace tallystick::ledger
