// Rows of one type at stable addresses, named by 32-bit numbers, in large chunks that never move:
// growing costs one mapping, never a copy.

#ifndef TALLYSTICK_LEDGER_SLAB_H_
#define TALLYSTICK_LEDGER_SLAB_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "ledger/pages.h"
#include "ledger/prefetch.h"

namespace tallystick::ledger {

// No row.
inline constexpr uint32_t kNoRow = ~uint32_t{0};

// The rows that were freed last are listed in `recent_`, and given out again first; when the list
// is full, half of it moves into a free row, a page of a stack of such pages. So all but one of
// many frees touch no cold row, and rows that come back from a page are fetched before they are
// needed. The first kKeptBytes of a free row stay as they were left.
//
// REQUIRES of Row: trivially copyable; all zeros is valid memory for it.
template <typename Row>
class Slab {
 public:
  static_assert(std::is_trivially_copyable_v<Row>);
  static constexpr size_t kKeptBytes = 16;
  static constexpr uint32_t kRowsPerChunk = 1u << 16;
  static constexpr size_t kChunkBytes = kRowsPerChunk * sizeof(Row);

  // Rows that may be in use at once at most: `limit` < kNoRow.
  explicit Slab(uint32_t limit, RegionSource* regions = nullptr) : limit_(limit), pages_(regions) {}
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  uint32_t limit() const { return limit_; }
  bool full() const { return used_ == limit_; }
  uint32_t used() const { return used_; }
  uint32_t room() const { return limit_ - used_; }
  // Whether the row is or was in use, so that it may be looked at.
  bool exists(uint32_t row) const { return row < end_; }
  size_t bytes() const { return chunks_.size() * kChunkBytes; }

  // A row of undefined content. REQUIRES: !full().
  uint32_t Allocate() {
    ++used_;
    if (recent_count_ > 0) return recent_[--recent_count_];
    if (page_ != kNoRow) return TakePage();
    if (end_ == chunks_.size() * kRowsPerChunk) {
      chunks_.push_back(reinterpret_cast<Row*>(pages_.Take(kChunkBytes)));
    }
    return end_++;
  }
  void Free(uint32_t row) {
    --used_;
    if (recent_count_ == recent_.size()) {
      MakePage(row);
    } else {
      recent_[recent_count_++] = row;
    }
  }

  Row& operator[](uint32_t row) { return chunks_[row / kRowsPerChunk][row % kRowsPerChunk]; }
  const Row& operator[](uint32_t row) const {
    return chunks_[row / kRowsPerChunk][row % kRowsPerChunk];
  }
  void Prefetch(uint32_t row) const { ledger::Prefetch(&(*this)[row]); }

 private:
  static constexpr uint32_t kPageRows = (sizeof(Row) - kKeptBytes) / sizeof(uint32_t) - 1;
  struct Page {
    std::byte kept[kKeptBytes];
    uint32_t next;  // page, or kNoRow
    uint32_t rows[kPageRows];
  };
  static_assert(kPageRows > 0 && sizeof(Page) <= sizeof(Row));

  // The oldest of the recent rows, into `row`.
  void MakePage(uint32_t row) {
    Page page;
    std::memcpy(&page, &(*this)[row], kKeptBytes);
    page.next = page_;
    std::memcpy(page.rows, recent_.data(), sizeof(page.rows));
    std::memcpy(static_cast<void*>(&(*this)[row]), &page, sizeof(page));
    page_ = row;
    std::memmove(recent_.data(), recent_.data() + kPageRows,
                 (recent_.size() - kPageRows) * sizeof(uint32_t));
    recent_count_ -= kPageRows;
  }
  // Gives out the page itself, too.
  uint32_t TakePage() {
    const uint32_t row = page_;
    Page page;
    std::memcpy(&page, &(*this)[row], sizeof(page));
    std::memcpy(recent_.data(), page.rows, sizeof(page.rows));
    recent_count_ = kPageRows;
    page_ = page.next;
    if (page_ != kNoRow) Prefetch(page_);
    for (const uint32_t free : page.rows) Prefetch(free);
    return row;
  }

  uint32_t limit_;
  uint32_t used_ = 0;
  uint32_t end_ = 0;  // rows that were ever used
  std::array<uint32_t, 2 * kPageRows> recent_;
  uint32_t recent_count_ = 0;
  uint32_t page_ = kNoRow;
  Pages pages_;
  std::vector<Row*> chunks_;
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_SLAB_H_
