#include "api/tally/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "api/tally/random.h"

namespace tallystick::tally {
namespace {

TEST(Histogram, EmptyIsZero) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0);
  EXPECT_EQ(histogram.Percentile(50), 0);
  EXPECT_EQ(histogram.max(), 0);
}

TEST(Histogram, SmallValuesAreExact) {
  Histogram histogram;
  for (int64_t value = 1; value <= 100; ++value) histogram.Record(value);
  EXPECT_EQ(histogram.count(), 100);
  EXPECT_EQ(histogram.Percentile(0), 1);
  EXPECT_EQ(histogram.Percentile(50), 50);
  EXPECT_EQ(histogram.Percentile(99), 99);
  EXPECT_EQ(histogram.Percentile(99.9), 100);
  EXPECT_EQ(histogram.Percentile(100), 100);
}

TEST(Histogram, OneValueIsEveryPercentile) {
  Histogram histogram;
  histogram.Record(123'456'789);
  EXPECT_EQ(histogram.Percentile(0), 123'456'789);
  EXPECT_EQ(histogram.Percentile(99.99), 123'456'789);
}

TEST(Histogram, LargestAndNegativeValuesHaveAPlace) {
  Histogram histogram;
  histogram.Record(std::numeric_limits<int64_t>::max());
  histogram.Record(-5);
  EXPECT_EQ(histogram.Percentile(100), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(histogram.Percentile(50), 0);
}

TEST(Histogram, LargeValuesAreWithinTheirBucket) {
  constexpr uint64_t kSeed = 20260131;
  Random random(kSeed);
  Histogram histogram;
  std::vector<int64_t> values;
  for (int i = 0; i < 100'000; ++i) {
    // Of all sizes alike.
    values.push_back(static_cast<int64_t>(random.Next() >> (1 + random.Below(62))));
    histogram.Record(values.back());
  }
  std::sort(values.begin(), values.end());
  for (const double percent : {1.0, 10.0, 50.0, 90.0, 99.0, 99.9}) {
    const auto rank = static_cast<size_t>(std::ceil(percent / 100 * 100'000)) - 1;
    const auto exact = static_cast<double>(values[rank]);
    const auto found = static_cast<double>(histogram.Percentile(percent));
    EXPECT_GE(found, exact) << "seed " << kSeed << ", " << percent << " %";
    EXPECT_LE(found, exact * (1 + 1.0 / 64) + 1) << "seed " << kSeed << ", " << percent << " %";
  }
}

// The benchmark's and the sample's numbers are the same on every host.
TEST(Random, IsTheSameEverywhere) {
  Random random(1);
  EXPECT_EQ(random.Next(), 11186363674881124876ull);
  EXPECT_EQ(random.Next(), 10465252381260793169ull);
  for (int i = 0; i < 10'000; ++i) ASSERT_LT(random.Below(7), 7u);
}

}  // namespace
}  // namespace tallystick::tally
