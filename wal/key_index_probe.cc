#include "wal/key_index_probe.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "wal/check.h"

namespace tallystick::wal {
namespace {

absl::Span<const uint64_t> Words(const IndexPage& page, uint32_t count) {
  return {reinterpret_cast<const uint64_t*>(page.content), count};
}

// How many of the ascending words are at most `target`.
size_t CountUpTo(absl::Span<const uint64_t> words, uint64_t target) {
  return static_cast<size_t>(std::upper_bound(words.begin(), words.end(), target) - words.begin());
}

bool HasHash(const IndexPage& page, uint32_t line, uint64_t hash) {
  const uint64_t* const words =
      reinterpret_cast<const uint64_t*>(page.content) + size_t{line} * kLineWords;
  uint64_t missing = 0;
  for (uint32_t i = 0; i < kLineWords; ++i) missing |= FilterBit(hash, i) & ~words[i];
  return missing == 0;
}

}  // namespace

KeyIndexProbe KeyIndexProbe::ForKey(const KeyIndex& index, size_t family, const Id128& key,
                                    uint64_t before_slot) {
  TALLYSTICK_CHECK(family < kKeyFamilies);
  KeyIndexProbe probe(index, 1 + family);
  const uint32_t lines = index.header().families[family].lines;
  if (lines == 0 || before_slot == 0) return probe;
  probe.hash_ = HashKey(key, index.header().seed);
  probe.target_ = EntryWord(probe.hash_, std::min(before_slot, kMaxIndexedSlots) - 1);
  const uint32_t line = FilterLine(probe.hash_, lines);
  probe.next_ = index.layout().first_filter_page[family] + line / kPageLines;
  probe.line_ = line % kPageLines;
  return probe;
}

KeyIndexProbe KeyIndexProbe::ForBlock(const KeyIndex& index, uint64_t slot) {
  const IndexHeader& header = index.header();
  TALLYSTICK_CHECK(slot < header.next_position - header.first_position);
  KeyIndexProbe probe(index, kBlockTree);
  probe.target_ = BlockWord(slot + 1, 0, 0) - 1;
  probe.EnterTree();
  return probe;
}

void KeyIndexProbe::EnterTree() {
  const size_t below = CountUpTo(index_->Root(tree()), target_);
  next_ = 0;
  if (below == 0) return;
  fence_ = static_cast<uint32_t>(below) - 1;
  next_ = tree().first_fence + fence_;
  stage_ = Stage::kFence;
}

absl::StatusOr<uint32_t> KeyIndexProbe::Advance(const IndexPage* page) {
  if (page != nullptr) {
    if (absl::Status checked = index_->Check(*page, next_); !checked.ok()) return checked;
  }
  while (next_ != 0) {
    if (page == nullptr) page = index_->InMemory(next_);
    if (page == nullptr) return next_;
    if (absl::Status stepped = Step(*page); !stepped.ok()) return stepped;
    page = nullptr;
  }
  return 0;
}

absl::Status KeyIndexProbe::Step(const IndexPage& page) {
  if (stage_ == Stage::kFilter) {
    HasHash(page, line_, hash_) ? EnterTree() : static_cast<void>(next_ = 0);
    return absl::OkStatus();
  }
  const bool is_fence = stage_ == Stage::kFence;
  const uint32_t leaf = next_ - tree().first_leaf;
  const absl::Span<const uint64_t> words =
      Words(page, is_fence ? tree().FenceWords(fence_) : tree().LeafWords(leaf));
  const size_t count = CountUpTo(words, target_);
  // The word above has said so.
  if (count == 0) {
    return absl::DataLossError(absl::StrCat(index_->path(), ": page ", next_,
                                            " of the index does not begin as the page above it "
                                            "says: build it anew from its segment"));
  }
  if (is_fence) {
    next_ = tree().first_leaf + fence_ * kPageWords + static_cast<uint32_t>(count) - 1;
    stage_ = Stage::kLeaf;
    return absl::OkStatus();
  }
  next_ = 0;
  if (tree_ == kBlockTree) {
    block_word_ = words[count - 1];
  } else {
    TakeEntries(words.subspan(0, count), leaf);
  }
  return absl::OkStatus();
}

void KeyIndexProbe::TakeEntries(absl::Span<const uint64_t> words, uint32_t leaf) {
  size_t left = words.size();
  for (; left > 0 && SameHash(words[left - 1], hash_); --left) {
    const auto slot = static_cast<uint32_t>(EntrySlot(words[left - 1]));
    // Two keys of one record may have hashes that begin alike.
    if (slots_.empty() || slots_.back() != slot) slots_.push_back(slot);
  }
  more_ = left == 0 && leaf > 0 && !slots_.empty();
}

}  // namespace tallystick::wal
