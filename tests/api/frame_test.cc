#include "api/frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "api/encoding.h"
#include "tests/api/frames.h"

namespace tallystick {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string ErrorOf(const FrameBuffer& frame) {
  const absl::StatusOr<ReceivedFrame> received = ReadFrame(BytesOf(frame));
  return received.ok() ? "" : std::string(received.status().message());
}

const protocol::Frame* Read(const FrameBuffer& frame) {
  const absl::StatusOr<ReceivedFrame> received = ReadFrame(BytesOf(frame));
  EXPECT_TRUE(received.ok()) << received.status();
  if (!received.ok()) return nullptr;
  EXPECT_EQ(received->bytes, frame.size());
  return received->frame;
}

std::vector<Operation> SomeOperations(size_t count) {
  std::vector<Operation> operations;
  for (size_t index = 0; index < count; ++index) {
    operations.push_back(TestOperation(index + 1, index * 7, 100, Kind::Accrue));
  }
  return operations;
}

TEST(Frame, SubmitIsReadAsItWasLaidOut) {
  for (const size_t count : {1, 2, 3, 1000, 8192}) {
    const std::vector<Operation> operations = SomeOperations(count);
    const FrameBuffer frame = SubmitFrame(77, operations, 5);
    EXPECT_EQ(frame.size() % kFrameAlignment, 0u);
    const protocol::Frame* read = Read(frame);
    ASSERT_NE(read, nullptr);
    EXPECT_EQ(read->request(), 77u);
    const protocol::Submit* submit = read->body_as_Submit();
    ASSERT_NE(submit, nullptr);
    EXPECT_EQ(submit->overloads_seen(), 5u);
    ASSERT_EQ(submit->operations()->size(), count);
    EXPECT_EQ(
        std::memcmp(submit->operations()->Data(), operations.data(), count * sizeof(Operation)), 0);
  }
}

TEST(Frame, ResultsAreReadAsTheyWereLaidOut) {
  for (const size_t count : {1, 2, 3, 1000, 8192}) {
    std::vector<Result> results(count);
    results[count - 1] =
        Result(-5, 10, 20, 30, Outcome::InsufficientPoints, kReplayed, Field::None, 0, 0);
    const FrameBuffer frame = ResultsFrame(78, results);
    const protocol::Frame* read = Read(frame);
    ASSERT_NE(read, nullptr);
    const protocol::Results* body = read->body_as_Results();
    ASSERT_NE(body, nullptr);
    ASSERT_EQ(body->results()->size(), count);
    EXPECT_EQ(std::memcmp(body->results()->Data(), results.data(), count * sizeof(Result)), 0);
  }
}

// What the receive buffers of a connection count on (api/connection.cc).
TEST(Frame, ResultsTakeLessThanTwiceTheShortestSubmit) {
  constexpr size_t kShortestSubmit = 104;
  EXPECT_LT(ResultsFrameBytes(1), 2 * kShortestSubmit);
  EXPECT_LT(ResultsFrameBytes(8192), 2 * (kShortestSubmit + 8191 * sizeof(Operation)));
}

TEST(Frame, OverloadsSeenCanBeSetAnew) {
  FrameBuffer frame = SubmitFrame(1, SomeOperations(3), 9);
  SetOverloadsSeen(frame.data(), frame.size(), 0);
  EXPECT_EQ(std::memcmp(frame.data(), SubmitFrame(1, SomeOperations(3), 0).data(), frame.size()),
            0);
}

TEST(Frame, FramesFollowEachOther) {
  FrameBuffer both = SubmitFrame(1, SomeOperations(2));
  const size_t first = both.size();
  both.Append(BytesOf(BuiltFrame(BuildTotalsGet, 2, 9)));
  const absl::StatusOr<ReceivedFrame> one = ReadFrame(BytesOf(both));
  ASSERT_TRUE(one.ok());
  EXPECT_EQ(one->bytes, first);
  const absl::StatusOr<ReceivedFrame> two = ReadFrame(BytesOf(both).subspan(one->bytes));
  ASSERT_TRUE(two.ok());
  EXPECT_EQ(two->frame->body_as_TotalsGet()->program(), 9);
}

TEST(Frame, PartOfAFrameIsNoFrameYetAndNoError) {
  const FrameBuffer frame = SubmitFrame(1, SomeOperations(2));
  for (size_t size = 0; size < frame.size(); ++size) {
    const absl::StatusOr<ReceivedFrame> received = ReadFrame(BytesOf(frame).first(size));
    ASSERT_TRUE(received.ok()) << size;
    EXPECT_EQ(received->frame, nullptr);
    EXPECT_EQ(received->bytes, size < 4 ? kFrameHeaderBytes : frame.size());
  }
}

TEST(Frame, EachWrongLengthIsNamed) {
  EXPECT_THAT(ErrorOf(HeaderOf(0)), HasSubstr("empty (length 0)"));
  EXPECT_THAT(ErrorOf(HeaderOf(100)), HasSubstr("100 bytes, which is not a multiple of 8"));
  EXPECT_THAT(ErrorOf(HeaderOf(kMaxFrameBytes + 8)),
              HasSubstr("1048584 bytes; the most is 1048576"));
  EXPECT_THAT(ErrorOf(HeaderOf(0x8000'0000)), HasSubstr("2147483648 bytes; the most is 1048576"));
  EXPECT_THAT(ErrorOf(HeaderOf(0xFFFF'FFF8)), HasSubstr("4294967288 bytes"));
}

TEST(Frame, WrongLengthIsKnownBeforeTheCrcHasCome) {
  const FrameBuffer header = HeaderOf(0x8000'0000);
  EXPECT_FALSE(ReadFrame(BytesOf(header).first(4)).ok());
}

TEST(Frame, WrongCrcIsNamed) {
  FrameBuffer frame = BuiltFrame(BuildTotalsGet, 2, 9);
  frame.data()[frame.size() - 1] ^= std::byte{1};
  const absl::StatusOr<ReceivedFrame> received = ReadFrame(BytesOf(frame));
  EXPECT_TRUE(absl::IsDataLoss(received.status()));
  EXPECT_THAT(ErrorOf(frame), HasSubstr("the CRC-32C of a frame's payload is "));
}

TEST(Frame, WrongIdentifierIsNamed) {
  FrameBuffer frame = BuiltFrame(BuildTotalsGet, 2, 9);
  std::memcpy(frame.data() + kFrameHeaderBytes + 4, "HTTP", 4);
  SealFrame(frame.data(), frame.size());
  EXPECT_THAT(ErrorOf(frame), HasSubstr("the identifier \"HTTP\" instead of \"TLY1\""));
}

TEST(Frame, PayloadThatIsNoFlatBufferIsNamed) {
  std::vector<std::byte> payload(64, std::byte{0xEE});
  std::memcpy(payload.data() + 4, "TLY1", 4);
  EXPECT_THAT(ErrorOf(WrapPayload(payload)), HasSubstr("does not follow the schema"));
}

TEST(Frame, ShortestPayloadIsNoMessage) {
  const std::vector<std::byte> payload(8);
  EXPECT_THAT(ErrorOf(WrapPayload(payload)), HasSubstr("identifier"));
}

FrameBuffer FrameWithBody(uint64_t request, protocol::Body type, flatbuffers::Offset<void> body,
                          flatbuffers::FlatBufferBuilder& builder) {
  protocol::FinishFrameBuffer(builder, protocol::CreateFrame(builder, request, type, body));
  FrameBuffer frame;
  frame.AppendFrame(builder);
  return frame;
}

TEST(Frame, MissingBodyIsNamed) {
  flatbuffers::FlatBufferBuilder none;
  EXPECT_THAT(ErrorOf(FrameWithBody(5, protocol::Body::NONE, 0, none)),
              HasSubstr("the frame of request 5 has no body"));
  flatbuffers::FlatBufferBuilder absent;
  EXPECT_THAT(ErrorOf(FrameWithBody(6, protocol::Body::Submit, 0, absent)),
              HasSubstr("the frame of request 6 has no body"));
}

TEST(Frame, BodyOfALaterVersionIsLeftToTheReader) {
  flatbuffers::FlatBufferBuilder builder;
  const auto body = protocol::CreateTotalsGet(builder, 1).Union();
  const FrameBuffer frame = FrameWithBody(5, static_cast<protocol::Body>(200), body, builder);
  const protocol::Frame* read = Read(frame);
  ASSERT_NE(read, nullptr);
  EXPECT_GT(read->body_type(), protocol::Body::MAX);
}

TEST(Frame, MisalignedOperationsAreRefused) {
  size_t refused = 0;
  // One of the two leaves the operations at an odd multiple of 4.
  for (const size_t shift : {0, 1}) {
    flatbuffers::FlatBufferBuilder builder;
    if (shift == 1) builder.CreateVector(std::vector<uint32_t>{});
    const Operation operation = TestOperation(1, 1, 1, Kind::Accrue);
    builder.StartVector(sizeof(Operation) / 4, 4);
    builder.PushBytes(reinterpret_cast<const uint8_t*>(&operation), sizeof(operation));
    const flatbuffers::Offset<flatbuffers::Vector<const Operation*>> vector(builder.EndVector(1));
    const auto submit = protocol::CreateSubmit(builder, 0, vector).Union();
    const FrameBuffer frame = FrameWithBody(5, protocol::Body::Submit, submit, builder);
    const std::string error = ErrorOf(frame);
    refused += error.empty() ? 0 : 1;
    EXPECT_THAT(error, AnyOf(IsEmpty(), HasSubstr("not aligned to 8 bytes")));
  }
  EXPECT_EQ(refused, 1u);
}

// The verifier does not look where the elements of a vector lie.
TEST(Frame, MisalignedHoldsAndDetailsAreRefused) {
  const auto vector_at = [](flatbuffers::FlatBufferBuilder& builder, size_t shift, size_t bytes) {
    if (shift == 1) builder.CreateVector(std::vector<uint32_t>{});
    const std::vector<uint8_t> element(bytes);
    builder.StartVector(bytes / 4, 4);
    builder.PushBytes(element.data(), element.size());
    return builder.EndVector(1);
  };
  using protocol::Body;
  using Builder = flatbuffers::FlatBufferBuilder;
  const auto build = [&](size_t which, size_t shift, Builder& b) -> FrameBuffer {
    if (which < 2) {
      flatbuffers::Offset<flatbuffers::Vector<const protocol::OpenHold*>> holds;
      flatbuffers::Offset<flatbuffers::Vector<const protocol::Lot*>> lots;
      if (which == 0) holds = vector_at(b, shift, sizeof(protocol::OpenHold));
      if (which == 1) lots = vector_at(b, shift, sizeof(protocol::Lot));
      const auto body = protocol::CreateLotsReply(b, Outcome::Ok, 0, 0, holds, lots).Union();
      return FrameWithBody(5, Body::LotsReply, body, b);
    }
    const flatbuffers::Offset<flatbuffers::Vector<const protocol::MovementDetail*>> details(
        vector_at(b, shift, sizeof(protocol::MovementDetail)));
    if (which == 2) {
      const auto body = protocol::CreateStatementReply(b, Outcome::Ok, 0, 0, details).Union();
      return FrameWithBody(5, Body::StatementReply, body, b);
    }
    const auto body = protocol::CreateTransactionReply(b, Outcome::Ok, 0, 0, details).Union();
    return FrameWithBody(5, Body::TransactionReply, body, b);
  };
  for (size_t which = 0; which < 4; ++which) {
    size_t refused = 0;
    for (const size_t shift : {0, 1}) {
      Builder builder;
      const std::string error = ErrorOf(build(which, shift, builder));
      refused += error.empty() ? 0 : 1;
      EXPECT_THAT(error, AnyOf(IsEmpty(), HasSubstr("not aligned to 8 bytes")));
    }
    EXPECT_EQ(refused, 1u) << which;
  }
}

TEST(Frame, NoFlippedBitGoesUnnoticed) {
  const FrameBuffer good = SubmitFrame(3, SomeOperations(2));
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    FrameBuffer bad;
    bad.Append(BytesOf(good));
    bad.data()[bit / 8] ^= std::byte{1} << (bit % 8);
    const absl::StatusOr<ReceivedFrame> received = ReadFrame(BytesOf(bad));
    // A longer length may still be waited for.
    EXPECT_TRUE(!received.ok() || received->frame == nullptr) << "bit " << bit;
  }
}

// Reads everything in a message, for the sanitizers to watch.
uint64_t Walk(const protocol::Frame& frame) {
  uint64_t sum = frame.request();
  const auto add = [&](const auto* vector) {
    if (vector == nullptr) return;
    const auto* bytes = reinterpret_cast<const uint8_t*>(vector->Data());
    using Element = std::remove_cv_t<std::remove_pointer_t<decltype(vector->Get(0))>>;
    for (size_t index = 0; index < vector->size() * sizeof(Element); ++index) sum += bytes[index];
  };
  if (const auto* submit = frame.body_as_Submit()) add(submit->operations());
  if (const auto* statement = frame.body_as_StatementReply()) {
    add(statement->movements());
    add(statement->details());
    sum += Decode(*statement).movements.size();
  }
  if (const auto* transaction = frame.body_as_TransactionReply()) add(transaction->movement());
  if (const auto* lots = frame.body_as_LotsReply()) {
    add(lots->lots());
    for (const HoldAnswer& hold : Decode(*lots).holds) {
      for (const LotAnswer& lot : hold.lots) sum += lot.position;
    }
  }
  if (const auto* put = frame.body_as_ProgramPutReply()) {
    sum += Decode(*put).field.size() + Decode(*put).message.size();
  }
  return sum;
}

TEST(Frame, RepliesTellHoldsDetailsAndStatus) {
  LotsAnswer lots;
  lots.lots = {{1, 30, 10, 5, 9}};
  lots.holds = {{7, 20, 25, {{1, 30, 20, 5, 9}, {2, 5, 5, 6, kNever}}},
                {8, 21, 0, {}},
                {9, 22, 3, {{3, 4, 3, 7, 8}}}};
  FrameBuffer frame = BuiltFrame([&](Builder& builder) { BuildReply(builder, 1, lots); });
  const LotsAnswer read = Decode(*Read(frame)->body_as_LotsReply());
  ASSERT_EQ(read.holds.size(), 3u);
  EXPECT_EQ(read.lots.size(), 1u);
  EXPECT_EQ(read.holds[0].times_out_at, 20);
  EXPECT_EQ(read.holds[0].points, 25);
  ASSERT_EQ(read.holds[0].lots.size(), 2u);
  EXPECT_EQ(read.holds[0].lots[1].expires_at, kNever);
  EXPECT_TRUE(read.holds[1].lots.empty());
  ASSERT_EQ(read.holds[2].lots.size(), 1u);
  EXPECT_EQ(read.holds[2].lots[0].position, 3u);

  StatementAnswer statement;
  statement.movements.resize(3);
  for (size_t i = 0; i < 3; ++i) statement.movements[i].result.mutate_position(9 - i);
  statement.movements[0].detail = {
      .claim = 15, .from_pending = 1, .from_available = 2, .to_debt = 4, .written_off = 8};
  statement.movements[2].detail = {
      .captured = 1, .given_back = 2, .forgiven = 3, .reinstated = 4, .repaid = 5, .forfeited = 6};
  frame = BuiltFrame([&](Builder& builder) { BuildReply(builder, 2, statement); });
  const protocol::StatementReply& reply = *Read(frame)->body_as_StatementReply();
  EXPECT_EQ(reply.details()->size(), 2u);
  EXPECT_EQ(reply.movements()->Get(0)->written_off(), 8);
  const StatementAnswer told = Decode(reply);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(told.movements[i].detail, statement.movements[i].detail) << i;
  }

  BalanceAnswer balance;
  balance.status = ledger::AccountStatus::kClosed;
  frame = BuiltFrame([&](Builder& builder) { BuildReply(builder, 3, balance); });
  EXPECT_EQ(Decode(*Read(frame)->body_as_BalanceReply()).status, balance.status);

  TotalsAnswer totals;
  totals.forfeited = 3;
  totals.closed_out = 4;
  frame = BuiltFrame([&](Builder& builder) { BuildReply(builder, 4, totals); });
  EXPECT_EQ(Decode(*Read(frame)->body_as_TotalsReply()).forfeited, 3);
  EXPECT_EQ(Decode(*Read(frame)->body_as_TotalsReply()).closed_out, 4);
}

// More lots than there are, as no server says it.
TEST(Frame, HoldsHaveNoLotsThatAreNotThere) {
  Builder builder;
  const protocol::OpenHold holds[] = {{1, 2, 3, 1'000'000'000}, {4, 5, 6, 1}};
  const protocol::Lot lots[] = {{1, 2, 2, 3, 4}};
  const auto body =
      protocol::CreateLotsReply(builder, Outcome::Ok, 0, 0, builder.CreateVectorOfStructs(holds, 2),
                                builder.CreateVectorOfStructs(lots, 1))
          .Union();
  const FrameBuffer frame = FrameWithBody(5, protocol::Body::LotsReply, body, builder);
  const LotsAnswer read = Decode(*Read(frame)->body_as_LotsReply());
  ASSERT_EQ(read.holds.size(), 2u);
  EXPECT_EQ(read.holds[0].lots.size(), 1u);
  EXPECT_TRUE(read.holds[1].lots.empty());
}

TEST(Frame, DamageUnderARightCrcIsAnErrorOrSafeToRead) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  StatementAnswer statement;
  statement.movements.resize(2);
  statement.movements[1].detail.forgiven = 1;
  LotsAnswer lots;
  lots.lots.resize(3);
  lots.holds.resize(2);
  lots.holds[1].lots.resize(2);
  const FrameBuffer originals[] = {
      SubmitFrame(3, SomeOperations(2)),
      BuiltFrame([&](Builder& builder) { BuildReply(builder, 4, statement); }),
      BuiltFrame([&](Builder& builder) { BuildReply(builder, 5, lots); }),
      BuiltFrame([&](Builder& builder) {
        BuildReply(builder, 6, ProgramPutAnswer{Outcome::BadRequest, "earn.points", "is 0", 0});
      })};
  size_t survivors = 0;
  uint64_t sum = 0;
  for (size_t round = 0; round < 40'000; ++round) {
    const FrameBuffer& original = originals[round % 4];
    FrameBuffer damaged;
    damaged.Append(BytesOf(original));
    // The front holds the offsets, where damage is worst.
    for (uint64_t flips = 1 + random() % 3; flips != 0; --flips) {
      const size_t at = kFrameHeaderBytes + random() % std::min<size_t>(96, damaged.size() - 8);
      damaged.data()[at] = static_cast<std::byte>(random());
    }
    SealFrame(damaged.data(), damaged.size());
    const absl::StatusOr<ReceivedFrame> received = ReadFrame(BytesOf(damaged));
    if (!received.ok()) continue;
    ++survivors;
    sum += Walk(*received->frame);
  }
  EXPECT_GT(survivors, 0u) << sum;
}

}  // namespace
}  // namespace tallystick
