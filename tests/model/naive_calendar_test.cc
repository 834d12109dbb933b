#include "tests/model/naive_calendar.h"

#include <gtest/gtest.h>

#include "tests/model/naive_program.h"

namespace tallystick::model {
namespace {

// Europe/London around 2021.
Zone London() {
  return {.initial_offset_s = 0,
          .transitions = {{UtcInstant(2020, 3, 29, kHour), 3600},
                          {UtcInstant(2020, 10, 25, kHour), 0},
                          {UtcInstant(2021, 3, 28, kHour), 3600},
                          {UtcInstant(2021, 10, 31, kHour), 0}}};
}

TEST(Calendar, CountsDaysFromTheEpoch) {
  EXPECT_EQ(DaysFromCivil({1970, 1, 1}), 0);
  EXPECT_EQ(DaysFromCivil({1969, 12, 31}), -1);
  EXPECT_EQ(DaysFromCivil({2000, 3, 1}), 11'017);
  EXPECT_EQ(UtcInstant(10'000, 1, 1), 253'402'300'800 * kSecond);
}

TEST(Calendar, DatesSurviveARoundTrip) {
  for (int64_t days = -150'000; days < 3'000'000; days += 97) {
    ASSERT_EQ(DaysFromCivil(CivilFromDays(days)), days);
  }
  EXPECT_EQ(CivilFromDays(DaysFromCivil({2024, 2, 29})), (CivilDate{2024, 2, 29}));
  EXPECT_EQ(CivilFromDays(DaysFromCivil({1900, 3, 1}) - 1), (CivilDate{1900, 2, 28}));
}

TEST(Calendar, TwelveMonthsToMonthEndReachTheFirstInstantAfterTheMonth) {
  const Instant end = AddCivilMonths({}, UtcInstant(2020, 7, 6, 15 * kHour), 12);
  EXPECT_EQ(RoundUpTo({}, end, RoundUp::kMonth), UtcInstant(2021, 8, 1));
}

TEST(Calendar, MonthsClampToTheLastDay) {
  EXPECT_EQ(AddCivilMonths({}, UtcInstant(2021, 1, 31), 1), UtcInstant(2021, 2, 28));
  EXPECT_EQ(AddCivilMonths({}, UtcInstant(2024, 1, 31), 1), UtcInstant(2024, 2, 29));
  EXPECT_EQ(AddCivilMonths({}, UtcInstant(2024, 2, 29), 12), UtcInstant(2025, 2, 28));
  EXPECT_EQ(AddCivilMonths({}, UtcInstant(2020, 12, 31), 2), UtcInstant(2021, 2, 28));
  EXPECT_EQ(AddCivilMonths({}, UtcInstant(2021, 8, 31, 7), 1), UtcInstant(2021, 9, 30, 7));
}

TEST(Calendar, AddingKeepsLocalTimeWithItsMicroseconds) {
  // 12:00:00.000007 local before and after the spring transition.
  EXPECT_EQ(AddCivilDays(London(), UtcInstant(2021, 3, 27, 12 * kHour + 7), 1),
            UtcInstant(2021, 3, 28, 11 * kHour + 7));
  EXPECT_EQ(AddCivilMonths(London(), UtcInstant(2021, 3, 1, 12 * kHour + 7), 1),
            UtcInstant(2021, 4, 1, 11 * kHour + 7));
}

TEST(Calendar, LocalTimeInAGapIsTheFirstInstantAfterIt) {
  const Instant gap = UtcInstant(2021, 3, 28, kHour);
  EXPECT_EQ(AddCivilDays(London(), UtcInstant(2021, 3, 27, kHour), 1), gap);
  EXPECT_EQ(AddCivilDays(London(), UtcInstant(2021, 3, 27, kHour + 30 * kMinute), 1), gap);
  EXPECT_EQ(AddCivilDays(London(), UtcInstant(2021, 3, 27, 2 * kHour - 1), 1), gap);
  EXPECT_EQ(AddCivilDays(London(), UtcInstant(2021, 3, 27, 2 * kHour), 1), gap);
  EXPECT_EQ(AddCivilDays(London(), UtcInstant(2021, 3, 27, 2 * kHour + 1), 1), gap + 1);
  EXPECT_EQ(AddCivilDays(London(), UtcInstant(2021, 3, 27, kHour - 1), 1), gap - 1);
}

TEST(Calendar, LocalTimeInAnOverlapIsTheEarlierInstant) {
  // 01:30 local on 30 October 2021 is 00:30 UTC; on the 31st it comes at 00:30 and 01:30 UTC.
  EXPECT_EQ(AddCivilDays(London(), UtcInstant(2021, 10, 30, 30 * kMinute), 1),
            UtcInstant(2021, 10, 31, 30 * kMinute));
  EXPECT_EQ(AddCivilDays(London(), UtcInstant(2021, 10, 30, kHour - 1), 1),
            UtcInstant(2021, 10, 31, kHour - 1));
  // 02:00 local is past the overlap.
  EXPECT_EQ(AddCivilDays(London(), UtcInstant(2021, 10, 30, kHour), 1),
            UtcInstant(2021, 10, 31, 2 * kHour));
}

TEST(Calendar, PeriodsEndAtLocalMidnight) {
  const Instant in_june = UtcInstant(2021, 6, 30, 22 * kHour);  // 23:00 local
  const Instant july = UtcInstant(2021, 6, 30, 23 * kHour);
  EXPECT_EQ(RoundUpTo(London(), in_june, RoundUp::kNone), in_june);
  EXPECT_EQ(RoundUpTo(London(), in_june, RoundUp::kMonth), july);
  EXPECT_EQ(RoundUpTo(London(), in_june, RoundUp::kQuarter), july);
  EXPECT_EQ(RoundUpTo(London(), in_june, RoundUp::kHalfYear), july);
  EXPECT_EQ(RoundUpTo(London(), in_june, RoundUp::kYear), UtcInstant(2022, 1, 1));
}

TEST(Calendar, FirstInstantOfAPeriodLiesInIt) {
  const Instant july = UtcInstant(2021, 6, 30, 23 * kHour);
  EXPECT_EQ(RoundUpTo(London(), july, RoundUp::kMonth), UtcInstant(2021, 7, 31, 23 * kHour));
  EXPECT_EQ(RoundUpTo(London(), july, RoundUp::kQuarter), UtcInstant(2021, 9, 30, 23 * kHour));
  EXPECT_EQ(RoundUpTo(London(), july, RoundUp::kHalfYear), UtcInstant(2022, 1, 1));
}

TEST(Calendar, MidnightInAGapIsTheFirstInstantAfterIt) {
  // Clocks go from 00:00 to 01:00 local on 1 April.
  const Instant change = UtcInstant(2021, 4, 1, 3 * kHour);
  const Zone zone = {.initial_offset_s = -3 * 3600, .transitions = {{change, -2 * 3600}}};
  EXPECT_EQ(RoundUpTo(zone, UtcInstant(2021, 3, 10), RoundUp::kMonth), change);
}

TEST(LotDates, FollowTheProgram) {
  const Instant base = UtcInstant(2020, 7, 6, 9 * kHour);
  Program program{
      .pending_days = 14,
      .expiry = {.after = ExpiryAfter::kEarning, .months = 12, .round_up_to = RoundUp::kMonth},
      .zone = {}};
  LotDates dates = DatesOf(program, base, program.pending_days, 0);
  EXPECT_EQ(dates.activates_at, UtcInstant(2020, 7, 20, 9 * kHour));
  EXPECT_EQ(dates.expires_at, UtcInstant(2021, 8, 1));

  program.expiry = {.after = ExpiryAfter::kActivation, .days = 10};
  EXPECT_EQ(DatesOf(program, base, program.pending_days, 0).expires_at,
            UtcInstant(2020, 7, 30, 9 * kHour));
  EXPECT_EQ(DatesOf(program, base, program.pending_days, base + 1).expires_at, base + 1);

  program.expiry = {};
  dates = DatesOf(program, base, 0, 0);
  EXPECT_EQ(dates.activates_at, base);
  EXPECT_EQ(dates.expires_at, kNever);
}

TEST(ProgramHistory, TooOldBoundNeverMovesBack) {
  const Instant start = UtcInstant(2024, 1, 1);
  ProgramHistory history;
  history.Put({.retention_days = 30, .effective_at = start}, start);
  EXPECT_EQ(history.TooOldBound(start + 10 * kDay), start - 20 * kDay);

  // From day 10 on operations may be 60 days old, but the bound waits until that catches up.
  history.Put({.retention_days = 60, .effective_at = start + 10 * kDay}, start + 10 * kDay);
  EXPECT_EQ(history.TooOldBound(start + 10 * kDay), start - 20 * kDay);
  EXPECT_EQ(history.TooOldBound(start + 40 * kDay), start - 20 * kDay);
  EXPECT_EQ(history.TooOldBound(start + 41 * kDay), start - 19 * kDay);

  // A shorter retention raises it at once.
  history.Put({.retention_days = 1, .effective_at = start + 42 * kDay}, start + 41 * kDay);
  EXPECT_EQ(history.TooOldBound(start + 42 * kDay - 1), start - 18 * kDay - 1);
  EXPECT_EQ(history.TooOldBound(start + 42 * kDay), start + 41 * kDay);
}

TEST(ProgramHistory, NewestEffectiveVersionIsInForce) {
  ProgramHistory history;
  history.Put({.effective_at = 1'000}, 1'000);
  history.Put({.effective_at = 2'000}, 1'500);
  history.Put({.effective_at = 2'000}, 1'600);
  EXPECT_EQ(history.IndexInForce(1), 0u);
  EXPECT_EQ(history.IndexInForce(1'999), 0u);
  EXPECT_EQ(history.IndexInForce(2'000), 2u);
}

}  // namespace
}  // namespace tallystick::model
