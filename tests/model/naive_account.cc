#include "tests/model/naive_account.h"

#include <algorithm>
#include <cstdlib>
#include <tuple>
#include <utility>

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

int64_t AccountHold::Points() const {
  int64_t points = 0;
  for (const HeldPart& part : parts) points += part.points;
  return points;
}

int64_t PointsOf(const std::vector<Taking>& takings) {
  int64_t points = 0;
  for (const Taking& taking : takings) points += taking.points;
  return points;
}

int64_t ExpiredIn(const std::vector<AccountEvent>& events) {
  int64_t expired = 0;
  for (const AccountEvent& event : events) {
    if (event.kind == Kind::kExpiry) expired += event.points;
  }
  return expired;
}

Balance Account::CurrentBalance() const {
  Balance balance;
  for (const AccountLot& lot : lots) {
    (lot.pending ? balance.pending : balance.available) += lot.remaining;
  }
  for (const AccountHold& hold : holds) balance.held += hold.Points();
  balance.debt = debt;
  balance.lifetime_earned = lifetime_earned;
  return balance;
}

size_t Account::LotsWithPoints() const {
  size_t count = 0;
  for (const AccountLot& lot : lots) {
    if (lot.remaining > 0) ++count;
  }
  for (const AccountHold& hold : holds) count += hold.parts.size();
  for (const AccountTransit& transit : transits) count += transit.parts.size();
  return count;
}

size_t Account::OpenHolds() const {
  size_t count = 0;
  for (const AccountHold& hold : holds) {
    if (hold.state == AccountHold::State::kOpen) ++count;
  }
  return count;
}

int64_t Account::PinnedIn(uint64_t origin) const {
  int64_t points = 0;
  for (const AccountHold& hold : holds) {
    for (const HeldPart& part : hold.parts) {
      if (part.origin == origin) points += part.points;
    }
  }
  for (const AccountTransit& transit : transits) {
    for (const HeldPart& part : transit.parts) {
      if (part.origin == origin) points += part.points;
    }
  }
  return points;
}

std::vector<AccountEvent> Account::Settle(Instant t) {
  std::vector<AccountEvent> events;
  while (true) {
    AccountHold* hold = NextToTimeOut(t);
    AccountLot* lot = NextToHappen(t);
    if (hold == nullptr && lot == nullptr) return events;
    if (hold != nullptr && (lot == nullptr || hold->times_out_at <= NextInstant(*lot))) {
      const std::vector<AccountEvent> timeout = TimeOut(*hold);
      events.insert(events.end(), timeout.begin(), timeout.end());
    } else {
      events.push_back(Happen(*lot));
    }
  }
}

AccountHold* Account::NextToTimeOut(Instant t) {
  AccountHold* next = nullptr;
  for (AccountHold& hold : holds) {
    if (hold.state != AccountHold::State::kOpen || hold.times_out_at > t) continue;
    if (next == nullptr || std::tuple(hold.times_out_at, hold.position) <
                               std::tuple(next->times_out_at, next->position)) {
      next = &hold;
    }
  }
  return next;
}

AccountLot* Account::NextToHappen(Instant t) {
  AccountLot* next = nullptr;
  for (AccountLot& lot : lots) {
    // kNever is no instant, even when t is the last one.
    if (lot.remaining == 0 || NextInstant(lot) == kNever || NextInstant(lot) > t) continue;
    if (next == nullptr || HappensBefore(lot, *next)) next = &lot;
  }
  return next;
}

std::vector<AccountEvent> Account::TimeOut(AccountHold& hold) {
  const Instant at = hold.times_out_at;
  const int64_t points = hold.Points();
  const std::vector<HeldPart> left = GiveBack(hold, AccountHold::State::kReleased);
  std::vector<AccountEvent> events = {Event(Kind::kHoldTimeout, hold.position, points, at)};
  const std::vector<AccountEvent> expired = ExpireAmong(left, at);
  events.insert(events.end(), expired.begin(), expired.end());
  return events;
}

std::vector<AccountEvent> Account::ExpireAmong(const std::vector<HeldPart>& given_back,
                                               Instant at) {
  std::vector<AccountEvent> events;
  for (const HeldPart& part : given_back) {
    // Of a lot that expires at this instant only what was held expires here; what was beside the
    // hold has its own turn.
    AccountLot& lot = LotOf(part.origin);
    if (lot.expires_at <= at) events.push_back(Expire(lot, part.points));
  }
  return events;
}

AccountEvent Account::Happen(AccountLot& lot) {
  if (NextKind(lot) == Kind::kExpiry) return Expire(lot, lot.remaining);
  const int64_t points = lot.remaining;
  Activate(lot);
  return Event(Kind::kActivation, lot.origin, points, lot.activates_at);
}

