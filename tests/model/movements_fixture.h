#ifndef TALLYSTICK_TESTS_MODEL_MOVEMENTS_FIXTURE_H_
#define TALLYSTICK_TESTS_MODEL_MOVEMENTS_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "tests/model/ledger_fixture.h"

namespace tallystick::model {

inline constexpr int64_t kMostPoints = std::numeric_limits<int64_t>::max();
using Details = std::vector<int64_t>;

// A ledger whose member's points are moved.
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
  Id Hold(Instant t, int64_t points, Instant times_out_at = 0) {
    EXPECT_EQ(TryHold(t, points, times_out_at).outcome, Outcome::kOk);
    return last_.id;
  }

  Result TryHold(Instant t, int64_t points, Instant times_out_at = 0) {
    return At(t, Expiring(Make(Kind::kHold, points), times_out_at));
  }
  Result Capture(Instant t, Id hold, int64_t points = 0) {
    return At(t, Make(Kind::kCapture, points, hold));
  }
  Result Release(Instant t, Id hold) { return At(t, Make(Kind::kRelease, 0, hold)); }

  Result Reverse(Instant t, int64_t points, Id redemption) {
    return At(t, Make(Kind::kReverseRedemption, points, redemption));
  }

  Result Activate(Instant t, Id earned) { return At(t, Make(Kind::kActivate, 0, earned)); }
  Result Cancel(Instant t, Id earned, int64_t points = 0) {
    return At(t, Make(Kind::kCancel, points, earned));
  }
  Result Extend(Instant t, Instant expires_at) {
    return At(t, Expiring(Make(Kind::kExtend, 0), expires_at));
  }
  Result Close(Instant t) { return At(t, Make(Kind::kClose, 0)); }
  Result CloseExpiringTheRest(Instant t) {
    Operation close = Make(Kind::kClose, 0);
    close.flags = kExpireRest;
    return At(t, close);
  }

  Field BadFieldOf(const Operation& operation) {
    const Result result = At(Day(0), operation);
    EXPECT_EQ(result.outcome, Outcome::kBadRequest);
    return result.field;
  }

  static Derived Record(Kind kind, int64_t points, Instant at, uint64_t origin, int64_t available,
                        int64_t pending = 0) {
    return {.kind = kind,
            .member = kMember,
            .program = kProgram,
            .points = points,
            .at = at,
            .origin_sequence = origin,
            .available = available,
            .pending = pending};
  }

  std::vector<model::Hold> HoldsOn(Instant t) const {
    return ledger_.HoldsAt(kProgram, kMember, t);
  }
  std::vector<Lot> LotsOn(Instant t) const { return ledger_.LotsAt(kProgram, kMember, t); }
};

}  // namespace tallystick::model

#endif  // TALLYSTICK_TESTS_MODEL_MOVEMENTS_FIXTURE_H_
