#include "ledger/image_writer.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "ledger/chain.h"
#include "ledger/program_state.h"
#include "ledger/row_hash.h"

namespace tallystick::ledger {

bool StateMachine::BeginImage(Position position, ImageSink& sink) {
  return image_->Begin(position, sink);
}
ImageProgress StateMachine::ContinueImage(size_t budget_bytes) {
  return image_->Continue(budget_bytes);
}
void StateMachine::AbandonImage() { image_->Abandon(); }

bool StateMachine::ImageWriter::Begin(Position position, ImageSink& sink) {
  TALLYSTICK_LEDGER_CHECK(!active() && !machine_.chain_->active());
  part_ = sink.TakePart();
  if (part_.empty()) return false;
  sink_ = &sink;
  machine_.imaging_ = true;
  abandoned_ = false;
  position_ = position;
  ++number_;
  digest_ = RowHash::OfTime(machine_.log_time_);
  lots_ = receipts_ = used_ = written_ = 0;
  next_program_ = next_version_ = next_queue_ = 0;
  next_account_ = 0;
  accounts_ = machine_.accounts_.count();
  versions_.clear();
  totals_.clear();
  queues_.clear();
  arrivals_ = machine_.arrivals_;
  next_arrivals_ = next_arrival_ = 0;
  for (size_t shard = 0; shard < arrivals_.size(); ++shard) {
    digest_ += RowHash::OfArrivals(static_cast<uint16_t>(shard), arrivals_[shard]);
  }
  returns_.clear();
  returns_.reserve(kMaxReturns);
  for (const auto& program : machine_.programs_) {
    versions_.push_back(static_cast<uint16_t>(program->versions.size()));
    totals_.push_back(program->totals);
    digest_ +=
        RowHash::OfTotals(program->id, program->totals, program->versions.back().bound_before);
    for (uint32_t i = 0; i < program->queues.size(); ++i) {
      ReceiptQueue& queue = program->queues[i];
      if (Receipts::empty(queue)) continue;
      // Receipts in a queue have one length of life.
      const Receipt& front = machine_.receipts_.Front(queue);
      const Instant dead_before =
          machine_.DeadBefore(*program, front.kind, front.version, machine_.log_time_);
      queues_.push_back({program.get(), i, Receipts::FirstPlace(queue), dead_before});
      queue.held_from = 0;
    }
  }
  auto* state = RoomFor<StateRow>(ImageRow::kState);
  state->image_version = kImageVersion;
  state->programs = static_cast<uint16_t>(versions_.size());
  state->accounts = accounts_;
  state->position = position;
  state->log_time = machine_.log_time_;
  return true;
}

void StateMachine::ImageWriter::Abandon() {
  sink_ = nullptr;
  machine_.imaging_ = false;
  returns_ = {};
  arrivals_ = {};
  for (const auto& program : machine_.programs_) {
    for (ReceiptQueue& queue : program->queues) queue.held_from = kNotHeld;
  }
}

ImageProgress StateMachine::ImageWriter::Continue(size_t budget_bytes) {
  if (abandoned_) return ImageProgress::kAbandoned;
  TALLYSTICK_LEDGER_CHECK(active());
  if (sink_->crowded()) return ImageProgress::kWaiting;
  const size_t end_bytes = written_ + budget_bytes;
  ImageProgress progress = WritePrograms(end_bytes);
  if (progress == ImageProgress::kDone && !WriteArrivals()) return ImageProgress::kWaiting;
  // Accounts before receipts: in their turn they cost less than ahead of it.
  if (progress == ImageProgress::kDone) progress = WriteAccounts(end_bytes);
  if (progress == ImageProgress::kDone) progress = WriteReceipts(end_bytes);
  if (progress != ImageProgress::kDone) return progress;
  if (!WriteEnd()) return ImageProgress::kWaiting;
  Abandon();
  return ImageProgress::kDone;
}

std::byte* StateMachine::ImageWriter::Room(size_t size_bytes) {
  if (part_.size() - used_ < size_bytes) {
    if (used_ > 0) sink_->PutPart(used_);
    used_ = 0;
    part_ = sink_->TakePart();
    if (part_.empty()) return nullptr;
  }
  std::byte* room = part_.data() + used_;
  used_ += size_bytes;
  written_ += size_bytes;
  return room;
}

template <typename Row>
Row* StateMachine::ImageWriter::RoomFor(ImageRow type, size_t more_bytes) {
  static_assert(sizeof(Row) % 8 == 0);
  std::byte* room = Room(sizeof(Row) + more_bytes);
  if (room == nullptr) return nullptr;
  auto* row = new (room) Row{};
  row->type = type;
  return row;
}

// ---- programs ----

ImageProgress StateMachine::ImageWriter::WritePrograms(size_t end_bytes) {
  for (; next_program_ < versions_.size(); ++next_program_, next_version_ = 0) {
    const ProgramState& program = *machine_.programs_[next_program_];
    if (next_version_ == 0) {
      if (!WriteProgram(program, next_program_)) return ImageProgress::kWaiting;
      next_version_ = 1;
    }
    for (; next_version_ <= versions_[next_program_]; ++next_version_) {
      if (written_ >= end_bytes) return ImageProgress::kMore;
      if (!WriteVersion(program, next_version_)) return ImageProgress::kWaiting;
    }
  }
  return ImageProgress::kDone;
}

bool StateMachine::ImageWriter::WriteProgram(const ProgramState& program, size_t index) {
  auto* row = RoomFor<ProgramRow>(ImageRow::kProgram);
  if (row == nullptr) return false;
  row->program = program.id;
  row->versions = versions_[index];
  row->totals = totals_[index];
  return true;
}

bool StateMachine::ImageWriter::WriteVersion(const ProgramState& program, size_t number) {
  const ProgramVersion& version = program.versions[number - 1];
  const size_t size = version.bytes.size();
  const size_t padded = (size + 7) / 8 * 8;
  auto* row = RoomFor<VersionRow>(ImageRow::kVersion, padded);
  if (row == nullptr) return false;
  row->program = program.id;
  row->version = static_cast<uint16_t>(number);
  row->bytes = static_cast<uint32_t>(size);
  row->id = version.id;
  row->bound_before = version.bound_before;
  auto* bytes = reinterpret_cast<std::byte*>(row + 1);
  std::memcpy(bytes, version.bytes.data(), size);
  std::memset(bytes + size, 0, padded - size);
  digest_ += RowHash::OfVersion(version.id, version.bytes);
  return true;
}

bool StateMachine::ImageWriter::WriteArrivals() {
  for (; next_arrivals_ < arrivals_.size(); ++next_arrivals_, next_arrival_ = 0) {
    const Arrivals& arrivals = arrivals_[next_arrivals_];
    const auto all = static_cast<size_t>(arrivals.end() - arrivals.begin());
    if (arrivals.empty()) continue;
    do {
      const size_t count = std::min<size_t>(all - next_arrival_, kArrivalsPerRow);
      auto* row = RoomFor<ArrivalsRow>(ImageRow::kArrivals, count * sizeof(Position));
      if (row == nullptr) return false;
      row->shard = static_cast<uint16_t>(next_arrivals_);
      row->count = static_cast<uint32_t>(count);
      row->open_from = arrivals.open_from();
      row->newest = arrivals.newest();
      row->delivered = arrivals.delivered();
      if (count > 0) {
        std::memcpy(row + 1, arrivals.begin() + next_arrival_, count * sizeof(Position));
      }
      next_arrival_ += count;
    } while (next_arrival_ < all);
  }
  return true;
}

// ---- receipts ----

ImageProgress StateMachine::ImageWriter::WriteReceipts(size_t end_bytes) {
  while (!queues_.empty()) {
    if (written_ >= end_bytes) return ImageProgress::kMore;
    if (next_queue_ >= queues_.size()) next_queue_ = 0;
    QueueCursor& cursor = queues_[next_queue_];
    if (!WriteTurn(cursor)) return ImageProgress::kWaiting;
    if (cursor.program->queues[cursor.queue].held_from == kNotHeld) {
      queues_.erase(queues_.begin() + static_cast<std::ptrdiff_t>(next_queue_));
    } else {
      ++next_queue_;
    }
  }
  return ImageProgress::kDone;
}

bool StateMachine::ImageWriter::WriteTurn(QueueCursor& cursor) {
  constexpr uint32_t kAhead = 16;
  const Receipts& receipts = machine_.receipts_;
  ReceiptQueue& queue = cursor.program->queues[cursor.queue];
  for (uint32_t i = 0; i < kQueueTurn; ++i) {
    const uint32_t row = receipts.RowAt(queue, cursor.place);
    if (row == kNoRow || receipts[row].position > position_) {
      queue.held_from = kNotHeld;
      return true;
    }
    queue.held_from = receipts[row].position;
    if (const Receipt* later = receipts.Behind(queue, cursor.place, kAhead); later != nullptr) {
      machine_.accounts_.Prefetch(later->account);
    }
    const bool lives = receipts[row].key_time >= cursor.dead_before;
    if (lives && !WriteReceipt(cursor, row)) return false;
    ++cursor.place.offset;
  }
  return true;
}

bool StateMachine::ImageWriter::WriteReceipt(const QueueCursor& cursor, uint32_t row) {
  const Receipt& receipt = machine_.receipts_[row];
  Returned returned = machine_.receipts_.ReturnedOf(receipt);
  bool has_returns = (receipt.flags & kHasReturns) != 0;
  if (has_returns) {
    if (const Returned* kept = Kept(row); kept != nullptr) returned = *kept;
    has_returns = (returned.amount | returned.claimed | returned.lost | returned.written_off) != 0;
  }
  const ReceiptQueue& queue = cursor.program->queues[cursor.queue];
  const auto [first, takings] = machine_.receipts_.FindTakings(queue, receipt);
  const size_t returned_bytes = has_returns ? sizeof(ReturnedRow) : 0;
  const size_t takings_bytes = takings > 0 ? sizeof(TakingsRow) + takings * sizeof(LotRow) : 0;
  auto* out = RoomFor<ReceiptRow>(ImageRow::kReceipt, returned_bytes + takings_bytes);
  if (out == nullptr) return false;
  out->kind = receipt.kind;
  out->program = cursor.program->id;
  out->version = static_cast<uint16_t>(receipt.version + 1);
  out->flags = static_cast<uint8_t>((receipt.flags & ~(kHasReturns | kSuperseded)) |
                                    (has_returns ? kHasReturns : 0));
  out->account = receipt.account;
  out->body = receipt.body;
  out->id = receipt.id;
  out->key_time = receipt.key_time;
  out->position = receipt.position;
  out->amount = receipt.amount;
  out->points = receipt.points;
  out->available = receipt.available;
  out->pending = receipt.pending;
  if (has_returns) {
    new (out + 1)
        ReturnedRow{returned.amount, returned.claimed, returned.lost, returned.written_off};
  }
  if (takings > 0) {
    auto* head = new (reinterpret_cast<std::byte*>(out + 1) + returned_bytes)
        TakingsRow{ImageRow::kTakings, 0, static_cast<uint16_t>(takings), 0};
    auto* lot = reinterpret_cast<LotRow*>(head + 1);
    for (uint32_t i = 0; i < takings; ++i) {
      const Taking& taking =
          machine_.receipts_.takings().At(queue.takings, Takings::Behind(first, i));
      new (lot++) LotRow{taking.lot_position, taking.activates_at, taking.expires_at,
                         taking.original, taking.points()};
      digest_ += RowHash::OfTaking(receipt, i, taking);
    }
  }
  digest_ += RowHash::OfReceipt(cursor.program->id, machine_.accounts_[receipt.account].member,
                                receipt, returned);
  ++receipts_;
  return true;
}

// What was returned of a purchase, before it changes, if its receipt is still to be written.
void StateMachine::ImageWriter::SaveReturned(uint32_t row) {
  Receipt& receipt = machine_.receipts_[row];
  const Returned returned = machine_.receipts_.ReturnedOf(receipt);
  const uint16_t program = machine_.accounts_[receipt.account].program;
  const ReceiptQueue& queue = machine_.FindProgram(program)->QueueOf(receipt.kind, receipt.version);
  if (receipt.position > position_ || receipt.position < queue.held_from) return;
  if (Kept(row) != nullptr) return;
  if (returns_.size() == kMaxReturns) return GiveUp();
  machine_.receipts_.SetKept(receipt, static_cast<uint32_t>(returns_.size()));
  returns_.push_back({row, returned});
}

// What a row says may be of an earlier image.
const Returned* StateMachine::ImageWriter::Kept(uint32_t row) const {
  const uint32_t kept = machine_.receipts_.ReturnedOf(machine_.receipts_[row]).kept;
  return kept < returns_.size() && returns_[kept].receipt == row ? &returns_[kept].returned
                                                                 : nullptr;
}

// ---- accounts ----

ImageProgress StateMachine::ImageWriter::WriteAccounts(size_t end_bytes) {
  for (; next_account_ < accounts_; ++next_account_) {
    if (written_ >= end_bytes) return ImageProgress::kMore;
    FetchAccounts(next_account_);
    if (!WriteAccount(next_account_)) return ImageProgress::kWaiting;
  }
  return ImageProgress::kDone;
}

// Lots lie anywhere: the last of each list, the first, and the one behind it are fetched in steps.
void StateMachine::ImageWriter::FetchAccounts(uint32_t row) const {
  constexpr uint32_t kStep = 8;
  const Accounts& accounts = machine_.accounts_;
  const Lots& lots = machine_.lots_;
  if (row + 3 * kStep >= accounts_) return;
  const auto lists = [&](uint32_t at) {
    return std::array{accounts[at].available_lots.last, accounts[at].pending_lots.last};
  };
  for (const uint32_t last : lists(row + 3 * kStep)) lots.Prefetch(last);
  for (const uint32_t last : lists(row + 2 * kStep)) {
    if (last != kNoRow) lots.Prefetch(lots.Behind(last));
  }
  for (const uint32_t last : lists(row + kStep)) {
    if (last == kNoRow) continue;
    const uint32_t first = lots.Behind(last);
    if (first != kNoRow) lots.Prefetch(lots.Behind(first));
  }
}

void StateMachine::ImageWriter::Put(const Account& account, uint32_t number, AccountRow& row) {
  row.type = ImageRow::kAccount;
  row.program = account.program;
  row.account = number;
  row.lots = account.lot_count;
  row.member = account.member;
  row.available = account.available;
  row.pending = account.pending;
  row.lifetime_earned = account.lifetime_earned;
  row.last_position = account.last_position;
  digest_ += RowHash::OfAccount(account);
}

LotRow StateMachine::ImageWriter::Put(const Account& account, const Lot& lot) {
  ++lots_;
  digest_ += RowHash::OfLot(account, lot);
  return RowOf(lot);
}

LotRow StateMachine::ImageWriter::RowOf(const Lot& lot) {
  return {lot.position, lot.activates_at, lot.expires_at, lot.original, lot.remaining};
}

StateMachine::ImageWriter::ExtraSize StateMachine::ImageWriter::SizeOfExtra(const Account& account,
                                                                            uint32_t number) const {
  const AccountExtra* extra = machine_.holds_.ExtraOf(account, number);
  ExtraSize size;
  if (extra == nullptr) return size;
  const Lots& lots = machine_.lots_;
  for (uint32_t hold = extra->first_hold; hold != kNoRow; hold = machine_.holds_[hold].next) {
    const LotList& list = machine_.holds_[hold].lots;
    for (uint32_t row = lots.First(list); row != kNoRow; row = lots.Next(list, row)) {
      ++size.held_lots;
    }
  }
  size.bytes = sizeof(StandingRow) + extra->hold_count * (sizeof(HoldRow) + sizeof(TransitRow)) +
               size.held_lots * sizeof(LotRow);
  return size;
}

std::byte* StateMachine::ImageWriter::PutExtra(const Account& account, uint32_t number,
                                               std::byte* next) {
  const AccountExtra* extra = machine_.holds_.ExtraOf(account, number);
  if (extra == nullptr) return next;
  if (extra->status != AccountStatus::kActive) {
    new (next) StandingRow{ImageRow::kStanding, extra->status, 0, number};
    next += sizeof(StandingRow);
    digest_ += RowHash::OfStatus(account, extra->status);
  }
  const Lots& lots = machine_.lots_;
  for (uint32_t at = extra->first_hold; at != kNoRow; at = machine_.holds_[at].next) {
    const Hold& hold = machine_.holds_[at];
    auto* head =
        new (next) HoldRow{ImageRow::kHold, 0, 0, number, hold.position, hold.times_out_at};
    digest_ += RowHash::OfHold(account, hold.position, hold.times_out_at, hold.points);
    auto* out = reinterpret_cast<LotRow*>(head + 1);
    for (uint32_t row = lots.First(hold.lots); row != kNoRow; row = lots.Next(hold.lots, row)) {
      new (out++) LotRow{RowOf(lots[row])};
      ++head->count;
      ++lots_;
      digest_ += RowHash::OfHeld(hold.position, lots[row]);
    }
    next = reinterpret_cast<std::byte*>(out);
    if (hold.transit == kNoRow) continue;
    const Transit& transit = machine_.transits_[hold.transit];
    new (next) TransitRow{ImageRow::kTransit,
                          0,
                          static_cast<uint16_t>(transit.version + 1),
                          number,
                          transit.id,
                          transit.to,
                          transit.base,
                          transit.sent_at,
                          transit.user_data};
    next += sizeof(TransitRow);
    digest_ += RowHash::OfTransit(hold.position, transit);
  }
  return next;
}

bool StateMachine::ImageWriter::WriteAccount(uint32_t number) {
  const Account& account = machine_.accounts_[number];
  const ExtraSize extra = SizeOfExtra(account, number);
  const size_t most = sizeof(AccountRow) + 2 * sizeof(LotsRow) +
                      (account.lot_count - extra.held_lots) * sizeof(LotRow) + extra.bytes;
  std::byte* const room = Room(most);
  if (room == nullptr) return false;
  std::byte* next = room;
  if (account.image != number_) {
    Put(account, number, *new (next) AccountRow{});
    next = PutExtra(account, number, next + sizeof(AccountRow));
  }
  const Lots& lots = machine_.lots_;
  for (const bool pending : {false, true}) {
    const LotList& list = pending ? account.pending_lots : account.available_lots;
    auto* head = new (next) LotsRow{ImageRow::kLots, static_cast<uint8_t>(pending), 0, number};
    auto* out = reinterpret_cast<LotRow*>(head + 1);
    for (uint32_t row = lots.First(list); row != kNoRow; row = lots.Next(list, row)) {
      if (Passes(lots[row])) continue;
      new (out++) LotRow{Put(account, lots[row])};
      ++head->count;
    }
    if (head->count > 0) next = reinterpret_cast<std::byte*>(out);
  }
  const size_t unused = most - static_cast<size_t>(next - room);
  used_ -= unused;
  written_ -= unused;
  return true;
}

void StateMachine::ImageWriter::GiveUp() {
  abandoned_ = true;
  Abandon();
}

void StateMachine::ImageWriter::SaveAccount(uint32_t row) {
  Account& account = machine_.accounts_[row];
  if (row < next_account_ || row >= accounts_ || account.image == number_) return;
  const size_t most = SizeOfExtra(account, row).bytes;
  auto* out = RoomFor<AccountRow>(ImageRow::kAccount, most);
  if (out == nullptr) return GiveUp();
  Put(account, row, *out);
  auto* const extra = reinterpret_cast<std::byte*>(out + 1);
  const size_t unused = most - static_cast<size_t>(PutExtra(account, row, extra) - extra);
  used_ -= unused;
  written_ -= unused;
  account.image = number_;
}

void StateMachine::ImageWriter::SaveLot(uint32_t account_row, uint32_t row) {
  Lot& lot = machine_.lots_[row];
  if (account_row < next_account_ || Passes(lot)) return;
  auto* out = RoomFor<LotsRow>(ImageRow::kLots, sizeof(LotRow));
  if (out == nullptr) return GiveUp();
  out->pending = lot.pending ? 1 : 0;
  out->count = 1;
  out->account = account_row;
  new (out + 1) LotRow{Put(machine_.accounts_[account_row], lot)};
  lot.image = number_;
}

bool StateMachine::ImageWriter::WriteEnd() {
  auto* end = RoomFor<EndRow>(ImageRow::kEnd);
  if (end == nullptr) return false;
  end->digest = digest_;
  end->lots = lots_;
  end->receipts = receipts_;
  sink_->PutPart(used_);
  return true;
}

}  // namespace tallystick::ledger
