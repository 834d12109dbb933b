#include "wal/segment_window.h"

#include <algorithm>
#include <cstring>

#include "wal/check.h"

namespace tallystick::wal {
namespace {

// Large enough for the device's full rate, small enough for the cache.
constexpr size_t kPortionBytes = size_t{1} << 20;

}  // namespace

SegmentWindow::SegmentWindow(Io& io, const LogFolders& folders, size_t most_bytes)
    : io_(io),
      most_bytes_(WholeSectors(most_bytes)),
      portion_bytes_(std::min(most_bytes_, kPortionBytes)),
      source_(io, folders) {
  for (AlignedBytes& buffer : buffers_) buffer = AlignedBytes(most_bytes_ + portion_bytes_);
}

SegmentWindow::~SegmentWindow() { Close(); }

void SegmentWindow::Close() {
  WaitForAhead();
  source_.Close();
  size_bytes_ = begin_ = held_bytes_ = 0;
  ahead_wanted_ = 0;
}

absl::Status SegmentWindow::Open(uint64_t number) {
  Close();
  return Opened(source_.Open(number));
}

absl::Status SegmentWindow::OpenPlain(uint64_t number) {
  Close();
  return Opened(source_.OpenPlain(number));
}

absl::Status SegmentWindow::OpenArchive(uint64_t number) {
  Close();
  return Opened(source_.OpenArchive(number));
}

absl::Status SegmentWindow::OpenFile(const std::string& path) {
  Close();
  return Opened(source_.OpenFile(path));
}

absl::Status SegmentWindow::Opened(const absl::Status& opened) {
  size_bytes_ = source_.size_bytes();
  return opened;
}

absl::StatusOr<absl::Span<const std::byte>> SegmentWindow::Read(uint64_t offset, size_t wanted) {
  TALLYSTICK_CHECK(source_.is_open() && wanted <= most_bytes_);
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
  std::byte* const portion = buffers_[1 - current_].data() + most_bytes_;
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
  const bool was_read = ahead_wanted_ == size && ahead_offset_ == from;
  ahead_wanted_ = 0;
  // What was not read, or not as a whole, is read again: then an error is told.
  if (was_read && ahead_got_ == size) return size;
  return source_.ReadAt(from, to, size);
}

void SegmentWindow::ReadAhead() {
  const uint64_t from = begin_ + held_bytes_;
  if (from >= size_bytes_) return;
  ahead_offset_ = from;
  ahead_wanted_ = PortionAt(from);
  ahead_got_ = 0;
  source_.Read(
      from, buffers_[1 - current_].data() + most_bytes_, ahead_wanted_,
      [](void* owner, const absl::StatusOr<size_t>& got) {
        static_cast<SegmentWindow*>(owner)->ahead_got_ = got.value_or(0);
      },
      this);
  io_.Poll(0);
}

void SegmentWindow::WaitForAhead() {
  while (source_.busy()) io_.Poll(-1);
}

}  // namespace tallystick::wal
