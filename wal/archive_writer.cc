#include "wal/archive_writer.h"

#include <zstd.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "wal/block.h"
#include "wal/check.h"
#include "wal/checksum.h"
#include "wal/log_scan.h"

namespace tallystick::wal {
namespace {

// The third packs records no smaller, at three quarters of the rate.
constexpr int kLevel = 1;

size_t FrameCount(uint64_t segment_bytes) { return (segment_bytes - 1) / kArchiveFrameBytes + 1; }

}  // namespace

absl::Status CheckArchiveOf(Io& io, const LogFolders& folders, const LogIdentity& identity,
                            const SealedSegment& segment) {
  const std::string path = FilePath(folders.archive, segment.number, FileKind::kArchive);
  if (!io.Exists(path)) return absl::NotFoundError(absl::StrCat(path, " is not there"));
  const absl::StatusOr<ArchiveHead> head = ReadArchiveHead(io, path, segment.number);
  if (!head.ok()) return head.status();
  if (head->ledger_id == identity.ledger_id && head->shard == identity.shard &&
      head->shard_count == identity.shard_count && head->segment_bytes == segment.bytes &&
      head->next_position == segment.next_position && head->last_hash == segment.last_hash) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      path,
      " is sound, and not of this log: another ledger, or another copy of this one, has "
      "archived it. Give this one an archive directory of its own, or move that file away"));
}

// ---- reading back ----

ArchiveComparison::ArchiveComparison(Io& io, const LogFolders& folders, uint64_t segment)
    : segment_(segment),
      plain_(io, folders),
      packed_(io, folders),
      buffers_{AlignedBytes(kArchiveFrameBytes), AlignedBytes(kArchiveFrameBytes)} {}

absl::StatusOr<bool> ArchiveComparison::Step() {
  if (offset_ == 0) {
    if (absl::Status opened = plain_.OpenPlain(segment_); !opened.ok()) return opened;
    if (absl::Status opened = packed_.OpenArchive(segment_); !opened.ok()) return opened;
  }
  const size_t size = std::min<uint64_t>(kArchiveFrameBytes, packed_.size_bytes() - offset_);
  const absl::StatusOr<size_t> packed = packed_.ReadAt(offset_, buffers_[0].data(), size);
  if (!packed.ok()) return packed.status();
  const absl::StatusOr<size_t> plain = plain_.ReadAt(offset_, buffers_[1].data(), size);
  if (!plain.ok()) return plain.status();
  if (*packed != size || *plain != size ||
      std::memcmp(buffers_[0].data(), buffers_[1].data(), size) != 0) {
    return absl::DataLossError(absl::StrCat(packed_.path(), ": at offset ", offset_,
                                            " of the segment it does not hold what ", plain_.path(),
                                            " does"));
  }
  offset_ += size;
  return offset_ == packed_.size_bytes();
}

// ---- writing ----

void ArchiveWriter::FreeContext::operator()(ZSTD_CCtx_s* context) const { ZSTD_freeCCtx(context); }

ArchiveWriter::ArchiveWriter(Io& io, const LogFolders& folders, const LogIdentity& identity,
                             const SealedSegment& segment)
    : io_(io),
      folders_(folders),
      identity_(identity),
      segment_(segment),
      path_(FilePath(folders.archive, segment.number, FileKind::kNewArchive)),
      window_(io, folders, std::min<uint64_t>(kMaxBlockBytes, segment.bytes)),
      context_(ZSTD_createCCtx()),
      frame_(kArchiveFrameBytes),
      packed_(WholeSectors(ZSTD_compressBound(kArchiveFrameBytes))) {
  TALLYSTICK_CHECK(context_ != nullptr);
  head_.table_bytes =
      static_cast<uint32_t>(WholeSectors(FrameCount(segment.bytes) * sizeof(ArchiveFrame)));
  end_ = sizeof(ArchiveHead) + head_.table_bytes;
}

