#include "tests/model/naive_movements.h"

#include <algorithm>
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

// The takings that the next `points` to be reversed come from, the latest first, each with its part
// of them.
std::vector<Taking> LatestTakings(const Receipt& redemption, int64_t points) {
  std::vector<Taking> latest;
  int64_t to_skip = redemption.reversed;
  int64_t left = points;
  for (size_t i = redemption.takings.size(); i > 0; --i) {
    Taking taking = redemption.takings[i - 1];
    const int64_t skipped = std::min(to_skip, taking.points);
    to_skip -= skipped;
    taking.points = std::min(left, taking.points - skipped);
    left -= taking.points;
    if (taking.points > 0) latest.push_back(taking);
  }
  return latest;
}

// Repays, with up to `points`, what returns of the lot's purchase have written off; returns how
// much. Only purchases and accruals have something written off.
int64_t Repay(Attempt& attempt, uint64_t origin, int64_t points) {
  Receipt* earned = attempt.LiveReceiptOfLot(origin);
  if (earned == nullptr) return 0;
  const int64_t repaid = std::min(points, earned->written_off);
  earned->written_off -= repaid;
  attempt.movements.written_off -= repaid;
  attempt.movements.clawed_back += repaid;
  return repaid;
}

// Puts `points` > 0 back where they were taken from; returns what was forfeited instead.
int64_t PutBack(Attempt& attempt, const Taking& taking, int64_t points) {
  const Program& version = attempt.version();
  AccountLot& lot = attempt.account.LotOf(taking.origin);
  if (lot.remaining == 0 && attempt.account.PinnedIn(lot.origin) == 0) {
    lot.activates_at = taking.activates_at;
    lot.expires_at = taking.expires_at;
  }
  if (lot.expires_at <= attempt.t) {
    if (version.forfeit_expired) {
      lot.lost += points;
      attempt.movements.expired += points;
      attempt.movements.forfeited += points;
      return points;
    }
    lot.expires_at = AddCivilDays(version.zone, attempt.t, version.reversal_grace_days);
  }
  attempt.account.MakeAvailable(lot, points);
  return 0;
}

// kOk when `related` is a purchase or accrual whose lot has pending points.
Outcome CheckPendingLot(Attempt& attempt) {
  const Receipt* receipt = attempt.LiveReceipt(attempt.operation.related);
  if (receipt == nullptr) return Outcome::kUnknownOriginal;
  const Kind kind = static_cast<Kind>(receipt->operation.kind);
  if (kind != Kind::kPurchase && kind != Kind::kAccrue) return Outcome::kNotPermitted;
  for (const AccountLot& lot : attempt.account.lots) {
    if (lot.origin == receipt->result.sequence && lot.pending && lot.remaining > 0) {
      return Outcome::kOk;
    }
  }
  return Outcome::kNotPermitted;
}

// The lot of the operation that `related` names, which must have one.
AccountLot& RelatedLot(Attempt& attempt) {
  const Receipt& receipt = *attempt.LiveReceipt(attempt.operation.related);
  return attempt.account.LotOf(receipt.result.sequence);
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
  const size_t pinned = attempt.account.OpenHolds() + attempt.account.transits.size();
  if (pinned >= kMaxOpenHolds) return Outcome::kOverLimit;
  const Outcome room = attempt.MakeRoomForLots(1);
  if (room != Outcome::kOk) return room;

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

Outcome RunReverseRedemption(Attempt& attempt) {
  Receipt* redemption = attempt.LiveReceipt(attempt.operation.related);
  if (redemption == nullptr) return Outcome::kUnknownOriginal;
  const Kind kind = static_cast<Kind>(redemption->operation.kind);
  if (kind != Kind::kRedeem && kind != Kind::kCapture) return Outcome::kNotPermitted;
  const int64_t amount = attempt.operation.amount;
  if (static_cast<__int128>(redemption->reversed) + amount > PointsOf(redemption->takings)) {
    return Outcome::kAlreadyReturned;
  }
  Movements& movements = attempt.movements;
  if (Overflows(movements.EverCredited() + amount) ||
      Overflows(static_cast<__int128>(movements.clawed_back) + amount)) {
    return Outcome::kOverflow;
  }
  const std::vector<Taking> takings = LatestTakings(*redemption, amount);
  const Outcome room = attempt.MakeRoomForLots(takings.size());
  if (room != Outcome::kOk) return room;

  redemption->reversed += amount;
  movements.reinstated += amount;
  int64_t repaid = 0;
  int64_t forfeited = 0;
  for (const Taking& taking : takings) {
    const int64_t repaid_here = Repay(attempt, taking.origin, taking.points);
    repaid += repaid_here;
    const int64_t rest = taking.points - repaid_here;
    if (rest > 0) forfeited += PutBack(attempt, taking, rest);
  }
  if (repaid > 0 || forfeited > 0) attempt.AddDetail({amount, repaid, forfeited});
  return Outcome::kOk;
}

Outcome RunActivate(Attempt& attempt) {
  const Outcome pending = CheckPendingLot(attempt);
  if (pending != Outcome::kOk) return pending;
  AccountLot& lot = RelatedLot(attempt);
  lot.activates_at = attempt.t;
  attempt.account.Activate(lot);
  return Outcome::kOk;
}

Outcome RunCancel(Attempt& attempt) {
  const Outcome pending = CheckPendingLot(attempt);
  if (pending != Outcome::kOk) return pending;
  AccountLot& lot = RelatedLot(attempt);
  const int64_t points = attempt.operation.amount == 0 ? lot.remaining : attempt.operation.amount;
  if (points > lot.remaining) return Outcome::kInsufficientPoints;
  Movements& movements = attempt.movements;
  if (Overflows(static_cast<__int128>(movements.clawed_back) + points)) return Outcome::kOverflow;
  lot.remaining -= points;
  lot.lost += points;
  movements.clawed_back += points;
  movements.cancelled += points;
  return Outcome::kOk;
}

Outcome RunExtend(Attempt& attempt) {
  const Instant expires_at = attempt.operation.expires_at;
  for (AccountLot& lot : attempt.account.lots) {
    const bool has_points = lot.remaining > 0 || attempt.account.PinnedIn(lot.origin) > 0;
    if (has_points && lot.expires_at < expires_at) lot.expires_at = expires_at;
  }
  return Outcome::kOk;
}

Outcome RunClose(Attempt& attempt) {
  const Balance balance = attempt.account.CurrentBalance();
  const bool has_rest = balance.pending > 0 || balance.available > 0 || balance.debt > 0;
  const bool expires_rest = (attempt.operation.flags & kExpireRest) != 0;
  const bool is_pinned = balance.held > 0 || !attempt.account.transits.empty();
  if (is_pinned || (has_rest && !expires_rest)) return Outcome::kNotPermitted;

  for (AccountLot& lot : attempt.account.lots) {
    lot.lost += lot.remaining;
    lot.remaining = 0;
  }
  attempt.account.debt = 0;
  attempt.account.closed = true;
  attempt.movements.expired += balance.pending + balance.available;
  attempt.movements.closed_out += balance.pending + balance.available;
  attempt.movements.forgiven += balance.debt;
  if (has_rest) attempt.AddDetail({balance.pending, balance.available, balance.debt});
  return Outcome::kOk;
}

}  // namespace tallystick::model
