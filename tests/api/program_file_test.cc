#include "api/program_file.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

namespace tallystick {
namespace {

constexpr char kSeed[] = R"({ "id": 1, "name": "Seed", "decimals": 0, "currency": "USD",
  "time_zone": "America/New_York", // where the shops are
  "earn": { "points": 1, "per_spend": 1000,
            "rounding": "floor", "minimum_spend": 0 },
  /* the window
     for returns */
  "pending": { "days": 30 },
  "expiry": { "after": "activation", "months": 12, "round_up_to": "month" },
  "redeem": { "minimum": 1, "step": 1 },
  "implicit_enrolment": true, "unknown_original": "newest"
})";

std::string Replace(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

std::string ErrorOf(const std::string& json) {
  const auto file = ProgramFile::Parse(json, "seed.json");
  return file.ok() ? "accepted" : std::string(file.status().message());
}

std::string ErrorWith(const std::string& from, const std::string& to) {
  return ErrorOf(Replace(kSeed, from, to));
}

TEST(ProgramFile, ReadsEveryField) {
  const auto file = ProgramFile::Parse(kSeed, "seed.json");
  ASSERT_TRUE(file.ok()) << file.status();
  const Program& p = file->program();
  EXPECT_EQ(p.id(), 1);
  EXPECT_EQ(p.name()->str(), "Seed");
  EXPECT_EQ(p.earn()->per_spend(), 1000);
  EXPECT_EQ(p.pending()->days(), 30);
  EXPECT_EQ(p.expiry()->after(), ExpiryBase::activation);
  EXPECT_EQ(p.expiry()->round_up_to(), Period::month);
  EXPECT_TRUE(p.implicit_enrolment());
  EXPECT_EQ(p.unknown_original(), UnknownOriginal::newest);
  EXPECT_EQ(p.return_days(), 90);
  EXPECT_EQ(p.version(), 0);
}

TEST(ProgramFile, PrintedProgramReadsBackTheSame) {
  const auto file = ProgramFile::Parse(kSeed, "seed.json");
  ASSERT_TRUE(file.ok()) << file.status();
  const std::string printed = ProgramToJson(file->program());
  const auto again = ProgramFile::Parse(printed, "printed.json");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(ProgramToJson(again->program()), printed);
}

TEST(ProgramFile, AbsentPartsStayAbsent) {
  const auto file = ProgramFile::Parse(
      R"({"id": 2, "name": "Bare", "currency": "EUR", "time_zone": "UTC", "earn": {}})", "b.json");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->program().expiry(), nullptr);
  const std::string printed = ProgramToJson(file->program());
  EXPECT_EQ(printed.find("expiry"), std::string::npos);
  EXPECT_NE(printed.find("\"redeem\": {\n    \"minimum\": 1,\n    \"step\": 1\n  }"),
            std::string::npos);
}

