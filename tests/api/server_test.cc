// What a server says to one connection, right and wrong, over raw sockets.

#include "api/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "api/connection.h"
#include "api/encoding.h"
#include "tests/api/frames.h"
#include "tests/api/raw_socket.h"
#include "tests/api/served_ledger.h"

namespace tallystick {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Property;

class ServerTest : public testing::Test {
 protected:
  // One ledger for all: no test depends on what another has left in it.
  static void SetUpTestSuite() { served_ = new ServedLedger(); }
  static void TearDownTestSuite() { delete served_; }

  static ServedLedger* served_;
};

ServedLedger* ServerTest::served_ = nullptr;

// The last thing on a connection: an Error of the connection itself, then the end.
void ExpectFault(RawSocket& socket, const std::string& part) {
  const ReadError error = AsError(socket.ReadFrame());
  EXPECT_EQ(error.request, 0u);
  EXPECT_EQ(error.code, protocol::ErrorCode::fault);
  EXPECT_THAT(error.message, HasSubstr(part));
  EXPECT_TRUE(socket.AtEnd());
}

FrameBuffer HelloOfVersion(uint16_t version) {
  return BuiltFrame([&](Builder& builder) {
    const auto hello = protocol::CreateHello(builder, version).Union();
    protocol::FinishFrameBuffer(builder,
                                protocol::CreateFrame(builder, 3, protocol::Body::Hello, hello));
  });
}

FrameBuffer FrameOfType(uint64_t request, int type) {
  return BuiltFrame([&](Builder& builder) {
    const auto body = protocol::CreateResults(builder).Union();
    protocol::FinishFrameBuffer(
        builder, protocol::CreateFrame(builder, request, static_cast<protocol::Body>(type), body));
  });
}

// ---- greeting ----

TEST_F(ServerTest, HelloIsAnsweredWithTheLedger) {
  RawSocket socket = served_->Connect();
  socket.Send(BuiltFrame(BuildHello, 99, "raw"));
  const protocol::Frame* frame = socket.ReadFrame();
  ASSERT_NE(frame, nullptr);
  EXPECT_EQ(frame->request(), 99u);
  const protocol::HelloReply* reply = frame->body_as_HelloReply();
  ASSERT_NE(reply, nullptr);
  EXPECT_EQ(reply->version(), kProtocolVersion);
  EXPECT_EQ(*reply->ledger(), served_->server().info().ledger);
  EXPECT_EQ(reply->shard_count(), 2);
  EXPECT_EQ(reply->clock(), protocol::Clock::wall);
  EXPECT_GT(reply->time(), 0);
  EXPECT_EQ(Text(reply->durability()), "none");
  EXPECT_EQ(reply->max_operations(), kMaxRequestOperations);
  EXPECT_EQ(Text(reply->server()), "tallyd");
}

TEST_F(ServerTest, FirstFrameMustBeHello) {
  RawSocket socket = served_->Connect();
  socket.Send(BuiltFrame(BuildTotalsGet, 1, 1));
  ExpectFault(socket, "the first frame is a TotalsGet; a connection begins with Hello");
}

TEST_F(ServerTest, AnotherVersionIsNamed) {
  RawSocket socket = served_->Connect();
  socket.Send(HelloOfVersion(7));
  ExpectFault(socket, "the client speaks protocol version 7, this server version 1");
}

TEST_F(ServerTest, SecondHelloIsRefused) {
  RawSocket socket = served_->Greet();
  socket.Send(BuiltFrame(BuildHello, 5, "raw"));
  ExpectFault(socket, "request 5 is a second Hello");
}

// ---- what is no frame ----

TEST_F(ServerTest, WhatIsNoFrameIsNamed) {
  FrameBuffer bad_crc = BuiltFrame(BuildTotalsGet, 2, 1);
  bad_crc.data()[5] ^= std::byte{1};
  FrameBuffer other_identifier = BuiltFrame(BuildTotalsGet, 2, 1);
  std::memcpy(other_identifier.data() + kFrameHeaderBytes + 4, "HTTP", 4);
  SealFrame(other_identifier.data(), other_identifier.size());
  std::vector<std::byte> garbage(64, std::byte{0xEE});
  std::memcpy(garbage.data() + 4, "TLY1", 4);
  const std::pair<FrameBuffer, std::string> cases[] = {
      {HeaderOf(0), "its payload is empty"},
      {HeaderOf(20), "20 bytes, which is not a multiple of 8"},
      {HeaderOf(kMaxFrameBytes + 8), "the most is 1048576"},
      {HeaderOf(0x8000'0000), "2147483648 bytes; the most is 1048576"},
      {bad_crc, "CRC-32C"},
      {other_identifier, "the identifier \"HTTP\""},
      {WrapPayload(garbage), "does not follow the schema"},
      {FrameOfType(4, 0), "has no body"},
  };
  for (const auto& [frame, part] : cases) {
    SCOPED_TRACE(part);
    RawSocket greeted = served_->Greet();
    greeted.Send(frame);
    ExpectFault(greeted, part);
    RawSocket fresh = served_->Connect();
    fresh.Send(frame);
    ExpectFault(fresh, part);
  }
}

TEST_F(ServerTest, RequestsBeforeTheFaultAreAnswered) {
  RawSocket socket = served_->Greet();
  const Operation operation = served_->Accrue(1, 1001, 5);
  FrameBuffer bytes = SubmitFrame(2, {&operation, 1});
  bytes.Append(BytesOf(HeaderOf(12)));
  socket.Send(bytes);
  EXPECT_EQ(AsResults(socket.ReadFrame()).size(), 1u);
  ExpectFault(socket, "12 bytes");
}

TEST_F(ServerTest, MessagesThatNoClientSendsAreRefused) {
  RawSocket results = served_->Greet();
  results.Send(FrameOfType(8, static_cast<int>(protocol::Body::Results)));
  ExpectFault(results, "request 8 is a Results, which a client of protocol version 1");
  RawSocket later = served_->Greet();
  later.Send(FrameOfType(9, 200));
  ExpectFault(later, "request 9 is a message of type 200, which a client of protocol version 1");
}

TEST_F(ServerTest, RandomBytesHarmNobody) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 200; ++round) {
    RawSocket socket = round % 2 == 0 ? served_->Connect() : served_->Greet();
    FrameBuffer bytes = BuiltFrame(BuildHello, 1, "raw");
    for (int flips = 0; flips < 3; ++flips) {
      bytes.data()[random() % bytes.size()] = static_cast<std::byte>(random());
    }
    if (round % 4 < 2) SealFrame(bytes.data(), bytes.size());
    socket.Send(bytes);
  }
  served_->WaitForConnections(0);
  EXPECT_TRUE(served_->NewClient()->Totals(ServedLedger::kProgram).ok());
}

// ---- requests that cannot be ----

TEST_F(ServerTest, SubmitsOfAWrongSizeAreRefusedAndTheConnectionGoesOn) {
  RawSocket socket = served_->Greet();
  socket.Send(SubmitFrame(2, std::vector<Operation>(kMaxRequestOperations + 1)));
  ReadError error = AsError(socket.ReadFrame());
  EXPECT_EQ(error.request, 2u);
  EXPECT_EQ(error.code, protocol::ErrorCode::refused);
  EXPECT_THAT(error.message, HasSubstr("1 to 8192 operations; this one has 8193"));

  socket.Send(BuiltFrame([](Builder& builder) {
    const auto submit = protocol::CreateSubmit(builder).Union();
    protocol::FinishFrameBuffer(builder,
                                protocol::CreateFrame(builder, 3, protocol::Body::Submit, submit));
  }));
  error = AsError(socket.ReadFrame());
  EXPECT_EQ(error.request, 3u);
  EXPECT_THAT(error.message, HasSubstr("this one has 0"));

  socket.Send(BuiltFrame(BuildTotalsGet, 4, ServedLedger::kProgram));
  EXPECT_EQ(socket.ReadFrame()->request(), 4u);
}

TEST_F(ServerTest, RequestsWithoutWhatTheyNeedAreRefused) {
  RawSocket socket = served_->Greet();
  const auto empty = [](protocol::Body type, auto create) {
    return BuiltFrame([&](Builder& builder) {
      const auto body = create(builder).Union();
      protocol::FinishFrameBuffer(builder, protocol::CreateFrame(builder, 6, type, body));
    });
  };
  const std::pair<FrameBuffer, std::string> cases[] = {
      {empty(protocol::Body::BalanceGet, [](Builder& b) { return protocol::CreateBalanceGet(b); }),
       "a BalanceGet has a member"},
      {empty(protocol::Body::LotsGet, [](Builder& b) { return protocol::CreateLotsGet(b); }),
       "a LotsGet has a member"},
      {empty(protocol::Body::StatementGet,
             [](Builder& b) { return protocol::CreateStatementGet(b); }),
       "a StatementGet has a member"},
      {empty(protocol::Body::TransactionGet,
             [](Builder& b) { return protocol::CreateTransactionGet(b); }),
       "a TransactionGet has an id"},
      {empty(protocol::Body::TransactionGet,
             [](Builder& b) {
               const Id id(1, 1);
               return protocol::CreateTransactionGet(b, 0, nullptr, &id);
             }),
       "a TransactionGet has a member"},
      {empty(protocol::Body::ProgramPut, [](Builder& b) { return protocol::CreateProgramPut(b); }),
       "a ProgramPut has an id and a program"},
      {empty(protocol::Body::TickTo, [](Builder& b) { return protocol::CreateTickTo(b); }),
       "a TickTo has an id"},
  };
  for (const auto& [frame, message] : cases) {
    socket.Send(frame);
    const ReadError error = AsError(socket.ReadFrame());
    EXPECT_EQ(error.request, 6u);
    EXPECT_EQ(error.code, protocol::ErrorCode::refused);
    EXPECT_EQ(error.message, message);
  }
}

// ---- pipelining ----

TEST_F(ServerTest, EachOfManyRequestsInFlightIsAnsweredOnce) {
  // More than may be in flight: the server has to stop reading and go on.
  constexpr uint64_t kRequests = 3 * kMaxRequestsInFlight;
  RawSocket socket = served_->Greet();
  FrameBuffer all;
  for (uint64_t request = 1; request <= kRequests; ++request) {
    const Operation operation = served_->Accrue(request, 2000 + request % 50, 1);
    all.Append(BytesOf(SubmitFrame(request, {&operation, 1})));
  }
  socket.Send(all);
  std::set<uint64_t> answered;
  for (uint64_t count = 0; count < kRequests; ++count) {
    const protocol::Frame* frame = socket.ReadFrame();
    const std::vector<Result> results = AsResults(frame);
    ASSERT_EQ(results.size(), 1u);
    EXPECT_EQ(results[0].outcome(), Outcome::Ok);
    EXPECT_TRUE(answered.insert(frame->request()).second) << frame->request();
  }
  EXPECT_EQ(*answered.begin(), 1u);
  EXPECT_EQ(*answered.rbegin(), kRequests);
  const auto client = served_->NewClient();
  EXPECT_EQ(client->Balance(ServedLedger::kProgram, Id(2007, 0))->available,
            static_cast<int64_t>(kRequests / 50 + 1));
}

TEST_F(ServerTest, LargeRequestsOfManyMembersAreAnsweredInTheirOrder) {
  constexpr uint64_t kRequests = 12;
  RawSocket socket = served_->Greet();
  std::thread sender([&] {
    std::vector<Operation> operations(kMaxRequestOperations);
    for (uint64_t request = 1; request <= kRequests; ++request) {
      for (size_t index = 0; index < operations.size(); ++index) {
        operations[index] = served_->Accrue(request * 10'000 + index, 3000 + index,
                                            static_cast<int64_t>(index + 1));
      }
      socket.Send(SubmitFrame(request, operations));
    }
  });
  for (uint64_t count = 0; count < kRequests; ++count) {
    const std::vector<Result> results = AsResults(socket.ReadFrame());
    ASSERT_EQ(results.size(), kMaxRequestOperations);
    for (size_t index = 0; index < results.size(); ++index) {
      ASSERT_EQ(results[index].outcome(), Outcome::Ok);
      ASSERT_EQ(results[index].points(), static_cast<int64_t>(index + 1));
    }
  }
  sender.join();
}

TEST_F(ServerTest, FramesMayComeInAnyPieces) {
  RawSocket socket = served_->Greet();
  FrameBuffer frames;
  for (uint64_t request = 1; request <= 3; ++request) {
    const Operation operation = served_->Accrue(request, 12'000, 1);
    frames.Append(BytesOf(SubmitFrame(request, {&operation, 1})));
  }
  for (size_t at = 0; at < frames.size(); ++at) socket.Send(BytesOf(frames).subspan(at, 1));
  for (uint64_t request = 1; request <= 3; ++request) {
    EXPECT_EQ(socket.ReadFrame()->request(), request);
  }
}

// ---- overload ----

TEST_F(ServerTest, OperationsInFlightBehindAnOverloadedOneAreOverloaded) {
  RawSocket socket = served_->Greet();
  const Operation operations[] = {served_->Accrue(1, 4000, 1), served_->Accrue(2, 4000, 1)};
  // As if an overloaded result had been read that was never given.
  socket.Send(SubmitFrame(1, operations, /*overloads_seen=*/5));
  EXPECT_THAT(AsResults(socket.ReadFrame()), Each(Property(&Result::outcome, Outcome::Overloaded)));
  // One of the two has not been read.
  socket.Send(SubmitFrame(2, operations, 1));
  EXPECT_THAT(AsResults(socket.ReadFrame()), Each(Property(&Result::outcome, Outcome::Overloaded)));
  socket.Send(SubmitFrame(3, operations, 4));
  EXPECT_THAT(AsResults(socket.ReadFrame()), Each(Property(&Result::outcome, Outcome::Ok)));
}

}  // namespace
}  // namespace tallystick
