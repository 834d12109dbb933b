// One block in memory: finishing it before it is written, checking it after it was read.

#ifndef TALLYSTICK_WAL_BLOCK_H_
#define TALLYSTICK_WAL_BLOCK_H_

#include <cstddef>
#include <cstdint>

#include "wal/format.h"

namespace tallystick::wal {

// The size on disk of a block of `count` slots.
constexpr size_t BlockBytes(size_t count) {
  const size_t used = sizeof(BlockHeader) + count * sizeof(Slot);
  return (used + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
}

// The most slots that a block of `bytes` holds. REQUIRES: bytes >= kSectorBytes.
constexpr size_t SlotsThatFit(size_t bytes) { return (bytes - sizeof(BlockHeader)) / sizeof(Slot); }

static_assert(BlockBytes(kMaxBlockSlots) == kMaxBlockBytes);
static_assert(SlotsThatFit(kMaxBlockBytes) == kMaxBlockSlots);

// Completes the block whose header fields (but for magic, version, bytes, checksums and reserved
// bytes) and slots are in place: fills in the rest and zeros the padding.
// REQUIRES: BlockBytes(header.count) bytes of memory, aligned to 8.
void FinishBlock(std::byte* block);

// Whether the 128 bytes are a block's header of some format version: magic and CRC are right.
// These two keep their place in every version, so a later version can be told from damage.
bool IsHeader(const BlockHeader& header);

// What is wrong with a header regardless of where it lies, as a phrase; nullptr: nothing.
const char* HeaderFault(const BlockHeader& header);

// Whether the body's checksum is right. REQUIRES: header.bytes bytes at `block`.
bool BodyMatches(const BlockHeader& header, const std::byte* block);

// Whether a segment's first bytes, up to a sector of them, are the sound start block of segment
// `segment`. REQUIRES: aligned to 8.
bool IsStartOf(uint64_t segment, const std::byte* bytes, size_t size);

// What the next block's previous_hash is.
Id128 HeaderHash(const BlockHeader& header);

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_BLOCK_H_
