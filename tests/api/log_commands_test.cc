// tally log dump, replay, diff and stat, and tally snapshot diff, on ledgers that nobody serves.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "api/instants.h"
#include "api/ledger_files.h"
#include "tests/api/log_commands.h"

namespace tallystick {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

// ---- wrong input, for all ----

TEST_F(LogCommands, EachSaysWhatIsWrongWithADirectory) {
  Create("ledger", 1);
  const std::vector<std::vector<std::string>> commands = {
      {"log", "verify"}, {"log", "dump"}, {"log", "replay"},   {"log", "stat"},
      {"log", "cut"},    {"log", "diff"}, {"snapshot", "diff"}};
  for (const auto& words : commands) {
    const auto of = [&](const std::string& directory) {
      std::vector<std::string> command = words;
      command.push_back(directory);
      if (words[1] == "diff") command.push_back(directory);
      if (words[1] == "cut") command.insert(command.end(), {"--shard", "0", "--at", "5"});
      return Run(command);
    };
    EXPECT_THAT(of(Path("nowhere")).errors, HasSubstr("holds no ledger")) << words[1];
    EXPECT_EQ(of(Path("nowhere")).status, 1);
    EXPECT_THAT(of(Path("ledger")).errors, HasSubstr("is in use by a tallyd, or by a tool that "));
    EXPECT_EQ(of(Path("ledger")).status, 1);
  }
}

TEST_F(LogCommands, ReadersShareTheLedgerAndKeepOutWhoWouldChangeIt) {
  Create("ledger", 1);
  Accrue(1, 5);
  ASSERT_TRUE(ledger_->Snapshot().ok());
  Close();
  auto io = wal::PosixIo::Create();
  const auto reading = LockLedgerToRead(**io, Path("ledger"));
  ASSERT_TRUE(reading.ok()) << reading.status();
  for (const char* verb : {"verify", "dump", "replay", "stat"}) {
    EXPECT_EQ(Run({"log", verb, Path("ledger")}).status, 0) << verb;
  }
  for (const char* what : {"log", "snapshot"}) {
    EXPECT_EQ(Run({what, "diff", Path("ledger"), Path("ledger")}).status, 0) << what;
  }
  EXPECT_EQ(Run({"log", "export", Path("ledger"), "--to-csv", Path("csv")}).status, 0);
  EXPECT_EQ(Run({"restore", Path("ledger"), "--to", "3", "--into", Path("new")}).status, 0);
  EXPECT_THAT(Run({"log", "cut", Path("ledger"), "--shard", "0", "--at", "3"}).errors,
              HasSubstr("is in use by a tallyd, or by a tool that reads or changes it"));
  LedgerOptions options;
  options.directory = Path("ledger");
  EXPECT_THAT(std::string(Ledger::Open(options).status().message()),
              HasSubstr("or a tool reading it?"));
  (*io)->Close(*reading);
}

TEST_F(LogCommands, WhatCannotBeLockedIsReadWithAWord) {
  Create("ledger", 1);
  Accrue(1, 5);
  Close();
  fs::remove(Path("ledger") + "/LOCK");
  fs::create_symlink("LOCK", Path("ledger") + "/LOCK");
  const Ran ran = Run({"log", "replay", Path("ledger")});
  EXPECT_EQ(ran.status, 0);
  EXPECT_THAT(ran.errors, AllOf(HasSubstr("cannot open the lock " + Path("ledger") + "/LOCK"),
                                HasSubstr("it is read all the same")));
  EXPECT_EQ(std::count(ran.errors.begin(), ran.errors.end(), '\n'), 1);
}

// ---- dump ----

TEST_F(LogCommands, DumpShowsWhatPassesTheFilters) {
  Create("ledger", 2, ClockMode::kImport);
  for (uint64_t i = 1; i <= 20; ++i) {
    Apply(Kind::Accrue, i, 1 + i % 4, 10, kStart + static_cast<Instant>(i) * kDay);
  }
  Apply(Kind::Redeem, 21, 1, 15, kStart + 21 * kDay);
  Close();
  EXPECT_EQ(Dump({}).size(), 23u);  // the program on both shards
  EXPECT_EQ(Dump({"--kind", "accrue"}).size(), 20u);
  EXPECT_EQ(Dump({"--kind", "accrue", "--kind", "redeem"}).size(), 21u);
  EXPECT_EQ(Dump({"--member", "1"}).size(), 6u);
  EXPECT_EQ(Dump({"--member", "1", "--kind", "redeem"})[0]["points"], -15);
  EXPECT_EQ(Dump({"--id", "7"}).size(), 1u);
  EXPECT_EQ(Dump({"--program", "8"}).size(), 0u);
  EXPECT_EQ(Dump({"--kind", "accrue", "--since", "2024-01-05"}).size(), 17u);
  EXPECT_EQ(Dump({"--kind", "accrue", "--since", "2024-01-05", "--until", "2024-01-06"}).size(),
            1u);
  const auto of_shard = Dump({"--shard", "1"});
  EXPECT_EQ(of_shard.size() + Dump({"--shard", "0"}).size(), 23u);
  for (const json& record : of_shard) EXPECT_EQ(record["shard"], 1);
  const json position = of_shard.back()["position"];
  EXPECT_EQ(Dump({"--shard", "1", "--from", position.dump(), "--to", position.dump()}).size(), 1u);
  const auto puts = Dump({"--kind", "program_put"});
  ASSERT_EQ(puts.size(), 2u);
  EXPECT_EQ(puts[0]["rules"]["name"], "Tools");
  EXPECT_THAT(Run({"log", "dump", Path("ledger")}).output, HasSubstr("version 1 of \"Tools\""));
}

TEST_F(LogCommands, DumpRefusesFiltersThatMeanNothing) {
  Create("ledger", 1);
  Close();
  EXPECT_THAT(Run({"log", "dump", Path("ledger"), "--kind", "gift"}).errors,
              HasSubstr("\"gift\" is no kind of record; there are "));
  EXPECT_EQ(Run({"log", "dump", Path("ledger"), "--since", "yesterday"}).status, 1);
  EXPECT_THAT(Run({"log", "dump", Path("ledger"), "--shard", "3"}).errors,
              HasSubstr("there is no shard 3"));
  EXPECT_EQ(Run({"log", "dump", Path("ledger"), "--member", "0"}).status, 1);
  EXPECT_THAT(Run({"log", "dump", Path("ledger"), "--from", "10", "--to", "5"}).errors,
              HasSubstr("--from 10 is behind --to 5"));
  EXPECT_THAT(
      Run({"log", "dump", Path("ledger"), "--since", "2024-02-01", "--until", "2024-01-01"}).errors,
      HasSubstr("--since 2024-02-01 is not before --until 2024-01-01"));
}

TEST_F(LogCommands, NumbersWithoutASignRefuseOne) {
  Create("ledger", 1);
  Close();
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"log", "dump", Path("ledger"), "--from", "-1"},
           {"log", "dump", Path("ledger"), "--to=-18446744073709551615"},
           {"log", "dump", Path("ledger"), "--shard", "-1"},
           {"log", "cut", Path("ledger"), "--shard", "-1", "--at", "3"},
           {"log", "follow", "--shard", "-1"},
           {"sample-orders", "--seed", "-1"}}) {
    const Ran ran = Run(command);
    EXPECT_EQ(ran.status, 2) << command[1];
    EXPECT_LE(ran.errors.size(), 120u) << ran.errors;
  }
}

