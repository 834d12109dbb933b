// The checksums of the formats: the log's two, and the hash of indexed keys.

#ifndef TALLYSTICK_WAL_CHECKSUM_H_
#define TALLYSTICK_WAL_CHECKSUM_H_

#include <cstddef>
#include <cstdint>

#include "wal/format.h"

namespace tallystick::wal {

// CRC-32C as in RFC 3720: polynomial 0x1EDC6F41, reflected, initial value and final XOR all ones.
// Of "123456789" it is 0xE3069283. About 25 GB/s.
uint32_t Crc32c(const void* data, size_t size);

// XXH3, 128 bits, without a seed or secret.
Id128 Hash128(const void* data, size_t size);

// XXH3, 64 bits, with a seed, of the key's 16 bytes: low 64 bits, then high, little-endian.
uint64_t HashKey(const Id128& key, uint64_t seed);

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_CHECKSUM_H_
