// Tallystick in your own process: open a ledger, submit operations, be called
// back when they are durable.

#ifndef TALLYSTICK_API_EMBEDDED_H_
#define TALLYSTICK_API_EMBEDDED_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "api/messages.h"
#include "ledger/types.h"
#include "wal/io.h"
#include "wal/log_writer.h"

namespace tallystick {

class Worker;

struct LedgerOptions {
  std::string directory;
  // Make a new ledger in `directory`, which must be missing or empty; else it must hold one.
  bool create = false;
  uint16_t shards = 1;   // with create; otherwise the ledger says
  uint16_t threads = 0;  // 0: one a core, at most one a shard
  bool manual = false;   // no threads: the caller drives it with Step()
  // Absent: as the ledger was last served; a new one, and one that does not say: the wall clock.
  std::optional<ClockMode> clock;
  // Accept a clock that is more than a week ahead of the log's end, or more than an hour behind it:
  // then log time stands still until the clock has caught up.
  bool confirm_clock = false;
  wal::Durability durability = wal::Durability::kOpenDsync;
  // From 4 MiB on, a block holds whatever one member may have due. With smaller ones a member of
  // very many lots may stop its shard. 0: as the ledger was last served; else 64 MiB.
  uint64_t segment_bytes = 0;
  uint32_t blocks_in_flight = 8;
  // Memory that is made ready before the ledger opens, for tables that are known to grow. Beyond it
  // a thread makes some ready ahead of them; none does in manual mode.
  size_t reserve_memory_bytes = 0;
  // Each shard takes a snapshot when so much time has passed since its last one, or its log has
  // grown by so much (a few million records a second are replayed); 0: not for that reason.
  int64_t snapshot_interval_ms = 600'000;
  uint64_t snapshot_log_bytes = uint64_t{8} << 30;
  bool snapshot_at_close = false;
  // Of the disk's time, while the log is in use; and a shard's memory for what waits to be written:
  // where it does not do, the snapshot is abandoned.
  uint32_t snapshot_disk_percent = 50;
  size_t snapshot_buffer_bytes = size_t{64} << 20;
  // Sealed segments that recovery needs no more are packed into the archive. Its directory: empty:
  // as the ledger was last served; else in the shards' own. The oldest are removed when they were
  // archived so many days ago, or when the archive is larger than this; 0: never.
  bool archive = true;
  std::string archive_directory;
  uint32_t archive_keep_days = 0;
  uint64_t archive_keep_bytes = 0;
  // Each sealed segment is indexed, so that transactions of any age are found at once, operations
  // that are too old among them. Off: such operations stay refused as TooOld, and what is read of
  // the past is found along the members' history chains. Memory: of all shards together, for the
  // parts of the indexes that spare a lookup its reads: 3 bytes a record.
  bool history = true;
  size_t history_memory_bytes = size_t{256} << 20;
  // Free space on the disk below which logs prepare no more segments and no snapshot starts, so
  // that archiving, which frees some, and the operator have room.
  uint64_t disk_reserve_bytes = uint64_t{256} << 20;
  // A digest in the blocks, from which replay proves itself step by step; costs time.
  bool block_digests = false;
  // Makes the Io of worker `index`, and behind the last one that of the archive's keeper; absent:
  // the host's best.
  std::function<absl::StatusOr<std::unique_ptr<wal::Io>>(uint16_t index)> make_io;
  // Sentences for the operator: recovery's report, a slower backend, durability none, what is
  // removed from the archive. Called on any of the ledger's threads.
  std::function<void(const std::string& sentence)> report;
};

class Ledger {
 public:
  // Recovers from the newest snapshot and the log, and begins to serve. Errors say what, where, and
  // what to do.
  static absl::StatusOr<std::unique_ptr<Ledger>> Open(const LedgerOptions& options);
  // Closes; what is under way is answered first.
  ~Ledger();

