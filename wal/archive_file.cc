#include "wal/archive_file.h"

#include <zstd.h>

#include <algorithm>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "wal/aligned_bytes.h"
#include "wal/block.h"
#include "wal/check.h"
#include "wal/checksum.h"

namespace tallystick::wal {
namespace {

absl::Status DamagedArchive(const std::string& path, uint64_t segment, uint64_t offset,
                            absl::string_view cause) {
  return absl::DataLossError(absl::StrCat(path, ": the archive of segment ", segment,
                                          " is damaged at offset ", offset, ": ", cause,
                                          ". Nothing was changed. Restore the file from a copy"));
}

// What is wrong with a head whose checksum is right, as a phrase; nullptr: nothing.
const char* HeadFault(const ArchiveHead& head, uint64_t segment, uint64_t file_bytes) {
  BlockHeader start;
  std::memcpy(&start, head.start, sizeof(start));
  if (head.segment != segment) return "it is of another segment than its name says";
  if (head.packing != ArchivePacking::kZstd) return "it is packed in an unknown way";
  if (head.file_bytes != file_bytes) return "the file is not as long as it was";
  if (HeaderFault(start) != nullptr || start.type != BlockType::kStart ||
      start.segment != head.segment || start.first_position != head.first_position ||
      start.ledger_id != head.ledger_id || start.shard != head.shard ||
      start.shard_count != head.shard_count || start.epoch != head.epoch) {
    return "its start block does not belong to it";
  }
  if (head.frame_bytes == 0 || head.frame_bytes % kSectorBytes != 0 ||
      head.frame_bytes > kMaxArchiveFrameBytes || head.segment_bytes == 0 ||
      head.segment_bytes % kSectorBytes != 0 || head.frame_count > kMaxArchiveFrames ||
      head.frame_count != (head.segment_bytes - 1) / head.frame_bytes + 1 ||
      head.table_bytes != WholeSectors(head.frame_count * sizeof(ArchiveFrame))) {
    return "its sizes do not agree";
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<ArchiveHead> ReadArchiveHead(Io& io, const std::string& path, uint64_t segment) {
  const absl::StatusOr<Handle> handle = io.Open(path, {.direct = true});
  if (!handle.ok()) return handle.status();
  const absl::Cleanup close = [&] { io.Close(*handle); };
  const absl::StatusOr<uint64_t> size = io.Size(*handle);
  if (!size.ok()) return size.status();
  const AlignedBytes sector(sizeof(ArchiveHead));
  const absl::StatusOr<size_t> got = io.ReadAt(*handle, 0, sector.data(), sector.size());
  if (!got.ok()) return got.status();
  if (*got < sizeof(ArchiveHead)) return DamagedArchive(path, segment, *got, "the file ends here");
  ArchiveHead head;
  std::memcpy(&head, sector.data(), sizeof(head));
  if (head.magic != kArchiveMagic ||
      head.head_crc != Crc32c(&head, offsetof(ArchiveHead, head_crc))) {
    return DamagedArchive(path, segment, 0, "the head's checksum is wrong");
  }
  if (head.format_version != kArchiveVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": format version ", head.format_version, "; this program reads ",
                     kArchiveVersion, ": use the program that wrote it"));
  }
  if (const char* wrong = HeadFault(head, segment, *size)) {
    return DamagedArchive(path, segment, 0, wrong);
  }
  return head;
}

void ArchiveFile::FreeContext::operator()(ZSTD_DCtx_s* context) const { ZSTD_freeDCtx(context); }

ArchiveFile::ArchiveFile(Io& io, const std::string& path, const ArchiveHead& head)
    : io_(io), path_(path), head_(head), context_(ZSTD_createDCtx()) {
  TALLYSTICK_CHECK(context_ != nullptr);
}

ArchiveFile::~ArchiveFile() {
  if (handle_ != kNoHandle) io_.Close(handle_);
}

absl::StatusOr<std::unique_ptr<ArchiveFile>> ArchiveFile::Open(Io& io, const std::string& path,
                                                               uint64_t segment) {
  const absl::StatusOr<ArchiveHead> head = ReadArchiveHead(io, path, segment);
  if (!head.ok()) return head.status();
  std::unique_ptr<ArchiveFile> file(new ArchiveFile(io, path, *head));
  const absl::StatusOr<Handle> handle = io.Open(path, {.direct = true});
  if (!handle.ok()) return handle.status();
  file->handle_ = *handle;
  if (absl::Status loaded = file->LoadTable(); !loaded.ok()) return loaded;
  return file;
}

absl::Status ArchiveFile::LoadTable() {
  const AlignedBytes bytes(head_.table_bytes);
  const absl::StatusOr<size_t> got = io_.ReadAt(handle_, kSectorBytes, bytes.data(), bytes.size());
  if (!got.ok()) return got.status();
  if (*got < bytes.size()) return Damaged(kSectorBytes + *got, "the file ends here");
  if (head_.table_crc != Crc32c(bytes.data(), bytes.size())) {
    return Damaged(kSectorBytes, "the frame table's checksum is wrong");
  }
  table_.resize(head_.frame_count);
  std::memcpy(table_.data(), bytes.data(), table_.size() * sizeof(ArchiveFrame));
  uint64_t next = kSectorBytes + head_.table_bytes;
  for (const ArchiveFrame& frame : table_) {
    if (frame.offset != next || frame.bytes == 0 ||
        frame.bytes > ZSTD_compressBound(head_.frame_bytes)) {
      return Damaged(kSectorBytes, "the frame table does not agree with itself");
    }
    next += WholeSectors(frame.bytes);
    most_packed_bytes_ = std::max<size_t>(most_packed_bytes_, WholeSectors(frame.bytes));
  }
  if (next != head_.file_bytes) return Damaged(kSectorBytes, "the frames do not fill the file");
  return absl::OkStatus();
}

size_t ArchiveFile::FrameBytes(size_t frame) const {
  return std::min<uint64_t>(head_.frame_bytes, head_.segment_bytes - FrameBegin(frame));
}

absl::Status ArchiveFile::Unpack(size_t frame, absl::Span<const std::byte> packed,
                                 std::byte* to) const {
  const ArchiveFrame& entry = table_[frame];
  TALLYSTICK_CHECK(packed.size() == WholeSectors(entry.bytes));
  if (entry.crc != Crc32c(packed.data(), packed.size())) {
    return Damaged(entry.offset, absl::StrCat("the checksum of frame ", frame, " is wrong"));
  }
  const size_t size = FrameBytes(frame);
  const size_t got = ZSTD_decompressDCtx(context_.get(), to, size, packed.data(), entry.bytes);
  if (ZSTD_isError(got) != 0 || got != size) {
    return Damaged(entry.offset, absl::StrCat("frame ", frame, " cannot be unpacked"));
  }
  return absl::OkStatus();
}

absl::Status ArchiveFile::CutShort(size_t frame) const {
  return Damaged(table_[frame].offset, absl::StrCat("the file ends inside frame ", frame));
}

absl::Status ArchiveFile::Damaged(uint64_t offset, absl::string_view cause) const {
  return DamagedArchive(path_, head_.segment, offset, cause);
}

}  // namespace tallystick::wal
