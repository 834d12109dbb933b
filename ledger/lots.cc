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
    lot.next = row;
    list.last = row;
    return;
  }
  const auto before = lot.pending ? HappensBefore : SpentBefore;
  const uint32_t last = list.last;
  if (!before(lot, rows_[last])) {
    // As a rule; touches no lot but the last.
    lot.next = rows_[last].next;
    lot.previous = last;
    rows_[last].next = row;
    list.last = row;
    return;
  }
  const uint32_t first = rows_[last].next;
  uint32_t ahead = last;  // of it
  while (ahead != first && before(lot, rows_[rows_[ahead].previous])) ahead = rows_[ahead].previous;
  // The first follows the last.
  const uint32_t behind = ahead == first ? last : rows_[ahead].previous;
  lot.next = ahead;
  lot.previous = behind;
  rows_[behind].next = row;
  rows_[ahead].previous = row;
}

void Lots::Unlink(Account& account, uint32_t row) {
  const Lot& lot = rows_[row];
  LotList& list = ListOf(account, lot);
  if (lot.next == row) {
    list.last = kNoRow;
    return;
  }
  Lot& last = rows_[list.last];
  if (last.next == row) {
    last.next = lot.next;
    return;
  }
  rows_[lot.previous].next = lot.next;
  if (list.last == row) {
    list.last = lot.previous;
  } else {
    rows_[lot.next].previous = lot.previous;
  }
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
