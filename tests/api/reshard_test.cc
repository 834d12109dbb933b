// Ledgers with another number of shards: everything owed stays the same.

#include "api/reshard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/new_ledger.h"
#include "api/reshard_check.h"
#include "tests/api/dying_io.h"
#include "tests/api/process.h"
#include "tests/api/random_ledger.h"
#include "wal/posix_io.h"

namespace tallystick {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Resharding : public ::testing::Test {
 protected:
  Resharding() : folder_(fs::temp_directory_path() / absl::StrCat("reshard_test.", getpid())) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~Resharding() override { fs::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ / name; }

  void Make(uint16_t shards, ClockMode clock, uint64_t seed, const std::string& name = "old") {
    fs::remove_all(Path(name));
    MakeRandomLedger({.directory = Path(name), .shards = shards, .clock = clock, .seed = seed});
  }

  static absl::StatusOr<ReshardReport> Run(wal::Io& io, const std::string& from,
                                           const std::string& into, uint16_t shards) {
    const auto identity = ReadIdentity(io, from);
    if (!identity.ok()) return identity.status();
    const auto made = NewLedger::Begin(io, from, *identity, into);
    if (!made.ok()) return made.status();
    const auto report = Reshard(
        io, {.from = from, .identity = *identity, .into = (*made)->unfinished(), .shards = shards});
    if (!report.ok()) return report.status();
    if (absl::Status s = (*made)->Publish(report->identity); !s.ok()) return s;
    return report;
  }

  // Everything that can be asked is answered alike.
  static void ExpectSame(Ledger& a, Ledger& b) {
    for (uint16_t program = 1; program <= kRandomPrograms; ++program) {
      for (uint64_t member = 1; member <= kRandomMembers; ++member) {
        const auto x = a.Lots(program, Id(member, 5));
        const auto y = b.Lots(program, Id(member, 5));
        ASSERT_TRUE(x.ok() && y.ok());
        EXPECT_EQ(x->lots.size(), y->lots.size());
        const auto p = a.Balance(program, Id(member, 5));
        const auto q = b.Balance(program, Id(member, 5));
        ASSERT_TRUE(p.ok() && q.ok());
        EXPECT_EQ(p->outcome, q->outcome);
        EXPECT_EQ(p->available, q->available) << "member " << member;
        EXPECT_EQ(p->pending, q->pending) << "member " << member;
        EXPECT_EQ(p->debt, q->debt) << "member " << member;
        EXPECT_EQ(p->lifetime_earned, q->lifetime_earned);
      }
    }
  }

