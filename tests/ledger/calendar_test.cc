#include "ledger/calendar.h"

#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "tests/ledger/civil_instants.h"

namespace tallystick::ledger {
namespace {

constexpr Instant kHour = 3'600 * kMicrosPerSecond;

// London in 2024: an hour is left out at 01:00 on 31 March, and shown twice before 02:00 on 27
// October.
Calendar London() {
  return Calendar(
      0, {Transition(Utc({2024, 3, 31, 1}), 3'600, 0), Transition(Utc({2024, 10, 27, 1}), 0, 0)});
}

TEST(Calendar, LocalTimeFollowsTheTransitions) {
  const Calendar london = London();
  EXPECT_EQ(london.ToLocal(Utc({2024, 3, 31, 1}) - 1), Utc({2024, 3, 31, 1}) - 1);
  EXPECT_EQ(london.ToLocal(Utc({2024, 3, 31, 1})), Utc({2024, 3, 31, 2}));
  EXPECT_EQ(london.ToLocal(Utc({2024, 10, 27, 1}) - 1), Utc({2024, 10, 27, 2}) - 1);
  EXPECT_EQ(london.ToLocal(Utc({2024, 10, 27, 1})), Utc({2024, 10, 27, 1}));
}

TEST(Calendar, LocalTimeInAGapIsTheFirstInstantAfterIt) {
  const Calendar london = London();
  EXPECT_EQ(london.ToInstant(Utc({2024, 3, 31, 1}) - 1), Utc({2024, 3, 31, 1}) - 1);
  EXPECT_EQ(london.ToInstant(Utc({2024, 3, 31, 1})), Utc({2024, 3, 31, 1}));
  EXPECT_EQ(london.ToInstant(Utc({2024, 3, 31, 1, 30}, 5)), Utc({2024, 3, 31, 1}));
  EXPECT_EQ(london.ToInstant(Utc({2024, 3, 31, 2}) - 1), Utc({2024, 3, 31, 1}));
  EXPECT_EQ(london.ToInstant(Utc({2024, 3, 31, 2})), Utc({2024, 3, 31, 1}));
  EXPECT_EQ(london.ToInstant(Utc({2024, 3, 31, 2}, 1)), Utc({2024, 3, 31, 1}, 1));
}

TEST(Calendar, LocalTimeInAnOverlapIsTheEarlierInstant) {
  const Calendar london = London();
  EXPECT_EQ(london.ToInstant(Utc({2024, 10, 27, 1}) - 1), Utc({2024, 10, 27, 0}) - 1);
  EXPECT_EQ(london.ToInstant(Utc({2024, 10, 27, 1})), Utc({2024, 10, 27, 0}));
  EXPECT_EQ(london.ToInstant(Utc({2024, 10, 27, 2}) - 1), Utc({2024, 10, 27, 1}) - 1);
  EXPECT_EQ(london.ToInstant(Utc({2024, 10, 27, 2})), Utc({2024, 10, 27, 2}));
}

TEST(Calendar, DaysKeepLocalTimeWithItsMicroseconds) {
  const Calendar london = London();
  EXPECT_EQ(london.AddDays(Utc({2024, 3, 30, 12}, 7), 1), Utc({2024, 3, 31, 11}, 7));
  EXPECT_EQ(london.AddDays(Utc({2024, 3, 30, 1, 30}, 7), 1), Utc({2024, 3, 31, 1}));
  EXPECT_EQ(london.AddDays(Utc({2024, 10, 26, 0, 30}, 7), 1), Utc({2024, 10, 27, 0, 30}, 7));
}

TEST(Calendar, MonthsClampToTheLastDay) {
  const Calendar utc(0, {});
  EXPECT_EQ(utc.AddMonths(Utc({2024, 1, 31, 5}, 9), 1), Utc({2024, 2, 29, 5}, 9));
  EXPECT_EQ(utc.AddMonths(Utc({2023, 1, 31}), 1), Utc({2023, 2, 28}));
  EXPECT_EQ(utc.AddMonths(Utc({2024, 2, 29}), 12), Utc({2025, 2, 28}));
  EXPECT_EQ(utc.AddMonths(Utc({2024, 10, 31}), 13), Utc({2025, 11, 30}));
  EXPECT_EQ(utc.AddMonths(Utc({2024, 12, 15}), 1), Utc({2025, 1, 15}));
  EXPECT_EQ(utc.AddMonths(Utc({1969, 12, 31, 23}, 1), 2), Utc({1970, 2, 28, 23}, 1));
  EXPECT_EQ(utc.AddMonths(Utc({2000, 1, 31}), 1'200), Utc({2100, 1, 31}));
}

TEST(Calendar, PeriodsEndAtTheirSuccessorsFirstInstant) {
  const Calendar utc(0, {});
  EXPECT_EQ(utc.EndOf(Period::month, Utc({2021, 7, 6})), Utc({2021, 8, 1}));
  EXPECT_EQ(utc.EndOf(Period::month, Utc({2021, 7, 1})), Utc({2021, 8, 1}));
  EXPECT_EQ(utc.EndOf(Period::month, Utc({2021, 8, 1}) - 1), Utc({2021, 8, 1}));
  EXPECT_EQ(utc.EndOf(Period::month, Utc({2021, 12, 31})), Utc({2022, 1, 1}));
  EXPECT_EQ(utc.EndOf(Period::quarter, Utc({2021, 6, 30})), Utc({2021, 7, 1}));
  EXPECT_EQ(utc.EndOf(Period::quarter, Utc({2021, 10, 1})), Utc({2022, 1, 1}));
  EXPECT_EQ(utc.EndOf(Period::half_year, Utc({2021, 6, 30})), Utc({2021, 7, 1}));
  EXPECT_EQ(utc.EndOf(Period::half_year, Utc({2021, 7, 1})), Utc({2022, 1, 1}));
  EXPECT_EQ(utc.EndOf(Period::year, Utc({2021, 1, 1})), Utc({2022, 1, 1}));
}

TEST(Calendar, PeriodsEndAtLocalMidnight) {
  const Calendar east(5 * 3'600, {});
  EXPECT_EQ(east.EndOf(Period::month, Utc({2021, 7, 31, 18, 59})), Utc({2021, 7, 31, 19}));
  EXPECT_EQ(east.EndOf(Period::month, Utc({2021, 7, 31, 19})), Utc({2021, 8, 31, 19}));
  // Midnight of 1 August is left out: the month ends as the gap does.
  const Calendar gap(0, {Transition(Utc({2021, 8, 1}), 3'600, 0)});
  EXPECT_EQ(gap.EndOf(Period::month, Utc({2021, 7, 5})), Utc({2021, 8, 1}));
}

TEST(Calendar, ADayMayBeLeftOutWhole) {
  // Samoa went over the date line: there was no 30 December 2011.
  const Instant at = Utc({2011, 12, 30, 10});
  const Calendar apia(-10 * 3'600, {Transition(at, 14 * 3'600, 0)});
  EXPECT_EQ(apia.ToInstant(Utc({2011, 12, 29, 23, 59})), at - 60 * kMicrosPerSecond);
  EXPECT_EQ(apia.ToInstant(Utc({2011, 12, 30, 12})), at);
  EXPECT_EQ(apia.ToInstant(Utc({2011, 12, 31})), at);
  EXPECT_EQ(apia.AddDays(at - kHour, 1), at);
}

// A calendar of the host's time zone data, until 2070.
std::optional<Calendar> OfHost(const absl::TimeZone& zone) {
  absl::Time at = absl::UnixEpoch();
  const int initial_s = zone.At(at).offset;
  std::vector<Transition> transitions;
  absl::TimeZone::CivilTransition change;
  while (zone.NextTransition(at, &change)) {
    at = zone.At(change.to).trans;
    if (at > absl::FromCivil(absl::CivilYear(2070), absl::UTCTimeZone())) break;
    transitions.emplace_back(absl::ToUnixMicros(at), zone.At(at).offset, 0);
  }
  return Calendar(initial_s, std::move(transitions));
}

Instant ToInstant(absl::CivilSecond civil, const absl::TimeZone& zone) {
  const absl::TimeZone::TimeInfo info = zone.At(civil);
  return absl::ToUnixMicros(info.kind == absl::TimeZone::TimeInfo::SKIPPED ? info.trans : info.pre);
}

TEST(Calendar, AgreesWithTheHostsTimeZones) {
  std::mt19937_64 random(1);
  int compared = 0;
  for (const char* name :
       {"Europe/London", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo",
        "Pacific/Apia", "Asia/Tehran", "Africa/Casablanca", "Asia/Kathmandu"}) {
    SCOPED_TRACE(name);
    absl::TimeZone zone;
    if (!absl::LoadTimeZone(name, &zone)) continue;
    const Calendar calendar = *OfHost(zone);
    for (int i = 0; i < 4'000; ++i) {
      const Instant at = static_cast<Instant>(random() % Utc({2060, 1, 1}));
      const absl::CivilSecond civil = absl::ToCivilSecond(absl::FromUnixMicros(at), zone);
      const Instant micros = at % kMicrosPerSecond;
      ASSERT_EQ(calendar.ToLocal(at), (civil - absl::CivilSecond()) * kMicrosPerSecond + micros);
      const auto days = static_cast<int32_t>(random() % 400);
      absl::CivilSecond later = absl::CivilSecond(absl::CivilDay(civil) + days) +
                                (civil - absl::CivilSecond(absl::CivilDay(civil)));
      // Within a gap all local times are one instant, without their microseconds.
      const bool skipped = zone.At(later).kind == absl::TimeZone::TimeInfo::SKIPPED;
      ASSERT_EQ(calendar.AddDays(at, days), ToInstant(later, zone) + (skipped ? 0 : micros)) << at;
      const absl::CivilMonth next_month = absl::CivilMonth(civil) + 1;
      ASSERT_EQ(calendar.EndOf(Period::month, at), ToInstant(absl::CivilSecond(next_month), zone));
      ++compared;
    }
  }
  if (compared == 0) GTEST_SKIP() << "this host has no time zone data";
}

}  // namespace
}  // namespace tallystick::ledger
