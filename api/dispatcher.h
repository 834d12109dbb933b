// Where connections and embedding programs hand their requests in: finds the
// shards of a request, crosses to their threads, and brings one answer back.
//
// There is one Dispatcher a worker thread; all calls, and all `done` calls, are on that thread.
// Answers come when they are durable: nothing that a crash could take back is ever told.

#ifndef TALLYSTICK_API_DISPATCHER_H_
#define TALLYSTICK_API_DISPATCHER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "api/messages.h"
#include "ledger/types.h"

namespace tallystick {

// Operations in one request at most. One request of this many fits every queue and frame.
inline constexpr size_t kMaxRequestOperations = 8192;

// One caller whose operations of one member apply in the order in which they are submitted, a
// connection for one. After an overloaded operation the shard answers Overloaded to all of the
// stream that was submitted before the caller had read that answer (SubmitCall::overloads_seen).
class Stream {
 public:
  explicit Stream(size_t shard_count) : shards_(shard_count) {}
  // Overloaded results given to this stream's `done` so far.
  uint32_t overloads_given() const { return overloads_given_; }

 private:
  friend class Dispatcher;
  friend class Shard;
  struct PerShard {
    alignas(64) uint32_t refused = 0;  // the shard's thread only: overloaded results produced
    uint32_t returned = 0;             // the stream's thread only: of these, come back
  };
  std::vector<PerShard> shards_;
  uint32_t overloads_given_ = 0;
};

// A batch of operations under way. The caller owns it, and what its spans refer to, until `done`.
struct SubmitCall {
  Stream* stream = nullptr;
  uint32_t overloads_seen = 0;  // of stream->overloads_given(), by the time the caller sent this
  absl::Span<const Operation> operations;  // 1 .. kMaxRequestOperations, any mix of members
  absl::Span<Result> results;              // as many; filled
  absl::Status status;  // not OK: a shard has stopped; nothing is known of the outcomes
  void (*done)(SubmitCall& call) = nullptr;
  void* owner = nullptr;

  // The dispatcher's own.
  uint32_t parts_under_way = 0;
  uint32_t overloads = 0;
};

class ShardWorker;

class Dispatcher {
 public:
  // `info` is what info() gives, but for the time.
  Dispatcher(ShardWorker& worker, const ServerInfo& info);
  ~Dispatcher();  // REQUIRES: nothing under way

  // No allocation when all operations belong to one shard.
  void Submit(SubmitCall& call);

  // Control requests; a status says that a shard has stopped or the request queue is full
  // (ResourceExhausted).
  template <typename Answer>
  using Done = std::function<void(absl::StatusOr<Answer>)>;
  // What one operation, or one chain of at most kMaxChainOperations, would do; InvalidArgument: it
  // is neither.
  void DryRun(absl::Span<const Operation> operations, Done<DryRunAnswer> done);
  // `program`: bytes of a tallystick.Program, verified and checked here; resolves its time zone.
  void PutProgram(const Id& id, absl::Span<const uint8_t> program, Done<ProgramPutAnswer> done);
  // The bytes of the newest version; empty: unknown program.
  void GetProgram(uint16_t program, Done<std::vector<uint8_t>> done);
  void Balance(uint16_t program, const Id& member, Instant as_of, Done<BalanceAnswer> done);
  // The same with all events.
  void Schedule(uint16_t program, const Id& member, Instant as_of, Done<BalanceAnswer> done);
  void Lots(uint16_t program, const Id& member, Done<LotsAnswer> done);
  void Statement(uint16_t program, const Id& member, Position before, uint32_t limit,
                 Done<StatementAnswer> done);
  // The newest of the account's transactions with this id, of whatever age.
  void Transaction(uint16_t program, const Id& member, const Id& id, Done<TransactionAnswer> done);
  void Totals(uint16_t program, Done<TotalsAnswer> done);
  // By month of expiry, counted over the accounts beside other work.
  void Owed(uint16_t program, Instant as_of, Done<OwedAnswer> done);
  void Shards(Done<ShardsAnswer> done);
  void Tick(const Id& id, Instant to, Done<TickAnswer> done);
  void Snapshot(Done<SnapshotsAnswer> done);
  // Durable records of a shard from position `from` on; waits for some if there are none, but no
  // longer than kMaxRecordsWaitMs.
  void Records(uint16_t shard, Position from, uint32_t wait_ms, Done<RecordsAnswer> done);

  // What a hello answers; `time` is now. `server` is left to the server.
  ServerInfo info() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_DISPATCHER_H_
