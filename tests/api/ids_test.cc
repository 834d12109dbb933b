#include "api/ids.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "api/instants.h"
#include "api/money.h"
#include "api/outcomes.h"

namespace tallystick {
namespace {

TEST(Ids, DecimalsAreThemselves) {
  EXPECT_EQ(ParseId("17850"), Id(17850, 0));
  EXPECT_EQ(ParseId("  17850\t"), Id(17850, 0));
  EXPECT_EQ(ParseId("18446744073709551616"), Id(0, 1));
  EXPECT_EQ(ParseId("340282366920938463463374607431768211455"), Id(~0ull, ~0ull));
}

TEST(Ids, UuidsAreThemselvesWithTheFirstBytesHigh) {
  const Id id(0x8091a2b3c4d5e6f7, 0x0123456789abcdef);
  EXPECT_EQ(ParseId("01234567-89ab-cdef-8091-a2b3c4d5e6f7"), id);
  EXPECT_EQ(ParseId("01234567-89AB-CDEF-8091-A2B3C4D5E6F7"), id);
}

TEST(Ids, WhatNamesNobodyIsNoId) {
  EXPECT_EQ(ParseId(""), std::nullopt);
  EXPECT_EQ(ParseId(" \r\n"), std::nullopt);
  EXPECT_EQ(ParseId("0"), std::nullopt);
  EXPECT_EQ(ParseId("00000000-0000-0000-0000-000000000000"), std::nullopt);
}

TEST(Ids, OtherTextsAreHashedAndStayApart) {
  // 2^128, leading zeros, signs, a UUID with a wrong digit: texts, not numbers.
  const std::vector<std::string> texts = {"340282366920938463463374607431768211456",
                                          "017850",
                                          "-17850",
                                          "+17850",
                                          "17850.0",
                                          "ann@example.org",
                                          "01234567-89ab-cdef-8091-a2b3c4d5e6fg"};
  for (const std::string& text : texts) {
    EXPECT_EQ(ParseId(text), HashId(text)) << text;
    EXPECT_NE(ParseId(text), Id(17850, 0)) << text;
  }
}

TEST(Ids, HashIsXxh3OfTheBytes) {
  // The value that xxHash publishes for the empty input with seed 0.
  EXPECT_EQ(HashId(""), Id(0x6001c324468d497f, 0x99aa06d3014798d8));
}

TEST(Ids, FormatParsesBack) {
  EXPECT_EQ(FormatId(Id(17850, 0)), "17850");
  EXPECT_EQ(FormatId(Id(~0ull, 0)), "18446744073709551615");
  EXPECT_EQ(FormatId(Id(5, 1)), "00000000-0000-0001-0000-000000000005");
  for (const Id id : {Id(1, 0), Id(5, 1), HashId("ann@example.org"), RandomId()}) {
    EXPECT_EQ(ParseId(FormatId(id)), id) << FormatId(id);
  }
}

TEST(Ids, RandomOnesDiffer) { EXPECT_FALSE(RandomId() == RandomId()); }

TEST(Instants, ReadAndPrint) {
  EXPECT_EQ(*ParseInstant("2010-12-01"), 1'291'161'600'000'000);
  EXPECT_EQ(*ParseInstant("2010-12-01 08:26"), 1'291'191'960'000'000);
  EXPECT_EQ(*ParseInstant("2010-12-01 08:26:05"), 1'291'191'965'000'000);
  EXPECT_EQ(*ParseInstant("2010-12-01T08:26:05.000001+01:00"), 1'291'188'365'000'001);
  EXPECT_EQ(FormatInstant(1'291'188'365'000'001), "2010-12-01T07:26:05.000001Z");
  EXPECT_EQ(FormatInstant(-1), "1969-12-31T23:59:59.999999Z");
}

TEST(Instants, RefuseWhatIsNoTime) {
  for (const char* text :
       {"", "now", "infinite-future", "2010-13-01", "2010-12-01 24:61", "1970-01-01", "10000-01-01",
        "2010-12-01T08:26:05", "+010-12-01", "2010-12-01 08:26x"}) {
    EXPECT_FALSE(ParseInstant(text).ok()) << text;
  }
}

TEST(Money, IsExactAndRoundsHalfAwayFromZero) {
  const auto units = [](const char* a, const char* b, int digits) {
    return ProductInUnits(*ParseDecimal(a), *ParseDecimal(b), digits);
  };
  EXPECT_EQ(units("6", "2.55", 2), 1530);
  EXPECT_EQ(units("0.5", "0.01", 2), 1);
  EXPECT_EQ(units("-0.5", "0.01", 2), -1);
  EXPECT_EQ(units("0.49", "0.01", 2), 0);
  EXPECT_EQ(units("3", "0.335", 2), 101);
  EXPECT_EQ(units("1", "125", 0), 125);
  EXPECT_EQ(units("1", "1.2345", 3), 1235);
  EXPECT_EQ(units("92233720368547758", "1", 2), 9'223'372'036'854'775'800);
  EXPECT_EQ(units("92233720368547759", "1", 2), std::nullopt);
  EXPECT_EQ(units("12345678901234567", "12345678901234567", 4), std::nullopt);
}

TEST(Money, ReadsPlainDecimalsOnly) {
  EXPECT_EQ(ParseDecimal(" +.5 ")->mantissa, 5);
  EXPECT_EQ(ParseDecimal("12.")->mantissa, 12);
  for (const char* text : {"", ".", "-", "1,000", "1e3", "$5", "0x10", "1 2", "--1", "1.2.3",
                           "123456789012345678", "nan"}) {
    EXPECT_EQ(ParseDecimal(text).has_value(), false) << text;
  }
  EXPECT_EQ(CurrencyDigits("USD"), 2);
  EXPECT_EQ(CurrencyDigits("JPY"), 0);
  EXPECT_EQ(CurrencyDigits("KWD"), 3);
}

std::string PageOf(const std::string& name) {
  std::ifstream file(TALLYSTICK_SOURCE_DIR "/docs/" + name);
  EXPECT_TRUE(file.is_open()) << name;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// The cells of a table's row; empty: the line is none.
std::vector<std::string> CellsOf(absl::string_view line) {
  std::vector<std::string> cells;
  if (!absl::ConsumePrefix(&line, "| ") || !absl::ConsumeSuffix(&line, " |")) return cells;
  for (const absl::string_view cell : absl::StrSplit(line, '|')) {
    cells.emplace_back(absl::StripAsciiWhitespace(cell));
  }
  return cells;
}

TEST(Outcomes, EachHasItsNameAndSentenceAndItsRowOnThePage) {
  const std::string page = PageOf("outcomes.md");
  std::vector<std::string> seen;
  for (size_t i = 0; i < kOutcomeCount; ++i) {
    const auto outcome = static_cast<Outcome>(i);
    // The name is the enum's, in lower case with underscores.
    std::string expected;
    for (const char c : std::string(EnumNameOutcome(outcome))) {
      if (c >= 'A' && c <= 'Z' && !expected.empty()) expected.push_back('_');
      expected.push_back(static_cast<char>(std::tolower(c)));
    }
    EXPECT_EQ(OutcomeName(outcome), expected);
    const std::string sentence(OutcomeSentence(outcome));
    EXPECT_TRUE(sentence.ends_with('.')) << sentence;
    EXPECT_EQ(std::count(seen.begin(), seen.end(), sentence), 0) << sentence;
    seen.push_back(sentence);
    const std::string row = absl::StrCat("\n| ", i, " | ", expected, " | ", sentence, " | ");
    const size_t at = page.find(row);
    ASSERT_NE(at, std::string::npos) << "docs/outcomes.md has no row " << row;
    const auto cells = CellsOf(page.substr(at + 1, page.find('\n', at + 1) - at - 1));
    ASSERT_EQ(cells.size(), 5u) << row;
    EXPECT_FALSE(cells[3].empty() || cells[4].empty()) << row;
  }
  EXPECT_EQ(ExplainOutcome(Outcome::BadRequest, Field::Amount).find("amount must be positive"), 0u);
  EXPECT_NE(ExplainOutcome(Outcome::BadRequest, Field::Related).find("receives a transfer"),
            std::string::npos);
  // What a receiver refuses is said of the receiver, each in a sentence of its own.
  seen.clear();
  for (size_t i = 2; i < kOutcomeCount; ++i) {
    const std::string told = ExplainOutcome(static_cast<Outcome>(i), Field::Related);
    EXPECT_EQ(told.find("What was sent came back: the "), 0u) << told;
    EXPECT_NE(told.find("receive"), std::string::npos) << told;
    EXPECT_TRUE(told.ends_with('.')) << told;
    EXPECT_EQ(std::count(seen.begin(), seen.end(), told), 0) << told;
    seen.push_back(told);
  }
  for (int i = 1; i <= static_cast<int>(Field::MAX); ++i) {
    EXPECT_FALSE(FieldName(static_cast<Field>(i)).empty()) << i;
  }
}

// "given by" on the one page are the "outcomes of its own" on the other, for the kinds that have
// some; those of redeem and hold are told together there.
TEST(Outcomes, ArePutDownForTheOperationsThatGiveThem) {
  std::set<std::string> by_outcome;
  for (const absl::string_view line : absl::StrSplit(PageOf("outcomes.md"), '\n')) {
    const auto cells = CellsOf(line);
    if (cells.size() != 5) continue;
    for (const absl::string_view kind : absl::StrSplit(cells[3], ", ")) {
      by_outcome.insert(absl::StrCat(kind, " ", cells[1]));
    }
  }
  std::set<std::string> by_operation;
  for (const absl::string_view line : absl::StrSplit(PageOf("movements.md"), '\n')) {
    const auto cells = CellsOf(line);
    if (cells.size() != 5 || !absl::StartsWith(cells[0], "`")) continue;
    const std::string own = absl::StrReplaceAll(
        cells[4], {{"those of redeem", "frozen, below_minimum, below_step, insufficient_points"}});
    for (const absl::string_view kind : absl::StrSplit(cells[0], ", ")) {
      for (const absl::string_view outcome : absl::StrSplit(own, ", ", absl::SkipEmpty())) {
        const std::string pair = absl::StrCat(kind.substr(1, kind.size() - 2), " ", outcome);
        EXPECT_EQ(by_outcome.count(pair), 1u) << pair << " is missing on docs/outcomes.md";
        by_operation.insert(pair);
      }
    }
  }
  EXPECT_GT(by_operation.size(), 40u);
  for (const std::string& pair : by_outcome) {
    const std::string kind = pair.substr(0, pair.find(' '));
    if (kind == "tick" || pair.find(' ', kind.size() + 1) != std::string::npos) continue;
    if (kind == "all" || kind == "none" || kind == "links" || kind == "when") continue;
    EXPECT_EQ(by_operation.count(pair), 1u) << pair << " is missing on docs/movements.md";
  }
}

}  // namespace
}  // namespace tallystick
