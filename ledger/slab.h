// Rows of one type at stable addresses, named by 32-bit numbers, in large chunks that never move:
// growing costs one mapping, never a copy.

#ifndef TALLYSTICK_LEDGER_SLAB_H_
#define TALLYSTICK_LEDGER_SLAB_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "ledger/pages.h"
#include "ledger/prefetch.h"

namespace tallystick::ledger {

// No row.
inline constexpr uint32_t kNoRow = ~uint32_t{0};

// Row needs a `uint32_t next` for the free list, used as such only while it is free.
// REQUIRES of Row: trivially copyable; all zeros is valid memory for it.
template <typename Row>
class Slab {
 public:
  static_assert(std::is_trivially_copyable_v<Row>);
  static constexpr uint32_t kRowsPerChunk = 1u << 16;
  static constexpr size_t kChunkBytes = kRowsPerChunk * sizeof(Row);

  // Rows that may be in use at once at most: `limit` < kNoRow.
  explicit Slab(uint32_t limit) : limit_(limit) {}
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  bool full() const { return used_ == limit_; }
  uint32_t used() const { return used_; }
  size_t bytes() const { return chunks_.size() * kChunkBytes; }

  // A row of undefined content. REQUIRES: !full().
  uint32_t Allocate() {
    ++used_;
    if (free_ != kNoRow) {
      const uint32_t row = free_;
      free_ = (*this)[row].next;
      return row;
    }
    if (end_ == chunks_.size() * kRowsPerChunk) {
      chunks_.push_back(reinterpret_cast<Row*>(pages_.Take(kChunkBytes)));
    }
    return end_++;
  }
  void Free(uint32_t row) {
    (*this)[row].next = free_;
    free_ = row;
    --used_;
  }

  Row& operator[](uint32_t row) { return chunks_[row / kRowsPerChunk][row % kRowsPerChunk]; }
  const Row& operator[](uint32_t row) const {
    return chunks_[row / kRowsPerChunk][row % kRowsPerChunk];
  }
  void Prefetch(uint32_t row) const { ledger::Prefetch(&(*this)[row]); }

 private:
  uint32_t limit_;
  uint32_t used_ = 0;
  uint32_t end_ = 0;  // rows that were ever used
  uint32_t free_ = kNoRow;
  Pages pages_;
  std::vector<Row*> chunks_;
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_SLAB_H_
