#include "api/csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

namespace tallystick {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Row {
  int64_t line;
  std::vector<std::string> fields;
  CsvFault fault;
  bool ends_with_newline;
};

std::vector<Row> ReadAll(const std::string& text) {
  std::istringstream in(text);
  CsvReader reader(in);
  std::vector<Row> rows;
  CsvRow row;
  while (reader.Next(&row)) {
    std::vector<std::string> fields(row.fields.begin(), row.fields.end());
    rows.push_back({row.line, fields, row.fault, row.ends_with_newline});
  }
  EXPECT_EQ(reader.bytes_read(), static_cast<int64_t>(text.size()));
  return rows;
}

TEST(Csv, PlainRows) {
  const auto rows = ReadAll("a,b\n1,2\n3,4\n");
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_THAT(rows[1].fields, ElementsAre("1", "2"));
  EXPECT_EQ(rows[2].line, 3);
  EXPECT_TRUE(rows[2].ends_with_newline);
}

TEST(Csv, EmptyFileHasNoRows) { EXPECT_THAT(ReadAll(""), IsEmpty()); }

TEST(Csv, ByteOrderMarkAloneIsAnEmptyFile) { EXPECT_THAT(ReadAll("\xef\xbb\xbf"), IsEmpty()); }

TEST(Csv, ByteOrderMarkIsLeftOut) {
  const auto rows = ReadAll("\xef\xbb\xbf\"a\",b\r\n");
  EXPECT_THAT(rows[0].fields, ElementsAre("a", "b"));
}

TEST(Csv, QuotedCommasNewlinesAndQuotes) {
  const auto rows = ReadAll("\"a,b\",\"two\r\nlines\",\"say \"\"hi\"\"\"\nx,y,z\n");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_THAT(rows[0].fields, ElementsAre("a,b", "two\r\nlines", "say \"hi\""));
  EXPECT_EQ(rows[1].line, 3) << "line numbers are physical lines";
}

TEST(Csv, EmptyFieldsCount) {
  EXPECT_THAT(ReadAll(",\n")[0].fields, ElementsAre("", ""));
  EXPECT_THAT(ReadAll("\"\"\n")[0].fields, ElementsAre(""));
  EXPECT_THAT(ReadAll("a,,\"\"\r\n")[0].fields, ElementsAre("a", "", ""));
}

TEST(Csv, BlankLinesHaveNoFields) {
  const auto rows = ReadAll("a\n\n\r\nb");
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_THAT(rows[1].fields, IsEmpty());
  EXPECT_THAT(rows[2].fields, IsEmpty());
  EXPECT_THAT(rows[3].fields, ElementsAre("b"));
  EXPECT_EQ(rows[3].line, 4);
  EXPECT_FALSE(rows[3].ends_with_newline);
}

TEST(Csv, StrayQuotesAreLiteral) {
  const auto rows = ReadAll("5\" pipe,\"a\"b\"c,d\n");
  EXPECT_THAT(rows[0].fields, ElementsAre("5\" pipe", "ab\"c", "d"));
}

TEST(Csv, BytesPassThrough) {
  const std::string row("caf\xe9,a\0b,\xff\xfe\n", 12);
  EXPECT_THAT(ReadAll(row)[0].fields, ElementsAre("caf\xe9", std::string("a\0b", 3), "\xff\xfe"));
}

TEST(Csv, UnclosedQuoteGivesUpItsLineOnly) {
  const auto rows = ReadAll("1,2\n3,\"4\n5,6\n7,8\n");
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[1].fault, CsvFault::kUnclosedQuote);
  EXPECT_EQ(rows[1].line, 2);
  EXPECT_TRUE(rows[1].ends_with_newline);
  EXPECT_THAT(rows[2].fields, ElementsAre("5", "6"));
  EXPECT_EQ(rows[2].line, 3);
  EXPECT_THAT(rows[3].fields, ElementsAre("7", "8"));
}

TEST(Csv, UnclosedQuoteInTheLastLine) {
  const auto rows = ReadAll("1,2\n3,\"4");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].fault, CsvFault::kUnclosedQuote);
  EXPECT_FALSE(rows[1].ends_with_newline);
}

TEST(Csv, UnclosedQuoteBeforeMuchTextIsBounded) {
  std::string text = "1,\"2\n";
  size_t count = 1;
  for (; text.size() < 2 * CsvReader::kMaxRowBytes; ++count) text += "3,4\n";
  const auto rows = ReadAll(text);
  ASSERT_EQ(rows.size(), count);
  EXPECT_EQ(rows[0].fault, CsvFault::kUnclosedQuote);
  EXPECT_THAT(rows.back().fields, ElementsAre("3", "4"));
  EXPECT_EQ(rows.back().line, static_cast<int64_t>(count));
}

TEST(Csv, LineWithoutEndIsLeftOut) {
  const std::string text = std::string(3 * CsvReader::kMaxRowBytes, 'x') + "\n1,2\n";
  const auto rows = ReadAll(text);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].fault, CsvFault::kTooLong);
  EXPECT_THAT(rows[1].fields, ElementsAre("1", "2"));
  EXPECT_EQ(rows[1].line, 2);
}

// Rows that lie across the reader's pieces, at every place.
TEST(Csv, LongFilesReadTheSame) {
  std::string text;
  size_t count = 0;
  for (; text.size() < 3'000'000; ++count) {
    text += std::to_string(count) + ",\"quoted, \"\"" + std::string(count % 97, 'y') + "\"\"\"\r\n";
  }
  const auto rows = ReadAll(text);
  ASSERT_EQ(rows.size(), count);
  for (size_t i = 0; i < count; ++i) {
    ASSERT_THAT(rows[i].fields,
                ElementsAre(std::to_string(i), "quoted, \"" + std::string(i % 97, 'y') + "\""));
    ASSERT_EQ(rows[i].line, static_cast<int64_t>(i + 1));
  }
}

TEST(Csv, WrittenLinesReadBack) {
  const std::string line = CsvLine({"", "a,b", "say \"hi\"", "two\nlines", "plain"});
  EXPECT_EQ(line, ",\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\",plain\n");
  EXPECT_THAT(ReadAll(line)[0].fields, ElementsAre("", "a,b", "say \"hi\"", "two\nlines", "plain"));
}

}  // namespace
}  // namespace tallystick
