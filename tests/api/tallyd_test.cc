// tallyd as a process: what it prints, when it ends, and how.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "api/client.h"
#include "tests/api/raw_socket.h"

extern char** environ;

namespace tallystick {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

class Process {
 public:
  explicit Process(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), TALLYD);
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    int out[2];
    int error[2];
    EXPECT_EQ(pipe2(out, O_CLOEXEC), 0);
    EXPECT_EQ(pipe2(error, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, error[1], STDERR_FILENO);
    EXPECT_EQ(posix_spawn(&pid_, TALLYD, &actions, nullptr, pointers.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    close(error[1]);
    out_ = out[0];
    error_ = error[0];
  }
  ~Process() {
    if (pid_ > 0) End(SIGKILL);
    close(out_);
    close(error_);
  }

  std::string ReadLine() {
    std::string line;
    for (char c; read(out_, &c, 1) == 1 && c != '\n';) line += c;
    return line;
  }
  // Sends a signal (0: none) and waits; the exit status, or minus the signal that ended it.
  int End(int signal) {
    if (signal != 0) kill(pid_, signal);
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  // All that is left of the streams, after End.
  std::string Output() { return ReadAll(out_); }
  std::string Errors() { return ReadAll(error_); }

 private:
  static std::string ReadAll(int fd) {
    std::string all;
    char bytes[4096];
    for (ssize_t count; (count = read(fd, bytes, sizeof(bytes))) > 0;) {
      all.append(bytes, static_cast<size_t>(count));
    }
    return all;
  }

  pid_t pid_ = 0;
  int out_ = -1;
  int error_ = -1;
};

class TallydTest : public testing::Test {
 protected:
  TallydTest()
      : directory_(std::filesystem::temp_directory_path() /
                   ("tallyd_test." + std::to_string(getpid()))) {
    std::filesystem::create_directories(directory_);
  }
  ~TallydTest() override { std::filesystem::remove_all(directory_); }

  std::vector<std::string> Arguments(std::vector<std::string> more = {}) const {
    std::vector<std::string> all = {"--data", directory_ / "ledger", "--listen",
                                    address_, "--segment-mib",       "8"};
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
  Process process({"--data", directory_ / "ledger", "--create", "--segment-mib", "8", "--listen",
                   "tcp:0.0.0.0:99"});
  EXPECT_EQ(process.End(0), 1);
  EXPECT_THAT(process.Errors(), HasSubstr("tallyd: cannot listen on \"tcp:0.0.0.0:99\": "));
}

TEST_F(TallydTest, WrongCommandLinesAreRefused) {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{},
                                                    {"--data", "x"},
                                                    Arguments({"--shards", "2"}),
                                                    Arguments({"--durability", "some"}),
                                                    Arguments({"--clock", "moon"})}) {
    Process process(arguments);
    EXPECT_GT(process.End(0), 2);
    EXPECT_NE(process.Errors(), "");
  }
}

}  // namespace
}  // namespace tallystick
