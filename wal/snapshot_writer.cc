#include "wal/snapshot_writer.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "wal/check.h"
#include "wal/checksum.h"
#include "wal/snapshot_files.h"

namespace tallystick::wal {
namespace {

constexpr std::align_val_t kAlignment{kSectorBytes};

}  // namespace

void SnapshotWriter::Free::operator()(std::byte* data) const {
  operator delete[](data, kAlignment);
}

SnapshotWriter::SnapshotWriter(Io& io, const SnapshotOptions& options, const LogPlace& place)
    : io_(io),
      options_(options),
      position_(place.next_position - 1),
      max_chunks_(options.buffer_bytes / kMaxChunkBytes),
      crowded_chunks_(std::min(kCrowdedChunks, max_chunks_ / 2)),
      path_(NewSnapshotPath(options.directory, position_)) {}

absl::StatusOr<std::unique_ptr<SnapshotWriter>> SnapshotWriter::Begin(
    Io& io, const SnapshotOptions& options, const LogPlace& place) {
  TALLYSTICK_CHECK(options.buffer_bytes >= kMinSnapshotBufferBytes && place.next_position > 1);
  TALLYSTICK_CHECK(options.disk_share_percent >= 1 && options.disk_share_percent <= 100);
  if (options.reserve_bytes > 0) {
    const absl::StatusOr<uint64_t> free = io.FreeBytes(options.directory);
    if (!free.ok()) return free.status();
    if (*free < options.reserve_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat(options.directory, ": ", *free, " bytes are free on the disk, and ",
                       options.reserve_bytes,
                       " of them are kept for archiving and repair. Free or add disk space"));
    }
  }
  std::unique_ptr<SnapshotWriter> writer(new SnapshotWriter(io, options, place));
  absl::StatusOr<Handle> handle =
      io.Open(writer->path_, {.write = true, .create = true, .direct = true});
  if (!handle.ok()) return handle.status();
  writer->handle_ = *handle;
  Chunk* const chunk = writer->TakeChunk();
  new (chunk->data.get() + sizeof(ChunkHeader)) SnapshotHead{.segment = place.segment,
                                                             .offset = place.offset,
                                                             .last_offset = place.last_offset,
                                                             .timestamp_us = place.timestamp_us,
                                                             .last_hash = place.last_hash,
                                                             .epoch = place.epoch,
                                                             .reserved = 0,
                                                             .taken_us = io.WallMicros()};
  writer->Seal(chunk, ChunkType::kHead, sizeof(SnapshotHead));
  return writer;
}

SnapshotWriter::~SnapshotWriter() {
  sealed_.clear();
  if (failure_.ok()) failure_ = absl::CancelledError("abandoned");
  while (in_flight_ > 0 || syncing_) io_.Poll(-1);
  if (handle_ != kNoHandle) io_.Close(handle_);
  // What cannot be removed now is removed at the next opening.
  if (handle_ != kNoHandle && !published_) io_.Remove(path_).IgnoreError();
}

SnapshotWriter::Chunk* SnapshotWriter::TakeChunk() {
  if (!free_.empty()) {
    Chunk* const chunk = free_.back();
    free_.pop_back();
    return chunk;
  }
  return chunks_.size() < max_chunks_ ? NewChunk() : nullptr;
}

SnapshotWriter::Chunk* SnapshotWriter::NewChunk() {
  auto chunk = std::make_unique<Chunk>();
  chunk->data.reset(static_cast<std::byte*>(operator new[](kMaxChunkBytes, kAlignment)));
  chunk->writer = this;
  chunks_.push_back(std::move(chunk));
  return chunks_.back().get();
}

absl::Span<std::byte> SnapshotWriter::TakePart() {
  TALLYSTICK_CHECK(taken_ == nullptr && !finished_);
  taken_ = TakeChunk();
  if (taken_ == nullptr) return {};
  return {taken_->data.get() + sizeof(ChunkHeader), kMaxPartBytes};
}

void SnapshotWriter::PutPart(size_t size_bytes) {
  TALLYSTICK_CHECK(taken_ != nullptr && size_bytes > 0 && size_bytes <= kMaxPartBytes);
  Seal(std::exchange(taken_, nullptr), ChunkType::kPart, size_bytes);
}

void SnapshotWriter::Finish() {
  TALLYSTICK_CHECK(taken_ == nullptr && !finished_);
  finished_ = true;
  // The last one may be beyond the limit.
  Chunk* const chunk = free_.empty() ? NewChunk() : TakeChunk();
  new (chunk->data.get() + sizeof(ChunkHeader))
      SnapshotEnd{next_number_ + uint64_t{1}, end_ + ChunkBytes(sizeof(SnapshotEnd))};
  Seal(chunk, ChunkType::kEnd, sizeof(SnapshotEnd));
}

