// Dry runs, what is owed, schedules and the roll-forward through tally and tallyd.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/api/served_commands.h"

namespace tallystick {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Words = std::vector<std::string>;

// On the import clock, so that days are those of the examples; a point for each unit of money.
class OwedCommands : public Commands {
 protected:
  void Begin() {
    StartWithProgram({"--clock", "import"}, {{"time_zone", "America/New_York"},
                                             {"earn", {{"points", 1}, {"per_spend", 1}}},
                                             {"pending", {{"days", 0}}},
                                             {"expiry", {{"months", 12}, {"round_up_to", "month"}}},
                                             {"debt_floor", 1000},
                                             {"unknown_original", "newest"}});
  }
  Ran At(const std::string& day, Words command) const {
    command.insert(command.end(), {"--program", "1", "--at", day});
    return Run(std::move(command));
  }
  void Do(const std::string& day, const Words& command) const {
    const Ran ran = At(day, command);
    EXPECT_EQ(ran.status, 0) << command[0] << ": " << ran.errors;
  }
  json AskJson(Words command, int status = 0) const {
    command.insert(command.end(), {"--program", "1", "--json"});
    const Ran ran = Run(std::move(command));
    EXPECT_EQ(ran.status, status) << ran.errors;
    return json::parse(ran.output, nullptr, /*allow_exceptions=*/false);
  }
  // Without positions: a log that goes idle has blocks without records.
  json Totals() const {
    json totals = AskJson({"totals"});
    totals.erase("position");
    for (json& shard : totals["shards"]) shard.erase("position");
    return totals;
  }
  // Tries it, and does it: both say the same.
  void TryAndDo(const std::string& day, Words command) const {
    SCOPED_TRACE(command[0]);
    const json before = Totals();
    command.insert(command.end(), {"--program", "1", "--at", day, "--id", command[0] + "-1"});
    command.back() = std::to_string(1'000 + last_id_++);
    Words dry = command;
    dry.push_back("--dry-run");
    const Ran text = Run(dry);
    EXPECT_EQ(text.status, 0) << text.errors;
    EXPECT_THAT(text.output, AllOf(HasSubstr("nothing was recorded."), HasSubstr("Would be done"),
                                   HasSubstr("After it: "), Not(HasSubstr("To repeat"))));
    dry.push_back("--json");
    json would = json::parse(Run(dry).output, nullptr, false);
    EXPECT_EQ(Totals(), before);
    EXPECT_TRUE(would["dry_run"].get<bool>());
    EXPECT_FALSE(would["recorded"].get<bool>());
    EXPECT_TRUE(would["position"].is_null());
    command.push_back("--json");
    json done = json::parse(Run(command).output, nullptr, false);
    EXPECT_GT(done["position"].get<int64_t>(), 0);
    done["position"] = nullptr;
    const json after = would["after"];
    for (const char* more :
         {"dry_run", "recorded", "time", "lot", "settled", "settled_count", "after"}) {
      would.erase(more);
    }
    EXPECT_EQ(would, done);
    const json balance = AskJson({"balance", "1"});
    for (const char* part : {"pending", "available", "held", "debt", "status"}) {
      EXPECT_EQ(after[part], balance[part]) << part;
    }
  }

  mutable int last_id_ = 0;
};

TEST_F(OwedCommands, EveryVerbIsTriedWithoutARecord) {
  Begin();
  TryAndDo("2024-01-01", {"enrol", "1"});
  TryAndDo("2024-01-01", {"accrue", "1", "100"});
  TryAndDo("2024-01-02", {"purchase", "1", "200"});                      // 1002
  TryAndDo("2024-01-02", {"redeem", "1", "40"});                         // 1003
  TryAndDo("2024-01-03", {"hold", "1", "50", "--until", "2024-01-20"});  // 1004
  TryAndDo("2024-01-04", {"capture", "1", "20", "--hold", "1004"});
  TryAndDo("2024-01-05", {"reverse", "1", "10", "--redemption", "1003"});
  TryAndDo("2024-01-05", {"hold", "1", "5"});  // 1007
  TryAndDo("2024-01-05", {"release", "1", "--hold", "1007"});
  TryAndDo("2024-01-06", {"return", "1", "30", "--original", "1002"});
  TryAndDo("2024-01-06", {"adjust", "1", "-7", "--reason", "3"});
  TryAndDo("2024-01-07", {"extend", "1", "--to", "2026-01-01"});
  TryAndDo("2024-01-07", {"freeze", "1"});
  TryAndDo("2024-01-07", {"unfreeze", "1"});
  TryAndDo("2024-01-08", {"close", "1", "--expire-rest"});
}

TEST_F(OwedCommands, WhatWouldBeRefusedSaysWhy) {
  Begin();
  Do("2024-01-01", {"accrue", "1", "10"});
  const Ran ran = At("2024-01-01", {"redeem", "1", "11", "--dry-run"});
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.output, HasSubstr("nothing was recorded."));
  EXPECT_THAT(ran.errors, AllOf(HasSubstr("10 points are available"),
                                HasSubstr("refused, insufficient_points")));
  const json refused =
      AskJson({"redeem", "1", "11", "--dry-run", "--at", "2024-01-01"}, /*status=*/1);
  EXPECT_EQ(refused["outcome"], "insufficient_points");
  EXPECT_EQ(refused["after"]["available"], 10);
  // What was done before is told as that.
  Do("2024-01-01", {"accrue", "1", "5", "--id", "77"});
  const Ran again = At("2024-01-01", {"accrue", "1", "5", "--id", "77", "--dry-run"});
  EXPECT_EQ(again.status, 0);
  EXPECT_THAT(again.output, HasSubstr("Was done before, and would not be done again"));
}

TEST_F(OwedCommands, WhatIsOwedIsToldServedAndOffline) {
  Begin();
  Do("2024-01-15", {"accrue", "1", "100"});  // good through January 2025
  Do("2024-02-10", {"accrue", "2", "70"});   // February 2025
  Do("2024-02-10", {"accrue", "2", "7", "--expires", "9000-01-01"});
  Do("2024-02-11", {"redeem", "1", "30"});
  Do("2024-02-11", {"hold", "2", "20", "--until", "2024-03-01"});
  Do("2024-02-12", {"enrol", "3"});
  Do("2024-02-12", {"return", "3", "9"});  // a debt
  Do("2024-02-12", {"accrue", "4", "5"});
  Do("2024-02-12", {"close", "4", "--expire-rest"});
  const json owed = AskJson({"owed"});
  EXPECT_EQ(owed["months"], json::parse(R"([
      {"month": "2025-01", "pending": 0, "available": 70, "held": 0, "points": 70},
      {"month": "2025-02", "pending": 0, "available": 50, "held": 20, "points": 70}])"));
  EXPECT_EQ(owed["later"]["points"], 7);
  EXPECT_EQ(owed["never"]["points"], 0);
  EXPECT_EQ(owed["outstanding"], AskJson({"totals"})["outstanding"]);
  EXPECT_EQ(owed["owed"], 70 + 70 + 7 - 9);
  EXPECT_EQ(owed["expired"],
            json::parse(R"({"in_all": 5, "by_date": 0, "forfeited": 0, "closed_out": 5})"));
  EXPECT_TRUE(owed["equal"].get<bool>());
  const Ran text = Run({"owed", "--program", "1"});
  EXPECT_THAT(text.output, AllOf(HasSubstr("2025-02 "), HasSubstr("3000 on"),
                                 HasSubstr("The sums are the totals.")));

  // Of the first of February 2025, New York, what January had is gone.
  const json later = AskJson({"owed", "--as-of", "2025-02-01T05:00:00Z"});
  EXPECT_EQ(later["months"].size(), 1u);
  EXPECT_EQ(later["months"][0]["available"], 70);
  EXPECT_EQ(later["expired"]["by_date"], 70);
  EXPECT_EQ(AskJson({"owed", "--as-of", "2025-02-01T04:59:59Z"})["months"].size(), 2u);
  EXPECT_THAT(Run({"owed", "--program", "1", "--as-of", "2024-01-01"}).errors,
              HasSubstr("--as-of 2024-01-01 is past"));
  EXPECT_THAT(Run({"owed", "--program", "1", "--to", "10"}).errors,
              HasSubstr("name the ledger's directory"));
  EXPECT_THAT(Run({"owed", "--program", "9"}).errors, HasSubstr("unknown_program"));
  EXPECT_THAT(Run({"owed", Path("ledger"), "--program", "1"}).errors, HasSubstr("is in use"));

  Stop();
  json offline = AskJson({"owed", Path("ledger")});
  for (const char* field : {"months", "later", "never", "outstanding", "expired", "members"}) {
    EXPECT_EQ(offline[field], owed[field]) << field;
  }
  offline = AskJson({"owed", Path("ledger"), "--to", "2024-02-01"});
  EXPECT_EQ(offline["owed"], 100);
  EXPECT_EQ(offline["as_of"], "2024-02-01T00:00:00.000000Z");
  offline = AskJson({"owed", Path("ledger"), "--to", "2024-02-01", "--as-of", "2026-01-01"});
  EXPECT_EQ(offline["owed"], 0);
  EXPECT_EQ(offline["expired"]["by_date"], 100);
  EXPECT_THAT(Run({"owed", Path("ledger"), "--program", "1", "--as-of", "2024-02-01"}).errors,
              HasSubstr("is past"));
}

TEST_F(OwedCommands, TheScheduleOfAMemberIsWhole) {
  Begin();
  for (int i = 1; i <= 40; ++i) {
    Do("2024-01-01",
       {"accrue", "1", std::to_string(i), "--expires",
        "2025-01-01T00:00:" + std::string(i < 10 ? "0" : "") + std::to_string(i) + "Z"});
  }
  EXPECT_EQ(AskJson({"balance", "1"})["events"].size(), 32u);
  EXPECT_THAT(Run({"balance", "1", "--program", "1"}).output,
              HasSubstr("tally schedule shows all"));
  const json schedule = AskJson({"schedule", "1"});
  ASSERT_EQ(schedule["events"].size(), 40u);
  EXPECT_EQ(schedule["events"][39]["points"], 40);
  EXPECT_THAT(
      Run({"schedule", "1", "--program", "1"}).output,
      AllOf(HasSubstr("40 events"), HasSubstr("00:00:40.000000Z             40 will expire")));
  EXPECT_EQ(AskJson({"schedule", "1", "--as-of", "2025-01-01T00:00:30Z"})["events"].size(), 10u);
}

TEST_F(OwedCommands, TheBooksRollForwardBetweenTwoPoints) {
  Begin();
  Do("2024-01-15", {"accrue", "1", "100"});
  Do("2024-01-20", {"redeem", "1", "10"});
  Do("2024-02-10", {"accrue", "2", "70"});
  Do("2024-02-11", {"close", "2", "--expire-rest"});
  Do("2024-03-11", {"redeem", "1", "30"});
  Stop();
  const auto audit = [&](Words more) {
    more.insert(more.begin(), {"audit", Path("ledger")});
    return Run(std::move(more));
  };
  const Ran february = audit({"--from", "2024-02-01", "--to", "2024-03-01", "--json"});
  ASSERT_EQ(february.status, 0) << february.errors;
  const json program = json::parse(february.output)["programs"][0];
  EXPECT_EQ(program["opening"]["available"], 90);
  EXPECT_EQ(program["opening"]["members"], 1);
  EXPECT_EQ(program["movements"]["issued"], 70);
  EXPECT_EQ(program["movements"]["expired"], 70);
  EXPECT_EQ(program["movements"]["redeemed"], 0);
  EXPECT_EQ(program["closing"]["available"], 90);
  EXPECT_EQ(program["expired"],
            json::parse(R"({"in_all": 70, "by_date": 0, "forfeited": 0, "closed_out": 70})"));
  EXPECT_EQ(program["days"].size(), 2u);
  const Ran text = audit({"--from", "2024-02-01"});
  EXPECT_THAT(text.output,
              AllOf(HasSubstr("opening"), HasSubstr("- redeemed                     30"),
                    HasSubstr("= closing"), HasSubstr("every line adds up")));
  EXPECT_THAT(audit({"--from", "2024-03-01", "--to", "2024-02-01"}).errors,
              HasSubstr("behind the one to end with"));
  EXPECT_THAT(audit({"--from", "99999"}).errors, HasSubstr("no shard's log has a position 99999"));
  EXPECT_EQ(audit({"--from", "2024-03-01", "--since", "2024-02-01"}).status, 2);
}

}  // namespace
}  // namespace tallystick
