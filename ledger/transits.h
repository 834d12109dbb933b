// Transfers that are under way: what this shard has sent and has no answer to yet, and what it has
// received, so that it takes nothing twice.

#ifndef TALLYSTICK_LEDGER_TRANSITS_H_
#define TALLYSTICK_LEDGER_TRANSITS_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "ledger/slab.h"
#include "ledger/types.h"

namespace tallystick::ledger {

// Transfers of a shard that may be under way at once; more are overloaded.
inline constexpr uint32_t kMaxTransits = 1u << 15;
// Of one sending shard, what may have been received and not be settled there; more are overloaded.
inline constexpr size_t kMaxArrivals = 1u << 16;

// Its points are in a hold of the sender's, of no timeout, that says which transit it is.
struct Transit {
  Id id;  // of the transfer
  Id to;
  Instant base;     // from which fresh dates count
  Instant sent_at;  // log time
  uint64_t user_data;
  uint32_t account;
  uint32_t hold;
  uint32_t previous;  // of all that are under way, in the order of their positions
  uint32_t next;
  uint16_t version;  // of the program, an index: whose dates are fresh
  uint8_t reserved[6];
};
static_assert(sizeof(Transit) == 80);

class Transits {
 public:
  explicit Transits(RegionSource* regions) : rows_(kMaxTransits, regions) {}

  bool full() const { return rows_.full(); }
  uint32_t count() const { return rows_.used(); }
  Transit& operator[](uint32_t row) { return rows_[row]; }
  const Transit& operator[](uint32_t row) const { return rows_[row]; }
  // kNoRow: none.
  uint32_t Last() const { return last_; }

  // Behind all others. REQUIRES: !full().
  uint32_t Append(const Transit& transit);
  void Remove(uint32_t row);
  size_t bytes() const { return rows_.bytes(); }

 private:
  Slab<Transit> rows_;
  uint32_t first_ = kNoRow;
  uint32_t last_ = kNoRow;
};

// Where points have arrived: the position of the TransferIn in that shard's log; 0: not known.
struct Arrival {
  uint16_t shard = 0;
  Position position = 0;
};

// What has been received of one other shard, and what it has received. Positions are of that
// shard's log.
class Arrivals {
 public:
  // Whether it was received. REQUIRES: position >= open_from().
  bool Has(Position position) const;
  // Whether there is room for one more, once everything before `open_from` is settled.
  bool HasRoom(Position open_from) const;
  // Before it, everything is settled.
  Position open_from() const { return open_from_; }
  // The newest ever received; 0: nothing was.
  Position newest() const { return newest_; }
  // Those that are not known to be settled, oldest first.
  const Position* begin() const { return positions_.data() + begin_; }
  const Position* end() const { return positions_.data() + positions_.size(); }

  // Forgets what lies before `open_from`. REQUIRES: it does not go back.
  void Settle(Position open_from);
  // REQUIRES: !Has(position) && HasRoom(open_from()). O(those that are newer).
  void Add(Position position);
  void SetNewest(Position newest) { newest_ = newest; }

  // The newest position at which it is known to have received something; 0: none.
  Position delivered() const { return delivered_; }
  void Delivered(Position position) { delivered_ = std::max(delivered_, position); }
  bool empty() const { return newest_ == 0 && delivered_ == 0; }

 private:
  Position open_from_ = 0;
  Position newest_ = 0;
  Position delivered_ = 0;
  std::vector<Position> positions_;
  size_t begin_ = 0;
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_TRANSITS_H_
