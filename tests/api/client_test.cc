// The client against a server that follows a script.

#include "api/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/encoding.h"
#include "tests/api/frames.h"
#include "tests/api/raw_socket.h"

namespace tallystick {
namespace {

using protocol::ErrorCode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint32_t kMaxOperations = 100;

ServerInfo TestServer(uint64_t ledger = 42) {
  ServerInfo info;
  info.protocol_version = kProtocolVersion;
  info.ledger = Id(ledger, 0);
  info.shard_count = 1;
  info.durability = "none";
  info.max_operations = kMaxOperations;
  info.server = "script";
  return info;
}

FrameBuffer HelloReplyFrame(const ServerInfo& info) {
  return BuiltFrame([&](Builder& builder) { BuildReply(builder, 0, info); });
}

FrameBuffer ErrorFrame(uint64_t request, ErrorCode code, const std::string& message) {
  return BuiltFrame([&](Builder& builder) { BuildError(builder, request, code, message); });
}

Result ResultOf(int64_t points, Outcome outcome = Outcome::Ok) {
  return Result(points, points, 0, 1, outcome, 0, Field::None, 0, 0);
}

// What a script reads of a Submit of one operation.
struct ReadSubmit {
  uint64_t request = 0;
  uint64_t operation = 0;
  uint32_t overloads_seen = 0;
};

ReadSubmit NextSubmit(RawSocket& socket) {
  const protocol::Frame* frame = socket.ReadFrame();
  EXPECT_NE(frame, nullptr);
  const protocol::Submit* submit = frame == nullptr ? nullptr : frame->body_as_Submit();
  EXPECT_NE(submit, nullptr);
  if (submit == nullptr) return {};
  return {frame->request(), submit->operations()->Get(0)->id().low(), submit->overloads_seen()};
}

class ClientTest : public testing::Test {
 protected:
  ClientTest()
      : directory_(std::filesystem::temp_directory_path() /
                   ("tallystick_client_test." + std::to_string(getpid()))) {
    std::filesystem::create_directories(directory_);
    listener_ = std::make_unique<RawListener>(directory_ / "socket");
  }
  ~ClientTest() override {
    Join();
    std::filesystem::remove_all(directory_);
  }

  void Run(std::function<void()> script) { script_ = std::thread(std::move(script)); }
  // A test whose script uses the test's own variables waits for its end.
  void Join() {
    if (script_.joinable()) script_.join();
  }
  // Accepts a connection and greets it.
  RawSocket Greet(const ServerInfo& info = TestServer()) {
    return Greet(listener_->Accept(), info);
  }
  RawSocket Greet(RawSocket socket, const ServerInfo& info) {
    const protocol::Frame* frame = socket.ReadFrame();
    EXPECT_NE(frame, nullptr);
    if (frame != nullptr) {
      EXPECT_NE(frame->body_as_Hello(), nullptr);
      EXPECT_EQ(frame->body_as_Hello()->version(), kProtocolVersion);
    }
    EXPECT_TRUE(socket.Send(HelloReplyFrame(info)));
    return socket;
  }
  std::unique_ptr<Client> Connect(const ClientOptions& options = {}) {
    absl::StatusOr<std::unique_ptr<Client>> client = Client::Connect(listener_->address(), options);
    EXPECT_TRUE(client.ok()) << client.status();
    return client.ok() ? *std::move(client) : nullptr;
  }
  // Submits the operation `id`; its answer is noted in answers_.
  void Submit(Client& client, uint64_t id) {
    const Operation operation = TestOperation(id, 1, 1, Kind::Accrue);
    client.Submit({&operation, 1}, [this, id](absl::StatusOr<absl::Span<const Result>> results) {
      answers_.push_back(results.ok() ? absl::StrCat(id, ":", results->front().points())
                                      : absl::StrCat(id, ":", results.status().ToString()));
    });
  }