TEST(ProgramFile, SyntaxErrorsNameTheLine) {
  EXPECT_EQ(ErrorOf(""), "seed.json:1: the text ends where a value was expected");
  EXPECT_EQ(ErrorOf("[1]"), "seed.json:1: a program in braces was expected");
  EXPECT_EQ(ErrorWith("1000,", "1000"), "seed.json:4: a comma or } was expected");
  EXPECT_EQ(ErrorWith("\"pending\":", "\"pending\""),
            "seed.json:7: a colon was expected behind pending");
  EXPECT_EQ(ErrorWith("*/", ""), "seed.json:5: this comment is not closed: */ is missing");
  EXPECT_EQ(ErrorWith("\"newest\"", "\"newest"),
            "seed.json:10: this text is not closed: \" is missing");
  EXPECT_EQ(ErrorWith("1000", "x"),
            "seed.json:3: a value was expected: a number, a quoted text, true, false or {");
  EXPECT_EQ(ErrorOf(std::string(kSeed) + "\n{}"),
            "seed.json:12: nothing more was expected behind the end of the value");
  EXPECT_EQ(ErrorOf(std::string(kSeed) + " root_type Earn;"),
            "seed.json:11: nothing more was expected behind the end of the value");
  EXPECT_EQ(ErrorOf(std::string(100'000, '[')), "seed.json:1: values are nested too deeply");
}

TEST(ProgramFile, DuplicatesAreRefused) {
  EXPECT_EQ(ErrorWith("\"redeem\":", "\"id\": 2, \"redeem\":"),
            "seed.json:9: id is given twice, first on line 1");
  EXPECT_EQ(ErrorWith("\"per_spend\": 1000", "\"points\": 1"),
            "seed.json:3: points is given twice, first on line 3");
}

TEST(ProgramFile, UnknownAndResolvedFieldsAreRefused) {
  EXPECT_EQ(ErrorWith("per_spend", "per_spnd"),
            "seed.json:3: earn.per_spnd is no field of a program: check its spelling");
  for (const std::string field : {"version", "effective_us", "initial_offset_s", "transitions"}) {
    EXPECT_EQ(ErrorWith("\"pending\"", "\"" + field + "\": 1, \"pending\""),
              "seed.json:7: " + field + " is filled in by the ledger: leave it out");
  }
}

TEST(ProgramFile, WrongTypesAreRefused) {
  EXPECT_EQ(ErrorWith("1000", "\"1000\""), "seed.json:3: earn.per_spend must be a whole number");
  EXPECT_EQ(ErrorWith("1000", "10.5"),
            "seed.json:3: earn.per_spend is 10.5, but must be a whole number");
  EXPECT_EQ(ErrorWith("1000", "null"), "seed.json:3: earn.per_spend must be a whole number");
  EXPECT_EQ(ErrorWith("1000", "9223372036854775808"),
            "seed.json:3: earn.per_spend is 9223372036854775808, which is too large");
  EXPECT_EQ(ErrorWith("\"days\": 30", "\"days\": 4294967296"),
            "seed.json:7: pending.days is 4294967296, which is too large");
  EXPECT_EQ(ErrorWith("true", "1"), "seed.json:10: implicit_enrolment must be true or false");
  EXPECT_EQ(ErrorWith("\"Seed\"", "5"), "seed.json:1: name must be a text in quotes");
  EXPECT_EQ(ErrorWith("{ \"days\": 30 }", "30"),
            "seed.json:7: pending must be an object in braces");
  EXPECT_EQ(ErrorWith("\"floor\"", "\"down\""),
            "seed.json:4: earn.rounding must be one of \"floor\", \"nearest\", \"ceil\"");
  // Two names of a set: the schema's parser alone would add them up.
  EXPECT_EQ(ErrorWith("\"month\"", "\"month quarter\""),
            "seed.json:8: expiry.round_up_to must be one of \"none\", \"month\", \"quarter\", "
            "\"half_year\", \"year\"");
  EXPECT_EQ(ErrorWith("\"floor\"", "7"),
            "seed.json:4: earn.rounding must be one of \"floor\", \"nearest\", \"ceil\"");
}

TEST(ProgramFile, WhatTheRulesForbidNamesTheLineOfTheField) {
  EXPECT_EQ(ErrorWith("1000", "0"),
            "seed.json:3: earn.per_spend is 0, but must be from 1 to 1000000000000");
  EXPECT_EQ(
      ErrorWith("\"months\": 12, ", ""),
      "seed.json:8: expiry needs days or months; leave expiry out for points that never expire");
  // A field that is not there is shown at what is around it.
  EXPECT_EQ(ErrorWith("\"name\": \"Seed\", ", ""),
            "seed.json:1: name is missing: a program needs a name");
}

TEST(ProgramFile, BytesThatAreNotUtf8AreRefused) {
  EXPECT_NE(ErrorWith("Seed", "caf\xe9").find("UTF-8"), std::string::npos);
}

TEST(ProgramFile, MissingFileSaysSo) {
  const auto file = ProgramFile::Read("/nowhere/seed.json");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.status().message(), "cannot open /nowhere/seed.json: No such file or directory");
}

TEST(ProgramFile, TheSeedProgramOfTheDocumentationIsValid) {
  const auto file = ProgramFile::Read(TALLYSTICK_SOURCE_DIR "/docs/programs/seed.json");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->program().id(), 1);
  EXPECT_EQ(file->program().debt_floor(), 0);
}

}  // namespace
}  // namespace tallystick
