#include "ledger/program.h"

#include <algorithm>
#include <limits>

namespace tallystick::ledger {
namespace {

constexpr int64_t kMaxRate = 1'000'000'000'000;
constexpr int kMaxDays = 3'660;
constexpr int kMaxExpiryDays = 36'600;
constexpr int kMaxExpiryMonths = 1'200;

using Error = std::optional<ProgramError>;

Error Between(const char* field, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return std::nullopt;
  std::string message = "is " + std::to_string(value) + ", but must be ";
  message += high == std::numeric_limits<int64_t>::max()
                 ? "at least " + std::to_string(low)
                 : "from " + std::to_string(low) + " to " + std::to_string(high);
  return ProgramError{field, std::move(message)};
}

Error CheckNames(const Program& p) {
  if (p.name() == nullptr || p.name()->size() == 0) {
    return ProgramError{"name", "is missing: a program needs a name"};
  }
  const auto is_letter = [](char c) { return c >= 'A' && c <= 'Z'; };
  if (p.currency() == nullptr || p.currency()->size() != 3 ||
      !std::all_of(p.currency()->begin(), p.currency()->end(), is_letter)) {
    return ProgramError{"currency", "must be a code of three capital letters, as USD"};
  }
  if (p.time_zone() == nullptr || p.time_zone()->size() == 0) {
    return ProgramError{"time_zone", "is missing: give an IANA name, as America/New_York"};
  }
  return std::nullopt;
}

Error CheckEarn(const Program& p) {
  if (p.earn() == nullptr) return ProgramError{"earn", "is missing: what does a purchase earn?"};
  if (auto e = Between("earn.points", p.earn()->points(), 1, kMaxRate)) return e;
  if (auto e = Between("earn.per_spend", p.earn()->per_spend(), 1, kMaxRate)) return e;
  if (p.earn()->rounding() > Rounding::MAX) {
    return ProgramError{"earn.rounding", "must be floor, nearest or ceil"};
  }
  return Between("earn.minimum_spend", p.earn()->minimum_spend(), 0,
                 std::numeric_limits<int64_t>::max());
}

Error CheckExpiry(const tallystick::Expiry& expiry) {
  if (expiry.after() > ExpiryBase::MAX) {
    return ProgramError{"expiry.after", "must be earning or activation"};
  }
  if (expiry.round_up_to() > Period::MAX) {
    return ProgramError{"expiry.round_up_to", "must be none, month, quarter, half_year or year"};
  }
  if (expiry.days() != 0 && expiry.months() != 0) {
    return ProgramError{"expiry.months", "and expiry.days exclude each other: give one"};
  }
  if (expiry.months() != 0) return Between("expiry.months", expiry.months(), 1, kMaxExpiryMonths);
  if (expiry.days() == 0) {
    return ProgramError{"expiry",
                        "needs days or months; leave expiry out for points that never expire"};
  }
  return Between("expiry.days", expiry.days(), 1, kMaxExpiryDays);
}

bool IsWithinTime(Instant instant) { return instant > -kEndOfTime && instant < kEndOfTime; }
bool IsOffset(int32_t offset_s) { return offset_s >= -86'400 && offset_s <= 86'400; }

Error CheckTransitions(const Program& p) {
  if (!IsOffset(p.initial_offset_s())) {
    return ProgramError{"initial_offset_s", "must be within a day"};
  }
  if (p.transitions() == nullptr) return std::nullopt;
  int32_t offset_s = p.initial_offset_s();
  Instant last = std::numeric_limits<int64_t>::min();
  LocalMicros passed = last;  // local time that the last one ended
  for (const Transition* t : *p.transitions()) {
    if (!IsWithinTime(t->at()) || !IsOffset(t->offset_s())) {
      return ProgramError{"transitions",
                          "must lie before the year 10000, with offsets within a day"};
    }
    const LocalMicros passes = t->at() + std::max(offset_s, t->offset_s()) * kMicrosPerSecond;
    if (t->at() <= last || passes <= passed) {
      return ProgramError{"transitions", "must ascend, none before local time is past the last"};
    }
    offset_s = t->offset_s();
    last = t->at();
    passed = passes;
  }
  return std::nullopt;
}

}  // namespace

Error CheckProgram(const Program& p) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  if (auto e = Between("id", p.id(), 1, 65'535)) return e;
  if (auto e = CheckNames(p)) return e;
  if (auto e = Between("decimals", p.decimals(), 0, 4)) return e;
  if (auto e = CheckEarn(p)) return e;
  if (p.pending() != nullptr) {
    if (auto e = Between("pending.days", p.pending()->days(), 0, kMaxDays)) return e;
  }
  if (p.expiry() != nullptr) {
    if (auto e = CheckExpiry(*p.expiry())) return e;
  }
  if (p.redeem() != nullptr) {
    if (auto e = Between("redeem.minimum", p.redeem()->minimum(), 1, kMax)) return e;
    if (auto e = Between("redeem.step", p.redeem()->step(), 1, kMax)) return e;
  }
  if (p.hold() != nullptr) {
    if (auto e = Between("hold.timeout_minutes", p.hold()->timeout_minutes(), 1,
                         kLongestHold / kMicrosPerMinute)) {
      return e;
    }
  }
  if (const ReversalRules* reversal = p.reversal(); reversal != nullptr) {
    if (reversal->expired() > ExpiredReversal::MAX) {
      return ProgramError{"reversal.expired", "must be restore or forfeit"};
    }
    if (auto e = Between("reversal.grace_days", reversal->grace_days(), 1, kMaxDays)) return e;
  }
  if (const TransferRules* transfer = p.transfer(); transfer != nullptr) {
    if (transfer->dates() > TransferDates::MAX) {
      return ProgramError{"transfer.dates", "must be keep, fresh or forbidden"};
    }
    if (auto e = Between("transfer.minimum", transfer->minimum(), 1, kMax)) return e;
    if (transfer->maximum() != 0) {
      if (auto e = Between("transfer.maximum", transfer->maximum(), transfer->minimum(), kMax)) {
        return e;
      }
    }
  }
  if (auto e = Between("debt_floor", p.debt_floor(), 0, kMax)) return e;
  if (auto e = Between("retention_days", p.retention_days(), 1, kMaxDays)) return e;
  if (auto e = Between("return_days", p.return_days(), 0, kMaxDays)) return e;
  if (p.unknown_original() > UnknownOriginal::MAX) {
    return ProgramError{"unknown_original", "must be refuse or newest"};
  }
  const bool from_the_beginning = p.effective_us() == std::numeric_limits<Instant>::min();
  if (!from_the_beginning && !IsWithinTime(p.effective_us())) {
    return ProgramError{"effective_at", "must lie before the year 10000"};
  }
  return CheckTransitions(p);
}

Error CheckSuccessor(const Program& previous, const Program& next) {
  if (previous.decimals() != next.decimals()) {
    return ProgramError{"decimals", "is " + std::to_string(next.decimals()) + ", but was " +
                                        std::to_string(previous.decimals()) + ": it never changes"};
  }
  if (previous.currency()->string_view() != next.currency()->string_view()) {
    return ProgramError{"currency", "is " + next.currency()->str() + ", but was " +
                                        previous.currency()->str() + ": it never changes"};
  }
  if (next.effective_us() < previous.effective_us()) {
    return ProgramError{"effective_at", "lies before that of the version before it"};
  }
  return std::nullopt;
}

std::optional<Points> RoundedShare(int64_t spend, int64_t points, int64_t per_spend,
                                   Rounding rounding) {
  // Almost always: division of 128 bits takes a hundred cycles.
  int64_t small;
  if (rounding == Rounding::floor && !__builtin_mul_overflow(spend, points, &small)) {
    return small / per_spend;
  }
  const auto product = static_cast<__int128>(spend) * points;
  __int128 share = product / per_spend;
  const __int128 rest = product % per_spend;
  if (rounding == Rounding::ceil && rest != 0) ++share;
  if (rounding == Rounding::nearest && rest * 2 >= per_spend) ++share;
  if (share > std::numeric_limits<int64_t>::max()) return std::nullopt;
  return static_cast<Points>(share);
}

CompiledProgram::CompiledProgram(const Program& source)
    : redeem_minimum(source.redeem() != nullptr ? source.redeem()->minimum() : 1),
      redeem_step(source.redeem() != nullptr ? source.redeem()->step() : 1),
      hold_timeout_us((source.hold() != nullptr ? source.hold()->timeout_minutes() : 15) *
                      kMicrosPerMinute),
      forfeits_expired(source.reversal() != nullptr &&
                       source.reversal()->expired() == ExpiredReversal::forfeit),
      transfer_dates(source.transfer() != nullptr ? source.transfer()->dates()
                                                  : TransferDates::keep),
      transfer_minimum(source.transfer() != nullptr ? source.transfer()->minimum() : 1),
      transfer_maximum(source.transfer() != nullptr && source.transfer()->maximum() != 0
                           ? source.transfer()->maximum()
                           : std::numeric_limits<Points>::max()),
      debt_floor(source.debt_floor()),
      effective_us(source.effective_us()),
      retention_us(source.retention_days() * kMicrosPerDay),
      implicit_enrolment(source.implicit_enrolment()),
      unknown_original(source.unknown_original()),
      earn_points_(source.earn()->points()),
      earn_per_spend_(source.earn()->per_spend()),
      minimum_spend_(source.earn()->minimum_spend()),
      rounding_(source.earn()->rounding()),
      pending_days_(source.pending() != nullptr ? source.pending()->days() : 0),
      expires_(source.expiry() != nullptr),
      expiry_base_(expires_ ? source.expiry()->after() : ExpiryBase::earning),
      expiry_days_(expires_ ? source.expiry()->days() : 0),
      expiry_months_(expires_ ? source.expiry()->months() : 0),
      round_up_to_(expires_ ? source.expiry()->round_up_to() : Period::none),
      grace_days_(source.reversal() != nullptr ? source.reversal()->grace_days() : 30),
      calendar_(source.initial_offset_s(),
                source.transitions() == nullptr
                    ? std::vector<Transition>()
                    : std::vector<Transition>(
                          reinterpret_cast<const Transition*>(source.transitions()->Data()),
                          reinterpret_cast<const Transition*>(source.transitions()->Data()) +
                              source.transitions()->size())) {
  // Pending days are days of a calendar, which may be an hour longer, and once in a while a whole
  // day.
  const Instant pending_us = pending_days_ == 0 ? 0 : (pending_days_ + 1) * kMicrosPerDay;
  return_life_us = std::max(source.return_days() * kMicrosPerDay, pending_us);
}

std::optional<Points> CompiledProgram::Earned(int64_t spend) const {
  return spend < minimum_spend_ ? 0 : BaseRate(spend);
}

std::optional<Points> CompiledProgram::BaseRate(int64_t spend) const {
  return RoundedShare(spend, earn_points_, earn_per_spend_, rounding_);
}

Instant CompiledProgram::EndOfGrace(Instant from) const {
  return calendar_.AddDays(from, grace_days_);
}

CompiledProgram::Dates CompiledProgram::DatesOfNewDay(Instant base, bool pending) const {
  const Instant first = base - calendar_.TimeOfDay(base);
  const Dates dates = DatesOf(first, pending);
  // Through the day all dates move with `base`, or stay, unless an offset changes near one of them.
  for (const Instant begin : {first, dates.activates_at, dates.unrounded_expires_at}) {
    if (begin != kNever && !calendar_.IsPlain(begin, begin + kMicrosPerDay)) {
      return DatesOf(base, pending);
    }
  }
  days_[pending ? 1 : 0] = {first, first + kMicrosPerDay - 1, dates,
                            expires_ && round_up_to_ == Period::none};
  return LotDates(base, pending);
}

CompiledProgram::Dates CompiledProgram::DatesOf(Instant base, bool pending) const {
  Dates dates{base, kNever, kNever};
  if (pending && pending_days_ > 0) dates.activates_at = calendar_.AddDays(base, pending_days_);
  if (!expires_) return dates;
  const Instant from = expiry_base_ == ExpiryBase::earning ? base : dates.activates_at;
  dates.expires_at = dates.unrounded_expires_at = expiry_months_ > 0
                                                      ? calendar_.AddMonths(from, expiry_months_)
                                                      : calendar_.AddDays(from, expiry_days_);
  if (round_up_to_ != Period::none) {
    dates.expires_at = calendar_.EndOf(round_up_to_, dates.expires_at);
  }
  return dates;
}

}  // namespace tallystick::ledger
