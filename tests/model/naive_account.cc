#include "tests/model/naive_account.h"

#include <algorithm>
#include <tuple>

namespace tallystick::model {
namespace {

bool ExpiresFromPending(const AccountLot& lot) { return lot.expires_at <= lot.activates_at; }

// What will happen next to a lot with points.
Kind NextKind(const AccountLot& lot) {
  return lot.pending && !ExpiresFromPending(lot) ? Kind::kActivation : Kind::kExpiry;
}

Instant NextInstant(const AccountLot& lot) {
  return NextKind(lot) == Kind::kActivation ? lot.activates_at : lot.expires_at;
}

// In order of instants; at one instant first expiries of pending lots by position, then of
// available lots in spending order, then activations by position.
bool HappensBefore(const AccountLot& a, const AccountLot& b) {
  const auto key = [](const AccountLot& lot) {
    const bool activates = NextKind(lot) == Kind::kActivation;
    const int turn = activates ? 2 : lot.pending ? 0 : 1;
    return std::tuple(NextInstant(lot), turn, lot.pending ? 0 : lot.activates_at, lot.origin);
  };
  return key(a) < key(b);
}

bool SpentBefore(const AccountLot* a, const AccountLot* b) {
  return std::tuple(a->expires_at, a->activates_at, a->origin) <
         std::tuple(b->expires_at, b->activates_at, b->origin);
}

}  // namespace

int64_t PointsOf(const std::vector<Taking>& takings) {
  int64_t points = 0;
  for (const Taking& taking : takings) points += taking.points;
  return points;
}

Balance Account::CurrentBalance() const {
  Balance balance;
  for (const AccountLot& lot : lots) {
    (lot.pending ? balance.pending : balance.available) += lot.remaining;
  }
  balance.debt = debt;
  balance.lifetime_earned = lifetime_earned;
  return balance;
}

size_t Account::LotsWithPoints() const {
  return static_cast<size_t>(std::count_if(
      lots.begin(), lots.end(), [](const AccountLot& lot) { return lot.remaining > 0; }));
}

std::vector<LotEvent> Account::Settle(Instant t) {
  std::vector<LotEvent> events;
  while (true) {
    AccountLot* next = nullptr;
    for (AccountLot& lot : lots) {
      // kNever is no instant, even when t is the last one.
      if (lot.remaining == 0 || NextInstant(lot) == kNever || NextInstant(lot) > t) continue;
      if (next == nullptr || HappensBefore(lot, *next)) next = &lot;
    }
    if (next == nullptr) return events;
    events.push_back(Happen(*next));
  }
}

LotEvent Account::Happen(AccountLot& lot) {
  LotEvent event{
      .kind = NextKind(lot), .origin = lot.origin, .points = lot.remaining, .at = NextInstant(lot)};
  if (event.kind == Kind::kExpiry) {
    lot.lost += lot.remaining;
    lot.remaining = 0;
  } else {
    lot.pending = false;
    PayDebt(lot);
  }
  const Balance after = CurrentBalance();
  event.available = after.available - after.debt;
  event.pending = after.pending;
  return event;
}

void Account::PayDebt(AccountLot& lot) {
  const int64_t paid = std::min(debt, lot.remaining);
  lot.remaining -= paid;
  debt -= paid;
}

void Account::AddLot(AccountLot lot, Instant t) {
  const bool expires_at_once_from_pending = lot.expires_at <= t && ExpiresFromPending(lot);
  lot.remaining = lot.original;
  lot.pending = lot.activates_at > t || expires_at_once_from_pending;
  if (!lot.pending) PayDebt(lot);
  lots.push_back(lot);
}

std::vector<AccountLot*> Account::AvailableInSpendingOrder() {
  std::vector<AccountLot*> order;
  for (AccountLot& lot : lots) {
    if (lot.remaining > 0 && !lot.pending) order.push_back(&lot);
  }
  std::sort(order.begin(), order.end(), SpentBefore);
  return order;
}

std::vector<AccountLot*> Account::NewestFirst() {
  std::vector<AccountLot*> order;
  for (AccountLot& lot : lots) {
    if (lot.remaining > 0) order.push_back(&lot);
  }
  std::sort(order.begin(), order.end(),
            [](const AccountLot* a, const AccountLot* b) { return a->origin > b->origin; });
  return order;
}

std::vector<Taking> TakeFrom(const std::vector<AccountLot*>& lots, int64_t points) {
  std::vector<Taking> takings;
  int64_t left = points;
  for (AccountLot* lot : lots) {
    const int64_t part = std::min(left, lot->remaining);
    if (part == 0) continue;
    lot->remaining -= part;
    left -= part;
    takings.push_back({lot->origin, part, lot->activates_at, lot->expires_at, lot->pending});
  }
  return takings;
}

}  // namespace tallystick::model
