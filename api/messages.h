// The answers of a ledger to its readers, in plain types: what the embedding API
// gives and the protocol carries.

#ifndef TALLYSTICK_API_MESSAGES_H_
#define TALLYSTICK_API_MESSAGES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "ledger/holds.h"
#include "ledger/types.h"

namespace tallystick {

enum class ClockMode : uint8_t {
  kWall = 0,
  kImport = 1,  // log time follows occurred_at: past orders are replayed with their own dates
};

struct ServerInfo {
  uint16_t protocol_version = 0;
  Id ledger;
  uint16_t shard_count = 0;
  ClockMode clock = ClockMode::kWall;
  Instant time = 0;
  std::string durability;
  uint32_t max_operations = 0;
  std::string server;
};

struct ProgramPutAnswer {
  Outcome outcome = Outcome::Ok;
  std::string field;    // of the program, "earn.per_spend"; when it is refused
  std::string message;  // a sentence; when it is refused
  uint16_t version = 0;
};

struct BalanceEvent {
  Instant at = 0;
  Points points = 0;       // of a HoldTimeout: what the hold has
  Kind kind = Kind::None;  // Activation, Expiry or HoldTimeout
};

// The next events that a balance answer lists at most.
inline constexpr size_t kMaxBalanceEvents = 32;

// All events of an account at most: an activation and an expiry of each lot, and timeouts of holds.
inline constexpr size_t kMaxScheduleEvents =
    2 * size_t{ledger::kMaxLotsPerAccount} + ledger::kMaxHoldsPerAccount;

struct BalanceAnswer {
  Outcome outcome = Outcome::Ok;
  Instant as_of = 0;
  Position position = 0;  // of the account's last record
  Points pending = 0;
  Points available = 0;
  Points held = 0;
  Points debt = 0;
  Points lifetime_earned = 0;
  std::vector<BalanceEvent> events;  // soonest first
  ledger::AccountStatus status = ledger::AccountStatus::kActive;
};

struct LotAnswer {
  Position position = 0;  // of the record that made it
  Points original = 0;
  Points remaining = 0;
  Instant activates_at = 0;
  Instant expires_at = kNever;
};

struct HoldAnswer {
  Position position = 0;  // of the record that made it
  Instant times_out_at = 0;
  Points points = 0;
  std::vector<LotAnswer> lots;  // what it has of them, in spending order
};

struct LotsAnswer {
  Outcome outcome = Outcome::Ok;
  Instant as_of = 0;
  // Available in spending order, then pending by activation; without what is held.
  std::vector<LotAnswer> lots;
  std::vector<HoldAnswer> holds;  // that are open, by timeout
};

// What a movement's points came from and went to, where its result alone does not say it. 0 where
// the kind says nothing of it.
struct MovementDetail {
  // Return that wrote points off: of a claim
  Points claim = 0;
  Points from_pending = 0;    // and Close: what was pending
  Points from_available = 0;  // and Close: what was available
  Points to_debt = 0;
  Points written_off = 0;
  // Capture that had debt forgiven
  Points captured = 0;
  Points given_back = 0;
  Points forgiven = 0;  // and Close: its debt
  // ReverseRedemption of which not all came back
  Points reinstated = 0;
  Points repaid = 0;     // part of it
  Points forfeited = 0;  // part of it

