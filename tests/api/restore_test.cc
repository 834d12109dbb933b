// A ledger's past as a ledger: what a replay to a point gives, as files.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/instants.h"
#include "api/new_ledger.h"
#include "api/program_file.h"
#include "api/replay_block.h"
#include "api/shard_of.h"
#include "api/tally/ledger_log.h"
#include "api/tally/restored_ledger.h"
#include "tests/api/dying_io.h"
#include "tests/api/process.h"
#include "tests/api/random_ledger.h"
#include "wal/posix_io.h"

namespace tallystick {
namespace {

namespace fs = std::filesystem;
using tally::LogPoint;
using tally::Machines;
using tally::OfflineLedger;
using tally::RestoredLedger;
using ::testing::HasSubstr;

Ran RunTally(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), TALLY);
  return RunToEnd(arguments);
}

class Restoring : public ::testing::Test {
 protected:
  Restoring() : folder_(fs::temp_directory_path() / absl::StrCat("restore_test.", getpid())) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    io_ = *wal::PosixIo::Create();
  }
  ~Restoring() override { fs::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ / name; }

  static absl::StatusOr<RestoredLedger> Restore(wal::Io& io, const std::string& from,
                                                const LogPoint& to, const std::string& into) {
    const auto identity = ReadIdentity(io, from);
    if (!identity.ok()) return identity.status();
    const auto made = NewLedger::Begin(io, from, *identity, into);
    if (!made.ok()) return made.status();
    auto restored = tally::RestoreLedger(io, from, *identity, to, (*made)->unfinished());
    if (!restored.ok()) return restored.status();
    if (absl::Status s = (*made)->Publish(*identity); !s.ok()) return s;
    return restored;
  }

  // What a replay of the whole directory to the point gives.
  static void Replay(const std::string& directory, const LogPoint& to, Machines& machines) {
    tally::LedgerReplay replay;
    replay.on_begin = [&](uint16_t shard, tally::ReplayStart& start) {
      machines[shard] = std::move(start.machine);
      return absl::OkStatus();
    };
    replay.on_block = [&](uint16_t shard, const wal::BlockView& block,
                          Position last) -> absl::Status {
      if (last < block.header->first_position) return absl::OkStatus();
      return ReplayBlock(block, directory, *machines[shard], last);
    };
    const auto ledger = OfflineLedger::OpenToRead(directory);
    ASSERT_TRUE(ledger.ok()) << ledger.status();
    const auto logs = tally::ReplayLedgerTo(**ledger, to, replay);
    ASSERT_TRUE(logs.ok()) << logs.status();
  }

  static void ExpectSame(const Machines& a, const Machines& b) {
    ASSERT_EQ(a.size(), b.size());
    for (const auto& [shard, machine] : a) {
      EXPECT_EQ(machine->Digest(), b.at(shard)->Digest()) << "shard " << shard;
      EXPECT_EQ(machine->log_time(), b.at(shard)->log_time()) << "shard " << shard;
    }
  }

  // Restores to the point, and holds the files that are there against a replay of the original.
  // False: it was refused, as points would be nobody's.
  bool Check(const LogPoint& to) {
    fs::remove_all(Path("new"));
    const auto restored = Restore(*io_, Path("old"), to, Path("new"));
    if (!restored.ok()) {
      EXPECT_THAT(std::string(restored.status().message()), HasSubstr("would be nobody's"));
      EXPECT_FALSE(fs::exists(Path("new")));
      return false;
    }
    Machines expected;
    Replay(Path("old"), to, expected);
    Machines found;
    Replay(Path("new"), LogPoint(), found);
    ExpectSame(expected, found);
    ExpectSame(expected, restored->machines);
    return true;
  }

  const fs::path folder_;
  std::unique_ptr<wal::Io> io_;
};

