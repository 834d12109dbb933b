#include "ledger/shape.h"

#include <array>
#include <limits>

namespace tallystick::ledger {
namespace {

enum class Amount : uint8_t { kPositive, kZero, kSigned, kPositiveOrAll };
enum class Related : uint8_t { kNone, kRequired, kOptional };
enum class Date : uint8_t { kNone, kOptional, kOfCredit, kRequired };

struct Shape {
  bool exists = false;
  Amount amount = Amount::kZero;
  Related related = Related::kNone;
  Date expires_at = Date::kNone;
  uint8_t flags = kLinked;
};

constexpr size_t kKinds = static_cast<size_t>(Kind::Transfer) + 1;

constexpr std::array<Shape, kKinds> MakeShapes() {
  std::array<Shape, kKinds> shapes = {};
  const auto at = [&](Kind kind) -> Shape& { return shapes[static_cast<size_t>(kind)]; };
  at(Kind::Enrol) = {true};
  at(Kind::Accrue) = {true, Amount::kPositive, Related::kNone, Date::kOptional};
  at(Kind::Purchase) = {true, Amount::kPositive, Related::kNone, Date::kOptional};
  at(Kind::Return) = {true, Amount::kPositive, Related::kOptional};
  at(Kind::Redeem) = {true, Amount::kPositive};
  at(Kind::Adjust) = {true, Amount::kSigned, Related::kNone, Date::kOfCredit};
  at(Kind::Tick) = {true};
  at(Kind::Hold) = {true, Amount::kPositive, Related::kNone, Date::kOptional};
  at(Kind::Capture) = {true, Amount::kPositiveOrAll, Related::kRequired};
  at(Kind::Release) = {true, Amount::kZero, Related::kRequired};
  at(Kind::ReverseRedemption) = {true, Amount::kPositive, Related::kRequired};
  at(Kind::Activate) = {true, Amount::kZero, Related::kRequired};
  at(Kind::Cancel) = {true, Amount::kPositiveOrAll, Related::kRequired};
  at(Kind::Freeze) = {true};
  at(Kind::Unfreeze) = {true};
  at(Kind::Close) = {true, Amount::kZero, Related::kNone, Date::kNone, kLinked | kExpireRest};
  at(Kind::Extend) = {true, Amount::kZero, Related::kNone, Date::kRequired};
  at(Kind::Transfer) = {true, Amount::kPositive, Related::kRequired};
  return shapes;
}

constexpr std::array<Shape, kKinds> kShapes = MakeShapes();

bool IsGood(Amount shape, int64_t amount) {
  switch (shape) {
    case Amount::kPositive:
      return amount > 0;
    case Amount::kZero:
      return amount == 0;
    case Amount::kSigned:
      return amount != 0 && amount != std::numeric_limits<int64_t>::min();
    case Amount::kPositiveOrAll:
      return amount >= 0;
  }
  return false;
}

bool IsGood(Date shape, const Operation& op) {
  if (op.expires_at() == 0) return shape != Date::kRequired;
  if (shape == Date::kNone || (shape == Date::kOfCredit && op.amount() < 0)) return false;
  return op.expires_at() > op.occurred_at() && op.expires_at() < kEndOfTime;
}

}  // namespace

Field BadFieldOfOther(const Operation& op) {
  const auto kind = static_cast<size_t>(op.kind());
  if (kind >= kKinds || !kShapes[kind].exists) return Field::Kind;
  const Shape& shape = kShapes[kind];
  const bool is_tick = op.kind() == Kind::Tick;
  if ((op.flags() & ~shape.flags) != 0) return Field::Flags;
  if (op.reserved() != 0) return Field::Reserved;
  if (IsZero(op.id())) return Field::Id;
  if (IsZero(op.member()) != is_tick) return Field::Member;
  if (!IsGood(shape.amount, op.amount())) return Field::Amount;
  const Related related = shape.related;
  if (related != Related::kOptional && IsZero(op.related()) != (related == Related::kNone)) {
    return Field::Related;
  }
  if (op.kind() == Kind::Transfer && op.related() == op.member()) return Field::Related;
  if (op.occurred_at() <= 0 || op.occurred_at() >= kEndOfTime) return Field::OccurredAt;
  if (!IsGood(shape.expires_at, op)) return Field::ExpiresAt;
  if (is_tick && op.program() != 0) return Field::Program;
  return Field::None;
}

}  // namespace tallystick::ledger