TEST_F(LogCommands, ADirectoryHasAName) {
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"log", "verify", ""},
                                             {"log", "diff", "", ""},
                                             {"log", "export", "", "--to-csv", "x"},
                                             {"audit", ""},
                                             {"snapshot", "list", ""}}) {
    const Ran ran = Run(command);
    EXPECT_EQ(ran.status, 2) << command[1];
    EXPECT_THAT(ran.errors, HasSubstr("is empty"));
  }
}

// ---- replay ----

TEST_F(LogCommands, ReplayStopsAtAnInstantOfTheOrders) {
  Create("ledger", 2, ClockMode::kImport);
  for (uint64_t i = 1; i <= 20; ++i) {
    Apply(Kind::Accrue, i, 1 + i % 4, 10, kStart + static_cast<Instant>(i) * kDay);
  }
  Close();
  for (int day = 1; day <= 20; ++day) {
    const Instant at = kStart + day * kDay;
    const json exact = RunJson({"log", "replay", Path("ledger"), "--to", FormatInstant(at)});
    EXPECT_EQ(exact["programs"][0]["issued"], 10 * day);
    EXPECT_EQ(exact["time"], FormatInstant(at));
    const json before = RunJson({"log", "replay", Path("ledger"), "--to", FormatInstant(at - 1)});
    EXPECT_EQ(before["programs"].empty() ? json(0) : before["programs"][0]["issued"],
              10 * (day - 1));
  }
}