  const std::filesystem::path directory_;
  std::unique_ptr<RawListener> listener_;
  std::thread script_;
  std::vector<std::string> answers_;
};

TEST_F(ClientTest, NoServerIsNamed) {
  const absl::Status missing =
      Client::Connect("unix:/nowhere/socket", {.reconnect_ms = 0}).status();
  EXPECT_TRUE(absl::IsUnavailable(missing));
  EXPECT_EQ(missing.message(),
            "cannot connect to unix:/nowhere/socket: No such file or directory; is tallyd "
            "running?");
  EXPECT_EQ(Client::Connect("unix:nowhere", {.reconnect_ms = 0}).status().message(),
            "cannot connect to unix:nowhere: No such file or directory in the current folder, "
            "where this path begins; is tallyd running?");
}

TEST_F(ClientTest, WrongAddressesAreNamed) {
  for (const auto& [address, part] : std::vector<std::pair<std::string, std::string>>{
           {"/run/socket", "write unix:PATH or tcp:127.0.0.1:PORT"},
           {"unix:", "the path is missing"},
           {"unix:/" + std::string(200, 'x'), "at most 107 bytes"},
           {"tcp:127.0.0.1", "write tcp:127.0.0.1:PORT"},
           {"tcp:127.0.0.1:0", "write tcp:127.0.0.1:PORT"},
           {"tcp:localhost:99999", "write tcp:127.0.0.1:PORT"},
           {"tcp:somewhere:99", "write tcp:127.0.0.1:PORT"}}) {
    const absl::Status status = Client::Connect(address).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << address;
    EXPECT_THAT(std::string(status.message()), HasSubstr(part));
  }
}

TEST_F(ClientTest, TriesAgainUntilItIsGreeted) {
  const std::string address = listener_->address();
  Run([&] {
    // Ended before a word is said, and gone altogether.
    listener_->Accept().Close();
    listener_->Accept().Close();
    listener_.reset();
    listener_ = std::make_unique<RawListener>(address.substr(5));
    Greet();
  });
  const absl::StatusOr<std::unique_ptr<Client>> client = Client::Connect(address);
  ASSERT_TRUE(client.ok()) << client.status();
  EXPECT_EQ((*client)->server().server, "script");
  EXPECT_EQ((*client)->reconnects(), 0);
  Join();
}

TEST_F(ClientTest, RepliesMayComeInAnyOrder) {
  Run([&] {
    RawSocket socket = Greet();
    const ReadSubmit first = NextSubmit(socket);
    const ReadSubmit second = NextSubmit(socket);
    const ReadSubmit third = NextSubmit(socket);
    for (const ReadSubmit& submit : {third, first, second}) {
      const Result result = ResultOf(static_cast<int64_t>(submit.operation) * 10);
      socket.Send(ResultsFrame(submit.request, {&result, 1}));
    }
    socket.AtEnd();
  });
  auto client = Connect();
  for (const uint64_t id : {1, 2, 3}) Submit(*client, id);
  EXPECT_EQ(client->requests_in_flight(), 3u);
  EXPECT_TRUE(client->Drain().ok());
  EXPECT_THAT(answers_, ElementsAre("3:30", "1:10", "2:20"));
  EXPECT_EQ(client->requests_in_flight(), 0u);
}

TEST_F(ClientTest, ResendsWhatIsUnansweredInItsOrder) {
  std::vector<uint64_t> resent;
  Run([&] {
    {
      RawSocket socket = Greet();
      NextSubmit(socket);
      const ReadSubmit second = NextSubmit(socket);
      NextSubmit(socket);
      const Result result = ResultOf(20);
      socket.Send(ResultsFrame(second.request, {&result, 1}));
    }
    RawSocket socket = Greet();
    for (int count = 0; count < 2; ++count) {
      const ReadSubmit submit = NextSubmit(socket);
      resent.push_back(submit.operation);
      const Result result = ResultOf(static_cast<int64_t>(submit.operation) * 10);
      socket.Send(ResultsFrame(submit.request, {&result, 1}));
    }
    socket.AtEnd();
  });
  auto client = Connect();
  for (const uint64_t id : {1, 2, 3}) Submit(*client, id);
  EXPECT_TRUE(client->Drain().ok());
  EXPECT_THAT(answers_, ElementsAre("2:20", "1:10", "3:30"));
  EXPECT_EQ(client->reconnects(), 1);
  client.reset();
  Join();
  EXPECT_THAT(resent, ElementsAre(1, 3));
}

TEST_F(ClientTest, CutInAReplyIsACutBeforeIt) {
  Run([&] {
    {
      RawSocket socket = Greet();
      const ReadSubmit submit = NextSubmit(socket);
      const Result result = ResultOf(1);
      const FrameBuffer reply = ResultsFrame(submit.request, {&result, 1});
      socket.Send(BytesOf(reply).first(reply.size() - 8));
    }
    RawSocket socket = Greet();
    const ReadSubmit submit = NextSubmit(socket);
    const Result result = ResultOf(2);
    socket.Send(ResultsFrame(submit.request, {&result, 1}));
    socket.AtEnd();
  });
  auto client = Connect();
  Submit(*client, 1);
  EXPECT_TRUE(client->Drain().ok());
  EXPECT_THAT(answers_, ElementsAre("1:2"));
}

TEST_F(ClientTest, OverloadsAreCountedAndForgottenWithTheConnection) {
  std::vector<uint32_t> seen;
  Run([&] {
    {
      RawSocket socket = Greet();
      ReadSubmit submit = NextSubmit(socket);
      seen.push_back(submit.overloads_seen);
      const Result overloaded = ResultOf(0, Outcome::Overloaded);
      socket.Send(ResultsFrame(submit.request, {&overloaded, 1}));
      submit = NextSubmit(socket);
      seen.push_back(submit.overloads_seen);
    }
    RawSocket socket = Greet();
    const ReadSubmit submit = NextSubmit(socket);
    seen.push_back(submit.overloads_seen);
    const Result result = ResultOf(1);
    socket.Send(ResultsFrame(submit.request, {&result, 1}));
    socket.AtEnd();
  });
  auto client = Connect();
  Submit(*client, 1);
  EXPECT_TRUE(client->Drain().ok());
  Submit(*client, 2);
  EXPECT_TRUE(client->Drain().ok());
  client.reset();
  Join();
  EXPECT_THAT(seen, ElementsAre(0, 1, 0));
}

TEST_F(ClientTest, RefusedRequestFailsAlone) {
  Run([&] {
    RawSocket socket = Greet();
    const ReadSubmit first = NextSubmit(socket);
    const ReadSubmit second = NextSubmit(socket);
    socket.Send(ErrorFrame(first.request, ErrorCode::refused, "no"));
    const Result result = ResultOf(2);
    socket.Send(ResultsFrame(second.request, {&result, 1}));
    socket.AtEnd();
  });
  auto client = Connect();
  Submit(*client, 1);
  Submit(*client, 2);
  EXPECT_TRUE(client->Drain().ok());
  EXPECT_THAT(answers_, ElementsAre("1:INVALID_ARGUMENT: no", "2:2"));
}

TEST_F(ClientTest, FaultOfTheClientIsFinal) {
  Run([&] {
    RawSocket socket = Greet();
    NextSubmit(socket);
    socket.Send(ErrorFrame(0, ErrorCode::fault, "you speak nonsense"));
  });
  auto client = Connect();
  Submit(*client, 1);
  const absl::Status status = client->Drain();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("you speak nonsense"));
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_THAT(answers_[0], HasSubstr("you speak nonsense"));
  EXPECT_EQ(client->reconnects(), 0);
  // What comes later fails with the same.
  Submit(*client, 2);
  EXPECT_EQ(client->requests_in_flight(), 1u);
  EXPECT_FALSE(client->Poll(0).ok());
  ASSERT_EQ(answers_.size(), 2u);
  EXPECT_THAT(answers_[1], HasSubstr("you speak nonsense"));
}

TEST_F(ClientTest, ServerThatCannotServeIsTriedAgainButNotForEver) {
  std::atomic<bool> over = false;
  Run([&] {
    for (;;) {
      RawSocket accepted = listener_->Accept();
      if (over) break;
      RawSocket socket = Greet(std::move(accepted), TestServer());
      socket.Send(
          ErrorFrame(NextSubmit(socket).request, ErrorCode::unavailable, "shard 0 has stopped"));
    }
  });
  auto client = Connect({.reconnect_ms = 100});
  Submit(*client, 1);
  const absl::Status status = client->Drain();
  over = true;
  RawSocket::Connect(listener_->address());  // so that the script sees it
  Join();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("shard 0 has stopped"));
  EXPECT_GE(client->reconnects(), 1);
}