TEST_F(Restoring, EveryPositionGivesWhatAReplayToItGives) {
  for (const ClockMode clock : {ClockMode::kImport, ClockMode::kWall}) {
    SCOPED_TRACE(absl::StrCat("seed 21, clock ", static_cast<int>(clock)));
    fs::remove_all(Path("old"));
    MakeRandomLedger(
        {.directory = Path("old"), .clock = clock, .seed = 21, .requests = 25, .snapshots = 1});
    const auto ledger = OfflineLedger::OpenToRead(Path("old"));
    ASSERT_TRUE(ledger.ok()) << ledger.status();
    const auto logs = tally::ReadLedger(
        **ledger, ~Position{0}, [](uint16_t, const wal::BlockView&) { return absl::OkStatus(); });
    ASSERT_TRUE(logs.ok()) << logs.status();
    const Position end = logs->front().tail.next_position - 1;
    ASSERT_GT(end, 150u);
    for (Position to = 1; to <= end; ++to) {
      SCOPED_TRACE(absl::StrCat("position ", to, " of ", end));
      ASSERT_TRUE(Check(LogPoint(to)));
      if (HasFailure()) return;
    }
  }
}

TEST_F(Restoring, TimesOfTwoShardsAreServedOn) {
  for (const ClockMode clock : {ClockMode::kImport, ClockMode::kWall}) {
    SCOPED_TRACE(absl::StrCat("seed 22, clock ", static_cast<int>(clock)));
    fs::remove_all(Path("old"));
    MakeRandomLedger({.directory = Path("old"),
                      .shards = 2,
                      .clock = clock,
                      .seed = 22,
                      .requests = 60,
                      .snapshots = 2});
    Machines whole;
    Replay(Path("old"), LogPoint(), whole);
    const Instant until = whole.at(0)->log_time();
    const Instant from = clock == ClockMode::kImport ? 1'600'000'000'000'000 : until - 40'000;
    int refused = 0;
    for (int i = 1; i <= 12; ++i) {
      const std::string at = FormatInstant(from + (until - from) / 12 * i);
      SCOPED_TRACE(at);
      const auto to = LogPoint::Parse(at);
      ASSERT_TRUE(to.ok()) << to.status();
      if (!Check(*to)) {
        // A sender's log time may lie behind that at which its receiver has the points.
        EXPECT_EQ(clock, ClockMode::kImport);
        ++refused;
        continue;
      }
      if (HasFailure()) return;
      auto ledger = OpenLedger(Path("new"));
      ASSERT_TRUE(ledger.ok()) << ledger.status();
      if (!(*ledger)->Totals(1).ok() || (*ledger)->Totals(1)->outcome != Outcome::Ok) continue;
      const Operation purchase = AnotherPurchase(**ledger, static_cast<uint64_t>(i));
      const auto result = (*ledger)->Apply(purchase);
      ASSERT_TRUE(result.ok() && result->outcome() == Outcome::Ok) << result.status();
      EXPECT_EQ((*ledger)->Close(), absl::OkStatus());
    }
    EXPECT_LE(refused, 3);
  }
}

