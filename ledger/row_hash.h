// Hashes of logical rows: what the state's digest is the sum of. Padding and row numbers have no
// part in them, and the sum has no order: whoever visits each row once comes to the same digest.

#ifndef TALLYSTICK_LEDGER_ROW_HASH_H_
#define TALLYSTICK_LEDGER_ROW_HASH_H_

#include <cstdint>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ledger/lots.h"
#include "ledger/members.h"
#include "ledger/receipts.h"
#include "ledger/totals.h"
#include "ledger/types.h"

namespace tallystick::ledger {

// Field by field.
class RowHash {
 public:
  static uint64_t OfTime(Instant log_time) { return Of(kTime, log_time); }
  static uint64_t OfTotals(uint16_t program, const Totals& t, Instant bound_before) {
    return Of(kTotals, program, t.members, t.issued, t.redeemed, t.expired, t.clawed_back,
              t.written_off, t.adjusted, t.reinstated, t.forgiven, t.credited, bound_before);
  }
  static uint64_t OfVersion(const Id& id, const std::vector<uint8_t>& bytes) {
    return Of(kVersion, id.low(), id.high(), XXH3_64bits(bytes.data(), bytes.size()));
  }
  static uint64_t OfReceipt(uint16_t program, const Id& member, const Receipt& r,
                            const Returned& returned) {
    return Of(kReceipt, program, member.low(), member.high(), r.id.low(), r.id.high(), r.key_time,
              r.position, r.amount, r.points, r.available, r.pending, r.body, r.version, r.kind,
              returned.amount, returned.claimed, returned.lost);
  }
  static uint64_t OfAccount(const Account& a) {
    return Of(kAccount, a.program, a.member.low(), a.member.high(), a.available, a.pending,
              a.lifetime_earned, a.last_position);
  }
  static uint64_t OfLot(const Account& a, const Lot& l) {
    return Of(kLot, a.program, a.member.low(), a.member.high(), l.position, l.activates_at,
              l.expires_at, l.original, l.remaining, l.pending);
  }

 private:
  enum Row : uint64_t { kAccount = 1, kLot, kReceipt, kVersion, kTotals, kTime };

  template <typename... Fields>
  static uint64_t Of(Fields... fields) {
    const uint64_t words[] = {static_cast<uint64_t>(fields)...};
    return XXH3_64bits(words, sizeof(words));
  }
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_ROW_HASH_H_
