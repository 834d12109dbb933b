// Holds, reversals and the other movements of an account, each rule with its numbers.

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "tests/model/ledger_fixture.h"
#include "tests/model/naive_ledger.h"

namespace tallystick::model {
namespace {

constexpr int64_t kMaxPoints = std::numeric_limits<int64_t>::max();
using Details = std::vector<int64_t>;

class MovementsFixture : public LedgerFixture {
 protected:
  static Operation Expiring(Operation operation, Instant expires_at) {
    operation.expires_at = expires_at;
    return operation;
  }

  // Both return the id of the operation, which must be accepted.
  Id Accrue(Instant t, int64_t points, Instant expires_at = 0) {
    EXPECT_EQ(At(t, Expiring(Make(Kind::kAccrue, points), expires_at)).outcome, Outcome::kOk);
    return last_.id;
  }
  Id Redeem(Instant t, int64_t points) {
    EXPECT_EQ(At(t, Make(Kind::kRedeem, points)).outcome, Outcome::kOk);
    return last_.id;
  }
};

using Returns = MovementsFixture;

TEST_F(Returns, WrittenOffClaimSaysWhatItTookFromWhere) {
  Start({.pending_days = 10, .debt_floor = 2});
  const Id purchase = Purchase(Day(0), 10);
  At(Day(1), Make(Kind::kAdjust, 3));
  const Result half = Return(Day(2), 4, purchase);
  EXPECT_EQ(half.points, -4);
  EXPECT_EQ(half.details, Details{});
  Redeem(Day(10), 6);
  const Result rest = Return(Day(11), 6, purchase);
  EXPECT_TRUE(rest.written_off);
  EXPECT_EQ(rest.points, -5);
  EXPECT_EQ(rest.details, (Details{6, 0, 3, 2, 1}));
  const Result replay = At(Day(11), last_);
  EXPECT_TRUE(replay.written_off);
  EXPECT_EQ(replay.details, Details{});
}

TEST_F(Returns, UnknownPurchaseTakesPendingAndAvailableByAge) {
  Start({.pending_days = 10, .unknown_original = UnknownOriginal::kNewest});
  At(Day(0), Make(Kind::kAdjust, 3));
  Accrue(Day(1), 5);
  EXPECT_EQ(Return(Day(2), 9, {}).details, (Details{9, 5, 3, 0, 1}));
}

}  // namespace
}  // namespace tallystick::model