// What one shard has received, and the other has not sent; or what one has settled, and the other
// has not received.
TEST_F(Restoring, PositionsThatDivideATransferAreRefusedBeforeAnythingIsWritten) {
  MakeRandomLedger({.directory = Path("old"), .shards = 2, .clock = ClockMode::kWall, .seed = 29});
  const auto dump = [&](const std::string& kind) {
    const Ran ran = RunTally({"log", "dump", Path("old"), "--kind", kind, "--json"});
    std::vector<nlohmann::json> records;
    std::stringstream lines(ran.output);
    for (std::string line; std::getline(lines, line);) {
      records.push_back(nlohmann::json::parse(line));
    }
    return records;
  };
  std::map<std::pair<int, Position>, Position> settled;
  for (const nlohmann::json& done : dump("transfer_done")) {
    settled[{done["shard"], done["transfer_position"]}] = done["position"];
  }
  const auto restore = [&](int from, Position first, Position second) {
    const std::string point = absl::StrCat(from, ":", first, ",", 1 - from, ":", second);
    SCOPED_TRACE(point);
    fs::remove_all(Path("new"));
    fs::remove_all(Path("new.unfinished"));
    const auto restored = Restore(*io_, Path("old"), *LogPoint::Parse(point), Path("new"));
    if (restored.ok()) return std::string();
    EXPECT_TRUE(absl::IsInvalidArgument(restored.status())) << restored.status();
    EXPECT_FALSE(fs::exists(Path("new.unfinished") + "/shard-0000"));
    return std::string(restored.status().message());
  };
  const auto could_not_be_opened = HasSubstr("the copy could not be opened: shard");
  const auto nobodys = HasSubstr("points would be nobody's in the copy: shard");
  int tried = 0;
  for (const nlohmann::json& in : dump("transfer_in")) {
    const int from = in["transfer"]["shard"];
    if (in["shard"] == from || ++tried % 8 != 0) continue;
    const auto sent = in["transfer"]["position"].get<Position>();
    const auto received = in["position"].get<Position>();
    EXPECT_THAT(restore(from, sent - 1, received), could_not_be_opened);
    EXPECT_THAT(restore(from, settled.at({from, sent}), received - 1),
                ::testing::AnyOf(could_not_be_opened, nobodys));
    // Sent and not received, both or neither; other transfers may be divided there.
    for (const auto& [first, second] : {std::pair(sent, received - 1), std::pair(sent, received)}) {
      const std::string refusal = restore(from, first, second);
      if (!refusal.empty()) {
        EXPECT_THAT(refusal, ::testing::AnyOf(could_not_be_opened, nobodys));
        continue;
      }
      auto copy = OpenLedger(Path("new"));
      ASSERT_TRUE(copy.ok()) << copy.status();
      for (int step = 0; step < 100; ++step) (*copy)->Step();
      for (uint16_t program = 1; program <= kRandomPrograms; ++program) {
        const auto totals = (*copy)->Totals(program);
        ASSERT_TRUE(totals.ok());
        EXPECT_EQ(totals->sent, totals->received);
      }
      EXPECT_EQ((*copy)->Close(), absl::OkStatus());
    }
  }
  EXPECT_GT(tried, 20);
}

// The receiver's shard is days ahead, as it is while orders are imported member by member: there the
// points arrive days after they were sent, and the sender knows of it at once.
TEST_F(Restoring, AnInstantOfTheImportClockThatDividesATransferIsRefused) {
  LedgerOptions options;
  options.directory = Path("old");
  options.create = true;
  options.shards = 2;
  options.threads = 1;
  options.clock = ClockMode::kImport;
  options.durability = wal::Durability::kNone;
  auto ledger = Ledger::Open(options);
  ASSERT_TRUE(ledger.ok()) << ledger.status();
  const auto file = ProgramFile::Parse(R"({"id": 1, "name": "P", "currency": "USD",
      "time_zone": "UTC", "earn": {"points": 1, "per_spend": 1}, "implicit_enrolment": true})",
                                       "program");
  ASSERT_EQ((*ledger)->PutProgram(Id(1, 3), file->bytes())->outcome, Outcome::Ok);
  uint64_t from = 1;
  while (ShardOf(Id(from, 5), 2) != 0) ++from;
  uint64_t to = 1;
  while (ShardOf(Id(to, 5), 2) != 1) ++to;
  const Instant day = 1'600'000'000'000'000;
  const auto apply = [&](Kind kind, uint64_t id, uint64_t member, const Id& related, Instant at) {
    const auto result = (*ledger)->Apply(
        Operation(Id(id, 2), Id(member, 5), related, 100, at, 0, 0, 1, 0, kind, 0, 0));
    ASSERT_TRUE(result.ok() && result->outcome() == Outcome::Ok) << result.status();
  };
  apply(Kind::Accrue, 1, to, Id(), day + 9 * kMicrosPerDay);
  apply(Kind::Accrue, 2, from, Id(), day);
  apply(Kind::Transfer, 3, from, Id(to, 5), day + kMicrosPerDay);
  ASSERT_EQ((*ledger)->Close(), absl::OkStatus());
  ledger->reset();
  const auto point = LogPoint::Parse(FormatInstant(day + 5 * kMicrosPerDay));
  const auto restored = Restore(*io_, Path("old"), *point, Path("new"));
  EXPECT_THAT(restored.status().ToString(), HasSubstr("received"));
  EXPECT_FALSE(fs::exists(Path("new")));
}

