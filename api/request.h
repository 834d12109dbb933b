// What travels between a dispatcher and a shard, and across threads.

#ifndef TALLYSTICK_API_REQUEST_H_
#define TALLYSTICK_API_REQUEST_H_

#include <cstdint>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "api/dispatcher.h"
#include "api/messages.h"
#include "ledger/types.h"

namespace tallystick {

// One shard's part of a call. Made, answered and freed on its origin's thread; in between the
// shard's. The shard sets `status` and hands it back when all that it saw is durable.
struct ShardRequest {
  enum class Type : uint8_t {
    kSubmit,
    kPutProgram,      // on shard 0: checks, numbers and resolves it
    kInstallProgram,  // on the others: as shard 0 resolved it
    kGetProgram,
    kBalance,
    kLots,
    kStatement,
    kTransaction,
    kTotals,
    kShards,
    kSnapshot,
    kRecords,
    kParcels,  // of transfers, from another shard
    kDryRun,
    kOwed,
  };

  explicit ShardRequest(Type t) : type(t) {}

  Type type;
  uint16_t shard = 0;
  uint16_t origin = 0;  // worker
  absl::Status status;
  void (*done)(ShardRequest& request) = nullptr;
  void* owner = nullptr;
  Position seen = 0;             // the newest position that the answer depends on
  ShardRequest* next = nullptr;  // in whichever queue holds it
};

struct SubmitPart : ShardRequest {
  SubmitPart() : ShardRequest(Type::kSubmit) {}

  SubmitCall* call = nullptr;
  uint32_t overloads_known = 0;  // of its stream and shard, when it was sent
  uint32_t overloads = 0;        // overloaded results in it, if it is of a stream
  bool too_many = false;         // more waited for its shard than may
  absl::Span<const Operation> operations;
  Result* results = nullptr;
  size_t applied = 0;
  uint32_t transfers = 0;             // of it that are not settled yet
  uint32_t transfers_overloaded = 0;  // that came back so
  bool passed = false;                // everything else that it saw is durable
  // Refused as too old, and to be looked up in the history before the part is answered.
  struct TooOld {
    uint32_t index;  // in operations
    Position head;   // of the account's history chain
  };
  std::vector<TooOld> too_old;
  // When the call is of several shards: what was gathered, and from where.
  std::vector<Operation> gathered;
  std::vector<Result> gathered_results;
  std::vector<uint32_t> places;
};

struct ControlRequest : ShardRequest {
  using ShardRequest::ShardRequest;

  uint16_t program = 0;
  Id member;
  Id transaction;
  Instant as_of = 0;
  Position before = 0;  // kRecords: the first wanted
  Position head = 0;    // of the account's history chain, when the request was served
  uint32_t limit = 0;
  uint32_t wait_ms = 0;
  uint16_t version = 0;        // kGetProgram: which; 0: the newest
  Operation put;               // kPutProgram: its id; kInstallProgram, and out: the whole record
  std::vector<uint8_t> bytes;  // of a program: in and out
  std::vector<Operation> operations;  // kDryRun
  std::variant<std::monostate, ProgramPutAnswer, BalanceAnswer, LotsAnswer, StatementAnswer,
               TransactionAnswer, TotalsAnswer, ShardState, SnapshotState, RecordsAnswer,
               OwedAnswer, DryRunAnswer>
      answer;
};

// First in, first out; intrusive.
class RequestQueue {
 public:
  bool empty() const { return first_ == nullptr; }
  ShardRequest* front() const { return first_; }
  void Push(ShardRequest* request) {
    request->next = nullptr;
    (first_ == nullptr ? first_ : last_->next) = request;
    last_ = request;
  }
  ShardRequest* Pop() {
    ShardRequest* request = first_;
    first_ = request->next;
    return request;
  }

 private:
  ShardRequest* first_ = nullptr;
  ShardRequest* last_ = nullptr;
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_REQUEST_H_
