#include "tests/wal/index_harness.h"

#include <algorithm>

#include "gtest/gtest.h"
#include "wal/block.h"
#include "wal/key_index_probe.h"

namespace tallystick::wal {
namespace {

BlockHeader MakeHeader(const IndexSource& source, uint64_t slot, uint64_t count) {
  BlockHeader header{};
  header.magic = kBlockMagic;
  header.format_version = kFormatVersion;
  header.type = slot == 0 ? BlockType::kStart : BlockType::kRecords;
  header.ledger_id = kIdentity.ledger_id;
  header.shard = kIdentity.shard;
  header.shard_count = kIdentity.shard_count;
  header.segment = source.segment;
  header.first_position = source.first_position + slot;
  header.count = static_cast<uint32_t>(count);
  header.bytes = static_cast<uint32_t>(BlockBytes(count));
  header.timestamp_us = static_cast<int64_t>(kFirstTimestamp + slot);
  return header;
}

// Advances a probe to its end.
absl::Status Run(Io& io, const KeyIndex& index, KeyIndexProbe& probe) {
  absl::StatusOr<Handle> handle = io.Open(index.path(), {.direct = true});
  if (!handle.ok()) return handle.status();
  IndexPage page;
  absl::StatusOr<uint32_t> wanted = probe.Advance(nullptr);
  while (wanted.ok() && *wanted != 0) {
    const absl::StatusOr<size_t> got = io.ReadAt(*handle, uint64_t{*wanted} * sizeof(page),
                                                 reinterpret_cast<std::byte*>(&page), sizeof(page));
    EXPECT_TRUE(got.ok() && *got == sizeof(page));
    wanted = probe.Advance(&page);
  }
  io.Close(*handle);
  return wanted.status();
}

}  // namespace

absl::Status WriteIndex(Io& io, const IndexSource& source) {
  KeyIndexWriter writer(kIdentity, source.segment);
  std::array<size_t, kKeyFamilies> next{};
  uint64_t offset = 0;
  for (uint64_t slot = 0; slot < source.slots;) {
    // The start block has one slot.
    const uint64_t count = slot == 0 ? 1 : std::min(source.block_slots, source.slots - slot);
    const BlockHeader header = MakeHeader(source, slot, count);
    if (absl::Status added = writer.AddBlock(header, offset); !added.ok()) return added;
    offset += header.bytes;
    slot += count;
    for (size_t f = 0; f < kKeyFamilies; ++f) {
      const auto& keys = source.keys[f];
      for (; next[f] < keys.size() && keys[next[f]].second < source.first_position + slot;
           ++next[f]) {
        writer.AddKey(f, keys[next[f]].first, keys[next[f]].second);
      }
    }
  }
  return writer.Write(io, kLogDirectory);
}

absl::StatusOr<std::vector<uint64_t>> FindAll(Io& io, const KeyIndex& index, size_t family,
                                              const Id128& key, uint64_t before) {
  const uint64_t first = index.header().first_position;
  std::vector<uint64_t> positions;
  for (uint64_t before_slot = std::min(before, index.header().next_position) - first;;) {
    KeyIndexProbe probe = KeyIndexProbe::ForKey(index, family, key, before_slot);
    if (absl::Status run = Run(io, index, probe); !run.ok()) return run;
    EXPECT_LE(probe.slots().size(), kPageWords);
    for (const uint32_t slot : probe.slots()) positions.push_back(first + slot);
    if (!probe.more()) return positions;
    before_slot = probe.slots().back();
  }
}

absl::StatusOr<uint64_t> FindBlock(Io& io, const KeyIndex& index, uint64_t position) {
  KeyIndexProbe probe = KeyIndexProbe::ForBlock(index, position - index.header().first_position);
  if (absl::Status run = Run(io, index, probe); !run.ok()) return run;
  return probe.block_word();
}

}  // namespace tallystick::wal
