// A program's rules, compiled once a version: what a purchase earns, and the dates of its points.

#ifndef TALLYSTICK_LEDGER_PROGRAM_H_
#define TALLYSTICK_LEDGER_PROGRAM_H_

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "ledger/calendar.h"
#include "ledger/program_generated.h"
#include "ledger/types.h"

namespace tallystick::ledger {

// The largest encoded program, resolved transitions included.
inline constexpr size_t kMaxProgramBytes = 64 << 10;

// Why a program cannot be: the field as it is written in a program file, and a sentence.
struct ProgramError {
  std::string field;    // "earn.per_spend"
  std::string message;  // "must be at least 1"
};

// Checks everything that needs no history: ranges, names, combinations. Nothing when all is well.
std::optional<ProgramError> CheckProgram(const Program& program);
// What never changes from one version of a program to the next, and effective times in order.
std::optional<ProgramError> CheckSuccessor(const Program& previous, const Program& next);

// Points that a spend, or a return's amount, is worth. Nothing: above int64.
std::optional<Points> RoundedShare(int64_t spend, int64_t points, int64_t per_spend,
                                   Rounding rounding);

// For one thread: it remembers the dates of the latest day.
class CompiledProgram {
 public:
  // REQUIRES: CheckProgram(source) found nothing.
  explicit CompiledProgram(const Program& source);

  // f(S) of a purchase. Nothing on overflow.
  std::optional<Points> Earned(int64_t spend) const;
  // The base rate alone, for returns of unknown purchases.
  std::optional<Points> BaseRate(int64_t spend) const;

  struct Dates {
    Instant activates_at;
    Instant expires_at;
    Instant unrounded_expires_at;
  };
  // Of a lot whose dates count from `base`. `pending` false: active at base. A few instructions
  // for the local day of the last call; else some hundred, for the calendar.
  Dates LotDates(Instant base, bool pending) const {
    const Day& day = days_[pending ? 1 : 0];
    if (base < day.first || base > day.last) return DatesOfNewDay(base, pending);
    const Instant passed = base - day.first;
    Dates dates = day.dates;
    dates.activates_at += passed;
    if (dates.unrounded_expires_at != kNever) dates.unrounded_expires_at += passed;
    if (day.expiry_moves) dates.expires_at += passed;
    return dates;
  }

  // The same by the calendar, always.
  Dates DatesOf(Instant base, bool pending) const;

  // Until when points that a reversal brings back after their date are good.
  Instant EndOfGrace(Instant from) const;

  // In the program's zone. Some hundred instructions.
  Calendar::Month MonthOf(Instant instant) const { return calendar_.MonthOf(instant); }

  int64_t redeem_minimum;
  int64_t redeem_step;
  Instant hold_timeout_us;
  bool forfeits_expired;  // what is reversed after its date; else it is restored, with a grace
  TransferDates transfer_dates;
  Points transfer_minimum;
  Points transfer_maximum;
  Points debt_floor;
  Instant effective_us;
  Instant retention_us;
  Instant return_life_us;  // of receipts of purchases and redemptions
  bool implicit_enrolment;
  UnknownOriginal unknown_original;

 private:
  int64_t earn_points_;
  int64_t earn_per_spend_;
  int64_t minimum_spend_;
  Rounding rounding_;
  int32_t pending_days_;
  bool expires_;
  ExpiryBase expiry_base_;
  int32_t expiry_days_;
  int32_t expiry_months_;
  Period round_up_to_;
  int32_t grace_days_;
  Calendar calendar_;

  // Of a base in [first, last]: dates as of `first`, which move with it.
  struct Day {
    Instant first = 0;
    Instant last = std::numeric_limits<Instant>::min();
    Dates dates{};
    bool expiry_moves = false;  // else it is rounded up to the end of a period, or never
  };
  // Remembers the day, if its dates follow from one another.
  Dates DatesOfNewDay(Instant base, bool pending) const;
  mutable std::array<Day, 2> days_;  // by pending
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_PROGRAM_H_
