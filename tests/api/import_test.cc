#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "api/ids.h"
#include "api/instants.h"
#include "api/orders.h"

namespace tallystick {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

OrderRules Rules() {
  OrderRules rules;
  rules.columns.order = "order";
  rules.columns.member = "member";
  rules.columns.time = "time";
  rules.columns.spend = "amount";
  rules.program = 1;
  rules.time_format = "%Y-%m-%d %H:%M";
  rules.zone = absl::UTCTimeZone();
  rules.return_prefix = "C";
  rules.latest = *ParseInstant("2025-01-01");
  return rules;
}

struct Built {
  absl::Status status;
  std::vector<Order> orders;
  std::vector<std::string> skips;  // "line order: reason"
  std::map<std::string, int64_t> skipped;
  int64_t lines = 0;
  int64_t rounded_lines = 0;
};

Built BuildFrom(OrderRules rules, const std::vector<std::istream*>& files) {
  Built built;
  OrderBuilder builder(std::move(rules), [&built](const Skip& skip) {
    built.skips.push_back(std::to_string(skip.line) + " " + std::string(skip.order) + ": " +
                          std::string(SkipReasonName(skip.reason)));
  });
  for (std::istream* file : files) {
    built.status = builder.AddFile("orders.csv", *file);
    if (!built.status.ok()) return built;
  }
  built.orders = builder.TakeOrders();
  built.lines = builder.lines();
  built.rounded_lines = builder.rounded_lines();
  for (size_t i = 0; i < kSkipReasonCount; ++i) {
    if (builder.skipped()[i] != 0) {
      built.skipped[std::string(SkipReasonName(static_cast<SkipReason>(i)))] = builder.skipped()[i];
    }
  }
  return built;
}

Built BuildText(const OrderRules& rules, const std::string& text) {
  std::istringstream in(text);
  return BuildFrom(rules, {&in});
}

std::string ErrorOf(const std::string& text) {
  return std::string(BuildText(Rules(), text).status.message());
}

std::vector<std::string> Names(const Built& built) {
  std::vector<std::string> names;
  for (const Order& order : built.orders) names.push_back(order.order);
  return names;
}

constexpr char kHeader[] = "order,member,time,amount\n";

TEST(Orders, LinesOfOneOrderAddUpAtTheEarliestTime) {
  const Built built = BuildText(Rules(), std::string(kHeader) +
                                             "A1,7,2024-05-01 10:05,10.50\n"
                                             "B2,8,2024-05-01 10:01,3\n"
                                             "A1,7,2024-05-01 10:00,-0.25\n");
  ASSERT_EQ(built.orders.size(), 2u);
  EXPECT_THAT(Names(built), ElementsAre("A1", "B2")) << "in the order of time";
  const Operation a1 = built.orders[0].ToOperation(1);
  EXPECT_EQ(a1.kind(), Kind::Purchase);
  EXPECT_EQ(a1.amount(), 1025);
  EXPECT_EQ(a1.occurred_at(), *ParseInstant("2024-05-01 10:00"));
  EXPECT_EQ(a1.member(), Id(7, 0));
  EXPECT_EQ(a1.program(), 1);
  EXPECT_EQ(built.orders[0].line, 2) << "where the order begins";
  EXPECT_THAT(built.skips, IsEmpty());
}

TEST(Orders, OfSeveralMembersAreSeparate) {
  const Built built = BuildText(
      Rules(), std::string(kHeader) + "A1,7,2024-05-01 10:00,1\nA1,8,2024-05-01 10:00,2\n");
  ASSERT_EQ(built.orders.size(), 2u);
  EXPECT_TRUE(built.orders[0].id == built.orders[1].id) << "ids are scoped to members";
  EXPECT_EQ(built.orders[0].sum, 100);
  EXPECT_EQ(built.orders[1].sum, 200);
}

TEST(Orders, PrefixAndNegativeSumsAreReturns) {
  const Built built = BuildText(Rules(), std::string(kHeader) +
                                             "A1,7,2024-05-01 10:00,10\n"
                                             "C2,7,2024-05-02 10:00,-4\n"
                                             "A3,7,2024-05-03 10:00,-5\n"
                                             "C4,7,2024-05-04 10:00,6\n");
  ASSERT_EQ(built.orders.size(), 4u);
  const std::vector<Kind> kinds = {Kind::Purchase, Kind::Return, Kind::Return, Kind::Return};
  const std::vector<int64_t> amounts = {1000, 400, 500, 600};
  for (size_t i = 0; i < kinds.size(); ++i) {
    const Operation operation = built.orders[i].ToOperation(1);
    EXPECT_EQ(operation.kind(), kinds[i]) << i;
    EXPECT_EQ(operation.amount(), amounts[i]) << i;
    EXPECT_TRUE(IsZero(operation.related())) << i;
  }
}

TEST(Orders, ReturnsMayNameTheirPurchase) {
  OrderRules rules = Rules();
  rules.columns.original = "of";
  const Built built = BuildText(rules,
                                "order,member,time,amount,of\n"
                                "A1,7,2024-05-01 10:00,10,\nC2,7,2024-05-02 10:00,-4,A1\n"
                                "C3,7,2024-05-03 10:00,-4,\n");
  ASSERT_EQ(built.orders.size(), 3u);
  EXPECT_TRUE(built.orders[1].ToOperation(1).related() == built.orders[0].id);
  EXPECT_TRUE(IsZero(built.orders[2].ToOperation(1).related()));
}

TEST(Orders, TransactionIdIsThatOfTheOrdersText) {
  const Built built =
      BuildText(Rules(), std::string(kHeader) +
                             " A1 ,7,2024-05-01 10:00,10\n"
                             "536365,7,2024-05-01 10:00,10\n"
                             "01234567-89ab-CDEF-0123-456789abcdef,7,2024-05-01 10:00,10\n"
                             "01234567-89AB-cdef-0123-456789abcdef,7,2024-05-01 10:00,10\n"
                             "0,7,2024-05-01 10:00,10\n");
  ASSERT_EQ(built.orders.size(), 3u);
  EXPECT_TRUE(built.orders[0].id == HashId("A1"));
  EXPECT_TRUE(built.orders[1].id == Id(536365, 0));
  EXPECT_TRUE(built.orders[2].id == Id(0x0123456789abcdef, 0x0123456789abcdef));
  EXPECT_EQ(built.orders[2].sum, 2000) << "two ways to write one id";
  EXPECT_THAT(built.skips, ElementsAre("6 0: no order"));
}

TEST(Orders, RowIdFollowsTheDocumentedEncoding) {
  OrderRules rules = Rules();
  rules.columns.order = "";
  const Built built = BuildText(rules, "member,time,amount\n7,2024-05-01 10:00,1\n");
  ASSERT_EQ(built.orders.size(), 1u);
  const std::string encoded(
      "row\0\1\0\7\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
      "\1\0\0\0"
      "7"
      "\20\0\0\0"
      "2024-05-01 10:00"
      "\1\0\0\0"
      "1"
      "\0\0\0\0\0\0\0\0",
      4 + 2 + 16 + 4 + 1 + 4 + 16 + 4 + 1 + 8);
  EXPECT_TRUE(built.orders[0].id == HashId(encoded));
}

TEST(Orders, WithoutAnOrderColumnEveryRowIsOne) {
  OrderRules rules = Rules();
  rules.columns.order = "";
  const std::string text =
      "member,time,amount\n7,2024-05-01 10:00,10\n7,2024-05-01 10:00,10\n7,2024-05-01 10:00,-3\n";
  const Built built = BuildText(rules, text);
  ASSERT_EQ(built.orders.size(), 3u);
  EXPECT_FALSE(built.orders[0].id == built.orders[1].id) << "the same row twice is two";
  EXPECT_TRUE(built.orders[2].is_return);
  const Built again = BuildText(rules, text + "7,2024-05-01 10:00,10\n");
  ASSERT_EQ(again.orders.size(), 4u);
  EXPECT_TRUE(again.orders[1].id == built.orders[1].id)
      << "a longer file has the same ids, and one more";
}

TEST(Orders, FilesMergeInTheOrderOfTime) {
  std::istringstream late(std::string(kHeader) +
                          "A2,7,2024-06-01 10:00,1\nA4,7,2024-06-03 10:00,1\n");
  std::istringstream early(
      "amount,time,member,order\n1,2024-05-01 10:00,7,A1\n1,2024-06-01 10:00,7,A3\n");
  const Built built = BuildFrom(Rules(), {&late, &early});
  EXPECT_THAT(Names(built), ElementsAre("A1", "A2", "A3", "A4"));
  EXPECT_EQ(built.orders[0].file, 1u);
}

TEST(Orders, ReturnsComeBehindPurchasesOfTheSameTime) {
  const Built built = BuildText(Rules(), std::string(kHeader) +
                                             "C2,7,2024-05-01 10:00,-4\n"
                                             "A1,7,2024-05-01 10:00,10\n"
                                             "A3,7,2024-05-01 09:00,10\n");
  EXPECT_THAT(Names(built), ElementsAre("A3", "A1", "C2"));
}

TEST(Orders, ReturnsComeBehindTheOrderThatTheyName) {
  OrderRules rules = Rules();
  rules.columns.original = "of";
  const Built built = BuildText(rules,
                                "order,member,time,amount,of\n"
                                "C2,7,2024-05-01 10:00,-4,A1\n"
                                "C3,8,2024-05-01 10:00,-4,A1\n"  // of a member who has no A1
                                "A1,7,2024-05-09 10:00,10,\n"
                                "A4,7,2024-05-08 10:00,10,C2\n"  // no return
                                "C5,7,2024-05-10 10:00,-1,A1\n");
  EXPECT_THAT(Names(built), ElementsAre("C3", "A4", "A1", "C2", "C5"));
  EXPECT_EQ(built.orders[3].time, *ParseInstant("2024-05-01 10:00")) << "its own time stays";
}

TEST(Orders, WhatIsLeftOutHasItsReason) {
  const Built built = BuildText(Rules(), std::string(kHeader) +
                                             "A01,,2024-05-01 10:00,1\n"                   // 2
                                             "A02,0,2024-05-01 10:00,1\n"                  // 3
                                             ",7,2024-05-01 10:00,1\n"                     // 4
                                             "A03,7,01/05/2024,1\n"                        // 5
                                             "A04,7,2025-06-01 10:00,1\n"                  // 6
                                             "A05,7,2024-05-01 10:00,one\n"                // 7
                                             "A06,7,2024-05-01 10:00\n"                    // 8
                                             "A07,7,2024-05-01 10:00,1,2\n"                // 9
                                             "\n"                                          // 10
                                             "A08,caf\xe9,2024-05-01 10:00,1\n"            // 11
                                             "A09,7,2024-05-01 10:00,99999999999999999\n"  // 12
                                             "A10,7,2024-05-01 10:00,1\n"                  // 13
                                             "A10,7,2024-05-01 10:00,-1\n"                 // 14
                                             "A11,\"7,2024-05-01 10:00,1\n"                // 15
                                             "A12,7,2024-05-01 10:00,1\n"                  // 16
                                             "A13,7,1969-05-01 10:00,1\n"                  // 17
                                             "A14,7,infinite-future,1\n"                   // 18
                                             "A15,7,2024-0");                              // 19
  EXPECT_TRUE(built.status.ok()) << built.status;
  EXPECT_THAT(Names(built), ElementsAre("A12"));
  EXPECT_EQ(built.lines, 18);
  EXPECT_THAT(
      built.skips,
      ElementsAre("2 A01: no member", "3 A02: no member", "4 : no order", "5 A03: bad time",
                  "6 A04: time in the future", "7 A05: bad amount", "8 A06: wrong number of fields",
                  "9 A07: wrong number of fields", "10 : blank line", "11 A08: not UTF-8",
                  "12 A09: amount too large", "15 : unclosed quote", "17 A13: bad time",
                  "18 A14: bad time", "19 A15: cut line", "13 A10: zero amount"));
}

TEST(Orders, NulBytesMatterInUsedColumnsOnly) {
  OrderRules rules = Rules();
  const std::string nul(1, '\0');
  const std::string text = "order,note,member,time,amount\nA1," + nul +
                           "\xff,7,2024-05-01 10:00,1\nA2,,7" + nul + ",2024-05-01 10:00,1\n";
  const Built built = BuildText(rules, text);
  EXPECT_THAT(Names(built), ElementsAre("A1"));
  EXPECT_THAT(built.skips, ElementsAre("3 A2: NUL byte"));
}

TEST(Orders, QuantityTimesPriceIsRoundedByLine) {
  OrderRules rules = Rules();
  rules.columns.spend = "";
  rules.columns.quantity = "qty";
  rules.columns.unit_price = "price";
  const Built built = BuildText(rules,
                                "order,member,time,qty,price\n"
                                "A1,7,2024-05-01 10:00,3,0.335\n"
                                "A1,7,2024-05-01 10:00,0.5,0.01\n"
                                "A1,7,2024-05-01 10:00,x,1\n"
                                "A1,7,2024-05-01 10:00,1,\"1,000\"\n");
  ASSERT_EQ(built.orders.size(), 1u);
  EXPECT_EQ(built.orders[0].sum, 102);
  EXPECT_EQ(built.rounded_lines, 2);
  EXPECT_THAT(built.skips, ElementsAre("4 A1: bad quantity", "5 A1: bad price"));
  rules.currency_digits = 0;
  EXPECT_EQ(
      BuildText(rules, "order,member,time,qty,price\nA1,7,2024-05-01 10:00,2,250\n").orders[0].sum,
      500);
}

TEST(Orders, LinesThatAreRoundedAreCounted) {
  const Built built = BuildText(Rules(), std::string(kHeader) +
                                             "A1,7,2024-05-01 10:00,12.505\n"
                                             "A2,7,2024-05-01 10:00,12.500\n"
                                             "A3,7,2024-05-01 10:00,-0.001\n");
  ASSERT_EQ(built.orders.size(), 2u);
  EXPECT_EQ(built.orders[0].sum, 1251);
  EXPECT_EQ(built.orders[1].sum, 1250);
  EXPECT_EQ(built.rounded_lines, 2) << "A3, which rounds to nothing, as well";
}

TEST(Orders, TimesAreInTheGivenZone) {
  OrderRules rules = Rules();
  ASSERT_TRUE(absl::LoadTimeZone("America/New_York", &rules.zone));
  const Built built = BuildText(rules, std::string(kHeader) + "A1,7,2024-05-01 10:00,1\n");
  EXPECT_EQ(built.orders[0].time, *ParseInstant("2024-05-01 14:00"));
}

// 2024-03-31 01:00 to 02:00 does not exist in London, 2024-10-27 01:00 to 02:00 exists twice.
TEST(Orders, TimesInAGapAreTheFirstInstantAfterIt) {
  OrderRules rules = Rules();
  ASSERT_TRUE(absl::LoadTimeZone("Europe/London", &rules.zone));
  rules.time_format = "%Y-%m-%d %H:%M:%E*S";
  Built built = BuildText(rules, std::string(kHeader) +
                                     "A1,7,2024-03-31 00:59:59.5,1\n"
                                     "A2,7,2024-03-31 01:30:00.5,1\n"
                                     "A3,7,2024-03-31 02:00:00,1\n"
                                     "A4,7,2024-10-27 01:30:00.5,1\n");
  ASSERT_EQ(built.orders.size(), 4u);
  EXPECT_EQ(built.orders[0].time, *ParseInstant("2024-03-31T00:59:59.5Z"));
  EXPECT_EQ(built.orders[1].time, *ParseInstant("2024-03-31T01:00:00Z"));
  EXPECT_EQ(built.orders[2].time, *ParseInstant("2024-03-31T01:00:00Z"));
  EXPECT_EQ(built.orders[3].time, *ParseInstant("2024-10-27T00:30:00.5Z"));
  rules.time_format = "%Y-%m-%d %H:%M:%S%Ez";
  built = BuildText(rules, std::string(kHeader) +
                               "A1,7,2024-03-31 01:30:00Z,1\n"
                               "A2,7,2024-03-31 01:30:00-02:00,1\n");
  ASSERT_EQ(built.orders.size(), 2u);
  EXPECT_EQ(built.orders[0].time, *ParseInstant("2024-03-31T01:30:00Z"));
  EXPECT_EQ(built.orders[1].time, *ParseInstant("2024-03-31T03:30:00Z"));
}

TEST(Orders, FilesThatAreNotWhatTheyShouldBe) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("orders.csv is empty"));
  EXPECT_THAT(ErrorOf("\n"), HasSubstr("orders.csv:1: the names of the columns were expected"));
  EXPECT_EQ(
      ErrorOf("order,customer,time,amount\n"),
      "orders.csv:1: there is no column \"member\"; the columns are order, customer, time, amount");
  EXPECT_THAT(ErrorOf("order;member;time;amount\n"),
              HasSubstr("must be separated by commas, and semicolons are here"));
  EXPECT_THAT(ErrorOf("order\tmember\ttime\tamount\n"),
              HasSubstr("must be separated by commas, and tabs are here"));
  EXPECT_THAT(ErrorOf("order,member,time,amount,member\n"), HasSubstr("two columns \"member\""));
  EXPECT_THAT(ErrorOf(std::string("\xff\xfeo\0r\0", 6)), HasSubstr("is UTF-16"));
  EXPECT_THAT(ErrorOf("order,member\rA1,7\r"), HasSubstr("CR alone"));
  EXPECT_THAT(ErrorOf("\"order,member\nA1,7\n"),
              HasSubstr("the names of the columns were expected"));
}

