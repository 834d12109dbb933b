// On which shard of a ledger a member lives.

#ifndef TALLYSTICK_API_SHARD_OF_H_
#define TALLYSTICK_API_SHARD_OF_H_

#include <cstdint>

#include "ledger/types.h"

namespace tallystick {

// high64(XXH3_64(member id) × shard count). Part of the format: every log was written by it.
uint16_t ShardOf(const Id& member, uint16_t shard_count);

}  // namespace tallystick

#endif  // TALLYSTICK_API_SHARD_OF_H_
