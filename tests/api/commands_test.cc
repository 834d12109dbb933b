// tally as a process, with a tallyd of its own: exit status, and what it says to whom.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "api/instants.h"
#include "tests/api/frames.h"
#include "tests/api/process.h"
#include "tests/api/served_commands.h"

namespace tallystick {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// The text between two others, as in "--id X --at Y".
std::string Between(const std::string& text, const std::string& before, const std::string& after) {
  const size_t begin = text.find(before) + before.size();
  return text.substr(begin, text.find(after, begin) - begin);
}

// ---- single operations ----

TEST_F(Commands, EmptyOptionsAreNotOptionsLeftOut) {
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"purchase", "7", "9500", "--program", "1", "--id", ""},
           {"purchase", "7", "9500", "--program", "1", "--at", ""},
           {"accrue", "7", "9", "--program", "1", "--expires", ""},
           {"return", "7", "9500", "--program", "1", "--original", ""},
           {"balance", "7", "--program", "1", "--as-of", ""},
           {"program", "put", kSeed, "--id", ""}}) {
    const Ran ran = Run(command);
    EXPECT_EQ(ran.status, 2) << ran.errors;
    EXPECT_THAT(ran.errors, HasSubstr("is empty: give it a value, or leave it out"));
  }
}

TEST_F(Commands, OutputThatCannotBeWrittenIsAFailure) {
  StartWithProgram();
  const std::string program = "--program=1";
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"totals", program}, {"program", "get", "1"}, {"sample-orders", "--orders", "10"}}) {
    const Ran ran = Run(command, "/dev/full");
    EXPECT_EQ(ran.status, 1);
    EXPECT_THAT(ran.errors, HasSubstr("tally: cannot write all of standard output"));
  }
  const Ran ran = Run({"purchase", "7", "9500", program, "--id", "order-1"}, "/dev/full");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.errors, AllOf(HasSubstr("the operation was applied; to repeat it safely: --id "),
                                HasSubstr("cannot write all of standard output")));
  const Ran again = Run({"purchase", "7", "9500", program, "--id", "order-1", "--at",
                         Between(ran.errors, "--at ", "\n")});
  EXPECT_THAT(again.output, HasSubstr("Done before: purchase"));
}