TEST_F(Restoring, SnapshotsComeAlongIfTheyAreSound) {
  MakeRandomLedger({.directory = Path("old"), .seed = 23, .requests = 60, .snapshots = 2});
  const auto all = Restore(*io_, Path("old"), LogPoint(), Path("new"));
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->snapshots, 2u);
  for (const auto& file : fs::directory_iterator(ShardDirectory(Path("old"), 0))) {
    if (file.path().extension() != ".snap") continue;
    std::FILE* snapshot = std::fopen(file.path().c_str(), "r+b");
    std::fseek(snapshot, 5000, SEEK_SET);
    std::fputc(0x5a, snapshot);
    std::fclose(snapshot);
    break;
  }
  const auto fewer = Restore(*io_, Path("old"), LogPoint(), Path("fewer"));
  ASSERT_TRUE(fewer.ok()) << fewer.status();
  EXPECT_EQ(fewer->snapshots, 1u);
  ASSERT_EQ(fewer->left_out.size(), 1u);
  EXPECT_THAT(fewer->left_out[0], HasSubstr("is left out"));
}

TEST_F(Restoring, DamageBehindThePointDoesNotMatter) {
  MakeRandomLedger({.directory = Path("old"), .seed = 24, .requests = 40});
  const std::string segment = ShardDirectory(Path("old"), 0) + "/0000000000000003.log";
  std::FILE* file = std::fopen(segment.c_str(), "r+b");
  ASSERT_NE(file, nullptr);
  std::fseek(file, 4096 + 200, SEEK_SET);
  const int byte = std::fgetc(file);
  std::fseek(file, 4096 + 200, SEEK_SET);
  std::fputc(byte ^ 0xff, file);
  std::fclose(file);
  const auto before = Restore(*io_, Path("old"), LogPoint(5), Path("new"));
  EXPECT_TRUE(before.ok()) << before.status();
  const auto behind = Restore(*io_, Path("old"), LogPoint(), Path("behind"));
  EXPECT_TRUE(absl::IsDataLoss(behind.status())) << behind.status();
  EXPECT_FALSE(fs::exists(Path("behind")));
}

TEST_F(Restoring, AKilledProcessLeavesNothingAndCanBeRunAgain) {
  MakeRandomLedger(
      {.directory = Path("old"), .shards = 2, .seed = 25, .requests = 30, .snapshots = 1});
  const uint64_t kills = DieUntilDone(
      1, [&](wal::Io& io) { return Restore(io, Path("old"), LogPoint(), Path("new")).ok(); },
      [&] { EXPECT_FALSE(fs::exists(Path("new"))); });
  EXPECT_GT(kills, 10u);
  EXPECT_TRUE(OpenLedger(Path("new")).ok());
  EXPECT_FALSE(fs::exists(Path("new.unfinished")));
}

TEST_F(Restoring, SaysTheSameAsAReplayThere) {
  MakeRandomLedger({.directory = Path("old"), .shards = 2, .seed = 26, .requests = 40});
  const Ran restored =
      RunTally({"restore", Path("old"), "--to", "2020-09-20", "--into", Path("new"), "--json"});
  ASSERT_EQ(restored.status, 0) << restored.errors;
  const Ran replayed = RunTally({"log", "replay", Path("old"), "--to", "2020-09-20", "--json"});
  ASSERT_EQ(replayed.status, 0) << replayed.errors;
  const auto a = nlohmann::json::parse(restored.output);
  const auto b = nlohmann::json::parse(replayed.output);
  for (const char* key : {"digest", "time", "programs"}) EXPECT_EQ(a[key], b[key]) << key;
  for (size_t shard = 0; shard < 2; ++shard) {
    EXPECT_EQ(a["shards"][shard]["position"], b["shards"][shard]["position"]);
  }
  const Ran verified = RunTally({"log", "verify", Path("new")});
  EXPECT_EQ(verified.status, 0) << verified.errors;
  const Ran upgraded = RunTally({"upgrade", Path("new")});
  EXPECT_EQ(upgraded.status, 0) << upgraded.errors;
  EXPECT_THAT(upgraded.output, HasSubstr("nothing is to be done"));
}

