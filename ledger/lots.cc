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
  const Lot& lot = rows_[row];
  LotList& list = ListOf(account, lot);
  const auto before = lot.pending ? HappensBefore : SpentBefore;
  if (empty(list) || !before(lot, rows_[list.last])) return Append(list, row);
  const uint32_t first = rows_[list.last].next;
  uint32_t ahead = list.last;  // of it
  while (ahead != first && before(lot, rows_[rows_[ahead].previous])) ahead = rows_[ahead].previous;
  InsertBefore(list, ahead, row);
}

// Touches no lot but the last.
void Lots::Append(LotList& list, uint32_t row) {
  Lot& lot = rows_[row];
  if (empty(list)) {
    lot.next = row;
  } else {
    lot.next = rows_[list.last].next;
    lot.previous = list.last;
    rows_[list.last].next = row;
  }
  list.last = row;
}

void Lots::InsertBefore(LotList& list, uint32_t ahead, uint32_t row) {
  Lot& lot = rows_[row];
  // The first follows the last.
  const bool is_first = ahead == rows_[list.last].next;
  const uint32_t behind = is_first ? list.last : rows_[ahead].previous;
  lot.next = ahead;
  lot.previous = behind;
  rows_[behind].next = row;
  rows_[ahead].previous = row;
}

void Lots::Merge(LotList& list, absl::Span<const uint32_t> rows,
                 bool (*before)(const Lot& a, const Lot& b)) {
  uint32_t ahead = First(list);
  for (const uint32_t row : rows) {
    while (ahead != kNoRow && before(rows_[ahead], rows_[row])) ahead = Next(list, ahead);
    if (ahead == kNoRow) {
      Append(list, row);
    } else {
      InsertBefore(list, ahead, row);
    }
  }
}

void Lots::Unlink(LotList& list, uint32_t row) {
  const Lot& lot = rows_[row];
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
