// Whether two ledgers owe the same, however their members are spread over shards.

#ifndef TALLYSTICK_API_RESHARD_CHECK_H_
#define TALLYSTICK_API_RESHARD_CHECK_H_

#include <cstdint>
#include <map>
#include <vector>

#include "absl/status/statusor.h"
#include "ledger/state_machine.h"
#include "ledger/totals.h"

namespace tallystick {

using Shards = std::vector<const ledger::StateMachine*>;

// By program, over all shards.
std::map<uint16_t, ledger::Totals> SumTotals(const Shards& shards);

// How many accounts both have. Internal: the sums of a program differ, or one account's balances,
// points earned or lots (but for positions), or what is on its way,, or `after` contradicts itself;
// says what. Accounts in `after` are where ShardOf puts them. O(everything).
absl::StatusOr<uint64_t> CompareLedgers(const Shards& before, const Shards& after);

}  // namespace tallystick

#endif  // TALLYSTICK_API_RESHARD_CHECK_H_
