// Points of logs as people name them, and the steps of a series of rates.

#include "api/tally/log_point.h"

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "api/instants.h"
#include "api/replay_block.h"
#include "api/tally/rate_series.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tallystick::tally {
namespace {

using ::testing::HasSubstr;

LogPoint Parsed(const std::string& text) {
  const auto point = LogPoint::Parse(text);
  EXPECT_TRUE(point.ok()) << point.status();
  return point.ok() ? *point : LogPoint();
}

TEST(LogPoint, IsAPositionOneOfEachShardOrAnInstant) {
  EXPECT_EQ(Parsed("1234").PositionOf(3), 1234u);
  EXPECT_EQ(Parsed("0:5,1:6").PositionOf(1), 6u);
  EXPECT_FALSE(Parsed("0:5,1:6").time().has_value());
  EXPECT_EQ(Parsed("2026-01-31T10:00:00Z").time(), *ParseInstant("2026-01-31 10:00"));
  EXPECT_EQ(Parsed("2026-01-31 10:00").time(), *ParseInstant("2026-01-31 10:00"));
}

TEST(LogPoint, AnythingElseIsRefused) {
  for (const char* text :
       {"", "0", "-1", "1:", ":1", "0:0", "0:1,", "0:1,0:2", "70000:1", "1,2", "0:1:2", "now"}) {
    EXPECT_EQ(LogPoint::Parse(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(LogPoint, SuitsALedgerThatHasIt) {
  EXPECT_TRUE(Parsed("5").Check(3).ok());
  EXPECT_TRUE(Parsed("0:5,1:6").Check(2).ok());
  EXPECT_FALSE(Parsed("0:5,1:6").Check(3).ok());
  EXPECT_FALSE(Parsed("0:5,1:6").Check(1).ok());
  EXPECT_TRUE(Parsed("5").CheckEnds({{0, 4}, {1, 5}}).ok());
  EXPECT_FALSE(Parsed("6").CheckEnds({{0, 4}, {1, 5}}).ok());
  EXPECT_FALSE(Parsed("0:5,1:5").CheckEnds({{0, 4}, {1, 5}}).ok());
  EXPECT_TRUE(Parsed("2026-01-01").CheckEnds({{0, 4}}).ok());
  EXPECT_TRUE(LogPoint().CheckEnds({{0, 0}}).ok());
}

// A block of the import clock, of records with these kinds, flags and instants.
struct TestBlock {
  explicit TestBlock(Position first) {
    header.type = wal::BlockType::kRecords;
    header.flags = kBlockImportClock;
    header.first_position = first;
    header.timestamp_us = 1'000;
  }
  void Add(Kind kind, Instant at, uint8_t flags = 0, uint16_t details = 0, uint8_t result = 0) {
    Record record{Operation(Id(1, 1), Id(1, 1), Id(), 1, at, 0, 0, 1, 0, kind, flags, 0), Result()};
    record.result.mutate_details(details);
    record.result.mutate_flags(result);
    slots.emplace_back();
    std::memcpy(&slots.back(), &record, sizeof(record));
    slots.resize(slots.size() + details);
  }
  wal::BlockView View() {
    header.count = static_cast<uint32_t>(slots.size());
    return {.header = &header, .slots = slots, .segment = 1, .offset = 0};
  }
  wal::BlockHeader header{};
  std::vector<wal::Slot> slots;
};

TEST(PointFollower, DoesNotDivideWhatBelongsTogether) {
  TestBlock block(10);
  block.Add(Kind::Accrue, 100);                    // 10
  block.Add(Kind::Expiry, 150);                    // 11, settled for
  block.Add(Kind::Return, 200, 0, 1);              // 12, with a detail
  block.Add(Kind::Accrue, 250, kLinked);           // 14, a chain
  block.Add(Kind::Accrue, 300);                    // 15
  block.Add(Kind::Activation, 20, 0, 0, kTicked);  // 16, a tick of the same time
  block.Add(Kind::Accrue, 5'000);                  // 17, at most the block's stamp
  const auto last = [&](Instant time) {
    LogPoint point = Parsed(FormatInstant(time));
    PointFollower follower(point, 0);
    return follower.LastIn(block.View());
  };
  EXPECT_EQ(last(1), 9u);
  EXPECT_EQ(last(100), 10u);
  EXPECT_EQ(last(199), 10u);
  EXPECT_EQ(last(200), 13u);
  EXPECT_EQ(last(299), 13u);
  EXPECT_EQ(last(300), 16u);
  EXPECT_EQ(last(999), 16u);
  EXPECT_EQ(last(1'000), 17u);
}

TEST(PointFollower, StaysBehindOnceItHasPassed) {
  TestBlock first(10);
  first.Add(Kind::Accrue, 500);
  TestBlock second(11);
  second.Add(Kind::Accrue, 100);
  PointFollower follower(Parsed(FormatInstant(200)), 0);
  EXPECT_EQ(follower.LastIn(first.View()), 9u);
  EXPECT_EQ(follower.LastIn(second.View()), 10u);
}

TEST(PointFollower, ClampsPositionsToTheBlock) {
  TestBlock block(10);
  for (int i = 0; i < 5; ++i) block.Add(Kind::Accrue, 1);
  const auto last = [&](Position position) {
    return PointFollower(LogPoint(position), 0).LastIn(block.View());
  };
  EXPECT_EQ(last(3), 9u);
  EXPECT_EQ(last(12), 12u);
  EXPECT_EQ(last(99), 14u);
}

TEST(RateSeries, StepGrowsWithTheSpan) {
  RateSeries series;
  series.Add(5'500'000, 1, 10);
  series.Add(5'900'000, 2, 20);
  EXPECT_EQ(series.step_name(), "1 s");
  ASSERT_EQ(series.buckets().size(), 1u);
  EXPECT_EQ(series.buckets().at(5'000'000).records, 3u);
  for (int64_t s = 0; s < 10'000; ++s) series.Add(s * kMicrosPerSecond, 1, 1);
  EXPECT_EQ(series.step_name(), "1 min");
  EXPECT_LE(series.buckets().size(), RateSeries::kMaxBuckets);
  uint64_t records = 0;
  for (const auto& [begin, bucket] : series.buckets()) {
    EXPECT_EQ(begin % series.step_us(), 0);
    records += bucket.records;
  }
  EXPECT_EQ(records, 10'003u);
}

TEST(RateSeries, TakesTimesFarApart) {
  RateSeries series;
  series.Add(-5 * kMicrosPerDay, 1, 1);
  series.Add(kEndOfTime - 1, 1, 1);
  EXPECT_EQ(series.step_name(), "360 days");
  EXPECT_EQ(series.buckets().size(), 2u);
}

}  // namespace
}  // namespace tallystick::tally
