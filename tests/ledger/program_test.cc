#include "ledger/program.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tests/ledger/encoded_program.h"

namespace tallystick::ledger {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

const Program& Decode(const std::vector<uint8_t>& bytes) {
  return *flatbuffers::GetRoot<Program>(bytes.data());
}

std::string FieldRefused(const ProgramSpec& spec) {
  const std::vector<uint8_t> bytes = Encode(spec);
  const auto error = CheckProgram(Decode(bytes));
  if (!error.has_value()) return "";
  EXPECT_FALSE(error->message.empty());
  return error->field;
}

// The field refused after `change` was made to a good program.
std::string FieldRefusedWith(const std::function<void(ProgramSpec&)>& change) {
  ProgramSpec spec;
  spec.pending_days = 10;
  spec.expiry = ExpirySpec{.days = 30};
  spec.redeem_minimum = 1;
  EXPECT_EQ(FieldRefused(spec), "");
  change(spec);
  return FieldRefused(spec);
}

// `set(spec, value)` is refused beside the range, and accepted at its ends.
void ExpectRange(const char* field, int64_t low, int64_t high,
                 const std::function<void(ProgramSpec&, int64_t)>& set) {
  SCOPED_TRACE(field);
  const auto with = [&](int64_t value) {
    return FieldRefusedWith([&](ProgramSpec& spec) { set(spec, value); });
  };
  EXPECT_EQ(with(low), "");
  EXPECT_EQ(with(high), "");
  EXPECT_EQ(with(low - 1), field);
  if (high < kMax) {
    EXPECT_EQ(with(high + 1), field);
  }
}

TEST(CheckProgram, RangesHaveBothTheirEnds) {
  const auto narrow = [](int64_t value) { return static_cast<int32_t>(value); };
  ExpectRange("id", 1, 65'535, [&](ProgramSpec& s, int64_t v) { s.id = narrow(v); });
  ExpectRange("decimals", 0, 4, [&](ProgramSpec& s, int64_t v) { s.decimals = narrow(v); });
  ExpectRange("earn.points", 1, 1'000'000'000'000,
              [](ProgramSpec& s, int64_t v) { s.earn->points = v; });
  ExpectRange("earn.per_spend", 1, 1'000'000'000'000,
              [](ProgramSpec& s, int64_t v) { s.earn->per_spend = v; });
  ExpectRange("earn.minimum_spend", 0, kMax,
              [](ProgramSpec& s, int64_t v) { s.earn->minimum_spend = v; });
  ExpectRange("pending.days", 0, 3'660,
              [&](ProgramSpec& s, int64_t v) { s.pending_days = narrow(v); });
  ExpectRange("expiry.months", 1, 1'200, [&](ProgramSpec& s, int64_t v) {
    s.expiry = ExpirySpec{.months = narrow(v == 0 ? -1 : v)};
  });
  ExpectRange("expiry.days", 1, 36'600, [&](ProgramSpec& s, int64_t v) {
    s.expiry = ExpirySpec{.days = narrow(v == 0 ? -1 : v)};
  });
  ExpectRange("redeem.minimum", 1, kMax, [](ProgramSpec& s, int64_t v) { s.redeem_minimum = v; });
  ExpectRange("redeem.step", 1, kMax, [](ProgramSpec& s, int64_t v) { s.redeem_step = v; });
  ExpectRange("debt_floor", 0, kMax, [](ProgramSpec& s, int64_t v) { s.debt_floor = v; });
  ExpectRange("retention_days", 1, 3'660,
              [&](ProgramSpec& s, int64_t v) { s.retention_days = narrow(v); });
  ExpectRange("return_days", 0, 3'660,
              [&](ProgramSpec& s, int64_t v) { s.return_days = narrow(v); });
  ExpectRange("effective_at", 1 - kEndOfTime, kEndOfTime - 1,
              [](ProgramSpec& s, int64_t v) { s.effective_us = v; });
  ExpectRange("initial_offset_s", -86'400, 86'400,
              [&](ProgramSpec& s, int64_t v) { s.initial_offset_s = narrow(v); });
}

