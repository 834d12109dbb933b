// A snapshot's bytes. docs/snapshot-format.md is the specification; this file is its C++.

#ifndef TALLYSTICK_WAL_SNAPSHOT_FORMAT_H_
#define TALLYSTICK_WAL_SNAPSHOT_FORMAT_H_

#include <cstddef>
#include <cstdint>

#include "wal/format.h"

namespace tallystick::wal {

inline constexpr uint32_t kSnapshotMagic = 0x53594c54;  // "TLYS" in the file
inline constexpr uint16_t kSnapshotVersion = 1;

enum class ChunkType : uint8_t {
  kHead = 1,  // the first: a SnapshotHead
  kPart = 2,  // of the layer above's image
  kEnd = 3    // the last: a SnapshotEnd
};

// Begins every chunk; the body follows, then zeros up to a multiple of kSectorBytes.
struct ChunkHeader {
  uint32_t magic;
  uint16_t format_version;
  ChunkType type;
  uint8_t reserved;
  Id128 ledger_id;
  uint16_t shard;
  uint16_t shard_count;
  uint32_t number;      // from 0, in the order of the file
  uint64_t position;    // the last that the snapshot covers
  uint32_t body_bytes;  // without the padding
  uint32_t bytes;       // of the whole chunk
  Id128 previous_hash;  // XXH3-128 of the previous chunk's header; zero in the first
  uint8_t reserved2[56];
  uint32_t body_crc;    // CRC32C of all bytes behind the header, padding included
  uint32_t header_crc;  // CRC32C of the 124 bytes before it
};
static_assert(sizeof(ChunkHeader) == 128);
static_assert(offsetof(ChunkHeader, body_crc) == 120);

// Where the log goes on, and when it was taken.
struct SnapshotHead {
  uint64_t segment;
  uint64_t offset;
  uint64_t last_offset;
  int64_t timestamp_us;
  Id128 last_hash;
  uint32_t epoch;
  uint32_t reserved;
  int64_t taken_us;  // wall clock
};
static_assert(sizeof(SnapshotHead) == 64);

struct SnapshotEnd {
  uint64_t chunks;  // this one included
  uint64_t bytes;   // of the file
};
static_assert(sizeof(SnapshotEnd) == 16);

// The largest chunk, and what it holds of an image.
inline constexpr size_t kMaxChunkBytes = size_t{512} << 10;
inline constexpr size_t kMaxPartBytes = kMaxChunkBytes - sizeof(ChunkHeader);

// The size on disk of a chunk with such a body.
constexpr size_t ChunkBytes(size_t body_bytes) {
  return (sizeof(ChunkHeader) + body_bytes + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
}
static_assert(ChunkBytes(kMaxPartBytes) == kMaxChunkBytes);

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_SNAPSHOT_FORMAT_H_
