// Accounts: one row for each member of each program.

#ifndef TALLYSTICK_LEDGER_MEMBERS_H_
#define TALLYSTICK_LEDGER_MEMBERS_H_

#include <cstdint>

#include "ledger/hash_index.h"
#include "ledger/schedule.h"
#include "ledger/seeded_hash.h"
#include "ledger/slab.h"
#include "ledger/types.h"

namespace tallystick::ledger {

// Rows of lots, in a ring of which the last is known: new lots belong behind it as a rule.
struct LotList {
  uint32_t last = kNoRow;
};

struct Account {
  Id member;
  Points available;  // negative: a debt, and then no available lot has points left
  Points pending;
  Points lifetime_earned;  // by purchases and accruals, whatever became of it
  Position last_position;  // of the account's newest record: the head of its history chain
  Instant next_due;  // as which it is in the schedule; no lot event comes before it, but perhaps
                     // none at it: lots may have left since; kNever: not in the schedule
  LotList available_lots;  // in spending order
  LotList pending_lots;    // in the order of their next events
  ScheduleLink link;
  uint32_t image;           // the last that it was written to ahead of its turn
  uint16_t lot_count : 15;  // lots with points left
  uint16_t has_extra : 1;   // an AccountExtra (holds.h)
  uint16_t program;
};
// Wherever it begins in a slab, it touches two lines of the cache.
static_assert(sizeof(Account) == 80);

class Accounts {
 public:
  Accounts(uint32_t limit, uint64_t hash_seed, RegionSource* regions)
      : hash_(hash_seed), index_(regions), rows_(limit, regions) {}

  uint64_t Hash(uint16_t program, const Id& member) const { return hash_.Of(member, program); }

  const HashIndex::Place* Approach(uint64_t hash) const { return index_.Approach(hash); }
  void Prefetch(uint32_t row) const {
    ledger::Prefetch(&rows_[row]);
    ledger::Prefetch(&rows_[row].program);
  }

  uint32_t Find(uint64_t hash, uint16_t program, const Id& member) const {
    return index_.Find(hash, [&](uint32_t row) { return Is(row, program, member); });
  }
  uint32_t Find(uint16_t program, const Id& member) const {
    return Find(Hash(program, member), program, member);
  }
  bool Is(uint32_t row, uint16_t program, const Id& member) const {
    return rows_[row].member == member && rows_[row].program == program;
  }
  uint32_t limit() const { return rows_.limit(); }
  bool full() const { return rows_.full(); }
  // An empty account. REQUIRES: !full(); the member has none in the program.
  uint32_t Create(uint64_t hash, uint16_t program, const Id& member);
  // The first `count` rows, in a table that has none, all zeros; and each gets its key.
  // REQUIRES: count <= the limit.
  void Allocate(uint32_t count);
  void Place(uint64_t hash, uint32_t row) { index_.Insert(hash, row); }
  // Undoes the latest Create; the row is nobody's.
  void Discard(uint64_t hash, uint32_t row);

  Account& operator[](uint32_t row) { return rows_[row]; }
  const Account& operator[](uint32_t row) const { return rows_[row]; }
  // Rows are dense from 0: accounts are never deleted.
  uint32_t count() const { return rows_.used(); }
  size_t bytes() const { return rows_.bytes() + index_.bytes(); }

 private:
  const SeededHash hash_;
  HashIndex index_;
  Slab<Account> rows_;
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_MEMBERS_H_