TEST_F(ClientTest, AnotherLedgerBehindTheAddressIsNoticed) {
  Run([&] {
    {
      RawSocket socket = Greet(TestServer(1));
      NextSubmit(socket);
    }
    Greet(TestServer(2)).AtEnd();
  });
  auto client = Connect();
  Submit(*client, 1);
  const absl::Status status = client->Drain();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("now serves another ledger"));
}

TEST_F(ClientTest, WhatDoesNotSpeakTheProtocolIsNamed) {
  Run([&] {
    RawSocket socket = listener_->Accept();
    const std::string greeting = "220 mail.example.org ready\r\n";
    socket.Send(
        absl::MakeConstSpan(reinterpret_cast<const std::byte*>(greeting.data()), greeting.size()));
    socket.AtEnd();
  });
  const absl::Status status = Client::Connect(listener_->address()).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("does not speak the protocol"));
}

TEST_F(ClientTest, ReplyNobodyAskedForIsFinal) {
  Run([&] {
    RawSocket socket = Greet();
    const ReadSubmit submit = NextSubmit(socket);
    const Result result = ResultOf(1);
    socket.Send(ResultsFrame(submit.request + 1, {&result, 1}));
    socket.AtEnd();
  });
  auto client = Connect();
  Submit(*client, 1);
  EXPECT_THAT(std::string(client->Drain().message()), HasSubstr("which is not under way"));
}

