#include "tests/sim/books.h"

#include <gtest/gtest.h>

namespace tallystick::sim {

size_t Books::Add(const Operation& operation, size_t client) {
  by_id_[FromId(operation.id())] = sent_.size();
  sent_.push_back({.operation = operation, .client = client, .answer = {}});
  return sent_.size() - 1;
}

void Books::Answer(size_t index, const Result& result) {
  Sent& sent = sent_[index];
  if (!sent.answer.has_value()) {
    sent.answer = result;
    return;
  }
  ASSERT_TRUE(sent.accepted()) << "only accepted operations are resent";
  const Result& original = *sent.answer;
  EXPECT_EQ(result.outcome(), Outcome::Ok);
  EXPECT_NE(result.flags() & kReplayed, 0) << "applied again at " << result.position();
  EXPECT_EQ(result.position(), original.position());
  EXPECT_EQ(result.points(), original.points());
  EXPECT_EQ(result.available(), original.available());
  EXPECT_EQ(result.pending(), original.pending());
  EXPECT_EQ(result.flags() | kReplayed, original.flags() | kReplayed);
}

void Books::AnswerBalance(uint16_t program, const Id& member, const BalanceAnswer& answer) {
  if (answer.outcome != Outcome::Ok) return;
  readings_.insert({{program, FromId(member), answer.position}, {.answer = answer}});
}

void Books::AnswerStatement(uint16_t program, const Id& member, const StatementAnswer& answer) {
  const MovementAnswer* newer = nullptr;
  for (const MovementAnswer& movement : answer.movements) {
    const Result& result = movement.result;
    if (newer != nullptr) {
      EXPECT_GT(newer->result.position(), result.position());
      if (!MovesHeld(newer->operation.kind())) {
        EXPECT_EQ(newer->result.available() + newer->result.pending(),
                  result.available() + result.pending() + newer->result.points())
            << "at position " << newer->result.position();
      }
    }
    movements_.insert({{program, FromId(member), result.position()}, movement.operation});
    newer = &movement;
  }
}

void Books::AnswerPut(uint16_t program, uint16_t version) {
  versions_[program] = std::max(versions_[program], version);
}

}  // namespace tallystick::sim
