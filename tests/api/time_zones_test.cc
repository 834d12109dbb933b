#include "api/time_zones.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "api/program_file.h"
#include "ledger/calendar.h"

namespace tallystick {
namespace {

struct Resolved {
  int32_t initial_offset_s = 0;
  std::vector<Transition> transitions;
};

Resolved Resolve(const std::string& name) {
  Resolved resolved;
  const absl::Status status =
      ResolveTimeZone(name, &resolved.initial_offset_s, &resolved.transitions);
  EXPECT_TRUE(status.ok()) << status;
  return resolved;
}

// Expectations were determined with another implementation (Python's zoneinfo).
TEST(TimeZones, NewYorkUntil2200) {
  const Resolved zone = Resolve("America/New_York");
  EXPECT_EQ(zone.initial_offset_s, -18'000);
  ASSERT_EQ(zone.transitions.size(), 460u);
  EXPECT_EQ(zone.transitions[0].at(), 9'961'200 * kMicrosPerSecond);
  EXPECT_EQ(zone.transitions[0].offset_s(), -14'400);
  EXPECT_EQ(zone.transitions.back().at(), 7'253'042'400 * kMicrosPerSecond);
  EXPECT_EQ(zone.transitions.back().offset_s(), -18'000);
}

TEST(TimeZones, LondonBeginsInBritishStandardTime) {
  const Resolved zone = Resolve("Europe/London");
  EXPECT_EQ(zone.initial_offset_s, 3'600);
  ASSERT_EQ(zone.transitions.size(), 457u);
  EXPECT_EQ(zone.transitions[0].at(), 57'722'400 * kMicrosPerSecond);
  EXPECT_EQ(zone.transitions[0].offset_s(), 0);
}

TEST(TimeZones, HalfHourChanges) {
  const Resolved zone = Resolve("Australia/Lord_Howe");
  EXPECT_EQ(zone.initial_offset_s, 36'000);
  ASSERT_EQ(zone.transitions.size(), 438u);
  EXPECT_EQ(zone.transitions.back().at(), 7'250'571'000 * kMicrosPerSecond);
  EXPECT_EQ(zone.transitions.back().offset_s(), 39'600);
}

TEST(TimeZones, ZonesWithoutChanges) {
  EXPECT_EQ(Resolve("UTC").initial_offset_s, 0);
  EXPECT_TRUE(Resolve("UTC").transitions.empty());
  EXPECT_EQ(Resolve("Asia/Tokyo").initial_offset_s, 32'400);
  EXPECT_TRUE(Resolve("Asia/Tokyo").transitions.empty());
}

TEST(TimeZones, CivilTimesFollowTheRule) {
  const auto zone = LoadZone("America/New_York");
  ASSERT_TRUE(zone.ok());
  // 2024-03-10 02:00 to 03:00 does not exist; 2024-11-03 01:00 to 02:00 exists twice.
  const Instant spring = 1'710'054'000 * kMicrosPerSecond;
  EXPECT_EQ(CivilToInstant(absl::CivilSecond(2024, 3, 10, 2, 30), *zone), spring);
  EXPECT_EQ(CivilToInstant(absl::CivilSecond(2024, 3, 10, 3, 0), *zone), spring);
  EXPECT_EQ(CivilToInstant(absl::CivilSecond(2024, 11, 3, 1, 30), *zone),
            1'730'611'800 * kMicrosPerSecond);
}

TEST(TimeZones, TheLedgersCalendarAgreesWithTheHost) {
  const Resolved resolved = Resolve("America/New_York");
  const ledger::Calendar calendar(resolved.initial_offset_s, resolved.transitions);
  const auto zone = LoadZone("America/New_York");
  ASSERT_TRUE(zone.ok());
  for (Instant at = 1; at < kResolvedUntil; at += 11 * kMicrosPerDay + 12'345'678'901) {
    const int64_t offset_us = zone->At(absl::FromUnixMicros(at)).offset * kMicrosPerSecond;
    ASSERT_EQ(calendar.ToLocal(at) - at, offset_us) << at;
  }
}

TEST(TimeZones, UnknownNamesAreRefusedByName) {
  for (const char* name : {"Mars/Olympus", "", "localtime", "libc:localtime", "/etc/localtime",
                           "../../etc/passwd", "file:/etc/localtime", "Europe/../UTC"}) {
    const auto zone = LoadZone(name);
    ASSERT_FALSE(zone.ok()) << name;
    EXPECT_EQ(zone.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(std::string(zone.status().message()).find(std::string("\"") + name + "\""),
              std::string::npos);
  }
}

class ResolvedProgram : public ::testing::Test {
 protected:
  // The program file with `more` fields, resolved.
  absl::StatusOr<std::vector<uint8_t>> Put(const std::string& more, uint16_t version, Instant now) {
    const auto file = ProgramFile::Parse(
        R"({"id": 7, "name": "P", "currency": "USD", "time_zone": "America/New_York",
            "earn": {"points": 3, "per_spend": 7, "rounding": "ceil", "minimum_spend": 5},
            "pending": {"days": 30},
            "expiry": {"after": "activation", "months": 12, "round_up_to": "month"},
            "redeem": {"minimum": 2, "step": 4}, "hold": {"timeout_minutes": 20},
            "reversal": {"expired": "forfeit", "grace_days": 5},
            "transfer": {"dates": "fresh", "minimum": 3, "maximum": 30}, "debt_floor": 9, "retention_days": 31,
            "return_days": 91, "implicit_enrolment": true, "unknown_original": "newest",
            "decimals": 2)" +
            more + "}",
        "p.json");
    EXPECT_TRUE(file.ok()) << file.status();
    return ResolveProgram(file->program(), version, now);
  }
};

TEST_F(ResolvedProgram, KeepsEveryFieldOfTheFile) {
  const auto bytes = Put("", 1, 12);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  flatbuffers::Verifier verifier(bytes->data(), bytes->size());
  ASSERT_TRUE(verifier.VerifyBuffer<Program>(nullptr));
  const Program& p = *flatbuffers::GetRoot<Program>(bytes->data());
  EXPECT_EQ(ProgramToJson(p), R"({
  "id": 7,
  "name": "P",
  "decimals": 2,
  "currency": "USD",
  "time_zone": "America/New_York",
  "earn": {
    "points": 3,
    "per_spend": 7,
    "rounding": "ceil",
    "minimum_spend": 5
  },
  "pending": {
    "days": 30
  },
  "expiry": {
    "after": "activation",
    "months": 12,
    "round_up_to": "month"
  },
  "redeem": {
    "minimum": 2,
    "step": 4
  },
  "hold": {
    "timeout_minutes": 20
  },
  "reversal": {
    "expired": "forfeit",
    "grace_days": 5
  },
  "transfer": {
    "dates": "fresh",
    "minimum": 3,
    "maximum": 30
  },
  "debt_floor": 9,
  "retention_days": 31,
  "return_days": 91,
  "implicit_enrolment": true,
  "unknown_original": "newest"
}
)");
  EXPECT_EQ(p.version(), 1);
  EXPECT_EQ(p.initial_offset_s(), -18'000);
  EXPECT_EQ(p.transitions()->size(), 460u);
}

TEST_F(ResolvedProgram, IsInForceFromWhenItSays) {
  const auto effective = [this](const std::string& more, uint16_t version) {
    const auto bytes = Put(more, version, 12);
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    return flatbuffers::GetRoot<Program>(bytes->data())->effective_us();
  };
  EXPECT_EQ(effective("", 1), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(effective("", 2), 12);
  // Midnight in New York.
  EXPECT_EQ(effective(R"(, "effective_at": "2026-01-31 00:00:00")", 2),
            1'769'835'600 * kMicrosPerSecond);
  const auto bad = Put(R"(, "effective_at": "soon")", 2, 12);
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.status().message().find("effective_at \"soon\" is no date"), 0u) << bad.status();
}

}  // namespace
}  // namespace tallystick