TEST_F(ClientTest, RequestsAreCheckedBeforeTheyAreSent) {
  Run([&] { Greet().AtEnd(); });
  auto client = Connect();
  client->Submit({}, [&](auto results) { answers_.push_back(results.status().ToString()); });
  const std::vector<Operation> many(kMaxOperations + 1);
  client->Submit(many, [&](auto results) { answers_.push_back(results.status().ToString()); });
  EXPECT_THAT(answers_, ElementsAre());
  EXPECT_TRUE(client->Poll(0).ok());
  EXPECT_THAT(answers_, ElementsAre(HasSubstr("1 to 100 operations; this one has 0"),
                                    HasSubstr("1 to 100 operations; this one has 101")));
}

TEST_F(ClientTest, SubmitThatWaitsForRoomDoesNotOvertakeWhatIsOverloadedMeanwhile) {
  std::vector<uint32_t> seen;
  std::promise<void> may_answer_second;
  Run([&] {
    RawSocket socket = Greet();
    for (int count = 0; count < 2; ++count) {
      if (count == 1) may_answer_second.get_future().wait();
      const ReadSubmit submit = NextSubmit(socket);
      seen.push_back(submit.overloads_seen);
      const Result overloaded = ResultOf(0, Outcome::Overloaded);
      socket.Send(ResultsFrame(submit.request, {&overloaded, 1}));
    }
    socket.AtEnd();
  });
  auto client = Connect({.in_flight_bytes = 200});
  const Operation operations[2] = {TestOperation(1, 1, 1, Kind::Accrue),
                                   TestOperation(2, 1, 1, Kind::Accrue)};
  for (const Operation& operation : operations) {
    client->Submit({&operation, 1}, [](auto) {});
    EXPECT_EQ(client->requests_in_flight(), 1u);  // the second waited for the first one's answer
  }
  may_answer_second.set_value();
  EXPECT_TRUE(client->Drain().ok());
  client.reset();
  Join();
  EXPECT_THAT(seen, ElementsAre(0, 0));
}

