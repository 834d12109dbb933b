// An archived segment's bytes. docs/archive-format.md is the specification; this file is its C++.

#ifndef TALLYSTICK_WAL_ARCHIVE_FORMAT_H_
#define TALLYSTICK_WAL_ARCHIVE_FORMAT_H_

#include <cstddef>
#include <cstdint>

#include "wal/format.h"

namespace tallystick::wal {

inline constexpr uint32_t kArchiveMagic = 0x41594c54;  // "TLYA" in the file
inline constexpr uint16_t kArchiveVersion = 1;

enum class ArchivePacking : uint8_t { kZstd = 1 };

// The first sector of the file; the frame table follows, then the frames.
struct ArchiveHead {
  uint32_t magic;
  uint16_t format_version;
  ArchivePacking packing;
  uint8_t reserved;
  Id128 ledger_id;
  uint16_t shard;
  uint16_t shard_count;
  uint32_t epoch;
  uint64_t segment;
  uint64_t segment_bytes;  // valid bytes: up to where the next segment says that it ends
  uint64_t first_position;
  uint64_t next_position;  // behind its last slot
  int64_t first_timestamp_us;
  int64_t last_timestamp_us;
  Id128 last_hash;       // of its last block's header
  int64_t archived_us;   // wall clock
  uint64_t file_bytes;   // of the archive
  uint32_t frame_bytes;  // unpacked; the last frame may hold less
  uint32_t frame_count;
  uint32_t table_bytes;  // whole sectors
  uint32_t table_crc;    // CRC32C of all of them
  std::byte start[256];  // of the segment: its start block's header and slot
  std::byte reserved2[3708];
  uint32_t head_crc;  // CRC32C of the bytes before it
};
static_assert(sizeof(ArchiveHead) == kSectorBytes);
static_assert(offsetof(ArchiveHead, segment) == 32 && offsetof(ArchiveHead, last_hash) == 80 &&
              offsetof(ArchiveHead, frame_bytes) == 112 && offsetof(ArchiveHead, start) == 128 &&
              offsetof(ArchiveHead, head_crc) == 4092);

// One for each frame, in order; zeros up to whole sectors follow the last.
struct ArchiveFrame {
  uint64_t offset;  // in the file, a whole number of sectors
  uint32_t bytes;   // packed; zeros up to whole sectors follow
  uint32_t crc;     // CRC32C of all bytes of these sectors
};
static_assert(sizeof(ArchiveFrame) == 16);

// What a statement unpacks for one block of its walk, and large enough to pack well: twice as much
// packs 1 % better.
inline constexpr size_t kArchiveFrameBytes = size_t{256} << 10;
// What a reader accepts.
inline constexpr size_t kMaxArchiveFrameBytes = size_t{4} << 20;
// Of a segment of 64 GiB, sixteen times the largest that tallyd makes.
inline constexpr size_t kMaxArchiveFrames = size_t{256} << 10;

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_ARCHIVE_FORMAT_H_
