#include "ledger/receipts.h"

#include <algorithm>

namespace tallystick::ledger {

uint32_t Receipts::TakeChunk() {
  if (!free_chunks_.empty()) {
    const uint32_t chunk = free_chunks_.back();
    free_chunks_.pop_back();
    return chunk;
  }
  chunks_.push_back(reinterpret_cast<Receipt*>(pages_.Take(kChunkBytes)));
  next_chunk_.push_back(kNoRow);
  previous_chunk_.push_back(kNoRow);
  first_position_.push_back(0);
  free_chunks_.reserve(chunks_.capacity());
  return static_cast<uint32_t>(chunks_.size() - 1);
}

uint32_t Receipts::Append(ReceiptQueue& queue, uint64_t hash, Position position) {
  if (queue.last_chunk == kNoRow || queue.end == kRowsPerChunk) {
    const uint32_t chunk = TakeChunk();
    next_chunk_[chunk] = kNoRow;
    previous_chunk_[chunk] = queue.last_chunk;
    if (queue.last_chunk == kNoRow) {
      queue.first_chunk = chunk;
      queue.first = 0;
    } else {
      next_chunk_[queue.last_chunk] = chunk;
    }
    queue.last_chunk = chunk;
    queue.end = 0;
  }
  if (queue.end == 0) first_position_[queue.last_chunk] = position;
  const uint32_t row = queue.last_chunk * kRowsPerChunk + queue.end++;
  ledger::Prefetch(&(*this)[row] + kWriteAhead);
  index_.Insert(hash, row);
  ++size_;
  return row;
}

uint32_t Receipts::FindAt(const ReceiptQueue& queue, Position position) const {
  uint32_t chunk = queue.first_chunk;
  while (chunk != queue.last_chunk && first_position_[next_chunk_[chunk]] <= position) {
    chunk = next_chunk_[chunk];
  }
  if (chunk == kNoRow) return kNoRow;
  const Receipt* rows = chunks_[chunk];
  const Receipt* begin = rows + (chunk == queue.first_chunk ? queue.first : 0);
  const Receipt* end = rows + (chunk == queue.last_chunk ? queue.end : kRowsPerChunk);
  const Receipt* found = std::lower_bound(
      begin, end, position, [](const Receipt& r, Position p) { return r.position < p; });
  if (found == end || found->position != position) return kNoRow;
  return chunk * kRowsPerChunk + static_cast<uint32_t>(found - rows);
}

void Receipts::Drop(uint32_t row) {
  Receipt& receipt = (*this)[row];
  ClearReturned(receipt);
  if ((receipt.flags & kSuperseded) == 0) index_.Erase(Hash(receipt.account, receipt.id), row);
  --size_;
}

void Receipts::Supersede(uint32_t row) {
  Receipt& receipt = (*this)[row];
  index_.Erase(Hash(receipt.account, receipt.id), row);
  receipt.flags |= kSuperseded;
}

void Receipts::Reinstate(uint32_t row) {
  Receipt& receipt = (*this)[row];
  index_.Insert(Hash(receipt.account, receipt.id), row);
  receipt.flags &= static_cast<uint8_t>(~kSuperseded);
}

void Receipts::PopFront(ReceiptQueue& queue) {
  const uint32_t row = queue.first_chunk * kRowsPerChunk + queue.first;
  Drop(row);
  const Receipt& receipt = (*this)[row];
  if (Takes(receipt.kind) && receipt.link != kNoRow) {
    const uint32_t count = takings_.CountFrom(queue.takings, receipt.link);
    takings_.PopFrontTo(queue.takings, Takings::Behind(receipt.link, count));
  }
  ++queue.first;
  if (empty(queue)) queue.first = queue.end = 0;
  if (queue.first < kRowsPerChunk) return;
  const uint32_t chunk = queue.first_chunk;
  queue.first_chunk = next_chunk_[chunk];
  queue.first = 0;
  previous_chunk_[queue.first_chunk] = kNoRow;
  free_chunks_.push_back(chunk);
}

void Receipts::PopBack(ReceiptQueue& queue) {
  const uint32_t row = queue.last_chunk * kRowsPerChunk + queue.end - 1;
  Drop(row);
  const Receipt& receipt = (*this)[row];
  if (Takes(receipt.kind) && receipt.link != kNoRow) {
    takings_.PopBackTo(queue.takings, receipt.link);
  }
  if (--queue.end > 0 || queue.first_chunk == queue.last_chunk) return;
  const uint32_t chunk = queue.last_chunk;
  queue.last_chunk = previous_chunk_[chunk];
  queue.end = kRowsPerChunk;
  next_chunk_[queue.last_chunk] = kNoRow;
  free_chunks_.push_back(chunk);
}

Returned& Receipts::MutableReturned(Receipt& receipt) {
  if ((receipt.flags & kHasReturns) == 0) {
    const uint32_t row = returned_.Allocate();
    returned_[row] = ReturnedOf(receipt);
    receipt.link = row;
    receipt.flags |= kHasReturns;
  }
  return returned_[receipt.link];
}

void Receipts::SetReturned(Receipt& receipt, const Returned& returned) {
  Returned& row = MutableReturned(receipt);
  row = {returned.amount,      returned.claimed, returned.lost,
         returned.written_off, row.link,         row.kept};
}

void Receipts::ClearReturned(Receipt& receipt) {
  if ((receipt.flags & kHasReturns) == 0) return;
  const uint32_t row = receipt.link;
  receipt.link = returned_[row].link;
  receipt.flags &= static_cast<uint8_t>(~kHasReturns);
  returned_.Free(row);
}

size_t Receipts::bytes() const {
  return chunks_.size() * kChunkBytes + index_.bytes() + returned_.bytes() + takings_.bytes();
}

}  // namespace tallystick::ledger