TEST_F(ClientTest, CallbackMaySubmitButNotWait) {
  Run([&] {
    RawSocket socket = Greet();
    for (int count = 0; count < 2; ++count) {
      const ReadSubmit submit = NextSubmit(socket);
      const Result result = ResultOf(1);
      socket.Send(ResultsFrame(submit.request, {&result, 1}));
    }
    socket.AtEnd();
  });
  auto client = Connect();
  const Operation operation = TestOperation(1, 1, 1, Kind::Accrue);
  absl::Status poll, apply, totals;
  client->Submit({&operation, 1}, [&](auto) {
    poll = client->Poll(0);
    apply = client->Apply(operation).status();
    totals = client->Totals(1).status();
    Submit(*client, 2);
  });
  EXPECT_TRUE(client->Drain().ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(poll));
  EXPECT_TRUE(absl::IsFailedPrecondition(apply));
  EXPECT_TRUE(absl::IsFailedPrecondition(totals));
  EXPECT_THAT(answers_, ElementsAre("2:1"));
}

TEST_F(ClientTest, UnansweredBytesAreBounded) {
  Run([&] {
    RawSocket socket = Greet();
    for (int count = 0; count < 100; ++count) {
      const ReadSubmit submit = NextSubmit(socket);
      const Result result = ResultOf(1);
      socket.Send(ResultsFrame(submit.request, {&result, 1}));
    }
    socket.AtEnd();
  });
  const size_t limit = 10 * SubmitFrameBytes(1);
  auto client = Client::Connect(listener_->address(), {.in_flight_bytes = limit});
  ASSERT_TRUE(client.ok()) << client.status();
  for (uint64_t id = 1; id <= 100; ++id) {
    Submit(**client, id);
    EXPECT_LE((*client)->requests_in_flight(), 10u);
  }
  EXPECT_TRUE((*client)->Drain().ok());
  EXPECT_EQ(answers_.size(), 100u);
}

TEST_F(ClientTest, IdleClientOutlivesItsServer) {
  Run([&] {
    { RawSocket socket = Greet(); }
    RawSocket socket = Greet();
    const ReadSubmit submit = NextSubmit(socket);
    const Result result = ResultOf(7);
    socket.Send(ResultsFrame(submit.request, {&result, 1}));
    socket.AtEnd();
  });
  auto client = Connect({.reconnect_ms = 0});
  // Returns when the connection is seen to be gone: there is nothing to wait for.
  EXPECT_TRUE(client->Poll(-1).ok());
  Submit(*client, 1);
  EXPECT_TRUE(client->Drain().ok());
  EXPECT_THAT(answers_, ElementsAre("1:7"));
}

TEST_F(ClientTest, ControlRequestsAreResentToo) {
  Run([&] {
    {
      RawSocket socket = Greet();
      EXPECT_NE(socket.ReadFrame()->body_as_TotalsGet(), nullptr);
    }
    RawSocket socket = Greet();
    const protocol::Frame* frame = socket.ReadFrame();
    EXPECT_EQ(frame->body_as_TotalsGet()->program(), 3);
    TotalsAnswer totals;
    totals.issued = 1000;
    totals.shards = {{.position = 5, .time = 6}};
    const uint64_t request = frame->request();
    socket.Send(BuiltFrame([&](Builder& builder) { BuildReply(builder, request, totals); }));
    socket.AtEnd();
  });
  auto client = Connect();
  const absl::StatusOr<TotalsAnswer> totals = client->Totals(3);
  ASSERT_TRUE(totals.ok()) << totals.status();
  EXPECT_EQ(totals->issued, 1000);
  ASSERT_EQ(totals->shards.size(), 1u);
  EXPECT_EQ(totals->shards[0].time, 6);
}

}  // namespace
}  // namespace tallystick
