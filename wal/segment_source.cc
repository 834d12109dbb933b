#include "wal/segment_source.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "wal/check.h"
#include "wal/missing_segment.h"

namespace tallystick::wal {

void SegmentSource::Close() {
  TALLYSTICK_CHECK(!busy());
  if (handle_ != kNoHandle) io_.Close(std::exchange(handle_, kNoHandle));
  archive_.reset();
  frame_number_.reset();
  segment_ = size_bytes_ = 0;
  path_.clear();
}

absl::Status SegmentSource::Open(uint64_t number) {
  absl::Status plain = OpenPlain(number);
  if (!absl::IsNotFound(plain)) return plain;
  absl::Status archive = OpenArchive(number);
  if (!absl::IsNotFound(archive)) return archive;
  return MissingSegment(io_, folders_, number);
}

absl::Status SegmentSource::OpenPlain(uint64_t number) {
  absl::Status opened = OpenFile(FilePath(folders_.log, number, FileKind::kSegment));
  if (opened.ok()) segment_ = number;
  return opened;
}

absl::Status SegmentSource::OpenFile(const std::string& path) {
  Close();
  const absl::StatusOr<Handle> handle = io_.Open(path, {.direct = true});
  if (!handle.ok()) return handle.status();
  const absl::StatusOr<uint64_t> size = io_.Size(*handle);
  if (!size.ok()) {
    io_.Close(*handle);
    return size.status();
  }
  handle_ = *handle;
  path_ = path;
  size_bytes_ = *size;
  return absl::OkStatus();
}

absl::Status SegmentSource::OpenArchive(uint64_t number) {
  Close();
  const std::string path = FilePath(folders_.archive, number, FileKind::kArchive);
  absl::StatusOr<std::unique_ptr<ArchiveFile>> file = ArchiveFile::Open(io_, path, number);
  if (!file.ok()) return file.status();
  archive_ = *std::move(file);
  segment_ = number;
  path_ = path;
  size_bytes_ = archive_->head().segment_bytes;
  if (packed_.size() < archive_->MostPackedBytes()) {
    packed_ = AlignedBytes(archive_->MostPackedBytes());
  }
  if (frame_.size() < archive_->head().frame_bytes) {
    frame_ = AlignedBytes(archive_->head().frame_bytes);
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> SegmentSource::ReadAt(uint64_t offset, std::byte* data, size_t size) {
  TALLYSTICK_CHECK(is_open() && !busy());
  if (archive_ == nullptr) return io_.ReadAt(handle_, offset, data, size);
  offset_ = offset;
  data_ = data;
  wanted_ = size;
  got_ = 0;
  while (NextFrame()) {
    const size_t bytes = archive_->PackedBytes(next_frame_);
    const absl::StatusOr<size_t> read =
        io_.ReadAt(archive_->handle(), archive_->PackedOffset(next_frame_), packed_.data(), bytes);
    if (!read.ok()) return read.status();
    if (*read < bytes) return archive_->CutShort(next_frame_);
    absl::Status unpacked = archive_->Unpack(next_frame_, {packed_.data(), bytes}, frame_.data());
    if (!unpacked.ok()) return unpacked;
    frame_number_ = next_frame_;
  }
  return got_;
}

void SegmentSource::Read(uint64_t offset, std::byte* data, size_t size, Done done, void* owner) {
  TALLYSTICK_CHECK(is_open() && !busy());
  offset_ = offset;
  data_ = data;
  wanted_ = size;
  got_ = 0;
  stalls_ = 0;
  done_ = done;
  owner_ = owner;
  request_ = {.op = IoOp::kRead,
              .handle = archive_ == nullptr ? handle_ : archive_->handle(),
              .data = data,
              .size = static_cast<uint32_t>(size),
              .offset = offset,
              .complete = [](IoRequest& r) { static_cast<SegmentSource*>(r.owner)->OnRead(); },
              .owner = this};
  Submit();
}

// The next piece of a plain segment, or the next frame of a packed one.
void SegmentSource::Submit() {
  if (archive_ != nullptr) {
    if (!NextFrame()) return Finish(got_);
    request_.data = packed_.data();
    request_.size = static_cast<uint32_t>(archive_->PackedBytes(next_frame_));
    request_.offset = archive_->PackedOffset(next_frame_);
  }
  io_.Submit(request_);
}

void SegmentSource::OnRead() {
  if (request_.result < 0) {
    return Finish(absl::ErrnoToStatus(
        -request_.result, absl::StrCat(path_, ": offset ", request_.offset, ": reading failed")));
  }
  // Direct reads go on at whole sectors only. Nothing is the end of the file; so is the part of a
  // sector, if it is all that comes time and again.
  const size_t whole = static_cast<size_t>(request_.result) / kSectorBytes * kSectorBytes;
  stalls_ = whole == 0 ? stalls_ + 1 : 0;
  const bool ended = request_.result == 0 || stalls_ == kMaxStalls;
  request_.data += whole;
  request_.offset += whole;
  request_.size -= static_cast<uint32_t>(whole);
  if (archive_ == nullptr) {
    got_ += whole;
    return ended || request_.size == 0 ? Finish(got_) : Submit();
  }
  if (ended) return Finish(archive_->CutShort(next_frame_));
  if (request_.size > 0) return io_.Submit(request_);
  const absl::Status unpacked = archive_->Unpack(
      next_frame_, {packed_.data(), archive_->PackedBytes(next_frame_)}, frame_.data());
  if (!unpacked.ok()) return Finish(unpacked);
  frame_number_ = next_frame_;
  Submit();
}

bool SegmentSource::NextFrame() {
  while (got_ < wanted_ && offset_ + got_ < size_bytes_) {
    if (!CopyFromFrame()) {
      next_frame_ = archive_->FrameAt(offset_ + got_);
      return true;
    }
  }
  return false;
}

bool SegmentSource::CopyFromFrame() {
  const uint64_t from = offset_ + got_;
  if (!frame_number_.has_value() || archive_->FrameAt(from) != *frame_number_) return false;
  const auto skip = static_cast<size_t>(from - archive_->FrameBegin(*frame_number_));
  const size_t size = std::min(wanted_ - got_, archive_->FrameBytes(*frame_number_) - skip);
  std::memcpy(data_ + got_, frame_.data() + skip, size);
  got_ += size;
  return true;
}

void SegmentSource::Finish(const absl::StatusOr<size_t>& got) {
  const Done done = std::exchange(done_, nullptr);
  done(owner_, got);
}

}  // namespace tallystick::wal
