// What the tools make of a ledger whose first segments its archive's limits have removed.

#include <gmock/gmock.h>

#include <functional>

#include "tests/api/log_commands.h"

namespace tallystick {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class ShortenedLog : public LogCommands {
 protected:
  // "whole" and, with the same records, "ledger", of which only the newest archives are left.
  void SetUp() override {
    options_.directory = Path("whole");
    options_.create = true;
    options_.shards = 2;
    options_.manual = true;
    options_.segment_bytes = 512 << 10;
    options_.durability = wal::Durability::kNone;  // nothing here cuts the power
    options_.snapshot_interval_ms = 0;
    options_.snapshot_log_bytes = 0;
    options_.disk_reserve_bytes = 0;
    OpenWith(options_);
    PutProgram();
    for (int i = 0; i < 3; ++i) {
      Accrue(1 + i * 200, 200);
      ASSERT_TRUE(ledger_->Snapshot().ok());
    }
    Accrue(1000, 20);
    Work();
    Close();
    Copy("whole", "ledger");
    options_.create = false;
    options_.directory = Path("ledger");
    options_.archive_keep_bytes = 1;
    OpenWith(options_);
    Work();
    Close();
    ASSERT_FALSE(fs::exists(Shard("ledger", 0) + "/archive/0000000000000001.arc"));
  }
  void OpenWith(const LedgerOptions& options) {
    auto opened = Ledger::Open(options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    ledger_ = *std::move(opened);
  }
  void Work() {
    for (int quiet = 0; quiet < 20;) quiet = ledger_->Step(0) ? 0 : quiet + 1;
  }
  Position Beginning(int shard) const {
    return RunJson({"log", "replay", Path("ledger")})["shards"][shard]["first_position"];
  }
  void ExpectRefusal(const std::vector<std::string>& arguments, const std::string& why) const {
    const Ran ran = Run(arguments);
    EXPECT_NE(ran.status, 0);
    EXPECT_THAT(ran.errors, HasSubstr(why));
  }

  LedgerOptions options_;
};

TEST_F(ShortenedLog, IsSoundIfItsLimitsSaySo) {
  const json sound = RunJson({"log", "verify", Path("ledger")});
  EXPECT_THAT(sound["problems"], IsEmpty());
  EXPECT_THAT(sound["notes"].dump(), HasSubstr("were removed as the archive's limits say"));
  EXPECT_EQ(sound["digest"], RunJson({"log", "verify", Path("whole")})["digest"]);
  EXPECT_EQ(Run({"snapshot", "verify", Path("ledger"), "--replay"}).status, 0);

  for (const auto& file : fs::directory_iterator(Shard("ledger", 1) + "/archive")) {
    if (file.path().extension() == ".gone") fs::remove(file.path());
  }
  const json lost = RunJson({"log", "verify", Path("ledger")}, 1);
  ASSERT_EQ(lost["problems"].size(), 1u) << lost;
  EXPECT_EQ(lost["problems"][0]["shard"], 1);
  EXPECT_THAT(lost["problems"][0]["cause"].dump(),
              HasSubstr("no limit of the archive removed them"));
}

TEST_F(ShortenedLog, WithoutItsSnapshotsCannotBeReplayed) {
  for (const auto& file : fs::directory_iterator(Shard("ledger", 1))) {
    if (file.path().extension() == ".snap") fs::remove(file.path());
  }
  const json verified = RunJson({"log", "verify", Path("ledger")}, 1);
  ASSERT_EQ(verified["problems"].size(), 1u) << verified;
  EXPECT_THAT(verified["problems"][0]["cause"].dump(), HasSubstr("no sound snapshot"));
  ExpectRefusal({"log", "replay", Path("ledger")}, "no sound snapshot");
}

TEST_F(ShortenedLog, ReplaysFromItsOldestSnapshot) {
  const json whole = RunJson({"log", "replay", Path("whole")});
  const json shortened = RunJson({"log", "replay", Path("ledger")});
  EXPECT_EQ(shortened["digest"], whole["digest"]);
  EXPECT_EQ(shortened["programs"], whole["programs"]);
  for (int shard = 0; shard < 2; ++shard) {
    const Position first = shortened["shards"][shard]["first_position"];
    ASSERT_GT(first, 1u);
    const std::string before = "0:" + std::to_string(Beginning(0) - (shard == 0 ? 2 : 1)) +
                               ",1:" + std::to_string(Beginning(1) - (shard == 1 ? 2 : 1));
    ExpectRefusal({"log", "replay", Path("ledger"), "--to", before},
                  "the log of shard " + std::to_string(shard) + " can be replayed to position " +
                      std::to_string(first - 1));
  }
  const std::string at =
      "0:" + std::to_string(Beginning(0) - 1) + ",1:" + std::to_string(Beginning(1) + 7);
  EXPECT_EQ(RunJson({"log", "replay", Path("ledger"), "--to", at})["digest"],
            RunJson({"log", "replay", Path("whole"), "--to", at})["digest"]);
  ExpectRefusal({"log", "replay", Path("ledger"), "--to", "2024-01-01"}, "can be replayed to");
}

TEST_F(ShortenedLog, IsShownAndCountedFromItsOldestBlock) {
  const Ran dumped = Run({"log", "dump", Path("ledger"), "--json", "--shard", "0"});
  EXPECT_EQ(dumped.status, 0);
  EXPECT_THAT(dumped.errors, HasSubstr("shard 0: the log begins at position"));
  const json first = json::parse(dumped.output.substr(0, dumped.output.find('\n')));
  EXPECT_GT(first["position"], 1);
  EXPECT_LE(first["position"], Beginning(0));
  EXPECT_EQ(Run({"log", "stat", Path("ledger")}).status, 0);
}

TEST_F(ShortenedLog, OpensItsBooksWithTheSnapshot) {
  const json whole = RunJson({"audit", Path("whole")})["programs"][0];
  const json audit = RunJson({"audit", Path("ledger")});
  EXPECT_EQ(audit["shards"][0]["opening_position"], Beginning(0) - 1);
  const json program = audit["programs"][0];
  EXPECT_EQ(program["closing"], whole["closing"]);
  EXPECT_GT(program["opening"]["issued"], 0);
  EXPECT_LT(program["movements"]["issued"], whole["movements"]["issued"]);
  for (const auto& [name, value] : program["closing"].items()) {
    EXPECT_EQ(program["opening"][name].get<int64_t>() + program["movements"][name].get<int64_t>(),
              value.get<int64_t>())
        << name;
  }
  const json tomorrow = RunJson({"audit", Path("ledger"), "--until", "2024-01-01"})["programs"][0];
  EXPECT_EQ(tomorrow["closing"], program["opening"]);
  EXPECT_THAT(Run({"audit", Path("ledger")}).output, HasSubstr("Shard 1 opens with the snapshot"));
  ExpectRefusal({"audit", Path("ledger"), "--member", "1", "--proof", Path("proof.json")},
                "which a proof needs");
  EXPECT_FALSE(fs::exists(Path("proof.json")));
}

TEST_F(ShortenedLog, IsExportedBehindWhatWasExportedBefore) {
  ExpectRefusal({"log", "export", Path("ledger"), "--to-csv", Path("all.csv")},
                "go on from an export that reaches so far");
  EXPECT_FALSE(fs::exists(Path("all.csv")));
  ASSERT_EQ(Run({"log", "export", Path("whole"), "--sqlite", Path("ledger.db")}).status, 0);
  options_.archive_keep_bytes = 0;
  OpenWith(options_);
  Accrue(2000, 30);
  Close();
  const json more = RunJson({"log", "export", Path("ledger"), "--sqlite", Path("ledger.db")});
  EXPECT_EQ(more["records"], 30);
  const std::string from =
      "0:" + std::to_string(Beginning(0) - 1) + ",1:" + std::to_string(Beginning(1) - 1);
  const json rest =
      RunJson({"log", "export", Path("ledger"), "--to-csv", Path("rest.csv"), "--from", from});
  EXPECT_GT(rest["records"], 30);
}

TEST_F(ShortenedLog, IsRestoredFromItsSnapshotOn) {
  ASSERT_EQ(Run({"restore", Path("ledger"), "--to", "2100-01-01", "--into", Path("new")}).status,
            0);
  EXPECT_EQ(RunJson({"log", "verify", Path("new")})["digest"],
            RunJson({"log", "verify", Path("ledger")})["digest"]);
  EXPECT_EQ(Run({"log", "diff", Path("ledger"), Path("new")}).status, 0);
  Open("new");
  Accrue(3000, 10);
  Close();
  EXPECT_EQ(Run({"log", "verify", Path("new")}).status, 0);

  // Into the middle, and to the snapshot itself.
  for (const Position more : {0, 9}) {
    const std::string at =
        "0:" + std::to_string(Beginning(0) - 1 + more) + ",1:" + std::to_string(Beginning(1) - 1);
    const std::string into = Path("new" + std::to_string(more));
    ASSERT_EQ(Run({"restore", Path("ledger"), "--to", at, "--into", into}).status, 0);
    EXPECT_EQ(RunJson({"log", "verify", into})["digest"],
              RunJson({"log", "replay", Path("whole"), "--to", at})["digest"]);
  }
  ExpectRefusal({"restore", Path("ledger"), "--to", "5", "--into", Path("early")},
                "can be replayed to");
  EXPECT_FALSE(fs::exists(Path("early")));
}

TEST_F(ShortenedLog, IsComparedFromWhereBothBegin) {
  const json parts = RunJson({"log", "diff", Path("whole"), Path("ledger")}, 1);
  // The second was opened once more.
  const json whole = RunJson({"log", "replay", Path("whole")});
  for (int shard = 0; shard < 2; ++shard) {
    EXPECT_EQ(parts["shards"][shard]["position"],
              whole["shards"][shard]["position"].get<Position>() + 1);
    EXPECT_TRUE(parts["shards"][shard]["first"].is_null());
  }
}

TEST_F(ShortenedLog, IsNotCutBeforeItsSnapshots) {
  const std::string before = std::to_string(Beginning(0) - 1);
  const auto blocks = Run({"log", "cut", Path("ledger"), "--shard", "0", "--at", before});
  EXPECT_NE(blocks.status, 0);
  EXPECT_THAT(blocks.errors, HasSubstr("what is left could not be opened"));
}

TEST_F(ShortenedLog, IsNotResharded) {
  ExpectRefusal({"reshard", Path("ledger"), "--shards", "3", "--into", Path("new")},
                "put the older segments back");
}

// A crash between archiving a segment and giving it up leaves both; either may be damaged.
TEST_F(ShortenedLog, ASegmentThatIsPlainAndArchivedIsCheckedInBothPlaces) {
  const std::string name = "0000000000000001.log";
  options_.directory = Path("twins");
  options_.create = true;
  options_.shards = 1;
  options_.archive = false;
  options_.archive_keep_bytes = 0;
  OpenWith(options_);
  PutProgram();
  for (int i = 0; i < 3; ++i) {
    Accrue(1 + i * 200, 200);
    ASSERT_TRUE(ledger_->Snapshot().ok());
  }
  Close();
  fs::copy(Shard("twins", 0) + "/" + name, Path(name));
  options_.create = false;
  options_.archive = true;
  OpenWith(options_);
  Work();
  Close();
  ASSERT_FALSE(fs::exists(File("twins", 0, 1)));
  fs::copy(Path(name), File("twins", 0, 1));
  EXPECT_EQ(Run({"log", "verify", Path("twins")}).status, 0);

  Place block;
  for (const Place& place : Blocks("twins", 0)) {
    if (place.segment == 1 && place.records) block = place;
  }
  Flip("twins", 0, block);
  const json damaged = RunJson({"log", "verify", Path("twins")}, 1);
  ASSERT_EQ(damaged["problems"].size(), 1u) << damaged;
  EXPECT_EQ(damaged["problems"][0]["path"], File("twins", 0, 1));
  EXPECT_THAT(damaged["problems"][0]["to_do"].dump(), HasSubstr("Nothing is lost"));

  fs::copy(Path(name), File("twins", 0, 1), fs::copy_options::overwrite_existing);
  const std::string archive = Shard("twins", 0) + "/archive/0000000000000001.arc";
  fs::resize_file(archive, fs::file_size(archive) - 4'096);
  const json cut = RunJson({"log", "verify", Path("twins")}, 1);
  ASSERT_EQ(cut["problems"].size(), 1u) << cut;
  EXPECT_EQ(cut["problems"][0]["path"], archive);
}

}  // namespace
}  // namespace tallystick
