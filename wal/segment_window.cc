#include "wal/segment_window.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "wal/check.h"

namespace tallystick::wal {
namespace {

constexpr std::align_val_t kAlignment{kSectorBytes};
// Large enough for the device's full rate, small enough for the cache.
constexpr size_t kPortionBytes = size_t{1} << 20;

// Direct reads ask for whole sectors; the end of the file shortens the answer.
constexpr uint64_t WholeSectors(uint64_t bytes) {
  return (bytes + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
}

}  // namespace

void SegmentWindow::Free::operator()(std::byte* data) const { operator delete[](data, kAlignment); }

SegmentWindow::SegmentWindow(Io& io, size_t most_bytes)
    : io_(io),
      most_bytes_(WholeSectors(most_bytes)),
      portion_bytes_(std::min(most_bytes_, kPortionBytes)) {
  for (auto& buffer : buffers_) {
    buffer.reset(static_cast<std::byte*>(operator new[](most_bytes_ + portion_bytes_, kAlignment)));
  }
  ahead_.op = IoOp::kRead;
  ahead_.owner = this;
  ahead_.complete = [](IoRequest& request) {
    static_cast<SegmentWindow*>(request.owner)->ahead_under_way_ = false;
  };
}

SegmentWindow::~SegmentWindow() { Close(); }

void SegmentWindow::Close() {
  WaitForAhead();
  if (handle_ != kNoHandle) io_.Close(handle_);
  handle_ = kNoHandle;
  size_bytes_ = begin_ = held_bytes_ = 0;
  ahead_.size = 0;
}

absl::Status SegmentWindow::Open(const std::string& path) {
  Close();
  absl::StatusOr<Handle> handle = io_.Open(path, {.direct = true});
  if (!handle.ok()) return handle.status();
  handle_ = *handle;
  absl::StatusOr<uint64_t> size = io_.Size(handle_);
  if (!size.ok()) return size.status();
  size_bytes_ = *size;
  return absl::OkStatus();
}

absl::StatusOr<absl::Span<const std::byte>> SegmentWindow::Read(uint64_t offset, size_t wanted) {
  TALLYSTICK_CHECK(handle_ != kNoHandle && wanted <= most_bytes_);
  TALLYSTICK_CHECK(offset % kSectorBytes == 0);
  if (offset < begin_ || offset > begin_ + held_bytes_) {
    begin_ = offset;
    held_bytes_ = 0;
  }
  while (offset < size_bytes_ &&
         begin_ + held_bytes_ < std::min<uint64_t>(offset + wanted, size_bytes_)) {
    if (absl::Status status = Advance(offset); !status.ok()) return status;
  }
  if (offset >= size_bytes_) return absl::Span<const std::byte>();
  const auto skip = static_cast<size_t>(offset - begin_);
  return absl::MakeConstSpan(held_ + skip, held_bytes_ - skip);
}

absl::Status SegmentWindow::Advance(uint64_t offset) {
  const bool sequential = held_bytes_ > 0;
  const uint64_t from = begin_ + held_bytes_;
  WaitForAhead();
  std::byte* const portion = buffers_[1 - current_].get() + most_bytes_;
  const size_t size = PortionAt(from);
  absl::StatusOr<size_t> got = ReadPortion(from, portion, size);
  if (!got.ok()) return got.status();
  const auto kept = static_cast<size_t>(from - offset);
  if (kept > 0) std::memcpy(portion - kept, held_ + (offset - begin_), kept);
  held_ = portion - kept;
  begin_ = offset;
  held_bytes_ = kept + *got;
  bytes_read_ += *got;
  current_ = 1 - current_;
  if (*got < size) size_bytes_ = from + *got;  // the end; or it has been cut meanwhile
  if (sequential) ReadAhead();
  return absl::OkStatus();
}

size_t SegmentWindow::PortionAt(uint64_t from) const {
  return std::min<uint64_t>(portion_bytes_, WholeSectors(size_bytes_ - from));
}

absl::StatusOr<size_t> SegmentWindow::ReadPortion(uint64_t from, std::byte* to, size_t size) {
  const bool was_read = ahead_.size == size && ahead_.offset == from;
  ahead_.size = 0;
  // What was not read, or not as a whole, is read again: then an error is told with its path.
  if (was_read && ahead_.result == static_cast<int32_t>(size)) return size;
  return io_.ReadAt(handle_, from, to, size);
}

void SegmentWindow::ReadAhead() {
  const uint64_t from = begin_ + held_bytes_;
  if (from >= size_bytes_) return;
  ahead_.handle = handle_;
  ahead_.offset = from;
  ahead_.size = static_cast<uint32_t>(PortionAt(from));
  ahead_.data = buffers_[1 - current_].get() + most_bytes_;
  ahead_under_way_ = true;
  io_.Submit(ahead_);
  io_.Poll(0);
}

void SegmentWindow::WaitForAhead() {
  while (ahead_under_way_) io_.Poll(-1);
}

}  // namespace tallystick::wal
