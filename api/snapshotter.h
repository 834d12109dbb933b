// The snapshots of one shard: when one is taken, and how it comes about while the shard serves.
//
// Between two blocks an image of the state begins; each turn writes a little more of it, while
// operations go on; when it is whole and durable, and the log is durable up to its position, it is
// published, and older ones but the last are removed. What goes wrong ends the snapshot and is
// reported; the shard goes on.

#ifndef TALLYSTICK_API_SNAPSHOTTER_H_
#define TALLYSTICK_API_SNAPSHOTTER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "api/request.h"
#include "ledger/state_machine.h"
#include "wal/io.h"
#include "wal/log_writer.h"
#include "wal/snapshot_writer.h"

namespace tallystick {

// The newest, and one to fall back to.
inline constexpr size_t kSnapshotsKept = 2;

struct SnapshotSchedule {
  // A snapshot is taken when so much time has passed since the last, or the log has grown by so
  // much, if anything has changed. 0: not for that reason.
  int64_t interval_us = 0;
  uint64_t log_bytes = 0;
};

class Snapshotter {
 public:
  // `options.directory`: of the log. `answer`: gives a request back that was taken.
  Snapshotter(wal::Io& io, wal::SnapshotOptions options, const SnapshotSchedule& schedule,
              ledger::StateMachine& machine, const wal::LogWriter& log,
              std::function<void(const std::string&)> report,
              std::function<void(ShardRequest&)> answer);
  // Abandons what is under way; polls the Io.
  ~Snapshotter();

  // `position` is covered by a snapshot already, and the log has grown by so much since.
  void Recovered(Position position, uint64_t log_bytes);
  // A block of so many records was sealed.
  void NoteSealed(size_t slots) { unsaved_bytes_ += slots * kSlotBytes; }

  // Takes a kSnapshot request: answered when a snapshot of all that is there now is published, or
  // has failed.
  void Take(ControlRequest* request) { waiting_.Push(request); }

  // The position that the newest snapshot covers; 0: there is none.
  Position published() const { return last_.position; }

  // One turn, when no block is open. `busy`: the shard has other work. Returns how many
  // microseconds may pass until the next; 0: there is more to do; negative: until something
  // happens.
  int64_t Step(int64_t monotonic_us, bool busy);
  // The shard has stopped: so do its snapshots.
  void Fail(const absl::Status& failure);

  // Takes a last one if anything has changed, and waits for it (polls the Io). REQUIRES: no block
  // is open.
  void TakeLast();

 private:
  // Of an image, in a turn of a shard that has other work, and of one that has none.
  static constexpr size_t kBusyPortionBytes = 32 << 10;
  static constexpr size_t kIdlePortionBytes = 256 << 10;
  // Of the thread's time, while the shard has other work.
  static constexpr int64_t kBusyPercent = 20;
  // After a failure, until the schedule asks again.
  static constexpr int64_t kRetryUs = 10'000'000;

  class Sink;

  int64_t UntilDue(int64_t monotonic_us) const;
  void Begin(int64_t monotonic_us);
  absl::Status Continue(bool busy);
  void Publish(int64_t monotonic_us);
  void End(int64_t monotonic_us, const absl::Status& failure);
  void FinishUnderWay();
  // The requests that were served.
  void Answer(const SnapshotState& state);

  wal::Io& io_;
  const wal::SnapshotOptions options_;
  const SnapshotSchedule schedule_;
  ledger::StateMachine& machine_;
  const wal::LogWriter& log_;
  const std::function<void(const std::string&)> report_;
  const std::function<void(ShardRequest&)> answer_;

  RequestQueue waiting_;  // for the next one
  RequestQueue served_;   // by the one under way
  std::unique_ptr<wal::SnapshotWriter> writer_;
  std::unique_ptr<Sink> sink_;
  bool image_under_way_ = false;
  int64_t next_portion_us_ = 0;  // while the shard is busy
  int64_t began_us_ = 0;
  uint64_t unsaved_bytes_ = 0;  // of the log, behind the last snapshot, or the one under way
  uint64_t saving_bytes_ = 0;   // before those: what the one under way saves
  SnapshotState last_;          // published, by this opening or an earlier one
  int64_t next_us_;             // by the schedule
  int64_t not_before_us_;
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_SNAPSHOTTER_H_
