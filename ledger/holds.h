// What few accounts have: holds, and a status other than active. It costs only those who use it.

#ifndef TALLYSTICK_LEDGER_HOLDS_H_
#define TALLYSTICK_LEDGER_HOLDS_H_

#include <cstdint>

#include "ledger/hash_index.h"
#include "ledger/lots.h"
#include "ledger/members.h"
#include "ledger/seeded_hash.h"
#include "ledger/slab.h"
#include "ledger/types.h"

namespace tallystick::ledger {

// Open holds of one account at most.
inline constexpr uint32_t kMaxHoldsPerAccount = 128;
// Of a hold's receipt, from its key time: it lives as long as the hold is open, and some more.
inline constexpr Instant kHoldReceiptLife = kLongestHold + kMicrosPerDay;

// Numbers of snapshots and of the protocol.
enum class AccountStatus : uint8_t { kActive = 0, kFrozen = 1, kClosed = 2 };

// An open hold.
struct Hold {
  Position position;  // of the record that made it; 0: a row that is free
  Instant times_out_at;
  Points points;
  LotList lots;      // in spending order
  uint32_t next;     // of the account, in the order of their timeouts, then positions
  uint32_t receipt;  // its own, if its position is the hold's
  uint32_t
      transit;  // kNoRow; or, of a transfer, on whose way the points are: no hold of the member's
};
static_assert(sizeof(Hold) == 40);

struct AccountExtra {
  uint32_t account;
  uint32_t first_hold;
  uint32_t hold_count;
  AccountStatus status;
  uint8_t reserved[3];
  Points held;  // by its holds, without transfers
};
static_assert(sizeof(AccountExtra) == 24);

// Extras by account, and the holds in them.
class Holds {
 public:
  Holds(uint32_t account_limit, uint32_t hold_limit, uint64_t hash_seed, RegionSource* regions)
      : hash_(hash_seed),
        index_(regions),
        extras_(account_limit, regions),
        rows_(hold_limit, regions) {}

  bool full() const { return rows_.full(); }

  // Null: it has none.
  AccountExtra* ExtraOf(const Account& account, uint32_t account_row) {
    return account.has_extra == 0 ? nullptr : &extras_[FindExtra(account_row)];
  }
  const AccountExtra* ExtraOf(const Account& account, uint32_t account_row) const {
    return account.has_extra == 0 ? nullptr : &extras_[FindExtra(account_row)];
  }
  const HashIndex::Place* Approach(uint32_t account_row) const {
    return index_.Approach(Hash(account_row));
  }
  void PrefetchExtra(const HashIndex::Place* place, uint32_t account_row) const {
    const uint32_t row = HashIndex::Guess(place, Hash(account_row));
    if (row != kNoRow && extras_.exists(row)) extras_.Prefetch(row);
  }
  // Makes one where there is none.
  AccountExtra& MakeExtra(Account& account, uint32_t account_row);
  // REQUIRES: it says nothing.
  void DropExtra(Account& account, uint32_t account_row);

  uint32_t Allocate() { return rows_.Allocate(); }
  void Free(uint32_t row) {
    rows_[row].position = 0;
    rows_.Free(row);
  }
  // Of any number: there may be no such row.
  void Prefetch(uint32_t row) const {
    if (rows_.exists(row)) rows_.Prefetch(row);
  }
  // Of any row, perhaps a free one: a lot's row of any number, or kNoRow.
  uint32_t LastLot(uint32_t row) const { return rows_.exists(row) ? rows_[row].lots.last : kNoRow; }
  Hold& operator[](uint32_t row) { return rows_[row]; }
  const Hold& operator[](uint32_t row) const { return rows_[row]; }
  // Whether there is an open hold of that position in the row, which may be any.
  bool Is(uint32_t row, Position position) const {
    return rows_.exists(row) && rows_[row].position == position;
  }

  // At its place among the account's. O(holds of the account), as is Unlink.
  void Link(AccountExtra& extra, uint32_t row);
  void Unlink(AccountExtra& extra, uint32_t row);

  size_t bytes() const { return extras_.bytes() + rows_.bytes() + index_.bytes(); }

 private:
  uint64_t Hash(uint32_t account_row) const { return hash_.Of(Id(account_row, 0), 0); }
  uint32_t FindExtra(uint32_t account_row) const {
    return index_.Find(Hash(account_row),
                       [&](uint32_t row) { return extras_[row].account == account_row; });
  }

  const SeededHash hash_;
  HashIndex index_;
  Slab<AccountExtra> extras_;
  Slab<Hold> rows_;
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_HOLDS_H_