// Greets whoever connects, and says nothing more.
class SilentServer {
 public:
  explicit SilentServer(const std::string& path) : listener_(socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un where = {};
    where.sun_family = AF_UNIX;
    std::strncpy(where.sun_path, path.c_str(), sizeof(where.sun_path) - 1);
    EXPECT_EQ(bind(listener_, reinterpret_cast<const sockaddr*>(&where), sizeof(where)), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    thread_ = std::thread([this] { Serve(); });
  }
  ~SilentServer() {
    thread_.join();
    close(listener_);
  }

 private:
  // Until the client is gone.
  void Serve() const {
    const int client = accept(listener_, nullptr, nullptr);
    char bytes[1024];
    if (read(client, bytes, sizeof(bytes)) > 0) {
      ServerInfo info;
      info.protocol_version = kProtocolVersion;
      info.max_operations = 1;
      const auto build = [&info](Builder& builder) { BuildReply(builder, 0, info); };
      const FrameBuffer hello = BuiltFrame(build);
      EXPECT_EQ(write(client, hello.data(), hello.size()), static_cast<ssize_t>(hello.size()));
    }
    while (read(client, bytes, sizeof(bytes)) > 0) {
    }
    close(client);
  }

  const int listener_;
  std::thread thread_;
};

TEST_F(Commands, AnswersThatDoNotComeLeaveAWayToAskAgain) {
  const SilentServer server(Path("socket"));
  const Ran ran = Run({"purchase", "7", "9500", "--program", "1", "--patience", "1", "--at",
                       "2026-01-31 10:00", "--id", "4711"});
  EXPECT_EQ(ran.status, 1);
  EXPECT_EQ(ran.errors,
            "tally: the server has not answered for 1 s\n"
            "tally: it is not known whether the operation was applied: repeat the same command "
            "with --id 4711 --at 2026-01-31T10:00:00.000000Z, which applies it once\n");
}

TEST_F(Commands, ConflictOfIdsAsksForTheFirstTime) {
  StartWithProgram();
  const std::vector<std::string> purchase = {"purchase", "7",    "9500",   "--program",
                                             "1",        "--id", "order-1"};
  const Ran first = Run(purchase);
  ASSERT_EQ(first.status, 0) << first.errors;
  const Ran second = Run(purchase);
  EXPECT_EQ(second.status, 1);
  EXPECT_THAT(second.errors, AllOf(HasSubstr("id_conflict"), HasSubstr("give the same --at")));
  std::vector<std::string> repeated = purchase;
  repeated.insert(repeated.end(), {"--at", Between(first.output, "--at ", "\n")});
  EXPECT_THAT(Run(repeated).output, HasSubstr("Done before"));
  repeated.back() = "2026-01-01";
  EXPECT_THAT(Run(repeated).errors, AllOf(HasSubstr("id_conflict"), Not(HasSubstr("--at"))));
}

TEST_F(Commands, ReturnsSayWhatTheyTook) {
  StartWithProgram({}, {{"pending", {{"days", 0}}}});
  ASSERT_EQ(Run({"purchase", "7", "9500", "--program", "1", "--id", "order-1"}).status, 0);
  ASSERT_EQ(Run({"redeem", "7", "5", "--program", "1"}).status, 0);
  Ran ran = Run({"return", "7", "1000", "--program", "1"});
  EXPECT_THAT(ran.output, AllOf(HasSubstr("-1 points"), HasSubstr("the newest points were taken"),
                                Not(HasSubstr("written off"))));
  ran = Run({"return", "7", "9500", "--program", "1", "--original", "order-1"});
  EXPECT_THAT(ran.output,
              AllOf(HasSubstr("-3 points"), HasSubstr("\n6 points of what was due written off: "),
                    Not(HasSubstr("newest"))));
}

// ---- the import clock ----

// Log time goes where an operation goes, and takes everybody's points with it.
TEST_F(Commands, ImportClockTakesNoOperationOfNow) {
  StartWithProgram({"--clock", "import"});
  const std::vector<std::vector<std::string>> commands = {{"enrol", "1"},
                                                          {"purchase", "7", "9500"},
                                                          {"accrue", "7", "9"},
                                                          {"redeem", "7", "1"},
                                                          {"return", "7", "10"},
                                                          {"adjust", "7", "5"},
                                                          {"bench"}};
  const auto refused = [&](const std::string& log_time) {
    for (std::vector<std::string> command : commands) {
      if (command != std::vector<std::string>{"bench"}) {
        command.insert(command.end(), {"--program", "1"});
      }
      const Ran ran = Run(command);
      EXPECT_EQ(ran.status, 1);
      EXPECT_EQ(ran.output, "");
      EXPECT_THAT(ran.errors, HasSubstr("tally: nothing was sent: the server has the import clock, "
                                        "and log time " +
                                        log_time + "; an operation of now"));
    }
  };
  refused("has not begun");
  // The first one is free to begin anywhere.
  ASSERT_EQ(
      Run({"purchase", "7", "9500", "--program", "1", "--at", "2010-12-01", "--id", "1"}).status,
      0);
  refused("is 2010-12-01T00:00:00.000000Z");
  EXPECT_THAT(Run({"enrol", "1", "--program", "1"}).errors, HasSubstr("with --at\n"));
  EXPECT_THAT(Run({"totals", "--program", "1"}).output,
              HasSubstr(", 2010-12-01T00:00:00.000000Z: "));
}

TEST_F(Commands, ImportClockMovesOnByAYearOnlyWhenToldSo) {
  StartWithProgram({"--clock", "import", "--shards", "2"});
  const auto purchase = [&](const std::string& at, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"purchase", "7", "9500", "--program", "1", "--at", at});
    return Run(more);
  };
  ASSERT_EQ(purchase("2010-12-01").status, 0);
  ASSERT_EQ(purchase("2011-12-02").status, 0) << "366 days";
  Ran ran = purchase("2012-12-02 00:01");
  EXPECT_EQ(ran.status, 1);
  EXPECT_EQ(ran.errors,
            "tally: nothing was sent: 2012-12-02T00:01:00.000000Z is more than 366 days beyond log "
            "time, 2011-12-02T00:00:00.000000Z, and would move it there for good, expire what is "
            "due until then, and make the orders in between too old. If that is what you want, say "
            "--jump\n");
  EXPECT_EQ(Run({"tick", "--to", "2012-12-02 00:01"}).errors, ran.errors);
  EXPECT_EQ(purchase("2012-12-02 00:01", {"--jump"}).status, 0);
  EXPECT_EQ(Run({"tick", "--to", "2014-01-01", "--jump"}).status, 0);
  EXPECT_EQ(purchase("2013-12-31").status, 0);
}

