#include "wal/segment_keeper.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "wal/block.h"
#include "wal/segment_window.h"
#include "wal/snapshot_files.h"
#include "wal/snapshot_reader.h"

namespace tallystick::wal {

SegmentKeeper::SegmentKeeper(Io& io, const KeeperOptions& options)
    : io_(io),
      options_(options),
      trimmer_(
          io, options.folders.archive, options.limits,
          [this](const std::string& sentence) { Report(sentence); },
          [this](uint64_t segment, uint64_t next_position) {
            for (const auto& task : tasks_) task->Removed(segment, next_position);
          }) {}

SegmentKeeper::~SegmentKeeper() = default;

void SegmentKeeper::Note(uint64_t sealed_before) {
  sealed_before_.store(sealed_before, std::memory_order_relaxed);
  notes_.fetch_add(1, std::memory_order_release);
}

void SegmentKeeper::Abandon() {
  comparison_.reset();
  writer_.reset();
  if (!task_begun_) return;
  tasks_[task_]->Abandon();
  task_begun_ = false;
}

void SegmentKeeper::Redo(const SealedSegment& segment) {
  const std::lock_guard<std::mutex> lock(redo_mutex_);
  redo_.push_back(segment);
}

int64_t SegmentKeeper::Step(int64_t monotonic_us) {
  const bool told = notes_.load(std::memory_order_acquire) != notes_seen_;
  if (monotonic_us >= retry_at_us_) retry_at_us_ = -1;
  if (!at_work() && retry_at_us_ < 0 && (told || monotonic_us >= look_at_us_)) {
    look_at_us_ = monotonic_us + kLookUs;
    if (absl::Status looked = Look(); !looked.ok()) Failed(looked, monotonic_us);
  }
  const absl::StatusOr<bool> worked = Work(monotonic_us);
  if (!worked.ok()) {
    Failed(worked.status(), monotonic_us);
    return 0;
  }
  if (*worked) return 0;
  int64_t wait_us = -1;
  if (options_.archive && options_.limits.keep_us != 0) wait_us = look_at_us_ - monotonic_us;
  if (retry_at_us_ >= 0) wait_us = retry_at_us_ - monotonic_us;
  const std::lock_guard<std::mutex> lock(redo_mutex_);
  if (redo_.empty() || tasks_.empty()) return wait_us;
  const int64_t redo_us = std::max<int64_t>(tasks_at_us_ - monotonic_us, 0);
  return wait_us < 0 ? redo_us : std::min(wait_us, redo_us);
}

absl::Status SegmentKeeper::Look() {
  const uint64_t notes = notes_.load(std::memory_order_acquire);
  if (absl::Status found = FindSealed(sealed_before_.load(std::memory_order_relaxed));
      !found.ok()) {
    return found;
  }
  if (options_.archive) {
    const absl::StatusOr<uint64_t> needed = FirstNeeded();
    if (!needed.ok()) return needed.status();
    first_needed_ = *needed;
    if (absl::Status looked = trimmer_.Look(); !looked.ok()) return looked;
  }
  notes_seen_ = notes;
  return absl::OkStatus();
}

// Walks back from the first segment that is not known to be sealed, to one that was found before or
// is plain no more.
absl::Status SegmentKeeper::FindSealed(uint64_t sealed_before) {
  if (sealed_before <= last_sealed_) return absl::OkStatus();
  std::vector<SealedSegment> found;
  SegmentWindow window(io_, options_.folders, kSectorBytes);
  for (uint64_t at = sealed_before; at > last_sealed_;) {
    absl::Status opened = window.OpenPlain(at);
    if (absl::IsNotFound(opened) && at != sealed_before) {
      archived_ = found.back();
      found.pop_back();
      break;
    }
    if (!opened.ok()) return opened;
    const absl::StatusOr<absl::Span<const std::byte>> bytes = window.Read(0, kSectorBytes);
    if (!bytes.ok()) return bytes.status();
    if (bytes->size() < kSectorBytes) break;
    const auto& header = *reinterpret_cast<const BlockHeader*>(bytes->data());
    StartInfo info;
    std::memcpy(&info, bytes->data() + sizeof(BlockHeader), sizeof(info));
    if (!IsStartOf(at, bytes->data(), bytes->size())) {
      Report(absl::StrCat(window.path(), " does not begin with a sound start block: it is not ",
                          "archived, nor is what lies before it. Restore it from a copy"));
      break;
    }
    // Of a log of an opening before the sealing of the first segment, that is all there is.
    if (info.previous_segment == 0 || info.previous_segment <= last_sealed_ ||
        info.previous_segment >= at) {
      break;
    }
    found.push_back({.number = info.previous_segment,
                     .bytes = info.previous_end,
                     .next_position = header.first_position,
                     .last_hash = header.previous_hash});
    at = info.previous_segment;
  }
  sealed_.insert(sealed_.end(), found.rbegin(), found.rend());
  last_sealed_ = sealed_before - 1;
  return absl::OkStatus();
}

// The segment from which a start may have to read on; 0: the first.
absl::StatusOr<uint64_t> SegmentKeeper::FirstNeeded() {
  const absl::StatusOr<std::vector<uint64_t>> positions = ListSnapshots(io_, options_.folders.log);
  if (!positions.ok()) return positions.status();
  if (positions->size() < options_.snapshots_kept) return 0;
  const uint64_t position = (*positions)[positions->size() - options_.snapshots_kept];
  const absl::StatusOr<std::unique_ptr<SnapshotReader>> snapshot =
      SnapshotReader::Open(io_, options_.folders.log, position, options_.identity);
  if (snapshot.ok()) return (*snapshot)->place().segment;
  // Of a snapshot that is damaged nothing is known; one that has just been removed has made way for
  // another, which is told of.
  return absl::IsNotFound(snapshot.status()) || absl::IsDataLoss(snapshot.status())
             ? absl::StatusOr<uint64_t>(first_needed_)
             : snapshot.status();
}

absl::StatusOr<bool> SegmentKeeper::Work(int64_t monotonic_us) {
  const bool archiving = comparison_ != nullptr || writer_ != nullptr;
  // After a failure it waits, and tasks do not.
  const bool archives = options_.archive && retry_at_us_ < 0;
  if (tasks_.empty()) worked_ = sealed_.size();
  // What can go into the archive does so first: else a log that grows fast would keep tasks busy
  // with ever newer segments, and fill the disk.
  if (!task_segment_.has_value() && archives && worked_ > 0 &&
      sealed_.front().number < first_needed_) {
    return Archive();
  }
  if (!task_segment_.has_value() && !archiving && worked_ < sealed_.size()) {
    task_segment_ = sealed_[worked_++];
  }
  if (!task_segment_.has_value() && (monotonic_us < tasks_at_us_ || !TakeRedo())) {
    return archives ? trimmer_.Step(first_needed_) : absl::StatusOr<bool>(false);
  }
  RunTasks(monotonic_us);
  return true;
}

bool SegmentKeeper::TakeRedo() {
  const std::lock_guard<std::mutex> lock(redo_mutex_);
  if (redo_.empty() || tasks_.empty()) return false;
  task_segment_ = redo_.front();
  redo_.pop_front();
  return true;
}

void SegmentKeeper::EndTasks() {
  task_segment_.reset();
  task_ = 0;
  task_begun_ = false;
}

void SegmentKeeper::RunTasks(int64_t monotonic_us) {
  if (task_ == tasks_.size()) return EndTasks();
  // While tasks fail, the log's segments are not held up by them.
  if (monotonic_us < tasks_at_us_) {
    Redo(*task_segment_);
    return EndTasks();
  }
  SegmentTask& task = *tasks_[task_];
  if (!task_begun_) {
    if (absl::Status begun = task.Begin(*task_segment_); !begun.ok()) {
      return TaskFailed(begun, monotonic_us);
    }
    task_begun_ = true;
  }
  const absl::StatusOr<bool> done = task.Step();
  if (!done.ok()) return TaskFailed(done.status(), monotonic_us);
  if (!*done) return;
  task_failure_ = absl::StatusCode::kOk;
  task_begun_ = false;
  ++task_;
}

void SegmentKeeper::TaskFailed(const absl::Status& failure, int64_t monotonic_us) {
  const bool for_good =
      absl::IsDataLoss(failure) || absl::IsOutOfRange(failure) || absl::IsNotFound(failure);
  if (for_good || failure.code() != task_failure_) Report(std::string(failure.message()));
  if (!for_good) {
    task_failure_ = failure.code();
    tasks_at_us_ = monotonic_us + kRetryUs;
    Redo(*task_segment_);
  }
  EndTasks();
}

// Without what lies before it, the archive is another one: that of a disk which is not mounted has
// nothing in it.
absl::Status SegmentKeeper::CheckArchived() {
  if (!archived_.has_value()) return absl::OkStatus();
  absl::Status there = CheckArchiveOf(io_, options_.folders, options_.identity, *archived_);
  if (!absl::IsNotFound(there)) return absl::IsDataLoss(there) ? absl::OkStatus() : there;
  const absl::StatusOr<uint64_t> gone = LastGone(io_, options_.folders);
  if (!gone.ok()) return gone.status();
  if (*gone >= archived_->number) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat(
      "no segment is archived: ", there.message(),
      ", though it was archived before. Is the archive's disk mounted? Put the file back"));
}

