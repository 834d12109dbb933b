// What a program owes by month, from a state to an answer.

#ifndef TALLYSTICK_API_OWED_H_
#define TALLYSTICK_API_OWED_H_

#include <cstdint>

#include "api/messages.h"
#include "ledger/owed.h"
#include "ledger/state_machine.h"

namespace tallystick {

// Of one shard, whose `owed` was counted just now as of `as_of`, or kAsTheyStand; without its place
// in the log. REQUIRES: the machine has the program.
OwedAnswer TellOwed(const ledger::StateMachine& machine, uint16_t program, Instant as_of,
                    const ledger::Owed& owed);

// Adds a shard's to the sum of others, but for `shards`. Where it does not fit 64 bits the outcome
// is Overflow.
void AddOwed(const OwedAnswer& part, OwedAnswer& sum);

}  // namespace tallystick

#endif  // TALLYSTICK_API_OWED_H_