// As after an import that ended today.
TEST_F(Commands, ImportClockThatHasReachedThePresentTakesOperationsOfNow) {
  StartWithProgram({"--clock", "import"});
  const std::string an_hour_ago = FormatInstant(ToInstant(absl::Now()) - 3600 * kMicrosPerSecond);
  ASSERT_EQ(Run({"tick", "--to", an_hour_ago}).status, 0);
  EXPECT_EQ(Run({"purchase", "7", "9500", "--program", "1"}).status, 0);
}

// ---- command lines and questions ----

TEST_F(Commands, UnknownOnesAreNamed) {
  const auto error_of = [&](const std::vector<std::string>& command) {
    const Ran ran = Run(command);
    EXPECT_EQ(ran.status, 2);
    EXPECT_EQ(ran.output, "");
    return ran.errors;
  };
  EXPECT_EQ(error_of({"nosuch"}), "tally: there is no command \"nosuch\": see tally --help\n");
  EXPECT_EQ(error_of({"nosuch", "7"}), "tally: there is no command \"nosuch\": see tally --help\n");
  EXPECT_EQ(error_of({"log", "nosuch", "x"}),
            "tally: there is no command \"nosuch\": see tally log --help\n");
  EXPECT_EQ(error_of({"balanse", "7"}),
            "tally: there is no command \"balanse\"; did you mean balance? See tally --help\n");
  EXPECT_EQ(error_of({"balance", "7", "--porgram", "1"}),
            "tally: there is no option \"--porgram\"; did you mean --program? See tally balance "
            "--help\n");
  EXPECT_EQ(error_of({"balance", "7", "--program", "1", "--shard=2"}),
            "tally: there is no option \"--shard\": see tally balance --help\n");
  EXPECT_EQ(error_of({"log", "export", "x", "--sqlit=y"}),
            "tally: there is no option \"--sqlit\"; did you mean --sqlite? See tally log export "
            "--help\n");
  EXPECT_EQ(error_of({"balance", "7"}), "tally: --program is required: see tally balance --help\n");
  EXPECT_EQ(error_of({"balance", "7", "8", "--program", "1"}),
            "tally: \"8\" was not expected: see tally balance --help\n");
  EXPECT_EQ(error_of({"statement", "7", "--program", "1", "--limit", "abc"}),
            "tally: \"abc\" is no value for --limit: see tally statement --help\n");
  EXPECT_EQ(
      error_of({"log"}),
      "tally: which command? One of verify, dump, replay, diff, stat, cut, export, follow: see "
      "tally log --help\n");
  EXPECT_THAT(Run({"--version"}).output, testing::MatchesRegex("tally [0-9.]+\n"));
}