TEST(Orders, HeaderMayHaveByteOrderMarkQuotesAndSpaces) {
  const Built built = BuildText(
      Rules(), "\xef\xbb\xbf\"order\", member ,time,amount\r\nA1,7,2024-05-01 10:00,1\r\n");
  EXPECT_TRUE(built.status.ok()) << built.status;
  EXPECT_EQ(built.orders.size(), 1u);
}

// The literals were counted by another program (Python's csv and decimal modules).
TEST(Orders, OnlineRetailOfDecember2010) {
  std::ifstream in(TALLYSTICK_SOURCE_DIR "/../shared/data/online_retail_2010-12.csv",
                   std::ios::binary);
  if (!in) GTEST_SKIP() << "the Online Retail sample is not beside this source tree";
  OrderRules rules = Rules();
  rules.columns.order = "InvoiceNo";
  rules.columns.member = "CustomerID";
  rules.columns.time = "InvoiceDate";
  rules.columns.spend = "";
  rules.columns.quantity = "Quantity";
  rules.columns.unit_price = "UnitPrice";
  rules.time_format = "%d/%m/%Y %H:%M";
  ASSERT_TRUE(absl::LoadTimeZone("Europe/London", &rules.zone));
  const Built built = BuildFrom(rules, {&in});
  ASSERT_TRUE(built.status.ok()) << built.status;
  EXPECT_EQ(built.lines, 39'530);
  EXPECT_THAT(built.skipped, ElementsAre(Pair("cut line", 1), Pair("no member", 13'766)));
  EXPECT_EQ(built.skips.back(), "39531 539650: cut line");

  int64_t purchases = 0, returns = 0, bought = 0, returned = 0;
  std::set<std::string> members;
  for (const Order& order : built.orders) {
    (order.is_return ? returns : purchases) += 1;
    (order.is_return ? returned : bought) += order.sum;
    members.insert(FormatId(order.member));
  }
  EXPECT_EQ(purchases, 1'340);
  EXPECT_EQ(returns, 283);
  EXPECT_EQ(bought, 54'387'924);
  EXPECT_EQ(returned, -1'752'927);
  EXPECT_EQ(members.size(), 922u);
  EXPECT_EQ(built.orders.front().order, "536365");
  EXPECT_EQ(built.orders.front().sum, 13'912);
  EXPECT_EQ(built.orders.front().time, *ParseInstant("2010-12-01 08:26"));
}

}  // namespace
}  // namespace tallystick
