#include "tests/model/naive_calendar.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>

namespace tallystick::model {
namespace {

int64_t FloorDiv(int64_t dividend, int64_t divisor) {
  const int64_t quotient = dividend / divisor;
  return dividend % divisor < 0 ? quotient - 1 : quotient;
}

bool IsLeapYear(int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

// Days from 0001-01-01 to January 1st of the year.
int64_t DaysBeforeYear(int64_t year) {
  const int64_t past = year - 1;
  return past * 365 + FloorDiv(past, 4) - FloorDiv(past, 100) + FloorDiv(past, 400);
}

int64_t MonthsOf(RoundUp period) {
  switch (period) {
    case RoundUp::kNone:
      return 0;
    case RoundUp::kMonth:
      return 1;
    case RoundUp::kQuarter:
      return 3;
    case RoundUp::kHalfYear:
      return 6;
    case RoundUp::kYear:
      return 12;
  }
  std::abort();
}

// The month that is `months` after the date's, its day clamped to the month's last.
CivilDate DateAfterMonths(const CivilDate& date, int64_t months) {
  const int64_t month_index = date.year * 12 + (date.month - 1) + months;
  CivilDate after;
  after.year = FloorDiv(month_index, 12);
  after.month = static_cast<int>(month_index - after.year * 12) + 1;
  after.day = std::min(date.day, DaysInMonth(after.year, after.month));
  return after;
}

}  // namespace

int DaysInMonth(int64_t year, int month) {
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && IsLeapYear(year) ? 29 : kDays[month - 1];
}

int64_t DaysFromCivil(const CivilDate& date) {
  int64_t days = DaysBeforeYear(date.year) - DaysBeforeYear(1970);
  for (int month = 1; month < date.month; ++month) days += DaysInMonth(date.year, month);
  return days + date.day - 1;
}

CivilDate CivilFromDays(int64_t days) {
  CivilDate date;
  date.year = 1970 + FloorDiv(days, 366);
  while (DaysFromCivil({date.year + 1, 1, 1}) <= days) ++date.year;
  while (DaysFromCivil({date.year, 1, 1}) > days) --date.year;
  int64_t left = days - DaysFromCivil({date.year, 1, 1});
  while (left >= DaysInMonth(date.year, date.month)) {
    left -= DaysInMonth(date.year, date.month);
    ++date.month;
  }
  date.day = static_cast<int>(left) + 1;
  return date;
}

Instant UtcInstant(int64_t year, int month, int day, int64_t time_of_day) {
  return DaysFromCivil({year, month, day}) * kDay + time_of_day;
}

int64_t LocalFromUtc(const Zone& zone, Instant utc) {
  int32_t offset_s = zone.initial_offset_s;
  for (const Transition& transition : zone.transitions) {
    if (transition.at <= utc) offset_s = transition.offset_s;
  }
  return utc + offset_s * kSecond;
}

Instant UtcFromLocal(const Zone& zone, int64_t local) {
  // Walks the stretches of one offset from the past on; the first that shows this local time wins.
  int32_t offset_s = zone.initial_offset_s;
  for (const Transition& next : zone.transitions) {
    const Instant utc = local - offset_s * kSecond;
    if (utc < next.at) return utc;
    // Local time is past the end of this stretch and before the start of the next: a gap.
    if (local < next.at + next.offset_s * kSecond) return next.at;
    offset_s = next.offset_s;
  }
  return local - offset_s * kSecond;
}

Instant AddCivilDays(const Zone& zone, Instant from, int64_t days) {
  return UtcFromLocal(zone, LocalFromUtc(zone, from) + days * kDay);
}

Instant AddCivilMonths(const Zone& zone, Instant from, int64_t months) {
  const int64_t local = LocalFromUtc(zone, from);
  const int64_t day = FloorDiv(local, kDay);
  const int64_t time_of_day = local - day * kDay;
  const CivilDate after = DateAfterMonths(CivilFromDays(day), months);
  return UtcFromLocal(zone, DaysFromCivil(after) * kDay + time_of_day);
}

Instant RoundUpTo(const Zone& zone, Instant instant, RoundUp period) {
  const int64_t months = MonthsOf(period);
  if (months == 0) return instant;
  const CivilDate date = CivilFromDays(FloorDiv(LocalFromUtc(zone, instant), kDay));
  const int first_month = static_cast<int>((date.month - 1) / months * months) + 1;
  const CivilDate after = DateAfterMonths({date.year, first_month, 1}, months);
  return UtcFromLocal(zone, DaysFromCivil(after) * kDay);
}

}  // namespace tallystick::model