  using ResultsCallback = std::function<void(absl::StatusOr<absl::Span<const Result>>)>;
  // Thread-safe. Copies the operations (1 .. kMaxRequestOperations). `done` is called on a worker's
  // thread (or in Step) when they are durable; its results are valid inside the call only, and a
  // refusal is a result's outcome, not a status. ResourceExhausted when too much is under way:
  // nothing was taken, try again. Operations of one member apply in the order in which one thread
  // submits them, but for those that come back Overloaded (on a full disk, or where connections
  // of a server share the shards): they were not applied, and what was submitted behind them may
  // have been.
  absl::Status Submit(absl::Span<const Operation> operations, ResultsCallback done);

  // Blocking conveniences, from any thread but a worker's (FailedPrecondition there); in manual
  // mode they step. Unknown programs and members are outcomes of the answer. `before` 0: from the
  // newest; `limit` 0: as many as one answer holds.
  absl::StatusOr<Result> Apply(const Operation& operation);
  // What one operation, or one chain of at most 64 (all but the last linked), would do if it were
  // applied now. Nothing is recorded, and its ids stay free; as a read it waits until what it saw
  // is durable. What is too old to be remembered is TooOld: the history is not asked.
  // InvalidArgument: these are neither.
  absl::StatusOr<DryRunAnswer> DryRun(absl::Span<const Operation> operations);
  absl::StatusOr<ProgramPutAnswer> PutProgram(const Id& id, absl::Span<const uint8_t> program);
  absl::StatusOr<std::vector<uint8_t>> GetProgram(uint16_t program);
  absl::StatusOr<BalanceAnswer> Balance(uint16_t program, const Id& member, Instant as_of = 0);
  // The same with all events, at most kMaxScheduleEvents.
  absl::StatusOr<BalanceAnswer> Schedule(uint16_t program, const Id& member, Instant as_of = 0);
  absl::StatusOr<LotsAnswer> Lots(uint16_t program, const Id& member);
  // Where the history cannot be read any farther, the answer ends there, perhaps without movements,
  // and asking on from its `next` is an error. NotFound: the archive's limits have removed the
  // rest; DataLoss and others: it cannot be read, says which file.
  absl::StatusOr<StatementAnswer> Statement(uint16_t program, const Id& member, Position before = 0,
                                            uint32_t limit = 0);
  // The newest of the account's transactions with this id, of whatever age. Outcome
  // UnknownOriginal: there is none, or it lies in a segment that the archive's limits have removed.
  // DataLoss and others: it may lie where the log cannot be read, says which file.
  absl::StatusOr<TransactionAnswer> Transaction(uint16_t program, const Id& member, const Id& id);
  absl::StatusOr<TotalsAnswer> Totals(uint16_t program);
  // What a program owes by month of expiry, settled to now, or as of a later instant if nothing
  // else happens. Each account is looked at, some hundreds a turn beside all other work; each
  // shard's figures are those of one position, which the answer names. Counts of one shard go one
  // after the other.
  absl::StatusOr<OwedAnswer> Owed(uint16_t program, Instant as_of = 0);
  absl::StatusOr<ShardsAnswer> Shards();
  absl::StatusOr<TickAnswer> Tick(const Id& id, Instant to);
  // Takes one of each shard now; answers when they are durable.
  absl::StatusOr<SnapshotsAnswer> Snapshot();
  // Durable records of a shard from position `from` on (0, 1: from the first); when there are none
  // yet, waits for some, `wait_ms` (at most kMaxRecordsWaitMs). Ask on from the answer's `next`.
  // OutOfRange: the log has not come to `from`. NotFound: the archive's limits have removed it,
  // says with which position the log begins. DataLoss and others: it cannot be read.
  absl::StatusOr<RecordsAnswer> Records(uint16_t shard, Position from, uint32_t wait_ms = 0);

  // Manual mode: one turn of every worker's loop; waits at most `wait_us` when there is nothing to
  // do. True when something happened.
  bool Step(int64_t wait_us = 0);

  // OK, or why a shard has stopped.
  absl::Status health() const;
  // Everything durable, witnesses written, logs closed. Idempotent.
  absl::Status Close();

  // The worker threads' loops, for a server that shares them. Index < worker_count().
  uint16_t worker_count() const;
  Worker& worker(uint16_t index);

 private:
  struct State;
  explicit Ledger(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_EMBEDDED_H_
