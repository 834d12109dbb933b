#ifndef TALLYSTICK_TESTS_MODEL_NAIVE_CALENDAR_H_
#define TALLYSTICK_TESTS_MODEL_NAIVE_CALENDAR_H_

#include <cstdint>
#include <limits>
#include <vector>

namespace tallystick::model {

// Microseconds UTC since 1970-01-01.
using Instant = int64_t;

inline constexpr int64_t kSecond = 1'000'000;
inline constexpr int64_t kMinute = 60 * kSecond;
inline constexpr int64_t kHour = 60 * kMinute;
inline constexpr int64_t kDay = 24 * kHour;

// The expiry of a lot that never expires: later than every instant, so that it sorts last.
inline constexpr Instant kNever = std::numeric_limits<int64_t>::max();

struct CivilDate {
  int64_t year = 1970;
  int month = 1;  // 1-12
  int day = 1;    // 1-31
  bool operator==(const CivilDate&) const = default;
};

// From `at` on, local time is UTC plus `offset_s` seconds.
struct Transition {
  Instant at = 0;
  int32_t offset_s = 0;
};

// Transitions are in ascending order of `at`; before the first, `initial_offset_s` holds.
struct Zone {
  int32_t initial_offset_s = 0;
  std::vector<Transition> transitions;
};

enum class RoundUp { kNone, kMonth, kQuarter, kHalfYear, kYear };

// Proleptic Gregorian calendar; days are counted from 1970-01-01.
int64_t DaysFromCivil(const CivilDate& date);
CivilDate CivilFromDays(int64_t days);
int DaysInMonth(int64_t year, int month);

// 00:00 UTC of the date plus `time_of_day` microseconds.
Instant UtcInstant(int64_t year, int month, int day, int64_t time_of_day = 0);

// Local time as microseconds since 1970-01-01 00:00 on the wall clock of the zone.
int64_t LocalFromUtc(const Zone& zone, Instant utc);

// A local time in a gap means the first instant after the gap, in an overlap the earlier instant.
Instant UtcFromLocal(const Zone& zone, int64_t local);

// Keep local time with its microseconds; a month's end clamps.
Instant AddCivilDays(const Zone& zone, Instant from, int64_t days);
Instant AddCivilMonths(const Zone& zone, Instant from, int64_t months);

// The first instant (00:00 local) after the period in which `instant` lies.
Instant RoundUpTo(const Zone& zone, Instant instant, RoundUp period);

}  // namespace tallystick::model

#endif  // TALLYSTICK_TESTS_MODEL_NAIVE_CALENDAR_H_