void SnapshotWriter::Seal(Chunk* chunk, ChunkType type, size_t body_bytes) {
  std::byte* const data = chunk->data.get();
  const size_t bytes = ChunkBytes(body_bytes);
  const size_t used = sizeof(ChunkHeader) + body_bytes;
  std::memset(data + used, 0, bytes - used);
  auto* header = new (data) ChunkHeader{};
  header->magic = kSnapshotMagic;
  header->format_version = kSnapshotVersion;
  header->type = type;
  header->ledger_id = options_.identity.ledger_id;
  header->shard = options_.identity.shard;
  header->shard_count = options_.identity.shard_count;
  header->number = next_number_++;
  header->position = position_;
  header->body_bytes = static_cast<uint32_t>(body_bytes);
  header->bytes = static_cast<uint32_t>(bytes);
  header->previous_hash = last_hash_;
  header->body_crc = Crc32c(data + sizeof(ChunkHeader), bytes - sizeof(ChunkHeader));
  header->header_crc = Crc32c(header, offsetof(ChunkHeader, header_crc));
  last_hash_ = Hash128(header, sizeof(*header));
  chunk->stalls = 0;
  chunk->request = {.op = IoOp::kWrite,
                    .handle = handle_,
                    .data = data,
                    .size = static_cast<uint32_t>(bytes),
                    .offset = end_,
                    .complete =
                        [](IoRequest& request) {
                          auto* done = static_cast<Chunk*>(request.owner);
                          done->writer->OnWrite(*done);
                        },
                    .owner = chunk};
  end_ += bytes;
  sealed_.push_back(chunk);
}

int64_t SnapshotWriter::Tick(int64_t monotonic_us, bool in_a_hurry) {
  if (!failure_.ok()) return -1;
  // What operations have written waits for nobody: memory must not run out.
  in_a_hurry = in_a_hurry || unwritten() > crowded_chunks_;
  const size_t most = in_a_hurry ? kWritesInHurry : 1;
  while (!sealed_.empty() && in_flight_ < most) {
    if (!in_a_hurry && monotonic_us < next_write_us_) return next_write_us_ - monotonic_us;
    Chunk* const chunk = sealed_.front();
    sealed_.pop_front();
    chunk->submitted_us = monotonic_us;
    ++in_flight_;
    io_.Submit(chunk->request);
  }
  if (finished_ && !syncing_ && !durable_ && unwritten() == 0) {
    syncing_ = true;
    sync_ = {.op = IoOp::kSync,
             .handle = handle_,
             .complete =
                 [](IoRequest& request) { static_cast<SnapshotWriter*>(request.owner)->OnSync(); },
             .owner = this};
    io_.Submit(sync_);
  }
  return -1;
}

void SnapshotWriter::OnWrite(Chunk& chunk) {
  IoRequest& request = chunk.request;
  --in_flight_;
  if (request.result < 0) return Fail("writing it", -request.result);
  if (!failure_.ok()) return;
  // Whole sectors only: a partial one is written again.
  const auto done = static_cast<uint32_t>(request.result) / kSectorBytes * kSectorBytes;
  if (done < request.size) {
    chunk.stalls = done == 0 ? chunk.stalls + 1 : 0;
    // A disk that takes nothing more is full.
    if (chunk.stalls == kMaxStalls) return Fail("writing it", ENOSPC);
    request.data += done;
    request.offset += done;
    request.size -= done;
    ++in_flight_;
    return io_.Submit(request);
  }
  const int64_t now_us = io_.MonotonicMicros();
  const auto share = static_cast<int64_t>(options_.disk_share_percent);
  next_write_us_ = now_us + (now_us - chunk.submitted_us) * (100 - share) / share;
  free_.push_back(&chunk);
}

void SnapshotWriter::OnSync() {
  syncing_ = false;
  if (sync_.result < 0) return Fail("syncing it", -sync_.result);
  durable_ = failure_.ok();
}

void SnapshotWriter::Fail(const char* what, int error) {
  if (!failure_.ok()) return;
  sealed_.clear();
  failure_ = absl::ErrnoToStatus(error, absl::StrCat(path_, ": ", what, " failed"));
}

absl::Status SnapshotWriter::Publish() {
  TALLYSTICK_CHECK(durable_ && !published_);
  absl::Status renamed = io_.Rename(path_, SnapshotPath(options_.directory, position_));
  if (renamed.ok()) {
    published_ = true;
  } else {
    failure_ = renamed;
  }
  return renamed;
}

}  // namespace tallystick::wal
