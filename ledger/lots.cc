#include "ledger/lots.h"

#include <algorithm>
#include <tuple>

namespace tallystick::ledger {

bool SpentBefore(const Lot& a, const Lot& b) {
  return std::tie(a.expires_at, a.activates_at, a.position) <
         std::tie(b.expires_at, b.activates_at, b.position);
}

bool HappensBefore(const Lot& a, const Lot& b) {
  return std::make_tuple(PendingEventAt(a), WillActivate(a), a.position) <
         std::make_tuple(PendingEventAt(b), WillActivate(b), b.position);
}

void Lots::Link(Account& account, uint32_t row) {
  Lot& lot = rows_[row];
  LotList& list = ListOf(account, lot);
  if (empty(list)) {
    lot.next = lot.previous = row;
    list.last = row;
    return;
  }
  const auto before = lot.pending ? HappensBefore : SpentBefore;
  // Before the first is behind the last.
  uint32_t behind = list.last;
  bool is_last = true;
  while (before(lot, rows_[behind])) {
    is_last = false;
    behind = rows_[behind].previous;
    if (behind == list.last) break;
  }
  lot.previous = behind;
  lot.next = rows_[behind].next;
  rows_[lot.next].previous = row;
  rows_[behind].next = row;
  if (is_last) list.last = row;
}

void Lots::Unlink(Account& account, uint32_t row) {
  const Lot& lot = rows_[row];
  LotList& list = ListOf(account, lot);
  if (lot.next == row) {
    list.last = kNoRow;
    return;
  }
  rows_[lot.previous].next = lot.next;
  rows_[lot.next].previous = lot.previous;
  if (list.last == row) list.last = lot.previous;
}

Instant Lots::NextDue(const Account& account) const {
  Instant due = kNever;
  if (const uint32_t row = First(account.pending_lots); row != kNoRow) {
    due = PendingEventAt(rows_[row]);
  }
  if (const uint32_t row = First(account.available_lots); row != kNoRow) {
    due = std::min(due, rows_[row].expires_at);
  }
  return due;
}

}  // namespace tallystick::ledger
