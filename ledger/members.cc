#include "ledger/members.h"

namespace tallystick::ledger {

uint32_t Accounts::Create(uint64_t hash, uint16_t program, const Id& member) {
  const uint32_t row = rows_.Allocate();
  Account account{};
  account.member = member;
  account.program = program;
  account.next_due = kNever;
  rows_[row] = account;
  index_.Insert(hash, row);
  return row;
}

void Accounts::Allocate(uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) rows_.Allocate();
}

void Accounts::Discard(uint64_t hash, uint32_t row) {
  index_.Erase(hash, row);
  rows_[row].member = Id();
  rows_.Free(row);
}

}  // namespace tallystick::ledger
