#include "ledger/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <vector>

namespace tallystick::ledger {
namespace {

constexpr uint32_t kPlenty = 1'000'000;

// A schedule with the accounts that it schedules.
class Wheel {
 public:
  explicit Wheel(uint32_t accounts) : links_(accounts), due_(accounts) {}

  void Add(uint32_t account, Instant due) {
    due_[account] = due;
    schedule_.Add(account, due, LinkOf());
  }
  void Remove(uint32_t account) { schedule_.Remove(account, LinkOf()); }
  uint32_t TakeDue(Instant now, uint32_t& budget) {
    return schedule_.TakeDue(now, &budget, LinkOf(),
                             [this](uint32_t account) { return due_[account]; });
  }
  uint32_t TakeDue(Instant now) {
    uint32_t budget = kPlenty;
    return TakeDue(now, budget);
  }
  Instant NextDue() const { return schedule_.NextDue(); }
  Instant due(uint32_t account) const { return due_[account]; }

 private:
  // What the schedule asks for links.
  struct LinksOf {
    std::vector<ScheduleLink>& links;
    ScheduleLink& operator()(uint32_t account) const { return links[account]; }
  };
  LinksOf LinkOf() { return {links_}; }

  Schedule schedule_;
  std::vector<ScheduleLink> links_;
  std::vector<Instant> due_;
};

TEST(Schedule, EmptyIsNeverDue) {
  Wheel wheel(1);
  EXPECT_EQ(wheel.NextDue(), kNever);
  EXPECT_EQ(wheel.TakeDue(kNever), kNoRow);
}

TEST(Schedule, IsDueToTheMicrosecond) {
  Wheel wheel(1);
  const Instant at = 1'700'000'000'123'457;
  wheel.Add(0, at);
  EXPECT_LE(wheel.NextDue(), at);
  EXPECT_EQ(wheel.TakeDue(at - 1), kNoRow);
  EXPECT_EQ(wheel.TakeDue(at), 0u);
  EXPECT_EQ(wheel.NextDue(), kNever);
}

TEST(Schedule, WhatIsPastIsDueAtOnce) {
  Wheel wheel(3);
  wheel.Add(0, 5'000'000);
  ASSERT_EQ(wheel.TakeDue(6'000'000), 0u);
  wheel.Add(1, 17);
  wheel.Add(2, -1'000);
  EXPECT_LE(wheel.NextDue(), 6'000'000);
  EXPECT_NE(wheel.TakeDue(6'000'000), kNoRow);
  EXPECT_NE(wheel.TakeDue(6'000'000), kNoRow);
  EXPECT_EQ(wheel.TakeDue(6'000'000), kNoRow);
}

TEST(Schedule, ReachesToTheEndOfTime) {
  Wheel wheel(4);
  wheel.Add(0, kNever - 1);
  wheel.Add(1, kEndOfTime);
  wheel.Add(2, 1);
  wheel.Add(3, Instant{1} << 56);
  EXPECT_EQ(wheel.TakeDue(kNever - 1), 2u);
  EXPECT_EQ(wheel.TakeDue(kNever - 1), 3u);
  EXPECT_EQ(wheel.TakeDue(kNever - 1), 1u);
  EXPECT_EQ(wheel.TakeDue(kNever - 2), kNoRow);
  EXPECT_EQ(wheel.TakeDue(kNever - 1), 0u);
}

TEST(Schedule, RemovalFromTheMiddleOfASlotKeepsTheOthers) {
  Wheel wheel(3);
  for (uint32_t account = 0; account < 3; ++account) wheel.Add(account, 1'000);
  wheel.Remove(1);
  std::vector<uint32_t> taken = {wheel.TakeDue(1'000), wheel.TakeDue(1'000)};
  std::sort(taken.begin(), taken.end());
  EXPECT_EQ(taken, (std::vector<uint32_t>{0, 2}));
  EXPECT_EQ(wheel.TakeDue(1'000), kNoRow);
}

TEST(Schedule, SmallBudgetsAddUp) {
  Wheel wheel(50);
  for (uint32_t account = 0; account < 50; ++account) wheel.Add(account, 1 << 30);
  int taken = 0;
  for (int calls = 0; calls < 50 * (Schedule::kLevels + 1) && taken < 50; ++calls) {
    uint32_t budget = 1;
    taken += wheel.TakeDue(1 << 30, budget) != kNoRow ? 1 : 0;
    ASSERT_EQ(budget, 0u);
  }
  EXPECT_EQ(taken, 50);
}

Instant RandomDue(std::mt19937_64& random, Instant now) {
  // From the same microsecond to centuries ahead, and sometimes behind.
  const uint64_t far = random() >> (1 + random() % 63);
  const Instant due = static_cast<Instant>(std::min<uint64_t>(far, kNever / 2));
  return random() % 10 == 0 ? now - due % 1'000'000 : now + due;
}

TEST(Schedule, AgreesWithAnOrderedMap) {
  constexpr uint32_t kAccounts = 300;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    Wheel wheel(kAccounts);
    std::multimap<Instant, uint32_t> expected;
    std::vector<std::optional<std::multimap<Instant, uint32_t>::iterator>> places(kAccounts);
    Instant now = static_cast<Instant>(random() % kEndOfTime);
    ASSERT_EQ(wheel.TakeDue(now), kNoRow);
    for (int step = 0; step < 3'000; ++step) {
      const auto account = static_cast<uint32_t>(random() % kAccounts);
      if (places[account].has_value()) {
        wheel.Remove(account);
        expected.erase(*places[account]);
        places[account].reset();
      } else {
        const Instant due = RandomDue(random, now);
        wheel.Add(account, due);
        places[account] = expected.emplace(due, account);
      }
      if (!expected.empty() && expected.begin()->first > now) {
        ASSERT_LE(wheel.NextDue(), expected.begin()->first);
      }
      if (random() % 8 != 0) continue;
      now = std::min(now + static_cast<Instant>(random() >> (2 + random() % 62)), kEndOfTime * 2);
      uint32_t budget = random() % 3 == 0 ? static_cast<uint32_t>(random() % 20) : kPlenty;
      Instant last = 0;
      while (true) {
        const uint32_t taken = wheel.TakeDue(now, budget);
        if (taken == kNoRow) break;
        ASSERT_TRUE(places[taken].has_value());
        ASSERT_LE(wheel.due(taken), now);
        last = std::max(last, wheel.due(taken));
        expected.erase(*places[taken]);
        places[taken].reset();
      }
      if (budget == 0) continue;
      ASSERT_TRUE(expected.empty() || expected.begin()->first > now);
    }
  }
}

}  // namespace
}  // namespace tallystick::ledger
