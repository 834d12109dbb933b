// What a program has issued, taken and owes, at a log position.

#ifndef TALLYSTICK_LEDGER_TOTALS_H_
#define TALLYSTICK_LEDGER_TOTALS_H_

#include <cstdint>

#include "ledger/types.h"

namespace tallystick::ledger {

struct Totals {
  using Sum = __int128;  // of numbers that may be any

  int64_t members = 0;
  Points issued = 0;
  Points redeemed = 0;
  Points expired = 0;
  Points clawed_back = 0;  // really taken, from lots or as debt
  Points written_off = 0;  // due, but taken from nobody: outside the sum
  Points adjusted = 0;
  Points reinstated = 0;
  Points forgiven = 0;  // debt cancelled
  // Outstanding: sums over members.
  Points pending = 0;
  Points available = 0;
  Points held = 0;
  Points debt = 0;
  // Every point ever credited. It bounds all the others, so that one check against overflow does.
  Points credited = 0;
  // What of `expired` is no breakage.
  Points forfeited = 0;   // reversed after its date
  Points closed_out = 0;  // what an account had when it was closed
  // Between members, and so between the shards of a ledger: what is sent and not received is in
  // transit. What came back was not sent.
  Points sent = 0;
  Points received = 0;

  // Points are conserved: what one shard received, another has sent.
  bool Balanced() const {
    const Sum moved =
        Sum{issued} + reinstated + adjusted + forgiven - redeemed - expired - clawed_back;
    return moved == Sum{pending} + available + held - debt + sent - received;
  }
  // Of shards of one ledger.
  Totals& operator+=(const Totals& other) {
    members += other.members;
    issued += other.issued;
    redeemed += other.redeemed;
    expired += other.expired;
    clawed_back += other.clawed_back;
    written_off += other.written_off;
    adjusted += other.adjusted;
    reinstated += other.reinstated;
    forgiven += other.forgiven;
    pending += other.pending;
    available += other.available;
    held += other.held;
    debt += other.debt;
    credited += other.credited;
    forfeited += other.forfeited;
    closed_out += other.closed_out;
    sent += other.sent;
    received += other.received;
    return *this;
  }
  friend bool operator==(const Totals&, const Totals&) = default;
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_TOTALS_H_
