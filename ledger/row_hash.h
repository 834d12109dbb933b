// Hashes of logical rows: what the state's digest is the sum of. Padding and row numbers have no
// part in them, and the sum has no order: whoever visits each row once comes to the same digest.

#ifndef TALLYSTICK_LEDGER_ROW_HASH_H_
#define TALLYSTICK_LEDGER_ROW_HASH_H_

#include <cstdint>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ledger/holds.h"
#include "ledger/lots.h"
#include "ledger/members.h"
#include "ledger/receipts.h"
#include "ledger/totals.h"
#include "ledger/transits.h"
#include "ledger/types.h"

namespace tallystick::ledger {

// Field by field.
class RowHash {
 public:
  static uint64_t OfTime(Instant log_time) { return Of(kTime, log_time); }
  static uint64_t OfTotals(uint16_t program, const Totals& t, Instant bound_before) {
    const uint64_t apart =
        (t.forfeited | t.closed_out) == 0 ? 0 : Of(kApart, program, t.forfeited, t.closed_out);
    const uint64_t moved = (t.sent | t.received) == 0 ? 0 : Of(kMoved, program, t.sent, t.received);
    return Of(kTotals, program, t.members, t.issued, t.redeemed, t.expired, t.clawed_back,
              t.written_off, t.adjusted, t.reinstated, t.forgiven, t.credited, bound_before) +
           apart + moved;
  }
  static uint64_t OfVersion(const Id& id, const std::vector<uint8_t>& bytes) {
    return Of(kVersion, id.low(), id.high(), XXH3_64bits(bytes.data(), bytes.size()));
  }
  static uint64_t OfReceipt(uint16_t program, const Id& member, const Receipt& r,
                            const Returned& returned) {
    const uint64_t written_off =
        returned.written_off == 0 ? 0 : Of(kWrittenOff, r.position, returned.written_off);
    return Of(kReceipt, program, member.low(), member.high(), r.id.low(), r.id.high(), r.key_time,
              r.position, r.amount, r.points, r.available, r.pending, r.body, r.version, r.kind,
              returned.amount, returned.claimed, returned.lost) +
           written_off;
  }
  // The `number`th of a receipt.
  static uint64_t OfTaking(const Receipt& r, size_t number, const Taking& t) {
    return Of(kTaking, r.position, number, t.lot_position, t.activates_at, t.expires_at, t.original,
              t.points());
  }
  static uint64_t OfAccount(const Account& a) {
    return Of(kAccount, a.program, a.member.low(), a.member.high(), a.available, a.pending,
              a.lifetime_earned, a.last_position);
  }
  static uint64_t OfStatus(const Account& a, AccountStatus status) {
    return status == AccountStatus::kActive
               ? 0
               : Of(kStatus, a.program, a.member.low(), a.member.high(), status);
  }
  static uint64_t OfHold(const Account& a, Position position, Instant times_out_at, Points points) {
    return Of(kHold, a.program, a.member.low(), a.member.high(), position, times_out_at, points);
  }
  static uint64_t OfHeld(Position hold, const Lot& l) {
    return Of(kHeld, hold, l.position, l.activates_at, l.expires_at, l.original, l.remaining);
  }
  static uint64_t OfTransit(Position position, const Transit& t) {
    return Of(kTransit, position, t.id.low(), t.id.high(), t.to.low(), t.to.high(), t.base,
              t.sent_at, t.user_data, t.version);
  }
  static uint64_t OfArrivals(uint16_t shard, const Arrivals& arrivals) {
    if (arrivals.empty()) return 0;
    uint64_t sum =
        Of(kArrivals, shard, arrivals.open_from(), arrivals.newest(), arrivals.delivered());
    for (const Position position : arrivals) sum += Of(kArrival, shard, position);
    return sum;
  }
  static uint64_t OfLot(const Account& a, const Lot& l) {
    return Of(kLot, a.program, a.member.low(), a.member.high(), l.position, l.activates_at,
              l.expires_at, l.original, l.remaining, l.pending);
  }

 private:
  enum Row : uint64_t {
    kAccount = 1,
    kLot,
    kReceipt,
    kVersion,
    kTotals,
    kTime,
    // Of engine 2; a state that has none of them has the digest that it had.
    kApart,
    kWrittenOff,
    kTaking,
    kStatus,
    kHold,
    kHeld,
    // Of engine 3.
    kMoved,
    kTransit,
    kArrivals,
    kArrival
  };

  template <typename... Fields>
  static uint64_t Of(Fields... fields) {
    const uint64_t words[] = {static_cast<uint64_t>(fields)...};
    return XXH3_64bits(words, sizeof(words));
  }
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_ROW_HASH_H_
