#ifndef TALLYSTICK_TESTS_MODEL_NAIVE_TYPES_H_
#define TALLYSTICK_TESTS_MODEL_NAIVE_TYPES_H_

#include <compare>
#include <cstdint>
#include <tuple>
#include <vector>

#include "tests/model/naive_calendar.h"

namespace tallystick::model {

struct Id {
  uint64_t high = 0;
  uint64_t low = 0;
  bool operator==(const Id&) const = default;
  auto operator<=>(const Id& other) const {
    return std::tie(high, low) <=> std::tie(other.high, other.low);
  }
  bool IsZero() const { return high == 0 && low == 0; }
};

enum class Kind : uint8_t {
  kNone = 0,
  kProgramPut = 1,
  kEnrol = 2,
  kAccrue = 3,
  kPurchase = 4,
  kReturn = 5,
  kRedeem = 6,
  kAdjust = 7,
  kTick = 8,
  kHold = 9,
  kCapture = 10,
  kRelease = 11,
  kReverseRedemption = 12,
  kActivate = 13,
  kCancel = 14,
  kFreeze = 15,
  kUnfreeze = 16,
  kClose = 17,
  kExtend = 18,
  kTransfer = 19,
  kTransferIn = 20,
  kTransferDone = 21,
  kTransferBack = 22,
  kActivation = 128,
  kExpiry = 129,
  kHoldTimeout = 130,
};

enum class Outcome : uint8_t {
  kOk = 0,
  kBadRequest = 1,
  kIdConflict = 2,
  kTooOld = 3,
  kTooEarly = 4,
  kUnknownProgram = 5,
  kUnknownMember = 6,
  kUnknownOriginal = 7,
  kUnknownVoucher = 8,
  kUnknownHold = 9,
  kFrozen = 10,
  kClosed = 11,
  kProgramEnded = 12,
  kInsufficientPoints = 13,
  kBelowMinimum = 14,
  kBelowStep = 15,
  kOverLimit = 16,
  kOverCap = 17,
  kAlreadyReturned = 18,
  kAlreadyCaptured = 19,
  kAlreadyReleased = 20,
  kAlreadySpent = 21,
  kExpired = 22,
  kVoucherNotYours = 23,
  kOverflow = 24,
  kTooManyLots = 25,
  kNotPermitted = 26,
  kOverloaded = 27,
  kChainRefused = 28,
};

enum class Field : uint8_t {
  kNone = 0,
  kId = 1,
  kMember = 2,
  kRelated = 3,
  kAmount = 4,
  kOccurredAt = 5,
  kExpiresAt = 6,
  kKind = 7,
  kFlags = 8,
  kProgram = 9,
  kCategory = 10,
  kReserved = 11,
  kChain = 12,
};

// Operation::flags: the operation and the one after it belong to one chain.
inline constexpr uint8_t kLinked = 1;

// Operation::flags, of a Close: what the account has expires.
inline constexpr uint8_t kExpireRest = 2;

struct Operation {
  Id id;
  Id member;
  Id related;
  int64_t amount = 0;
  Instant occurred_at = 0;
  Instant expires_at = 0;
  uint64_t user_data = 0;
  uint16_t program = 0;
  uint16_t category = 0;
  uint8_t kind = 0;
  uint8_t flags = 0;
  uint16_t reserved = 0;
  bool operator==(const Operation&) const = default;
};

struct Result {
  int64_t points = 0;
  int64_t available = 0;  // negative by the debt
  int64_t pending = 0;
  Outcome outcome = Outcome::kOk;
  bool replayed = false;
  bool enrolled = false;
  bool written_off = false;
  bool detailed = false;
  bool in_transit = false;  // of a Transfer that is neither done nor back yet
  Field field = Field::kNone;
  // The accepted operation's number, from 1; of a replay the original's; 0 of a refusal.
  uint64_t sequence = 0;
  // The amounts of the detail slot, in the order in which docs/semantics.md names them; a replay
  // has none. Of a written-off Return: claim, from pending, from available, to debt, written off;
  // of a detailed Capture: captured, given back, forgiven; of a detailed ReverseRedemption:
  // reinstated, repaid, forfeited; of a detailed Close: pending, available, forgiven.
  std::vector<int64_t> details;
  bool operator==(const Result&) const = default;
};

}  // namespace tallystick::model

#endif  // TALLYSTICK_TESTS_MODEL_NAIVE_TYPES_H_
