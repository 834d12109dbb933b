// A shard: one state machine and its log, joined. It takes requests in order, applies them into log
// blocks, and gives each answer back when everything that the answer depends on is durable, reads
// included.
//
// Driven by Step() on its worker's thread; nothing here blocks but Recover and Stop.

#ifndef TALLYSTICK_API_SHARD_H_
#define TALLYSTICK_API_SHARD_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/change_stream.h"
#include "api/history.h"
#include "api/messages.h"
#include "api/replay_block.h"
#include "api/request.h"
#include "api/snapshotter.h"
#include "api/statement_walk.h"
#include "api/transaction_lookups.h"
#include "api/transaction_search.h"
#include "api/transfers.h"
#include "ledger/state_machine.h"
#include "wal/block_fetcher.h"
#include "wal/io.h"
#include "wal/log_reader.h"
#include "wal/log_writer.h"
#include "wal/record_fetcher.h"

namespace tallystick {

// Operations that may wait for a shard; more are overloaded. Sixteen full requests: some
// milliseconds of work.
inline constexpr size_t kMaxQueuedOperations = 16 * kMaxRequestOperations;
// A block takes no further request beyond this size: large enough for the disk's full rate, small
// enough for a short wait.
inline constexpr size_t kBlockTargetSlots = 2048;
// A wall clock that leaves the monotonic one by more than this stops the shard.
inline constexpr Instant kMaxClockLeap = 3600 * kMicrosPerSecond;
// A clock at start that is this far ahead of the log's end must be confirmed.
inline constexpr Instant kMaxClockGap = 7 * kMicrosPerDay;

struct ShardOptions {
  wal::LogWriterOptions log;
  ClockMode clock = ClockMode::kWall;
  bool create = false;  // the log must not exist yet; else it must
  bool confirm_clock = false;
  bool digests = false;
  std::string archive;  // its archive's directory; empty: in the log's
  // Of its indexes; folders, identity and report are filled in from the others.
  HistoryOptions history;
  // Tells who keeps the log that segments below `sealed_before` are sealed, or that a snapshot was
  // published. Called from Step.
  std::function<void(uint64_t sealed_before)> on_progress;
  SnapshotSchedule snapshots;
  size_t snapshot_buffer_bytes = size_t{64} << 20;
  uint32_t snapshot_disk_percent = 50;
  bool snapshot_at_stop = false;
  uint64_t hash_seed = 0;                   // StateMachine's,
  ledger::RegionSource* regions = nullptr;  // and this, too
  std::function<void(const std::string&)> report;
};

class Shard {
 public:
  // Loads the newest sound snapshot, replays the log behind it, and opens the log for writing.
  static absl::StatusOr<std::unique_ptr<Shard>> Open(wal::Io& io, const ShardOptions& options);

  uint16_t number() const { return options_.log.identity.shard; }

  // Answers through `answer`: called on this thread from Step, in the order in which answers become
  // durable.
  void set_answer(std::function<void(ShardRequest&)> answer) { answer_ = std::move(answer); }

  // How requests to other shards are sent: false: not now.
  void set_send(std::function<bool(ShardRequest*)> send) { transfers_->set_send(std::move(send)); }
  // Others have answered since the last Step.
  bool has_answers() const { return transfers_->has_answers(); }

  // Takes a request; it is answered later, in any case.
  void Enqueue(ShardRequest* request);

  // One turn: answers what has become durable, applies what is waiting. Returns how many
  // microseconds may pass until the next; 0: there is more to do; negative: until something
  // happens.
  int64_t Step();

  // Nothing waits, and nothing is unanswered.
  bool idle() const;
  // OK, or why it has stopped. Requests of a stopped shard are answered with it.
  const absl::Status& failure() const { return failure_; }
  // Takes a last snapshot, if it is to, and writes a last witness; REQUIRES: idle() or stopped.
  absl::Status Stop();

  const ledger::StateMachine& machine() const { return *machine_; }
  // Behind the last record of its log.
  Position end() const { return writer_->next_position(); }
  // The put of a version that this shard has, from 1, as other shards take it.
  Operation PutOf(uint16_t program, uint16_t version) const;
  // Installs what another shard already has, at start.
  absl::Status InstallProgram(const Operation& put, const std::vector<uint8_t>& bytes);

 private:
  Shard(wal::Io& io, const ShardOptions& options);
  void MakeMachine();
  absl::Status Recover(wal::LogTail* tail);
  // Where the log goes on behind the snapshot that was loaded; nothing: none could be.
  absl::StatusOr<std::unique_ptr<wal::LogReader>> LoadNewestSnapshot();
  absl::Status SetSnapshotsAside();
  absl::StatusOr<std::unique_ptr<wal::LogReader>> LoadSnapshot(Position position);
  absl::Status ReplayRest(wal::LogReader& reader);
  void ReportProgress(const char* doing, uint64_t bytes, uint64_t bytes_total);
  absl::Status CheckClockAtStart(const wal::LogTail& tail) const;

  void CheckClock();
  void ReportSpace();
  void TellProgress();
  wal::LogFolders Folders() const;
  Instant Clock();
  // Log time, or the clock when it has gone on: what reads are as of.
  Instant Now();

