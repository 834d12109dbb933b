#include "wal/log_scan.h"

#include <algorithm>
#include <cstring>

#include "wal/block.h"

namespace tallystick::wal {
namespace {

// How many bytes up to the last one that is not zero.
size_t UsedBytes(absl::Span<const std::byte> sector) {
  static constexpr std::byte kZeros[kSectorBytes] = {};
  if (std::memcmp(sector.data(), kZeros, sector.size()) == 0) return 0;
  const std::byte* const bytes = sector.data();
  size_t used = sector.size();
  while (bytes[used - 1] == std::byte{0}) --used;
  return used;
}

}  // namespace

bool BelongsTo(const BlockHeader& header, const LogIdentity& identity) {
  return header.ledger_id == identity.ledger_id && header.shard == identity.shard &&
         header.shard_count == identity.shard_count;
}

absl::Status ScanSegment(SegmentWindow& window, const LogIdentity& identity, uint64_t number,
                         uint64_t offset, ScanResult& result) {
  absl::Status opened = window.Open(number);
  if (!opened.ok()) return opened;
  uint64_t leftover_bytes = 0;
  for (uint64_t at = offset; at < window.size_bytes(); at += kSectorBytes) {
    absl::StatusOr<absl::Span<const std::byte>> bytes = window.Read(at, kSectorBytes);
    if (!bytes.ok()) return bytes.status();
    const absl::Span<const std::byte> sector = bytes->subspan(0, kSectorBytes);
    const size_t used = UsedBytes(sector);
    if (used == 0) continue;
    leftover_bytes = at - offset + used;
    if (sector.size() < sizeof(BlockHeader)) continue;
    const auto& header = *reinterpret_cast<const BlockHeader*>(sector.data());
    if (HeaderFault(header) != nullptr || header.segment != number ||
        !BelongsTo(header, identity)) {
      continue;
    }
    if (header.durable_before > result.durable_before) {
      result.durable_before = header.durable_before;
      result.witness_segment = number;
      result.witness_offset = at;
    }
  }
  result.leftover_bytes += leftover_bytes;
  return absl::OkStatus();
}

}  // namespace tallystick::wal
