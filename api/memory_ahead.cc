#include "api/memory_ahead.h"

#include <sys/mman.h>

#include <algorithm>

namespace tallystick {
namespace {

constexpr size_t kPageBytes = 4096;
// Touched in one go: stopping waits for it.
constexpr size_t kPieceBytes = 4 * ledger::kHugePage;

// MADV_POPULATE_WRITE of Linux 5.14 asks for all pages in one call, and leaves their content alone.
bool Populate(std::byte* from, size_t size) {
#ifdef MADV_POPULATE_WRITE
  return madvise(from, size, MADV_POPULATE_WRITE) == 0;
#else
  return false;
#endif
}

// Older kernels have the pages of what nobody uses yet touched one by one.
void TouchPiece(std::byte* piece) {
  if (Populate(piece, kPieceBytes)) return;
  for (size_t offset = 0; offset < kPieceBytes; offset += kPageBytes) {
    *const_cast<volatile std::byte*>(piece + offset) = std::byte{0};
  }
}

}  // namespace

MemoryAhead::MemoryAhead(size_t reserved_bytes)
    : reserved_((reserved_bytes + ledger::kRegionBytes - 1) / ledger::kRegionBytes) {
  thread_ = std::thread([this] { Run(); });
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return reserved_ == 0; });
}

MemoryAhead::~MemoryAhead() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
  for (std::byte* region : ready_) munmap(region, ledger::kRegionBytes);
}

std::byte* MemoryAhead::TakeRegion(bool first) {
  std::byte* region = nullptr;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!ready_.empty()) {
      region = ready_.back();
      ready_.pop_back();
    }
    if (!first || region != nullptr) ++taken_;
  }
  changed_.notify_all();
  return region != nullptr ? region : ledger::MapRegion();
}

void MemoryAhead::TouchAhead(std::byte* from, size_t size) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (ranges_.size() == kMostRanges) return;
    ranges_.push_back({from, size});
  }
  changed_.notify_all();
}

size_t MemoryAhead::ready() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return ready_.size();
}

size_t MemoryAhead::Wanted() const {
  if (taken_ == 0) return 0;
  return std::min(kMostSpares, 1 + taken_ / 8);
}

void MemoryAhead::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] {
      return stopping_ || reserved_ > 0 || !ranges_.empty() || ready_.size() < Wanted();
    });
    if (stopping_) return;
    if (!ranges_.empty()) {
      const Range range = ranges_.back();
      ranges_.pop_back();
      lock.unlock();
      // When its table is gone, it fails, or readies what somebody else has there now, whose
      // content it keeps.
      Populate(range.from, range.size);
      lock.lock();
      continue;
    }
    lock.unlock();
    std::byte* region = ledger::MapRegion();
    const bool touched = Touch(region);
    lock.lock();
    if (!touched) {
      munmap(region, ledger::kRegionBytes);
      return;
    }
    ready_.push_back(region);
    if (reserved_ > 0 && --reserved_ == 0) changed_.notify_all();
  }
}

bool MemoryAhead::Touch(std::byte* region) {
  for (size_t offset = 0; offset < ledger::kRegionBytes; offset += kPieceBytes) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (stopping_) return false;
    }
    TouchPiece(region + offset);
  }
  return true;
}

}  // namespace tallystick