  const fs::path folder_;
};

struct Shape {
  uint16_t before;
  uint16_t after;
};

TEST_F(Resharding, KeepsEveryBalanceUnderBothClocks) {
  auto io = wal::PosixIo::Create();
  ASSERT_TRUE(io.ok());
  uint64_t seed = 100;
  for (const ClockMode clock : {ClockMode::kImport, ClockMode::kWall}) {
    for (const Shape shape : {Shape{1, 3}, Shape{3, 1}, Shape{2, 5}, Shape{2, 2}}) {
      ++seed;
      SCOPED_TRACE(absl::StrCat("seed ", seed, ", clock ", static_cast<int>(clock), ", ",
                                shape.before, " to ", shape.after));
      Make(shape.before, clock, seed);
      ASSERT_FALSE(HasFatalFailure());
      fs::remove_all(Path("new"));
      const auto report = Run(**io, Path("old"), Path("new"), shape.after);
      ASSERT_TRUE(report.ok()) << report.status();
      EXPECT_EQ(report->identity.shard_count, shape.after);
      EXPECT_GT(report->records_read, 500u);
      const Ran verified = RunToEnd({TALLY, "log", "verify", Path("new")});
      EXPECT_EQ(verified.status, 0) << verified.errors;
      EXPECT_GT(report->programs.at(1).sent, 0);
      EXPECT_EQ(report->programs.at(1).sent, report->programs.at(1).received);
      auto old = OpenLedger(Path("old"));
      ASSERT_TRUE(old.ok()) << old.status();
      auto resharded = OpenLedger(Path("new"));
      ASSERT_TRUE(resharded.ok()) << resharded.status();
      // Under the import clock an old shard may lag behind the ledger's log time.
      if (shape.before == 1 || clock == ClockMode::kWall) ExpectSame(**old, **resharded);
      // It goes on: known transactions are known, new ones are taken.
      const Operation purchase = AnotherPurchase(**resharded, seed);
      const auto result = (*resharded)->Apply(purchase);
      ASSERT_TRUE(result.ok() && result->outcome() == Outcome::Ok) << result.status();
      EXPECT_EQ((*resharded)->Apply(purchase)->flags() & kReplayed, kReplayed);
      EXPECT_EQ((*resharded)->Close(), absl::OkStatus());
    }
  }
}

TEST_F(Resharding, ThereAndBackGivesTheSameRecords) {
  auto io = wal::PosixIo::Create();
  ASSERT_TRUE(io.ok());
  Make(1, ClockMode::kImport, 7);
  const auto there = Run(**io, Path("old"), Path("three"), 3);
  ASSERT_TRUE(there.ok()) << there.status();
  const auto back = Run(**io, Path("three"), Path("one"), 1);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(there->programs, back->programs);
  EXPECT_EQ(there->accounts, back->accounts);
  EXPECT_EQ(there->time, back->time);
}

// Each transfer in turn is on its way where the old ledger ends, sent or received as well.
TEST_F(Resharding, TransfersOnTheirWayStaySoAndAreResumed) {
  auto io = wal::PosixIo::Create();
  ASSERT_TRUE(io.ok());
  Make(2, ClockMode::kWall, 12, "whole");
  const auto dump = [&](const std::string& kind) {
    std::vector<nlohmann::json> records;
    const Ran ran = RunToEnd({TALLY, "log", "dump", Path("whole"), "--kind", kind, "--json"});
    std::stringstream lines(ran.output);
    for (std::string line; std::getline(lines, line);) {
      records.push_back(nlohmann::json::parse(line));
    }
    return records;
  };
  int tried = 0;
  int open = 0;
  for (const nlohmann::json& in : dump("transfer_in")) {
    const auto shard = in["shard"].get<int>();
    const auto from = in["transfer"]["shard"].get<int>();
    if (shard == from || ++tried % 3 != 0) continue;
    const auto sent = in["transfer"]["position"].get<Position>();
    const auto received = in["position"].get<Position>();
    for (const bool has_received : {false, true}) {
      Position ends[2];
      ends[from] = sent;
      ends[shard] = has_received ? received : received - 1;
      const std::string point = absl::StrCat("0:", ends[0], ",1:", ends[1]);
      SCOPED_TRACE(point);
      for (const char* name : {"old", "new"}) fs::remove_all(Path(name));
      const Ran restored =
          RunToEnd({TALLY, "restore", Path("whole"), "--to", point, "--into", Path("old")});
      // What one of them has settled, or received, need not be there at the other's.
      if (restored.status != 0) {
        EXPECT_THAT(restored.errors, ::testing::AnyOf(HasSubstr("would be nobody's in the copy"),
                                                      HasSubstr("the copy could not be opened")));
        continue;
      }
      const uint16_t shards = static_cast<uint16_t>(1 + tried / 3 % 4);
      const auto report = Run(**io, Path("old"), Path("new"), shards);
      ASSERT_TRUE(report.ok()) << report.status();
      const Ran verified = RunToEnd({TALLY, "log", "verify", Path("new")});
      EXPECT_EQ(verified.status, 0) << verified.errors;
      int64_t on_the_way = 0;
      for (const auto& [program, totals] : report->programs) {
        on_the_way += totals.sent - totals.received;
      }
      EXPECT_TRUE(has_received || on_the_way > 0);
      open += on_the_way > 0 ? 1 : 0;
      for (int opening = 0; opening < 2; ++opening) {
        auto ledger = OpenLedger(Path("new"));
        ASSERT_TRUE(ledger.ok()) << ledger.status();
        for (int step = 0; step < 200; ++step) (*ledger)->Step();
        for (uint16_t program = 1; program <= kRandomPrograms; ++program) {
          const auto totals = (*ledger)->Totals(program);
          ASSERT_TRUE(totals.ok());
          EXPECT_EQ(totals->sent, totals->received);
        }
        EXPECT_EQ((*ledger)->Close(), absl::OkStatus());
      }
      EXPECT_EQ(RunToEnd({TALLY, "log", "verify", Path("new")}).status, 0);
    }
  }
  EXPECT_GT(open, 3);
}

// And no file is larger, nor are there more, than a log needs.
TEST_F(Resharding, KeepsTheSizeOfSegmentsAndTellsHowFarItIs) {
  auto io = wal::PosixIo::Create();
  ASSERT_TRUE(io.ok());
  // On this clock, blocks are larger where no unit waits for another shard's.
  MakeRandomLedger({.directory = Path("old"), .shards = 2, .seed = 11, .transfers = false});
  auto identity = ReadIdentity(**io, Path("old"));
  ASSERT_TRUE(identity.ok());
  identity->segment_bytes = 256 << 10;
  const auto made = NewLedger::Begin(**io, Path("old"), *identity, Path("new"));
  ASSERT_TRUE(made.ok()) << made.status();
  std::vector<uint64_t> done;
  const auto report = Reshard(**io, {.from = Path("old"),
                                     .identity = *identity,
                                     .into = (*made)->unfinished(),
                                     .shards = 20,
                                     .progress = [&](uint64_t bytes, uint64_t of_bytes) {
                                       done.push_back(bytes);
                                       EXPECT_LE(bytes, of_bytes);
                                     }});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->identity.segment_bytes, identity->segment_bytes);
  EXPECT_GE(done.size(), 20u);
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
  for (uint16_t shard = 0; shard < 20; ++shard) {
    uint64_t segments = 0;
    for (const auto& file : fs::directory_iterator(ShardDirectory((*made)->unfinished(), shard))) {
      EXPECT_LE(file.file_size(), identity->segment_bytes);
      segments += file.path().extension() == ".log" ? 1 : 0;
      EXPECT_NE(file.path().extension(), ".spare");
    }
    EXPECT_GE(segments, 1u);
  }
}

