// What the state machine's rooms share among themselves.

#ifndef TALLYSTICK_LEDGER_PROGRAM_STATE_H_
#define TALLYSTICK_LEDGER_PROGRAM_STATE_H_

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include "ledger/check.h"
#include "ledger/state_machine.h"

namespace tallystick::ledger {

struct StateMachine::ProgramState {
  static constexpr size_t kFirstVersionQueue = 2;

  uint16_t id = 0;
  std::vector<ProgramVersion> versions;
  uint16_t newest = 0;  // index of the last version: size() would divide, for each operation
  Totals totals;
  // The first of receipts that live for the retention; the second of holds; the others of
  // purchases, accruals and redemptions, by version: each has its return days.
  std::vector<ReceiptQueue> queues{kFirstVersionQueue};
  size_t next_drop = 0;  // the queue whose turn it is to be looked through
  // The too-old bound as of an instant, until a version is put.
  mutable std::optional<Instant> bound_at;
  mutable Instant bound = 0;

  // Index of the version in force at `occurred_at`.
  uint16_t InForce(Instant occurred_at) const {
    uint16_t i = newest;
    while (i > 0 && versions[i].rules.effective_us > occurred_at) --i;
    return i;
  }
  ReceiptQueue& QueueOf(Kind kind, uint16_t version) {
    if (IsLasting(kind)) return queues[kFirstVersionQueue + version];
    return queues[kind == Kind::Hold ? 1 : 0];
  }
  static bool IsLasting(Kind kind) { return Earns(kind) || Receipts::Takes(kind); }
  static bool Earns(Kind kind) { return kind == Kind::Accrue || kind == Kind::Purchase; }
};

// Where an operation's rows are, as far as it was looked at before it is applied.
struct StateMachine::Approach {
  uint64_t hash = 0;          // of the account's key
  uint32_t row = kNoRow;      // a guess at the account
  uint64_t receipt_hash = 0;  // of the operation's id, for that row
};

// One operation on its way through the checks.
struct StateMachine::Request {
  const Operation& operation;
  Result& result;
  RecordSink& out;
  Instant t;  // log time of the operation
  ProgramState* program = nullptr;
  uint16_t version = 0;                    // in force for the operation
  const CompiledProgram* rules = nullptr;  // its
  uint64_t hash = 0;                       // of the account's key
  uint32_t row = kNoRow;                   // of the account
  Account* account = nullptr;
  uint64_t receipt_hash = 0;       // of the operation's id in the account
  Balance settled{};               // zeros where there is no account
  uint32_t receipt = kNoRow;       // of the operation itself, or until it has one, of what it names
  uint32_t dead_receipt = kNoRow;  // of an earlier operation of the same id, which lives no more
  Points points = 0;               // earned, or claimed
  Instant times_out_at = 0;        // of a hold
  uint32_t hold = kNoRow;          // that a capture or release names
  uint32_t lots = 0;               // rows that it may add
  uint32_t taking = kNoRow;        // the first of a redemption
  uint8_t flags = 0;               // ResultFlag of the acceptance
};

// Part of every operation, whatever room it is in.
[[gnu::always_inline]] inline void StateMachine::WriteRecord(Request& request, Points points,
                                                             uint16_t details) {
  Account& account = *request.account;
  Out& out = request.out;
  const Operation& op = request.operation;
  const Position position = out.next_position();
  // Record, result and receipt are each written where they belong, not put together and copied.
  Prefetch(&out.slots[out.used + kWriteAhead].operation);
  Prefetch(&out.slots[out.used + kWriteAhead].result);
  Record& record = out.slots[out.used++];
  record.operation = op;
  new (&record.result) Result(points, account.available, account.pending, account.last_position,
                              Outcome::Ok, request.flags, Field::None, details, 0);
  new (&request.result) Result(points, account.available, account.pending, position, Outcome::Ok,
                               request.flags, Field::None, details, 0);
  account.last_position = position;
  log_time_ = request.t;
}

inline bool StateMachine::HasRoomForLots(const Request& request, uint32_t more) const {
  return request.settled.lot_count + more <= kMaxLotsPerAccount || HasRoomOnceJoined(request, more);
}

// Both keep the sums over members, too.
inline void SetAvailable(Totals& totals, Account& account, Points available) {
  totals.available += std::max<Points>(available, 0) - std::max<Points>(account.available, 0);
  totals.debt += std::max<Points>(-available, 0) - std::max<Points>(-account.available, 0);
  account.available = available;
}
inline void SetPending(Totals& totals, Account& account, Points pending) {
  totals.pending += pending - account.pending;
  account.pending = pending;
}

// The fields of an account's extra alone are its own; this keeps the sum over members, too.
inline void SetHeld(Totals& totals, AccountExtra& extra, Points held) {
  totals.held += held - extra.held;
  extra.held = held;
}

inline bool AddOverflows(int64_t a, int64_t b) {
  int64_t sum;
  return __builtin_add_overflow(a, b, &sum);
}

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_PROGRAM_STATE_H_
