// A key index's bytes. docs/index-format.md is the specification; this file is its C++.

#ifndef TALLYSTICK_WAL_KEY_INDEX_FORMAT_H_
#define TALLYSTICK_WAL_KEY_INDEX_FORMAT_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "wal/checksum.h"
#include "wal/format.h"

namespace tallystick::wal {

static_assert(std::endian::native == std::endian::little, "pages are used in place");

inline constexpr uint32_t kIndexMagic = 0x49594c54;  // "TLYI" in the file
inline constexpr uint16_t kIndexVersion = 1;

// Kinds of keys. What they are is the layer above's.
inline constexpr size_t kKeyFamilies = 2;

// A slot's number in its segment takes 24 bits, so a segment is at most 2 GiB.
inline constexpr uint32_t kSlotBits = 24;
inline constexpr uint64_t kMaxIndexedSlots = uint64_t{1} << kSlotBits;
static_assert(kMaxSegmentBytes / sizeof(Slot) <= kMaxIndexedSlots);

// The unit of reading, and of a checksum.
struct IndexPage {
  std::byte content[4080];
  uint64_t binding;  // low 64 bits of the index's last_hash: no other index's page passes for it
  uint32_t number;   // in the file, from 0
  uint32_t crc;      // CRC32C of the 4092 bytes before it
};
static_assert(sizeof(IndexPage) == kSectorBytes && offsetof(IndexPage, crc) == 4092);

inline constexpr uint32_t kContentBytes = offsetof(IndexPage, binding);
inline constexpr uint32_t kPageWords = kContentBytes / sizeof(uint64_t);
inline constexpr uint32_t kLineWords = 8;
inline constexpr uint32_t kPageLines = kPageWords / kLineWords;
static_assert(kPageWords == 510 && kPageLines == 63);

// Of a family's filter for each key: about one false answer in 200.
inline constexpr uint32_t kFilterBitsPerKey = 12;

struct IndexedFamily {
  uint32_t entries;
  uint32_t lines;  // of the filter
};

// At the beginning of page 0; the roots of the three trees follow, then zeros.
struct IndexHeader {
  uint32_t magic;
  uint16_t format_version;
  uint16_t reserved;
  Id128 ledger_id;
  uint16_t shard;
  uint16_t shard_count;
  uint32_t blocks;
  uint64_t segment;
  uint64_t first_position;  // of the segment's first block
  uint64_t next_position;   // behind its last block
  int64_t first_timestamp_us;
  int64_t last_timestamp_us;  // of its first and last block
  uint64_t end_offset;        // behind its last block
  Id128 last_hash;            // XXH3-128 of its last block's header
  uint64_t seed;              // of the keys' hash
  std::array<IndexedFamily, kKeyFamilies> families;
};
static_assert(sizeof(IndexHeader) == 120 && offsetof(IndexHeader, last_hash) == 80);

// An entry: the upper 40 bits of the key's hash, then the slot.
constexpr uint64_t EntryWord(uint64_t hash, uint64_t slot) {
  return (hash & ~(kMaxIndexedSlots - 1)) | slot;
}
constexpr uint64_t EntrySlot(uint64_t word) { return word & (kMaxIndexedSlots - 1); }
constexpr bool SameHash(uint64_t word, uint64_t other) {
  return (word >> kSlotBits) == (other >> kSlotBits);
}

// A block: the slot of its first position, then its offset and its size in sectors, 20 bits each.
constexpr uint64_t BlockWord(uint64_t slot, uint64_t offset, uint64_t bytes) {
  return slot << 40 | (offset / kSectorBytes) << 20 | bytes / kSectorBytes;
}
constexpr uint64_t BlockWordSlot(uint64_t word) { return word >> 40; }
constexpr uint64_t BlockWordOffset(uint64_t word) { return (word >> 20 & 0xfffff) * kSectorBytes; }
constexpr uint64_t BlockWordBytes(uint64_t word) { return (word & 0xfffff) * kSectorBytes; }

// The line of the filter that a hash belongs to: it grows with the hash. REQUIRES: lines > 0.
constexpr uint32_t FilterLine(uint64_t hash, uint32_t lines) {
  return static_cast<uint32_t>(((hash >> kSlotBits) * lines) >> 40);
}
// The one bit that a hash has in word `i` of its line.
constexpr uint64_t FilterBit(uint64_t hash, uint32_t i) {
  // The odd numbers of Parquet's split block Bloom filter.
  constexpr std::array<uint32_t, kLineWords> kSalts = {0x47b6137b, 0x44974d91, 0x8824ad5b,
                                                       0xa2b7289d, 0x705495c7, 0x2df1424b,
                                                       0x9efc4947, 0x5c6bfb31};
  const auto mixed =
      static_cast<uint32_t>(((hash >> kSlotBits) * uint64_t{0x9e3779b97f4a7c15}) >> 32);
  return uint64_t{1} << ((mixed * kSalts[i]) >> 26);
}

inline uint32_t PageCrc(const IndexPage& page) { return Crc32c(&page, offsetof(IndexPage, crc)); }

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_KEY_INDEX_FORMAT_H_
