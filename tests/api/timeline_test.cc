#include "api/tally/timeline.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace tallystick::tally {
namespace {

constexpr int64_t kInterval = Timeline::kFirstIntervalNs;

TEST(Timeline, EachIntervalHasWhatWasAnsweredInIt) {
  Timeline timeline;
  timeline.CountOperations(0, 10);
  timeline.RecordLatency(0, 100);
  timeline.CountOperations(kInterval - 1, 5);
  timeline.RecordLatency(kInterval - 1, 50);
  // Nothing in the second.
  timeline.CountOperations(2 * kInterval, 7);
  timeline.RecordLatency(2 * kInterval, 20);
  timeline.Finish();
  ASSERT_EQ(timeline.intervals().size(), 3u);
  EXPECT_EQ(timeline.intervals()[0].operations, 15);
  EXPECT_EQ(timeline.intervals()[0].p50_ns, 50);
  EXPECT_EQ(timeline.intervals()[0].max_ns, 100);
  EXPECT_EQ(timeline.intervals()[1].operations, 0);
  EXPECT_EQ(timeline.intervals()[1].max_ns, 0);
  EXPECT_EQ(timeline.intervals()[2].operations, 7);
  EXPECT_EQ(timeline.intervals()[2].max_ns, 20);
  EXPECT_EQ(timeline.operations(), 22);
  EXPECT_EQ(timeline.latency_ns().count(), 3);
}

TEST(Timeline, ALongRunHasLongerIntervalsAndLosesNothing) {
  Timeline timeline;
  constexpr auto kRun = static_cast<int64_t>(5 * Timeline::kMaxIntervals);
  for (int64_t i = 0; i < kRun; ++i) {
    timeline.CountOperations(i * kInterval, 1);
    timeline.RecordLatency(i * kInterval, i == 777 ? 9'000 : 10);
  }
  timeline.Finish();
  EXPECT_EQ(timeline.interval_ns(), 8 * kInterval);
  EXPECT_EQ(timeline.intervals().size(), 5 * Timeline::kMaxIntervals / 8);
  int64_t operations = 0;
  for (const Timeline::Interval& interval : timeline.intervals()) {
    operations += interval.operations;
    EXPECT_EQ(interval.operations, 8);
  }
  EXPECT_EQ(operations, kRun);
  EXPECT_EQ(timeline.intervals()[777 / 8].max_ns, 9'000);
  EXPECT_EQ(timeline.intervals()[777 / 8 + 1].max_ns, 10);
}

TEST(Timeline, EventsAreBounded) {
  Timeline timeline;
  for (size_t i = 0; i < Timeline::kMaxEvents + 5; ++i) {
    timeline.Mark(static_cast<int64_t>(i), "segment");
  }
  EXPECT_EQ(timeline.events().size(), Timeline::kMaxEvents);
}

}  // namespace
}  // namespace tallystick::tally
