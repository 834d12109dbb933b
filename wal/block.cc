#include "wal/block.h"

#include <bit>
#include <cstring>

#include "wal/check.h"
#include "wal/checksum.h"

namespace tallystick::wal {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

void FinishBlock(std::byte* block) {
  auto* header = reinterpret_cast<BlockHeader*>(block);
  TALLYSTICK_CHECK(header->count >= 1 && header->count <= kMaxBlockSlots);
  const size_t bytes = BlockBytes(header->count);
  const size_t used = sizeof(BlockHeader) + header->count * sizeof(Slot);
  std::memset(block + used, 0, bytes - used);
  header->magic = kBlockMagic;
  header->format_version = kFormatVersion;
  header->bytes = static_cast<uint32_t>(bytes);
  std::memset(header->reserved, 0, sizeof(header->reserved));
  header->body_crc = Crc32c(block + sizeof(BlockHeader), bytes - sizeof(BlockHeader));
  header->header_crc = Crc32c(header, offsetof(BlockHeader, header_crc));
}

bool IsHeader(const BlockHeader& header) {
  return header.magic == kBlockMagic &&
         header.header_crc == Crc32c(&header, offsetof(BlockHeader, header_crc));
}

const char* HeaderFault(const BlockHeader& header) {
  if (header.magic != kBlockMagic) return "no block begins here";
  if (!IsHeader(header)) return "the header's checksum is wrong";
  if (header.format_version != kFormatVersion) return "the format version is another";
  if (header.count < 1 || header.count > kMaxBlockSlots) return "the count of slots is impossible";
  if (header.bytes != BlockBytes(header.count)) return "size and count do not agree";
  if (header.durable_before > header.first_position) return "it knows of later positions";
  switch (header.type) {
    case BlockType::kStart:
    case BlockType::kWitness:
      return header.count == 1 ? nullptr : "the count of slots is impossible for its type";
    case BlockType::kRecords:
      return nullptr;
  }
  return "the block's type is unknown";
}

bool BodyMatches(const BlockHeader& header, const std::byte* block) {
  return header.body_crc == Crc32c(block + sizeof(BlockHeader), header.bytes - sizeof(BlockHeader));
}

bool IsStartOf(uint64_t segment, const std::byte* bytes, size_t size) {
  if (size < sizeof(BlockHeader)) return false;
  const auto& header = *reinterpret_cast<const BlockHeader*>(bytes);
  return HeaderFault(header) == nullptr && header.type == BlockType::kStart &&
         header.segment == segment && header.bytes <= size && BodyMatches(header, bytes);
}

Id128 HeaderHash(const BlockHeader& header) { return Hash128(&header, sizeof(header)); }

}  // namespace tallystick::wal
