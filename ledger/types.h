// The ledger's vocabulary: ids, instants, points, and the 128-byte record.

#ifndef TALLYSTICK_LEDGER_TYPES_H_
#define TALLYSTICK_LEDGER_TYPES_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "ledger/operation_generated.h"

namespace tallystick {

static_assert(std::endian::native == std::endian::little,
              "records are little-endian and used in place");

// Microseconds since 1970-01-01 UTC.
using Instant = int64_t;
// Points in a program's smallest unit.
using Points = int64_t;
// A record's or detail slot's place in its shard's log, from 1; 0 is none.
using Position = uint64_t;

inline constexpr Instant kNever = std::numeric_limits<int64_t>::max();
inline constexpr Instant kMicrosPerSecond = 1'000'000;
inline constexpr Instant kMicrosPerMinute = 60 * kMicrosPerSecond;
inline constexpr Instant kMicrosPerDay = 86'400 * kMicrosPerSecond;
// Year 10000: the last instant that a caller may name is before it.
inline constexpr Instant kEndOfTime = 253'402'300'800 * kMicrosPerSecond;
// How far `occurred_at` may lie ahead of log time.
inline constexpr Instant kSkew = 5 * kMicrosPerMinute;
// How far a hold's timeout may lie behind log time.
inline constexpr Instant kLongestHold = 30 * kMicrosPerDay;

enum OperationFlag : uint8_t {
  // The next operation of the request belongs to the same chain: all or none.
  kLinked = 1,
  // Close: what is left expires.
  kExpireRest = 2,
};

enum ResultFlag : uint8_t {
  // A resent operation: this is the original result.
  kReplayed = 1,
  // The operation enrolled its member.
  kEnrolled = 2,
  // Part of what was due was written off; a detail slot says how much.
  kWrittenOff = 4,
  // Derived record, the last of a settlement that no operation caused.
  kTicked = 8,
  // A detail slot says what the points came from and went to: of a capture, reversal or close.
  kDetailed = 16,
  // Of a transfer whose outcome is not final yet. Neither in the log nor in an answer: whoever
  // applied it waits.
  kInTransit = 32,
};

// A log record. `result.position` holds the member's previous position here.
struct Record {
  Operation operation;
  Result result;
};

inline constexpr size_t kSlotBytes = 128;
static_assert(sizeof(Operation) == 88 && alignof(Operation) == 8);
static_assert(sizeof(Result) == 40 && alignof(Result) == 8);
static_assert(sizeof(Record) == kSlotBytes);

// What is broken down in the detail slot of a return that wrote points off.
// Points; the sum of all but `claim` equals `claim`.
struct ReturnDetail {
  int64_t claim;
  int64_t from_pending;
  int64_t from_available;
  int64_t to_debt;
  int64_t written_off;
  uint8_t reserved[88];
};
static_assert(sizeof(ReturnDetail) == kSlotBytes);

// Of a capture that had debt forgiven. Points.
struct CaptureDetail {
  int64_t captured;
  int64_t given_back;
  int64_t forgiven;
  uint8_t reserved[104];
};
static_assert(sizeof(CaptureDetail) == kSlotBytes);

// Of a reversal of which not all came back. Points; the last two are part of the first.
struct ReversalDetail {
  int64_t reinstated;
  int64_t repaid;  // of what was written off
  int64_t forfeited;
  uint8_t reserved[104];
};
static_assert(sizeof(ReversalDetail) == kSlotBytes);

// Of a close with points or a debt. Points.
struct CloseDetail {
  int64_t pending;
  int64_t available;
  int64_t forgiven;
  uint8_t reserved[104];
};
static_assert(sizeof(CloseDetail) == kSlotBytes);

// The first behind a TransferIn: which transfer it is, to apply it once. Positions are of the log
// of the sender's shard.
struct TransferDetail {
  Position position;   // of the Transfer
  Position open_from;  // what that shard sent before it will not be sent again
  uint16_t shard;
  uint8_t reserved[110];
};
static_assert(sizeof(TransferDetail) == kSlotBytes);

// Then one for each lot, whose position is the slot's. Points, and instants.
struct TransferLot {
  Instant activates_at;
  Instant expires_at;
  int64_t points;
  uint8_t reserved[104];
};
static_assert(sizeof(TransferLot) == kSlotBytes);

// What a detail slot says. `Slot`: of kSlotBytes.
template <typename Detail, typename Slot>
Detail DetailIn(const Slot& slot) {
  static_assert(sizeof(Detail) == kSlotBytes && sizeof(Slot) == kSlotBytes);
  Detail detail;
  std::memcpy(&detail, static_cast<const void*>(&slot), sizeof(detail));
  return detail;
}

inline bool operator==(const Id& a, const Id& b) {
  return a.low() == b.low() && a.high() == b.high();
}
inline bool IsZero(const Id& id) { return (id.low() | id.high()) == 0; }
inline bool IsDerived(Kind kind) {
  return static_cast<uint8_t>(kind) >= static_cast<uint8_t>(Kind::Activation);
}
// Between held and the other sub-balances; results do not say what is held.
inline bool MovesHeld(Kind kind) {
  return kind == Kind::Hold || kind == Kind::Capture || kind == Kind::Release ||
         kind == Kind::HoldTimeout;
}
// By which shards tell each other of transfers: no caller may send them.
inline bool IsBetweenShards(Kind kind) {
  return kind == Kind::TransferIn || kind == Kind::TransferDone || kind == Kind::TransferBack;
}
// Of a record in the log: itself, and the details behind it.
inline size_t SlotsOf(const Record& record) {
  return 1 + size_t{IsDerived(record.operation.kind()) ? uint16_t{0} : record.result.details()};
}
inline bool SameBytes(const Operation& a, const Operation& b) {
  return std::memcmp(&a, &b, sizeof(Operation)) == 0;
}

}  // namespace tallystick

#endif  // TALLYSTICK_LEDGER_TYPES_H_
