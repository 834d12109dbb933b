#include "api/shard_of.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace tallystick {

uint16_t ShardOf(const Id& member, uint16_t shard_count) {
  const uint64_t hash = XXH3_64bits(&member, sizeof(member));
  return static_cast<uint16_t>(static_cast<unsigned __int128>(hash) * shard_count >> 64);
}

}  // namespace tallystick
