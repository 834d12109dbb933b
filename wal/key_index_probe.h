// One question to one key index, a page at a time: it knows no file, so that it serves one reader
// and many at once alike.

#ifndef TALLYSTICK_WAL_KEY_INDEX_PROBE_H_
#define TALLYSTICK_WAL_KEY_INDEX_PROBE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "wal/format.h"
#include "wal/key_index.h"

namespace tallystick::wal {

class KeyIndexProbe {
 public:
  // Entries of `key` in slots below `before_slot`, the largest first, as many as one page has. At
  // most three pages are read: the filter's, a fence and a leaf; the first two only where they are
  // not in memory. The index outlives the probe.
  static KeyIndexProbe ForKey(const KeyIndex& index, size_t family, const Id128& key,
                              uint64_t before_slot);
  // The block that holds a slot: a fence and a leaf, where the tables are not in memory.
  // REQUIRES: slot is one of the segment's.
  static KeyIndexProbe ForBlock(const KeyIndex& index, uint64_t slot);

  // Goes on as far as memory has what it needs. `page`: the one asked for, as it was read; nullptr
  // at first. Returns the number of the page to read next; 0: it is done. DataLoss: damaged.
  absl::StatusOr<uint32_t> Advance(const IndexPage* page);

  // The answer, once it is done. Slots fall; another key's may be among them, whose hash begins
  // alike: look at the records.
  absl::Span<const uint32_t> slots() const { return slots_; }
  // There may be others below the last: ask again, with before_slot = slots().back().
  bool more() const { return more_; }
  uint64_t block_word() const { return block_word_; }

 private:
  enum class Stage : uint8_t { kFilter, kFence, kLeaf };

  KeyIndexProbe(const KeyIndex& index, size_t tree) : index_(&index), tree_(tree) {}
  const IndexTree& tree() const { return index_->layout().trees[tree_]; }
  void EnterTree();
  // Takes a page, and says which one is next.
  absl::Status Step(const IndexPage& page);
  // The last ones of these words of a leaf.
  void TakeEntries(absl::Span<const uint64_t> words, uint32_t leaf);

  const KeyIndex* index_;
  size_t tree_;
  Stage stage_ = Stage::kFilter;
  uint64_t hash_ = 0;
  uint64_t target_ = 0;  // the greatest word looked for
  uint32_t next_ = 0;    // page
  uint32_t line_ = 0;    // in the filter's page
  uint32_t fence_ = 0;
  std::vector<uint32_t> slots_;
  bool more_ = false;
  uint64_t block_word_ = 0;
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_KEY_INDEX_PROBE_H_
