// tallyd, killed under load again and again: whatever was acknowledged is there, and everything is
// there once.
//
// Snapshots are taken and segments archived all the time, so that many kills come in the middle of
// one; how many is printed, and asked for where there are 100 kills or more.
//
// TALLYSTICK_CRASHES=N kills it that often, TALLYSTICK_SEED=N draws other moments.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "api/client.h"
#include "api/program_file.h"

namespace tallystick {
namespace {

constexpr uint16_t kProgram = 1;
constexpr size_t kCallers = 3;
constexpr size_t kBatch = 50;
constexpr size_t kBatchesInFlight = 6;
constexpr uint64_t kMembersOfCaller = 20;
constexpr std::chrono::seconds kLongest(120);

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// A tallyd that doesn't outlive this object.
class Tallyd {
 public:
  explicit Tallyd(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), TALLYD);
    std::vector<char*> pointers;
    pointers.reserve(arguments.size() + 1);
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    int out[2];
    EXPECT_EQ(pipe2(out, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    EXPECT_EQ(posix_spawn(&pid_, TALLYD, &actions, nullptr, pointers.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    out_ = out[0];
  }
  ~Tallyd() {
    if (pid_ > 0) End(SIGKILL);
    close(out_);
  }

  bool WaitUntilReady() {
    std::string line;
    for (char c; read(out_, &c, 1) == 1 && c != '\n';) line += c;
    return line.rfind("ready ", 0) == 0;
  }
  // The exit status, or minus the signal that ended it.
  int End(int signal) {
    kill(pid_, signal);
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  pid_t pid_ = 0;
  int out_ = -1;
};

// Acknowledged operations of all callers.
class Count {
 public:
  void Add(size_t count) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      count_ += count;
    }
    changed_.notify_all();
  }
  // False: it does not come to that.
  bool WaitForMore(size_t more) {
    std::unique_lock<std::mutex> lock(mutex_);
    const size_t wanted = count_ + more;
    return changed_.wait_for(lock, kLongest, [&] { return count_ >= wanted; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t count_ = 0;
};

// One connection with members of its own, and what it remembers.
class Caller {
 public:
  Caller(uint64_t number, uint64_t seed, const std::string& address, Count& count)
      : number_(number), random_(seed * 1000 + number), address_(address), count_(count) {}

  void Start() {
    thread_ = std::thread([this] { Main(); });
  }
  void Stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  ~Caller() { Stop(); }

  struct Sent {
    Operation operation;
    std::optional<Result> answer;
  };
  const std::vector<Sent>& sent() const { return sent_; }
  const absl::Status& failure() const { return failure_; }
  int64_t reconnects() const { return reconnects_; }
  Id Member(uint64_t member) const { return Id(member, number_ + 1); }

 private:
  void Main() {
    auto client = Client::Connect(address_, {.name = "crash_test", .reconnect_ms = 60'000});
    failure_ = client.status();
    if (!failure_.ok()) return;
    while (failure_.ok() && !stop_) {
      while ((*client)->requests_in_flight() < kBatchesInFlight) SubmitBatch(**client);
      failure_ = (*client)->Poll(1000);
    }
    while (failure_.ok() && (!again_.empty() || (*client)->requests_in_flight() > 0)) {
      SubmitAgain(**client);
      failure_ = (*client)->Poll(1000);
    }
    reconnects_ = (*client)->reconnects();
  }

  void SubmitBatch(Client& client) {
    if (!again_.empty()) return SubmitAgain(client);
    std::vector<size_t> indexes;
    for (size_t i = 0; i < kBatch; ++i) {
      const uint64_t member = random_() % kMembersOfCaller;
      const bool redeems = random_() % 3 == 0;
      const auto now = std::chrono::system_clock::now().time_since_epoch();
      sent_.push_back({Operation(Id(sent_.size() + 1, number_ + 1), Member(member), Id(),
                                 static_cast<int64_t>(1 + random_() % (redeems ? 200 : 100)),
                                 std::chrono::duration_cast<std::chrono::microseconds>(now).count(),
                                 0, 0, kProgram, 0, redeems ? Kind::Redeem : Kind::Accrue, 0, 0),
                       {}});
      indexes.push_back(sent_.size() - 1);
    }
    Submit(client, indexes);
  }

  void SubmitAgain(Client& client) {
    if (!again_.empty()) Submit(client, std::exchange(again_, {}));
  }

  void Submit(Client& client, const std::vector<size_t>& indexes) {
    std::vector<Operation> operations;
    operations.reserve(indexes.size());
    for (const size_t index : indexes) operations.push_back(sent_[index].operation);
    client.Submit(operations, [this, indexes](absl::StatusOr<absl::Span<const Result>> results) {
      if (!results.ok()) return;  // Poll says it too
      for (size_t i = 0; i < indexes.size(); ++i) {
        if ((*results)[i].outcome() == Outcome::Overloaded) {
          again_.push_back(indexes[i]);
        } else {
          sent_[indexes[i]].answer = (*results)[i];
        }
      }
      count_.Add(indexes.size());
    });
  }

  const uint64_t number_;
  std::mt19937_64 random_;
  const std::string address_;
  Count& count_;
  std::vector<Sent> sent_;
  std::vector<size_t> again_;  // overloaded
  absl::Status failure_;
  int64_t reconnects_ = 0;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

// What a server does beside its log, by the file that says that it is at it.
struct Step {
  const char* name;
  const char* suffix;
};
constexpr Step kSteps[] = {{"a snapshot", ".snap.new"},
                           {"an archive", ".arc.new"},
                           {"a segment given up", ".free"},
                           {"a segment made ready", ".prep"}};

class CrashTest : public testing::TestWithParam<int> {
 protected:
  CrashTest()
      : directory_(std::filesystem::temp_directory_path() /
                   ("tallystick_crash." + std::to_string(getpid()))) {
    std::filesystem::create_directories(directory_);
  }
  ~CrashTest() override {
    tallyd_.reset();
    std::filesystem::remove_all(directory_);
  }

  bool Start(bool create) {
    std::vector<std::string> arguments = {
        "--data", directory_ / "ledger", "--listen", address_, "--segment-mib",
        "1",      "--snapshot-every",    "0.03"};
    if (create) {
      arguments.insert(arguments.end(), {"--create", "--shards", std::to_string(GetParam())});
    }
    tallyd_.emplace(arguments);
    return tallyd_->WaitUntilReady();
  }

  // Whether a step is, or was when the server was killed, under way: a file that it leaves half
  // made is there.
  bool IsWithin(const Step& step) const {
    std::error_code gone;  // a file, while the directory is walked
    for (std::filesystem::recursive_directory_iterator it(directory_ / "ledger", gone), end;
         it != end; it.increment(gone)) {
      if (absl::EndsWith(it->path().native(), step.suffix)) return true;
    }
    return false;
  }
  // Until one is under way, if it comes to that.
  void WaitFor(const Step& step) const {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(200);
    while (!IsWithin(step) && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  }

  void PutProgram(Client& client) {
    const auto file = ProgramFile::Parse(
        R"({"id": 1, "name": "Crash", "currency": "USD", "time_zone": "UTC",
            "earn": {"points": 1, "per_spend": 1}, "implicit_enrolment": true})",
        "program");
    ASSERT_TRUE(file.ok()) << file.status();
    const auto put = client.PutProgram(Id(1, 1), file->bytes());
    ASSERT_TRUE(put.ok() && put->outcome == Outcome::Ok) << put.status();
  }

  const std::filesystem::path directory_;
  const std::string address_ = "unix:" + (directory_ / "socket").string();
  std::optional<Tallyd> tallyd_;
};

// Resent, each gives what it gave; none has moved points twice.
void ExpectOriginalAnswers(Client& client, const Caller& caller) {
  const auto& sent = caller.sent();
  std::vector<size_t> accepted;
  for (size_t i = 0; i < sent.size(); ++i) {
    ASSERT_TRUE(sent[i].answer.has_value()) << "operation " << i << " was never answered";
    if (sent[i].answer->outcome() == Outcome::Ok) accepted.push_back(i);
  }
  for (size_t from = 0; from < accepted.size(); from += kBatch) {
    std::vector<Operation> operations;
    const size_t end = std::min(accepted.size(), from + kBatch);
    for (size_t i = from; i < end; ++i) operations.push_back(sent[accepted[i]].operation);
    client.Submit(operations, [&, from](absl::StatusOr<absl::Span<const Result>> results) {
      ASSERT_TRUE(results.ok()) << results.status();
      for (size_t i = 0; i < results->size(); ++i) {
        const Result& original = *sent[accepted[from + i]].answer;
        const Result& again = (*results)[i];
        EXPECT_EQ(again.outcome(), Outcome::Ok);
        EXPECT_NE(again.flags() & kReplayed, 0);
        EXPECT_EQ(again.position(), original.position());
        EXPECT_EQ(again.points(), original.points());
        EXPECT_EQ(again.available(), original.available());
        EXPECT_EQ(again.pending(), original.pending());
      }
    });
    ASSERT_EQ(client.Drain(), absl::OkStatus());
  }
}

// In the order of the log, each member's answers add up to its balance. Adds them to the totals.
void ExpectBalances(Client& client, const Caller& caller, TotalsAnswer& totals) {
  std::map<uint64_t, std::map<Position, Result>> members;
  for (const Caller::Sent& sent : caller.sent()) {
    if (sent.answer->outcome() != Outcome::Ok) continue;
    auto& history = members[sent.operation.member().low()];
    EXPECT_TRUE(history.emplace(sent.answer->position(), *sent.answer).second);
    const Points points = sent.answer->points();
    (points > 0 ? totals.issued : totals.redeemed) += std::abs(points);
  }
  for (const auto& [member, history] : members) {
    Points available = 0;
    for (const auto& [position, result] : history) {
      available += result.points();
      ASSERT_EQ(result.available(), available) << "at position " << position;
    }
    const auto balance = client.Balance(kProgram, caller.Member(member));
    ASSERT_TRUE(balance.ok()) << balance.status();
    EXPECT_EQ(balance->available, available);
    totals.available += available;
    ++totals.members;
  }
}

TEST_P(CrashTest, EverythingAcknowledgedIsThereOnce) {
  const uint64_t crashes = FromEnvironment("TALLYSTICK_CRASHES", 10);
  const uint64_t seed = FromEnvironment("TALLYSTICK_SEED", std::random_device()());
  SCOPED_TRACE("TALLYSTICK_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  ASSERT_TRUE(Start(/*create=*/true));
  auto client = Client::Connect(address_, {.reconnect_ms = 60'000});
  ASSERT_TRUE(client.ok()) << client.status();
  ASSERT_NO_FATAL_FAILURE(PutProgram(**client));

  Count count;
  std::vector<std::unique_ptr<Caller>> callers;
  for (size_t i = 0; i < kCallers; ++i) {
    callers.push_back(std::make_unique<Caller>(i, seed, address_, count));
    callers.back()->Start();
  }
  uint64_t within[std::size(kSteps)] = {};
  uint64_t within_any = 0;
  for (uint64_t crash = 0; crash < crashes; ++crash) {
    // The first comes when somebody is connected; later ones may find a server that has just
    // started.
    const bool at_once = crash > 0 && random() % 4 == 0;
    ASSERT_TRUE(count.WaitForMore(at_once ? 0 : 1 + random() % 3000)) << "all have stopped";
    if (random() % 2 == 0) WaitFor(kSteps[random() % std::size(kSteps)]);
    ASSERT_EQ(tallyd_->End(SIGKILL), -SIGKILL);
    bool any = false;
    for (size_t i = 0; i < std::size(kSteps); ++i) {
      const bool is_within = IsWithin(kSteps[i]);
      within[i] += is_within ? 1 : 0;
      any |= is_within;
    }
    within_any += any ? 1 : 0;
    ASSERT_TRUE(Start(/*create=*/false)) << "after crash " << crash;
  }
  std::printf("%lu kills, %lu of them in the middle of something:", crashes, within_any);
  for (size_t i = 0; i < std::size(kSteps); ++i) std::printf(" %s %lu", kSteps[i].name, within[i]);
  std::printf("\n");
  if (crashes >= 100) {
    EXPECT_GE(within_any, crashes / 5);
  }
  ASSERT_TRUE(count.WaitForMore(2000));
  for (const auto& caller : callers) caller->Stop();

  TotalsAnswer expected;
  int64_t reconnects = 0;
  for (const auto& caller : callers) {
    ASSERT_EQ(caller->failure(), absl::OkStatus());
    ASSERT_NO_FATAL_FAILURE(ExpectOriginalAnswers(**client, *caller));
    ASSERT_NO_FATAL_FAILURE(ExpectBalances(**client, *caller, expected));
    reconnects += caller->reconnects();
  }
  EXPECT_GT(reconnects, 0);
  const auto totals = (*client)->Totals(kProgram);
  ASSERT_TRUE(totals.ok()) << totals.status();
  EXPECT_EQ(totals->members, expected.members);
  EXPECT_EQ(totals->issued, expected.issued);
  EXPECT_EQ(totals->redeemed, expected.redeemed);
  EXPECT_EQ(totals->available, expected.available);
  client->reset();
  EXPECT_EQ(tallyd_->End(SIGTERM), 0);
}

INSTANTIATE_TEST_SUITE_P(Shards, CrashTest, testing::Values(1, 2));

}  // namespace
}  // namespace tallystick
