// What becomes of the segments of one log that are sealed: work on each of them, in order; then the
// archive, when recovery needs them no more; then, if the archive has limits, their end.
//
// Driven step by step on a thread of its own with an Io of its own, or by a test. Never touches the
// segment that is being written, nor what a snapshot that is kept needs.

#ifndef TALLYSTICK_WAL_SEGMENT_KEEPER_H_
#define TALLYSTICK_WAL_SEGMENT_KEEPER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "wal/archive_limits.h"
#include "wal/archive_writer.h"
#include "wal/format.h"
#include "wal/io.h"
#include "wal/segment_files.h"

namespace tallystick::wal {

// Work on every sealed segment, one after the other in the order of the log, each soon after it is
// sealed and before it is archived. A segment that was not archived comes again after a restart.
// DataLoss, OutOfRange, NotFound: this segment never will be done. After other failures it is tried
// again later; meanwhile the segment may have gone into the archive.
class SegmentTask {
 public:
  virtual ~SegmentTask() = default;
  // The segment is whole and durable, and will not change.
  virtual absl::Status Begin(const SealedSegment& segment) = 0;
  // A bounded piece of the work. True: it is done.
  virtual absl::StatusOr<bool> Step() = 0;
  // Ends what is under way, on the thread that steps. Begin comes again.
  virtual void Abandon() {}
  // The archive's limits have removed the segment.
  virtual void Removed(uint64_t /*segment*/, uint64_t /*next_position*/) {}
};

struct KeeperOptions {
  LogFolders folders = LogFolders("");
  LogIdentity identity;
  bool archive = true;  // else segments stay as they are, and so does the archive
  ArchiveLimits limits;
  // Archived is what lies before the place of the oldest of so many newest snapshots.
  size_t snapshots_kept = 2;
  // Segments that were given up and wait to be written over, at most; all of this size.
  size_t free_kept = 2;
  uint64_t segment_bytes = 0;
  std::function<void(const std::string&)> report;
};

class SegmentKeeper {
 public:
  SegmentKeeper(Io& io, const KeeperOptions& options);
  ~SegmentKeeper();
  SegmentKeeper(const SegmentKeeper&) = delete;
  SegmentKeeper& operator=(const SegmentKeeper&) = delete;

  void AddTask(std::unique_ptr<SegmentTask> task) { tasks_.push_back(std::move(task)); }

  // Segments below `segment` are sealed (LogWriter::sealed_before), or a snapshot was published.
  // Thread-safe, and does not wait.
  void Note(uint64_t sealed_before);
  // The tasks are to be done once more with a sealed segment, archived or not, when there is
  // nothing more urgent. Thread-safe.
  void Redo(const SealedSegment& segment);

  // A piece of work: about a frame of an archive. Returns how many microseconds may pass until the
  // next; 0: there is more to do; negative: until Note. What goes wrong is reported, and tried
  // again unless the segment is damaged.
  int64_t Step(int64_t monotonic_us);

  // Ends what is under way, on the thread that steps: an Io may belong to one. It is begun again by
  // the next Step.
  void Abandon();

  // In the midst of a segment.
  bool at_work() const {
    return comparison_ != nullptr || writer_ != nullptr || task_segment_.has_value();
  }

 private:
  // After a failure that may pass: a full disk, a directory that is not there.
  static constexpr int64_t kRetryUs = 30'000'000;
  // Between two looks at the archive's age.
  static constexpr int64_t kLookUs = 60'000'000;

  absl::Status Look();
  absl::Status FindSealed(uint64_t sealed_before);
  absl::StatusOr<uint64_t> FirstNeeded();
  // One piece; false: there is nothing to do.
  absl::StatusOr<bool> Work(int64_t monotonic_us);
  bool TakeRedo();
  void RunTasks(int64_t monotonic_us);
  void EndTasks();
  void TaskFailed(const absl::Status& failure, int64_t monotonic_us);
  absl::Status CheckArchived();
  absl::Status BeginArchive();
  absl::Status BeginWriting();
  absl::StatusOr<bool> Archive();
  absl::Status GiveUpSegment(uint64_t segment);
  void Failed(const absl::Status& failure, int64_t monotonic_us);
  void Report(const std::string& sentence);

  Io& io_;
  const KeeperOptions options_;
  std::vector<std::unique_ptr<SegmentTask>> tasks_;
  std::atomic<uint64_t> sealed_before_{0};
  std::atomic<uint64_t> notes_{0};
  uint64_t notes_seen_ = 0;

  std::deque<SealedSegment> sealed_;       // not yet archived, ascending
  uint64_t last_sealed_ = 0;               // the last that was found
  std::optional<SealedSegment> archived_;  // the one before sealed_, if it was archived
  uint64_t first_needed_ = 0;              // segment; 0: all may be
  size_t worked_ = 0;                      // of sealed_, tasks had so many
  std::optional<SealedSegment> task_segment_;
  size_t task_ = 0;  // the next one for it
  bool task_begun_ = false;
  int64_t tasks_at_us_ = 0;                                // after a failure: not before
  absl::StatusCode task_failure_ = absl::StatusCode::kOk;  // the last: it is told once
  std::mutex redo_mutex_;                                  // guards the one below
  std::deque<SealedSegment> redo_;
  std::unique_ptr<ArchiveComparison> comparison_;
  std::unique_ptr<ArchiveWriter> writer_;
  ArchiveTrimmer trimmer_;
  int64_t retry_at_us_ = -1;
  int64_t look_at_us_ = 0;
  std::string reported_;  // the last failure: it is told once
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_SEGMENT_KEEPER_H_
