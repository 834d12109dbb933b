// Settling: bringing an account to an instant. Activations and expiries happen in order, each as a
// derived record, before anything else sees the account.

#include <algorithm>

#include "ledger/aside.h"
#include "ledger/chain.h"
#include "ledger/image_writer.h"
#include "ledger/program_state.h"

namespace tallystick::ledger {

// The balance that Settle would give, by walking what is due in both lists. Only activations pay
// debt, in the order in which they happen.
void StateMachine::SettleAside(const Account& account, uint32_t account_row, Instant t,
                               Balance* result) const {
  Balance& balance = *result;
  balance.pending = account.pending;
  balance.available = std::max<Points>(account.available, 0);
  balance.debt = std::max<Points>(-account.available, 0);
  balance.held = 0;
  balance.lifetime_earned = account.lifetime_earned;
  balance.lot_count = account.lot_count;
  if (account.has_extra != 0) [[unlikely]] {
    const AccountExtra& extra = *holds_.ExtraOf(account, account_row);
    balance.held = extra.held;
    if (extra.first_hold != kNoRow && holds_[extra.first_hold].times_out_at <= t) {
      return SettledAside(account_row, t).Fill(balance);
    }
  }
  if (account.next_due > t) return;
  const LotList& available = account.available_lots;
  for (uint32_t row = lots_.First(available); row != kNoRow; row = lots_.Next(available, row)) {
    const Lot& lot = lots_[row];
    if (lot.expires_at > t) break;
    balance.available -= lot.remaining;
    --balance.lot_count;
  }
  const LotList& pending = account.pending_lots;
  for (uint32_t row = lots_.First(pending); row != kNoRow; row = lots_.Next(pending, row)) {
    const Lot& lot = lots_[row];
    if (PendingEventAt(lot) > t) break;
    balance.pending -= lot.remaining;
    Points left = lot.remaining;
    if (WillActivate(lot)) {
      const Points paid = std::min(balance.debt, left);
      balance.debt -= paid;
      left -= paid;
    }
    if (lot.expires_at <= t || left == 0) {
      --balance.lot_count;
    } else {
      balance.available += left;
    }
  }
}

void StateMachine::Settle(uint32_t account_row, Instant t, Out& out) {
  Account& account = accounts_[account_row];
  if (account.next_due > t) return;
  ProgramState& program = *FindProgram(account.program);
  while (true) {
    const uint32_t pending = lots_.First(account.pending_lots);
    const uint32_t available = lots_.First(account.available_lots);
    const Instant pending_at = pending == kNoRow ? kNever : PendingEventAt(lots_[pending]);
    const Instant expiry_at = available == kNoRow ? kNever : lots_[available].expires_at;
    const Instant lots_at = std::min(pending_at, expiry_at);
    // At one instant: timeouts of holds, expiries of pending lots, expiries of available ones,
    // activations.
    if (const uint32_t hold = FirstHold(account_row);
        hold != kNoRow && holds_[hold].times_out_at <= std::min(lots_at, t)) {
      TimeOut(program, account_row, hold, t, out);
      continue;
    }
    if (lots_at > t || lots_at == kNever) break;
    const bool pending_first =
        pending_at < expiry_at || (pending_at == expiry_at && !WillActivate(lots_[pending]));
    if (!pending_first) {
      ExpireLot(program, account_row, account.available_lots, available, t, out);
    } else if (WillActivate(lots_[pending])) {
      const Lot& lot = lots_[pending];
      const Position position = lot.position;
      const Points points = lot.remaining;
      const Instant at = lot.activates_at;
      MakeAvailable(program, account_row, pending);
      WriteDerived(Kind::Activation, account, position, points, 0, at, out);
    } else {
      ExpireLot(program, account_row, account.pending_lots, pending, t, out);
    }
  }
  UpdateDue(account_row);
}

void StateMachine::ExpireLot(ProgramState& program, uint32_t account_row, LotList& list,
                             uint32_t row, Instant t, Out& out) {
  Account& account = accounts_[account_row];
  image_->BeforeLot(account_row, row);
  Lot& lot = lots_[row];
  const Points points = lot.remaining;
  if (lot.pending) {
    SetPending(program.totals, account, account.pending - points);
  } else {
    SetAvailable(program.totals, account, account.available - points);
  }
  lot.remaining = 0;
  program.totals.expired += points;
  // A return of the purchase will claim no more than is left.
  if (const uint32_t receipt = ReceiptOf(lot);
      receipt != kNoRow && IsLive(program, receipts_[receipt], t)) {
    AddLost(receipt, points);
  }
  WriteDerived(Kind::Expiry, account, lot.position, points, -points, lot.expires_at, out);
  lots_.Unlink(list, row);
  --account.lot_count;
  FreeLot(row);
}

void StateMachine::AddLost(uint32_t receipt, Points points) {
  BeforeReturned(receipt);
  Returned returned = receipts_.ReturnedOf(receipts_[receipt]);
  returned.lost += points;
  receipts_.SetReturned(receipts_[receipt], returned);
}

void StateMachine::MakeAvailable(ProgramState& program, uint32_t account_row, uint32_t row) {
  Account& account = accounts_[account_row];
  image_->BeforeLot(account_row, row);
  Lot& lot = lots_[row];
  const Points points = lot.remaining;
  lots_.Unlink(account, row);
  lot.pending = false;
  lots_.Link(account, row);
  SetPending(program.totals, account, account.pending - points);
  SetAvailable(program.totals, account, account.available + points);
  lot.remaining = std::min(points, std::max<Points>(account.available, 0));
  if (lot.remaining == 0) EmptyLot(account, row);
}

void StateMachine::EmptyLot(Account& account, uint32_t row) {
  lots_.Unlink(account, row);
  --account.lot_count;
  FreeLot(row);
}

void StateMachine::FreeLot(uint32_t row) {
  if (!chain_->KeepsFreed(row)) lots_.Free(row);
}

uint32_t StateMachine::ReceiptOf(const Lot& lot) const {
  const bool there = lot.receipt != kNoRow && receipts_[lot.receipt].position == lot.position;
  return there ? lot.receipt : kNoRow;
}

uint32_t StateMachine::LotOf(const Receipt& receipt) const {
  const uint32_t row = receipts_.LinkOf(receipt);
  if (row == kNoRow || lots_[row].position != receipt.position) return kNoRow;
  // In a chain, rows of lots without points stay for a while.
  return lots_[row].remaining > 0 && !lots_[row].held ? row : kNoRow;
}

uint32_t StateMachine::ReceiptOf(const Hold& hold) const {
  const bool there = hold.receipt != kNoRow && receipts_[hold.receipt].position == hold.position;
  return there ? hold.receipt : kNoRow;
}

uint32_t StateMachine::HoldOf(const Receipt& receipt) const {
  const uint32_t row = receipts_.LinkOf(receipt);
  return row != kNoRow && holds_.Is(row, receipt.position) ? row : kNoRow;
}

void StateMachine::LinkToReceipt(uint32_t lot_row) {
  if (const uint32_t receipt = ReceiptOf(lots_[lot_row]); receipt != kNoRow) {
    receipts_.SetLink(receipts_[receipt], lot_row);
  }
}

uint32_t StateMachine::FirstHold(uint32_t account_row) const {
  const AccountExtra* extra = holds_.ExtraOf(accounts_[account_row], account_row);
  return extra == nullptr ? kNoRow : extra->first_hold;
}

Instant StateMachine::NextDueOf(uint32_t account_row) const {
  const Instant lots = lots_.NextDue(accounts_[account_row]);
  const uint32_t hold = FirstHold(account_row);
  return hold == kNoRow ? lots : std::min(lots, holds_[hold].times_out_at);
}

void StateMachine::WriteDerived(Kind kind, Account& account, Position origin, Points amount,
                                Points points, Instant at, Out& out) {
  const Position position = out.next_position();
  out.slots[out.used] = Record{Operation(Id(), account.member, Id(origin, 0), amount, at, 0, 0,
                                         account.program, 0, kind, 0, 0),
                               Result(points, account.available, account.pending,
                                      account.last_position, Outcome::Ok, 0, Field::None, 0, 0)};
  ++out.used;
  account.last_position = position;
}

void StateMachine::UpdateDue(uint32_t account_row) {
  Reschedule(account_row, NextDueOf(account_row));
}

void StateMachine::LowerDue(uint32_t account_row, Instant due) {
  if (due < accounts_[account_row].next_due) Reschedule(account_row, due);
}

void StateMachine::Reschedule(uint32_t account_row, Instant due) {
  Account& account = accounts_[account_row];
  if (due == account.next_due) return;
  const auto links = [this](uint32_t row) -> ScheduleLink& { return accounts_[row].link; };
  if (account.next_due != kNever) schedule_.Remove(account_row, links);
  account.next_due = due;
  if (due != kNever) schedule_.Add(account_row, due, links);
}

void StateMachine::RebuildSchedule(Instant now) {
  schedule_ = Schedule(now);
  const auto links = [this](uint32_t row) -> ScheduleLink& { return accounts_[row].link; };
  for (uint32_t row = 0; row < accounts_.count(); ++row) {
    if (accounts_[row].next_due != kNever) schedule_.Add(row, accounts_[row].next_due, links);
  }
}

bool StateMachine::SettleDue(uint32_t budget, RecordSink& sink, size_t* needed) {
  if (needed != nullptr) *needed = 0;
  const Instant t = block_.import_clock ? log_time_ : std::max(log_time_, block_.stamp);
  const auto links = [this](uint32_t row) -> ScheduleLink& { return accounts_[row].link; };
  const auto due_of = [this](uint32_t row) { return accounts_[row].next_due; };
  while (budget > 0) {
    const uint32_t row = schedule_.TakeDue(t, &budget, links, due_of);
    if (row == kNoRow) return budget == 0;
    accounts_[row].next_due = kNever;
    UpdateDue(row);
    // What it was due for may have left.
    if (accounts_[row].next_due > t) continue;
    const size_t slots = 2 * size_t{accounts_[row].lot_count};
    if (sink.room() < slots) {
      if (needed != nullptr) *needed = slots;
      return true;
    }
    BeforeAccount(row);
    Settle(row, t, sink);
    sink.slots[sink.used - 1].result.mutate_flags(kTicked);
    log_time_ = t;
  }
  return true;
}

}  // namespace tallystick::ledger
