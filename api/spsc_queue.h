// A bounded queue between two threads: one pushes, one pops. No locks; neither side ever waits.

#ifndef TALLYSTICK_API_SPSC_QUEUE_H_
#define TALLYSTICK_API_SPSC_QUEUE_H_

#include <array>
#include <atomic>
#include <cstddef>

namespace tallystick {

template <typename T, size_t kCapacity>
class SpscQueue {
 public:
  static_assert((kCapacity & (kCapacity - 1)) == 0);

  // The pushing thread. False: full.
  bool Push(T value) {
    const size_t end = end_.load(std::memory_order_relaxed);
    if (end - begin_.load(std::memory_order_acquire) == kCapacity) return false;
    values_[end % kCapacity] = value;
    end_.store(end + 1, std::memory_order_release);
    return true;
  }
  // The popping thread. False: empty.
  bool Pop(T* value) {
    const size_t begin = begin_.load(std::memory_order_relaxed);
    if (begin == end_.load(std::memory_order_acquire)) return false;
    *value = values_[begin % kCapacity];
    begin_.store(begin + 1, std::memory_order_release);
    return true;
  }
  bool empty() const {
    return begin_.load(std::memory_order_acquire) == end_.load(std::memory_order_acquire);
  }

 private:
  alignas(64) std::atomic<size_t> begin_{0};
  alignas(64) std::atomic<size_t> end_{0};
  alignas(64) std::array<T, kCapacity> values_{};
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_SPSC_QUEUE_H_