TEST_F(Commands, ProgramThatIsPutAgainIsLeftAsItIs) {
  StartWithProgram();
  const std::vector<std::string> put = {"program", "put", Path("program.json")};
  EXPECT_EQ(Run(put).output, "Program 1 has these rules already, in version 1: nothing was put.\n");
  std::vector<std::string> as_json = put;
  as_json.push_back("--json");
  const auto json = nlohmann::json::parse(Run(as_json).output);
  EXPECT_EQ(json["version"], 1);
  EXPECT_TRUE(json["unchanged"].get<bool>());
  // Whoever names the transaction means one.
  std::vector<std::string> named = put;
  named.insert(named.end(), {"--id", "again"});
  EXPECT_EQ(Run(named).output, "Program 1 is in version 2 now.\n");
  EXPECT_EQ(Run(named).output, "Program 1 is in version 2 now.\n") << "replayed";
  auto program = nlohmann::json::parse(std::ifstream(kSeed));
  program["return_days"] = 91;
  Write("program.json", program.dump());
  EXPECT_EQ(Run(put).output, "Program 1 is in version 3 now.\n");
}

TEST_F(Commands, BalanceIsOfNowAndLater) {
  StartWithProgram();
  ASSERT_EQ(Run({"accrue", "7", "9", "--program", "1"}).status, 0);
  EXPECT_EQ(Run({"balance", "7", "--program", "1", "--as-of", "2999-01-01"}).status, 0);
  const Ran past = Run({"balance", "7", "--program", "1", "--as-of", "2020-01-01"});
  EXPECT_EQ(past.status, 1);
  EXPECT_EQ(past.output, "");
  EXPECT_THAT(past.errors, HasSubstr("tally: --as-of 2020-01-01 is past: the ledger's time is 2"));
}

TEST_F(Commands, BalanceSaysThatItDoesNotShowAllEvents) {
  StartWithProgram();
  for (int i = 0; i < 16; ++i) {
    const Ran balance = Run({"balance", "7", "--program", "1"});
    EXPECT_THAT(balance.output, Not(HasSubstr("No more than 32 events")));
    ASSERT_EQ(Run({"accrue", "7", "9", "--program", "1"}).status, 0);
  }
  EXPECT_THAT(Run({"balance", "7", "--program", "1"}).output, HasSubstr("No more than 32 events"));
}

// ---- log ----

TEST_F(Commands, LogIsReadOfALedgerThatNobodyServes) {
  StartWithProgram({"--shards", "2"});
  for (const char* verb : {"verify", "dump", "replay"}) {
    const Ran ran = Run({"log", verb, Path("ledger")});
    EXPECT_EQ(ran.status, 1);
    EXPECT_EQ(ran.output, "");
    EXPECT_EQ(ran.errors, "tally: " + Path("ledger") +
                              " is in use by a tallyd, or by a tool that changes it: stop that "
                              "first, or copy the directory and read the copy\n");
  }
  Stop();
  EXPECT_EQ(Run({"log", "verify", Path("ledger")}).status, 0);
  const Ran none = Run({"log", "verify", folder_});
  EXPECT_EQ(none.status, 1);
  EXPECT_EQ(none.errors, "tally: " + folder_.string() +
                             " holds no ledger: name what tallyd was given as --data\n");
  EXPECT_EQ(Run({"log", "verify", Path("nowhere")}).errors,
            "tally: " + Path("nowhere") +
                " holds no ledger, for it does not exist: name what tallyd was given as --data\n");
}

// ---- snapshot ----

