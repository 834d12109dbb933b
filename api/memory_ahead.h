// Memory for the tables of a ledger, touched before they grow into it.
//
// The first touch of a page costs its zeroing and, in a virtual machine, its finding: up to half a
// microsecond for each operation of a ledger that grows. A thread of its own does that ahead.

#ifndef TALLYSTICK_API_MEMORY_AHEAD_H_
#define TALLYSTICK_API_MEMORY_AHEAD_H_

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

#include "ledger/pages.h"

namespace tallystick {

class MemoryAhead final : public ledger::RegionSource {
 public:
  // Regions of 64 MiB that are held ready at most, but for those reserved: a second of a busy
  // shard's growth.
  static constexpr size_t kMostSpares = 16;

  // Returns when `reserved_bytes` are there. Afterwards an eighth of what was taken is held ready,
  // and nothing as long as nothing was taken.
  explicit MemoryAhead(size_t reserved_bytes);
  // What was taken stays with who took it.
  ~MemoryAhead() override;

  // Thread-safe, as all that follows. When none is ready, one that is not touched.
  std::byte* TakeRegion(bool first) override;
  // Goes before regions. Does nothing where the kernel cannot touch pages without writing to them
  // (before Linux 5.14), and while kMostRanges wait.
  static constexpr size_t kMostRanges = 256;
  void TouchAhead(std::byte* from, size_t size) override;

  size_t ready() const;  // regions

 private:
  void Run();
  struct Range {
    std::byte* from;
    size_t size;
  };
  // Touches all pages of a new region; false: it is to stop.
  bool Touch(std::byte* region);
  // Regions that should be ready now.
  size_t Wanted() const;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::byte*> ready_;
  std::vector<Range> ranges_;  // to be touched, the last first
  size_t reserved_;            // still to be made ready at the start
  size_t taken_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_MEMORY_AHEAD_H_
