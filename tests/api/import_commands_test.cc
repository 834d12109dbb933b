// tally import as a process, with a tallyd of its own.

#include "tests/api/served_commands.h"

namespace tallystick {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Imports : public Commands {
 protected:
  Ran Import(std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"import", Path("orders.csv"), "--program", "1", "--order", "order",
                               "--member", "member", "--time", "time", "--time-format", "%Y-%m-%d",
                               "--spend", "amount", "--return-prefix", "C"});
    return Run(more);
  }
  // Without positions, which count blocks that say only what is durable.
  std::string Totals() const {
    auto totals = nlohmann::json::parse(Run({"totals", "--program", "1", "--json"}).output);
    totals.erase("position");
    totals.erase("shards");
    return totals.dump();
  }
};

TEST_F(Imports, TwiceIsAsOnce) {
  StartWithProgram({"--clock", "import", "--shards", "2"}, {{"unknown_original", "refuse"}});
  Write("orders.csv",
        "order,member,time,amount,of\n"
        "C1,7,2024-05-02,-40,A1\n"  // of the same time, and told first
        "A1,7,2024-05-02,90,\n"
        "C2,7,2024-05-01,-10,A2\n"  // before its purchase
        "A2,7,2024-05-03,50,\n"
        "C3,8,2024-05-01,-10,A9\n"  // of no purchase
        "A3,8,2024-05-02,70,\n"
        "C4,8,2024-05-04,-70,A3\n");
  const Ran first = Import({"--original", "of"});
  ASSERT_EQ(first.status, 0) << first.errors;
  EXPECT_THAT(first.output, AllOf(HasSubstr("6 accepted"), HasSubstr("1 refused, unknown_original"),
                                  HasSubstr("1 members enrolled")));
  const std::string totals = Totals();
  const Ran second = Import({"--original", "of"});
  EXPECT_THAT(second.output, AllOf(HasSubstr("0 accepted"), HasSubstr("6 replayed"),
                                   HasSubstr("1 refused, unknown_original")));
  EXPECT_EQ(Totals(), totals);
}

TEST_F(Imports, OrdersCanBeReturnedByTheirNumber) {
  StartWithProgram({"--clock", "import"}, {{"unknown_original", "refuse"}});
  Write("orders.csv", "order,member,time,amount\n536365,7,2024-05-02,90\n");
  ASSERT_EQ(Import().status, 0);
  const Ran ran =
      Run({"return", "7", "9000", "--program", "1", "--original", "536365", "--at", "2024-05-03"});
  EXPECT_EQ(ran.status, 0) << ran.errors;
  EXPECT_THAT(ran.output, HasSubstr(": -9 points; available 0, pending 0."));
}

TEST_F(Imports, OrdersBeyondTheRetentionAreReplayedAndFound) {
  StartWithProgram({"--clock", "import"}, {{"retention_days", 1}});
  Write("orders.csv",
        "order,member,time,amount\n"
        "A1,7,2024-05-02,90\n"
        "A2,7,2024-06-02,50\n"
        "A3,8,2024-07-02,70\n");
  ASSERT_EQ(Import().status, 0);
  const std::string totals = Totals();
  const Ran second = Import();
  EXPECT_EQ(second.status, 0) << second.errors;
  EXPECT_THAT(second.output, AllOf(HasSubstr("0 accepted"), HasSubstr("3 replayed")));
  EXPECT_EQ(Totals(), totals);

  const std::vector<std::string> of_seven = {"--member", "7", "--program", "1"};
  const auto find = [&](const std::string& id, const std::string& more = "") {
    std::vector<std::string> words = {"transaction", id};
    words.insert(words.end(), of_seven.begin(), of_seven.end());
    if (!more.empty()) words.push_back(more);
    return Run(words);
  };
  const auto json = nlohmann::json::parse(find("A1", "--json").output);
  EXPECT_EQ(json["kind"], "purchase");
  EXPECT_EQ(json["amount"], 9000);
  EXPECT_EQ(json["occurred_at"], "2024-05-02T04:00:00.000000Z");
  EXPECT_TRUE(json.contains("time"));
  EXPECT_THAT(find("A2").output, AllOf(HasSubstr("purchase"), HasSubstr("amount       5000\n")));
  // Another member's, and nobody's.
  for (const char* id : {"A3", "A9"}) {
    const Ran ran = find(id);
    EXPECT_EQ(ran.status, 1);
    EXPECT_EQ(ran.errors, "tally: member 7 has no transaction " + std::string(id) +
                              " in program 1, or none that is kept\n");
  }
}

TEST_F(Imports, OfWhichNothingWasAcceptedFail) {
  StartWithProgram({"--clock", "import"}, {{"unknown_original", "refuse"}});
  Write("orders.csv", "order,member,time,amount\nA1,7,02.05.2024,90\n");
  Ran ran = Import();
  EXPECT_EQ(ran.status, 1);
  EXPECT_EQ(ran.errors,
            "tally: not one order was accepted: the counts say why, and --rejects FILE lists the "
            "lines\n");
  Write("orders.csv", "order,member,time,amount\nC1,7,2024-05-02,90\n");
  ran = Import({"--rejects", Path("rejects.csv")});
  EXPECT_EQ(ran.status, 1);
  EXPECT_EQ(ran.errors, "tally: not one order was accepted: the counts say why\n");
  Write("orders.csv", "order,member,time,amount\n");
  EXPECT_EQ(Import().status, 0) << "nothing to do";
}

TEST_F(Imports, SayWhatTheyRounded) {
  StartWithProgram({"--clock", "import"});
  Write("orders.csv",
        "order,member,time,amount\n"
        "A1,7,2024-05-02,12.505\n"
        "A2,7,2024-05-02,12.50\n");
  EXPECT_THAT(Import().output, HasSubstr("1 lines rounded: "));
  EXPECT_EQ(nlohmann::json::parse(Import({"--json"}).output)["rounded_lines"], 1);
}

// A ledger whose time is the present takes no past orders any more, whatever its clock is then.
TEST_F(Imports, OfThePastSayThatTheyNeedANewLedger) {
  Write("orders.csv", "order,member,time,amount\nA1,7,2012-05-02,90\n");
  const auto advises =
      AllOf(HasSubstr("import them into a new ledger: tallyd --create --clock import"),
            Not(HasSubstr("adjustment")));
  StartWithProgram();
  ASSERT_EQ(Run({"accrue", "7", "9", "--program", "1"}).status, 0);
  Ran ran = Import();
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.errors, AllOf(advises, HasSubstr("tally: 1 orders are older than")));
  EXPECT_THAT(ran.output, AllOf(HasSubstr("1 refused, too_old"), Not(HasSubstr("adjustment"))));
  Stop();
  Start({"--clock", "import"});
  ran = Import();
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.errors, AllOf(advises, HasSubstr("log time never goes back")));
}

}  // namespace
}  // namespace tallystick
