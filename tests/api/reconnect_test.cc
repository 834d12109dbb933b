// Client and server across connections that break: each operation is applied exactly once.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "api/client.h"
#include "tests/api/raw_socket.h"
#include "tests/api/served_ledger.h"

namespace tallystick {
namespace {

constexpr uint16_t kProgram = ServedLedger::kProgram;

// Stands between one client and a server, and cuts after a random number of bytes, in whichever
// direction they flow; then takes the client's next connection.
class CuttingProxy {
 public:
  CuttingProxy(const std::string& server, uint64_t seed)
      : server_(server),
        listener_(server.substr(5) + ".proxy"),
        random_(seed),
        thread_([this] { Run(); }) {}
  ~CuttingProxy() {
    stop_ = true;
    RawSocket::Connect(address());  // so that Run sees it
    thread_.join();
  }
  std::string address() const { return listener_.address(); }
  int cuts() const { return cuts_; }

 private:
  static constexpr int kCuts = 30;

  void Run() {
    for (;;) {
      RawSocket client = listener_.Accept();
      if (stop_) return;
      RawSocket server = RawSocket::Connect(server_);
      // After the last cut the connection holds.
      Forward(client, server, cuts_ < kCuts ? 200 + random_() % 60'000 : SIZE_MAX);
      ++cuts_;
    }
  }

  // Until `budget` bytes have passed, or a side has closed.
  static void Forward(RawSocket& client, RawSocket& server, size_t budget) {
    pollfd sides[2] = {{client.fd(), POLLIN, 0}, {server.fd(), POLLIN, 0}};
    RawSocket* to[2] = {&server, &client};
    std::byte bytes[16'384];
    while (budget != 0 && poll(sides, 2, -1) > 0) {
      for (int side = 0; side < 2; ++side) {
        if (sides[side].revents == 0) continue;
        const ssize_t count =
            recv(sides[side].fd, bytes, std::min(sizeof(bytes), budget), MSG_DONTWAIT);
        if (count <= 0) return;
        to[side]->Send({bytes, static_cast<size_t>(count)});
        budget -= static_cast<size_t>(count);
      }
    }
  }

  const std::string server_;
  RawListener listener_;
  std::mt19937_64 random_;
  std::atomic<bool> stop_{false};
  std::atomic<int> cuts_{0};
  std::thread thread_;
};

// Submits `requests` requests of one point for each of `size` members, and checks every answer.
class Submitter {
 public:
  Submitter(ServedLedger& served, Client& client) : served_(served), client_(client) {}

  void Submit(uint64_t requests, uint64_t size) {
    for (uint64_t request = 0; request < requests; ++request) {
      std::vector<Operation> operations;
      for (uint64_t member = 1; member <= size; ++member) {
        operations.push_back(served_.Accrue(++last_id_, member, 1));
      }
      client_.Submit(operations, [this, size](absl::StatusOr<absl::Span<const Result>> results) {
        ASSERT_TRUE(results.ok()) << results.status();
        ASSERT_EQ(results->size(), size);
        for (const Result& result : *results) {
          ASSERT_EQ(result.outcome(), Outcome::Ok);
          ASSERT_EQ(result.points(), 1);
          replayed_ += (result.flags() & kReplayed) != 0 ? 1 : 0;
        }
        ++answered_;
      });
    }
  }
  uint64_t answered() const { return answered_; }
  uint64_t replayed() const { return replayed_; }

 private:
  ServedLedger& served_;
  Client& client_;
  uint64_t last_id_ = 0;
  uint64_t answered_ = 0;
  uint64_t replayed_ = 0;
};

TEST(Reconnect, CutsAnywhereApplyEachOperationOnce) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  ServedLedger served;
  CuttingProxy proxy(served.address(), seed);
  absl::StatusOr<std::unique_ptr<Client>> client =
      Client::Connect(proxy.address(), {.in_flight_bytes = 40'000});
  ASSERT_TRUE(client.ok()) << client.status();
  Submitter submitter(served, **client);
  submitter.Submit(2000, 10);
  EXPECT_TRUE((*client)->Drain().ok());
  EXPECT_EQ(submitter.answered(), 2000u);
  EXPECT_GT((*client)->reconnects(), 0);
  // Some were applied, and their answers cut off.
  EXPECT_GT(submitter.replayed(), 0u);
  for (uint64_t member = 1; member <= 10; ++member) {
    EXPECT_EQ(served.ledger().Balance(kProgram, Id(member, 0))->available, 2000);
  }
}

TEST(Reconnect, ServerThatIsStoppedAndStartedLosesNothing) {
  ServedLedger served;
  const auto client = served.NewClient();
  Submitter submitter(served, *client);
  for (uint64_t round = 1; round <= 5; ++round) {
    submitter.Submit(400, 20);
    while (submitter.answered() < round * 400 - 300) ASSERT_TRUE(client->Poll(-1).ok());
    served.StopServer();
    served.StartServer();
  }
  EXPECT_TRUE(client->Drain().ok());
  EXPECT_EQ(submitter.answered(), 2000u);
  EXPECT_GT(client->reconnects(), 0);
  EXPECT_EQ(served.ledger().Totals(kProgram)->issued, 2000 * 20);
}

TEST(Reconnect, ServerThatStaysAwayIsGivenUp) {
  ServedLedger served;
  const auto client = served.NewClient(/*reconnect_ms=*/50);
  EXPECT_TRUE(client->Apply(served.Accrue(1, 1, 1)).ok());
  served.StopServer();
  const absl::Status status = client->Apply(served.Accrue(2, 1, 1)).status();
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("is tallyd running?"));
  EXPECT_FALSE(client->Poll(0).ok());
  served.StartServer();
}

// Each control message, from client to ledger and back.
TEST(ClientAndServer, ControlRequestsAreAnswered) {
  ServedLedger served;
  const auto client = served.NewClient();
  for (uint64_t id = 1; id <= 3; ++id) {
    ASSERT_TRUE(client->Apply(served.Accrue(id, 7, 10 * static_cast<int64_t>(id))).ok());
  }
  const absl::StatusOr<BalanceAnswer> balance = client->Balance(kProgram, Id(7, 0));
  ASSERT_TRUE(balance.ok()) << balance.status();
  EXPECT_EQ(balance->outcome, Outcome::Ok);
  EXPECT_EQ(balance->available, 60);
  EXPECT_EQ(client->Balance(kProgram, Id(8, 0))->outcome, Outcome::UnknownMember);
  EXPECT_EQ(client->Balance(99, Id(7, 0))->outcome, Outcome::UnknownProgram);

  const absl::StatusOr<LotsAnswer> lots = client->Lots(kProgram, Id(7, 0));
  ASSERT_TRUE(lots.ok()) << lots.status();
  ASSERT_EQ(lots->lots.size(), 3u);
  EXPECT_EQ(lots->lots[0].remaining + lots->lots[1].remaining + lots->lots[2].remaining, 60);
  EXPECT_EQ(lots->lots[0].expires_at, kNever);

  const absl::StatusOr<StatementAnswer> newest = client->Statement(kProgram, Id(7, 0), 0, 2);
  ASSERT_TRUE(newest.ok()) << newest.status();
  ASSERT_EQ(newest->movements.size(), 2u);
  EXPECT_EQ(newest->movements[0].operation.id(), Id(3, 0));
  const absl::StatusOr<StatementAnswer> rest =
      client->Statement(kProgram, Id(7, 0), newest->next, 0);
  ASSERT_TRUE(rest.ok()) << rest.status();
  EXPECT_EQ(rest->next, 0u);

  const absl::StatusOr<TotalsAnswer> totals = client->Totals(kProgram);
  ASSERT_TRUE(totals.ok()) << totals.status();
  EXPECT_EQ(totals->issued, 60);
  EXPECT_EQ(totals->members, 1);
  EXPECT_EQ(totals->shards.size(), 2u);

  const absl::StatusOr<std::vector<uint8_t>> program = client->GetProgram(kProgram);
  ASSERT_TRUE(program.ok()) << program.status();
  EXPECT_TRUE(absl::IsNotFound(client->GetProgram(99).status()));
  const absl::StatusOr<ProgramPutAnswer> no_program =
      client->PutProgram(Id(9, 9), std::vector<uint8_t>(100, 0xEE));
  ASSERT_TRUE(no_program.ok()) << no_program.status();
  EXPECT_EQ(no_program->outcome, Outcome::BadRequest);
  EXPECT_FALSE(no_program->message.empty());
  EXPECT_TRUE(absl::IsInvalidArgument(
      client->PutProgram(Id(9, 9), std::vector<uint8_t>(2 << 20)).status()));

  // Only an import moves log time.
  const absl::StatusOr<TickAnswer> tick = client->Tick(Id(5, 5), client->server().time);
  ASSERT_TRUE(tick.ok()) << tick.status();
  EXPECT_EQ(tick->outcome, Outcome::NotPermitted);
}

}  // namespace
}  // namespace tallystick
