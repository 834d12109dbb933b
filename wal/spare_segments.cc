#include "wal/spare_segments.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "wal/check.h"
#include "wal/segment_files.h"

namespace tallystick::wal {
namespace {

// A full disk is the operator's to cure; the bytes written so far are kept for when it is.
bool IsDiskFull(int error) { return error == ENOSPC || error == EDQUOT; }

absl::Status WithAdvice(const absl::Status& cause, const std::string& path, uint64_t segment_bytes,
                        absl::string_view advice) {
  // Unavailable is kept for a spare that is being written.
  const absl::StatusCode code =
      absl::IsUnavailable(cause) ? absl::StatusCode::kInternal : cause.code();
  return absl::Status(code, absl::StrCat(path, ": no log space: a new segment of ", segment_bytes,
                                         " bytes could not be prepared: ", cause.message(),
                                         ". Free or add disk space", advice));
}

}  // namespace

SpareSegments::SpareSegments(Io& io, const SpareOptions& options)
    : io_(io),
      options_(options),
      preparing_(absl::UnavailableError(
          absl::StrCat(options.directory, ": the next log segment is being prepared"))) {
  prepared_.reserve(options.count + 1);
}

SpareSegments::~SpareSegments() {
  TALLYSTICK_CHECK(!busy());
  for (const Prepared& spare : prepared_) io_.Close(spare.handle);
  if (handle_ != kNoHandle) io_.Close(handle_);
}

absl::StatusOr<std::unique_ptr<SpareSegments>> SpareSegments::Open(Io& io,
                                                                   const SpareOptions& options) {
  std::unique_ptr<SpareSegments> spares(new SpareSegments(io, options));
  absl::StatusOr<IoBuffer> zeros =
      io.AllocateBuffer(std::min<uint64_t>(kPieceBytes, options.segment_bytes));
  if (!zeros.ok()) return zeros.status();
  spares->zeros_ = *zeros;
  absl::Status status = spares->Adopt();
  if (status.ok() && !spares->available()) status = spares->PrepareNow();
  if (!status.ok()) return status;
  return spares;
}

absl::Status SpareSegments::Adopt() {
  absl::StatusOr<LogFiles> files = ListLogFiles(io_, options_.directory);
  if (!files.ok()) return files.status();
  for (const uint64_t number : files->preparing) {
    absl::Status status = io_.Remove(FilePath(options_.directory, number, FileKind::kPreparing));
    if (!status.ok()) return status;
    next_number_ = std::max(next_number_, number + 1);
  }
  for (const uint64_t number : files->spares) {
    const std::string path = FilePath(options_.directory, number, FileKind::kSpare);
    absl::StatusOr<Handle> handle =
        io_.Open(path, {.write = true, .direct = true, .dsync = options_.dsync});
    if (!handle.ok()) return handle.status();
    next_number_ = std::max(next_number_, number + 1);
    absl::StatusOr<uint64_t> size = io_.Size(*handle);
    if (size.ok() && *size == options_.segment_bytes) {
      prepared_.push_back({.number = number, .handle = *handle});
      continue;
    }
    io_.Close(*handle);
    if (!size.ok()) return size.status();
    absl::Status status = io_.Remove(path);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status SpareSegments::PrepareNow() {
  absl::Status status = Create(/*reserve_bytes=*/0);
  for (uint64_t offset = 0; status.ok() && offset < options_.segment_bytes; offset += zeros_.size) {
    const uint64_t left = options_.segment_bytes - offset;
    status = io_.WriteAt(handle_, offset, zeros_.data, std::min<uint64_t>(zeros_.size, left));
  }
  if (status.ok()) status = io_.Sync(handle_);
  if (status.ok()) status = Publish();
  if (status.ok()) return status;
  absl::Status failure = WithAdvice(status, path_, options_.segment_bytes, ", then start again");
  GiveUp();
  return failure;
}

absl::Status SpareSegments::Create(uint64_t reserve_bytes) {
  number_ = next_number_++;
  path_ = FilePath(options_.directory, number_, FileKind::kPreparing);
  written_bytes_ = 0;
  error_ = 0;
  const absl::StatusOr<bool> taken = TakeFree();
  if (!taken.ok()) return taken.status();
  if (!*taken) {
    if (absl::Status room = CheckReserve(reserve_bytes); !room.ok()) return room;
    absl::StatusOr<Handle> handle =
        io_.Open(path_, {.write = true, .create = true, .direct = true});
    if (!handle.ok()) return handle.status();
    handle_ = *handle;
  }
  phase_ = Phase::kWriting;
  return absl::OkStatus();
}

// Opens a segment that was given up, to write over it under the name that it has: it is worth
// nothing before a crash and after one. Those of another size are removed.
absl::StatusOr<bool> SpareSegments::TakeFree() {
  const absl::StatusOr<LogFiles> files = ListLogFiles(io_, options_.directory);
  if (!files.ok()) return files.status();
  for (const uint64_t number : files->free) {
    const std::string path = FilePath(options_.directory, number, FileKind::kFree);
    const absl::StatusOr<Handle> handle = io_.Open(path, {.write = true, .direct = true});
    if (!handle.ok()) return handle.status();
    const absl::StatusOr<uint64_t> size = io_.Size(*handle);
    if (size.ok() && *size == options_.segment_bytes) {
      path_ = path;
      handle_ = *handle;
      return true;
    }
    io_.Close(*handle);
    if (!size.ok()) return size.status();
    if (absl::Status removed = io_.Remove(path); !removed.ok()) return removed;
  }
  return false;
}

absl::Status SpareSegments::CheckReserve(uint64_t reserve_bytes) {
  if (reserve_bytes == 0) return absl::OkStatus();
  const absl::StatusOr<uint64_t> free = io_.FreeBytes(options_.directory);
  if (!free.ok()) return free.status();
  if (*free >= options_.segment_bytes && *free - options_.segment_bytes >= reserve_bytes) {
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError(absl::StrCat(*free, " bytes are free, and ", reserve_bytes,
                                                   " of them are kept for archiving and repair"));
}

// The name comes after the sync: what is called a spare is whole.
absl::Status SpareSegments::Publish() {
  io_.Close(std::exchange(handle_, kNoHandle));
  absl::StatusOr<Handle> handle =
      io_.Open(path_, {.write = true, .direct = true, .dsync = options_.dsync});
  if (!handle.ok()) return handle.status();
  handle_ = *handle;
  absl::Status renamed = io_.Rename(path_, FilePath(options_.directory, number_, FileKind::kSpare));
  if (!renamed.ok()) return renamed;
  prepared_.push_back({.number = number_, .handle = std::exchange(handle_, kNoHandle)});
  phase_ = Phase::kIdle;
  failure_ = absl::OkStatus();
  return absl::OkStatus();
}

absl::StatusOr<Handle> SpareSegments::Take(const std::string& segment_path) {
  TALLYSTICK_CHECK(available());
  const Prepared spare = prepared_.front();
  absl::Status renamed =
      io_.Rename(FilePath(options_.directory, spare.number, FileKind::kSpare), segment_path);
  if (!renamed.ok()) return renamed;
  prepared_.erase(prepared_.begin());
  return spare.handle;
}

int64_t SpareSegments::Tick(int64_t monotonic_us, uint64_t log_offset) {
  now_us_ = monotonic_us;
  log_offset_ = log_offset;
  if (stopped_ || busy()) {
    if (!stopped_ && phase_ == Phase::kWriting && error_ == 0) SubmitPieces();
    return -1;
  }
  if (error_ != 0) {
    const int error = std::exchange(error_, 0);
    const bool keep = IsDiskFull(error) && phase_ == Phase::kWriting;
    Failed(absl::ErrnoToStatus(error, path_));
    // After a failed sync, or an error of the device, nothing is known of the file.
    if (keep) {
      written_bytes_ = failed_offset_;
    } else {
      GiveUp();
    }
  }
  if (retry_at_us_ >= 0) {
    if (monotonic_us < retry_at_us_) return retry_at_us_ - monotonic_us;
    retry_at_us_ = -1;
  }
  absl::Status status;
  if (phase_ == Phase::kSynced) status = Publish();
  if (status.ok() && phase_ == Phase::kIdle && prepared_.size() < options_.count) {
    status = Create(options_.reserve_bytes);
  }
  if (!status.ok()) {
    GiveUp();
    Failed(status);
    return kRetryUs;
  }
  if (phase_ == Phase::kWriting) {
    written_bytes_ < options_.segment_bytes ? SubmitPieces() : SubmitSync();
  }
  return -1;
}

bool SpareSegments::AheadOfLog() const {
  return available() && written_bytes_ > log_offset_ / 4 * kPaceQuarters;
}

bool SpareSegments::InTime() const { return available() || written_bytes_ > log_offset_; }

void SpareSegments::SubmitPieces() {
  for (IoRequest& piece : pieces_) {
    if (piece.owner != nullptr || written_bytes_ == options_.segment_bytes) continue;
    if (AheadOfLog() || (in_flight_ >= kPiecesInTime && InTime())) return;
    const uint64_t left = options_.segment_bytes - written_bytes_;
    piece = {.op = IoOp::kWrite,
             .handle = handle_,
             .data = zeros_.data,
             .size = static_cast<uint32_t>(std::min<uint64_t>(zeros_.size, left)),
             .offset = written_bytes_,
             .complete =
                 [](IoRequest& request) {
                   static_cast<SpareSegments*>(request.owner)->OnPiece(request);
                 },
             .owner = this};
    written_bytes_ += piece.size;
    ++in_flight_;
    io_.Submit(piece);
  }
}

void SpareSegments::OnPiece(IoRequest& request) {
  --in_flight_;
  // Whole sectors only: a partial one is written again.
  const auto done =
      static_cast<uint32_t>(std::max(request.result, 0) / kSectorBytes * kSectorBytes);
  const bool stalled = request.result >= 0 && done == 0;
  if (request.result < 0 || stalled) {
    if (error_ == 0 || request.offset < failed_offset_) failed_offset_ = request.offset;
    // A full disk leaves the pieces before it; any other error, none that could be relied on. Part
    // of a sector is what a disk takes that has no room for the rest.
    const int stall = request.result > 0 ? ENOSPC : EIO;
    if (error_ == 0 || IsDiskFull(error_)) error_ = stalled ? stall : -request.result;
    request.owner = nullptr;
    return;
  }
  request.offset += done;
  request.size -= std::min(done, request.size);
  if (request.size == 0 || stopped_) {
    request.owner = nullptr;
    return;
  }
  ++in_flight_;
  io_.Submit(request);
}

void SpareSegments::SubmitSync() {
  phase_ = Phase::kSyncing;
  sync_ = {
      .op = IoOp::kSync,
      .handle = handle_,
      .complete =
          [](IoRequest& request) { static_cast<SpareSegments*>(request.owner)->OnSync(request); },
      .owner = this};
  ++in_flight_;
  io_.Submit(sync_);
}

void SpareSegments::OnSync(IoRequest& request) {
  --in_flight_;
  if (request.result < 0) {
    error_ = -request.result;
  } else {
    phase_ = Phase::kSynced;
  }
}

// Drops the file that is being prepared.
void SpareSegments::GiveUp() {
  phase_ = Phase::kIdle;
  if (handle_ != kNoHandle) io_.Close(std::exchange(handle_, kNoHandle));
  // A file that cannot be removed now is removed, or written over, at the next opening.
  if (io_.Exists(path_)) io_.Remove(path_).IgnoreError();
}

void SpareSegments::Failed(const absl::Status& cause) {
  failure_ = WithAdvice(cause, path_, options_.segment_bytes, "; it is tried again once a second");
  retry_at_us_ = now_us_ + kRetryUs;
}

absl::Status SpareSegments::status() const {
  if (available()) return absl::OkStatus();
  return failure_.ok() ? preparing_ : failure_;
}

}  // namespace tallystick::wal
