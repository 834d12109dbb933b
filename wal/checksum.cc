#include "wal/checksum.h"

#include <isa-l/crc.h>
#include <xxhash.h>

#include "wal/check.h"

namespace tallystick::wal {

uint32_t Crc32c(const void* data, size_t size) {
  // crc32_iscsi takes an int length and applies neither the initial value nor the final XOR.
  TALLYSTICK_CHECK(size <= kMaxBlockBytes);
  auto* bytes = const_cast<unsigned char*>(static_cast<const unsigned char*>(data));
  return ~crc32_iscsi(bytes, static_cast<int>(size), ~0u);
}

Id128 Hash128(const void* data, size_t size) {
  const XXH128_hash_t hash = XXH3_128bits(data, size);
  return {.low = hash.low64, .high = hash.high64};
}

uint64_t HashKey(const Id128& key, uint64_t seed) {
  static_assert(sizeof(key) == 16);
  return XXH3_64bits_withSeed(&key, sizeof(key), seed);
}

}  // namespace tallystick::wal