TEST_F(Restoring, WrongInputIsASentence) {
  MakeRandomLedger({.directory = Path("old"), .shards = 2, .seed = 27, .requests = 10});
  fs::create_directories(Path("full/something"));
  fs::create_directories(Path("odd.unfinished"));
  fs::create_directories(Path("empty"));
  fs::create_symlink("old", Path("link"));
  fs::create_symlink("empty", Path("to_empty"));
  fs::create_symlink("nothing", Path("to_nothing"));
  fs::create_symlink("old", Path("linked.unfinished"));
  std::fclose(std::fopen(Path("odd.unfinished/notes.txt").c_str(), "w"));
  struct Case {
    std::string from, to, into, says;
  };
  for (const Case& wrong :
       std::vector<Case>{{"none", "5", "new", "holds no ledger"},
                         {"old", "123456789", "new", "no shard's log has a position"},
                         {"old", "0:5", "new", "a position is missing for shard 1"},
                         {"old", "0:5,1:123456789", "new", "ends with position"},
                         {"old", "yesterday", "new", "is no point of a log"},
                         {"old", "5", "full", "is not empty"},
                         {"old", "5", "old", "name another place"},
                         {"old", "5", "odd", "is in the way"},
                         {"old", "5", "link/new", "name another place"},
                         {"old", "5", "link/shard-0000/new", "name another place"},
                         {"link", "5", "old/new", "name another place"},
                         {"old", "5", "to_empty", "is a symbolic link"},
                         {"old", "5", "to_empty/", "is a symbolic link"},
                         {"old", "5", "to_nothing", "is a symbolic link"},
                         {"old", "5", "linked", "linked.unfinished is a symbolic link"}}) {
    const Ran ran =
        RunTally({"restore", Path(wrong.from), "--to", wrong.to, "--into", Path(wrong.into)});
    EXPECT_EQ(ran.status, 1);
    EXPECT_THAT(ran.errors, HasSubstr(wrong.says));
  }
  EXPECT_FALSE(fs::exists(Path("new")));
  EXPECT_TRUE(fs::exists(Path("odd.unfinished/notes.txt")));
  Process server(
      {TALLYD, "--data", Path("old"), "--listen", "unix:" + Path("socket"), "--confirm-clock"});
  ASSERT_THAT(server.ReadLine(), HasSubstr("ready "));
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"restore", Path("old"), "--to", "5", "--into", Path("new")},
           {"reshard", Path("old"), "--shards", "3", "--into", Path("new")},
           {"upgrade", Path("old")}}) {
    const Ran ran = RunTally(command);
    EXPECT_EQ(ran.status, 1);
    EXPECT_THAT(ran.errors, HasSubstr("is in use"));
  }
  EXPECT_EQ(server.End(SIGTERM), 0);
}

TEST_F(Restoring, ANewerFormatIsRefused) {
  MakeRandomLedger({.directory = Path("old"), .seed = 28, .requests = 10, .snapshots = 1});
  for (const auto& file : fs::directory_iterator(ShardDirectory(Path("old"), 0))) {
    if (file.path().extension() != ".snap") continue;
    std::FILE* snapshot = std::fopen(file.path().c_str(), "r+b");
    std::fseek(snapshot, 4, SEEK_SET);
    std::fputc(2, snapshot);
    std::fclose(snapshot);
  }
  const Ran ran = RunTally({"upgrade", Path("old")});
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.errors, HasSubstr("(snapshot) is of format version 2, this program knows 1"));
}

}  // namespace
}  // namespace tallystick