TEST_F(Commands, SnapshotsAreTakenListedAndVerifiedWhileTheServerServes) {
  StartWithProgram({"--shards", "2"});
  ASSERT_EQ(Run({"accrue", "7", "9", "--program", "1"}).status, 0);
  EXPECT_THAT(Run({"snapshot", "take"}).output,
              AllOf(HasSubstr("shard 0: position "), HasSubstr("shard 1: position ")));
  EXPECT_THAT(Run({"snapshot", "take"}).output, HasSubstr("nothing has changed since"));
  const auto taken = nlohmann::json::parse(Run({"snapshot", "take", "--json"}).output);
  ASSERT_EQ(taken["shards"].size(), 2u);

  const auto list =
      nlohmann::json::parse(Run({"snapshot", "list", Path("ledger"), "--json"}).output);
  ASSERT_EQ(list["snapshots"].size(), 2u);
  EXPECT_EQ(list["snapshots"][1]["position"], taken["shards"][1]["position"]);
  EXPECT_EQ(list["problems"].size(), 0u);
  const Ran verified = Run({"snapshot", "verify", Path("ledger"), "--replay"});
  EXPECT_EQ(verified.status, 0) << verified.errors;
  EXPECT_THAT(verified.output, AllOf(HasSubstr(": sound; digest "),
                                     HasSubstr(", which the log's replay comes to\n")));
  const std::vector<std::string> verify = {"snapshot", "verify", Path("ledger"), "--json"};
  EXPECT_FALSE(nlohmann::json::parse(Run(verify).output)["snapshots"][0].contains("replayed"));
  std::vector<std::string> replay = verify;
  replay.push_back("--replay");
  EXPECT_TRUE(nlohmann::json::parse(Run(replay).output)["snapshots"][0]["replayed"].get<bool>());
}

TEST_F(Commands, FollowPrintsWhatADumpDoesWhileTheServerServes) {
  StartWithProgram({"--shards", "2"});
  for (const char* member : {"7", "8", "9"}) {
    ASSERT_EQ(Run({"accrue", member, "9", "--program", "1"}).status, 0);
  }
  const Ran followed = Run({"log", "follow", "--to-end", "--json"});
  EXPECT_EQ(followed.status, 0) << followed.errors;
  EXPECT_THAT(Run({"log", "follow", "--to-end", "--shard", "1"}).output, HasSubstr("program_put"));
  EXPECT_THAT(Run({"log", "follow", "--from", "2026-01-01"}).errors,
              HasSubstr("followed from a position"));
  EXPECT_THAT(Run({"log", "follow", "--from", "100000"}).errors, HasSubstr("not written yet"));
  EXPECT_THAT(Run({"log", "follow", "--shard", "2"}).errors, HasSubstr("there is no shard 2"));
  Stop();
  const Ran dumped = Run({"log", "dump", Path("ledger"), "--json"});
  const auto lines = [](const std::string& text) -> std::vector<std::string> {
    std::vector<std::string> all = absl::StrSplit(text, '\n', absl::SkipEmpty());
    std::sort(all.begin(), all.end());
    return all;
  };
  EXPECT_EQ(lines(followed.output), lines(dumped.output));
  EXPECT_EQ(lines(dumped.output).size(), 5u);
}

