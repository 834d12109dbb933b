// The log's bytes. docs/log-format.md is the specification; this file is its C++.

#ifndef TALLYSTICK_WAL_FORMAT_H_
#define TALLYSTICK_WAL_FORMAT_H_

#include <cstddef>
#include <cstdint>

#include "wal/io.h"

namespace tallystick::wal {

inline constexpr uint32_t kBlockMagic = 0x4b594c54;  // "TLYK" in the file
inline constexpr uint16_t kFormatVersion = 1;

struct Id128 {
  uint64_t low = 0;
  uint64_t high = 0;
  friend bool operator==(const Id128&, const Id128&) = default;
};

// An opaque 128-byte unit. Each has a position of its own, from 1.
struct alignas(8) Slot {
  std::byte bytes[128];
};
static_assert(sizeof(Slot) == 128);

enum class BlockType : uint8_t {
  kStart = 1,    // the first block of every segment, and only there; one slot: StartInfo
  kRecords = 2,  // slots of the layer above
  kWitness = 3,  // appended when the writer goes idle or stops; one slot of zeros
};

// Begins every block; the slots follow, then zeros up to a multiple of kSectorBytes.
struct BlockHeader {
  uint32_t magic;
  uint16_t format_version;
  BlockType type;
  uint8_t flags;  // the layer above's; 0 in start and witness blocks
  Id128 ledger_id;
  uint16_t shard;
  uint16_t shard_count;
  uint32_t epoch;    // grows at every opening of the log for writing, from 1; never given twice
  uint64_t segment;  // number of the file that this block was written for, from 1
  uint64_t first_position;  // of the first slot
  uint32_t count;           // slots
  uint32_t bytes;           // the whole block: header, slots, padding
  int64_t timestamp_us;     // never goes back from block to block
  uint64_t durable_before;  // every position below was durable when this block was built
  Id128 previous_hash;      // XXH3-128 of the previous block's header (which holds its body's CRC);
                            // zero in the first block of all
  uint64_t digest;          // the layer above's; 0 where flags say there is none
  uint16_t engine_version;  // the layer above's
  uint8_t reserved[22];     // zeros
  uint32_t body_crc;        // CRC32C of all bytes behind the header, padding included
  uint32_t header_crc;      // CRC32C of the 124 bytes before it
};
static_assert(sizeof(BlockHeader) == 128);
static_assert(offsetof(BlockHeader, segment) == 32 && offsetof(BlockHeader, timestamp_us) == 56 &&
              offsetof(BlockHeader, previous_hash) == 72 && offsetof(BlockHeader, body_crc) == 120);

enum class StartReason : uint8_t {
  kCreated = 1,   // the log's first segment
  kRollover = 2,  // the segment before it is full
  kReopened = 3,  // a new epoch behind a whole log
  kCut = 4,       // a new epoch behind a torn tail
};

// The slot of a start block: where the log went on from.
struct StartInfo {
  uint64_t previous_segment;  // 0 for kCreated
  uint64_t previous_end;      // offset in it at which its valid blocks end
  StartReason reason;
  uint8_t reserved[111];
};
static_assert(sizeof(StartInfo) == sizeof(Slot));

// Whose log it is.
struct LogIdentity {
  Id128 ledger_id;
  uint16_t shard = 0;
  uint16_t shard_count = 1;
};

// A place behind a block of a log, from which it can be read on.
struct LogPlace {
  uint64_t segment = 0;
  uint64_t offset = 0;       // behind the block
  uint64_t last_offset = 0;  // of the block
  uint64_t next_position = 1;
  int64_t timestamp_us = 0;  // of the block
  Id128 last_hash;           // of its header
  uint32_t epoch = 0;
};

// The largest segment: an index of it numbers its slots with 24 bits. See docs/index-format.md.
inline constexpr uint64_t kMaxSegmentBytes = uint64_t{2} << 30;

// The largest block: what one batch of the layer above may need at the most (the settling of an
// account with every lot it may hold), and a power of two for whoever reads.
inline constexpr size_t kMaxBlockBytes = size_t{4} << 20;
inline constexpr size_t kMaxBlockSlots = kMaxBlockBytes / sizeof(Slot) - 1;

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_FORMAT_H_
