// Points sent to other members through tally and tallyd: what arrives, each outcome of its own at
// the sender and at the receiver, and a server that is killed while they are on their way.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/client.h"
#include "api/instants.h"
#include "api/outcomes.h"
#include "api/shard_of.h"
#include "tests/api/movements_commands.h"

namespace tallystick {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint16_t kShards = 3;

class TransferCommands : public Movements {
 protected:
  void Begin(const json& patch = json::object()) {
    Movements::Begin(patch, std::to_string(kShards));
  }
  // The number of a member of that shard, each `nth` another one.
  static std::string MemberOf(uint16_t shard, int nth = 0) {
    for (uint64_t member = 1;; ++member) {
      if (ShardOf(Id(member, 0), kShards) == shard && nth-- == 0) return std::to_string(member);
    }
  }
  // By its receiver: the sentence is about that member, and the sender has its points again.
  void ExpectCameBack(Outcome outcome, const std::string& sentence, const std::string& from,
                      const Words& command) const {
    SCOPED_TRACE(OutcomeName(outcome));
    const json before = Ask("balance", from);
    const int64_t sent = Totals()["sent"];
    const Ran ran = At(kFirst, command);
    EXPECT_EQ(ran.status, 1);
    EXPECT_EQ(ran.output, "");
    EXPECT_THAT(ran.errors, HasSubstr(absl::StrCat("tally: refused, ", OutcomeName(outcome),
                                                   ": What was sent came back: ", sentence)));
    Words as_json = command;
    as_json.push_back("--json");
    const json told = json::parse(At(kFirst, as_json).output);
    EXPECT_EQ(told["outcome"], std::string(OutcomeName(outcome)));
    EXPECT_EQ(told["field"], "related");
    EXPECT_THAT(told["error"].get<std::string>(), HasSubstr(sentence));
    EXPECT_EQ(told["points"], 0);
    EXPECT_EQ(told["available"], before["available"]);
    const json after = Ask("balance", from);
    EXPECT_EQ(after["available"], before["available"]);
    EXPECT_EQ(Totals()["sent"], sent) << "what came back was not sent";
    const json newest = Ask("statement", from)["movements"][0];
    EXPECT_EQ(newest["kind"], "transfer_back");
    EXPECT_EQ(newest["refused"], std::string(OutcomeName(outcome)));
    EXPECT_THAT(Run({"statement", from, "--program", "1"}).output,
                HasSubstr(absl::StrCat(" (", OutcomeName(outcome), ")")));
  }

