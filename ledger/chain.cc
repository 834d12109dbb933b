#include "ledger/chain.h"

#include <algorithm>

#include "ledger/program_state.h"

namespace tallystick::ledger {

StateMachine::ChainUndo::ChainUndo(StateMachine& machine) : machine_(machine) {
  lots_.reserve(kMaxLotsPerAccount);
  freed_.reserve(kMaxLotsPerAccount + kMaxChainOperations);
  allocated_.reserve(kMaxChainOperations);
  holds_.reserve(kMaxHoldsPerAccount);
  holds_made_.reserve(kMaxChainOperations);
  holds_ended_.reserve(kMaxHoldsPerAccount + kMaxChainOperations);
  appended_.reserve(kMaxChainOperations);
  superseded_.reserve(kMaxChainOperations);
  returns_.reserve(kMaxLotsPerAccount + kMaxChainOperations);
}

void StateMachine::ChainUndo::Begin(ProgramState* program, uint32_t account_row,
                                    const RecordSink& out) {
  active_ = true;
  created_ = false;
  program_ = program;
  account_row_ = account_row;
  used_ = out.used;
  log_time_ = machine_.log_time_;
  if (program != nullptr) totals_ = program->totals;
  lots_.clear();
  allocated_.clear();
  freed_.clear();
  appended_.clear();
  superseded_.clear();
  returns_.clear();
  extra_.reset();
  holds_.clear();
  holds_made_.clear();
  holds_ended_.clear();
  if (account_row == kNoRow) return;
  account_ = machine_.accounts_[account_row];
  KeepLots(account_.available_lots);
  KeepLots(account_.pending_lots);
  const AccountExtra* extra = machine_.holds_.ExtraOf(account_, account_row);
  if (extra == nullptr) return;
  extra_ = *extra;
  for (uint32_t row = extra->first_hold; row != kNoRow; row = machine_.holds_[row].next) {
    holds_.push_back({row, machine_.holds_[row]});
    KeepLots(machine_.holds_[row].lots);
  }
}

void StateMachine::ChainUndo::KeepLots(const LotList& list) {
  const Lots& lots = machine_.lots_;
  for (uint32_t row = lots.First(list); row != kNoRow; row = lots.Next(list, row)) {
    lots_.push_back({row, lots[row]});
  }
}

void StateMachine::ChainUndo::Returning(uint32_t receipt) {
  if (!active_) return;
  const Receipt& row = machine_.receipts_[receipt];
  returns_.push_back({receipt, (row.flags & kHasReturns) != 0, machine_.receipts_.ReturnedOf(row)});
}

void StateMachine::ChainUndo::Commit() {
  active_ = false;
  for (const uint32_t row : freed_) machine_.lots_.Free(row);
  for (const uint32_t row : holds_ended_) machine_.holds_.Free(row);
}

void StateMachine::ChainUndo::Rollback(RecordSink& out) {
  active_ = false;
  out.used = used_;
  machine_.log_time_ = log_time_;
  Receipts& receipts = machine_.receipts_;
  for (auto it = returns_.rbegin(); it != returns_.rend(); ++it) {
    Receipt& row = receipts[it->receipt];
    // An image under way finds there what it has kept.
    if (it->had_returns || machine_.imaging_) {
      receipts.SetReturned(row, it->returned);
    } else {
      receipts.ClearReturned(row);
    }
  }
  for (auto it = appended_.rbegin(); it != appended_.rend(); ++it) {
    receipts.PopBack(**it);
    --(*it)->arrived;
  }
  for (const uint32_t row : superseded_) receipts.Reinstate(row);
  if (program_ != nullptr) program_->totals = totals_;
  if (account_row_ != kNoRow) RestoreAccount();
}

void StateMachine::ChainUndo::RestoreAccount() {
  machine_.Reschedule(account_row_, kNever);
  for (const uint32_t row : allocated_) machine_.lots_.Free(row);
  RestoreHolds();
  if (created_) {
    machine_.accounts_.Discard(account_hash_, account_row_);
    return;
  }
  for (const SavedLot& saved : lots_) {
    Lot& lot = machine_.lots_[saved.row];
    // What is undone does not undo the image.
    const uint32_t image = lot.image;
    lot = saved.lot;
    lot.image = image;
    if (!lot.held) machine_.LinkToReceipt(saved.row);
  }
  const Instant due = account_.next_due;
  machine_.accounts_[account_row_] = account_;
  machine_.accounts_[account_row_].next_due = kNever;
  machine_.Reschedule(account_row_, due);
}

void StateMachine::ChainUndo::RestoreHolds() {
  Holds& holds = machine_.holds_;
  Account& account = machine_.accounts_[account_row_];
  for (const uint32_t row : holds_made_) {
    if (holds[row].transit != kNoRow) machine_.transits_.Remove(holds[row].transit);
    holds.Free(row);
  }
  for (const SavedHold& saved : holds_) {
    holds[saved.row] = saved.hold;
    if (const uint32_t receipt = machine_.ReceiptOf(saved.hold); receipt != kNoRow) {
      machine_.receipts_.SetLink(machine_.receipts_[receipt], saved.row);
    }
  }
  if (extra_.has_value()) {
    *holds.ExtraOf(account, account_row_) = *extra_;
  } else if (account.has_extra != 0) {
    holds.DropExtra(account, account_row_);
  }
}

// Of the chain that begins here: up to and with the first operation that is not linked.
size_t StateMachine::ChainLength(absl::Span<const Operation> operations) const {
  size_t length = 0;
  while (length < operations.size() && (operations[length].flags() & kLinked) != 0) ++length;
  return std::min(length + 1, operations.size());
}

namespace {

bool IsChain(absl::Span<const Operation> chain) {
  if (chain.size() > kMaxChainOperations || (chain.back().flags() & kLinked) != 0) return false;
  return std::all_of(chain.begin(), chain.end(), [&](const Operation& op) {
    return op.member() == chain[0].member() && op.program() == chain[0].program() &&
           op.kind() != Kind::Tick && op.kind() != Kind::Transfer;
  });
}

}  // namespace

// At the most: two events of each lot, what each link writes, and an expiry of each lot that a
// reversal makes again.
size_t StateMachine::SlotsOfChain(absl::Span<const Operation> chain, uint32_t account_row) const {
  const size_t lots = account_row == kNoRow ? 0 : accounts_[account_row].lot_count;
  size_t slots = 2 * lots + kSlotsPerLink * chain.size();
  for (const Operation& link : chain) {
    if (link.kind() != Kind::ReverseRedemption || account_row == kNoRow) continue;
    const uint32_t original =
        receipts_.Find(receipts_.Hash(account_row, link.related()), account_row, link.related());
    if (original == kNoRow) {
      // Perhaps of a link before it.
      slots += lots + chain.size();
      continue;
    }
    slots += TakingsOf(*FindProgram(link.program()), receipts_[original]).count;
  }
  return slots;
}

StateMachine::ChainEnd StateMachine::TryChain(absl::Span<const Operation> chain, Result* results,
                                              Out& out) {
  if (!IsChain(chain)) {
    for (size_t i = 0; i < chain.size(); ++i) {
      Refuse(chain[i], AccountOf(chain[i]), Outcome::BadRequest, Field::Chain, results[i]);
    }
    return ChainEnd::kRefused;
  }
  const uint32_t row = AccountOf(chain[0]);
  const size_t slots = SlotsOfChain(chain, row);
  if (slots > kMaxSlotsPerChain) {
    for (size_t i = 0; i < chain.size(); ++i) {
      Refuse(chain[i], row, Outcome::OverLimit, Field::None, results[i]);
    }
    return ChainEnd::kRefused;
  }
  if (out.room() < slots) return ChainEnd::kNoRoom;

  // Before it is kept for the undoing: what is undone does not undo the image.
  if (row != kNoRow) BeforeAccount(row);
  chain_->Begin(FindProgram(chain[0].program()), row, out);
  size_t failed = 0;
  while (failed < chain.size()) {
    TALLYSTICK_LEDGER_CHECK(ApplyOne(chain[failed], Locate(chain[failed]), results[failed], out));
    if (results[failed].outcome() != Outcome::Ok) break;
    ++failed;
  }
  if (failed == chain.size()) return ChainEnd::kApplied;
  chain_->Rollback(out);
  for (size_t i = 0; i < chain.size(); ++i) {
    if (i != failed) Refuse(chain[i], row, Outcome::ChainRefused, Field::None, results[i]);
  }
  return ChainEnd::kRefused;
}

bool StateMachine::ApplyChain(absl::Span<const Operation> chain, Result* results, Out& out) {
  const ChainEnd end = TryChain(chain, results, out);
  if (end == ChainEnd::kApplied) {
    chain_->Commit();
    // What each link would have done by itself.
    ProgramState& program = *FindProgram(chain[0].program());
    for (const Operation& link : chain) {
      DropReceipts(program, program.QueueOf(link.kind(), program.InForce(link.occurred_at())));
    }
  }
  return end != ChainEnd::kNoRoom;
}

void StateMachine::DryRun(const BlockTime& time, absl::Span<const Operation> operations,
                          Result* results, RecordSink& scratch,
                          const std::function<void(Instant t)>& look) {
  TALLYSTICK_LEDGER_CHECK(!operations.empty() && scratch.used == 0 &&
                          scratch.room() >= kMaxSlotsPerChain && time.stamp >= block_.stamp);
  const BlockTime block = block_;
  block_ = time;
  const bool alone = operations.size() == 1 && (operations[0].flags() & kLinked) == 0;
  bool applied = false;
  if (alone) {
    const Operation& operation = operations[0];
    const uint32_t row = AccountOf(operation);
    if (row != kNoRow) BeforeAccount(row);
    chain_->Begin(FindProgram(operation.program()), row, scratch);
    applied = ApplyOne(operation, Locate(operation), results[0], scratch);
    TALLYSTICK_LEDGER_CHECK(applied);
  } else {
    applied = TryChain(operations, results, scratch) == ChainEnd::kApplied;
  }
  look(LogTimeOf(operations.back()));
  const size_t written = scratch.used;
  if (applied) chain_->Rollback(scratch);
  scratch.used = written;
  block_ = block;
}

}  // namespace tallystick::ledger