TEST(CheckProgram, NamesTheFieldThatIsMissingOrUnknown) {
  EXPECT_EQ(FieldRefusedWith([](ProgramSpec& s) { s.name.reset(); }), "name");
  EXPECT_EQ(FieldRefusedWith([](ProgramSpec& s) { s.name = ""; }), "name");
  EXPECT_EQ(FieldRefusedWith([](ProgramSpec& s) { s.time_zone.reset(); }), "time_zone");
  EXPECT_EQ(FieldRefusedWith([](ProgramSpec& s) { s.earn.reset(); }), "earn");
  for (const char* currency : {"", "US", "USDX", "usd", "U$D"}) {
    EXPECT_EQ(FieldRefusedWith([&](ProgramSpec& s) { s.currency = currency; }), "currency");
  }
  EXPECT_EQ(FieldRefusedWith([](ProgramSpec& s) { s.currency.reset(); }), "currency");
  EXPECT_EQ(FieldRefusedWith([](ProgramSpec& s) { s.earn->rounding = Rounding(3); }),
            "earn.rounding");
  EXPECT_EQ(FieldRefusedWith([](ProgramSpec& s) { s.expiry->after = ExpiryBase(2); }),
            "expiry.after");
  EXPECT_EQ(FieldRefusedWith([](ProgramSpec& s) { s.expiry->round_up_to = Period(5); }),
            "expiry.round_up_to");
  EXPECT_EQ(FieldRefusedWith([](ProgramSpec& s) { s.unknown_original = UnknownOriginal(2); }),
            "unknown_original");
}

TEST(CheckProgram, ExpiryHasExactlyOneOfDaysAndMonths) {
  EXPECT_EQ(FieldRefusedWith([](ProgramSpec& s) { s.expiry = ExpirySpec(); }), "expiry");
  EXPECT_EQ(FieldRefusedWith([](ProgramSpec& s) { s.expiry = ExpirySpec{.days = 1, .months = 1}; }),
            "expiry.months");
  EXPECT_EQ(FieldRefusedWith([](ProgramSpec& s) { s.expiry.reset(); }), "");
}

