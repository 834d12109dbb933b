#include "ledger/transits.h"

#include <algorithm>

namespace tallystick::ledger {

uint32_t Transits::Append(const Transit& transit) {
  const uint32_t row = rows_.Allocate();
  rows_[row] = transit;
  rows_[row].previous = last_;
  rows_[row].next = kNoRow;
  (last_ == kNoRow ? first_ : rows_[last_].next) = row;
  last_ = row;
  return row;
}

void Transits::Remove(uint32_t row) {
  const Transit& transit = rows_[row];
  (transit.previous == kNoRow ? first_ : rows_[transit.previous].next) = transit.next;
  (transit.next == kNoRow ? last_ : rows_[transit.next].previous) = transit.previous;
  rows_.Free(row);
}

bool Arrivals::Has(Position position) const { return std::binary_search(begin(), end(), position); }

bool Arrivals::HasRoom(Position open_from) const {
  return end() - std::lower_bound(begin(), end(), open_from) <
         static_cast<std::ptrdiff_t>(kMaxArrivals);
}

void Arrivals::Settle(Position open_from) {
  open_from_ = open_from;
  begin_ = static_cast<size_t>(std::lower_bound(begin(), end(), open_from) - positions_.data());
}

void Arrivals::Add(Position position) {
  if (begin_ >= kMaxArrivals || positions_.capacity() == 0) {
    positions_.reserve(2 * kMaxArrivals);
    positions_.erase(positions_.begin(), positions_.begin() + static_cast<std::ptrdiff_t>(begin_));
    begin_ = 0;
  }
  positions_.insert(positions_.begin() + (std::lower_bound(begin(), end(), position) - begin()) +
                        static_cast<std::ptrdiff_t>(begin_),
                    position);
  newest_ = std::max(newest_, position);
}

}  // namespace tallystick::ledger
