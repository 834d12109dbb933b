// Receipts: what is remembered of accepted transactions. One row serves idempotency (the original
// result), exact clawback (what a purchase earned, under which version, what was returned of it)
// and exact reversal (from which lots a redemption took).
//
// Rows are written in log order into queues, one for each program and length of life, so that
// arriving and leaving touch memory in order; only the index is hit at random.

#ifndef TALLYSTICK_LEDGER_RECEIPTS_H_
#define TALLYSTICK_LEDGER_RECEIPTS_H_

#include <cstdint>
#include <limits>
#include <vector>

#include "ledger/hash_index.h"
#include "ledger/seeded_hash.h"
#include "ledger/slab.h"
#include "ledger/takings.h"
#include "ledger/types.h"

namespace tallystick::ledger {

struct Receipt {
  Id id;
  Instant key_time;  // the later of occurred_at and log time: its life counts from here
  Position position;
  int64_t amount;  // as asked for: points, or a purchase's spend
  Points points;   // the original result, with the three below
  Points available;
  Points pending;
  uint32_t account;
  uint32_t link;     // kNoRow; or, if its position is the receipt's: of a purchase the lot that it
                     // made, of a hold the open hold; of a redemption its first taking; or, with
                     // has_returns, a row of returns
  uint32_t body;     // hash of the operation's bytes beyond those compared one by one
  uint16_t version;  // of the program, an index: the rules that it was made under
  Kind kind;
  uint8_t flags;  // ResultFlag of the original, and the two below
};
static_assert(sizeof(Receipt) == 80);
inline constexpr uint8_t kHasReturns = 128;
// Dead, and its id was used again: not in the index any more.
inline constexpr uint8_t kSuperseded = 64;

// What has become of a transaction since. Of a purchase: what was given back, and what its lot
// lost. Of a redemption: what was reversed. Of a hold: what was captured.
struct Returned {
  int64_t amount;
  Points claimed;      // written-off points included
  Points lost;         // to expiry, forfeit and cancellation
  Points written_off;  // of what was claimed, and not repaid yet; since engine 2
  uint32_t link;       // as the receipt's without it
  uint32_t kept;       // the image writer's: where it has kept what this was
};

inline constexpr Position kNotHeld = std::numeric_limits<Position>::max();

// First in, first out. Whoever appends to it keeps count of `arrived`, and lets as many leave.
struct ReceiptQueue {
  uint32_t first_chunk = kNoRow;
  uint32_t last_chunk = kNoRow;
  uint32_t first = 0;  // offset in first_chunk
  uint32_t end = 0;    // offset behind the last in last_chunk
  uint32_t arrived = 0;
  TakingQueue takings;
  Position held_from = kNotHeld;  // an image is being taken: from here on none may leave
};

class Receipts {
 public:
  static constexpr uint32_t kRowsPerChunk = 1u << 13;

  Receipts(uint32_t limit, uint32_t taking_limit, uint64_t hash_seed,
           RegionSource* regions = nullptr)
      : limit_(limit),
        hash_(hash_seed),
        index_(regions),
        returned_(limit, regions),
        takings_(taking_limit, regions),
        pages_(regions) {}

  uint64_t Hash(uint32_t account, const Id& id) const { return hash_.Of(id, account); }
  const HashIndex::Place* Approach(uint64_t hash) const { return index_.Approach(hash); }
  void Prefetch(uint32_t row) const {
    ledger::Prefetch(&(*this)[row]);
    ledger::Prefetch(&(*this)[row].account);
  }
  // What its leaving touches, beside the row.
  void PrefetchIndex(const Receipt& receipt) const {
    index_.Prefetch(Hash(receipt.account, receipt.id));
  }

  // The account's receipt of the transaction, dead or alive, or kNoRow: at most one is found.
  uint32_t Find(uint64_t hash, uint32_t account, const Id& id) const {
    return index_.Find(hash, [&](uint32_t row) {
      const Receipt& receipt = (*this)[row];
      return receipt.account == account && receipt.id == id;
    });
  }

  // Whether there is another of the same account and id behind it, that is not superseded.
  bool IsOvertaken(const Receipt& receipt) const {
    const uint64_t hash = Hash(receipt.account, receipt.id);
    const auto is_later = [&](uint32_t row) {
      const Receipt& other = (*this)[row];
      return other.account == receipt.account && other.id == receipt.id &&
             other.position > receipt.position;
    };
    return index_.Find(hash, is_later) != kNoRow;
  }

