#include "tests/model/naive_program.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

namespace tallystick::model {
namespace {

constexpr Instant kBeginningOfTime = std::numeric_limits<int64_t>::min();

}  // namespace

__int128 AtRate(const Earn& earn, int64_t spend) {
  const __int128 product = static_cast<__int128>(spend) * earn.points;
  const __int128 per_spend = earn.per_spend;
  switch (earn.rounding) {
    case Rounding::kFloor:
      return product / per_spend;
    case Rounding::kNearest:
      return (2 * product + per_spend) / (2 * per_spend);
    case Rounding::kCeil:
      return (product + per_spend - 1) / per_spend;
  }
  std::abort();
}

__int128 EarnedBy(const Earn& earn, int64_t spend) {
  if (spend == 0 || spend < earn.minimum_spend) return 0;
  return AtRate(earn, spend);
}

LotDates DatesOf(const Program& version, Instant base, int32_t pending_days,
                 Instant override_expires_at) {
  LotDates dates;
  dates.activates_at = pending_days == 0 ? base : AddCivilDays(version.zone, base, pending_days);
  if (override_expires_at != 0) {
    dates.expires_at = override_expires_at;
    return dates;
  }
  const Expiry& expiry = version.expiry;
  if (expiry.after == ExpiryAfter::kNever) return dates;
  const Instant from = expiry.after == ExpiryAfter::kEarning ? base : dates.activates_at;
  const Instant end = expiry.days != 0 ? AddCivilDays(version.zone, from, expiry.days)
                                       : AddCivilMonths(version.zone, from, expiry.months);
  dates.expires_at = RoundUpTo(version.zone, end, expiry.round_up_to);
  return dates;
}

void ProgramHistory::Put(const Program& version, Instant log_time) {
  puts_.push_back({version, log_time});
}

size_t ProgramHistory::IndexInForce(Instant occurred_at) const {
  size_t in_force = 0;
  for (size_t i = 1; i < puts_.size(); ++i) {
    if (puts_[i].version.effective_at <= occurred_at) in_force = i;
  }
  return in_force;
}

Instant ProgramHistory::TooOldBound(Instant t) const {
  // While versions 0..known were those known, and of them `j` in force, t' - retention grows with
  // t': only the last t' of every such stretch matters.
  Instant bound = kBeginningOfTime;
  for (size_t known = 0; known < puts_.size(); ++known) {
    const Instant known_from = known == 0 ? kBeginningOfTime : puts_[known].log_time;
    const Instant known_to = known + 1 == puts_.size() ? t : std::min(t, puts_[known + 1].log_time);
    for (size_t j = 0; j <= known; ++j) {
      const Instant in_force_from = j == 0 ? kBeginningOfTime : puts_[j].version.effective_at;
      Instant last = known_to;
      for (size_t later = j + 1; later <= known; ++later) {
        last = std::min(last, puts_[later].version.effective_at - 1);
      }
      if (last < known_from || last < in_force_from) continue;
      bound = std::max(bound, last - puts_[j].version.retention_days * kDay);
    }
  }
  return bound;
}

}  // namespace tallystick::model
