// Logs whose shards say different things of what they sent each other.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/shard_of.h"
#include "tests/api/log_commands.h"

namespace tallystick {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// Two transfers from shard 0 to shard 1; "early" is a copy of between them.
class LogTransfers : public LogCommands {
 protected:
  LogTransfers() {
    while (ShardOf(Id(from_, 0), 2) != 0) ++from_;
    while (ShardOf(Id(to_, 0), 2) != 1) ++to_;
  }
  void Make() {
    Create("ledger", 2);
    Apply(Kind::Accrue, 1, from_, 100, Now());
    Apply(Kind::Enrol, 2, to_, 0, Now());
    Send(3, 30);
    Close();
    Copy("ledger", "early");
    Open("ledger");
    Send(4, 20);
    Close();
  }
  void Send(uint64_t id, int64_t points) {
    const auto result = ledger_->Apply(Operation(Id(id, 0), Id(from_, 0), Id(to_, 0), points, Now(),
                                                 0, 0, kProgram, 0, Kind::Transfer, 0, 0));
    ASSERT_TRUE(result.ok() && result->outcome() == Outcome::Ok) << result.status();
  }
  void TakeEarlyShard(int shard) const {
    std::filesystem::remove_all(Shard("ledger", shard));
    std::filesystem::copy(Shard("early", shard), Shard("ledger", shard),
                          std::filesystem::copy_options::recursive);
  }
  // Of the second transfer.
  nlohmann::json Second(const std::string& kind) const { return Dump({"--kind", kind}).at(1); }
  std::string Position(const std::string& kind) const { return Second(kind)["position"].dump(); }

  uint64_t from_ = 1;
  uint64_t to_ = 1;
};

TEST_F(LogTransfers, VerifySaysWhatWasReceivedAndNotSent) {
  Make();
  EXPECT_EQ(Run({"log", "verify", Path("ledger")}).status, 0);
  const std::string sent = Position("transfer");
  const std::string received = Position("transfer_in");
  TakeEarlyShard(0);
  const nlohmann::json verified = RunJson({"log", "verify", Path("ledger")}, 1);
  ASSERT_EQ(verified["problems"].size(), 1u) << verified;
  EXPECT_EQ(verified["problems"][0]["shard"], 1);
  EXPECT_EQ(verified["problems"][0]["first_position"].dump(), received);
  EXPECT_THAT(verified["problems"][0]["cause"].dump(),
              AllOf(HasSubstr(absl::StrCat("it has received 20 points as what shard 0 sent at "
                                           "position ",
                                           sent)),
                    HasSubstr("whose log ends at position ")));
  LedgerOptions options;
  options.directory = Path("ledger");
  options.durability = wal::Durability::kNone;
  EXPECT_THAT(Ledger::Open(options).status().ToString(),
              HasSubstr("the shards' folders are not of one moment"));
  // Nothing is made of it.
  const Ran resharded =
      Run({"reshard", Path("ledger"), "--shards", "3", "--into", Path("resharded")});
  EXPECT_EQ(resharded.status, 1);
  EXPECT_THAT(resharded.errors, HasSubstr(absl::StrCat("it has received what shard 0 sent at "
                                                       "position ",
                                                       sent)));
  EXPECT_FALSE(std::filesystem::exists(Path("resharded")));
}

TEST_F(LogTransfers, VerifySaysWhatWasSettledAndNotReceived) {
  Make();
  const std::string settled = Position("transfer_done");
  TakeEarlyShard(1);
  const nlohmann::json verified = RunJson({"log", "verify", Path("ledger")}, 1);
  ASSERT_EQ(verified["problems"].size(), 1u) << verified;
  EXPECT_EQ(verified["problems"][0]["shard"], 0);
  EXPECT_EQ(verified["problems"][0]["first_position"].dump(), settled);
  EXPECT_THAT(verified["problems"][0]["cause"].dump(),
              HasSubstr("it says that shard 1 has received the 20 points"));
  LedgerOptions options;
  options.directory = Path("ledger");
  options.durability = wal::Durability::kNone;
  EXPECT_FALSE(Ledger::Open(options).ok()) << "20 points are nobody's";
}

TEST_F(LogTransfers, CutSaysWhatOtherShardsHaveReceived) {
  Make();
  const std::string received = Position("transfer_in");
  const std::vector<std::string> cut = {"log", "cut",  Path("ledger"),      "--shard",
                                        "0",   "--at", Position("transfer")};
  const Ran asked = Run(cut);
  EXPECT_EQ(asked.status, 1);
  EXPECT_THAT(asked.errors,
              AllOf(HasSubstr(absl::StrCat(
                        " Shard 1 has received what is lost here: 1 transfers of 20 points, from "
                        "its position ",
                        received, " on; the ledger cannot be opened until shard 1 is cut there")),
                    Not(HasSubstr("are nobody's"))));
  const nlohmann::json told = RunJson(cut, 1);
  ASSERT_EQ(told["lost"]["received_elsewhere"].size(), 1u);
  EXPECT_EQ(told["lost"]["received_elsewhere"][0]["shard"], 1);
  EXPECT_EQ(told["lost"]["received_elsewhere"][0]["points"], 20);
  EXPECT_EQ(told["lost"]["settled_elsewhere"].size(), 0u);
  // Both are cut, and the ledger goes on from there.
  std::vector<std::string> do_it = cut;
  do_it.push_back("--yes-lose-records");
  EXPECT_EQ(Run(do_it).status, 0);
  EXPECT_EQ(
      Run({"log", "cut", Path("ledger"), "--shard", "1", "--at", received, "--yes-lose-records"})
          .status,
      0);
  EXPECT_EQ(Run({"log", "verify", Path("ledger")}).status, 0);
  Open("ledger");
  EXPECT_EQ(ledger_->Totals(kProgram)->received, 30);
  Send(5, 20);
  Close();
}

TEST_F(LogTransfers, CutSaysWhatOtherShardsHaveSettled) {
  Make();
  const std::string settled = Position("transfer_done");
  const Ran asked =
      Run({"log", "cut", Path("ledger"), "--shard", "1", "--at", Position("transfer_in")});
  EXPECT_EQ(asked.status, 1);
  EXPECT_THAT(asked.errors,
              HasSubstr(absl::StrCat(" Shard 0 has sent what was received here, and is lost: 1 "
                                     "transfers of 20 points, settled from its position ",
                                     settled, " on; they are nobody's unless shard 0 is cut")));
}

}  // namespace
}  // namespace tallystick