  friend bool operator==(const MovementDetail&, const MovementDetail&) = default;
};

struct MovementAnswer {
  Operation operation;
  Result result;  // with the movement's own position
  MovementDetail detail;
};

// Movements in one answer at most; the caller asks on from `next`.
inline constexpr uint32_t kMaxStatementMovements = 1000;

struct StatementAnswer {
  Outcome outcome = Outcome::Ok;
  std::vector<MovementAnswer> movements;  // newest first
  Position next = 0;                      // 0: this was all; else ask on with `before` = next
};

struct TransactionAnswer {
  // UnknownOriginal: the account has no such transaction, or its segment is not kept any more.
  Outcome outcome = Outcome::Ok;
  MovementAnswer movement;
  Instant time = 0;  // of its block: log time, or what capped it where the clock is import
};

struct ShardTime {
  Position position = 0;
  Instant time = 0;
};

struct TotalsAnswer {
  Outcome outcome = Outcome::Ok;
  std::vector<ShardTime> shards;  // by number: position and log time that the figures are of
  int64_t members = 0;
  Points issued = 0;
  Points redeemed = 0;
  Points expired = 0;
  Points clawed_back = 0;
  Points written_off = 0;
  Points adjusted = 0;
  Points reinstated = 0;
  Points forgiven = 0;
  Points pending = 0;
  Points available = 0;
  Points held = 0;
  Points debt = 0;
  // Of `expired` apart.
  Points forfeited = 0;   // reversed after its date
  Points closed_out = 0;  // what accounts had when they were closed
  // Between members; sent and not received is on its way.
  Points sent = 0;
  Points received = 0;
};

// Points that are good until some month: its number counts from January 1970, in the program's time
// zone. What is gone with the first instant of a month is of the month before.
struct OwedMonth {
  int32_t month = 0;
  Points pending = 0;
  Points available = 0;
  Points held = 0;
};

struct OwedAnswer {
  Outcome outcome = Outcome::Ok;
  Instant as_of = 0;
  std::string time_zone;
  std::vector<ShardTime> shards;  // by number: position and log time that the figures are of
  int64_t members = 0;
  // The totals as of then.
  Points pending = 0;
  Points available = 0;
  Points held = 0;
  Points debt = 0;
  Points counted_debt = 0;        // over members
  std::vector<OwedMonth> months;  // that have points, in order, before the year 3000
  OwedMonth later;
  OwedMonth never;
  // Since the beginning, as of then.
  Points expired = 0;
  Points forfeited = 0;   // of it
  Points closed_out = 0;  // of it
  Points in_transit = 0;  // of transfers on their way: in no month
};

struct ShardState {
  Position position = 0;  // of the last record
  Instant time = 0;       // log time
  uint64_t segment = 0;   // that is being written; 0: none yet
  uint64_t accounts = 0;
  uint64_t receipts = 0;
  uint64_t memory_bytes = 0;  // of the tables
};

struct ShardsAnswer {
  std::vector<ShardState> shards;  // by number
};

// Bytes of a failure's sentence that are told at the most.
inline constexpr size_t kMaxSnapshotFailure = 512;

struct SnapshotState {
  Position position = 0;  // the last that it covers
  uint64_t size_bytes = 0;
  int64_t took_us = 0;        // 0: it was there already, and nothing has changed since
  uint64_t memory_bytes = 0;  // beside the tables, at the most
  std::string failure;        // a sentence, if none was taken
};

struct SnapshotsAnswer {
  std::vector<SnapshotState> shards;  // by number
};

// How long a question for records waits at most when there are none yet; and slots in one answer,
// so that it fits a frame.
inline constexpr uint32_t kMaxRecordsWaitMs = 1000;
inline constexpr size_t kMaxRecordsSlots = 4096;

// Slots of one block, or the part of them that was asked for.
struct RecordRun {
  Position first = 0;
  Instant time = 0;  // log time, or what capped it where the clock is import
  uint32_t count = 0;
};

struct RecordsAnswer {
  std::vector<RecordRun> runs;
  std::vector<Record> slots;  // of all runs; behind a record its details (SlotsOf)
  Position next = 0;          // ask on from here
  Position end = 0;           // what lies before it was durable
};

// An operation of a dry run.
struct DryRunStep {
  Result result;  // position 0: it would be a new record
  MovementDetail detail;
  // Of the points that it would make and leave; 0: none.
  Instant activates_at = 0;
  Instant expires_at = 0;
  Instant times_out_at = 0;  // of the hold that it would make and leave; 0: none
};

// What an operation or chain would do. Nothing of it is recorded.
struct DryRunAnswer {
  Instant time = 0;               // log time, or what it would be
  std::vector<DryRunStep> steps;  // one an operation, in the same order
  // What is due and would be recorded with it, at most kMaxBalanceEvents, and how many there are.
  std::vector<BalanceEvent> events;
  uint32_t event_count = 0;
  // Of the account, after it.
  Points pending = 0;
  Points available = 0;
  Points held = 0;
  Points debt = 0;
  ledger::AccountStatus status = ledger::AccountStatus::kActive;
};

struct TickAnswer {
  Outcome outcome = Outcome::Ok;
  Instant time = 0;
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_MESSAGES_H_
