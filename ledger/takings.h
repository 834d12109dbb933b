// What redemptions took from lots. Rows are written in log order, in a queue beside that of the
// redemptions' receipts, and leave with them: arriving and leaving touch memory in order.

#ifndef TALLYSTICK_LEDGER_TAKINGS_H_
#define TALLYSTICK_LEDGER_TAKINGS_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "ledger/pages.h"
#include "ledger/prefetch.h"
#include "ledger/slab.h"
#include "ledger/types.h"

namespace tallystick::ledger {

// From one lot, with the lot's dates then.
struct Taking {
  Position lot_position;
  Instant activates_at;
  Instant expires_at;
  Points original;
  uint64_t points_and_last;  // twice the points; and 1 if it is the last of its redemption
  uint32_t lot;              // the lot, if its position is that
  uint32_t receipt;          // of the purchase that made it, if its position is that

  Points points() const { return static_cast<Points>(points_and_last >> 1); }
  bool is_last() const { return (points_and_last & 1) != 0; }
  // The last, so far.
  void SetPoints(Points points) { points_and_last = static_cast<uint64_t>(points) << 1 | 1; }
};
static_assert(sizeof(Taking) == 48);

// Rows are numbered as they arrive, from 0 on and again: fewer live than there are numbers.
struct TakingQueue {
  std::vector<uint32_t> chunks;
  uint32_t base = 0;  // number of the first row of the first chunk
  uint32_t begin = 0;
  uint32_t end = 0;
};

// The receipt of a taking that was read from an image: to be looked for by position.
inline constexpr uint32_t kUnknownRow = kNoRow - 1;

class Takings {
 public:
  static constexpr uint32_t kRowsPerChunk = 1u << 12;
  static constexpr uint32_t kMaxRows = 1u << 30;

  // `limit`: at most kMaxRows. Whoever appends keeps to it, but for what a log has.
  Takings(uint32_t limit, RegionSource* regions) : limit_(limit), pages_(regions) {}

  uint32_t room() const { return limit_ - std::min(size_, limit_); }
  // A row of undefined content, to be written where it is: `queue.end` was its number. The one
  // before it, if `continues`, is not the last of its redemption any more.
  Taking& Append(TakingQueue& queue, bool continues);
  Taking& At(const TakingQueue& queue, uint32_t number) {
    const uint32_t offset = Distance(queue.base, number);
    return chunks_[queue.chunks[offset / kRowsPerChunk]][offset % kRowsPerChunk];
  }
  const Taking& At(const TakingQueue& queue, uint32_t number) const {
    const uint32_t offset = Distance(queue.base, number);
    return chunks_[queue.chunks[offset / kRowsPerChunk]][offset % kRowsPerChunk];
  }
  static uint32_t Behind(uint32_t number, uint32_t rows) { return (number + rows) % kNumbers; }
  // Of the redemption whose first is `number`.
  uint32_t CountFrom(const TakingQueue& queue, uint32_t number) const;

  // Everything before `number` leaves; or it, and everything behind it.
  void PopFrontTo(TakingQueue& queue, uint32_t number);
  void PopBackTo(TakingQueue& queue, uint32_t number);

  size_t bytes() const { return chunks_.size() * kChunkBytes; }

 private:
  static constexpr size_t kChunkBytes = kRowsPerChunk * sizeof(Taking);
  static constexpr uint32_t kNumbers = 1u << 31;
  static uint32_t Distance(uint32_t from, uint32_t to) { return (to - from) % kNumbers; }

  uint32_t limit_;
  uint32_t size_ = 0;
  Pages pages_;
  std::vector<Taking*> chunks_;
  std::vector<uint32_t> free_chunks_;
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_TAKINGS_H_
