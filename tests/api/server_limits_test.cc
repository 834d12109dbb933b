// What a server does when peers break off, dawdle, or come in numbers; and when it ends.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "api/connection.h"
#include "api/encoding.h"
#include "api/server.h"
#include "tests/api/frames.h"
#include "tests/api/raw_socket.h"
#include "tests/api/served_ledger.h"
#include "wal/posix_io.h"

namespace tallystick {
namespace {

using ::testing::HasSubstr;

// As many Submits of one operation as asked for, numbered and identified from 1.
FrameBuffer SingleSubmits(const ServedLedger& served, uint64_t count, uint64_t member) {
  FrameBuffer frames;
  for (uint64_t request = 1; request <= count; ++request) {
    const Operation operation = served.Accrue(request, member, 1);
    frames.Append(BytesOf(SubmitFrame(request, {&operation, 1})));
  }
  return frames;
}

int64_t Issued(ServedLedger& served) {
  const absl::StatusOr<TotalsAnswer> totals = served.ledger().Totals(ServedLedger::kProgram);
  EXPECT_TRUE(totals.ok()) << totals.status();
  return totals.ok() ? totals->issued : -1;
}

// On both backends: what ends a socket, and when its requests complete, is theirs.
class ServerPeers : public testing::TestWithParam<bool> {
 protected:
  ServedLedger served_{{.make_io = GetParam() ? PosixBackend() : nullptr}};
};

INSTANTIATE_TEST_SUITE_P(Backend, ServerPeers, testing::Bool(),
                         [](const auto& info) { return info.param ? "Posix" : "Host"; });

TEST_P(ServerPeers, DisconnectInAFrameLeavesNothingBehind) {
  const Operation operation = served_.Accrue(1, 1, 1);
  const FrameBuffer frame = SubmitFrame(2, {&operation, 1});
  for (const size_t size : {size_t{1}, size_t{7}, size_t{8}, size_t{50}, frame.size() - 1}) {
    RawSocket socket = served_.Greet();
    socket.Send(BytesOf(frame).first(size));
  }
  served_.WaitForConnections(0);
  EXPECT_EQ(Issued(served_), 0);
}

TEST_P(ServerPeers, DisconnectWithRequestsInFlightLeavesTheServerServing) {
  const FrameBuffer frames = SingleSubmits(served_, 500, 1);
  for (int round = 0; round < 20; ++round) served_.Greet().Send(frames);
  served_.WaitForConnections(0);
  EXPECT_LE(Issued(served_), 500);
  RawSocket socket = served_.Greet();
  socket.Send(frames);
  for (int count = 0; count < 500; ++count) {
    EXPECT_EQ(AsResults(socket.ReadFrame())[0].outcome(), Outcome::Ok);
  }
  EXPECT_EQ(Issued(served_), 500);
}

TEST_P(ServerPeers, HalfClosedPeerGetsItsAnswers) {
  RawSocket socket = served_.Greet();
  socket.Send(SingleSubmits(served_, 100, 1));
  socket.FinishSending();
  for (int count = 0; count < 100; ++count) EXPECT_EQ(AsResults(socket.ReadFrame()).size(), 1u);
  EXPECT_TRUE(socket.AtEnd());
  served_.WaitForConnections(0);
}

TEST_P(ServerPeers, PeerThatDoesNotReadIsNotReadFrom) {
  RawSocket socket = served_.Greet();
  const Operation operation = served_.Accrue(1, 1, 1);
  // Resent for ever: answered with the original result.
  const FrameBuffer frame = SubmitFrame(7, {&operation, 1});
  const size_t taken = socket.SendUntilFull(frame);
  // What the server holds at most, and the two sockets.
  EXPECT_LT(taken, kReceiveBuffers * kReceiveBufferBytes + 4 * kMaxReplyBytes);
  EXPECT_GT(taken, kMaxRequestsInFlight * frame.size());
  // Others are served_ meanwhile.
  EXPECT_TRUE(served_.NewClient()->Totals(ServedLedger::kProgram).ok());
  for (size_t count = 0; count < taken / frame.size(); ++count) {
    ASSERT_EQ(AsResults(socket.ReadFrame()).size(), 1u) << count;
  }
}

TEST_P(ServerPeers, PeerThatDoesNotReadLargeAnswersIsBoundedToo) {
  {
    RawSocket filler = served_.Greet();
    std::vector<Operation> operations;
    for (uint64_t id = 1; id <= 2000; ++id) operations.push_back(served_.Accrue(id, 1, 1));
    filler.Send(SubmitFrame(1, operations));
    EXPECT_EQ(AsResults(filler.ReadFrame()).size(), 2000u);
  }
  RawSocket socket = served_.Greet();
  const FrameBuffer frame =
      BuiltFrame(BuildStatementGet, 7, ServedLedger::kProgram, Id(1, 0), 0, 1000);
  const size_t taken = socket.SendUntilFull(frame);
  EXPECT_LT(taken, size_t{4} << 20);
  for (size_t count = 0; count < 100; ++count) {
    const protocol::Frame* reply = socket.ReadFrame();
    ASSERT_NE(reply, nullptr);
    ASSERT_NE(reply->body_as_StatementReply(), nullptr);
    EXPECT_EQ(reply->body_as_StatementReply()->movements()->size(), 1000u);
  }
}

TEST(ServerLimits, ConnectionBeyondTheLimitIsToldSo) {
  ServedLedger served({.server = {.max_connections = 2}});
  RawSocket first = served.Greet();
  RawSocket second = served.Greet();
  RawSocket third = served.Connect();
  const ReadError error = AsError(third.ReadFrame());
  EXPECT_EQ(error.code, protocol::ErrorCode::unavailable);
  EXPECT_EQ(error.request, 0u);
  EXPECT_THAT(error.message, HasSubstr("the server has 2 connections, its limit"));
  EXPECT_TRUE(third.AtEnd());
  first.Close();
  served.WaitForConnections(1);
  RawSocket fourth = served.Greet();
  second.Send(BuiltFrame(BuildTotalsGet, 3, ServedLedger::kProgram));
  EXPECT_EQ(second.ReadFrame()->request(), 3u);
}

TEST(ServerLimits, ManyConnectionsShareTheWorkers) {
  ServedLedger served;
  std::vector<RawSocket> sockets;
  sockets.reserve(200);
  for (int count = 0; count < 200; ++count) sockets.push_back(served.Greet());
  for (uint64_t id = 1; id <= sockets.size(); ++id) {
    const Operation operation = served.Accrue(id, id, 1);
    sockets[id - 1].Send(SubmitFrame(id, {&operation, 1}));
  }
  for (uint64_t id = 1; id <= sockets.size(); ++id) {
    EXPECT_EQ(sockets[id - 1].ReadFrame()->request(), id);
  }
  EXPECT_EQ(served.server().connections(), 200u);
}

TEST(ServerLimits, TcpServesAsUnixDoes) {
  ServedLedger served({.tcp = true});
  EXPECT_THAT(served.address(), testing::MatchesRegex("tcp:127\\.0\\.0\\.1:[1-9][0-9]*"));
  const absl::StatusOr<Result> result = served.NewClient()->Apply(served.Accrue(1, 1, 5));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->points(), 5);
  RawSocket socket = served.Greet();
  socket.Send(HeaderOf(0x8000'0000));
  EXPECT_THAT(AsError(socket.ReadFrame()).message, HasSubstr("2147483648 bytes"));
}

// ---- the end ----

TEST(ServerStop, AnswersWhatItHasTaken) {
  ServedLedger served;
  RawSocket socket = served.Greet();
  socket.Send(SingleSubmits(served, 5000, 1));
  EXPECT_EQ(AsResults(socket.ReadFrame()).size(), 1u);
  std::thread stop([&] { served.StopServer(); });
  int64_t answered = 1;
  while (const protocol::Frame* frame = socket.ReadFrame()) {
    EXPECT_EQ(AsResults(frame).size(), 1u);
    ++answered;
  }
  stop.join();
  EXPECT_EQ(Issued(served), answered);
}

TEST(ServerStop, CutsOffPeersThatDoNotRead) {
  ServedLedger served({.server = {.stop_ms = 50}});
  RawSocket socket = served.Greet();
  const Operation operation = served.Accrue(1, 1, 1);
  socket.SendUntilFull(SubmitFrame(7, {&operation, 1}));
  served.StopServer();
  served.StartServer();
  EXPECT_TRUE(served.NewClient()->Totals(ServedLedger::kProgram).ok());
}

TEST(ServerStop, LeavesTheAddressFree) {
  ServedLedger served;
  const std::string path = served.address().substr(5);
  EXPECT_TRUE(std::filesystem::exists(path));
  served.StopServer();
  EXPECT_FALSE(std::filesystem::exists(path));
  served.StartServer();
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST(ServerStop, AddressInUseIsNamed) {
  ServedLedger served;
  const absl::Status status = Server::Start(served.ledger(), served.address()).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("another tallyd"));
  // The first is not disturbed.
  EXPECT_TRUE(served.NewClient()->Totals(ServedLedger::kProgram).ok());
}

TEST(ServerStop, LedgerInManualModeIsDrivenByStep) {
  const std::filesystem::path directory =
      std::filesystem::temp_directory_path() / ("tallystick_manual." + std::to_string(getpid()));
  std::filesystem::create_directories(directory);
  LedgerOptions options;
  options.directory = directory / "ledger";
  options.create = true;
  options.manual = true;
  options.durability = wal::Durability::kNone;
  options.segment_bytes = uint64_t{1} << 20;
  absl::StatusOr<std::unique_ptr<Ledger>> ledger = Ledger::Open(options);
  ASSERT_TRUE(ledger.ok()) << ledger.status();
  const auto step = [&] { (*ledger)->Step(); };
  {
    absl::StatusOr<std::unique_ptr<Server>> server =
        Server::Start(**ledger, "unix:" + (directory / "socket").string(), {.step = step});
    ASSERT_TRUE(server.ok()) << server.status();
    RawSocket socket = RawSocket::Connect((*server)->address());
    socket.Send(BuiltFrame(BuildHello, 1, "raw"));
    pollfd readable = {socket.fd(), POLLIN, 0};
    while (poll(&readable, 1, 0) == 0) step();
    EXPECT_NE(socket.ReadFrame()->body_as_HelloReply(), nullptr);
  }
  EXPECT_TRUE((*ledger)->Close().ok());
  std::filesystem::remove_all(directory);
}

// The host's Io, until writes to files fail.
class FailingIo final : public wal::Io {
 public:
  FailingIo(std::unique_ptr<wal::Io> io, const std::atomic<bool>& fail)
      : io_(std::move(io)), fail_(fail) {}

  void Submit(wal::IoRequest& request) override {
    if (request.op == wal::IoOp::kWrite && fail_) request.handle = wal::kNoHandle;
    io_->Submit(request);
  }

  absl::string_view name() const override { return io_->name(); }
  int64_t WallMicros() override { return io_->WallMicros(); }
  int64_t MonotonicMicros() override { return io_->MonotonicMicros(); }
  absl::StatusOr<wal::Handle> Open(const std::string& path, const wal::OpenOptions& o) override {
    return io_->Open(path, o);
  }
  void Close(wal::Handle handle) override { io_->Close(handle); }
  absl::StatusOr<uint64_t> Size(wal::Handle handle) override { return io_->Size(handle); }
  absl::Status Resize(wal::Handle handle, uint64_t size) override {
    return io_->Resize(handle, size);
  }
  absl::StatusOr<size_t> ReadAt(wal::Handle handle, uint64_t offset, std::byte* data,
                                size_t size) override {
    return io_->ReadAt(handle, offset, data, size);
  }
  absl::Status WriteAt(wal::Handle handle, uint64_t offset, const std::byte* data,
                       size_t size) override {
    return io_->WriteAt(handle, offset, data, size);
  }
  absl::Status Sync(wal::Handle handle) override { return io_->Sync(handle); }
  absl::Status MakeDirectory(const std::string& path) override { return io_->MakeDirectory(path); }
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override {
    return io_->List(path);
  }
  bool Exists(const std::string& path) override { return io_->Exists(path); }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    return io_->Rename(from, to);
  }
  absl::Status Remove(const std::string& path) override { return io_->Remove(path); }
  absl::Status SyncDirectory(const std::string& path) override { return io_->SyncDirectory(path); }
  absl::StatusOr<uint64_t> FreeBytes(const std::string& path) override {
    return io_->FreeBytes(path);
  }
  absl::StatusOr<wal::Handle> Lock(const std::string& path) override { return io_->Lock(path); }
  absl::StatusOr<wal::IoBuffer> AllocateBuffer(size_t size) override {
    return io_->AllocateBuffer(size);
  }
  absl::StatusOr<wal::Handle> Listen(const std::string& address) override {
    return io_->Listen(address);
  }
  absl::StatusOr<std::string> LocalAddress(wal::Handle listener) override {
    return io_->LocalAddress(listener);
  }
  void Shutdown(wal::Handle socket) override { io_->Shutdown(socket); }
  size_t Poll(int64_t wait_us) override { return io_->Poll(wait_us); }
  void Wake() override { io_->Wake(); }

 private:
  std::unique_ptr<wal::Io> io_;
  const std::atomic<bool>& fail_;
};

TEST(ServerStop, StoppedShardEndsItsConnectionsWithASentence) {
  std::atomic<bool> fail = false;
  ServedLedger served(
      {.shards = 1, .make_io = [&](uint16_t) -> absl::StatusOr<std::unique_ptr<wal::Io>> {
         absl::StatusOr<std::unique_ptr<wal::PosixIo>> io = wal::PosixIo::Create();
         if (!io.ok()) return io.status();
         return std::make_unique<FailingIo>(*std::move(io), fail);
       }});
  const auto client = served.NewClient(/*reconnect_ms=*/100);
  EXPECT_TRUE(client->Apply(served.Accrue(1, 1, 1)).ok());
  fail = true;
  RawSocket socket = served.Greet();
  const Operation operation = served.Accrue(2, 1, 1);
  socket.Send(SubmitFrame(9, {&operation, 1}));
  const ReadError error = AsError(socket.ReadFrame());
  EXPECT_EQ(error.request, 9u);
  EXPECT_EQ(error.code, protocol::ErrorCode::unavailable);
  EXPECT_FALSE(error.message.empty());
  EXPECT_TRUE(socket.AtEnd());

  const absl::Status status = client->Apply(served.Accrue(3, 1, 1)).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(error.message));
}

TEST(Server, TellsHowItsShardsAreDoing) {
  ServedLedger served({.shards = 2});
  const std::unique_ptr<Client> client = served.NewClient();
  ASSERT_TRUE(client->Apply(served.Accrue(1, 1, 5)).ok());
  const absl::StatusOr<ShardsAnswer> answer = client->Shards();
  ASSERT_TRUE(answer.ok()) << answer.status();
  ASSERT_EQ(answer->shards.size(), 2u);
  EXPECT_EQ(answer->shards[0].accounts + answer->shards[1].accounts, 1u);
  EXPECT_EQ(answer->shards[0].receipts + answer->shards[1].receipts, 1u);
  for (const ShardState& shard : answer->shards) {
    EXPECT_GT(shard.position, 0u);
    EXPECT_EQ(shard.segment, 1u);
    EXPECT_GT(shard.memory_bytes, 0u);
  }
}

}  // namespace
}  // namespace tallystick