// An archive that a crash has left beside its segment is held against it; one that is damaged is
// written again.
absl::Status SegmentKeeper::BeginArchive() {
  const SealedSegment& segment = sealed_.front();
  if (absl::Status s = CheckArchived(); !s.ok()) return s;
  absl::Status there = CheckArchiveOf(io_, options_.folders, options_.identity, segment);
  if (there.ok()) {
    comparison_ = std::make_unique<ArchiveComparison>(io_, options_.folders, segment.number);
    return there;
  }
  if (!absl::IsNotFound(there) && !absl::IsDataLoss(there)) return there;
  return BeginWriting();
}

absl::Status SegmentKeeper::BeginWriting() {
  absl::StatusOr<std::unique_ptr<ArchiveWriter>> writer =
      ArchiveWriter::Begin(io_, options_.folders, options_.identity, sealed_.front());
  if (!writer.ok()) return writer.status();
  writer_ = *std::move(writer);
  return absl::OkStatus();
}

absl::StatusOr<bool> SegmentKeeper::Archive() {
  if (comparison_ == nullptr && writer_ == nullptr) {
    if (absl::Status begun = BeginArchive(); !begun.ok()) return begun;
    return true;
  }
  absl::StatusOr<bool> done = comparison_ != nullptr ? comparison_->Step() : writer_->Step();
  if (comparison_ != nullptr && absl::IsDataLoss(done.status())) {
    comparison_.reset();
    if (absl::Status begun = BeginWriting(); !begun.ok()) return begun;
    return true;
  }
  if (!done.ok()) return done.status();
  if (!*done) return true;
  comparison_.reset();
  writer_.reset();
  archived_ = sealed_.front();
  if (absl::Status given_up = GiveUpSegment(archived_->number); !given_up.ok()) return given_up;
  sealed_.pop_front();
  --worked_;
  if (absl::Status looked = trimmer_.Look(); !looked.ok()) return looked;
  return true;
}