TEST_F(LogCommands, ReplayStopsAtAnInstantOfTheClock) {
  Create("ledger", 1);
  Accrue(1, 10);
  const Instant between = Now();
  while (Now() <= between) {
  }
  Accrue(11, 10);
  Close();
  EXPECT_EQ(RunJson({"log", "replay", Path("ledger"), "--to",
                     FormatInstant(between)})["programs"][0]["issued"],
            50);
  EXPECT_EQ(RunJson({"log", "replay", Path("ledger"), "--to", "2999-01-01"})["digest"],
            RunJson({"log", "replay", Path("ledger")})["digest"]);
}

TEST_F(LogCommands, ReplayTakesAPositionOfEachShard) {
  Create("ledger", 2);
  Accrue(1, 40);
  Close();
  const json whole = RunJson({"log", "replay", Path("ledger")});
  const auto position = [&](int shard) { return whole["shards"][shard]["position"].dump(); };
  const json both =
      RunJson({"log", "replay", Path("ledger"), "--to", "0:" + position(0) + ",1:" + position(1)});
  EXPECT_EQ(both["digest"], whole["digest"]);
  const json part = RunJson({"log", "replay", Path("ledger"), "--to", "0:" + position(0) + ",1:1"});
  EXPECT_EQ(part["shards"][1]["position"], 1);
  EXPECT_LT(part["programs"][0]["issued"], whole["programs"][0]["issued"]);
  const auto error = [&](const std::string& to) {
    const Ran ran = Run({"log", "replay", Path("ledger"), "--to", to});
    EXPECT_EQ(ran.status, 1);
    EXPECT_EQ(ran.output, "");
    return ran.errors;
  };
  EXPECT_THAT(error("0:5"), HasSubstr("a position is missing for shard 1"));
  EXPECT_THAT(error("0:5,1:5,2:5"), HasSubstr("there is no shard 2"));
  EXPECT_THAT(error("0:5,1:999999"), HasSubstr("the log of shard 1 ends with position "));
  EXPECT_THAT(error("999999"), HasSubstr("no shard's log has a position 999999"));
  EXPECT_THAT(error("18446744073709551615"), HasSubstr("no shard's log has a position 184467440"));
  EXPECT_THAT(error("0:5,0:6"), HasSubstr("named twice"));
  EXPECT_THAT(error("soon"), HasSubstr("is no point of a log"));
}

// ---- diff ----

