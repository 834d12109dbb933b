// Reversals: points of a redemption go back to the lots that they came from.

#include <algorithm>

#include "ledger/chain.h"
#include "ledger/image_writer.h"
#include "ledger/program_state.h"

namespace tallystick::ledger {

Outcome StateMachine::CheckReversal(Request& request) const {
  if (!FindRelated(request)) return Outcome::UnknownOriginal;
  const Receipt& original = receipts_[request.receipt];
  if (!Receipts::Takes(original.kind)) return Outcome::NotPermitted;
  const auto [first, count] = TakingsOf(*request.program, original);
  if (count == 0) return Outcome::UnknownOriginal;
  const TakingQueue& queue = request.program->QueueOf(original.kind, original.version).takings;
  const int64_t amount = request.operation.amount();
  const Points before = receipts_.ReturnedOf(original).amount;
  Points taken = 0;
  for (uint32_t i = count; i > 0; --i) {
    const Points behind = taken;  // in later takings
    taken += receipts_.takings().At(queue, Takings::Behind(first, i - 1)).points();
    // Whether some of it is not reversed yet, and will be now.
    if (taken > before && behind - before < amount) ++request.lots;
  }
  if (amount > taken - before) return Outcome::AlreadyReturned;
  const Totals& totals = request.program->totals;
  if (AddOverflows(totals.credited, amount) || AddOverflows(totals.clawed_back, amount)) {
    return Outcome::Overflow;
  }
  return HasRoomForLots(request, request.lots) ? Outcome::Ok : Outcome::TooManyLots;
}

void StateMachine::PerformReversal(Request& request) {
  Totals& totals = request.program->totals;
  const Points amount = request.operation.amount();
  ReversalDetail detail{amount, 0, 0, {}};
  Receipt& original = receipts_[request.receipt];
  BeforeReturned(request.receipt);
  Returned returned = receipts_.ReturnedOf(original);
  totals.reinstated += amount;
  totals.credited += amount;
  lots_by_position_.clear();
  some_lots_.clear();
  Points skipped = returned.amount;
  Points left = amount;
  const auto [first, count] = TakingsOf(*request.program, original);
  const TakingQueue& queue = request.program->QueueOf(original.kind, original.version).takings;
  for (uint32_t i = count; left > 0; --i) {
    Taking& taking = receipts_.takings().At(queue, Takings::Behind(first, i - 1));
    const Points reversed = std::min(skipped, taking.points());
    const Points points = std::min(left, taking.points() - reversed);
    skipped -= reversed;
    left -= points;
    if (points > 0) PutBack(request, taking, points, detail);
  }
  PlaceSomeLots(*request.account);
  if (sorts_held_) SortHeldLots(request.row);
  returned.amount += amount;
  receipts_.SetReturned(original, returned);

  const bool detailed = (detail.repaid | detail.forfeited) != 0;
  if (detailed) request.flags |= kDetailed;
  Accept(request, amount - detail.repaid - detail.forfeited, detailed ? 1 : 0);
  if (detailed) WriteDetail(request, detail);
}

// What an account has of a lot.
struct StateMachine::RowsOfLot {
  uint32_t listed = kNoRow;  // what is not held
  Instant expires_at = kNever;
  Instant activates_at = 0;
  // What is held of it: places in lots_by_position_.
  size_t first_held = 0;
  size_t last_held = 0;
};

void StateMachine::PutBack(Request& request, Taking& taking, Points points,
                           ReversalDetail& detail) {
  Totals& totals = request.program->totals;
  Account& account = *request.account;
  const uint32_t purchase = PurchaseOf(request, taking);
  if (purchase != kNoRow) {
    const Points repaid = Repay(request, purchase, points);
    detail.repaid += repaid;
    points -= repaid;
  }
  if (points == 0) return;
  RowsOfLot rows = FindRows(request, taking);
  if (rows.expires_at <= request.t) {
    if (request.rules->forfeits_expired) {
      totals.expired += points;
      totals.forfeited += points;
      detail.forfeited += points;
      if (purchase != kNoRow) AddLost(purchase, points);
      return;
    }
    rows.expires_at = request.rules->EndOfGrace(request.t);
    for (size_t i = rows.first_held; i < rows.last_held; ++i) {
      lots_[lots_by_position_[i].second].expires_at = rows.expires_at;
      sorts_held_ = true;
    }
  }
  SetAvailable(totals, account, account.available + points);
  const Points left = std::min(points, std::max<Points>(account.available, 0));
  if (left == 0) return;
  if (rows.listed != kNoRow) {
    image_->BeforeLot(request.row, rows.listed);
    lots_[rows.listed].remaining += left;
    return;
  }
  const uint32_t row = lots_.Allocate();
  chain_->Allocated(row);
  lots_[row] = {taking.lot_position,
                rows.activates_at,
                rows.expires_at,
                taking.original,
                left,
                taking.receipt,
                kNoRow,
                kNoRow,
                false,
                false,
                image_->number(),
                {}};
  taking.lot = row;
  some_lots_.push_back(row);
  ++account.lot_count;
  LinkToReceipt(row);
  LowerDue(request.row, rows.expires_at);
}

// Of what was written off of the purchase's claims. Returns how much.
Points StateMachine::Repay(Request& request, uint32_t purchase, Points most) {
  Returned returned = receipts_.ReturnedOf(receipts_[purchase]);
  const Points repaid = std::min(most, returned.written_off);
  if (repaid == 0) return 0;
  BeforeReturned(purchase);
  returned.written_off -= repaid;
  receipts_.SetReturned(receipts_[purchase], returned);
  request.program->totals.written_off -= repaid;
  request.program->totals.clawed_back += repaid;
  return repaid;
}

// The live receipt of the purchase that made the lot, or kNoRow.
uint32_t StateMachine::PurchaseOf(const Request& request, Taking& taking) const {
  const auto is_it = [&](uint32_t row) {
    if (row == kNoRow) return false;
    const Receipt& receipt = receipts_[row];
    return receipt.position == taking.lot_position && receipt.account == request.row &&
           ProgramState::Earns(receipt.kind);
  };
  if (taking.receipt == kUnknownRow) {
    const auto& queues = request.program->queues;
    taking.receipt = kNoRow;
    for (size_t i = ProgramState::kFirstVersionQueue; i < queues.size(); ++i) {
      const uint32_t row = receipts_.FindAt(queues[i], taking.lot_position);
      if (is_it(row)) taking.receipt = row;
    }
  }
  const bool lives =
      is_it(taking.receipt) && IsLive(*request.program, receipts_[taking.receipt], request.t);
  return lives ? taking.receipt : kNoRow;
}

StateMachine::RowsOfLot StateMachine::FindRows(const Request& request, const Taking& taking) {
  const Position position = taking.lot_position;
  RowsOfLot rows{kNoRow, taking.expires_at, taking.activates_at, 0, 0};
  const auto found = [&](uint32_t row) {
    rows.expires_at = lots_[row].expires_at;
    rows.activates_at = lots_[row].activates_at;
    if (!lots_[row].held) rows.listed = row;
  };
  if (lots_.Is(taking.lot, position) && !lots_[taking.lot].held) {
    found(taking.lot);
    return rows;
  }
  if (lots_by_position_.empty()) {
    const auto add = [&](const LotList& list) {
      for (uint32_t row = lots_.First(list); row != kNoRow; row = lots_.Next(list, row)) {
        lots_by_position_.emplace_back(lots_[row].position, row);
      }
    };
    add(request.account->available_lots);
    for (uint32_t hold = FirstHold(request.row); hold != kNoRow; hold = holds_[hold].next) {
      add(holds_[hold].lots);
    }
    std::sort(lots_by_position_.begin(), lots_by_position_.end());
  }
  // What was added since is not in it, and is of other lots.
  const auto begin = std::lower_bound(lots_by_position_.begin(), lots_by_position_.end(),
                                      std::pair{position, uint32_t{0}});
  auto end = begin;
  while (end != lots_by_position_.end() && end->first == position) found(end++->second);
  if (rows.listed == kNoRow) {
    rows.first_held = static_cast<size_t>(begin - lots_by_position_.begin());
    rows.last_held = static_cast<size_t>(end - lots_by_position_.begin());
  }
  return rows;
}

// Lists what was made again, all at once.
void StateMachine::PlaceSomeLots(Account& account) {
  std::sort(some_lots_.begin(), some_lots_.end(),
            [&](uint32_t a, uint32_t b) { return SpentBefore(lots_[a], lots_[b]); });
  lots_.Merge(account.available_lots, some_lots_, SpentBefore);
}

// Lots that are held have got other dates.
void StateMachine::SortHeldLots(uint32_t account_row) {
  for (uint32_t hold = FirstHold(account_row); hold != kNoRow; hold = holds_[hold].next) {
    LotList& list = holds_[hold].lots;
    some_lots_.clear();
    for (uint32_t row = lots_.First(list); row != kNoRow; row = lots_.Next(list, row)) {
      some_lots_.push_back(row);
    }
    std::sort(some_lots_.begin(), some_lots_.end(),
              [&](uint32_t a, uint32_t b) { return SpentBefore(lots_[a], lots_[b]); });
    list = LotList();
    for (const uint32_t row : some_lots_) lots_.Append(list, row);
  }
  sorts_held_ = false;
}

}  // namespace tallystick::ledger
