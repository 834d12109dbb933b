// Transfers: points leave their account, arrive in another, perhaps of another shard, and are
// settled where they left.

#include <algorithm>
#include <cstring>

#include "ledger/chain.h"
#include "ledger/image_writer.h"
#include "ledger/program_state.h"

namespace tallystick::ledger {

Outcome StateMachine::CheckTransfer(Request& request) const {
  const CompiledProgram& rules = *request.rules;
  const int64_t amount = request.operation.amount();
  if (rules.transfer_dates == TransferDates::forbidden) return Outcome::NotPermitted;
  if (amount < rules.transfer_minimum) return Outcome::BelowMinimum;
  if (amount > rules.transfer_maximum) return Outcome::OverLimit;
  if (amount > request.settled.available) return Outcome::InsufficientPoints;
  request.lots = 1;  // of the last lot, which may be divided
  return CheckPinning(request);
}

void StateMachine::PerformTransfer(Request& request) {
  const Operation& op = request.operation;
  const uint32_t row = Pin(request, kNever);
  holds_[row].transit = transits_.Append({op.id(),
                                          op.related(),
                                          std::min(op.occurred_at(), request.t),
                                          request.t,
                                          op.user_data(),
                                          request.row,
                                          row,
                                          kNoRow,
                                          kNoRow,
                                          request.version,
                                          {}});
  request.program->totals.sent += op.amount();
  Accept(request, -op.amount(), 0);
  LinkHold(request, row);
  request.result.mutate_flags(request.result.flags() | kInTransit);
}

std::vector<StateMachine::OpenTransfer> StateMachine::OpenTransfers(Position after) const {
  std::vector<OpenTransfer> transfers;
  for (uint32_t row = transits_.Last(); row != kNoRow; row = transits_[row].previous) {
    const Transit& transit = transits_[row];
    const Position position = holds_[transit.hold].position;
    if (position <= after) break;
    const Account& account = accounts_[transit.account];
    transfers.push_back({position, account.program, account.member, transit.to, transit.hold});
  }
  std::reverse(transfers.begin(), transfers.end());
  return transfers;
}

uint32_t StateMachine::FindTransit(const OpenTransfer& transfer) const {
  const auto is_it = [&](uint32_t row) {
    return holds_.Is(row, transfer.position) && holds_[row].transit != kNoRow;
  };
  if (is_it(transfer.row)) return transfer.row;
  const uint32_t account = accounts_.Find(transfer.program, transfer.from);
  if (account == kNoRow) return kNoRow;
  uint32_t row = FirstHold(account);
  while (row != kNoRow && !is_it(row)) row = holds_[row].next;
  return row;
}

void StateMachine::FetchSender(const OpenTransfer& transfer, int step) const {
  const uint32_t row = transfer.row;
  if (step == 0) {
    holds_.Prefetch(row);
  } else if (holds_.Is(row, transfer.position) && holds_[row].transit != kNoRow) {
    const Transit& transit = transits_[holds_[row].transit];
    if (step == 1) {
      accounts_.Prefetch(transit.account);
      holds_.Approach(transit.account);
      lots_.Prefetch(holds_[row].lots.last);
    } else {
      holds_.PrefetchExtra(holds_.Approach(transit.account), transit.account);
    }
  }
}

void StateMachine::FetchReceiver(const Operation& transfer_in, int step) const {
  const uint64_t hash = accounts_.Hash(transfer_in.program(), transfer_in.member());
  const HashIndex::Place* place = accounts_.Approach(hash);
  if (step == 0) return;
  const uint32_t row = HashIndex::Guess(place, hash);
  if (row == kNoRow) return;
  if (step == 1) return accounts_.Prefetch(row);
  lots_.Prefetch(accounts_[row].available_lots.last);
}

void StateMachine::WriteParcel(const OpenTransfer& transfer, uint16_t shard, Position open_from,
                               std::vector<Record>& parcel) const {
  const uint32_t row = FindTransit(transfer);
  TALLYSTICK_LEDGER_CHECK(row != kNoRow);
  const Hold& hold = holds_[row];
  const Transit& transit = transits_[hold.transit];
  const size_t first = parcel.size();
  parcel.resize(first + 2);
  const auto put = [&](size_t slot, const auto& detail) {
    static_assert(sizeof(detail) == kSlotBytes);
    std::memcpy(static_cast<void*>(&parcel[slot]), &detail, sizeof(detail));
  };
  put(first + 1, TransferDetail{transfer.position, open_from, shard, {}});
  const CompiledProgram& rules = FindProgram(transfer.program)->versions[transit.version].rules;
  if (rules.transfer_dates == TransferDates::fresh) {
    const auto dates = rules.LotDates(transit.base, /*pending=*/false);
    parcel.emplace_back();
    put(first + 2, TransferLot{dates.activates_at, dates.expires_at, hold.points, {}});
  } else {
    TransferLot lot{};
    const auto put_lot = [&] {
      if (lot.points == 0) return;
      parcel.emplace_back();
      put(parcel.size() - 1, lot);
    };
    for (uint32_t at = lots_.First(hold.lots); at != kNoRow; at = lots_.Next(hold.lots, at)) {
      const Lot& from = lots_[at];
      // Lots that nothing can tell apart arrive as one.
      if (lot.points > 0 && lot.activates_at == from.activates_at &&
          lot.expires_at == from.expires_at) {
        lot.points += from.remaining;
        continue;
      }
      put_lot();
      lot = {from.activates_at, from.expires_at, from.remaining, {}};
    }
    put_lot();
  }
  const auto details = static_cast<uint16_t>(parcel.size() - first - 1);
  parcel[first].operation =
      Operation(transit.id, transit.to, transfer.from, hold.points, transit.sent_at, 0,
                transit.user_data, transfer.program, 0, Kind::TransferIn, 0, 0);
  parcel[first].result = Result();
  parcel[first].result.mutate_details(details);
}

namespace {

bool IsTransferLot(const TransferLot& lot) {
  constexpr uint8_t kZeros[sizeof(lot.reserved)] = {};
  return lot.points > 0 && lot.activates_at < kEndOfTime && lot.expires_at > 0 &&
         (lot.expires_at < 2 * kEndOfTime || lot.expires_at == kNever) &&
         lot.activates_at <= lot.expires_at &&
         std::memcmp(lot.reserved, kZeros, sizeof(kZeros)) == 0;
}

// What a log says, perhaps a hostile one: as WriteParcel writes it.
bool IsParcel(absl::Span<const Record> parcel) {
  const Operation& op = parcel[0].operation;
  if (parcel.size() < 3 || parcel.size() - 2 > kMaxLotsPerAccount ||
      op.kind() != Kind::TransferIn || op.amount() <= 0 || IsZero(op.id()) || IsZero(op.member()) ||
      op.member() == op.related() || op.occurred_at() <= 0 || op.occurred_at() >= kEndOfTime) {
    return false;
  }
  if ((static_cast<uint64_t>(op.expires_at()) | op.category() | op.flags() | op.reserved()) != 0) {
    return false;
  }
  const auto key = DetailIn<TransferDetail>(parcel[1]);
  constexpr uint8_t kZeros[sizeof(key.reserved)] = {};
  if (key.position == 0 || key.open_from > key.position ||
      std::memcmp(key.reserved, kZeros, sizeof(kZeros)) != 0) {
    return false;
  }
  Totals::Sum sum = 0;
  for (const Record& slot : parcel.subspan(2)) {
    const auto lot = DetailIn<TransferLot>(slot);
    if (!IsTransferLot(lot)) return false;
    sum += lot.points;
  }
  return sum == op.amount();
}

}  // namespace

Outcome StateMachine::CheckParcel(Request& request, size_t lots) {
  if (request.row == kNoRow) return Outcome::UnknownMember;
  request.account = &accounts_[request.row];
  const AccountExtra* extra = holds_.ExtraOf(*request.account, request.row);
  if (extra != nullptr && extra->status == AccountStatus::kClosed) return Outcome::Closed;
  if (AddOverflows(request.program->totals.credited, request.operation.amount())) {
    return Outcome::Overflow;
  }
  SettleAside(*request.account, request.row, request.t, &request.settled);
  request.lots = static_cast<uint32_t>(lots);
  if (!HasRoomForLots(request, request.lots)) return Outcome::TooManyLots;
  return lots_.room() < lots ? Outcome::Overloaded : Outcome::Ok;
}

bool StateMachine::Receive(absl::Span<const Record> parcel, Result& result, RecordSink& sink) {
  result = Result();
  if (!IsParcel(parcel)) {
    result.mutate_outcome(Outcome::BadRequest);
    return true;
  }
  const Operation& op = parcel[0].operation;
  Request request{op, result, sink, LogTimeOf(op)};
  const auto refuse = [&](Outcome outcome) {
    Refuse(request, outcome);
    return true;
  };
  const auto key = DetailIn<TransferDetail>(parcel[1]);
  Arrivals& arrivals = ArrivalsOf(key.shard);
  // No shard sends what it has settled.
  if (key.position < arrivals.open_from()) return refuse(Outcome::BadRequest);
  if (arrivals.Has(key.position)) {
    result.mutate_flags(kReplayed);
    return true;
  }
  if (!arrivals.HasRoom(key.open_from)) return refuse(Outcome::Overloaded);
  request.program = FindProgram(op.program());
  if (request.program == nullptr) return refuse(Outcome::UnknownProgram);
  request.row = AccountOf(op);
  const size_t lots = parcel.size() - 2;
  if (const Outcome outcome = CheckParcel(request, lots); outcome != Outcome::Ok) {
    return refuse(outcome);
  }
  // What is due before it, the record, its details, and their lots, which may expire at once.
  const bool due = request.account->next_due <= request.t;
  const size_t settling = due ? 2 * size_t{request.account->lot_count} : 0;
  if (sink.room() < settling + 2 + 2 * lots) return false;
  BeforeAccount(request.row);
  if (due) Settle(request.row, request.t, sink);
  if (JoinsLots(request.account->lot_count, request.lots)) {
    JoinLots(*request.program, request.row, request.t);
  }
  arrivals.Settle(std::max(key.open_from, arrivals.open_from()));
  arrivals.Add(key.position);
  Unpack(request, parcel);
  return true;
}

// Makes lots of a parcel, available or, where log time runs behind the sender's, pending.
void StateMachine::Unpack(Request& request, absl::Span<const Record> parcel) {
  Out& out = request.out;
  Account& account = *request.account;
  Totals& totals = request.program->totals;
  const Points points = request.operation.amount();
  totals.received += points;
  totals.credited += points;
  some_lots_.clear();
  expired_lots_.clear();
  const Position first = out.next_position() + 2;
  for (size_t i = 0; i < parcel.size() - 2; ++i) {
    const auto from = DetailIn<TransferLot>(parcel[2 + i]);
    const bool past = from.expires_at <= request.t;
    Lot lot = {first + i,
               from.activates_at,
               from.expires_at,
               from.points,
               from.points,
               kNoRow,
               kNoRow,
               kNoRow,
               from.activates_at > request.t,
               false,
               0,
               {}};
    if (lot.pending) {
      SetPending(totals, account, account.pending + lot.remaining);
    } else {
      SetAvailable(totals, account, account.available + lot.remaining);
      lot.remaining = std::min(lot.remaining, std::max<Points>(account.available, 0));
      if (lot.remaining == 0) continue;
    }
    const uint32_t row = lots_.Allocate();
    lots_[row] = lot;
    ++account.lot_count;
    if (past) expired_lots_.push_back(row);
    if (lot.pending) {
      lots_.Link(account, row);
    } else {
      some_lots_.push_back(row);
    }
    LowerDue(request.row, lot.pending ? PendingEventAt(lot) : lot.expires_at);
  }
  if (some_lots_.size() == 1) {
    lots_.Link(account, some_lots_.front());
  } else {
    PlaceSomeLots(account);
  }
  WriteRecord(request, points, static_cast<uint16_t>(parcel.size() - 1));
  std::memcpy(static_cast<void*>(out.slots + out.used), &parcel[1],
              (parcel.size() - 1) * kSlotBytes);
  out.used += parcel.size() - 1;
  for (const uint32_t row : expired_lots_) {
    ExpireLot(*request.program, request.row, account.available_lots, row, request.t, out);
  }
}

bool StateMachine::Finish(const OpenTransfer& transfer, Outcome outcome, Result& result,
                          RecordSink& sink, Arrival arrival) {
  result = Result();
  const uint32_t row = FindTransit(transfer);
  if (row == kNoRow) {
    result.mutate_outcome(Outcome::UnknownOriginal);
    return true;
  }
  const Hold& hold = holds_[row];
  const Transit& transit = transits_[hold.transit];
  const bool back = outcome != Outcome::Ok;
  const uint32_t account_row = transit.account;
  const Points points = hold.points;
  const Operation op(transit.id, transfer.from, transit.to, points, transit.sent_at,
                     back ? 0 : static_cast<int64_t>(arrival.position), transfer.position,
                     transfer.program, back ? static_cast<uint16_t>(outcome) : arrival.shard,
                     back ? Kind::TransferBack : Kind::TransferDone, 0, 0);
  Request request{op, result, sink, LogTimeOf(op)};
  request.program = FindProgram(transfer.program);
  request.row = account_row;
  request.account = &accounts_[account_row];
  if (sink.room() < 1 + 2 * size_t{request.account->lot_count}) return false;
  BeforeAccount(account_row);
  if (request.account->next_due <= request.t) Settle(account_row, request.t, sink);
  if (back) {
    // The id is free again: what became of the transfer says so.
    if (const uint32_t receipt = ReceiptOf(hold); receipt != kNoRow) {
      BeforeReturned(receipt);
      Returned returned = receipts_.ReturnedOf(receipts_[receipt]);
      returned.amount = points;
      receipts_.SetReturned(receipts_[receipt], returned);
    }
    GiveBack(*request.program, account_row, row, request.t);
  } else {
    DropLots(account_row, holds_[row].lots);
    if (arrival.position != 0) ArrivalsOf(arrival.shard).Delivered(arrival.position);
  }
  WriteRecord(request, back ? points : 0, 0);
  EndHold(*request.program, account_row, row, request.t, sink);
  return true;
}

// Of points that are another's now.
void StateMachine::DropLots(uint32_t account_row, LotList& list) {
  while (!Lots::empty(list)) {
    const uint32_t row = lots_.First(list);
    lots_.Unlink(list, row);
    --accounts_[account_row].lot_count;
    FreeLot(row);
  }
}

Arrivals& StateMachine::ArrivalsOf(uint16_t shard) {
  if (shard >= arrivals_.size()) arrivals_.resize(size_t{shard} + 1);
  return arrivals_[shard];
}

Position StateMachine::NewestDelivery(uint16_t shard) const {
  return shard < arrivals_.size() ? arrivals_[shard].delivered() : 0;
}

Position StateMachine::NewestArrival(uint16_t shard) const {
  return shard < arrivals_.size() ? arrivals_[shard].newest() : 0;
}

}  // namespace tallystick::ledger
