#ifndef TALLYSTICK_TESTS_MODEL_NAIVE_ACCOUNT_H_
#define TALLYSTICK_TESTS_MODEL_NAIVE_ACCOUNT_H_

#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include "tests/model/naive_types.h"

namespace tallystick::model {

// What a hold or a transfer has of a lot counts as a lot of its own.
inline constexpr size_t kMaxLotsWithPoints = 10'240;
inline constexpr size_t kMaxOpenHolds = 128;  // and transfers on their way

struct Balance {
  int64_t pending = 0;
  int64_t available = 0;
  int64_t held = 0;
  int64_t debt = 0;
  int64_t lifetime_earned = 0;
  bool operator==(const Balance&) const = default;
};

// The points of one origin; kept when empty, since returns ask what it has lost.
struct AccountLot {
  uint64_t origin = 0;  // the sequence of the operation that made it: its position
  int64_t original = 0;
  int64_t remaining = 0;
  int64_t lost = 0;  // to expiry, forfeit and cancellation
  Instant activates_at = 0;
  Instant expires_at = kNever;
  bool pending = false;
};

// What a hold, or a transfer on its way, has of one lot: it is still of that lot and has its dates,
// but no events.
struct HeldPart {
  uint64_t origin = 0;
  int64_t points = 0;
};

// Kept when closed, since captures ask what has become of it.
struct AccountHold {
  enum class State { kOpen, kCaptured, kReleased };

  uint64_t position = 0;  // the sequence of the operation that made it
  Instant times_out_at = 0;
  State state = State::kOpen;
  std::vector<HeldPart> parts;  // once closed none

  int64_t Points() const;
};

// A transfer on its way to another member: neither done nor back.
struct AccountTransit {
  uint64_t position = 0;  // the sequence of the Transfer
  Operation operation;    // the Transfer
  Instant sent_at = 0;    // its log time
  size_t version_index = 0;
  std::vector<HeldPart> parts;  // in the order in which they were taken
};

// What was taken from one lot, with what the lot was then.
struct Taking {
  uint64_t origin = 0;
  int64_t points = 0;
  Instant activates_at = 0;
  Instant expires_at = kNever;
  bool pending = false;
};

int64_t PointsOf(const std::vector<Taking>& takings);

// An activation or an expiry of a lot, or the timeout of a hold.
struct AccountEvent {
  Kind kind = Kind::kNone;
  uint64_t origin = 0;  // the position of the lot or hold
  int64_t points = 0;
  Instant at = 0;
  int64_t available = 0;  // after it, negative by the debt
  int64_t pending = 0;    // after it
};

// The points that have expired.
int64_t ExpiredIn(const std::vector<AccountEvent>& events);

struct Account {
  std::vector<AccountLot> lots;
  std::vector<AccountHold> holds;        // by position
  std::vector<AccountTransit> transits;  // by position
  int64_t debt = 0;
  int64_t lifetime_earned = 0;
  bool frozen = false;
  bool closed = false;

  Balance CurrentBalance() const;
  size_t LotsWithPoints() const;
  size_t OpenHolds() const;
  // By holds and by transfers on their way.
  int64_t PinnedIn(uint64_t origin) const;

  // Every event with an instant ≤ t happens, in order.
  std::vector<AccountEvent> Settle(Instant t);

  // Adds a lot of original > 0, pending or not as its dates say at t; an available one pays debt.
  void AddLot(AccountLot lot, Instant t);

  // Of the available lots in spending order, each run of neighbours that are plain and expire at
  // one instant becomes one: the first of them, with the points of all. Those of `returnable`
  // origins, which a return may still name, are not plain, nor are those that have not all their
  // points.
  void JoinLots(const std::set<uint64_t>& returnable);

  // The lots with points in the order in which they are taken.
  std::vector<AccountLot*> AvailableInSpendingOrder();
  std::vector<AccountLot*> NewestFirst();

  // The lot or hold of that position, which there must be.
  AccountLot& LotOf(uint64_t origin);
  AccountHold& HoldOf(uint64_t position);

  // Takes `points`, which the hold must have, in spending order.
  std::vector<Taking> TakeFromHold(AccountHold& hold, int64_t points);

  // Closes the hold: what it has becomes available and pays debt. Returns what is left of it, in
  // spending order: that is available, too, even where its lot should have expired.
  std::vector<HeldPart> GiveBack(AccountHold& hold, AccountHold::State state);

  // The transfer of that position on its way, or null.
  const AccountTransit* FindTransit(uint64_t position) const;

  // The transfer, which there must be, is not on its way any more. Done: its points have left.
  // Back: they come back as from a hold; returns as GiveBack.
  void EndTransit(uint64_t position);
  std::vector<HeldPart> BringBack(uint64_t position);

  std::vector<HeldPart> InSpendingOrder(const std::vector<HeldPart>& parts);

  // A pending lot becomes available and pays debt.
  void Activate(AccountLot& lot);

  // The points are available and pay debt; returns what is left of them, in the lot.
  int64_t MakeAvailable(AccountLot& lot, int64_t points);

  // Of what was given back at an instant, what has expired by then does, in that order.
  std::vector<AccountEvent> ExpireAmong(const std::vector<HeldPart>& given_back, Instant at);

 private:
  std::vector<HeldPart> GiveBackParts(const std::vector<HeldPart>& parts);
  AccountHold* NextToTimeOut(Instant t);
  AccountLot* NextToHappen(Instant t);
  std::vector<AccountEvent> TimeOut(AccountHold& hold);
  AccountEvent Happen(AccountLot& lot);
  AccountEvent Expire(AccountLot& lot, int64_t points);
  AccountEvent Event(Kind kind, uint64_t origin, int64_t points, Instant at) const;
  void PayDebt(AccountLot& lot);
};

// Takes up to `points` from the lots in the order given.
std::vector<Taking> TakeFrom(const std::vector<AccountLot*>& lots, int64_t points);

}  // namespace tallystick::model

#endif  // TALLYSTICK_TESTS_MODEL_NAIVE_ACCOUNT_H_