TEST_F(LogCommands, DiffSaysWhereLogsPart) {
  Create("ledger", 2);
  Accrue(1, 20);
  ASSERT_TRUE(ledger_->Snapshot().ok());
  Close();
  Copy("ledger", "copy");
  EXPECT_EQ(Run({"log", "diff", Path("ledger"), Path("copy")}).output, "The logs are the same.\n");
  EXPECT_EQ(Run({"snapshot", "diff", Path("ledger"), Path("copy")}).status, 0);

  Open("copy");
  Apply(Kind::Accrue, 100, 3, 5, Now());
  Close();
  const json longer = RunJson({"log", "diff", Path("ledger"), Path("copy")}, 1);
  EXPECT_EQ(longer["equal"], false);
  EXPECT_EQ(longer["identity"].size(), 0u);
  ASSERT_EQ(longer["shards"].size(), 2u);  // the other one was opened too
  EXPECT_TRUE(longer["shards"][0]["first"].is_null());
  EXPECT_THAT(Run({"log", "diff", Path("ledger"), Path("copy")}).output,
              HasSubstr("the first ends at position "));

  Open("ledger");
  Apply(Kind::Accrue, 100, 3, 7, Now());
  Close();
  const json parted = RunJson({"log", "diff", Path("ledger"), Path("copy")}, 1);
  ASSERT_FALSE(parted["shards"].empty());
  for (const json& shard : parted["shards"]) EXPECT_FALSE(shard["fields"].empty()) << shard;
}

TEST_F(LogCommands, DiffNamesTheFieldsOfTheRecordsThatDiffer) {
  for (const char* name : {"ledger", "other"}) {
    Create(name, 1, ClockMode::kImport);
    for (uint64_t i = 1; i <= 9; ++i) {
      const bool differs = i == 6 && std::string(name) == "other";
      Apply(Kind::Accrue, i, 2, differs ? 8 : 7, kStart + static_cast<Instant>(i) * kDay);
    }
    ASSERT_TRUE(ledger_->Snapshot().ok());
    Close();
  }
  const json logs = RunJson({"log", "diff", Path("ledger"), Path("other")}, 1);
  ASSERT_EQ(logs["identity"].size(), 1u);
  EXPECT_EQ(logs["identity"][0]["field"], "ledger_id");
  const json states = RunJson({"snapshot", "diff", Path("ledger"), Path("other")}, 1);
  EXPECT_EQ(states["equal"], false);
  const json& shard = states["shards"][0];
  EXPECT_EQ(shard["differing_accounts"], 1);
  EXPECT_EQ(shard["differing_receipts"], 4) << "of that operation, and the balances behind it";
  bool issued = false;
  for (const json& field : shard["programs"][0]["fields"]) {
    issued =
        issued || (field["field"] == "issued" && field["first"] == 63 && field["second"] == 64);
  }
  EXPECT_TRUE(issued) << shard["programs"];
  const Ran text = Run({"snapshot", "diff", Path("ledger"), Path("other")});
  EXPECT_THAT(text.output,
              AllOf(HasSubstr("account of member 2 in program 7: available: 63 in the first, 64"),
                    HasSubstr("receipt of member 2 in program 7, id 6: amount: 7 in the first")));
}

TEST_F(LogCommands, DiffOfOtherCountsOfShardsIsOfTheIdentity) {
  for (const uint16_t shards : {1, 2}) {
    Create("of" + std::to_string(shards), shards);
    Close();
  }
  const json logs = RunJson({"log", "diff", Path("of1"), Path("of2")}, 1);
  EXPECT_EQ(logs["identity"].size(), 2u);
  EXPECT_EQ(logs["shards"].size(), 0u);
  EXPECT_THAT(Run({"snapshot", "diff", Path("of1"), Path("of2")}).errors,
              HasSubstr("the first ledger has 1 shards, the second 2"));
}

// ---- stat ----

