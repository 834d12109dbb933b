#ifndef TALLYSTICK_TESTS_MODEL_NAIVE_PROGRAM_H_
#define TALLYSTICK_TESTS_MODEL_NAIVE_PROGRAM_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/model/naive_calendar.h"

namespace tallystick::model {

enum class Rounding { kFloor, kNearest, kCeil };
enum class ExpiryAfter { kNever, kEarning, kActivation };
enum class UnknownOriginal { kRefuse, kNewest };
enum class TransferDates { kKeep, kFresh, kForbidden };

struct Earn {
  int64_t points = 1;
  int64_t per_spend = 1;
  Rounding rounding = Rounding::kFloor;
  int64_t minimum_spend = 0;
};

// Unless `after` is kNever, exactly one of days and months is not 0.
struct Expiry {
  ExpiryAfter after = ExpiryAfter::kNever;
  int32_t days = 0;
  int32_t months = 0;
  RoundUp round_up_to = RoundUp::kNone;
};

struct Program {
  uint16_t id = 0;
  std::string name = {};
  int decimals = 0;
  std::string currency = {};
  Earn earn = {};
  int32_t pending_days = 0;
  Expiry expiry = {};
  int64_t redeem_minimum = 1;
  int64_t redeem_step = 1;
  int64_t hold_timeout_minutes = 15;
  bool forfeit_expired = false;  // reversal.expired: forfeit, else restore
  int32_t reversal_grace_days = 30;
  TransferDates transfer_dates = TransferDates::kKeep;
  int64_t transfer_minimum = 1;
  int64_t transfer_maximum = 0;  // 0: none
  int64_t debt_floor = 0;
  int32_t retention_days = 30;
  int32_t return_days = 90;
  bool implicit_enrolment = false;
  UnknownOriginal unknown_original = UnknownOriginal::kRefuse;
  Instant effective_at = 0;
  Zone zone = {};
};

// spend × points / per_spend, rounded.
__int128 AtRate(const Earn& earn, int64_t spend);

// f(spend): what a purchase earns.
__int128 EarnedBy(const Earn& earn, int64_t spend);

struct LotDates {
  Instant activates_at = 0;
  Instant expires_at = kNever;
};

// `pending_days` is the version's, or 0 for an adjustment; `override_expires_at` 0 means none.
LotDates DatesOf(const Program& version, Instant base, int32_t pending_days,
                 Instant override_expires_at);

// Every version of one program, in the order in which they were put.
class ProgramHistory {
 public:
  void Put(const Program& version, Instant log_time);

  const Program& version(size_t index) const { return puts_[index].version; }

  // The newest of those with effective_at ≤ `occurred_at`; the first is in force from the
  // beginning of time.
  size_t IndexInForce(Instant occurred_at) const;

  // The greatest value that t' - retention(version in force at t') has had for any t' ≤ t, given
  // the versions known at t'.
  Instant TooOldBound(Instant t) const;

 private:
  struct VersionPut {
    Program version;
    Instant log_time;
  };
  std::vector<VersionPut> puts_;
};

}  // namespace tallystick::model

#endif  // TALLYSTICK_TESTS_MODEL_NAIVE_PROGRAM_H_