TEST(CheckProgram, TransitionsAscendInLocalTimeToo) {
  const auto with = [](std::vector<Transition> transitions) {
    return FieldRefusedWith([&](ProgramSpec& s) { s.transitions = transitions; });
  };
  EXPECT_EQ(with({{1'000, 3'600, 0}, {8'000'000'000, 0, 0}}), "");
  EXPECT_EQ(with({{1'000, 3'600, 0}, {1'000, 0, 0}}), "transitions");
  EXPECT_EQ(with({{2'000, 0, 0}, {1'000, 3'600, 0}}), "transitions");
  EXPECT_EQ(with({{1'000, 86'401, 0}}), "transitions");
  EXPECT_EQ(with({{kEndOfTime, 0, 0}}), "transitions");
  EXPECT_EQ(with({{std::numeric_limits<int64_t>::min() + 1, 0, 0}}), "transitions");
  // A day back, and another change before that day is over again.
  EXPECT_EQ(with({{kMicrosPerDay, -86'400, 0}, {kMicrosPerDay + 1, -86'400, 0}}), "transitions");
  EXPECT_EQ(with({{kMicrosPerDay, -86'400, 0}, {2 * kMicrosPerDay + 1, -86'400, 0}}), "");
}

TEST(CheckSuccessor, NothingThatNeverChangesChanges) {
  ProgramSpec first;
  first.effective_us = 1'000;
  const std::vector<uint8_t> before = Encode(first);
  const auto refused = [&](const std::function<void(ProgramSpec&)>& change) {
    ProgramSpec next = first;
    change(next);
    const std::vector<uint8_t> after = Encode(next);
    const auto error = CheckSuccessor(Decode(before), Decode(after));
    return error.has_value() ? error->field : "";
  };
  EXPECT_EQ(refused([](ProgramSpec& s) { s.earn->points = 9; }), "");
  EXPECT_EQ(refused([](ProgramSpec& s) { s.decimals = 1; }), "decimals");
  EXPECT_EQ(refused([](ProgramSpec& s) { s.currency = "EUR"; }), "currency");
  EXPECT_EQ(refused([](ProgramSpec& s) { s.effective_us = 999; }), "effective_at");
  EXPECT_EQ(refused([](ProgramSpec& s) { s.effective_us = 1'000; }), "");
}

TEST(RoundedShare, RoundsAsItIsTold) {
  EXPECT_EQ(RoundedShare(250, 1, 100, Rounding::floor), 2);
  EXPECT_EQ(RoundedShare(250, 1, 100, Rounding::nearest), 3);
  EXPECT_EQ(RoundedShare(249, 1, 100, Rounding::nearest), 2);
  EXPECT_EQ(RoundedShare(250, 1, 100, Rounding::ceil), 3);
  EXPECT_EQ(RoundedShare(201, 1, 100, Rounding::ceil), 3);
  EXPECT_EQ(RoundedShare(1, 1, 3, Rounding::nearest), 0);
  EXPECT_EQ(RoundedShare(2, 1, 3, Rounding::nearest), 1);
  for (const Rounding rounding : {Rounding::floor, Rounding::nearest, Rounding::ceil}) {
    EXPECT_EQ(RoundedShare(200, 1, 100, rounding), 2);
    EXPECT_EQ(RoundedShare(0, 1, 100, rounding), 0);
  }
}

TEST(RoundedShare, StopsAtTheLargestNumber) {
  EXPECT_EQ(RoundedShare(kMax, 1, 1, Rounding::floor), kMax);
  EXPECT_EQ(RoundedShare(kMax, 1'000'000'000'000, 1'000'000'000'000, Rounding::nearest), kMax);
  EXPECT_EQ(RoundedShare(kMax, 2, 1, Rounding::floor), std::nullopt);
  EXPECT_EQ(RoundedShare(kMax, 1'000'000'000'000, 1, Rounding::floor), std::nullopt);
  // Half a point more than the largest number: only rounding takes it past.
  EXPECT_EQ(RoundedShare(kMax / 3 * 2 + 1, 3, 2, Rounding::floor), kMax);
  EXPECT_EQ(RoundedShare(kMax / 3 * 2 + 1, 3, 2, Rounding::nearest), std::nullopt);
  EXPECT_EQ(RoundedShare(kMax / 3 * 2 + 1, 3, 2, Rounding::ceil), std::nullopt);
  EXPECT_EQ(RoundedShare(kMax, 7, 7, Rounding::ceil), kMax);
}

TEST(CompiledProgram, MinimumSpendEarnsNothingBelowIt) {
  ProgramSpec spec;
  spec.earn = EarnSpec{.points = 2, .per_spend = 10, .minimum_spend = 500};
  const CompiledProgram program(Decode(Encode(spec)));
  EXPECT_EQ(program.Earned(499), 0);
  EXPECT_EQ(program.Earned(500), 100);
  EXPECT_EQ(program.BaseRate(499), 99);
}

TEST(CompiledProgram, ReturnLifeIsAtLeastThePendingTime) {
  ProgramSpec spec;
  spec.return_days = 5;
  spec.pending_days = 20;
  EXPECT_EQ(CompiledProgram(Decode(Encode(spec))).return_life_us, 21 * kMicrosPerDay);
  spec.return_days = 3'660;
  EXPECT_EQ(CompiledProgram(Decode(Encode(spec))).return_life_us, 3'660 * kMicrosPerDay);
}

// A program remembers the dates of the latest day: whatever it was asked before, it answers as one
// that was asked nothing.
TEST(CompiledProgram, DatesDoNotDependOnWhatWasAskedBefore) {
  ProgramSpec spec;
  spec.initial_offset_s = -5 * 3600;
  // Summer time of two years, and a day that is left out whole.
  for (const int64_t day : {19'795, 20'160}) {
    spec.transitions.emplace_back((day * 24 + 7) * 3600 * kMicrosPerSecond, -4 * 3600, 0);
    spec.transitions.emplace_back(((day + 238) * 24 + 6) * 3600 * kMicrosPerSecond, -5 * 3600, 0);
  }
  spec.transitions.emplace_back(20'500 * kMicrosPerDay, 19 * 3600, 0);
  std::mt19937_64 random(1);
  const auto below = [&](uint64_t bound) { return static_cast<int64_t>(random() % bound); };
  for (const int pending_days : {0, 1, 30}) {
    for (const ExpirySpec& expiry :
         {ExpirySpec{}, ExpirySpec{.days = 238}, ExpirySpec{.months = 12},
          ExpirySpec{.after = ExpiryBase::activation, .months = 1, .round_up_to = Period::month},
          ExpirySpec{.days = 1, .round_up_to = Period::year}}) {
      spec.pending_days = pending_days;
      spec.expiry = expiry;
      if (expiry.days + expiry.months == 0) spec.expiry.reset();
      const std::vector<uint8_t> bytes = Encode(spec);
      const CompiledProgram asked_often(Decode(bytes));
      Instant base = 0;
      for (int i = 0; i < 20'000; ++i) {
        // Mostly near the last one; else any day of these years.
        base = below(20) == 0 ? 19'500 * kMicrosPerDay + below(1'200 * uint64_t{kMicrosPerDay})
                              : base + below(3 * 3'600'000'000) - 3'600'000'000;
        const bool pending = below(2) == 0;
        const auto dates = asked_often.LotDates(base, pending);
        const auto expected = CompiledProgram(Decode(bytes)).DatesOf(base, pending);
        ASSERT_EQ(dates.activates_at, expected.activates_at) << "base " << base;
        ASSERT_EQ(dates.expires_at, expected.expires_at) << "base " << base;
        ASSERT_EQ(dates.unrounded_expires_at, expected.unrounded_expires_at) << "base " << base;
      }
    }
  }
}

}  // namespace
}  // namespace tallystick::ledger
