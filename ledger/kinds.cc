// What each kind of operation checks and does: enrolment, earning, spending, adjusting. Returns
// have a room of their own.

#include <algorithm>
#include <cstring>

#include "ledger/chain.h"
#include "ledger/image_writer.h"
#include "ledger/program_state.h"

namespace tallystick::ledger {
namespace {

bool MayEnrol(Kind kind, const CompiledProgram& rules) {
  return kind == Kind::Enrol ||
         (rules.implicit_enrolment && (kind == Kind::Accrue || kind == Kind::Purchase));
}

}  // namespace

Outcome StateMachine::Check(Request& request) {
  const Operation& op = request.operation;
  const CompiledProgram& rules = *request.rules;
  if (op.occurred_at() - kSkew > request.t) return Outcome::TooEarly;
  if (op.occurred_at() < TooOldBound(*request.program, request.t)) return Outcome::TooOld;
  if (request.row == kNoRow) {
    if (!MayEnrol(op.kind(), rules)) return Outcome::UnknownMember;
  } else if (request.account->has_extra != 0) [[unlikely]] {
    if (const Outcome outcome = CheckStatus(request); outcome != Outcome::Ok) return outcome;
  }
  switch (op.kind()) {
    case Kind::Accrue:
    case Kind::Purchase:
      return CheckEarning(request);
    case Kind::Redeem:
      return CheckSpending(request);
    case Kind::Adjust:
      if (op.amount() > 0) return CheckEarning(request);
      return -op.amount() > request.settled.available ? Outcome::InsufficientPoints : Outcome::Ok;
    case Kind::Return:
      return CheckReturn(request);
    case Kind::Hold:
      return CheckHold(request);
    case Kind::Transfer:
      return CheckTransfer(request);
    case Kind::Capture:
      return CheckCapture(request);
    case Kind::Release:
      return CheckOpenHold(request);
    case Kind::ReverseRedemption:
      return CheckReversal(request);
    case Kind::Activate:
      return CheckPending(request);
    case Kind::Cancel:
      return CheckCancel(request);
    case Kind::Close:
      return CheckClose(request);
    default:
      return Outcome::Ok;
  }
}

Outcome StateMachine::CheckStatus(const Request& request) const {
  const AccountStatus status = holds_.ExtraOf(*request.account, request.row)->status;
  if (status == AccountStatus::kClosed) return Outcome::Closed;
  const Kind kind = request.operation.kind();
  const bool spends = kind == Kind::Redeem || kind == Kind::Hold || kind == Kind::Transfer;
  return status == AccountStatus::kFrozen && spends ? Outcome::Frozen : Outcome::Ok;
}

Outcome StateMachine::CheckSpending(const Request& request) {
  const int64_t amount = request.operation.amount();
  if (amount < request.rules->redeem_minimum) return Outcome::BelowMinimum;
  if (amount % request.rules->redeem_step != 0) return Outcome::BelowStep;
  return amount > request.settled.available ? Outcome::InsufficientPoints : Outcome::Ok;
}

bool StateMachine::FindRelated(Request& request) const {
  const Id& related = request.operation.related();
  const uint32_t row = receipts_.Find(receipts_.Hash(request.row, related), request.row, related);
  if (row == kNoRow || !IsLive(*request.program, receipts_[row], request.t)) return false;
  request.receipt = row;
  return true;
}

Outcome StateMachine::CheckEarning(Request& request) {
  const Operation& op = request.operation;
  const std::optional<Points> wanted =
      op.kind() == Kind::Purchase ? request.rules->Earned(op.amount()) : op.amount();
  if (!wanted || AddOverflows(request.program->totals.credited, *wanted)) return Outcome::Overflow;
  if (*wanted > 0 && !HasRoomForLots(request, 1)) return Outcome::TooManyLots;
  request.points = *wanted;
  request.lots = *wanted > 0 ? 1 : 0;
  return Outcome::Ok;
}

void StateMachine::Perform(Request& request) {
  const Operation& op = request.operation;
  Totals& totals = request.program->totals;
  if (request.row == kNoRow) {
    request.row = accounts_.Create(request.hash, op.program(), op.member());
    request.flags |= kEnrolled;
    ++totals.members;
    chain_->Created(request.hash, request.row);
    request.account = &accounts_[request.row];
    request.receipt_hash = receipts_.Hash(request.row, op.id());
  } else if (imaging_ | counting_) [[unlikely]] {
    BeforeAccount(request.row);
  }
  if (request.account->next_due <= request.t) Settle(request.row, request.t, request.out);
  if (JoinsLots(request.account->lot_count, request.lots)) [[unlikely]] {
    JoinLots(*request.program, request.row, request.t);
  }
  switch (op.kind()) {
    case Kind::Accrue:
    case Kind::Purchase:
      totals.issued += request.points;
      request.account->lifetime_earned += request.points;
      Credit(request);
      break;
    case Kind::Redeem:
      totals.redeemed += op.amount();
      TakeInSpendingOrder(request, op.amount());
      Accept(request, -op.amount(), 0);
      receipts_[request.receipt].link = request.taking;
      break;
    case Kind::Adjust:
      totals.adjusted += op.amount();
      if (op.amount() > 0) {
        Credit(request);
      } else {
        TakeInSpendingOrder(request, -op.amount());
        Accept(request, op.amount(), 0);
      }
      break;
    case Kind::Return:
      PerformReturn(request);
      break;
    case Kind::Hold:
      PerformHold(request);
      break;
    case Kind::Transfer:
      PerformTransfer(request);
      break;
    case Kind::Capture:
      PerformCapture(request);
      break;
    case Kind::Release:
      PerformRelease(request);
      break;
    case Kind::ReverseRedemption:
      PerformReversal(request);
      break;
    case Kind::Activate:
      PerformActivate(request);
      break;
    case Kind::Cancel:
      PerformCancel(request);
      break;
    case Kind::Close:
      PerformClose(request);
      break;
    case Kind::Extend:
      PerformExtend(request);
      break;
    case Kind::Freeze:
    case Kind::Unfreeze: {
      const bool freezes = op.kind() == Kind::Freeze;
      if (freezes || request.account->has_extra != 0) {
        holds_.MakeExtra(*request.account, request.row).status =
            freezes ? AccountStatus::kFrozen : AccountStatus::kActive;
      }
      Accept(request, 0, 0);
      break;
    }
    default:
      Accept(request, 0, 0);
  }
}

// Makes a lot of the points. It may be pending, available (and pay debt), or past its expiry.
void StateMachine::Credit(Request& request) {
  const Operation& op = request.operation;
  const Points points = request.points;
  request.program->totals.credited += points;
  if (points == 0) {
    Accept(request, 0, 0);
    return;
  }
  const Instant base = std::min(op.occurred_at(), request.t);
  CompiledProgram::Dates dates = request.rules->LotDates(base, op.kind() != Kind::Adjust);
  if (op.expires_at() != 0) dates.expires_at = op.expires_at();

  Totals& totals = request.program->totals;
  Account& account = *request.account;
  const uint32_t row = lots_.Allocate();
  chain_->Allocated(row);
  Lot& lot = lots_[row];
  lot.position = request.out.next_position();
  lot.activates_at = dates.activates_at;
  lot.expires_at = dates.expires_at;
  lot.original = points;
  lot.remaining = points;
  lot.receipt = kNoRow;
  lot.held = false;
  lot.image = 0;
  const bool past = lot.expires_at <= request.t;
  lot.pending = lot.activates_at > request.t || (past && !WillActivate(lot));
  if (lot.pending) {
    SetPending(totals, account, account.pending + points);
  } else {
    SetAvailable(totals, account, account.available + points);
    lot.remaining = std::min(points, std::max<Points>(account.available, 0));
  }
  Accept(request, points, 0);
  if (lot.remaining == 0) {
    FreeLot(row);
    return;
  }
  if (ProgramState::IsLasting(op.kind())) {
    receipts_[request.receipt].link = row;
    lot.receipt = request.receipt;
  }
  lots_.Link(account, row);
  ++account.lot_count;
  if (past) {
    LotList& list = lot.pending ? account.pending_lots : account.available_lots;
    ExpireLot(*request.program, request.row, list, row, request.t, request.out);
  } else {
    LowerDue(request.row, lot.pending ? PendingEventAt(lot) : lot.expires_at);
  }
}

Points StateMachine::TakeFromLot(Request& request, uint32_t row, Points most) {
  Totals& totals = request.program->totals;
  Account& account = *request.account;
  if (imaging_) [[unlikely]]
    image_->BeforeLot(request.row, row);
  Lot& lot = lots_[row];
  const Points taken = std::min(most, lot.remaining);
  if (lot.pending) {
    SetPending(totals, account, account.pending - taken);
  } else {
    SetAvailable(totals, account, account.available - taken);
  }
  lot.remaining -= taken;
  if (lot.remaining == 0) EmptyLot(account, row);
  return taken;
}

// REQUIRES: so many are available.
void StateMachine::TakeInSpendingOrder(Request& request, Points points) {
  const bool remembers = Receipts::Takes(request.operation.kind()) && block_.engine >= 2;
  while (points > 0) {
    const uint32_t first = lots_.First(request.account->available_lots);
    TALLYSTICK_LEDGER_CHECK(first != kNoRow);
    if (remembers) RememberTaking(request, lots_[first], first, points);
    points -= TakeFromLot(request, first, points);
  }
}

void StateMachine::RememberTaking(Request& request, const Lot& lot, uint32_t row, Points most) {
  TakingQueue& queue = request.program->QueueOf(request.operation.kind(), request.version).takings;
  const bool continues = request.taking != kNoRow;
  if (!continues) request.taking = queue.end;
  // Written where it belongs, not put together and copied.
  Taking& taking = receipts_.takings().Append(queue, continues);
  taking.lot_position = lot.position;
  taking.activates_at = lot.activates_at;
  taking.expires_at = lot.expires_at;
  taking.original = lot.original;
  taking.SetPoints(std::min(most, lot.remaining));
  taking.lot = row;
  taking.receipt = lot.receipt;
}

Receipts::TakingsOf StateMachine::TakingsOf(ProgramState& program, const Receipt& receipt) const {
  return receipts_.FindTakings(program.QueueOf(receipt.kind, receipt.version), receipt);
}

template <typename Detail>
void StateMachine::WriteDetail(Request& request, const Detail& detail) {
  static_assert(sizeof(Detail) == kSlotBytes);
  Out& out = request.out;
  std::memcpy(static_cast<void*>(out.slots + out.used), &detail, sizeof(detail));
  ++out.used;
}
template void StateMachine::WriteDetail(Request& request, const ReturnDetail& detail);
template void StateMachine::WriteDetail(Request& request, const CaptureDetail& detail);
template void StateMachine::WriteDetail(Request& request, const ReversalDetail& detail);
template void StateMachine::WriteDetail(Request& request, const CloseDetail& detail);

}  // namespace tallystick::ledger