TEST_F(Commands, SnapshotVerifySaysWhatIsWrongWithEach) {
  StartWithProgram({"--shards", "2"});
  ASSERT_EQ(Run({"snapshot", "take"}).status, 0);
  Stop();
  for (const char* shard : {"shard-0000", "shard-0001"}) {
    for (const auto& file : std::filesystem::directory_iterator(folder_ / "ledger" / shard)) {
      if (file.path().extension() == ".snap") std::filesystem::resize_file(file, 8'192);
    }
  }
  const Ran ran = Run({"snapshot", "verify", Path("ledger"), "--json"});
  EXPECT_EQ(ran.status, 1);
  const auto json = nlohmann::json::parse(ran.output);
  EXPECT_EQ(json["problems"].size(), 2u);
  EXPECT_FALSE(json["snapshots"][0]["sound"]);
  EXPECT_THAT(ran.errors, AllOf(HasSubstr("shard-0000"), HasSubstr("shard-0001"),
                                HasSubstr("the snapshot is damaged: the file ends inside")));
}

TEST_F(Commands, SnapshotListOfALedgerWithoutOnes) {
  StartWithProgram();
  EXPECT_EQ(Run({"snapshot", "list", Path("ledger")}).output, "There are no snapshots.\n");
  EXPECT_EQ(Run({"snapshot", "verify", folder_}).status, 1);
}

// The positions of several shards, added, name no point of the log.
TEST_F(Commands, TotalsNameAPointOfTheLog) {
  StartWithProgram({"--shards", "2"});
  ASSERT_EQ(Run({"accrue", "7", "9", "--program", "1"}).status, 0);
  const std::string totals = Run({"totals", "--program", "1"}).output;
  const std::string point = Between(totals, "Program 1 at position ", ", 2");
  EXPECT_THAT(point, testing::MatchesRegex("0:[0-9]+,1:[0-9]+"));
  Stop();
  EXPECT_THAT(Run({"log", "replay", Path("ledger"), "--to", point}).output,
              HasSubstr("issued 9, redeemed 0"));
}

TEST_F(Commands, LogReplaysToThePositionOfAShard) {
  StartWithProgram();
  ASSERT_EQ(Run({"accrue", "7", "9", "--program", "1"}).status, 0);
  const auto totals = nlohmann::json::parse(Run({"totals", "--program", "1", "--json"}).output);
  ASSERT_EQ(totals["shards"].size(), 1u);
  const std::string position = totals["shards"][0]["position"].dump();
  EXPECT_EQ(totals["position"].dump(), position);
  ASSERT_EQ(Run({"accrue", "7", "9", "--program", "1"}).status, 0);
  Stop();
  const auto replay = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"log", "replay", Path("ledger"), "--json"});
    return nlohmann::json::parse(Run(more).output);
  };
  const auto whole = replay({});
  EXPECT_EQ(whole["programs"][0]["issued"], 18);
  EXPECT_TRUE(whole["shards"][0].contains("offset"));
  const auto part = replay({"--to", position});
  EXPECT_EQ(part["programs"][0]["issued"], 9);
  EXPECT_EQ(part["shards"][0]["position"].dump(), position);
  EXPECT_EQ(part["shards"][0]["records"], whole["shards"][0]["records"].get<int>() - 1);
  EXPECT_FALSE(part["shards"][0].contains("offset"));
  EXPECT_THAT(Run({"log", "replay", Path("ledger"), "--to", position}).output,
              HasSubstr("position " + position + " of "));
}

// ---- limits ----

// In units of 512 bytes.
std::vector<std::string> WithFileSizes(const std::string& limit, const std::string& command) {
  return {"/bin/sh", "-c", "ulimit -f " + limit + "; exec " + command};
}

TEST_F(Commands, ALimitOfFileSizesIsNoFullDiskButReportedAsOne) {
  // 1 MiB: a segment, but no snapshot of 20,000 members.
  server_ = std::make_unique<Process>(WithFileSizes(
      "2048", std::string(TALLYD) + " --data " + Path("ledger") + " --listen " + Address() +
                  " --segment-mib 1 --create --history off --archive off"));
  ASSERT_THAT(server_->ReadLine(), HasSubstr("ready "));
  const std::vector<std::string> bench = {"bench", "--members", "20000", "--ops",
                                          "1000",  "--warm-up", "0"};
  const Ran filled = Run(bench);
  ASSERT_EQ(filled.status, 0) << filled.errors;
  const Ran taken = Run({"snapshot", "take"});
  EXPECT_EQ(taken.status, 1);
  EXPECT_THAT(taken.errors, HasSubstr("File too large"));
  EXPECT_EQ(Run(bench).status, 0) << "it goes on";
  Stop();
  const Ran exported =
      RunToEnd(WithFileSizes("2048", std::string(TALLY) + " log export " + Path("ledger") +
                                         " --to-csv " + Path("book.csv")));
  EXPECT_EQ(exported.status, 1);
  EXPECT_THAT(exported.errors,
              AllOf(HasSubstr("book.csv: File too large"), HasSubstr("ulimit -f")));
  EXPECT_FALSE(fs::exists(Path("book.csv.unfinished")));
}

// ---- log follow ----

