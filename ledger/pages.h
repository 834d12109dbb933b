// Zeroed memory for tables that only grow, in huge pages where the system grants them: a random
// access then misses the cache, not the page tables as well.

#ifndef TALLYSTICK_LEDGER_PAGES_H_
#define TALLYSTICK_LEDGER_PAGES_H_

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ledger/check.h"

namespace tallystick::ledger {

inline constexpr size_t kHugePage = size_t{2} << 20;
inline constexpr size_t kRegionBytes = 32 * kHugePage;

// Zeroed, on a boundary of huge pages, to be unmapped. No page of it is there before it is touched.
inline std::byte* MapRegion() {
  void* mapped = mmap(nullptr, kRegionBytes + kHugePage, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  TALLYSTICK_LEDGER_CHECK(mapped != MAP_FAILED);
  // What lies before and behind it is given back.
  const size_t before = -reinterpret_cast<uintptr_t>(mapped) % kHugePage;
  auto* region = static_cast<std::byte*>(mapped) + before;
  if (before > 0) munmap(mapped, before);
  munmap(region + kRegionBytes, kHugePage - before);
  madvise(region, kRegionBytes, MADV_HUGEPAGE);
  return region;
}

// Where tables that grow get their regions from.
class RegionSource {
 public:
  virtual ~RegionSource() = default;
  // As MapRegion, but its pages may be there already. `first`: of a table that may stay small.
  virtual std::byte* TakeRegion(bool first) = 0;
  // Whole huge pages that will be touched before long; what is written there meanwhile is kept. A
  // hint.
  virtual void TouchAhead(std::byte* from, size_t size) = 0;
};

class Pages {
 public:
  // `source`: of regions; null: MapRegion.
  explicit Pages(RegionSource* source) : source_(source) {}
  ~Pages() {
    for (std::byte* region : regions_) munmap(region, kRegionBytes);
  }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;

  // Aligned to 64 bytes; there until the end. Nothing is used before it is touched. REQUIRES: at
  // most kRegionBytes.
  std::byte* Take(size_t size) {
    size = (size + 63) / 64 * 64;
    TALLYSTICK_LEDGER_CHECK(size <= kRegionBytes);
    if (size > left_) {
      regions_.push_back(source_ != nullptr ? source_->TakeRegion(regions_.empty()) : MapRegion());
      left_ = kRegionBytes;
    }
    std::byte* taken = regions_.back() + kRegionBytes - left_;
    left_ -= size;
    if (source_ != nullptr && regions_.size() == 1) TouchAhead();
    return taken;
  }

 private:
  // In the first region, as far again as is in use, so that small tables stay small.
  void TouchAhead() {
    for (; touched_ < kRegionBytes && kRegionBytes - left_ >= touched_ / 2; touched_ *= 2) {
      source_->TouchAhead(regions_.front() + touched_, touched_);
    }
  }

  RegionSource* const source_;
  std::vector<std::byte*> regions_;
  size_t left_ = 0;             // of the last region
  size_t touched_ = kHugePage;  // of the first region, from its start: or soon
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_PAGES_H_
