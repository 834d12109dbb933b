#include "wal/segment_window.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "wal/check.h"

namespace tallystick::wal {
namespace {

constexpr std::align_val_t kAlignment{kSectorBytes};

// Direct reads ask for whole sectors; the end of the file shortens the answer.
constexpr uint64_t WholeSectors(uint64_t bytes) {
  return (bytes + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
}

}  // namespace

void SegmentWindow::Free::operator()(std::byte* data) const { operator delete[](data, kAlignment); }

SegmentWindow::SegmentWindow(Io& io, size_t capacity_bytes)
    : io_(io),
      capacity_bytes_(WholeSectors(capacity_bytes)),
      buffer_(static_cast<std::byte*>(operator new[](capacity_bytes_, kAlignment))) {}

SegmentWindow::~SegmentWindow() {
  if (handle_ != kNoHandle) io_.Close(handle_);
}

absl::Status SegmentWindow::Open(const std::string& path) {
  if (handle_ != kNoHandle) io_.Close(handle_);
  handle_ = kNoHandle;
  size_bytes_ = begin_ = held_bytes_ = 0;
  absl::StatusOr<Handle> handle = io_.Open(path, {.direct = true});
  if (!handle.ok()) return handle.status();
  handle_ = *handle;
  absl::StatusOr<uint64_t> size = io_.Size(handle_);
  if (!size.ok()) return size.status();
  size_bytes_ = *size;
  return absl::OkStatus();
}

absl::StatusOr<absl::Span<const std::byte>> SegmentWindow::Read(uint64_t offset, size_t wanted) {
  TALLYSTICK_CHECK(handle_ != kNoHandle && wanted <= capacity_bytes_);
  TALLYSTICK_CHECK(offset % kSectorBytes == 0);
  if (offset >= size_bytes_) return absl::Span<const std::byte>();
  wanted = static_cast<size_t>(std::min<uint64_t>(wanted, size_bytes_ - offset));
  if (offset < begin_ || offset > begin_ + held_bytes_) {
    begin_ = offset;
    held_bytes_ = 0;
  }
  size_t skip = static_cast<size_t>(offset - begin_);
  if (held_bytes_ - skip < wanted) {
    // Moves what is held from `offset` on to the front and fills up the rest.
    held_bytes_ -= skip;
    std::memmove(buffer_.get(), buffer_.get() + skip, held_bytes_);
    begin_ = offset;
    skip = 0;
    const uint64_t from = begin_ + held_bytes_;
    const size_t room =
        std::min<uint64_t>(capacity_bytes_ - held_bytes_, WholeSectors(size_bytes_ - from));
    absl::StatusOr<size_t> got = io_.ReadAt(handle_, from, buffer_.get() + held_bytes_, room);
    if (!got.ok()) return got.status();
    held_bytes_ += *got;
    bytes_read_ += *got;
    if (*got < room) size_bytes_ = begin_ + held_bytes_;  // the end; or it has been cut meanwhile
  }
  return absl::MakeConstSpan(buffer_.get() + skip, held_bytes_ - skip);
}

}  // namespace tallystick::wal
