// What the shards' logs say of the transfers between them, held against each other: that what was
// received was sent, once, with the same points; and that what is settled so was received, or came
// back.

#ifndef TALLYSTICK_API_TALLY_TRANSFER_CHECK_H_
#define TALLYSTICK_API_TALLY_TRANSFER_CHECK_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "ledger/types.h"
#include "wal/format.h"

namespace tallystick::tally {

// A contradiction between two logs, or in one.
struct TransferFinding {
  enum class What : uint8_t {
    kNotSent,      // received, and not sent there, or received before
    kOther,        // received is something else than what was sent
    kNotReceived,  // settled as received, and was not
    kCameBack,     // received, and came back
  };
  What what = What::kNotSent;
  uint16_t sender = 0;  // shards
  uint16_t receiver = 0;
  Position sent_at = 0;      // in the sender's log
  Position received_at = 0;  // in the receiver's; 0: it was not
  Position settled_at = 0;   // in the sender's; 0: it is not
  Points points = 0;
};

// Shards are told of one after the other, in any order. Holds some 100 bytes for each transfer of
// which not all has been seen yet.
class TransferCheck {
 public:
  explicit TransferCheck(uint16_t shard_count) : shards_(shard_count) {}

  // A record of the shard's log, in order; others than those of transfers are passed over.
  void Add(uint16_t shard, Position position, const Record& record,
           absl::Span<const wal::Slot> details);
  // The shard's log was read from `first` to `last`. `whole`: it has all in between.
  void End(uint16_t shard, Position first, Position last, bool whole);

  Position LastOf(uint16_t shard) const { return shards_[shard].last; }
  // In the order of senders and their positions. What an unread part of a log may say contradicts
  // nothing. REQUIRES: each shard has ended.
  std::vector<TransferFinding> Findings() const;

 private:
  struct Shard {
    Position first = 1;
    Position last = 0;
    bool whole = false;
  };
  struct Entry {
    uint16_t receiver = 0;
    bool sent = false;
    bool came_back = false;
    Points points = 0;
    Position received_at = 0;
    Position settled_at = 0;
    uint64_t sent_as = 0;  // hashes of what both must say alike
    uint64_t received_as = 0;
  };
  using Key = std::pair<uint16_t, Position>;  // the sender's shard, and the Transfer's position

  bool Find(const Key& key, const Entry& entry, TransferFinding* finding) const;

  std::vector<Shard> shards_;
  absl::flat_hash_map<Key, Entry> entries_;
};

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_TRANSFER_CHECK_H_
