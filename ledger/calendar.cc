#include "ledger/calendar.h"

#include <algorithm>
#include <utility>

#include "absl/time/civil_time.h"
#include "ledger/check.h"

namespace tallystick::ledger {
namespace {

constexpr absl::CivilDay kEpochDay(1970, 1, 1);

// Rounds towards minus infinity, so that instants before 1970 have a day too.
int64_t DayNumber(LocalMicros local) {
  const int64_t day = local / kMicrosPerDay;
  return local % kMicrosPerDay < 0 ? day - 1 : day;
}

LocalMicros AtMidnight(absl::CivilDay day) { return (day - kEpochDay) * kMicrosPerDay; }

int MonthsIn(Period period) {
  switch (period) {
    case Period::none:
      return 0;
    case Period::month:
      return 1;
    case Period::quarter:
      return 3;
    case Period::half_year:
      return 6;
    case Period::year:
      return 12;
  }
  return 0;
}

}  // namespace

Calendar::Calendar(int32_t initial_offset_s, std::vector<Transition> transitions)
    : initial_offset_us_(initial_offset_s * kMicrosPerSecond),
      transitions_(std::move(transitions)) {}

int64_t Calendar::OffsetMicros(Instant instant) const {
  const auto after = std::partition_point(transitions_.begin(), transitions_.end(),
                                          [&](const Transition& t) { return t.at() <= instant; });
  return after == transitions_.begin() ? initial_offset_us_
                                       : std::prev(after)->offset_s() * kMicrosPerSecond;
}

LocalMicros Calendar::ToLocal(Instant instant) const { return instant + OffsetMicros(instant); }

// As far as the month goes under one offset.
Calendar::Month Calendar::MonthOf(Instant instant) const {
  const auto after = std::partition_point(transitions_.begin(), transitions_.end(),
                                          [&](const Transition& t) { return t.at() <= instant; });
  const int64_t offset = OffsetMicros(instant);
  const absl::CivilMonth month(kEpochDay + DayNumber(instant + offset));
  Month found;
  found.number = static_cast<int32_t>(month - absl::CivilMonth(kEpochDay));
  found.first = AtMidnight(absl::CivilDay(month)) - offset;
  found.last = AtMidnight(absl::CivilDay(month + 1)) - offset - 1;
  if (after != transitions_.begin()) found.first = std::max(found.first, std::prev(after)->at());
  if (after != transitions_.end()) found.last = std::min(found.last, after->at() - 1);
  return found;
}

LocalMicros Calendar::TimeOfDay(Instant instant) const {
  const LocalMicros local = ToLocal(instant);
  return local - DayNumber(local) * kMicrosPerDay;
}

Instant Calendar::ToInstant(LocalMicros local) const {
  int64_t before = initial_offset_us_;
  // The first transition that `local` is not wholly behind.
  const auto it =
      std::partition_point(transitions_.begin(), transitions_.end(), [&](const Transition& t) {
        const int64_t earlier = &t == transitions_.data() ? initial_offset_us_
                                                          : (&t - 1)->offset_s() * kMicrosPerSecond;
        return t.at() + std::max(earlier, t.offset_s() * kMicrosPerSecond) <= local;
      });
  if (it != transitions_.begin()) before = std::prev(it)->offset_s() * kMicrosPerSecond;
  if (it == transitions_.end()) return local - before;
  const int64_t after = it->offset_s() * kMicrosPerSecond;
  const bool in_gap = after > before && local >= it->at() + before;
  return in_gap ? it->at() : local - before;
}

bool Calendar::IsPlain(Instant first, Instant last) const {
  // No transition shifts local time by more than two days: IsOffset bounds both offsets by one.
  constexpr Instant kMargin = 2 * kMicrosPerDay;
  const auto next =
      std::partition_point(transitions_.begin(), transitions_.end(),
                           [&](const Transition& t) { return t.at() < first - kMargin; });
  return next == transitions_.end() || next->at() > last + kMargin;
}

Instant Calendar::AddDays(Instant instant, int32_t days) const {
  return ToInstant(ToLocal(instant) + days * kMicrosPerDay);
}

Instant Calendar::AddMonths(Instant instant, int32_t months) const {
  const LocalMicros local = ToLocal(instant);
  const int64_t day_number = DayNumber(local);
  const absl::CivilDay day = kEpochDay + day_number;
  const absl::CivilMonth month = absl::CivilMonth(day) + months;
  const absl::CivilDay last = absl::CivilDay(month + 1) - 1;
  const absl::CivilDay target(month.year(), month.month(), std::min(day.day(), last.day()));
  return ToInstant(AtMidnight(target) + (local - day_number * kMicrosPerDay));
}

Instant Calendar::EndOf(Period period, Instant instant) const {
  const absl::CivilMonth month(kEpochDay + DayNumber(ToLocal(instant)));
  const int months = MonthsIn(period);
  TALLYSTICK_LEDGER_CHECK(months > 0);
  const absl::CivilMonth first = month - (month.month() - 1) % months;
  return ToInstant(AtMidnight(absl::CivilDay(first + months)));
}

}  // namespace tallystick::ledger
