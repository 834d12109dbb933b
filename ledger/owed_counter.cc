#include "ledger/owed_counter.h"

#include <algorithm>
#include <utility>

#include "ledger/aside.h"
#include "ledger/image_writer.h"
#include "ledger/program_state.h"

namespace tallystick::ledger {

bool StateMachine::OwedCounter::Begin(uint16_t program, Instant as_of) {
  TALLYSTICK_LEDGER_CHECK(!machine_.counting_);
  const ProgramState* state = machine_.FindProgram(program);
  if (state == nullptr) return false;
  machine_.counting_ = true;
  program_ = program;
  version_ = state->newest;
  as_of_ = as_of;
  next_ = 0;
  owed_ = {};
  month_ = {};
  return true;
}

bool StateMachine::OwedCounter::Continue(size_t budget) {
  counted_.resize(machine_.accounts_.count());
  size_t steps = 0;
  for (const uint32_t row : again_) {
    counted_[row] = true;
    steps += 1 + Count(row, true);
  }
  again_.clear();
  // Some of those that follow, whatever had to be counted again: else it might not end.
  const size_t end = std::max(budget, steps + budget / 4 + 1);
  for (; next_ < machine_.accounts_.count() && steps < end; ++next_) {
    counted_[next_] = true;
    steps += 1 + Count(next_, true);
  }
  return next_ == machine_.accounts_.count();
}

Owed StateMachine::OwedCounter::End() {
  machine_.counting_ = false;
  counted_ = {};
  again_ = {};
  std::erase_if(owed_.months, [](const auto& month) { return month.second.empty(); });
  return std::exchange(owed_, {});
}

void StateMachine::OwedCounter::BeforeAccount(uint32_t row) {
  if (row >= counted_.size() || !counted_[row]) return;
  counted_[row] = false;
  again_.push_back(row);
  Count(row, false);
}

size_t StateMachine::OwedCounter::Count(uint32_t row, bool in) {
  const Account& account = machine_.accounts_[row];
  if (account.program != program_) return 0;
  const auto add_debt = [&](Points available) {
    const Points debt = std::max<Points>(-available, 0);
    owed_.debt += in ? debt : -debt;
  };
  if (account.next_due <= as_of_) {
    const Aside aside = machine_.SettledAside(row, as_of_);
    add_debt(aside.available);
    for (const Lot& lot : aside.spendable) CountLot(lot, in);
    for (const Lot& lot : aside.waiting) CountLot(lot, in);
    for (const OpenHold& hold : aside.holds) {
      if (!IsZero(hold.to)) continue;  // on its way: nobody's now
      for (const Lot& lot : hold.lots) CountLot(lot, in);
    }
    return account.lot_count;
  }
  add_debt(account.available);
  CountList(account.available_lots, in);
  CountList(account.pending_lots, in);
  for (uint32_t hold = machine_.FirstHold(row); hold != kNoRow; hold = machine_.holds_[hold].next) {
    if (machine_.holds_[hold].transit == kNoRow) CountList(machine_.holds_[hold].lots, in);
  }
  return account.lot_count;
}

void StateMachine::OwedCounter::CountList(const LotList& list, bool in) {
  const Lots& lots = machine_.lots_;
  for (uint32_t row = lots.First(list); row != kNoRow; row = lots.Next(list, row)) {
    CountLot(lots[row], in);
  }
}

void StateMachine::OwedCounter::CountLot(const Lot& lot, bool in) {
  OwedPoints& sum = SumOf(lot.expires_at);
  Points& points = lot.held ? sum.held : lot.pending ? sum.pending : sum.available;
  points += in ? lot.remaining : -lot.remaining;
}

OwedPoints& StateMachine::OwedCounter::SumOf(Instant expires_at) {
  if (expires_at == kNever) return owed_.never;
  const Instant good = expires_at - 1;
  if (good < month_.first || good > month_.last) {
    month_ = machine_.FindProgram(program_)->versions[version_].rules.MonthOf(good);
    const bool late = month_.number >= kFirstLateMonth;
    month_sum_ = late ? &owed_.later : &owed_.months[month_.number];
  }
  return *month_sum_;
}

void StateMachine::BeforeAccount(uint32_t row) {
  image_->BeforeAccount(row);
  if (counting_) owed_->BeforeAccount(row);
}

bool StateMachine::BeginOwed(uint16_t program, Instant as_of) {
  return owed_->Begin(program, std::min(as_of, kNever - 1));
}
bool StateMachine::ContinueOwed(size_t budget) { return owed_->Continue(budget); }
Owed StateMachine::EndOwed() { return owed_->End(); }

}  // namespace tallystick::ledger