ArchiveWriter::~ArchiveWriter() {
  if (handle_ == kNoHandle) return;
  io_.Close(handle_);
  // What cannot be removed now is removed when the segment's turn comes again.
  if (!published_) io_.Remove(path_).IgnoreError();
}

absl::StatusOr<std::unique_ptr<ArchiveWriter>> ArchiveWriter::Begin(Io& io,
                                                                    const LogFolders& folders,
                                                                    const LogIdentity& identity,
                                                                    const SealedSegment& segment) {
  if (segment.bytes == 0 || FrameCount(segment.bytes) > kMaxArchiveFrames) {
    return absl::InvalidArgumentError(
        absl::StrCat("segment ", segment.number, " of ", segment.bytes,
                     " bytes is too large for an archive: it stays where it is"));
  }
  if (absl::Status made = io.MakeDirectory(folders.archive); !made.ok()) return made;
  std::unique_ptr<ArchiveWriter> writer(new ArchiveWriter(io, folders, identity, segment));
  if (absl::Status opened = writer->window_.OpenPlain(segment.number); !opened.ok()) return opened;
  if (io.Exists(writer->path_)) {
    if (absl::Status removed = io.Remove(writer->path_); !removed.ok()) return removed;
  }
  const absl::StatusOr<Handle> handle =
      io.Open(writer->path_, {.write = true, .create = true, .direct = true});
  if (!handle.ok()) return handle.status();
  writer->handle_ = *handle;
  return writer;
}

absl::StatusOr<bool> ArchiveWriter::Step() {
  if (comparison_ != nullptr) return comparison_->Step();
  const size_t frames = table_.size();
  while (offset_ < segment_.bytes && table_.size() == frames) {
    if (absl::Status taken = TakeBlock(); !taken.ok()) return taken;
  }
  if (offset_ < segment_.bytes) return false;
  if (frame_used_ > 0) {
    if (absl::Status written = WriteFrame(); !written.ok()) return written;
  }
  if (absl::Status published = Publish(); !published.ok()) return published;
  comparison_ = std::make_unique<ArchiveComparison>(io_, folders_, segment_.number);
  return false;
}

absl::Status ArchiveWriter::TakeBlock() {
  absl::StatusOr<absl::Span<const std::byte>> bytes = window_.Read(offset_, sizeof(BlockHeader));
  if (!bytes.ok()) return bytes.status();
  if (bytes->size() < sizeof(BlockHeader)) return Damaged("the file ends here");
  const BlockHeader header = *reinterpret_cast<const BlockHeader*>(bytes->data());
  if (const char* wrong = HeaderFault(header)) return Damaged(wrong);
  if (header.bytes > segment_.bytes - offset_) {
    return Damaged("the block reaches beyond where the next segment says that this one ends");
  }
  bytes = window_.Read(offset_, header.bytes);
  if (!bytes.ok()) return bytes.status();
  if (absl::Status sound = CheckBlock(header, *bytes); !sound.ok()) return sound;
  if (offset_ == 0) {
    std::memcpy(head_.start, bytes->data(), sizeof(head_.start));
    head_.first_timestamp_us = header.timestamp_us;
    head_.first_position = header.first_position;
    head_.epoch = header.epoch;
  }
  last_.next_position = header.first_position + header.count;
  last_.timestamp_us = header.timestamp_us;
  last_.last_hash = HeaderHash(header);
  offset_ += header.bytes;
  for (absl::Span<const std::byte> left = bytes->subspan(0, header.bytes); !left.empty();) {
    const size_t size = std::min(left.size(), kArchiveFrameBytes - frame_used_);
    std::memcpy(frame_.data() + frame_used_, left.data(), size);
    frame_used_ += size;
    left.remove_prefix(size);
    if (frame_used_ < kArchiveFrameBytes) continue;
    if (absl::Status written = WriteFrame(); !written.ok()) return written;
  }
  return absl::OkStatus();
}

