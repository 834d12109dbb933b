// Memory for direct I/O that is not the hot path's.

#ifndef TALLYSTICK_WAL_ALIGNED_BYTES_H_
#define TALLYSTICK_WAL_ALIGNED_BYTES_H_

#include <cstddef>
#include <memory>
#include <new>

#include "wal/io.h"

namespace tallystick::wal {

// Aligned to kSectorBytes; not zeroed.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  explicit AlignedBytes(size_t size)
      : data_(static_cast<std::byte*>(operator new[](size, kAlignment))), size_(size) {}

  std::byte* data() const { return data_.get(); }
  size_t size() const { return size_; }

 private:
  static constexpr std::align_val_t kAlignment{kSectorBytes};
  struct Free {
    void operator()(std::byte* data) const { operator delete[](data, kAlignment); }
  };
  std::unique_ptr<std::byte[], Free> data_;
  size_t size_ = 0;
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_ALIGNED_BYTES_H_