TEST_F(Resharding, AKilledProcessLeavesNothingAndCanBeRunAgain) {
  Make(2, ClockMode::kImport, 8);
  const uint64_t kills = DieUntilDone(
      3, [&](wal::Io& io) { return Run(io, Path("old"), Path("new"), 3).ok(); },
      [&] { EXPECT_FALSE(fs::exists(Path("new"))); });
  EXPECT_GT(kills, 10u);
  EXPECT_TRUE(fs::exists(Path("new")));
  EXPECT_FALSE(fs::exists(Path("new.unfinished")));
  EXPECT_TRUE(OpenLedger(Path("new")).ok());
}

TEST_F(Resharding, DamageInTheOldLedgerStopsIt) {
  auto io = wal::PosixIo::Create();
  ASSERT_TRUE(io.ok());
  Make(2, ClockMode::kImport, 9);
  const std::string segment = ShardDirectory(Path("old"), 1) + "/0000000000000001.log";
  std::FILE* file = std::fopen(segment.c_str(), "r+b");
  ASSERT_NE(file, nullptr);
  std::fseek(file, 3 * 4096 + 200, SEEK_SET);
  std::fputc(0x5a, file);
  std::fclose(file);
  const auto report = Run(**io, Path("old"), Path("new"), 3);
  EXPECT_TRUE(absl::IsDataLoss(report.status())) << report.status();
  EXPECT_FALSE(fs::exists(Path("new")));
}

TEST_F(Resharding, WrongInputIsASentence) {
  Make(1, ClockMode::kImport, 10);
  fs::create_directories(Path("full"));
  fs::create_directories(Path("full/something"));
  struct Case {
    std::vector<std::string> arguments;
    int status;
    std::string says;
  };
  for (const Case& wrong : std::vector<Case>{
           {{Path("none"), "--shards", "2", "--into", Path("new")}, 1, "holds no ledger"},
           {{Path("old"), "--shards", "0", "--into", Path("new")}, 2, "--shards"},
           {{Path("old"), "--shards", "1025", "--into", Path("new")}, 2, "--shards"},
           {{Path("old"), "--shards", "2", "--into", Path("full")}, 1, "is not empty"},
           {{Path("old"), "--shards", "2", "--into", Path("old")}, 1, "name another place"},
           {{Path("old"), "--shards", "2", "--into", Path("old/new/")}, 1, "name another place"}}) {
    std::vector<std::string> command = {TALLY, "reshard"};
    command.insert(command.end(), wrong.arguments.begin(), wrong.arguments.end());
    Process process(command);
    EXPECT_EQ(process.End(), wrong.status);
    EXPECT_THAT(process.Errors(), HasSubstr(wrong.says));
  }
  // And one that is right.
  Process process({TALLY, "reshard", Path("old"), "--shards", "2", "--into", Path("new/")});
  EXPECT_EQ(process.End(), 0) << process.Errors();
  EXPECT_THAT(process.Output(), HasSubstr("accounts have the same balances"));
  Process verify({TALLY, "log", "verify", Path("new")});
  EXPECT_EQ(verify.End(), 0) << verify.Output() << verify.Errors();
}

}  // namespace
}  // namespace tallystick
