// A batch for a peer that applies sets.

#ifndef TALLYSTICK_BENCH_PEERS_DISTINCT_MEMBERS_H_
#define TALLYSTICK_BENCH_PEERS_DISTINCT_MEMBERS_H_

#include <cstddef>
#include <vector>

#include "ledger/types.h"

namespace tallystick::peers {

// Puts the first operation of each member to the front, by ascending member, and the further ones
// behind, in the order that they had. Returns how many members there are.
size_t PutDistinctMembersFirst(std::vector<Operation>& operations);

}  // namespace tallystick::peers

#endif  // TALLYSTICK_BENCH_PEERS_DISTINCT_MEMBERS_H_
