#include "wal/log_copy.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "wal/block.h"
#include "wal/check.h"
#include "wal/segment_files.h"

namespace tallystick::wal {

LogCopy::LogCopy(Io& io, std::string directory) : io_(io), directory_(std::move(directory)) {}

LogCopy::~LogCopy() {
  if (handle_ != kNoHandle) io_.Close(handle_);
}

absl::Status LogCopy::BeginSegment(uint64_t number) {
  if (absl::Status s = EndSegment(); !s.ok()) return s;
  if (!made_) {
    if (absl::Status s = io_.MakeDirectory(directory_); !s.ok()) return s;
    made_ = true;
  }
  const absl::StatusOr<Handle> handle =
      io_.Open(FilePath(directory_, number, FileKind::kSegment), {.write = true, .create = true});
  if (!handle.ok()) return handle.status();
  handle_ = *handle;
  segment_ = number;
  written_ = 0;
  return absl::OkStatus();
}

absl::Status LogCopy::EndSegment() {
  if (handle_ == kNoHandle) return absl::OkStatus();
  absl::Status status = WriteOut();
  if (status.ok()) status = io_.Sync(handle_);
  io_.Close(std::exchange(handle_, kNoHandle));
  return status;
}

absl::Status LogCopy::WriteOut() {
  if (waiting_bytes_ == 0) return absl::OkStatus();
  absl::Status status = io_.WriteAt(
      handle_, written_, reinterpret_cast<const std::byte*>(waiting_.data()), waiting_bytes_);
  written_ += std::exchange(waiting_bytes_, 0);
  return status;
}

std::byte* LogCopy::Room(size_t bytes) {
  const size_t slots = (waiting_bytes_ + bytes) / sizeof(Slot);
  if (waiting_.size() < slots) waiting_.resize(slots);
  return reinterpret_cast<std::byte*>(waiting_.data()) + waiting_bytes_;
}

absl::Status LogCopy::Append(const BlockView& block) {
  const BlockHeader header = *block.header;
  if (block.segment != segment_) {
    if (absl::Status s = BeginSegment(block.segment); !s.ok()) return s;
  }
  TALLYSTICK_CHECK(block.offset == written_ + waiting_bytes_);
  std::byte* const bytes = Room(header.bytes);
  std::memcpy(bytes, &header, sizeof(header));
  const size_t slots_bytes = block.slots.size() * sizeof(Slot);
  std::memcpy(bytes + sizeof(header), block.slots.data(), slots_bytes);
  const size_t used = sizeof(header) + slots_bytes;
  std::memset(bytes + used, 0, header.bytes - used);
  if (!BodyMatches(header, bytes)) {
    return absl::DataLossError(
        absl::StrCat("segment ", block.segment, " offset ", block.offset,
                     ": the block's padding is not zeros: no writer of this log leaves it so"));
  }
  waiting_bytes_ += header.bytes;
  return waiting_bytes_ >= kPieceBytes ? WriteOut() : absl::OkStatus();
}

absl::Status LogCopy::AppendPart(const BlockView& block, uint32_t count, uint8_t flags) {
  TALLYSTICK_CHECK(block.header->type == BlockType::kRecords);
  TALLYSTICK_CHECK(count >= 1 && count <= block.slots.size());
  const size_t used = sizeof(BlockHeader) + count * sizeof(Slot);
  std::vector<Slot> part(BlockBytes(count) / sizeof(Slot));
  auto* const bytes = reinterpret_cast<std::byte*>(part.data());
  auto& header = reinterpret_cast<BlockHeader&>(part[0]);
  header = *block.header;
  header.count = count;
  header.flags = flags;
  header.digest = 0;
  std::memcpy(bytes + sizeof(BlockHeader), block.slots.data(), used - sizeof(BlockHeader));
  FinishBlock(bytes);
  return Append({.header = &header,
                 .slots = block.slots.subspan(0, count),
                 .segment = block.segment,
                 .offset = block.offset});
}

absl::Status LogCopy::Finish() {
  if (absl::Status s = EndSegment(); !s.ok()) return s;
  return io_.SyncDirectory(directory_);
}

}  // namespace tallystick::wal