TEST_F(Commands, FollowGoesOnBehindAServerThatWasStoppedOrKilled) {
  StartWithProgram();
  ASSERT_EQ(Run({"accrue", "7", "1", "--program", "1"}).status, 0);
  Process follower(
      {TALLY, "--connect", Address(), "log", "follow", "--from", "1", "--patience", "60"});
  const auto next = [&] {
    std::string line = follower.ReadLine();
    while (!line.empty() && line.find("accrue") == std::string::npos) line = follower.ReadLine();
    return line;
  };
  EXPECT_THAT(next(), HasSubstr("points +1"));
  for (const int signal : {SIGTERM, SIGKILL}) {
    EXPECT_EQ(server_->End(signal), signal == SIGTERM ? 0 : -SIGKILL);
    Start({});
    const std::string points = std::to_string(signal);
    ASSERT_EQ(Run({"accrue", "7", points, "--program", "1"}).status, 0);
    EXPECT_THAT(next(), HasSubstr("points +" + points));
  }
  EXPECT_EQ(follower.End(SIGTERM), -SIGTERM);
}

// ---- bench ----

TEST_F(Commands, BenchMeasuresEachKindOfLoad) {
  Start({"--create", "--shards", "2"});
  const std::vector<std::string> common = {"bench",   "--json", "--members",   "50",
                                           "--ops",   "2000",   "--warm-up",   "0.01",
                                           "--batch", "10",     "--in-flight", "2"};
  const auto bench = [&](std::vector<std::string> more) {
    more.insert(more.begin(), common.begin(), common.end());
    const Ran ran = Run(more);
    EXPECT_EQ(ran.status, 0) << ran.errors;
    auto figures = nlohmann::json::parse(ran.output, nullptr, /*allow_exceptions=*/false);
    EXPECT_TRUE(figures.is_object()) << ran.output;
    EXPECT_GE(figures.value("operations", 0), 1);
    EXPECT_GT(figures.value("ops_per_second", 0.0), 0);
    const auto& us = figures["latency_us"];
    EXPECT_GT(us.value("p50", 0.0), 0);
    EXPECT_LE(us.value("p50", 0.0), us.value("p9999", 0.0));
    EXPECT_LE(us.value("p9999", 0.0), us.value("max", 0.0));
    return figures;
  };
  const auto mixed = bench({"--connections", "5", "--redeem-share", "0.5", "--read-share", "0.2"});
  EXPECT_EQ(mixed["connections"], 5);
  EXPECT_GT(mixed["outcomes"].value("Read", 0), 0);
  EXPECT_EQ(mixed["server"]["accounts"], 50);
  EXPECT_FALSE(
      bench({"--workload", "accrual", "--members-by", "zipf"})["outcomes"].contains("Read"));
  const auto reads = bench({"--workload", "balance"});
  EXPECT_TRUE(reads["outcomes"].contains("Read"));
  EXPECT_FALSE(reads["outcomes"].contains("ok"));
  bench({"--workload", "redemption", "--members-by", "hot", "--no-load"});
}

// An open loop begins requests by the clock: 2,000 operations at 20,000 a second take a tenth of a
// second, however fast the server is.
TEST_F(Commands, BenchKeepsTheRateThatItIsGiven) {
  Start({"--create"});
  const Ran ran = Run({"bench", "--members", "50", "--ops", "2000", "--batch", "10", "--warm-up",
                       "0", "--rate", "20000", "--json", "--html", Path("report.html")});
  ASSERT_EQ(ran.status, 0) << ran.errors;
  const auto figures = nlohmann::json::parse(ran.output);
  EXPECT_EQ(figures["operations"], 2000);
  EXPECT_GE(figures.value("seconds", 0.0), 0.0995);
  std::stringstream page;
  page << std::ifstream(Path("report.html")).rdbuf();
  EXPECT_THAT(page.str(), AllOf(HasSubstr("<polyline"), HasSubstr("Latency over time"),
                                HasSubstr("asked_ops_per_second"), HasSubstr("</html>")));
}

