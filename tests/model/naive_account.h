#ifndef TALLYSTICK_TESTS_MODEL_NAIVE_ACCOUNT_H_
#define TALLYSTICK_TESTS_MODEL_NAIVE_ACCOUNT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/model/naive_types.h"

namespace tallystick::model {

inline constexpr size_t kMaxLotsWithPoints = 10'240;

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
  int64_t lost = 0;  // to expiry
  Instant activates_at = 0;
  Instant expires_at = kNever;
  bool pending = false;
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

// An activation or an expiry of a lot.
struct LotEvent {
  Kind kind = Kind::kNone;
  uint64_t origin = 0;
  int64_t points = 0;
  Instant at = 0;
  int64_t available = 0;  // after it, negative by the debt
  int64_t pending = 0;    // after it
};

struct Account {
  std::vector<AccountLot> lots;
  int64_t debt = 0;
  int64_t lifetime_earned = 0;

  Balance CurrentBalance() const;
  size_t LotsWithPoints() const;

  // Every lot event with an instant ≤ t happens, in order.
  std::vector<LotEvent> Settle(Instant t);

  // Adds a lot of original > 0, pending or not as its dates say at t; an available one pays debt.
  void AddLot(AccountLot lot, Instant t);

  // The lots with points in the order in which they are taken.
  std::vector<AccountLot*> AvailableInSpendingOrder();
  std::vector<AccountLot*> NewestFirst();

 private:
  LotEvent Happen(AccountLot& lot);
  void PayDebt(AccountLot& lot);
};

// Takes up to `points` from the lots in the order given.
std::vector<Taking> TakeFrom(const std::vector<AccountLot*>& lots, int64_t points);

}  // namespace tallystick::model

#endif  // TALLYSTICK_TESTS_MODEL_NAIVE_ACCOUNT_H_
