#include "tests/model/naive_kinds.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <set>
#include <vector>

#include "tests/model/naive_movements.h"
#include "tests/model/naive_transfers.h"

namespace tallystick::model {
namespace {

bool AmountIsBad(Kind kind, int64_t amount) {
  switch (kind) {
    case Kind::kAccrue:
    case Kind::kPurchase:
    case Kind::kReturn:
    case Kind::kRedeem:
    case Kind::kHold:
    case Kind::kReverseRedemption:
    case Kind::kTransfer:
      return amount <= 0;
    case Kind::kCapture:
    case Kind::kCancel:
      return amount < 0;
    case Kind::kAdjust:
      return amount == 0 || amount == std::numeric_limits<int64_t>::min();
    default:
      return amount != 0;
  }
}

bool RelatedIsBad(Kind kind, const Operation& operation) {
  const Id& related = operation.related;
  switch (kind) {
    case Kind::kReturn:
      return false;
    case Kind::kCapture:
    case Kind::kRelease:
    case Kind::kReverseRedemption:
    case Kind::kActivate:
    case Kind::kCancel:
      return related.IsZero();
    case Kind::kTransfer:
      return related.IsZero() || related == operation.member;
    default:
      return !related.IsZero();
  }
}

bool ExpiresAtIsBad(Kind kind, const Operation& operation) {
  if (operation.expires_at == 0) return kind == Kind::kExtend;
  const bool allowed = kind == Kind::kAccrue || kind == Kind::kPurchase || kind == Kind::kHold ||
                       kind == Kind::kExtend || (kind == Kind::kAdjust && operation.amount > 0);
  return !allowed || operation.expires_at <= operation.occurred_at ||
         operation.expires_at >= UtcInstant(10'000, 1, 1);
}

bool IsLive(const Receipt& receipt, const ProgramHistory& history, Instant t) {
  if (receipt.key_time >= history.TooOldBound(t)) return true;
  const Kind kind = static_cast<Kind>(receipt.operation.kind);
  if (kind == Kind::kHold) return receipt.key_time >= t - 31 * kDay;
  if (kind != Kind::kAccrue && kind != Kind::kPurchase && kind != Kind::kRedeem &&
      kind != Kind::kCapture) {
    return false;
  }
  const Program& version = history.version(receipt.version_index);
  return receipt.key_time >= t - std::max(version.return_days, version.pending_days == 0
                                                                   ? 0
                                                                   : version.pending_days + 1) *
                                     kDay;
}

bool JoinsAt(size_t lots, size_t added) {
  for (const size_t many : {256, 512, 1'024, 2'048, 4'096, 8'192}) {
    if (lots == many) return true;
  }
  return lots + added > kMaxLotsWithPoints;
}

// The origins of the lots of purchases and accruals whose receipts are live.
std::set<uint64_t> ReturnableOrigins(const std::map<Id, Receipt>& receipts,
                                     const ProgramHistory& history, Instant t) {
  std::set<uint64_t> origins;
  for (const auto& [id, receipt] : receipts) {
    const Kind kind = static_cast<Kind>(receipt.operation.kind);
    const bool earns = kind == Kind::kPurchase || kind == Kind::kAccrue;
    if (earns && IsLive(receipt, history, t)) origins.insert(receipt.result.sequence);
  }
  return origins;
}

// Makes a lot of the points wanted; what they count as is the caller's.
Outcome Credit(Attempt& attempt, __int128 wanted, int32_t pending_days) {
  if (Overflows(wanted) || Overflows(attempt.movements.EverCredited() + wanted)) {
    return Outcome::kOverflow;
  }
  if (wanted == 0) return Outcome::kOk;
  const Outcome room = attempt.MakeRoomForLots(1);
  if (room != Outcome::kOk) return room;

  const Operation& operation = attempt.operation;
  const Instant base = std::min(operation.occurred_at, attempt.t);
  const LotDates dates = DatesOf(attempt.version(), base, pending_days, operation.expires_at);
  AccountLot lot;
  lot.origin = attempt.sequence;
  lot.original = static_cast<int64_t>(wanted);
  lot.activates_at = dates.activates_at;
  lot.expires_at = dates.expires_at;
  attempt.account.AddLot(lot, attempt.t);
  return Outcome::kOk;
}

Outcome RunEarning(Attempt& attempt, __int128 wanted) {
  const Outcome outcome = Credit(attempt, wanted, attempt.version().pending_days);
  if (outcome != Outcome::kOk) return outcome;
  attempt.granted = static_cast<int64_t>(wanted);
  attempt.movements.issued += attempt.granted;
  attempt.account.lifetime_earned += attempt.granted;
  return Outcome::kOk;
}

Outcome Spend(Attempt& attempt, int64_t points) {
  if (points > attempt.account.CurrentBalance().available) return Outcome::kInsufficientPoints;
  attempt.takings = TakeFrom(attempt.account.AvailableInSpendingOrder(), points);
  return Outcome::kOk;
}

Outcome RunRedeem(Attempt& attempt) {
  const int64_t points = attempt.operation.amount;
  const Outcome redeemable = CheckRedeemable(attempt.version(), points);
  if (redeemable != Outcome::kOk) return redeemable;
  const Outcome outcome = Spend(attempt, points);
  if (outcome == Outcome::kOk) attempt.movements.redeemed += points;
  return outcome;
}

Outcome RunAdjust(Attempt& attempt) {
  const int64_t amount = attempt.operation.amount;
  const Outcome outcome = amount > 0 ? Credit(attempt, amount, 0) : Spend(attempt, -amount);
  if (outcome != Outcome::kOk) return outcome;
  attempt.movements.adjusted += amount;
  if (amount > 0) attempt.movements.adjusted_up += amount;
  return Outcome::kOk;
}

// Whether a claim could take what was clawed back or written off past the largest number.
bool ClaimOverflows(const Movements& movements, __int128 claim) {
  return Overflows(movements.clawed_back + claim) || Overflows(movements.written_off + claim);
}

// Takes a claim from the lots in the order given, then as debt down to the floor; writes off the
// rest, and returns that.
int64_t Claim(Attempt& attempt, const std::vector<AccountLot*>& lots, int64_t claim) {
  int64_t from_pending = 0;
  int64_t from_available = 0;
  for (const Taking& taking : TakeFrom(lots, claim)) {
    (taking.pending ? from_pending : from_available) += taking.points;
  }
  const int64_t from_lots = from_pending + from_available;
  const __int128 room = static_cast<__int128>(attempt.version().debt_floor) +
                        attempt.account.CurrentBalance().held - attempt.account.debt;
  const int64_t as_debt =
      static_cast<int64_t>(std::min<__int128>(claim - from_lots, std::max<__int128>(0, room)));
  const int64_t written_off = claim - from_lots - as_debt;
  attempt.account.debt += as_debt;
  attempt.written_off = written_off > 0;
  attempt.movements.clawed_back += from_lots + as_debt;
  attempt.movements.written_off += written_off;
  if (written_off > 0) {
    attempt.details = {claim, from_pending, from_available, as_debt, written_off};
  }
  return written_off;
}

// The original's own lot first, pending or available, then the other available lots.
std::vector<AccountLot*> OwnLotFirst(Account& account, AccountLot* own) {
  std::vector<AccountLot*> order;
  if (own != nullptr) order.push_back(own);
  for (AccountLot* lot : account.AvailableInSpendingOrder()) {
    if (lot != own) order.push_back(lot);
  }
  return order;
}

Outcome RunReturnOf(Attempt& attempt, Receipt& original) {
  const Kind kind = static_cast<Kind>(original.operation.kind);
  if (kind != Kind::kPurchase && kind != Kind::kAccrue) return Outcome::kNotPermitted;
  const int64_t spend = original.operation.amount;
  const int64_t amount = attempt.operation.amount;
  if (static_cast<__int128>(original.returned) + amount > spend) return Outcome::kAlreadyReturned;
  original.returned += amount;

  AccountLot* own = nullptr;
  for (AccountLot& lot : attempt.account.lots) {
    if (lot.origin == original.result.sequence) own = &lot;
  }
  const int64_t lost = own == nullptr ? 0 : own->lost;
  const int64_t kept_spend = spend - original.returned;
  const __int128 kept_wanted =
      kind == Kind::kAccrue
          ? static_cast<__int128>(kept_spend)
          : EarnedBy(attempt.history.version(original.version_index).earn, kept_spend);
  const __int128 granted = original.granted;
  const __int128 due_unless_lost = granted - std::min(kept_wanted, granted);
  if (ClaimOverflows(attempt.movements, due_unless_lost - original.claimed)) {
    return Outcome::kOverflow;
  }
  const __int128 due = std::min(due_unless_lost, granted - lost);
  const int64_t claim = static_cast<int64_t>(std::max<__int128>(0, due - original.claimed));
  original.claimed += claim;
  original.written_off += Claim(attempt, OwnLotFirst(attempt.account, own), claim);
  return Outcome::kOk;
}

Outcome RunReturn(Attempt& attempt) {
  Receipt* original = attempt.LiveReceipt(attempt.operation.related);
  if (original != nullptr) return RunReturnOf(attempt, *original);
  if (attempt.version().unknown_original == UnknownOriginal::kRefuse) {
    return Outcome::kUnknownOriginal;
  }
  const __int128 claim = AtRate(attempt.version().earn, attempt.operation.amount);
  if (Overflows(claim) || ClaimOverflows(attempt.movements, claim)) return Outcome::kOverflow;
  Claim(attempt, attempt.account.NewestFirst(), static_cast<int64_t>(claim));
  return Outcome::kOk;
}

}  // namespace

Field BadField(const Operation& operation) {
  const Kind kind = static_cast<Kind>(operation.kind);
  const bool is_tick = kind == Kind::kTick;
  if (kind < Kind::kEnrol || kind > Kind::kTransfer) return Field::kKind;
  const int allowed_flags = kind == Kind::kClose ? kLinked | kExpireRest : kLinked;
  if ((operation.flags & ~allowed_flags) != 0) return Field::kFlags;
  if (operation.reserved != 0) return Field::kReserved;
  if (operation.id.IsZero()) return Field::kId;
  if (operation.member.IsZero() != is_tick) return Field::kMember;
  if (AmountIsBad(kind, operation.amount)) return Field::kAmount;
  if (RelatedIsBad(kind, operation)) return Field::kRelated;
  if (operation.occurred_at <= 0 || operation.occurred_at >= UtcInstant(10'000, 1, 1)) {
    return Field::kOccurredAt;
  }
  if (ExpiresAtIsBad(kind, operation)) return Field::kExpiresAt;
  if (is_tick && operation.program != 0) return Field::kProgram;
  return Field::kNone;
}

const Receipt* FindLiveReceipt(const std::map<Id, Receipt>& receipts, const Id& id,
                               const ProgramHistory& history, Instant t) {
  const auto found = receipts.find(id);
  if (found == receipts.end()) return nullptr;
  return IsLive(found->second, history, t) ? &found->second : nullptr;
}

bool Overflows(__int128 total) { return total > std::numeric_limits<int64_t>::max(); }

Receipt* Attempt::LiveReceipt(const Id& id) {
  const Receipt* receipt = FindLiveReceipt(receipts, id, history, t);
  if (receipt == nullptr) return nullptr;
  return &changed_receipts.emplace(id, *receipt).first->second;
}

Receipt* Attempt::LiveReceiptOfLot(uint64_t origin) {
  for (const auto& [id, receipt] : receipts) {
    if (receipt.result.sequence == origin) return LiveReceipt(id);
  }
  return nullptr;
}

std::optional<Joining> JoinBeforeAdding(size_t added, Account& account,
                                        const std::map<Id, Receipt>& receipts,
                                        const ProgramHistory& history, Instant t) {
  const size_t before = account.LotsWithPoints();
  if (!JoinsAt(before, added)) return std::nullopt;
  account.JoinLots(ReturnableOrigins(receipts, history, t));
  return Joining{.before = before, .after = account.LotsWithPoints()};
}

Outcome Attempt::MakeRoomForLots(size_t added) {
  joining = JoinBeforeAdding(added, account, receipts, history, t);
  const bool has_room = account.LotsWithPoints() + added <= kMaxLotsWithPoints;
  return has_room ? Outcome::kOk : Outcome::kTooManyLots;
}

void Attempt::AddDetail(const std::vector<int64_t>& amounts) {
  detailed = true;
  details = amounts;
}

Outcome CheckRedeemable(const Program& version, int64_t points) {
  if (points < version.redeem_minimum) return Outcome::kBelowMinimum;
  if (points % version.redeem_step != 0) return Outcome::kBelowStep;
  return Outcome::kOk;
}

Outcome RunKind(Attempt& attempt) {
  const Operation& operation = attempt.operation;
  switch (static_cast<Kind>(operation.kind)) {
    case Kind::kEnrol:
      return Outcome::kOk;
    case Kind::kAccrue:
      return RunEarning(attempt, operation.amount);
    case Kind::kPurchase:
      return RunEarning(attempt, EarnedBy(attempt.version().earn, operation.amount));
    case Kind::kRedeem:
      return RunRedeem(attempt);
    case Kind::kAdjust:
      return RunAdjust(attempt);
    case Kind::kReturn:
      return RunReturn(attempt);
    case Kind::kHold:
      return RunHold(attempt);
    case Kind::kCapture:
      return RunCapture(attempt);
    case Kind::kRelease:
      return RunRelease(attempt);
    case Kind::kReverseRedemption:
      return RunReverseRedemption(attempt);
    case Kind::kActivate:
      return RunActivate(attempt);
    case Kind::kCancel:
      return RunCancel(attempt);
    case Kind::kExtend:
      return RunExtend(attempt);
    case Kind::kFreeze:
      attempt.account.frozen = true;
      return Outcome::kOk;
    case Kind::kUnfreeze:
      attempt.account.frozen = false;
      return Outcome::kOk;
    case Kind::kClose:
      return RunClose(attempt);
    case Kind::kTransfer:
      return RunTransfer(attempt);
    default:
      std::abort();
  }
}

}  // namespace tallystick::model
