#include "wal/write_queue.h"

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "wal/check.h"
#include "wal/segment_files.h"

namespace tallystick::wal {

WriteQueue::WriteQueue(Io& io, const LogWriterOptions& options, size_t capacity,
                       uint64_t durable_position, Release release, void* owner)
    : io_(io),
      directory_(options.directory),
      durability_(options.durability),
      writes_in_flight_(options.blocks_in_flight),
      release_(release),
      owner_(owner),
      entries_(capacity),
      durable_position_(durable_position) {}

WriteQueue::~WriteQueue() {
  TALLYSTICK_CHECK(!busy());
  Handle last = kNoHandle;
  for (size_t i = 0; i < count_; ++i) {
    const Handle handle = At(i).handle;
    if (handle != last && handle != current_) io_.Close(handle);
    last = handle;
  }
  if (current_ != kNoHandle) io_.Close(current_);
}

void WriteQueue::BeginSegment(Handle handle, uint64_t number) {
  const bool in_use = count_ > 0 && At(count_ - 1).handle == current_;
  if (current_ != kNoHandle && !in_use) io_.Close(current_);
  current_ = handle;
  current_segment_ = number;
}

void WriteQueue::Push(const Block& block) {
  TALLYSTICK_CHECK(count_ < entries_.size());
  if (!failure_.ok()) return;
  TALLYSTICK_CHECK(current_ != kNoHandle);
  Entry& entry = At(count_++);
  entry.block = block;
  entry.handle = current_;
  entry.segment = current_segment_;
  entry.written = false;
  entry.stalls = 0;
  entry.queue = this;
  entry.request = {.op = IoOp::kWrite,
                   .dsync = durability_ == Durability::kDsync,
                   .handle = current_,
                   .data = block.data,
                   .size = block.size_bytes,
                   .offset = block.offset,
                   .complete =
                       [](IoRequest& request) {
                         auto* done = static_cast<Entry*>(request.owner);
                         done->queue->OnWrite(*done);
                       },
                   .owner = &entry};
  SubmitMore();
}

void WriteQueue::SubmitMore() {
  while (failure_.ok() && submitted_ < count_ && writing_ < writes_in_flight_) {
    ++writing_;
    io_.Submit(At(submitted_++).request);
  }
}

void WriteQueue::OnWrite(Entry& entry) {
  --writing_;
  IoRequest& request = entry.request;
  if (request.result < 0) return FailRequest(entry, "writing a block", -request.result);
  if (!failure_.ok()) return;
  // Only whole sectors count; a partial one is written again, whole, as direct I/O wants it.
  const auto accepted = static_cast<uint32_t>(request.result) / kSectorBytes * kSectorBytes;
  if (accepted < request.size) {
    entry.stalls = accepted == 0 ? entry.stalls + 1 : 0;
    if (entry.stalls == kMaxStalls) return FailRequest(entry, "writing a block", EIO);
    request.data += accepted;
    request.offset += accepted;
    request.size -= static_cast<uint32_t>(accepted);
    ++writing_;
    io_.Submit(request);
    return;
  }
  entry.written = true;
  SubmitMore();
  Advance();
}

void WriteQueue::Advance() {
  if (durability_ != Durability::kFdatasync) {
    while (count_ > 0 && At(0).written) PopDurable();
    return;
  }
  if (syncing_) return;
  size_t covered = 0;
  while (covered < count_ && At(covered).written && At(covered).handle == At(0).handle) ++covered;
  if (covered == 0) return;
  sync_covers_ = covered;
  syncing_ = true;
  sync_ = {
      .op = IoOp::kSync,
      .handle = At(0).handle,
      .complete = [](IoRequest& request) { static_cast<WriteQueue*>(request.owner)->OnSync(); },
      .owner = this};
  io_.Submit(sync_);
}

void WriteQueue::OnSync() {
  syncing_ = false;
  if (sync_.result < 0) return FailRequest(At(0), "syncing the segment", -sync_.result);
  if (!failure_.ok()) return;
  for (; sync_covers_ > 0; --sync_covers_) PopDurable();
  Advance();
}

void WriteQueue::PopDurable() {
  const Entry& entry = At(0);
  TALLYSTICK_CHECK(entry.written && entry.block.end_position > durable_position_);
  durable_position_ = entry.block.end_position;
  const Handle handle = entry.handle;
  std::byte* const data = entry.block.data;
  head_ = (head_ + 1) % entries_.size();
  --count_;
  --submitted_;
  const bool in_use = handle == current_ || (count_ > 0 && At(0).handle == handle);
  if (!in_use) io_.Close(handle);
  release_(owner_, data);
}

void WriteQueue::FailRequest(const Entry& entry, const char* what, int error) {
  if (!failure_.ok()) return;
  Fail(absl::ErrnoToStatus(
      error, absl::StrCat(FilePath(directory_, entry.segment, FileKind::kSegment), ": offset ",
                          entry.block.offset, ": ", what,
                          " failed; the log has stopped, and what is durable is decided by "
                          "recovery at the next start")));
}

void WriteQueue::Fail(const absl::Status& cause) {
  if (failure_.ok()) failure_ = cause;
}

}  // namespace tallystick::wal