  const std::string from_ = MemberOf(0);
  const std::string to_ = MemberOf(1);
};

// ---- what arrives ----

TEST_F(TransferCommands, LotsArriveWithTheirDatesOnWhateverShard) {
  Begin();
  int64_t number = 0;
  for (const std::string& to : {to_, MemberOf(2), MemberOf(0, 1)}) {
    SCOPED_TRACE(to);
    Do(kFirst, {"enrol", to});
    Do(kFirst, {"accrue", from_, "30", "--expires", "2024-01-12"});
    Do(kFirst, {"accrue", from_, "30", "--expires", "2024-01-11"});
    const Words transfer = {"transfer", from_, "40", "--to", to, "--id", std::to_string(++number)};
    EXPECT_THAT(Do(kFirst, transfer),
                AllOf(HasSubstr("-40 points; available 20, pending 0.\n"),
                      HasSubstr(absl::StrCat("Member ", to, " has received them.\n"))));
    EXPECT_THAT(Lots(to), ElementsAre("30 until 2024-01-11", "10 until 2024-01-12"));
    EXPECT_THAT(Lots(from_), ElementsAre("20 until 2024-01-12"));
    const json again = DoJson(kFirst, transfer);
    EXPECT_TRUE(again["replayed"].get<bool>());
    EXPECT_EQ(again["related"], to);
    const json received = Ask("statement", to)["movements"][0];
    EXPECT_EQ(received["kind"], "transfer_in");
    EXPECT_EQ(received["points"], 40);
    EXPECT_EQ(received["id"], std::to_string(number));
    EXPECT_EQ(received["from"], from_);
    const json sent = Ask("statement", from_)["movements"];
    EXPECT_EQ(sent[0]["kind"], "transfer_done");
    EXPECT_EQ(sent[0]["points"], 0);
    EXPECT_EQ(sent[1]["kind"], "transfer");
    EXPECT_EQ(sent[1]["to"], to);
    EXPECT_THAT(Run({"statement", from_, "--program", "1"}).output,
                HasSubstr(absl::StrCat(number, " to ", to, "\n")));
    EXPECT_THAT(Run({"statement", to, "--program", "1"}).output,
                HasSubstr(absl::StrCat(number, " from ", from_, "\n")));
    EXPECT_THAT(
        Run({"transaction", std::to_string(number), "--member", from_, "--program", "1"}).output,
        HasSubstr(absl::StrCat("to           ", to, "\n")));
    // It is the sender's, and the receiver has none of this id.
    EXPECT_EQ(Run({"transaction", std::to_string(number), "--member", to, "--program", "1"}).status,
              1);
    Do(kFirst, {"redeem", from_, "20"});
  }
  const json totals = Totals();
  EXPECT_EQ(totals["sent"], 120);
  EXPECT_EQ(totals["received"], 120);
  EXPECT_EQ(totals["outstanding"]["in_transit"], 0);
  EXPECT_TRUE(totals["balanced"].get<bool>());
}

TEST_F(TransferCommands, FreshDatesAreThoseOfTheSending) {
  Begin({{"transfer", {{"dates", "fresh"}}}, {"expiry", {{"days", 30}}}});
  Do(kFirst, {"enrol", to_});
  Do(kFirst, {"accrue", from_, "30", "--expires", "2024-01-12"});
  Do(kFirst, {"accrue", from_, "30"});
  Do("2024-01-03", {"transfer", from_, "40", "--to", to_});
  EXPECT_THAT(Lots(to_), ElementsAre("40 until 2024-02-02"));
}

TEST_F(TransferCommands, FrozenMembersReceiveAndPayDebt) {
  Begin({{"debt_floor", 50}});
  Do(kFirst, {"accrue", from_, "100"});
  Do(kFirst, {"purchase", to_, "30", "--id", "1"});
  Do(kFirst, {"redeem", to_, "30"});
  Do(kFirst, {"return", to_, "30", "--original", "1"});
  Do(kFirst, {"freeze", to_});
  Do(kFirst, {"transfer", from_, "50", "--to", to_});
  const json balance = Ask("balance", to_);
  EXPECT_EQ(balance["debt"], 0);
  EXPECT_EQ(balance["available"], 20);
  EXPECT_EQ(balance["lifetime_earned"], 30) << "what is received was not earned";
}

// ---- refused at the sender ----

TEST_F(TransferCommands, SendingIsRefused) {
  Begin({{"transfer", {{"minimum", 10}, {"maximum", 50}}}});
  Do(kFirst, {"accrue", from_, "40"});
  Do(kFirst, {"enrol", to_});
  ExpectRefused(Outcome::BelowMinimum, kFirst, {"transfer", from_, "9", "--to", to_});
  ExpectRefused(Outcome::OverLimit, kFirst, {"transfer", from_, "51", "--to", to_});
  ExpectRefused(Outcome::InsufficientPoints, kFirst, {"transfer", from_, "41", "--to", to_});
  EXPECT_THAT(At(kFirst, {"transfer", from_, "41", "--to", to_}).errors,
              HasSubstr("tally: 40 points are available\n"));
  ExpectRefused(Outcome::UnknownMember, kFirst, {"transfer", MemberOf(2), "10", "--to", to_});
  Do(kFirst, {"freeze", from_});
  ExpectRefused(Outcome::Frozen, kFirst, {"transfer", from_, "10", "--to", to_});
  Do(kFirst, {"unfreeze", from_});
  EXPECT_THAT(At(kFirst, {"transfer", from_, "10", "--to", from_}).errors,
              HasSubstr("refused, bad_request: related must name the hold, redemption or purchase "
                        "that a capture, release, reversal, activation or cancellation is of, or "
                        "the other member who receives a transfer"));
  EXPECT_EQ(At(kFirst, {"transfer", from_, "10"}).errors,
            "tally: --to is required: see tally transfer --help\n");
  EXPECT_THAT(At(kFirst, {"transfer", from_, "10", "--to", "0"}).errors,
              HasSubstr("\"0\" is no member"));
  Do(kFirst, {"close", from_, "--expire-rest"});
  ExpectRefused(Outcome::Closed, kFirst, {"transfer", from_, "10", "--to", to_});
}

TEST_F(TransferCommands, ProgramsMayForbidThem) {
  Begin({{"transfer", {{"dates", "forbidden"}}}});
  Do(kFirst, {"accrue", from_, "40"});
  Do(kFirst, {"enrol", to_});
  ExpectRefused(Outcome::NotPermitted, kFirst, {"transfer", from_, "10", "--to", to_});
}

TEST_F(TransferCommands, LotsAndHoldsHaveALimitAtTheSender) {
  Begin();
  Do(kFirst, {"enrol", to_});
  SubmitMany(Kind::Accrue, 10'240, std::stoull(from_), 2);
  ExpectRefused(Outcome::TooManyLots, kFirst, {"transfer", from_, "1", "--to", to_});
  const std::string holder = MemberOf(0, 1);
  Do(kFirst, {"accrue", holder, "1000"});
  SubmitMany(Kind::Hold, 128, std::stoull(holder), 1);
  ExpectRefused(Outcome::OverLimit, kFirst, {"transfer", holder, "1", "--to", to_});
}

// ---- refused by the receiver ----

TEST_F(TransferCommands, ReceiversRefuseAndWhatWasSentComesBack) {
  Begin();
  Do(kFirst, {"accrue", from_, "40"});
  const Words transfer = {"transfer", from_, "10", "--to", to_, "--id", "77"};
  ExpectCameBack(Outcome::UnknownMember,
                 "the member who is to receive the points is not in this program", from_, transfer);
  const Ran sought = Run({"transaction", "77", "--member", from_, "--program", "1"});
  EXPECT_EQ(sought.status, 1);
  EXPECT_THAT(sought.errors, HasSubstr("has no transaction 77"));
  // The id is free: the very same transfer is done when the member is there, and then it is found.
  Do(kFirst, {"enrol", to_});
  EXPECT_FALSE(DoJson(kFirst, transfer)["replayed"].get<bool>());
  EXPECT_THAT(Run({"transaction", "77", "--member", from_, "--program", "1"}).output,
              HasSubstr("transfer 77: -10 points\n"));
  Do(kFirst, {"close", to_, "--expire-rest"});
  ExpectCameBack(Outcome::Closed,
                 "the account of the member who is to receive the points is closed", from_,
                 {"transfer", from_, "10", "--to", to_, "--id", "78"});
}

TEST_F(TransferCommands, ReceiversWithTooManyLotsOrPointsRefuse) {
  Begin();
  Do(kFirst, {"accrue", from_, "40"});
  SubmitMany(Kind::Accrue, 10'240, std::stoull(to_), 2);
  ExpectCameBack(Outcome::TooManyLots,
                 "the member who is to receive the points holds as many lots of points", from_,
                 {"transfer", from_, "10", "--to", to_, "--id", "77"});
  const std::string rich = MemberOf(2);
  // Every point ever credited counts, in the receiver's shard.
  Do(kFirst, {"enrol", rich});
  Do(kFirst, {"adjust", rich, "9223372036854775800"});
  Do(kFirst, {"adjust", rich, "-9223372036854775800"});
  ExpectCameBack(Outcome::Overflow,
                 "the points are more than can be counted where they are to be received", from_,
                 {"transfer", from_, "10", "--to", rich, "--id", "78"});
}

// ---- the log ----

TEST_F(TransferCommands, LogIsDumpedWithTheirDetails) {
  Begin();
  Do(kFirst, {"accrue", from_, "30", "--expires", "2024-01-11"});
  Do(kFirst, {"adjust", from_, "30", "--expires", "2024-01-12"});
  Do(kFirst, {"enrol", to_});
  Do(kFirst, {"transfer", from_, "40", "--to", to_, "--id", "77"});
  Do(kFirst, {"close", to_, "--expire-rest"});
  EXPECT_EQ(At(kFirst, {"transfer", from_, "10", "--to", to_, "--id", "78"}).status, 1);
  Stop();
  const auto dump = [&](const std::string& kind) {
    const Ran ran = Run({"log", "dump", Path("ledger"), "--kind", kind, "--json"});
    EXPECT_EQ(ran.status, 0) << ran.errors;
    return json::parse(ran.output, nullptr, /*allow_exceptions=*/false);
  };
  const auto sent = dump("transfer_done");
  const json in = dump("transfer_in");
  EXPECT_EQ(in["shard"], 1);
  EXPECT_EQ(in["related"], from_);
  EXPECT_EQ(in["details"], 3);
  EXPECT_EQ(in["transfer"]["shard"], 0);
  EXPECT_EQ(in["transfer"]["position"], sent["transfer_position"]);
  EXPECT_EQ(in["transfer"]["open_from"], sent["transfer_position"]);
  ASSERT_EQ(in["lots"].size(), 2u);
  EXPECT_EQ(in["lots"][0]["points"], 30);
  EXPECT_EQ(in["lots"][0]["expires_at"], "2024-01-11T00:00:00.000000Z");
  EXPECT_EQ(in["lots"][1]["points"], 10);
  EXPECT_FALSE(sent.contains("refused"));
  const json back = dump("transfer_back");
  EXPECT_EQ(back["refused"], "closed");
  EXPECT_FALSE(back.contains("user_data"));
  const Ran text = Run({"log", "dump", Path("ledger"), "--kind", "transfer_in"});
  EXPECT_THAT(text.output, HasSubstr(absl::StrCat("  sent at 0/", sent["transfer_position"].dump(),
                                                  ", 2 lots\n")));
  const Ran verified = Run({"log", "verify", Path("ledger")});
  EXPECT_EQ(verified.status, 0) << verified.errors;
}

// ---- a server that is killed ----

// Between some members, many at once, with what was answered.
class Sender {
 public:
  static constexpr uint64_t kMembers = 120;  // so many that none has 128 on their way

  explicit Sender(const std::string& address) : client_(*Client::Connect(address)) {}

  // 40 operations in a request: transfers of 1 to 5 points, some to members that are not there.
  void Send() {
    std::vector<Operation> operations;
    while (operations.size() < 40) {
      const uint64_t number = ++last_id_;
      const uint64_t from = 1 + number % kMembers;
      const uint64_t to = number % 10 == 0 ? 1000 + number : 1 + number / 3 * 7 % kMembers;
      if (from == to) continue;
      operations.emplace_back(Id(number, 1), Id(from, 0), Id(to, 0),
                              static_cast<int64_t>(1 + number % 5), *ParseInstant(kFirst), 0, 0, 1,
                              0, Kind::Transfer, 0, 0);
    }
    client_->Submit(operations,
                    [this, operations](const absl::StatusOr<absl::Span<const Result>>& results) {
                      ASSERT_TRUE(results.ok()) << results.status();
                      for (size_t i = 0; i < results->size(); ++i)
                        Note(operations[i], (*results)[i]);
                    });
  }
  void PollUntil(size_t answered) {
    while (answered_ < answered) ASSERT_TRUE(client_->Poll(-1).ok());
  }
  void Drain() { ASSERT_TRUE(client_->Drain().ok()); }

  size_t answered() const { return answered_; }
  size_t replayed() const { return replayed_; }
  size_t came_back() const { return came_back_; }
  int64_t sent() const { return sent_; }
  // What came in less what went out.
  int64_t BalanceOf(uint64_t member) { return balances_[member]; }

 private:
  void Note(const Operation& operation, const Result& result) {
    ++answered_;
    replayed_ += (result.flags() & kReplayed) != 0 ? 1 : 0;
    if (result.outcome() != Outcome::Ok) {
      ++came_back_;
      EXPECT_EQ(result.outcome(), Outcome::UnknownMember);
      EXPECT_EQ(result.field(), Field::Related);
      EXPECT_GE(operation.related().low(), 1000u);
      return;
    }
    sent_ += operation.amount();
    balances_[operation.member().low()] -= operation.amount();
    balances_[operation.related().low()] += operation.amount();
  }

  const std::unique_ptr<Client> client_;
  uint64_t last_id_ = 0;
  size_t answered_ = 0;
  size_t replayed_ = 0;
  size_t came_back_ = 0;
  int64_t sent_ = 0;
  std::map<uint64_t, int64_t> balances_;
};

// The client sends again what was not answered. Each transfer that it is told of was done once, and
// none that it is not told of.
TEST_F(TransferCommands, AServerThatIsKilledLosesAndDoublesNothing) {
  Begin();
  constexpr int64_t kEach = 100'000;
  for (uint64_t member = 1; member <= Sender::kMembers; ++member) {
    SubmitMany(Kind::Accrue, 1, member, kEach);
  }
  Sender sender(Address());
  // And until one has come between what was done and its answer.
  for (int kill = 0; kill < 8 || (sender.replayed() == 0 && kill < 100); ++kill) {
    for (int request = 0; request < 60; ++request) sender.Send();
    sender.PollUntil(sender.answered() + static_cast<size_t>(40 * (1 + kill % 8 * 3)));
    EXPECT_EQ(server_->End(SIGKILL), -SIGKILL);
    Start({});
  }
  sender.Drain();
  EXPECT_GT(sender.came_back(), 500u);
  EXPECT_GT(sender.replayed(), 0u);
  const json totals = Totals();
  EXPECT_EQ(totals["outstanding"]["in_transit"], 0);
  EXPECT_EQ(totals["sent"], sender.sent());
  EXPECT_EQ(totals["received"], sender.sent());
  EXPECT_EQ(totals["outstanding"]["available"], kEach * static_cast<int64_t>(Sender::kMembers));
  for (uint64_t member = 1; member <= Sender::kMembers; ++member) {
    EXPECT_EQ(Ask("balance", std::to_string(member))["available"], kEach + sender.BalanceOf(member))
        << "member " << member;
  }
  Stop();
  const Ran verified = Run({"log", "verify", Path("ledger")});
  EXPECT_EQ(verified.status, 0) << verified.errors;
}

}  // namespace
}  // namespace tallystick
