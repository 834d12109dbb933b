#include "tests/model/naive_movements.h"

#include <cstddef>
#include <cstdlib>
#include <vector>

namespace tallystick::model {
namespace {

constexpr int64_t kMaxHoldTime = 30 * kDay;

// kOk when `related` is a hold that is open.
Outcome CheckOpenHold(Attempt& attempt) {
  const Receipt* receipt = attempt.LiveReceipt(attempt.operation.related);
  if (receipt == nullptr) return Outcome::kUnknownHold;
  if (static_cast<Kind>(receipt->operation.kind) != Kind::kHold) return Outcome::kNotPermitted;
  switch (attempt.account.HoldOf(receipt->result.sequence).state) {
    case AccountHold::State::kOpen:
      return Outcome::kOk;
    case AccountHold::State::kCaptured:
      return Outcome::kAlreadyCaptured;
    case AccountHold::State::kReleased:
      return Outcome::kAlreadyReleased;
  }
  std::abort();
}

// Forgives the debt beyond the floor of the version in force, and returns that.
int64_t ForgiveExcess(Attempt& attempt) {
  const Balance balance = attempt.account.CurrentBalance();
  const __int128 excess =
      static_cast<__int128>(balance.debt) - balance.held - attempt.version().debt_floor;
  if (excess <= 0) return 0;
  const int64_t forgiven = static_cast<int64_t>(excess);
  attempt.account.debt -= forgiven;
  attempt.movements.forgiven += forgiven;
  return forgiven;
}

}  // namespace

Outcome RunHold(Attempt& attempt) {
  const int64_t points = attempt.operation.amount;
  const Outcome redeemable = CheckRedeemable(attempt.version(), points);
  if (redeemable != Outcome::kOk) return redeemable;
  if (points > attempt.account.CurrentBalance().available) return Outcome::kInsufficientPoints;
  const Instant times_out_at = attempt.operation.expires_at != 0
                                   ? attempt.operation.expires_at
                                   : attempt.t + attempt.version().hold_timeout_minutes * kMinute;
  if (times_out_at <= attempt.t) return Outcome::kExpired;
  if (times_out_at > attempt.t + kMaxHoldTime) return Outcome::kOverLimit;
  if (attempt.account.OpenHolds() >= kMaxOpenHolds) return Outcome::kOverLimit;
  if (attempt.account.LotsWithPoints() >= kMaxLotsWithPoints) return Outcome::kTooManyLots;

  AccountHold hold;
  hold.position = attempt.sequence;
  hold.times_out_at = times_out_at;
  for (const Taking& taking : TakeFrom(attempt.account.AvailableInSpendingOrder(), points)) {
    hold.parts.push_back({taking.origin, taking.points});
  }
  attempt.account.holds.push_back(hold);
  return Outcome::kOk;
}

Outcome RunCapture(Attempt& attempt) {
  const Outcome open = CheckOpenHold(attempt);
  if (open != Outcome::kOk) return open;
  const Receipt& receipt = *attempt.LiveReceipt(attempt.operation.related);
  AccountHold& hold = attempt.account.HoldOf(receipt.result.sequence);
  const int64_t held = hold.Points();
  const int64_t captured = attempt.operation.amount == 0 ? held : attempt.operation.amount;
  if (captured > held) return Outcome::kInsufficientPoints;
  if (captured < held) {
    const Program& version_of_hold = attempt.history.version(receipt.version_index);
    const Outcome redeemable = CheckRedeemable(version_of_hold, captured);
    if (redeemable != Outcome::kOk) return redeemable;
  }

  attempt.takings = attempt.account.TakeFromHold(hold, captured);
  attempt.movements.redeemed += captured;
  attempt.account.GiveBack(hold, AccountHold::State::kCaptured);
  const int64_t forgiven = ForgiveExcess(attempt);
  if (forgiven > 0) attempt.AddDetail({captured, held - captured, forgiven});
  return Outcome::kOk;
}

Outcome RunRelease(Attempt& attempt) {
  const Outcome open = CheckOpenHold(attempt);
  if (open != Outcome::kOk) return open;
  const Receipt& receipt = *attempt.LiveReceipt(attempt.operation.related);
  AccountHold& hold = attempt.account.HoldOf(receipt.result.sequence);
  attempt.account.GiveBack(hold, AccountHold::State::kReleased);
  return Outcome::kOk;
}

}  // namespace tallystick::model
