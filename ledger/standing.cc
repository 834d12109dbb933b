// What changes an account's standing or its lots' dates: activation and cancellation of pending
// points, extension of expiry, closing.

#include <algorithm>

#include "ledger/chain.h"
#include "ledger/image_writer.h"
#include "ledger/program_state.h"

namespace tallystick::ledger {

// Of the purchase that `related` names: whether its lot is pending.
Outcome StateMachine::CheckPending(Request& request) const {
  if (!FindRelated(request)) return Outcome::UnknownOriginal;
  const Receipt& original = receipts_[request.receipt];
  if (!ProgramState::Earns(original.kind)) return Outcome::NotPermitted;
  const uint32_t row = LotOf(original);
  const bool pending =
      row != kNoRow && lots_[row].pending && PendingEventAt(lots_[row]) > request.t;
  return pending ? Outcome::Ok : Outcome::NotPermitted;
}

Outcome StateMachine::CheckCancel(Request& request) const {
  if (const Outcome outcome = CheckPending(request); outcome != Outcome::Ok) return outcome;
  const Points pending = lots_[LotOf(receipts_[request.receipt])].remaining;
  const int64_t amount = request.operation.amount();
  if (amount > pending) return Outcome::InsufficientPoints;
  request.points = amount == 0 ? pending : amount;
  return AddOverflows(request.program->totals.clawed_back, request.points) ? Outcome::Overflow
                                                                           : Outcome::Ok;
}

Outcome StateMachine::CheckClose(const Request& request) const {
  const Balance& balance = request.settled;
  if (balance.held != 0) return Outcome::NotPermitted;
  for (uint32_t hold = FirstHold(request.row); hold != kNoRow; hold = holds_[hold].next) {
    if (holds_[hold].transit != kNoRow) return Outcome::NotPermitted;
  }
  const bool expires_rest = (request.operation.flags() & kExpireRest) != 0;
  const bool empty = (balance.pending | balance.available | balance.debt) == 0;
  return empty || expires_rest ? Outcome::Ok : Outcome::NotPermitted;
}

void StateMachine::PerformActivate(Request& request) {
  const uint32_t row = LotOf(receipts_[request.receipt]);
  const Instant expires_at = lots_[row].expires_at;
  image_->BeforeLot(request.row, row);
  lots_[row].activates_at = request.t;
  MakeAvailable(*request.program, request.row, row);
  Accept(request, 0, 0);
  LowerDue(request.row, expires_at);
}

void StateMachine::PerformCancel(Request& request) {
  request.program->totals.clawed_back += request.points;
  AddLost(request.receipt, request.points);
  TakeFromLot(request, LotOf(receipts_[request.receipt]), request.points);
  Accept(request, -request.points, 0);
}

void StateMachine::PerformExtend(Request& request) {
  Account& account = *request.account;
  const Instant expires_at = request.operation.expires_at();
  ExtendList(request.row, account.available_lots, expires_at);
  ExtendList(request.row, account.pending_lots, expires_at);
  for (uint32_t hold = FirstHold(request.row); hold != kNoRow; hold = holds_[hold].next) {
    ExtendList(request.row, holds_[hold].lots, expires_at);
  }
  Accept(request, 0, 0);
}

void StateMachine::ExtendList(uint32_t account_row, LotList& list, Instant expires_at) {
  some_lots_.clear();
  for (uint32_t row = lots_.First(list); row != kNoRow; row = lots_.Next(list, row)) {
    if (lots_[row].expires_at < expires_at) some_lots_.push_back(row);
  }
  if (some_lots_.empty()) return;
  const auto before = lots_[some_lots_.front()].pending ? HappensBefore : SpentBefore;
  for (const uint32_t row : some_lots_) {
    if (!lots_[row].held) image_->BeforeLot(account_row, row);
    lots_.Unlink(list, row);
    lots_[row].expires_at = expires_at;
  }
  std::sort(some_lots_.begin(), some_lots_.end(),
            [&](uint32_t a, uint32_t b) { return before(lots_[a], lots_[b]); });
  lots_.Merge(list, some_lots_, before);
}

void StateMachine::PerformClose(Request& request) {
  Account& account = *request.account;
  Totals& totals = request.program->totals;
  const CloseDetail detail{account.pending,
                           std::max<Points>(account.available, 0),
                           std::max<Points>(-account.available, 0),
                           {}};
  for (LotList* list : {&account.available_lots, &account.pending_lots}) {
    while (!Lots::empty(*list)) {
      const uint32_t row = lots_.First(*list);
      image_->BeforeLot(request.row, row);
      lots_[row].remaining = 0;
      lots_.Unlink(*list, row);
      FreeLot(row);
    }
  }
  account.lot_count = 0;
  SetPending(totals, account, 0);
  SetAvailable(totals, account, 0);
  const Points expired = detail.pending + detail.available;
  totals.expired += expired;
  totals.closed_out += expired;
  totals.forgiven += detail.forgiven;
  holds_.MakeExtra(account, request.row).status = AccountStatus::kClosed;

  const bool detailed = (expired | detail.forgiven) != 0;
  if (detailed) request.flags |= kDetailed;
  Accept(request, detail.forgiven - expired, detailed ? 1 : 0);
  if (detailed) WriteDetail(request, detail);
}

}  // namespace tallystick::ledger
