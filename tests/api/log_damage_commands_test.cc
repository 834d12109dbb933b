// tally log verify and cut, on ledgers that are damaged.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/api/log_commands.h"

namespace tallystick {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// ---- verify ----

TEST_F(LogCommands, VerifyListsEveryDamageOfEveryShard) {
  Create("ledger", 2);
  Accrue(1, 1'600);
  Close();
  EXPECT_EQ(RunJson({"log", "verify", Path("ledger")})["verified"], true);
  const Place first = BlockOf("ledger", 0, 1);
  const Place second = BlockOf("ledger", 0, 3);
  const Place other = BlockOf("ledger", 1, 2);
  Flip("ledger", 0, first);
  Flip("ledger", 0, second);
  Flip("ledger", 1, other);
  std::ofstream(Shard("ledger", 1) + "/notes.txt") << "what is this?";

  const json found = RunJson({"log", "verify", Path("ledger")}, 1);
  EXPECT_EQ(found["verified"], false);
  ASSERT_EQ(found["problems"].size(), 4u) << found["problems"];
  const auto expect = [&](const json& problem, int shard, const Place& place) {
    EXPECT_EQ(problem["shard"], shard);
    EXPECT_EQ(problem["segment"], place.segment);
    EXPECT_EQ(problem["offset"], place.offset);
    EXPECT_EQ(problem["first_position"], place.first);
    EXPECT_EQ(problem["last_position"], place.last);
    EXPECT_EQ(problem["cause"], "the body's checksum is wrong");
  };
  expect(found["problems"][0], 0, first);
  expect(found["problems"][1], 0, second);
  expect(found["problems"][2], 1, other);
  EXPECT_THAT(found["problems"][0]["to_do"].get<std::string>(),
              HasSubstr("--at " + std::to_string(first.first)));
  EXPECT_EQ(found["problems"][1]["to_do"], "Restore it from a copy.");
  EXPECT_THAT(found["problems"][3]["path"].get<std::string>(), HasSubstr("notes.txt"));
  EXPECT_EQ(found["shards"][0]["position"], first.first - 1);
  const Ran text = Run({"log", "verify", Path("ledger")});
  EXPECT_EQ(text.status, 1);
  EXPECT_THAT(text.errors, AllOf(HasSubstr("shard 1: "), HasSubstr("problems found: 4")));
  EXPECT_THAT(text.output, Not(HasSubstr("verified")));
}

TEST_F(LogCommands, VerifyLooksAtSnapshotsToo) {
  Create("ledger", 1);
  Accrue(1, 50);
  ASSERT_TRUE(ledger_->Snapshot().ok());
  Accrue(51, 50);
  ASSERT_TRUE(ledger_->Snapshot().ok());
  Close();
  EXPECT_EQ(RunJson({"log", "verify", Path("ledger")})["sound_snapshots"], 2);
  for (const auto& file : fs::directory_iterator(Shard("ledger", 0))) {
    if (file.path().extension() == ".snap") {
      fs::resize_file(file, 8'192);
      break;
    }
  }
  const json found = RunJson({"log", "verify", Path("ledger")}, 1);
  EXPECT_EQ(found["sound_snapshots"], 1);
  ASSERT_EQ(found["problems"].size(), 1u);
  EXPECT_THAT(found["problems"][0]["cause"].get<std::string>(),
              HasSubstr("the snapshot is damaged"));
}

TEST_F(LogCommands, VerifyTellsOfATornTailWithoutFailing) {
  Create("ledger", 1);
  Accrue(1, 20);
  Close();
  const Place last = Blocks("ledger", 0).back();
  std::fstream file(File("ledger", 0, last.segment),
                    std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(last.offset + 4096));
  file << std::string(4096, 'x');
  file.close();
  const json found = RunJson({"log", "verify", Path("ledger")});
  EXPECT_EQ(found["problems"].size(), 0u);
  EXPECT_EQ(found["shards"][0]["torn_bytes"], 4096);
  EXPECT_THAT(Run({"log", "verify", Path("ledger")}).output, HasSubstr("a torn tail of 4096"));
}

TEST_F(LogCommands, VerifyNamesAMissingFolder) {
  Create("ledger", 2);
  Close();
  fs::remove_all(Shard("ledger", 1));
  const Ran ran = Run({"log", "verify", Path("ledger")});
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.errors, HasSubstr("the shard's folder is missing. Restore it from a copy."));
}

// ---- cut ----

TEST_F(LogCommands, CutMakesADamagedLedgerUsableAgain) {
  Create("ledger", 2);
  Accrue(1, 1'600);
  Close();
  const Place damaged = BlockOf("ledger", 0, 2);
  Flip("ledger", 0, damaged);
  const std::string at = std::to_string(damaged.first);
  const std::vector<std::string> cut = {"log", "cut", Path("ledger"), "--shard", "0", "--at", at};
  const Ran asked = Run(cut);
  EXPECT_EQ(asked.status, 1);
  EXPECT_THAT(asked.errors,
              AllOf(HasSubstr("nothing was changed"), HasSubstr("Lost: positions " + at + " to "),
                    HasSubstr("1 damaged positions"), HasSubstr("No other shard is cut"),
                    HasSubstr("--yes-lose-records")));
  const json plan = RunJson(cut, 1);
  EXPECT_EQ(plan["done"], false);
  EXPECT_EQ(Run({"log", "verify", Path("ledger")}).status, 1);

  std::vector<std::string> sure = cut;
  sure.push_back("--yes-lose-records");
  const json done = RunJson(sure);
  EXPECT_EQ(done["done"], true);
  EXPECT_EQ(done["lost"], plan["lost"]);
  EXPECT_EQ(done["kept_position"], damaged.first - 1);
  EXPECT_GT(done["lost"]["acknowledged_records"], 100);
  EXPECT_TRUE(fs::exists(Shard("ledger", 0) + "/aside-1/CUT"));
  const json verified = RunJson({"log", "verify", Path("ledger")});
  EXPECT_EQ(verified["shards"][0]["position"], damaged.first - 1);
  Open("ledger");
  Accrue(5'000, 20);
  Close();
  EXPECT_EQ(Run({"log", "verify", Path("ledger")}).status, 0);
  EXPECT_THAT(Run(sure).errors, Not(HasSubstr("half done")));
}

TEST_F(LogCommands, CutTakesSegmentAndOffsetAndMovesNewerSnapshots) {
  Create("ledger", 1);
  Accrue(1, 20);
  ASSERT_TRUE(ledger_->Snapshot().ok());
  Accrue(21, 20);
  ASSERT_TRUE(ledger_->Snapshot().ok());
  Close();
  const std::vector<Place> blocks = Blocks("ledger", 0);
  const Place place = blocks[30];
  const json done = RunJson({"log", "cut", Path("ledger"), "--shard", "0", "--at",
                             std::to_string(place.segment) + ":" + std::to_string(place.offset),
                             "--yes-lose-records"});
  EXPECT_EQ(done["kept_position"], place.first - 1);
  EXPECT_EQ(done["lost"]["snapshots"].size(), 1u);
  EXPECT_EQ(RunJson({"log", "verify", Path("ledger")})["sound_snapshots"], 1);
}

TEST_F(LogCommands, CutRefusesPlacesWhereItCannotCut) {
  Create("ledger", 1);
  Accrue(1, 600);
  Close();
  const auto error = [&](const std::string& at, const std::string& shard = "0") {
    const Ran ran =
        Run({"log", "cut", Path("ledger"), "--shard", shard, "--at", at, "--yes-lose-records"});
    EXPECT_EQ(ran.status, 1) << at;
    return ran.errors;
  };
  const std::vector<Place> blocks = Blocks("ledger", 0);
  const auto put = std::find_if(blocks.begin(), blocks.end(),
                                [](const Place& place) { return place.last > place.first; });
  ASSERT_NE(put, blocks.end());
  EXPECT_THAT(error(std::to_string(put->last)), HasSubstr("lies inside a block"));
  EXPECT_THAT(error("999999"), HasSubstr("no block begins there: the log ends with position"));
  EXPECT_THAT(error(std::to_string(blocks.back().last + 1)), HasSubstr("there is nothing to cut"));
  EXPECT_THAT(error("1"), HasSubstr("nothing would be left"));
  EXPECT_THAT(error("half"), HasSubstr("is no place in a log"));
  EXPECT_THAT(error("5", "1"), HasSubstr("there is no shard 1"));
  const Place damaged = BlockOf("ledger", 0, 2);
  Flip("ledger", 0, damaged);
  EXPECT_THAT(error(std::to_string(damaged.first + 5)),
              HasSubstr("the log is damaged before that place, at position " +
                        std::to_string(damaged.first)));
  EXPECT_FALSE(fs::exists(Shard("ledger", 0) + "/aside-1"));
}

// The log lost its end; a snapshot shows it.
TEST_F(LogCommands, ASnapshotThatTheLogDoesNotReachIsALoss) {
  Create("ledger", 1);
  Accrue(1, 30);
  ASSERT_TRUE(ledger_->Snapshot().ok());
  Close();
  Copy("ledger", "whole");
  Open("ledger");
  Accrue(100, 30);
  ASSERT_TRUE(ledger_->Snapshot().ok());
  Close();
  const uint64_t last = Blocks("ledger", 0).back().segment;
  ASSERT_GT(last, 1u);
  std::filesystem::remove(File("ledger", 0, last));
  LedgerOptions options;
  options.directory = Path("ledger");
  options.durability = wal::Durability::kNone;
  EXPECT_THAT(Ledger::Open(options).status().ToString(), HasSubstr("but the log does not have it"));
  const nlohmann::json verified = RunJson({"log", "verify", Path("ledger")}, 1);
  ASSERT_EQ(verified["problems"].size(), 1u) << verified;
  const Position end = RunJson({"log", "replay", Path("ledger")})["shards"][0]["position"];
  EXPECT_THAT(verified["problems"][0]["to_do"].dump(),
              HasSubstr("--shard 0 --at " + std::to_string(end + 1)));
  const std::vector<std::string> cut = {"log", "cut",  Path("ledger"),         "--shard",
                                        "0",   "--at", std::to_string(end + 1)};
  EXPECT_THAT(Run(cut).errors, HasSubstr("and the snapshots of positions"));
  std::vector<std::string> done = cut;
  done.push_back("--yes-lose-records");
  EXPECT_EQ(Run(done).status, 0);
  EXPECT_EQ(Run({"log", "verify", Path("ledger")}).status, 0);
  Open("ledger");
  EXPECT_EQ(ledger_->Totals(kProgram)->issued, 150);
  Close();
}

}  // namespace
}  // namespace tallystick