// The rules of docs/log-format.md, B, inside of one segment.
absl::Status ArchiveWriter::CheckBlock(const BlockHeader& header,
                                       absl::Span<const std::byte> bytes) {
  if (!BelongsTo(header, identity_)) return Damaged("the block is of another ledger or shard");
  if (header.segment != segment_.number) return Damaged("the block is of another segment");
  if ((header.type == BlockType::kStart) != (offset_ == 0)) {
    return Damaged("a start block is missing, or out of its place");
  }
  if (offset_ > 0 &&
      (header.epoch != head_.epoch || header.first_position != last_.next_position ||
       header.previous_hash != last_.last_hash || header.timestamp_us < last_.timestamp_us)) {
    return Damaged("the block does not follow the one before it");
  }
  if (bytes.size() < header.bytes || !BodyMatches(header, bytes.data())) {
    return Damaged("the body's checksum is wrong");
  }
  return absl::OkStatus();
}

absl::Status ArchiveWriter::WriteFrame() {
  const size_t bytes = ZSTD_compressCCtx(context_.get(), packed_.data(), packed_.size(),
                                         frame_.data(), frame_used_, kLevel);
  TALLYSTICK_CHECK(ZSTD_isError(bytes) == 0);
  const size_t whole = WholeSectors(bytes);
  std::memset(packed_.data() + bytes, 0, whole - bytes);
  table_.push_back({.offset = end_,
                    .bytes = static_cast<uint32_t>(bytes),
                    .crc = Crc32c(packed_.data(), whole)});
  frame_used_ = 0;
  absl::Status written = io_.WriteAt(handle_, end_, packed_.data(), whole);
  end_ += whole;
  return written;
}

// The head goes last: a file without it is no archive.
absl::Status ArchiveWriter::Publish() {
  if (last_.next_position != segment_.next_position || last_.last_hash != segment_.last_hash) {
    return Damaged("the next segment goes on from another block");
  }
  const AlignedBytes table(head_.table_bytes);
  std::memset(table.data(), 0, table.size());
  std::memcpy(table.data(), table_.data(), table_.size() * sizeof(ArchiveFrame));
  head_.magic = kArchiveMagic;
  head_.format_version = kArchiveVersion;
  head_.packing = ArchivePacking::kZstd;
  head_.ledger_id = identity_.ledger_id;
  head_.shard = identity_.shard;
  head_.shard_count = identity_.shard_count;
  head_.segment = segment_.number;
  head_.segment_bytes = segment_.bytes;
  head_.next_position = segment_.next_position;
  head_.last_timestamp_us = last_.timestamp_us;
  head_.last_hash = segment_.last_hash;
  head_.archived_us = io_.WallMicros();
  head_.file_bytes = end_;
  head_.frame_bytes = kArchiveFrameBytes;
  head_.frame_count = static_cast<uint32_t>(table_.size());
  head_.table_crc = Crc32c(table.data(), table.size());
  head_.head_crc = Crc32c(&head_, offsetof(ArchiveHead, head_crc));
  std::memcpy(packed_.data(), &head_, sizeof(head_));
  absl::Status status = io_.WriteAt(handle_, sizeof(head_), table.data(), table.size());
  if (status.ok()) status = io_.WriteAt(handle_, 0, packed_.data(), sizeof(head_));
  if (status.ok()) status = io_.Sync(handle_);
  if (status.ok()) {
    status = io_.Rename(path_, FilePath(folders_.archive, segment_.number, FileKind::kArchive));
  }
  published_ = status.ok();
  return status;
}

absl::Status ArchiveWriter::Damaged(absl::string_view cause) const {
  return absl::DataLossError(absl::StrCat(
      FilePath(folders_.log, segment_.number, FileKind::kSegment), ": offset ", offset_, ": ",
      cause, ": the segment is not archived, and stays as it is. Restore it from a copy"));
}

}  // namespace tallystick::wal
