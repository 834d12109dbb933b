// Lots: points of one origin, with their own dates, in lists that belong to an account.

#ifndef TALLYSTICK_LEDGER_LOTS_H_
#define TALLYSTICK_LEDGER_LOTS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "ledger/members.h"
#include "ledger/slab.h"
#include "ledger/types.h"

namespace tallystick::ledger {

// Lots with points left in one account at most; what a hold has of a lot counts as one of its own.
// What bounds the records of one settling, and so the largest log block: two events a lot.
inline constexpr uint32_t kMaxLotsPerAccount = 10'240;
// With so many, and each time that they have doubled, those that nothing tells apart become one.
inline constexpr uint32_t kManyLots = 256;

struct Lot {
  Position position;  // of the record that made it; rows of one position have the same dates
  Instant activates_at;
  Instant expires_at;
  Points original;
  Points remaining;
  uint32_t receipt;   // of the operation that made it, if its position is the lot's
  uint32_t next;      // in its list; behind the last comes the first
  uint32_t previous;  // in its list; of the first it says nothing
  bool pending;
  bool held;       // what a hold has of it: a row of its own, in the hold's list
  uint32_t image;  // the last that it was written to ahead of its turn
  uint8_t reserved[4];
};
static_assert(sizeof(Lot) == 64);

// Whether the lot's next event is an activation, and when it is.
inline bool WillActivate(const Lot& lot) { return lot.activates_at < lot.expires_at; }
inline Instant PendingEventAt(const Lot& lot) {
  return WillActivate(lot) ? lot.activates_at : lot.expires_at;
}

class Lots {
 public:
  Lots(uint32_t limit, RegionSource* regions) : rows_(limit, regions) {}

  bool full() const { return rows_.full(); }
  uint32_t room() const { return rows_.room(); }
  uint32_t Allocate() { return rows_.Allocate(); }
  // The position of a row that is free is zero.
  void Free(uint32_t row) {
    rows_[row].position = 0;
    rows_.Free(row);
  }

  Lot& operator[](uint32_t row) { return rows_[row]; }
  const Lot& operator[](uint32_t row) const { return rows_[row]; }
  bool exists(uint32_t row) const { return rows_.exists(row); }
  // Of any number: there may be no such row.
  void Prefetch(uint32_t row) const {
    if (exists(row)) rows_.Prefetch(row);
  }
  // Whether any row, of any number, has points of that lot.
  bool Is(uint32_t row, Position position) const {
    return rows_.exists(row) && rows_[row].position == position && rows_[row].remaining > 0;
  }
  // What a row, perhaps a free one, has for its next; kNoRow where there is no such row.
  uint32_t Behind(uint32_t row) const {
    const uint32_t next = rows_[row].next;
    return rows_.exists(next) ? next : kNoRow;
  }
  size_t bytes() const { return rows_.bytes(); }

  static bool empty(const LotList& list) { return list.last == kNoRow; }
  // kNoRow: none, or none behind `row`.
  uint32_t First(const LotList& list) const { return empty(list) ? kNoRow : rows_[list.last].next; }
  uint32_t Next(const LotList& list, uint32_t row) const {
    return row == list.last ? kNoRow : rows_[row].next;
  }

  // Into the list that lot.pending says, at its place. Searched from the end, where new lots belong
  // as a rule.
  void Link(Account& account, uint32_t row);
  // REQUIRES: it is not held.
  void Unlink(Account& account, uint32_t row) { Unlink(ListOf(account, rows_[row]), row); }
  void Unlink(LotList& list, uint32_t row);
  void Append(LotList& list, uint32_t row);
  // `ahead`: a row of the list.
  void InsertBefore(LotList& list, uint32_t ahead, uint32_t row);
  // Rows that are in the list's order, `before`, each to its place. O(rows of both).
  void Merge(LotList& list, absl::Span<const uint32_t> rows,
             bool (*before)(const Lot& a, const Lot& b));

  // The account's earliest lot event; kNever: none. What is held has none.
  Instant NextDue(const Account& account) const;

 private:
  static LotList& ListOf(Account& account, const Lot& lot) {
    return lot.pending ? account.pending_lots : account.available_lots;
  }

  Slab<Lot> rows_;
};

// Spending order: soonest expiring, then earliest activated, then by log position.
bool SpentBefore(const Lot& a, const Lot& b);
// Order of the next events of pending lots: expiries before activations, then by log position.
bool HappensBefore(const Lot& a, const Lot& b);

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_LOTS_H_