  bool full() const { return size_ >= limit_; }
  // A row of undefined content, found under the `hash` of its account and id. REQUIRES: !full();
  // positions ascend in a queue.
  uint32_t Append(ReceiptQueue& queue, uint64_t hash, Position position);
  // The queue's receipt of the position, or kNoRow. O(chunks of the queue).
  uint32_t FindAt(const ReceiptQueue& queue, Position position) const;
  // Makes way in the index for another receipt of the same account and id; and undoes it.
  void Supersede(uint32_t row);
  void Reinstate(uint32_t row);
  static bool empty(const ReceiptQueue& queue) {
    return queue.first_chunk == queue.last_chunk && queue.first == queue.end;
  }
  const Receipt& Front(const ReceiptQueue& queue) const {
    return chunks_[queue.first_chunk][queue.first];
  }
  // A walk through a queue in order, which may go on while others arrive, and leave before it.
  struct Place {
    uint32_t chunk;
    uint32_t offset;
  };
  static Place FirstPlace(const ReceiptQueue& queue) { return {queue.first_chunk, queue.first}; }
  // The row there, or kNoRow at the end.
  uint32_t RowAt(const ReceiptQueue& queue, Place& place) const {
    if (place.offset == kRowsPerChunk && place.chunk != queue.last_chunk) {
      place = {next_chunk_[place.chunk], 0};
    }
    const bool at_end = place.chunk == queue.last_chunk && place.offset == queue.end;
    return at_end ? kNoRow : place.chunk * kRowsPerChunk + place.offset;
  }
  // The receipt `count` behind it; null also where a chunk ends before it.
  const Receipt* Behind(const ReceiptQueue& queue, const Place& place, uint32_t count) const {
    const uint32_t end = place.chunk == queue.last_chunk ? queue.end : kRowsPerChunk;
    return place.offset + count < end ? &chunks_[place.chunk][place.offset + count] : nullptr;
  }
  // REQUIRES: not empty.
  void PopFront(ReceiptQueue& queue);
  void PopBack(ReceiptQueue& queue);
  // Calls visit(row) for each in the queue, in order.
  template <typename Visit>
  void ForEach(const ReceiptQueue& queue, Visit&& visit) const;

  Receipt& operator[](uint32_t row) { return chunks_[row / kRowsPerChunk][row % kRowsPerChunk]; }
  const Receipt& operator[](uint32_t row) const {
    return chunks_[row / kRowsPerChunk][row % kRowsPerChunk];
  }

  // Its own link: of the purchase's lot, the hold, or the redemption's first taking.
  uint32_t LinkOf(const Receipt& receipt) const {
    return (receipt.flags & kHasReturns) != 0 ? returned_[receipt.link].link : receipt.link;
  }
  void SetLink(Receipt& receipt, uint32_t link) {
    ((receipt.flags & kHasReturns) != 0 ? returned_[receipt.link].link : receipt.link) = link;
  }
  Returned ReturnedOf(const Receipt& receipt) const {
    return (receipt.flags & kHasReturns) != 0 ? returned_[receipt.link]
                                              : Returned{0, 0, 0, 0, receipt.link, 0};
  }
  // Of what was returned of it; makes room for that if there is none.
  void SetKept(Receipt& receipt, uint32_t kept) { MutableReturned(receipt).kept = kept; }
  // All but link and kept.
  void SetReturned(Receipt& receipt, const Returned& returned);
  void ClearReturned(Receipt& receipt);

  // Takings of redemptions, in the queue of their receipts, with which they leave.
  static bool Takes(Kind kind) { return kind == Kind::Redeem || kind == Kind::Capture; }
  Takings& takings() { return takings_; }
  const Takings& takings() const { return takings_; }
  // A redemption's, in the order in which they were taken: the first one's number, and how many.
  // None of other kinds, and of engine 1.
  struct TakingsOf {
    uint32_t first = kNoRow;
    uint32_t count = 0;
  };
  TakingsOf FindTakings(const ReceiptQueue& queue, const Receipt& receipt) const {
    const uint32_t first = Takes(receipt.kind) ? LinkOf(receipt) : kNoRow;
    if (first == kNoRow) return {};
    return {first, takings_.CountFrom(queue.takings, first)};
  }

  size_t size() const { return size_; }
  size_t bytes() const;

 private:
  static constexpr size_t kChunkBytes = kRowsPerChunk * sizeof(Receipt);
  uint32_t TakeChunk();
  Returned& MutableReturned(Receipt& receipt);
  void Drop(uint32_t row);

  uint32_t limit_;
  size_t size_ = 0;
  const SeededHash hash_;
  HashIndex index_;
  Slab<Returned> returned_;
  Takings takings_;
  Pages pages_;
  std::vector<Receipt*> chunks_;
  std::vector<Position> first_position_;  // in each chunk
  std::vector<uint32_t> next_chunk_;      // of the queue, by chunk
  std::vector<uint32_t> previous_chunk_;
  std::vector<uint32_t> free_chunks_;
};

template <typename Visit>
void Receipts::ForEach(const ReceiptQueue& queue, Visit&& visit) const {
  for (uint32_t chunk = queue.first_chunk; chunk != kNoRow; chunk = next_chunk_[chunk]) {
    const uint32_t begin = chunk == queue.first_chunk ? queue.first : 0;
    const uint32_t end = chunk == queue.last_chunk ? queue.end : kRowsPerChunk;
    for (uint32_t i = begin; i < end; ++i) visit(chunk * kRowsPerChunk + i);
  }
}

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_RECEIPTS_H_
