// Holds: points that are pinned until they are captured, released, or the hold times out.

#include <algorithm>

#include "ledger/chain.h"
#include "ledger/image_writer.h"
#include "ledger/program_state.h"

namespace tallystick::ledger {

Outcome StateMachine::CheckHold(Request& request) const {
  const Operation& op = request.operation;
  if (const Outcome outcome = CheckSpending(request); outcome != Outcome::Ok) return outcome;
  request.times_out_at =
      op.expires_at() != 0 ? op.expires_at() : request.t + request.rules->hold_timeout_us;
  if (request.times_out_at <= request.t) return Outcome::Expired;
  if (request.times_out_at > request.t + kLongestHold) return Outcome::OverLimit;
  const Outcome outcome = CheckPinning(request);
  request.lots = 1;  // of the last lot, which may be divided
  return outcome;
}

Outcome StateMachine::CheckPinning(const Request& request) const {
  if (request.account->has_extra != 0) {
    uint32_t open = 0;
    const AccountExtra& extra = *holds_.ExtraOf(*request.account, request.row);
    for (uint32_t row = extra.first_hold; row != kNoRow; row = holds_[row].next) {
      if (holds_[row].times_out_at > request.t) ++open;
    }
    if (open >= kMaxHoldsPerAccount) return Outcome::OverLimit;
  }
  return HasRoomForLots(request, 1) ? Outcome::Ok : Outcome::TooManyLots;
}

Outcome StateMachine::CheckOpenHold(Request& request) const {
  if (!FindRelated(request)) return Outcome::UnknownHold;
  const Receipt& receipt = receipts_[request.receipt];
  if (receipt.kind != Kind::Hold) return Outcome::NotPermitted;
  request.hold = HoldOf(receipt);
  if (request.hold == kNoRow) {
    return receipts_.ReturnedOf(receipt).amount > 0 ? Outcome::AlreadyCaptured
                                                    : Outcome::AlreadyReleased;
  }
  return holds_[request.hold].times_out_at <= request.t ? Outcome::AlreadyReleased : Outcome::Ok;
}

Outcome StateMachine::CheckCapture(Request& request) const {
  if (const Outcome outcome = CheckOpenHold(request); outcome != Outcome::Ok) return outcome;
  const Points held = holds_[request.hold].points;
  const int64_t amount = request.operation.amount();
  if (amount == 0 || amount == held) return Outcome::Ok;
  if (amount > held) return Outcome::InsufficientPoints;
  const CompiledProgram& rules =
      request.program->versions[receipts_[request.receipt].version].rules;
  if (amount < rules.redeem_minimum) return Outcome::BelowMinimum;
  return amount % rules.redeem_step != 0 ? Outcome::BelowStep : Outcome::Ok;
}

void StateMachine::PerformHold(Request& request) {
  const uint32_t row = Pin(request, request.times_out_at);
  AccountExtra& extra = *holds_.ExtraOf(*request.account, request.row);
  SetHeld(request.program->totals, extra, extra.held + request.operation.amount());
  Accept(request, 0, 0);
  LinkHold(request, row);
  LowerDue(request.row, request.times_out_at);
}

uint32_t StateMachine::Pin(Request& request, Instant times_out_at) {
  Account& account = *request.account;
  Totals& totals = request.program->totals;
  const Points points = request.operation.amount();
  AccountExtra& extra = holds_.MakeExtra(account, request.row);
  const uint32_t row = holds_.Allocate();
  chain_->HoldMade(row);
  Hold& hold = holds_[row];
  hold = {request.out.next_position(), times_out_at, points, LotList(), kNoRow, kNoRow, kNoRow};
  for (Points left = points; left > 0;) {
    const uint32_t first = lots_.First(account.available_lots);
    TALLYSTICK_LEDGER_CHECK(first != kNoRow);
    image_->BeforeLot(request.row, first);
    uint32_t piece = first;
    if (lots_[first].remaining <= left) {
      lots_.Unlink(account, first);
    } else {
      piece = lots_.Allocate();
      chain_->Allocated(piece);
      lots_[piece] = lots_[first];
      lots_[piece].remaining = left;
      lots_[first].remaining -= left;
      ++account.lot_count;
    }
    lots_[piece].held = true;
    lots_.Append(hold.lots, piece);
    left -= lots_[piece].remaining;
  }
  SetAvailable(totals, account, account.available - points);
  holds_.Link(extra, row);
  return row;
}

void StateMachine::LinkHold(const Request& request, uint32_t hold_row) {
  receipts_[request.receipt].link = hold_row;
  holds_[hold_row].receipt = request.receipt;
}

void StateMachine::PerformCapture(Request& request) {
  Totals& totals = request.program->totals;
  const uint32_t receipt = request.receipt;
  const Points held = holds_[request.hold].points;
  const Points captured = request.operation.amount() == 0 ? held : request.operation.amount();
  TakeFromHold(request, captured);
  totals.redeemed += captured;
  GiveBack(*request.program, request.row, request.hold, request.t);
  const Points forgiven = ForgiveExcess(request);

  BeforeReturned(receipt);
  Returned returned = receipts_.ReturnedOf(receipts_[receipt]);
  returned.amount = captured;
  receipts_.SetReturned(receipts_[receipt], returned);

  if (forgiven > 0) request.flags |= kDetailed;
  Accept(request, forgiven - captured, forgiven > 0 ? 1 : 0);
  if (forgiven > 0) WriteDetail(request, CaptureDetail{captured, held - captured, forgiven, {}});
  receipts_[request.receipt].link = request.taking;
  EndHold(*request.program, request.row, request.hold, request.t, request.out);
}

void StateMachine::PerformRelease(Request& request) {
  GiveBack(*request.program, request.row, request.hold, request.t);
  Accept(request, 0, 0);
  EndHold(*request.program, request.row, request.hold, request.t, request.out);
}

void StateMachine::TakeFromHold(Request& request, Points points) {
  Account& account = *request.account;
  AccountExtra& extra = *holds_.ExtraOf(account, request.row);
  Hold& hold = holds_[request.hold];
  SetHeld(request.program->totals, extra, extra.held - points);
  hold.points -= points;
  for (Points left = points; left > 0;) {
    const uint32_t row = lots_.First(hold.lots);
    Lot& lot = lots_[row];
    const Points taken = std::min(left, lot.remaining);
    RememberTaking(request, lot, row, taken);
    left -= taken;
    lot.remaining -= taken;
    if (lot.remaining > 0) continue;
    lots_.Unlink(hold.lots, row);
    --account.lot_count;
    FreeLot(row);
  }
}

// What a capture leaves of debt beyond the floor, of which it has taken the cover.
Points StateMachine::ForgiveExcess(Request& request) {
  Account& account = *request.account;
  const Totals::Sum debt = std::max<Points>(-account.available, 0);
  const Totals::Sum excess =
      debt - holds_.ExtraOf(account, request.row)->held - request.rules->debt_floor;
  const auto forgiven = static_cast<Points>(std::max<Totals::Sum>(excess, 0));
  SetAvailable(request.program->totals, account, account.available + forgiven);
  request.program->totals.forgiven += forgiven;
  return forgiven;
}

void StateMachine::GiveBack(ProgramState& program, uint32_t account_row, uint32_t hold_row,
                            Instant u) {
  Account& account = accounts_[account_row];
  AccountExtra& extra = *holds_.ExtraOf(account, account_row);
  Hold& hold = holds_[hold_row];
  if (hold.transit == kNoRow) {
    SetHeld(program.totals, extra, extra.held - hold.points);
  } else {
    program.totals.sent -= hold.points;
  }
  hold.points = 0;
  const LotList given = hold.lots;
  hold.lots = LotList();
  uint32_t ahead = lots_.First(account.available_lots);  // the first that may be spent later
  for (uint32_t row = lots_.First(given), next; row != kNoRow; row = next) {
    next = lots_.Next(given, row);
    Lot& lot = lots_[row];
    lot.image = image_->number();  // an image has it with the hold
    const Points points = lot.remaining;
    SetAvailable(program.totals, account, account.available + points);
    lot.remaining = std::min(points, std::max<Points>(account.available, 0));
    if (lot.remaining == 0) {
      --account.lot_count;
      FreeLot(row);
      continue;
    }
    if (lot.expires_at <= u) {
      lots_.Append(hold.lots, row);
      continue;
    }
    LowerDue(account_row, lot.expires_at);
    while (ahead != kNoRow && SpentBefore(lots_[ahead], lot)) {
      ahead = lots_.Next(account.available_lots, ahead);
    }
    if (ahead != kNoRow && lots_[ahead].position == lot.position) {
      image_->BeforeLot(account_row, ahead);
      lots_[ahead].remaining += lot.remaining;
      lot.remaining = 0;
      --account.lot_count;
      FreeLot(row);
      continue;
    }
    lot.held = false;
    if (ahead == kNoRow) {
      lots_.Append(account.available_lots, row);
    } else {
      lots_.InsertBefore(account.available_lots, ahead, row);
    }
    LinkToReceipt(row);
  }
}

void StateMachine::EndHold(ProgramState& program, uint32_t account_row, uint32_t hold_row,
                           Instant t, Out& out) {
  Hold& hold = holds_[hold_row];
  while (!Lots::empty(hold.lots)) {
    ExpireLot(program, account_row, hold.lots, lots_.First(hold.lots), t, out);
  }
  if (const uint32_t receipt = ReceiptOf(hold); receipt != kNoRow) {
    receipts_.SetLink(receipts_[receipt], kNoRow);
  }
  if (hold.transit != kNoRow) transits_.Remove(hold.transit);
  holds_.Unlink(*holds_.ExtraOf(accounts_[account_row], account_row), hold_row);
  if (!chain_->KeepsHold(hold_row)) holds_.Free(hold_row);
}

void StateMachine::TimeOut(ProgramState& program, uint32_t account_row, uint32_t hold_row,
                           Instant t, Out& out) {
  const Hold& hold = holds_[hold_row];
  const Points points = hold.points;
  GiveBack(program, account_row, hold_row, hold.times_out_at);
  WriteDerived(Kind::HoldTimeout, accounts_[account_row], hold.position, points, 0,
               hold.times_out_at, out);
  EndHold(program, account_row, hold_row, t, out);
}

}  // namespace tallystick::ledger
