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
  const auto before = lot.pending ? HappensBefore : SpentBefore;
  uint32_t behind = list.last;
  while (behind != kNoRow && before(lot, rows_[behind])) behind = rows_[behind].previous;
  lot.previous = behind;
  lot.next = behind == kNoRow ? list.first : rows_[behind].next;
  (behind == kNoRow ? list.first : rows_[behind].next) = row;
  (lot.next == kNoRow ? list.last : rows_[lot.next].previous) = row;
}

void Lots::Unlink(Account& account, uint32_t row) {
  const Lot& lot = rows_[row];
  LotList& list = ListOf(account, lot);
  (lot.previous == kNoRow ? list.first : rows_[lot.previous].next) = lot.next;
  (lot.next == kNoRow ? list.last : rows_[lot.next].previous) = lot.previous;
}

Instant Lots::NextDue(const Account& account) const {
  Instant due = kNever;
  if (account.pending_lots.first != kNoRow) due = PendingEventAt(rows_[account.pending_lots.first]);
  if (account.available_lots.first != kNoRow) {
    due = std::min(due, rows_[account.available_lots.first].expires_at);
  }
  return due;
}

}  // namespace tallystick::ledger
