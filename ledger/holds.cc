#include "ledger/holds.h"

#include <tuple>

namespace tallystick::ledger {

AccountExtra& Holds::MakeExtra(Account& account, uint32_t account_row) {
  if (AccountExtra* extra = ExtraOf(account, account_row)) return *extra;
  const uint32_t row = extras_.Allocate();
  extras_[row] = {account_row, kNoRow, 0, AccountStatus::kActive, {}, 0};
  index_.Insert(Hash(account_row), row);
  account.has_extra = 1;
  return extras_[row];
}

void Holds::DropExtra(Account& account, uint32_t account_row) {
  const uint32_t row = FindExtra(account_row);
  index_.Erase(Hash(account_row), row);
  extras_.Free(row);
  account.has_extra = 0;
}

void Holds::Link(AccountExtra& extra, uint32_t row) {
  Hold& hold = rows_[row];
  uint32_t* place = &extra.first_hold;
  const auto key = [](const Hold& h) { return std::tuple(h.times_out_at, h.position); };
  while (*place != kNoRow && key(rows_[*place]) < key(hold)) place = &rows_[*place].next;
  hold.next = *place;
  *place = row;
  ++extra.hold_count;
}

void Holds::Unlink(AccountExtra& extra, uint32_t row) {
  uint32_t* place = &extra.first_hold;
  while (*place != row) place = &rows_[*place].next;
  *place = rows_[row].next;
  --extra.hold_count;
}

}  // namespace tallystick::ledger
