#include "api/reshard_transfers.h"

#include <algorithm>
#include <cstring>

#include "api/shard_of.h"
#include "ledger/check.h"

namespace tallystick {
namespace {

// The unit's record that is of a transfer, as an index; its size: it has none.
size_t PlaceOf(const LoggedUnit& unit) {
  size_t i = 0;
  while (i < unit.slots.size() && IsDerived(unit.slots[i].operation.kind())) ++i;
  if (unit.type != LoggedUnit::Type::kOperations || i == unit.slots.size()) {
    return unit.slots.size();
  }
  const Kind kind = unit.slots[i].operation.kind();
  return kind == Kind::Transfer || IsBetweenShards(kind) ? i : unit.slots.size();
}

// Which Transfer the record is, or names. REQUIRES: the log's own, replayed.
OldTransfer NamedBy(const LoggedUnit& unit, size_t place, uint16_t from) {
  const Record& record = unit.slots[place];
  switch (record.operation.kind()) {
    case Kind::Transfer:
      return {from, unit.position + place};
    case Kind::TransferIn: {
      const auto detail = DetailIn<TransferDetail>(unit.slots[place + 1]);
      return {detail.shard, detail.position};
    }
    default:
      return {from, record.operation.user_data()};
  }
}

}  // namespace

std::optional<ReshardNeed> ReshardTransfers::NeedOf(const LoggedUnit& unit, uint16_t from) const {
  const size_t place = PlaceOf(unit);
  if (place == unit.slots.size()) return std::nullopt;
  const Kind kind = unit.slots[place].operation.kind();
  if (kind != Kind::TransferIn && kind != Kind::TransferDone) return std::nullopt;
  const OldTransfer transfer = NamedBy(unit, place, from);
  const auto entry = entries_.find(transfer);
  if (kind == Kind::TransferIn) {
    if (entry != entries_.end()) return std::nullopt;
    return ReshardNeed{transfer, /*received=*/false};
  }
  if (unit.import_clock || entry == entries_.end() || entry->second.received) return std::nullopt;
  return ReshardNeed{transfer, /*received=*/true};
}

std::optional<ReshardNeed> ReshardTransfers::Sent(const LoggedUnit& unit, uint16_t from,
                                                  uint16_t shard, uint16_t shards) {
  const size_t place = PlaceOf(unit);
  if (place == unit.slots.size() || unit.slots[place].operation.kind() != Kind::Transfer) {
    return std::nullopt;
  }
  const OldTransfer transfer = NamedBy(unit, place, from);
  entries_[transfer].lane = {shard, ShardOf(unit.slots[place].operation.related(), shards)};
  return ReshardNeed{transfer, /*received=*/false};
}

void ReshardTransfers::Written(const OldTransfer& transfer, Position position) {
  Entry& entry = entries_.at(transfer);
  entry.position = position;
  open_[entry.lane].insert(position);
}

std::optional<uint16_t> ReshardTransfers::UnknownShardOf(const LoggedUnit& unit,
                                                         uint16_t from) const {
  const size_t place = PlaceOf(unit);
  if (place == unit.slots.size() || unit.slots[place].operation.kind() == Kind::Transfer) {
    return std::nullopt;
  }
  const auto entry = entries_.find(NamedBy(unit, place, from));
  if (entry == entries_.end() || entry->second.position != 0) return std::nullopt;
  return entry->second.lane.first;
}

std::optional<ReshardNeed> ReshardTransfers::Translate(LoggedUnit& unit, uint16_t from,
                                                       std::vector<Record>& slots) {
  const size_t place = PlaceOf(unit);
  if (place == unit.slots.size() || unit.slots[place].operation.kind() == Kind::Transfer) {
    return std::nullopt;
  }
  const OldTransfer transfer = NamedBy(unit, place, from);
  const auto found = entries_.find(transfer);
  TALLYSTICK_LEDGER_CHECK(found != entries_.end() && found->second.position != 0);
  Entry& entry = found->second;
  slots.assign(unit.slots.begin(), unit.slots.end());
  unit.slots = slots;
  if (slots[place].operation.kind() == Kind::TransferIn) {
    auto detail = DetailIn<TransferDetail>(slots[place + 1]);
    detail.shard = entry.lane.first;
    detail.position = entry.position;
    detail.open_from = *open_[entry.lane].begin();
    std::memcpy(static_cast<void*>(&slots[place + 1]), &detail, sizeof(detail));
    entry.received = true;
  } else {
    Operation& settlement = slots[place].operation;
    settlement.mutate_user_data(entry.position);
    if (settlement.kind() == Kind::TransferDone) {
      // Where it arrived may not be written yet: as of one that was received again, it is not said.
      settlement.mutate_category(entry.lane.second);
      settlement.mutate_expires_at(0);
    }
    entry.settled = true;
    // What came back was not received, and will not be.
    entry.received |= slots[place].operation.kind() == Kind::TransferBack;
  }
  if (entry.received && entry.settled) Forget(found);
  return ReshardNeed{transfer, /*received=*/true};
}

void ReshardTransfers::Forget(std::map<OldTransfer, Entry>::iterator entry) {
  open_[entry->second.lane].erase(entry->second.position);
  entries_.erase(entry);
}

}  // namespace tallystick