  void Answer(ShardRequest& request);
  void AnswerDurable();
  void FailAll();
  void Hold(ShardRequest* request);
  void ServeQueue();
  // False: it waits for the next block.
  bool Serve(ShardRequest& request);
  bool ServeSubmit(SubmitPart& part);
  // When all that it saw is durable, and its transfers are settled.
  void FinishSubmit(SubmitPart& part);
  bool ServeParcels(ParcelsRequest& request);
  void ServeOwnTransfers();
  void SettleTransfers();
  enum class Written : uint8_t { kYes, kNotNow, kNever };
  // What `apply` writes, into the open block or one that has room for it; it says whether it had.
  Written Write(absl::FunctionRef<bool(ledger::RecordSink&)> apply);
  // Blocks from now on are not of an earlier time.
  void NotBefore(Instant stamp);
  bool Overtaken(const SubmitPart& part) const;
  void Overload(SubmitPart& part);
  // Counts what the next `answered` results of the part tell its stream, and notes what is to be
  // looked up or waited for.
  void NoteAnswered(SubmitPart& part, size_t answered);
  // The operation of that index is too old.
  void NoteTooOld(SubmitPart& part, size_t index);
  // The operation of that index is a transfer on its way.
  void NoteTransfer(SubmitPart& part, size_t index);
  // True: it is answered when they are.
  bool LookUpTooOld(SubmitPart& part);
  // As HistoryOptions::beginning.
  absl::Status Beginning() const;
  void OpenReaders();
  // shard_control.cc: programs and reads
  bool ServePut(ControlRequest& request);
  bool Install(ControlRequest& request);
  void ServeProgram(ControlRequest& request);
  void ServeTotals(ControlRequest& request);
  void ServeShard(ControlRequest& request);
  void ServeStatement(ControlRequest& request);
  void ServeBalance(ControlRequest& request);
  void ServeLots(ControlRequest& request);
  void ServeDryRun(ControlRequest& request);
  // Counts on for the first that asks what is owed.
  void CountOwed();
  void TellOwedTo(ControlRequest& request);
  // Of the last record, written or in the open block.
  Position LastPosition() const;
  void ServeTransaction(ControlRequest& request);
  // Ok, or why there is nothing to read.
  Outcome Known(const ControlRequest& request) const;

  bool DueNow();
  bool TotalsAreSettled();
  // Writes what is due, up to a block; false: nothing can be written now.
  bool SettleDue();
  size_t MostSlots() const;
  bool RoomWillCome() const;
  // The open block, opened if need be with room for `slots` at least; null: not now.
  ledger::RecordSink* Sink(size_t slots);
  void SealBlock();

  wal::Io& io_;
  ShardOptions options_;
  std::unique_ptr<ledger::StateMachine> machine_;
  std::unique_ptr<wal::LogWriter> writer_;
  std::unique_ptr<History> history_;
  std::unique_ptr<wal::BlockFetcher> fetcher_;
  std::unique_ptr<wal::RecordFetcher> records_;
  std::unique_ptr<StatementWalk> statements_;
  std::unique_ptr<wal::BlockFetcher> lookups_fetcher_;
  std::unique_ptr<wal::RecordFetcher> lookups_records_;
  std::unique_ptr<TransactionSearch> search_;
  std::unique_ptr<TransactionLookups> lookups_;
  std::unique_ptr<wal::BlockFetcher> changes_fetcher_;
  std::unique_ptr<ChangeStream> changes_;
  std::unique_ptr<Snapshotter> snapshots_;
  std::unique_ptr<Transfers> transfers_;
  std::function<void(ShardRequest&)> answer_;
  absl::Status failure_;

  RequestQueue waiting_;
  size_t waiting_operations_ = 0;
  RequestQueue waiting_totals_;  // for what is due to be settled
  RequestQueue waiting_owed_;    // of the first the count is under way, if counting_owed_
  bool counting_owed_ = false;
  RequestQueue held_;  // applied, not yet durable
  size_t unanswered_ = 0;

  bool block_open_ = false;
  ledger::RecordSink sink_;
  std::vector<Record> scratch_;  // what dry runs would write
  size_t settled_slots_ = 0;     // of the open block: written by what was due, before any request
  Instant stamp_ = 0;            // of the last block
  std::vector<Record> parcel_;   // of a transfer to this shard itself
  Instant clock_ = 0;            // wall clock, read once a turn
  Instant wall_minus_monotonic_ = 0;
  uint64_t records_since_digest_ = 0;
  Position snapshot_position_ = 0;  // of the snapshot that was loaded
  std::vector<Position> useless_snapshots_;
  uint64_t replayed_slots_ = 0;  // behind it
  int64_t recovery_began_us_ = 0;
  int64_t next_progress_us_ = 0;
  int64_t busy_until_us_ = 0;  // by the monotonic clock
  bool out_of_space_ = false;  // and the operator was told
  uint64_t told_sealed_before_ = 0;
  Position told_snapshot_ = 0;
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_SHARD_H_