TEST_F(LogCommands, StatCountsWhatTheLogHolds) {
  Create("ledger", 2, ClockMode::kImport);
  for (uint64_t i = 1; i <= 30; ++i) {
    Apply(Kind::Accrue, i, 1 + i % 6, 10, kStart + static_cast<Instant>(i) * kDay);
  }
  Apply(Kind::Redeem, 31, 1, 15, kStart + 31 * kDay);
  ASSERT_TRUE(ledger_->Snapshot().ok());
  Close();
  const json stats = RunJson({"log", "stat", Path("ledger"), "--html", Path("page.html")});
  EXPECT_EQ(stats["records"], 33);
  EXPECT_EQ(stats["members"], 6);
  EXPECT_EQ(stats["kinds"]["accrue"]["points"], 300);
  EXPECT_EQ(stats["kinds"]["redeem"]["points"], -15);
  EXPECT_EQ(stats["outcomes"]["ok"], 33);
  EXPECT_EQ(stats["occurred"]["first"], FormatInstant(kStart + kDay));
  EXPECT_EQ(stats["occurred"]["last"], FormatInstant(kStart + 31 * kDay));
  EXPECT_EQ(stats["snapshots"].size(), 2u);
  EXPECT_EQ(stats["segments"].size(), 2u);
  uint64_t rated = 0;
  for (const json& rate : stats["rates"]["steps"]) rated += rate["records"].get<uint64_t>();
  EXPECT_EQ(rated, 33u);
  std::stringstream page;
  page << std::ifstream(Path("page.html")).rdbuf();
  EXPECT_THAT(page.str(), AllOf(HasSubstr("<polyline"), HasSubstr("Records a second"),
                                HasSubstr("Records in a block"), HasSubstr("</html>")));
  EXPECT_THAT(
      Run({"log", "stat", Path("ledger")}).output,
      AllOf(HasSubstr("6 members seen"), HasSubstr(" by when it was written, from\n"),
            HasSubstr(" by when it occurred, from\n  20"), HasSubstr(" of 1048576 bytes\n")));
  EXPECT_EQ(Run({"log", "stat", Path("ledger"), "--html", Path("missing/page.html")}).status, 1);
  // A page that cannot be written whole is not there.
  fs::create_directories(Path("page2.html.unfinished"));
  EXPECT_EQ(Run({"log", "stat", Path("ledger"), "--html", Path("page2.html")}).status, 1);
  EXPECT_FALSE(fs::exists(Path("page2.html")));
}

// ---- snapshots ----

TEST_F(LogCommands, ProblemsOfSnapshotsHaveTheirPlace) {
  Create("ledger", 1);
  Accrue(1, 5);
  ASSERT_TRUE(ledger_->Snapshot().ok());
  Accrue(6, 5);
  ASSERT_TRUE(ledger_->Snapshot().ok());
  Close();
  const json sound = RunJson({"snapshot", "verify", Path("ledger")});
  ASSERT_EQ(sound["snapshots"].size(), 2u);
  const json position = sound["snapshots"][0]["position"];
  std::string path;
  for (const auto& entry : fs::directory_iterator(Shard("ledger", 0))) {
    if (entry.path().extension() == ".snap" && (path.empty() || entry.path() < path)) {
      path = entry.path();
    }
  }
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).put('x');
  for (const char* verb : {"list", "verify"}) {
    const json found = RunJson({"snapshot", verb, Path("ledger")}, 1);
    ASSERT_EQ(found["snapshots"].size(), 2u);
    EXPECT_EQ(found["snapshots"][0],
              json({{"shard", 0}, {"position", position}, {"sound", false}}));
    ASSERT_EQ(found["problems"].size(), 1u);
    const json& problem = found["problems"][0];
    EXPECT_EQ(problem["shard"], 0);
    EXPECT_EQ(problem["position"], position);
    EXPECT_EQ(problem["path"], path);
    EXPECT_EQ(problem["cause"], "offset 0: the snapshot is damaged: no chunk begins here");
    EXPECT_EQ(Run({"snapshot", verb, Path("ledger")}).errors,
              "tally: " + path + ": offset 0: the snapshot is damaged: no chunk begins here\n");
  }
}

