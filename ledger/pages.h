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
  // As MapRegion, but its pages may be there already.
  virtual std::byte* TakeRegion() = 0;
};

class Pages {
 public:
  // `source`: of all regions but the first, which a small table doesn't fill; null: MapRegion.
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
      const bool from_source = source_ != nullptr && !regions_.empty();
      regions_.push_back(from_source ? source_->TakeRegion() : MapRegion());
      left_ = kRegionBytes;
    }
    std::byte* taken = regions_.back() + kRegionBytes - left_;
    left_ -= size;
    return taken;
  }

 private:
  RegionSource* const source_;
  std::vector<std::byte*> regions_;
  size_t left_ = 0;  // of the last region
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_PAGES_H_
