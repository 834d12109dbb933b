// Key indexes on their way from the keeper's thread, which builds them, to the shard that uses
// them.

#ifndef TALLYSTICK_API_BUILT_INDEXES_H_
#define TALLYSTICK_API_BUILT_INDEXES_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "wal/key_index.h"

namespace tallystick {

// Indexes that may wait with their tables and filters (2 MiB for a segment of 64 MiB); of others
// the shard reads these as it needs them.
inline constexpr size_t kMaxLoadedIndexesWaiting = 8;

class BuiltIndexes {
 public:
  struct Change {
    std::unique_ptr<wal::KeyIndex> built;  // or, absent, of a segment that was removed:
    uint64_t removed_segment = 0;
    uint64_t removed_before = 0;  // positions below this are no more
  };

  // Ends the shard's sleep, from any thread; before the keeper's thread starts.
  void set_wake(std::function<void()> wake) { wake_ = std::move(wake); }

  // The keeper's.
  void Give(Change change) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (changes_.size() >= kMaxLoadedIndexesWaiting && change.built != nullptr) {
        change.built->Drop(wal::KeyIndex::Part::kFilters);
        change.built->Drop(wal::KeyIndex::Part::kTables);
      }
      changes_.push_back(std::move(change));
    }
    waiting_.store(true, std::memory_order_release);
    if (wake_) wake_();
  }

  // The shard's, once a turn: a load if nothing waits.
  std::vector<Change> Take() {
    if (!waiting_.load(std::memory_order_acquire)) return {};
    const std::lock_guard<std::mutex> lock(mutex_);
    waiting_.store(false, std::memory_order_relaxed);
    return std::exchange(changes_, {});
  }

 private:
  std::function<void()> wake_;
  std::atomic<bool> waiting_{false};
  std::mutex mutex_;  // guards the one below
  std::vector<Change> changes_;
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_BUILT_INDEXES_H_