TEST_F(LogCommands, SnapshotDiffSaysWhatItHasNotCompared) {
  Create("ledger", 1);
  Accrue(1, 5);
  ASSERT_TRUE(ledger_->Snapshot().ok());
  Close();
  Copy("ledger", "copy");
  Open("copy");
  Accrue(6, 5);
  ASSERT_TRUE(ledger_->Snapshot().ok());
  Close();
  const json states = RunJson({"snapshot", "diff", Path("ledger"), Path("copy")});
  EXPECT_TRUE(states["equal"]);
  const json& shard = states["shards"][0];
  EXPECT_EQ(shard["newest"]["first"], shard["first"]["position"]);
  EXPECT_GT(shard["newest"]["second"], shard["second"]["position"]);
  EXPECT_THAT(Run({"snapshot", "diff", Path("ledger"), Path("copy")}).output,
              HasSubstr("compared at the newest position that both have; their newest snapshots"));
}

// ---- failures in JSON ----

TEST_F(LogCommands, WithJsonAFailureIsAnObject) {
  Create("ledger", 1);
  Accrue(1, 50);
  const auto fails = [&](const std::vector<std::string>& command, const std::string& says) {
    const json told = RunJson(command, 1);
    ASSERT_TRUE(told.is_object()) << told;
    EXPECT_EQ(told.size(), 1u) << told;
    EXPECT_THAT(told.value("error", ""), HasSubstr(says)) << command[0] << " " << command[1];
  };
  const auto each_fails = [&](const std::string& directory, const std::string& says) {
    for (const char* verb : {"verify", "dump", "replay", "stat"})
      fails({"log", verb, directory}, says);
    fails({"log", "diff", directory, directory}, says);
    fails({"log", "export", directory, "--to-csv", Path("csv")}, says);
    fails({"audit", directory}, says);
    fails({"restore", directory, "--to", "3", "--into", Path("new")}, says);
    fails({"reshard", directory, "--shards", "3", "--into", Path("new")}, says);
    fails({"upgrade", directory}, says);
  };
  each_fails(Path("ledger"), "is in use by a tallyd");
  Close();
  each_fails(Path("nowhere"), "holds no ledger");
  for (const char* verb : {"list", "verify"}) {
    fails({"snapshot", verb, Path("nowhere")}, "holds no ledger");
  }
  fails({"log", "replay", Path("ledger"), "--to", "999"}, "no shard's log has a position 999");
  fails({"balance", "7", "--program", "1"}, "which server?");

  Flip("ledger", 0, Blocks("ledger", 0)[20]);
  const Ran dump = Run({"log", "dump", Path("ledger"), "--json"});
  EXPECT_EQ(dump.status, 1);
  std::stringstream lines(dump.output);
  std::vector<json> objects;
  for (std::string line; std::getline(lines, line);) objects.push_back(json::parse(line));
  ASSERT_GT(objects.size(), 10u);
  EXPECT_EQ("tally: " + objects.back().value("error", "") + "\n", dump.errors);
  EXPECT_FALSE(objects[objects.size() - 2].contains("error"));
  // An object that says it all is the only one.
  EXPECT_FALSE(RunJson({"log", "verify", Path("ledger")}, 1).contains("error"));
}

// ---- media that cannot be written ----

TEST_F(LogCommands, AllButCutReadWhatCannotBeWritten) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  Create("ledger", 1);
  Accrue(1, 5);
  Close();
  fs::permissions(Path("ledger"), fs::perms::owner_read | fs::perms::owner_exec);
  fs::permissions(Path("ledger") + "/LOCK", fs::perms::owner_read);
  for (const char* verb : {"verify", "dump", "replay", "stat"}) {
    EXPECT_EQ(Run({"log", verb, Path("ledger")}).status, 0) << verb;
  }
  const Ran cut = Run({"log", "cut", Path("ledger"), "--shard", "0", "--at", "3"});
  EXPECT_EQ(cut.status, 1);
  EXPECT_THAT(cut.errors, HasSubstr("LOCK"));
  fs::permissions(Path("ledger"), fs::perms::owner_all);
}

}  // namespace
}  // namespace tallystick
