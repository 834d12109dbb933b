// Holds, reversals and an account's standing through tally and tallyd: each verb, each outcome of
// its own, and each example of docs/movements.md.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "api/outcomes.h"
#include "tests/api/movements_commands.h"

namespace tallystick {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// ---- the examples of docs/movements.md ----

TEST_F(Movements, RedeemTakesWhatExpiresFirst) {
  Begin();
  Do(kFirst, {"accrue", "7", "30", "--expires", "2024-01-12"});
  Do(kFirst, {"accrue", "7", "30", "--expires", "2024-01-11"});
  Do("2024-01-03", {"redeem", "7", "40"});
  EXPECT_THAT(Lots("7"), ElementsAre("20 until 2024-01-12"));
}

TEST_F(Movements, WhatIsHeldExpiresWhenItComesBack) {
  Begin();
  Do(kFirst, {"accrue", "7", "30", "--expires", "2024-01-11"});
  EXPECT_THAT(Do("2024-01-03", {"hold", "7", "20", "--until", "2024-01-20", "--id", "101"}),
              AllOf(HasSubstr("Done: hold of member 7: +0 points; available 10, pending 0.\n"),
                    HasSubstr("Hold 101: 20 points are held until 2024-01-20T00:00:00.000000Z")));
  json balance = Ask("balance", "7");
  EXPECT_EQ(balance["held"], 20);
  EXPECT_EQ(balance["status"], "active");
  ASSERT_EQ(balance["events"].size(), 3u);
  EXPECT_EQ(balance["events"][1]["kind"], "hold_timeout");
  EXPECT_EQ(balance["events"][1]["points"], 20);
  EXPECT_EQ(balance["events"][1]["at"], "2024-01-20T00:00:00.000000Z");
  EXPECT_THAT(Run({"balance", "7", "--program", "1"}).output,
              AllOf(HasSubstr("20 will come back from a hold"), HasSubstr("status")));
  ASSERT_EQ(Run({"tick", "--to", "2024-01-11"}).status, 0);
  balance = Ask("balance", "7");
  EXPECT_EQ(balance["available"], 0);
  EXPECT_EQ(balance["held"], 20);
  EXPECT_EQ(Totals()["expired"], 10);

  const json lots = Ask("lots", "7");
  ASSERT_EQ(lots["holds"].size(), 1u);
  EXPECT_EQ(lots["holds"][0]["id"], "101");
  EXPECT_EQ(lots["holds"][0]["points"], 20);
  EXPECT_EQ(lots["holds"][0]["lots"][0]["remaining"], 20);
  EXPECT_THAT(Run({"lots", "7", "--program", "1"}).output,
              HasSubstr("Hold 101: 20 points, held until 2024-01-20T00:00:00.000000Z\n"));

  EXPECT_THAT(Do("2024-01-12", {"capture", "7", "5", "--hold", "101"}),
              HasSubstr("Captured 5 points, given back 15.\n"));
  balance = Ask("balance", "7");
  EXPECT_EQ(balance["available"], 0);
  EXPECT_EQ(balance["held"], 0);
  EXPECT_EQ(Totals()["expired"], 25);
  EXPECT_EQ(Totals()["redeemed"], 5);
}

TEST_F(Movements, HoldsCoverTheDebtOfAReturn) {
  Begin({{"debt_floor", 10}});
  for (const std::string member : {"7", "8"}) {
    Do(kFirst, {"purchase", member, "100", "--id", "10" + member});
    Do(kFirst, {"hold", member, "70", "--id", "20" + member, "--until", "2024-01-20"});
    const json returned =
        DoJson("2024-01-02", {"return", member, "100", "--original", "10" + member});
    EXPECT_EQ(returned["points"], -100);
    EXPECT_FALSE(returned["written_off"].get<bool>());
    EXPECT_EQ(Ask("balance", member)["debt"], 70);
  }
  EXPECT_THAT(Do("2024-01-03", {"release", "7", "--hold", "207"}),
              HasSubstr("All that was held was given back.\n"));
  EXPECT_EQ(Ask("balance", "7")["debt"], 0);
  EXPECT_EQ(Ask("balance", "7")["available"], 0);

  const Words capture = {"capture", "8", "50", "--hold", "208", "--id", "308"};
  EXPECT_THAT(Do("2024-01-03", capture),
              AllOf(HasSubstr("-10 points; available -10, "),
                    HasSubstr("Captured 50 points, given back 20. Forgiven 40: more debt than the "
                              "program allows was left.\n")));
  const json again = DoJson("2024-01-03", capture);
  EXPECT_TRUE(again["replayed"].get<bool>());
  EXPECT_EQ(again["captured"], 50);
  EXPECT_EQ(again["given_back"], 20);
  EXPECT_EQ(again["forgiven"], 40);
  EXPECT_EQ(again["related"], "208");
  EXPECT_EQ(Ask("balance", "8")["debt"], 10);
  EXPECT_EQ(Totals()["forgiven"], 40);

  const json newest = Ask("statement", "8")["movements"][0];
  EXPECT_EQ(newest["kind"], "capture");
  EXPECT_EQ(newest["captured"], 50);
  EXPECT_EQ(newest["forgiven"], 40);
  EXPECT_THAT(Run({"statement", "8", "--program", "1"}).output,
              HasSubstr("308 of 208 (captured 50, given back 20, forgiven 40)\n"));
  EXPECT_THAT(Run({"transaction", "308", "--member", "8", "--program", "1"}).output,
              HasSubstr("captured 50, given back 20, forgiven 40\n"));
}

TEST_F(Movements, ReversalsPutBackWhatWasTakenLastFirst) {
  Begin();
  Do(kFirst, {"accrue", "7", "30", "--expires", "2024-01-11"});
  Do(kFirst, {"accrue", "7", "30", "--expires", "2024-01-12"});
  Do("2024-01-03", {"redeem", "7", "40", "--id", "101"});
  const json reversed = DoJson("2024-01-04", {"reverse", "7", "15", "--redemption", "101"});
  EXPECT_EQ(reversed["points"], 15);
  EXPECT_EQ(reversed["reinstated"], 15);
  EXPECT_EQ(reversed["repaid"], 0);
  EXPECT_EQ(reversed["forfeited"], 0);
  EXPECT_THAT(Lots("7"), ElementsAre("5 until 2024-01-11", "30 until 2024-01-12"));
}

TEST_F(Movements, ReversalsOfExpiredLotsRestoreThem) {
  Begin();
  Do(kFirst, {"accrue", "7", "30", "--expires", "2024-01-11"});
  Do("2024-01-03", {"redeem", "7", "30", "--id", "101"});
  EXPECT_THAT(Do("2024-01-12", {"reverse", "7", "10", "--redemption", "101"}),
              HasSubstr("Came back: 10 points.\n"));
  EXPECT_THAT(Lots("7"), ElementsAre("10 until 2024-02-11"));
}

TEST_F(Movements, ReversalsOfExpiredLotsForfeitThemWhereTheProgramSaysSo) {
  Begin({{"reversal", {{"expired", "forfeit"}}}});
  Do(kFirst, {"accrue", "7", "30", "--expires", "2024-01-11"});
  Do("2024-01-03", {"hold", "7", "30", "--id", "100"});
  Do("2024-01-03", {"capture", "7", "--hold", "100", "--id", "101"});
  EXPECT_THAT(Do("2024-01-12", {"reverse", "7", "10", "--redemption", "101"}),
              HasSubstr("Came back: 0 points. Forfeited 10: they had expired meanwhile.\n"));
  EXPECT_EQ(Totals()["forfeited"], 10);
  EXPECT_EQ(Totals()["expired"], 10);
  EXPECT_THAT(Run({"totals", "--program", "1"}).output, HasSubstr("of it 10 forfeited"));
}

TEST_F(Movements, ReversalsRepayWhatAReturnHadWrittenOff) {
  Begin();
  Do(kFirst, {"purchase", "7", "100", "--id", "100"});
  Do("2024-01-02", {"redeem", "7", "80", "--id", "101"});
  EXPECT_THAT(Do("2024-01-03", {"return", "7", "100", "--original", "100"}),
              AllOf(HasSubstr("-20 points"), HasSubstr("\n80 points of what was due written off")));
  EXPECT_THAT(Do("2024-01-04", {"reverse", "7", "50", "--redemption", "101"}),
              HasSubstr("Came back: 0 points. Repaid 50 of what a return had written off.\n"));
  EXPECT_EQ(Ask("balance", "7")["available"], 0);
  EXPECT_EQ(Totals()["written_off"], 30);
}

// ---- the other verbs ----

TEST_F(Movements, HoldsTimeOutByThemselves) {
  Begin();
  Do(kFirst, {"accrue", "7", "30"});
  const json held = DoJson("2024-01-02", {"hold", "7", "20", "--id", "101"});
  EXPECT_EQ(held["times_out_at"], "2024-01-02T00:15:00.000000Z") << "hold.timeout_minutes";
  ASSERT_EQ(Run({"tick", "--to", "2024-01-02 00:15"}).status, 0);
  EXPECT_EQ(Ask("balance", "7")["available"], 30);
  EXPECT_THAT(Do("2024-01-02", {"hold", "7", "20", "--id", "101"}),
              AllOf(HasSubstr("Done before: "), HasSubstr("Hold 101 of 20 points has ended")));
  const json newest = Ask("statement", "7")["movements"][0];
  EXPECT_EQ(newest["kind"], "hold_timeout");
  EXPECT_EQ(newest["amount"], 20);
  EXPECT_THAT(
      Run({"statement", "7", "--program", "1"}).output,
      AllOf(HasSubstr("hold timed out               (20)           30            0  hold of "
                      "position "),
            HasSubstr("held for a sale              (20) ")));
}

TEST_F(Movements, PendingPointsAreActivatedAndCancelled) {
  Begin({{"pending", {{"days", 30}}}});
  Do(kFirst, {"purchase", "7", "100", "--id", "100"});
  Do(kFirst, {"purchase", "7", "50", "--id", "101"});
  const json cancelled = DoJson("2024-01-02", {"cancel", "7", "30", "--purchase", "100"});
  EXPECT_EQ(cancelled["points"], -30);
  EXPECT_EQ(cancelled["pending"], 120);
  EXPECT_THAT(Do("2024-01-02", {"activate", "7", "--purchase", "100"}),
              AllOf(HasSubstr("available 70, pending 50."), HasSubstr("can be used now")));
  EXPECT_THAT(Do("2024-01-02", {"cancel", "7", "--purchase", "101"}),
              HasSubstr("Cancelled 50 pending points of the purchase.\n"));
  EXPECT_EQ(Totals()["clawed_back"], 80);
}

TEST_F(Movements, ExpiryIsExtended) {
  Begin();
  Do(kFirst, {"accrue", "7", "30", "--expires", "2024-01-11"});
  Do(kFirst, {"accrue", "7", "30", "--expires", "2024-03-11"});
  Do(kFirst, {"hold", "7", "10", "--id", "101"});
  EXPECT_THAT(Do(kFirst, {"extend", "7", "--to", "2024-02-01"}),
              HasSubstr("No points of the member expire before 2024-02-01T00:00:00.000000Z.\n"));
  EXPECT_THAT(Lots("7"), ElementsAre("20 until 2024-02-01", "30 until 2024-03-11"));
  EXPECT_EQ(Ask("lots", "7")["holds"][0]["lots"][0]["expires_at"], "2024-02-01T00:00:00.000000Z");
  EXPECT_EQ(Ask("statement", "7")["movements"][0]["expires_at"], "2024-02-01T00:00:00.000000Z");
}

TEST_F(Movements, FrozenMembersEarnAndDoNotSpend) {
  Begin();
  Do(kFirst, {"accrue", "7", "30"});
  Do(kFirst, {"hold", "7", "10", "--id", "101"});
  EXPECT_THAT(Do(kFirst, {"freeze", "7"}), HasSubstr("until tally unfreeze"));
  EXPECT_EQ(Ask("balance", "7")["status"], "frozen");
  ExpectRefused(Outcome::Frozen, kFirst, {"redeem", "7", "10"});
  ExpectRefused(Outcome::Frozen, kFirst, {"hold", "7", "10"});
  Do(kFirst, {"capture", "7", "--hold", "101"});
  Do(kFirst, {"accrue", "7", "5"});
  Do(kFirst, {"unfreeze", "7"});
  EXPECT_EQ(Ask("balance", "7")["status"], "active");
  Do(kFirst, {"redeem", "7", "10"});
}

TEST_F(Movements, AccountsAreClosed) {
  Begin({{"pending", {{"days", 3}}}});
  Do(kFirst, {"purchase", "7", "100"});
  Do(kFirst, {"adjust", "7", "20"});
  Do(kFirst, {"hold", "7", "5", "--id", "101"});
  ExpectRefused(Outcome::NotPermitted, kFirst, {"close", "7", "--expire-rest"});
  Do(kFirst, {"release", "7", "--hold", "101"});
  ExpectRefused(Outcome::NotPermitted, kFirst, {"close", "7"});
  EXPECT_THAT(Do(kFirst, {"close", "7", "--expire-rest", "--id", "102"}),
              AllOf(HasSubstr("-120 points; available 0, pending 0."),
                    HasSubstr("The account is closed for ever. Expired with it: 100 pending and 20 "
                              "available points; forgiven: a debt of 0.\n")));
  EXPECT_EQ(Ask("balance", "7")["status"], "closed");
  EXPECT_EQ(Totals()["closed_out"], 120);
  EXPECT_EQ(Totals()["expired"], 120);
  const json closed = Ask("statement", "7")["movements"][0];
  EXPECT_EQ(closed["expired_pending"], 100);
  EXPECT_EQ(closed["expired_available"], 20);
  ExpectRefused(Outcome::Closed, kFirst, {"accrue", "7", "1"});
  Do(kFirst, {"enrol", "8"});
  EXPECT_THAT(Do(kFirst, {"close", "8"}), Not(HasSubstr("Expired with it")));
}

TEST_F(Movements, ClosingForgivesADebt) {
  Begin({{"debt_floor", 50}});
  Do(kFirst, {"purchase", "7", "30", "--id", "100"});
  Do(kFirst, {"redeem", "7", "30"});
  Do(kFirst, {"return", "7", "30", "--original", "100"});
  ExpectRefused(Outcome::NotPermitted, kFirst, {"close", "7"});
  const json closed = DoJson(kFirst, {"close", "7", "--expire-rest"});
  EXPECT_EQ(closed["points"], 30);
  EXPECT_EQ(closed["forgiven"], 30);
  EXPECT_EQ(closed["expired_available"], 0);
}

TEST_F(Movements, LogIsDumpedByTheirKinds) {
  Begin({{"debt_floor", 10}});
  Do(kFirst, {"purchase", "7", "100", "--id", "100"});
  Do(kFirst, {"hold", "7", "70", "--id", "101"});
  Do(kFirst, {"return", "7", "100", "--original", "100"});
  Do(kFirst, {"capture", "7", "50", "--hold", "101"});
  Do(kFirst, {"accrue", "7", "50"});
  Do(kFirst, {"hold", "7", "5"});
  ASSERT_EQ(Run({"tick", "--to", "2024-01-02"}).status, 0);
  Stop();
  const auto dump = [&](const std::string& kind, Words more = {}) {
    more.insert(more.begin(), {"log", "dump", Path("ledger"), "--kind", kind});
    const Ran ran = Run(more);
    EXPECT_EQ(ran.status, 0) << ran.errors;
    return ran.output;
  };
  EXPECT_THAT(dump("capture"), HasSubstr("  captured 50, given back 20, forgiven 40\n"));
  const json capture = json::parse(dump("capture", {"--json"}));
  EXPECT_EQ(capture["captured"], 50);
  EXPECT_EQ(capture["related"], "101");
  EXPECT_THAT(dump("hold_timeout"), HasSubstr("amount 5 "));
  for (const char* kind : {"release", "reverse_redemption", "activate", "cancel", "freeze",
                           "unfreeze", "close", "extend"}) {
    EXPECT_EQ(dump(kind), "");
  }
  EXPECT_EQ(Run({"log", "dump", Path("ledger"), "--kind", "tick"}).status, 1);
}

// ---- outcomes ----

TEST_F(Movements, SpendingAndHoldingIsRefused) {
  Begin({{"redeem", {{"minimum", 10}, {"step", 5}}}});
  Do(kFirst, {"accrue", "7", "100"});
  for (const char* verb : {"redeem", "hold"}) {
    ExpectRefused(Outcome::BelowMinimum, kFirst, {verb, "7", "5"});
    ExpectRefused(Outcome::BelowStep, kFirst, {verb, "7", "12"});
    ExpectRefused(Outcome::InsufficientPoints, kFirst, {verb, "7", "105"});
    EXPECT_THAT(At(kFirst, {verb, "7", "105"}).errors,
                HasSubstr("tally: 100 points are available\n"));
  }
  ExpectRefused(Outcome::InsufficientPoints, kFirst, {"adjust", "7", "-101"});
  Do("2024-01-03", {"enrol", "8"});
  ExpectRefused(Outcome::Expired, "2024-01-02", {"hold", "7", "10", "--until", "2024-01-03"});
  ExpectRefused(Outcome::OverLimit, "2024-01-03",
                {"hold", "7", "10", "--until", "2024-02-02 00:00:01"});
  Do("2024-01-03", {"hold", "7", "10", "--until", "2024-02-02", "--id", "30"});
}

TEST_F(Movements, CapturesAndReleasesAreRefused) {
  Begin({{"redeem", {{"minimum", 10}, {"step", 5}}}});
  Do(kFirst, {"accrue", "7", "100", "--id", "1"});
  Do(kFirst, {"hold", "7", "30", "--id", "2"});
  Do(kFirst, {"hold", "7", "30", "--id", "3"});
  Do(kFirst, {"hold", "7", "30", "--id", "4", "--until", "2024-01-02"});
  ExpectRefused(Outcome::InsufficientPoints, kFirst, {"capture", "7", "31", "--hold", "2"});
  EXPECT_THAT(At(kFirst, {"capture", "7", "31", "--hold", "2"}).errors,
              Not(HasSubstr("points are available")));
  ExpectRefused(Outcome::BelowMinimum, kFirst, {"capture", "7", "5", "--hold", "2"});
  ExpectRefused(Outcome::BelowStep, kFirst, {"capture", "7", "12", "--hold", "2"});
  Do(kFirst, {"capture", "7", "--hold", "2"});
  Do(kFirst, {"release", "7", "--hold", "3"});
  for (const char* verb : {"capture", "release"}) {
    ExpectRefused(Outcome::UnknownHold, kFirst, {verb, "7", "--hold", "99"});
    ExpectRefused(Outcome::NotPermitted, kFirst, {verb, "7", "--hold", "1"});
    ExpectRefused(Outcome::AlreadyCaptured, kFirst, {verb, "7", "--hold", "2"});
    ExpectRefused(Outcome::AlreadyReleased, kFirst, {verb, "7", "--hold", "3"});
    ExpectRefused(Outcome::AlreadyReleased, "2024-01-02", {verb, "7", "--hold", "4"});
  }
}

TEST_F(Movements, GivingBackIsRefused) {
  Begin({{"pending", {{"days", 3}}}});
  Do(kFirst, {"purchase", "7", "100", "--id", "1"});
  Do(kFirst, {"adjust", "7", "50", "--id", "2"});
  Do(kFirst, {"redeem", "7", "40", "--id", "3"});
  ExpectRefused(Outcome::UnknownOriginal, kFirst, {"reverse", "7", "1", "--redemption", "99"});
  ExpectRefused(Outcome::NotPermitted, kFirst, {"reverse", "7", "1", "--redemption", "1"});
  ExpectRefused(Outcome::AlreadyReturned, kFirst, {"reverse", "7", "41", "--redemption", "3"});
  Do(kFirst, {"reverse", "7", "30", "--redemption", "3", "--id", "4"});
  ExpectRefused(Outcome::AlreadyReturned, kFirst, {"reverse", "7", "11", "--redemption", "3"});
  ExpectRefused(Outcome::NotPermitted, kFirst, {"reverse", "7", "1", "--redemption", "4"});
  ExpectRefused(Outcome::UnknownOriginal, kFirst, {"return", "7", "1", "--original", "99"});
  ExpectRefused(Outcome::NotPermitted, kFirst, {"return", "7", "1", "--original", "2"});
  ExpectRefused(Outcome::AlreadyReturned, kFirst, {"return", "7", "101", "--original", "1"});
  ExpectRefused(Outcome::InsufficientPoints, kFirst, {"cancel", "7", "101", "--purchase", "1"});
  for (const char* verb : {"activate", "cancel"}) {
    ExpectRefused(Outcome::UnknownOriginal, kFirst, {verb, "7", "--purchase", "99"});
    ExpectRefused(Outcome::NotPermitted, kFirst, {verb, "7", "--purchase", "3"});
    ExpectRefused(Outcome::NotPermitted, "2024-01-04", {verb, "7", "--purchase", "1"});
  }
}

TEST_F(Movements, AmountsThatCannotBeCountedAreRefused) {
  Begin({{"pending", {{"days", 3}}},
         {"debt_floor", 9'000'000'000'000'000'000},
         {"unknown_original", "newest"}});
  const std::string many = "400000000000000000";
  Do(kFirst, {"accrue", "7", many, "--id", "1"});
  Do(kFirst, {"adjust", "7", many});
  Do(kFirst, {"redeem", "7", many, "--id", "2"});
  Do(kFirst, {"enrol", "8"});
  Do(kFirst, {"return", "8", "9000000000000000000"});
  ExpectRefused(Outcome::Overflow, kFirst, {"reverse", "7", many, "--redemption", "2"});
  ExpectRefused(Outcome::Overflow, kFirst, {"return", "7", many, "--original", "1"});
  ExpectRefused(Outcome::Overflow, kFirst, {"cancel", "7", "--purchase", "1"});
  for (const char* verb : {"accrue", "purchase", "adjust"}) {
    ExpectRefused(Outcome::Overflow, kFirst, {verb, "7", "9000000000000000000"});
  }
}

TEST_F(Movements, LotsAndHoldsHaveALimit) {
  Begin();
  SubmitMany(Kind::Accrue, 10'240, 7, 2);
  Do(kFirst, {"redeem", "7", "1", "--id", "1"});
  for (const char* verb : {"accrue", "purchase", "adjust", "hold"}) {
    ExpectRefused(Outcome::TooManyLots, kFirst, {verb, "7", "1"});
  }
  ExpectRefused(Outcome::TooManyLots, kFirst, {"reverse", "7", "1", "--redemption", "1"});
  Do(kFirst, {"accrue", "8", "1000"});
  SubmitMany(Kind::Hold, 128, 8, 1);
  ExpectRefused(Outcome::OverLimit, kFirst, {"hold", "8", "1"});
  EXPECT_EQ(Ask("lots", "8")["holds"].size(), 128u);
}

// ---- command lines ----

TEST_F(Movements, CommandLinesThatCannotBeAreRefused) {
  Begin();
  Do(kFirst, {"accrue", "7", "30", "--id", "1"});
  Do(kFirst, {"hold", "7", "10", "--id", "2"});
  const auto error_of = [&](const Words& command, int status) {
    const Ran ran = At(kFirst, command);
    EXPECT_EQ(ran.status, status) << command[0];
    EXPECT_EQ(ran.output, "");
    return ran.errors;
  };
  EXPECT_EQ(error_of({"capture", "7"}, 2), "tally: --hold is required: see tally capture --help\n");
  EXPECT_EQ(error_of({"release", "7"}, 2), "tally: --hold is required: see tally release --help\n");
  EXPECT_EQ(error_of({"reverse", "7", "1"}, 2),
            "tally: --redemption is required: see tally reverse --help\n");
  EXPECT_EQ(error_of({"activate", "7"}, 2),
            "tally: --purchase is required: see tally activate --help\n");
  EXPECT_EQ(error_of({"cancel", "7"}, 2),
            "tally: --purchase is required: see tally cancel --help\n");
  EXPECT_EQ(error_of({"extend", "7"}, 2), "tally: --to is required: see tally extend --help\n");
  EXPECT_EQ(error_of({"hold", "7"}, 2), "tally: amount is required: see tally hold --help\n");
  EXPECT_EQ(error_of({"reverse", "7", "--redemption", "1"}, 2),
            "tally: amount is required: see tally reverse --help\n");
  EXPECT_THAT(error_of({"release", "7", "5", "--hold", "2"}, 2),
              HasSubstr("\"5\" was not expected"));
  EXPECT_THAT(error_of({"freeze", "7", "--expire-rest"}, 2),
              HasSubstr("there is no option \"--expire-rest\""));
  for (const Words& command : std::vector<Words>{{"hold", "7", "5", "--until", ""},
                                                 {"capture", "7", "--hold", ""},
                                                 {"reverse", "7", "5", "--redemption", ""},
                                                 {"cancel", "7", "--purchase", ""},
                                                 {"extend", "7", "--to", ""}}) {
    EXPECT_THAT(error_of(command, 2), HasSubstr("is empty: give it a value, or leave it out"));
  }
  EXPECT_THAT(error_of({"capture", "7", "all", "--hold", "2"}, 1),
              HasSubstr("\"all\" is no amount"));
  EXPECT_THAT(error_of({"hold", "7", "5", "--until", "soon"}, 1), HasSubstr("soon"));
  EXPECT_THAT(error_of({"capture", "7", "-5", "--hold", "2"}, 1),
              HasSubstr("refused, bad_request: amount must be positive (of an adjustment"));
  EXPECT_THAT(error_of({"hold", "7", "5", "--until", "2023-12-31"}, 1),
              HasSubstr("refused, bad_request: expires_at must lie behind occurred_at"));
  EXPECT_THAT(error_of({"extend", "7", "--to", "2023-12-31"}, 1),
              HasSubstr("refused, bad_request: expires_at must lie behind occurred_at"));
  EXPECT_THAT(error_of({"capture", "7", "--hold", "0"}, 1),
              HasSubstr("\"0\" is no transaction id"));
}

// The outcome, the field and the balances are there for a program that reads them.
TEST_F(Movements, RefusalsAreJsonWhereItIsAskedFor) {
  Begin();
  Do(kFirst, {"accrue", "7", "30", "--id", "1"});
  const Ran ran = At(kFirst, {"hold", "7", "31", "--json"});
  EXPECT_EQ(ran.status, 1);
  const json refused = json::parse(ran.output);
  EXPECT_EQ(refused["outcome"], "insufficient_points");
  EXPECT_EQ(refused["kind"], "hold");
  EXPECT_EQ(refused["available"], 30);
  EXPECT_FALSE(refused.contains("times_out_at"));
}

TEST_F(Movements, EachVerbSaysInJsonWhatItDid) {
  Begin({{"pending", {{"days", 3}}}});
  Do(kFirst, {"enrol", "7"});
  Do(kFirst, {"adjust", "7", "100"});
  Do(kFirst, {"purchase", "7", "10", "--id", "1"});
  Do(kFirst, {"hold", "7", "10", "--id", "2"});
  Do(kFirst, {"hold", "7", "10", "--id", "3"});
  Do(kFirst, {"redeem", "7", "10", "--id", "4"});
  const struct {
    Words command;
    const char* kind;
    int64_t points;
  } verbs[] = {{{"hold", "7", "10"}, "hold", 0},
               {{"capture", "7", "4", "--hold", "2"}, "capture", -4},
               {{"release", "7", "--hold", "3"}, "release", 0},
               {{"reverse", "7", "3", "--redemption", "4"}, "reverse_redemption", 3},
               {{"cancel", "7", "2", "--purchase", "1"}, "cancel", -2},
               {{"activate", "7", "--purchase", "1"}, "activate", 0},
               {{"extend", "7", "--to", "2124-02-01"}, "extend", 0},
               {{"freeze", "7"}, "freeze", 0},
               {{"unfreeze", "7"}, "unfreeze", 0},
               {{"enrol", "9"}, "enrol", 0},
               {{"close", "9"}, "close", 0}};
  for (const auto& verb : verbs) {
    const json done = DoJson(kFirst, verb.command);
    EXPECT_EQ(done["outcome"], "ok") << done;
    EXPECT_EQ(done["kind"], verb.kind);
    EXPECT_EQ(done["points"], verb.points) << done;
  }
}

}  // namespace
}  // namespace tallystick