// The log writes over what has its size and is needed soon; the rest is disk space.
absl::Status SegmentKeeper::GiveUpSegment(uint64_t segment) {
  const std::string path = FilePath(options_.folders.log, segment, FileKind::kSegment);
  const absl::StatusOr<LogFiles> files = ListLogFiles(io_, options_.folders.log);
  if (!files.ok()) return files.status();
  const absl::StatusOr<Handle> handle = io_.Open(path, {});
  if (!handle.ok()) return handle.status();
  const absl::StatusOr<uint64_t> size = io_.Size(*handle);
  io_.Close(*handle);
  if (!size.ok()) return size.status();
  if (*size != options_.segment_bytes || files->free.size() >= options_.free_kept) {
    return io_.Remove(path);
  }
  return io_.Rename(path, FilePath(options_.folders.log, segment, FileKind::kFree));
}

// A segment that is damaged is left, and the next one's turn comes. All else may pass.
void SegmentKeeper::Failed(const absl::Status& failure, int64_t monotonic_us) {
  const bool archiving = comparison_ != nullptr || writer_ != nullptr;
  comparison_.reset();
  writer_.reset();
  if (archiving && absl::IsDataLoss(failure)) {
    sealed_.pop_front();
    --worked_;
  } else {
    retry_at_us_ = monotonic_us + kRetryUs;
  }
  std::string sentence(failure.message());
  if (sentence == reported_) return;
  Report(archiving ? absl::StrCat("a segment is not archived: ", sentence) : sentence);
  reported_ = std::move(sentence);
}

void SegmentKeeper::Report(const std::string& sentence) {
  if (options_.report) options_.report(sentence);
}

}  // namespace tallystick::wal