AccountEvent Account::Expire(AccountLot& lot, int64_t points) {
  lot.remaining -= points;
  lot.lost += points;
  return Event(Kind::kExpiry, lot.origin, points, lot.expires_at);
}

AccountEvent Account::Event(Kind kind, uint64_t origin, int64_t points, Instant at) const {
  const Balance after = CurrentBalance();
  return {.kind = kind,
          .origin = origin,
          .points = points,
          .at = at,
          .available = after.available - after.debt,
          .pending = after.pending};
}

void Account::Activate(AccountLot& lot) {
  lot.pending = false;
  PayDebt(lot);
}

void Account::PayDebt(AccountLot& lot) {
  const int64_t paid = std::min(debt, lot.remaining);
  lot.remaining -= paid;
  debt -= paid;
}

int64_t Account::MakeAvailable(AccountLot& lot, int64_t points) {
  const int64_t paid = std::min(debt, points);
  debt -= paid;
  lot.remaining += points - paid;
  return points - paid;
}

void Account::AddLot(AccountLot lot, Instant t) {
  const bool expires_at_once_from_pending = lot.expires_at <= t && ExpiresFromPending(lot);
  lot.remaining = lot.original;
  lot.pending = lot.activates_at > t || expires_at_once_from_pending;
  if (!lot.pending) PayDebt(lot);
  lots.push_back(lot);
}

void Account::JoinLots(const std::set<uint64_t>& returnable) {
  AccountLot* first = nullptr;    // of the run
  std::set<uint64_t> are_joined;  // the origins of the others
  for (AccountLot* lot : AvailableInSpendingOrder()) {
    const bool is_plain = lot->remaining == lot->original && !returnable.contains(lot->origin);
    if (is_plain && first != nullptr && first->expires_at == lot->expires_at) {
      first->original += lot->original;
      first->remaining += lot->remaining;
      are_joined.insert(lot->origin);
    } else {
      first = is_plain ? lot : nullptr;
    }
  }
  std::erase_if(lots, [&](const AccountLot& lot) { return are_joined.contains(lot.origin); });
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

AccountLot& Account::LotOf(uint64_t origin) {
  for (AccountLot& lot : lots) {
    if (lot.origin == origin) return lot;
  }
  std::abort();
}

AccountHold& Account::HoldOf(uint64_t position) {
  for (AccountHold& hold : holds) {
    if (hold.position == position) return hold;
  }
  std::abort();
}

std::vector<HeldPart> Account::InSpendingOrder(const std::vector<HeldPart>& parts) {
  std::vector<std::pair<const AccountLot*, HeldPart>> order;
  for (const HeldPart& part : parts) order.emplace_back(&LotOf(part.origin), part);
  std::sort(order.begin(), order.end(),
            [](const auto& a, const auto& b) { return SpentBefore(a.first, b.first); });
  std::vector<HeldPart> sorted;
  for (const auto& [lot, part] : order) sorted.push_back(part);
  return sorted;
}

std::vector<Taking> Account::TakeFromHold(AccountHold& hold, int64_t points) {
  std::vector<Taking> takings;
  std::vector<HeldPart> kept;
  int64_t left = points;
  for (const HeldPart& part : InSpendingOrder(hold.parts)) {
    const int64_t taken = std::min(left, part.points);
    left -= taken;
    const AccountLot& lot = LotOf(part.origin);
    if (taken > 0) {
      takings.push_back({lot.origin, taken, lot.activates_at, lot.expires_at, lot.pending});
    }
    if (taken < part.points) kept.push_back({part.origin, part.points - taken});
  }
  hold.parts = kept;
  return takings;
}

std::vector<HeldPart> Account::GiveBack(AccountHold& hold, AccountHold::State state) {
  const std::vector<HeldPart> left = GiveBackParts(hold.parts);
  hold.parts.clear();
  hold.state = state;
  return left;
}

std::vector<HeldPart> Account::GiveBackParts(const std::vector<HeldPart>& parts) {
  std::vector<HeldPart> left;
  for (const HeldPart& part : InSpendingOrder(parts)) {
    const int64_t points = MakeAvailable(LotOf(part.origin), part.points);
    if (points > 0) left.push_back({part.origin, points});
  }
  return left;
}

const AccountTransit* Account::FindTransit(uint64_t position) const {
  for (const AccountTransit& transit : transits) {
    if (transit.position == position) return &transit;
  }
  return nullptr;
}

void Account::EndTransit(uint64_t position) {
  std::erase_if(transits, [&](const AccountTransit& t) { return t.position == position; });
}

std::vector<HeldPart> Account::BringBack(uint64_t position) {
  const std::vector<HeldPart> parts = FindTransit(position)->parts;
  EndTransit(position);
  return GiveBackParts(parts);
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