// What a warm-up at an impossible rate was late with is not made up for.
TEST_F(Commands, BenchMeasuresWhatItWasAskedForThoughTheServerIsLate) {
  Start({"--create"});
  const Ran ran = Run({"bench", "--members", "50", "--ops", "5000", "--batch", "100", "--warm-up",
                       "0.2", "--rate", "1e9", "--json"});
  ASSERT_EQ(ran.status, 0) << ran.errors;
  const auto figures = nlohmann::json::parse(ran.output);
  EXPECT_GE(figures.value("operations", 0), 5000);
  EXPECT_LE(figures.value("operations", 0), 10'000);
}

TEST_F(Commands, BenchCountsRefusalsApart) {
  Start({"--create"});
  const Ran ran = Run({"bench", "--workload", "redemption", "--no-load", "--members", "50", "--ops",
                       "2000", "--batch", "10", "--warm-up", "0", "--json"});
  EXPECT_EQ(ran.status, 0);
  EXPECT_THAT(ran.errors, HasSubstr("100.0 % of the operations were refused"));
  const auto figures = nlohmann::json::parse(ran.output);
  EXPECT_EQ(figures["operations"], 0);
  EXPECT_GE(figures.value("refused", 0), 2000);
}

TEST_F(Commands, BenchSaysWhereItCannotWriteItsPage) {
  Start({"--create"});
  const Ran ran = Run({"bench", "--members", "5", "--ops", "10", "--batch", "1", "--warm-up", "0",
                       "--html", Path("missing/report.html")});
  EXPECT_EQ(ran.status, 1);
  EXPECT_EQ(ran.output, "");
  EXPECT_THAT(ran.errors, HasSubstr("missing/report.html: No such file"));
}

TEST_F(Commands, BenchWritesANewPageOrNone) {
  Start({"--create"});
  const std::vector<std::string> bench = {"bench",   "--members", "5",         "--ops", "10",
                                          "--batch", "1",         "--warm-up", "0"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), bench.begin(), bench.end());
    return Run(more);
  };
  std::ofstream(Path("mine.html")) << "mine";
  EXPECT_THAT(with({"--html", Path("mine.html")}).errors, HasSubstr("is there already"));
  std::stringstream page;
  page << std::ifstream(Path("mine.html")).rdbuf();
  EXPECT_EQ(page.str(), "mine");
  std::ofstream(Path("program.json")) << R"({"id": 9, "name": "Shop", "currency": "USD",
      "time_zone": "UTC", "earn": {"points": 1, "per_spend": 1}})";
  ASSERT_EQ(Run({"program", "put", Path("program.json")}).status, 0);
  EXPECT_EQ(with({"--html", Path("new.html"), "--program", "9"}).status, 1);
  EXPECT_FALSE(std::filesystem::exists(Path("new.html")));
  EXPECT_FALSE(std::filesystem::exists(Path("new.html.unfinished")));
}

TEST_F(Commands, BenchRefusesNumbersThatMakeNoSense) {
  Start({"--create"});
  for (const char* option :
       {"--seconds", "--warm-up", "--rate", "--redeem-share", "--read-share"}) {
    const Ran ran = Run({"bench", option, "nan"});
    EXPECT_NE(ran.status, 0) << option;
    EXPECT_THAT(ran.errors, HasSubstr("nan is not a number of")) << option;
  }
  EXPECT_THAT(Run({"bench", "--rate", "1e-9"}).errors, HasSubstr("1e-9 is not a number of"));
  EXPECT_THAT(Run({"bench", "--in-flight", "65536", "--batch", "1000"}).errors,
              HasSubstr("65536000 operations under way"));
  // A request is cut to what the server takes, before it counts.
  EXPECT_EQ(Run({"bench", "--members", "5", "--ops", "10", "--warm-up", "0", "--batch", "1000000"})
                .status,
            0);
}

}  // namespace
}  // namespace tallystick
