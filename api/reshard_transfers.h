// The transfers of a ledger that is written anew: where each stands in the new logs.
//
// A receiver's and a settlement's record name their Transfer by its position, and a receiver's says
// from which position on its sender may send again. All of these are others in the new ledger, and
// so are the shards.

#ifndef TALLYSTICK_API_RESHARD_TRANSFERS_H_
#define TALLYSTICK_API_RESHARD_TRANSFERS_H_

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "api/logged_unit.h"
#include "ledger/types.h"

namespace tallystick {

// A Transfer by its place in the old logs.
struct OldTransfer {
  uint16_t shard = 0;
  Position position = 0;

  auto operator<=>(const OldTransfer&) const = default;
};

// What must have been written before a unit can be, or should be.
struct ReshardNeed {
  OldTransfer transfer;
  bool received = false;  // not only sent: the settlement of what was received comes behind it

  friend auto operator<=>(const ReshardNeed&, const ReshardNeed&) = default;
};

// Holds what is on its way at a moment, no more. An account's unit has one record of a transfer at
// most (logged_unit.h); `from` is its old shard.
class ReshardTransfers {
 public:
  // Under the import clock a sender's log time may lie behind its receiver's: settlements do not
  // wait there.
  std::optional<ReshardNeed> NeedOf(const LoggedUnit& unit, uint16_t from) const;

  // A unit that goes to `shard` of `shards`. What it was waited for with; nothing: it is no
  // Transfer.
  std::optional<ReshardNeed> Sent(const LoggedUnit& unit, uint16_t from, uint16_t shard,
                                  uint16_t shards);
  // It has been written there.
  void Written(const OldTransfer& transfer, Position position);

  // The new shard whose log must tell the position of what the unit names, before it can be
  // translated; nothing: no unit's records wait for it.
  std::optional<uint16_t> UnknownShardOf(const LoggedUnit& unit, uint16_t from) const;
  // The unit as it is in the new ledger, in `slots`, which it then refers to. What it was waited
  // for with. Nothing, and unchanged: it names no transfer. REQUIRES: UnknownShardOf is nothing.
  std::optional<ReshardNeed> Translate(LoggedUnit& unit, uint16_t from, std::vector<Record>& slots);

 private:
  using Lane = std::pair<uint16_t, uint16_t>;  // new shards: the sender's, the receiver's
  struct Entry {
    Lane lane;
    Position position = 0;  // 0: it waits to be written
    bool received = false;
    bool settled = false;
  };

  void Forget(std::map<OldTransfer, Entry>::iterator entry);

  std::map<OldTransfer, Entry> entries_;
  // Positions of those that are not both received and settled: what may be sent again.
  std::map<Lane, std::set<Position>> open_;
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_RESHARD_TRANSFERS_H_
