// tallyd as a process: what it prints, when it ends, and how.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "api/client.h"
#include "tests/api/process.h"

namespace tallystick {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

class TallydTest : public testing::Test {
 protected:
  TallydTest()
      : directory_(std::filesystem::temp_directory_path() /
                   ("tallyd_test." + std::to_string(getpid()))) {
    std::filesystem::create_directories(directory_);
  }
  ~TallydTest() override { std::filesystem::remove_all(directory_); }

  std::vector<std::string> Arguments(std::vector<std::string> more = {}) const {
    std::vector<std::string> all = {
        TALLYD, "--data", directory_ / "ledger", "--listen", address_, "--segment-mib", "8"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  const std::filesystem::path directory_;
  const std::string address_ = "unix:" + (directory_ / "socket").string();
};

TEST_F(TallydTest, ServesUntilItIsToldToEnd) {
  for (const int signal : {SIGTERM, SIGINT}) {
    Process process(Arguments(signal == SIGTERM
                                  ? std::vector<std::string>{"--create", "--shards", "2"}
                                  : std::vector<std::string>{"--clock", "import"}));
    const std::string ready = process.ReadLine();
    EXPECT_THAT(ready, StartsWith("ready " + address_ + " ledger="));
    EXPECT_THAT(ready,
                HasSubstr(signal == SIGTERM ? " shards=2 clock=wall durability=open-dsync"
                                            : " shards=2 clock=import durability=open-dsync"));
    {
      const absl::StatusOr<std::unique_ptr<Client>> client = Client::Connect(address_);
      ASSERT_TRUE(client.ok()) << client.status();
      EXPECT_EQ((*client)->server().shard_count, 2);
      EXPECT_THAT((*client)->server().server, MatchesRegex("tallyd [0-9.]+"));
    }
    EXPECT_EQ(process.End(signal), 0);
    EXPECT_EQ(process.Output(), "");
    EXPECT_THAT(process.Errors(), HasSubstr(signal == SIGTERM ? "tallyd: stopped by SIGTERM"
                                                              : "tallyd: stopped by SIGINT"));
  }
}

TEST_F(TallydTest, SaysWhenNothingIsDurable) {
  Process process(Arguments({"--create", "--durability", "none"}));
  EXPECT_THAT(process.ReadLine(), HasSubstr("durability=none"));
  EXPECT_EQ(process.End(SIGTERM), 0);
  EXPECT_THAT(process.Errors(), HasSubstr("tallyd: durability none: "));
}

TEST_F(TallydTest, LedgerThatIsMissingIsNamed) {
  Process process(Arguments());
  EXPECT_EQ(process.End(0), 1);
  EXPECT_EQ(process.Output(), "");
  const std::string errors = process.Errors();
  EXPECT_THAT(errors, StartsWith("tallyd: "));
  EXPECT_THAT(errors, HasSubstr((directory_ / "ledger").string()));
}

TEST_F(TallydTest, SecondOneOfALedgerIsRefused) {
  Process first(Arguments({"--create"}));
  EXPECT_THAT(first.ReadLine(), StartsWith("ready "));
  Process second(Arguments());
  EXPECT_EQ(second.End(0), 1);
  EXPECT_THAT(second.Errors(), StartsWith("tallyd: "));
  EXPECT_EQ(first.End(SIGTERM), 0);
}

TEST_F(TallydTest, AddressThatCannotBeIsNamed) {
  Process process({TALLYD, "--data", directory_ / "ledger", "--create", "--segment-mib", "8",
                   "--listen", "tcp:0.0.0.0:99"});
  EXPECT_EQ(process.End(0), 1);
  EXPECT_THAT(process.Errors(), HasSubstr("tallyd: cannot listen on \"tcp:0.0.0.0:99\": "));
  EXPECT_FALSE(std::filesystem::exists(directory_ / "ledger")) << "nothing was made";
  // Not after a ledger has been looked for, and opened.
  Process opening({TALLYD, "--data", directory_ / "ledger", "--listen", "tcp:127.0.0.1:x"});
  EXPECT_EQ(opening.End(0), 1);
  EXPECT_THAT(opening.Errors(), HasSubstr("the port is a number from 0 (any) to 65535"));
}

TEST_F(TallydTest, WrongCommandLinesAreRefused) {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{TALLYD},
                                                    {TALLYD, "--data", "x"},
                                                    Arguments({"--shards", "2"}),
                                                    Arguments({"--create", "--shards", "0"}),
                                                    Arguments({"--create", "--shards", "9999"}),
                                                    Arguments({"--threads", "-1"}),
                                                    Arguments({"--blocks-in-flight", "0"}),
                                                    Arguments({"--segment-mib", "5000"}),
                                                    Arguments({"--durability", "some"}),
                                                    Arguments({"--clock", "moon"})}) {
    Process process(arguments);
    EXPECT_EQ(process.End(0), 2);
    const std::string errors = process.Errors();
    EXPECT_THAT(errors, AllOf(Not(IsEmpty()), SizeIs(Le(120u))));
  }
  Process process(Arguments({"--clock", "moon"}));
  EXPECT_EQ(process.End(0), 2);
  EXPECT_THAT(process.Errors(),
              StartsWith("tallyd: --clock: say wall or import, not \"moon\": see tallyd --help\n"));
}

TEST_F(TallydTest, UnknownOptionsAreNamed) {
  Process process(Arguments({"--snapshot-evry", "5"}));
  EXPECT_EQ(process.End(0), 2);
  EXPECT_EQ(process.Errors(),
            "tallyd: there is no option \"--snapshot-evry\"; did you mean --snapshot-every? See "
            "tallyd --help\n");
}

TEST_F(TallydTest, RemembersItsClockAndItsSegments) {
  // What the line of readiness and standard error say of the clock.
  const auto serve = [this](std::vector<std::string> more) {
    std::vector<std::string> command = {TALLYD, "--data", directory_ / "ledger", "--listen",
                                        address_};
    command.insert(command.end(), more.begin(), more.end());
    Process process(command);
    std::string said = process.ReadLine();
    EXPECT_EQ(process.End(SIGTERM), 0);
    return said + "\n" + process.Errors();
  };
  EXPECT_THAT(serve({"--create", "--clock", "import", "--segment-mib", "1"}),
              HasSubstr(" clock=import "));
  EXPECT_THAT(serve({}), AllOf(HasSubstr(" clock=import "), Not(HasSubstr("from now on"))));
  EXPECT_THAT(serve({"--clock", "wall"}),
              AllOf(HasSubstr(" clock=wall "),
                    HasSubstr("tallyd: the ledger goes by the wall clock from now on")));
  EXPECT_THAT(serve({"--clock", "wall"}), Not(HasSubstr("from now on")));
  EXPECT_THAT(serve({}), HasSubstr(" clock=wall "));
  for (const auto& file : std::filesystem::directory_iterator(directory_ / "ledger/shard-0000")) {
    EXPECT_LE(file.file_size(), uint64_t{1} << 20) << file.path();
  }
}

}  // namespace
}  // namespace tallystick
