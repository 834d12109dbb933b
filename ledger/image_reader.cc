// Everything that an image says is checked before it is used: that a checksum is right does not
// make it true.

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ledger/image_reader_state.h"
#include "ledger/row_hash.h"

namespace tallystick::ledger {

size_t ImageReader::State::SizeOf(absl::Span<const std::byte> bytes) const {
  if (bytes.size() < 8) return 0;
  size_t size = 0;
  const auto whole = [&](size_t row_size) { return bytes.size() >= row_size ? row_size : 0; };
  switch (static_cast<ImageRow>(bytes[0])) {
    case ImageRow::kState:
      return whole(sizeof(StateRow));
    case ImageRow::kProgram:
      return whole(ProgramRowBytes());
    case ImageRow::kEnd:
      return whole(sizeof(EndRow));
    case ImageRow::kVersion:
      if (whole(sizeof(VersionRow)) == 0) return 0;
      size = (size_t{As<VersionRow>(bytes.data()).bytes} + 7) / 8 * 8;
      return whole(sizeof(VersionRow) + size);
    case ImageRow::kReceipt:
      if (whole(sizeof(ReceiptRow)) == 0) return 0;
      size = version_ == 1 ? kReturnedRowBytesOfV1 : sizeof(ReturnedRow);
      if ((As<ReceiptRow>(bytes.data()).flags & kHasReturns) == 0) size = 0;
      return whole(sizeof(ReceiptRow) + size);
    case ImageRow::kAccount:
      return whole(sizeof(AccountRow));
    case ImageRow::kLots:
      if (whole(sizeof(LotsRow)) == 0) return 0;
      return whole(sizeof(LotsRow) + As<LotsRow>(bytes.data()).count * sizeof(LotRow));
    case ImageRow::kTakings:
      return whole(sizeof(TakingsRow) + As<TakingsRow>(bytes.data()).count * sizeof(LotRow));
    case ImageRow::kStanding:
      return whole(sizeof(StandingRow));
    case ImageRow::kHold:
      if (whole(sizeof(HoldRow)) == 0) return 0;
      return whole(sizeof(HoldRow) + As<HoldRow>(bytes.data()).count * sizeof(LotRow));
    case ImageRow::kTransit:
      return whole(sizeof(TransitRow));
    case ImageRow::kArrivals:
      if (whole(sizeof(ArrivalsRow)) == 0) return 0;
      return whole(sizeof(ArrivalsRow) +
                   size_t{As<ArrivalsRow>(bytes.data()).count} * sizeof(Position));
  }
  return 0;
}

// Rows are looked at twice: first it is found out where they will go, so that the cache has the
// places when they go there.
absl::Status ImageReader::State::Read(absl::Span<const std::byte> part) {
  if (reinterpret_cast<uintptr_t>(part.data()) % 8 != 0) return Wrong("a part is not aligned");
  rows_.clear();
  if (!begun_ && part.size() >= sizeof(StateRow)) {
    version_ = As<StateRow>(part.data()).image_version;
  }
  while (!part.empty()) {
    const size_t size = SizeOf(part);
    if (size == 0) return Wrong("a row is not whole");
    Pending pending{part.data(), 0};
    const auto type = static_cast<ImageRow>(part[0]);
    if (type == ImageRow::kAccount) {
      const auto& row = As<AccountRow>(part.data());
      pending.hash = machine_.accounts_.Hash(row.program, row.member);
    } else if (type == ImageRow::kReceipt) {
      const auto& row = As<ReceiptRow>(part.data());
      pending.hash = machine_.receipts_.Hash(row.account, row.id);
    }
    rows_.push_back(pending);
    part.remove_prefix(size);
  }
  const auto fetch = [&](const Pending& pending) {
    const auto type = static_cast<ImageRow>(*pending.row);
    if (type == ImageRow::kAccount) machine_.accounts_.Approach(pending.hash);
    if (type == ImageRow::kReceipt) machine_.receipts_.Approach(pending.hash);
    if (type == ImageRow::kLots) {
      const uint32_t account = As<LotsRow>(pending.row).account;
      if (account < accounts_) machine_.accounts_.Prefetch(account);
    }
  };
  for (size_t i = 0; i < std::min(kAhead, rows_.size()); ++i) fetch(rows_[i]);
  for (size_t i = 0; i < rows_.size(); ++i) {
    if (i + kAhead < rows_.size()) fetch(rows_[i + kAhead]);
    const Pending& pending = rows_[i];
    const auto type = static_cast<ImageRow>(*pending.row);
    if (ended_) return Wrong("something follows its end");
    if (begun_ == (type == ImageRow::kState)) return Wrong("it does not begin with its state");
    if ((last_hold_ != kNoRow) != (type == ImageRow::kTransit)) {
      return Wrong("a transfer on its way is not whole");
    }
    absl::Status status;
    switch (type) {
      case ImageRow::kState:
        status = ReadState(As<StateRow>(pending.row));
        break;
      case ImageRow::kProgram:
        status = ReadProgram(As<ProgramRow>(pending.row));
        break;
      case ImageRow::kVersion:
        status = ReadVersion(As<VersionRow>(pending.row));
        break;
      case ImageRow::kReceipt:
        status = ReadReceipt(pending);
        break;
      case ImageRow::kAccount:
        status = ReadAccount(pending);
        break;
      case ImageRow::kLots:
        status = ReadLots(As<LotsRow>(pending.row));
        break;
      case ImageRow::kTakings:
        status = ReadTakings(As<TakingsRow>(pending.row));
        break;
      case ImageRow::kStanding:
        status = ReadStanding(As<StandingRow>(pending.row));
        break;
      case ImageRow::kHold:
        status = ReadHold(As<HoldRow>(pending.row));
        break;
      case ImageRow::kTransit:
        status = ReadTransit(As<TransitRow>(pending.row));
        break;
      case ImageRow::kArrivals:
        status = ReadArrivals(As<ArrivalsRow>(pending.row));
        break;
      case ImageRow::kEnd:
        end_ = As<EndRow>(pending.row);
        ended_ = true;
        break;
    }
    if (!status.ok()) return status;
    if (type != ImageRow::kReceipt) last_receipt_ = kNoRow;
  }
  return absl::OkStatus();
}

absl::Status ImageReader::State::ReadState(const StateRow& row) {
  if (row.image_version > kImageVersion) {
    return absl::FailedPreconditionError(absl::StrCat("the image is of version ", row.image_version,
                                                      ", this program knows ", kImageVersion,
                                                      ": use the newer program"));
  }
  if (row.image_version == 0 || row.programs > kMaxPrograms || row.log_time < 0 ||
      row.accounts > machine_.accounts_.limit()) {
    return Wrong("its state is none");
  }
  begun_ = true;
  position_ = row.position;
  programs_ = row.programs;
  accounts_ = row.accounts;
  machine_.log_time_ = row.log_time;
  // No block is looked back to: what is due is found from log time on, by whatever clock.
  machine_.block_ = {0, true};
  machine_.accounts_.Allocate(row.accounts);
  missing_.resize(row.accounts);
  digest_ = RowHash::OfTime(row.log_time);
  return absl::OkStatus();
}

absl::Status ImageReader::State::ReadProgram(const ProgramRow& row) {
  if (row.program == 0 || Find(row.program) != nullptr || machine_.programs_.size() == programs_ ||
      row.versions == 0 || row.versions > kMaxProgramVersions) {
    return Wrong(absl::StrCat("program ", row.program));
  }
  auto program = std::make_unique<ProgramState>();
  program->id = row.program;
  const size_t totals_bytes = ProgramRowBytes() - offsetof(ProgramRow, totals);
  std::memcpy(&program->totals, &row.totals, totals_bytes);
  machine_.programs_.push_back(std::move(program));
  machine_.program_slots_[row.program] = static_cast<uint16_t>(machine_.programs_.size());
  versions_.push_back(row.versions);
  return absl::OkStatus();
}

absl::Status ImageReader::State::ReadVersion(const VersionRow& row) {
  ProgramState* program = Find(row.program);
  const auto* bytes = reinterpret_cast<const uint8_t*>(&row + 1);
  flatbuffers::Verifier verifier(bytes, row.bytes);
  if (program == nullptr || row.version != program->versions.size() + 1 || row.bytes == 0 ||
      row.bytes > kMaxProgramBytes || !verifier.VerifyBuffer<Program>()) {
    return Wrong(absl::StrCat("version ", row.version, " of program ", row.program));
  }
  const Program& source = *flatbuffers::GetRoot<Program>(bytes);
  if (source.id() != row.program || CheckProgram(source).has_value()) {
    return Wrong(absl::StrCat("version ", row.version, " of program ", row.program,
                              " is not one that this engine knows"));
  }
  program->versions.push_back(
      {row.id, {bytes, bytes + row.bytes}, CompiledProgram(source), row.bound_before});
  program->newest = static_cast<uint16_t>(row.version - 1);
  program->queues.emplace_back();
  digest_ += RowHash::OfVersion(row.id, program->versions.back().bytes);
  return absl::OkStatus();
}

absl::Status ImageReader::State::ReadReceipt(const Pending& pending) {
  const auto& row = As<ReceiptRow>(pending.row);
  ProgramState* program = Find(row.program);
  if (program == nullptr || row.version == 0 || row.version > program->versions.size() ||
      row.account >= accounts_ || row.position == 0 || row.position > position_ ||
      (row.flags & kSuperseded) != 0 || machine_.receipts_.full()) {
    return Wrong(absl::StrCat("the receipt of position ", row.position));
  }
  ReceiptQueue& queue = program->QueueOf(row.kind, static_cast<uint16_t>(row.version - 1));
  const uint32_t at = machine_.receipts_.Append(queue, pending.hash, row.position);
  last_receipt_ = at;
  last_queue_ = &queue;
  Receipt& receipt = machine_.receipts_[at];
  receipt = {row.id,
             row.key_time,
             row.position,
             row.amount,
             row.points,
             row.available,
             row.pending,
             row.account,
             kNoRow,
             row.body,
             static_cast<uint16_t>(row.version - 1),
             row.kind,
             static_cast<uint8_t>(row.flags & ~kHasReturns)};
  if ((row.flags & kHasReturns) != 0) {
    const auto& returned = As<ReturnedRow>(pending.row + sizeof(ReceiptRow));
    const Points written_off = version_ == 1 ? 0 : returned.written_off;
    if ((returned.amount | returned.claimed | returned.lost | written_off) < 0) {
      return Wrong(absl::StrCat("what became of the transaction of position ", row.position));
    }
    machine_.receipts_.SetReturned(receipt, {returned.amount, returned.claimed, returned.lost,
                                             written_off, /*link=*/kNoRow, /*kept=*/0});
  }
  return absl::OkStatus();
}

absl::Status ImageReader::State::ReadAccount(const Pending& pending) {
  const auto& row = As<AccountRow>(pending.row);
  if (row.account >= accounts_ || IsZero(row.member) || row.lots > kMaxLotsPerAccount ||
      !IsZero(machine_.accounts_[row.account].member)) {
    return Wrong(absl::StrCat("account ", row.account));
  }
  Account& account = machine_.accounts_[row.account];
  account.member = row.member;
  account.program = row.program;
  account.available = row.available;
  account.pending = row.pending;
  account.lifetime_earned = row.lifetime_earned;
  account.last_position = row.last_position;
  account.next_due = kNever;
  account.available_lots = account.pending_lots = LotList();
  machine_.accounts_.Place(pending.hash, row.account);
  digest_ += RowHash::OfAccount(account);
  Missing& missing = missing_[row.account];
  if (row.pending < 0 || row.available == std::numeric_limits<Points>::min() ||
      AddOverflows(std::max<Points>(row.available, 0), row.pending)) {
    return Wrong(absl::StrCat("the balance of account ", row.account));
  }
  missing = {std::max<Points>(row.available, 0), row.pending, row.lots, row.lots > kFewLots};
  ++accounts_read_;
  return absl::OkStatus();
}

absl::Status ImageReader::State::ReadLots(const LotsRow& row) {
  if (AccountAt(row.account) == nullptr || row.count > missing_[row.account].lots ||
      row.pending > 1) {
    return Wrong(absl::StrCat("the lots of account ", row.account));
  }
  Account& account = *AccountAt(row.account);
  Missing& missing = missing_[row.account];
  const auto* lots = reinterpret_cast<const LotRow*>(&row + 1);
  const bool pending = row.pending != 0;
  for (size_t i = 0; i < row.count; ++i) {
    const LotRow& from = lots[i];
    Points& points = pending ? missing.pending : missing.available;
    if (machine_.lots_.full() || !IsLot(from) || from.remaining > points) {
      return Wrong(absl::StrCat("a lot of account ", row.account));
    }
    points -= from.remaining;
    const uint32_t at = MakeLot(from, pending, /*held=*/false);
    const Lot& lot = machine_.lots_[at];
    digest_ += RowHash::OfLot(account, lot);
    const Instant due = pending ? PendingEventAt(lot) : lot.expires_at;
    account.next_due = std::min(account.next_due, due);
    if (missing.many) {
      many_lots_.emplace_back(row.account, at);
      continue;
    }
    machine_.lots_.Link(account, at);
    ++account.lot_count;
  }
  missing.lots -= row.count;
  lots_read_ += row.count;
  return absl::OkStatus();
}

bool ImageReader::State::IsLot(const LotRow& row) const {
  return row.position != 0 && row.position <= position_ && row.remaining > 0 &&
         row.remaining <= row.original;
}

uint32_t ImageReader::State::MakeLot(const LotRow& row, bool pending, bool held) {
  const uint32_t at = machine_.lots_.Allocate();
  machine_.lots_[at] = {row.position,
                        row.activates_at,
                        row.expires_at,
                        row.original,
                        row.remaining,
                        kNoRow,
                        kNoRow,
                        kNoRow,
                        pending,
                        held,
                        0,
                        {}};
  return at;
}

Account* ImageReader::State::AccountAt(uint32_t number) {
  const bool there = number < accounts_ && !IsZero(machine_.accounts_[number].member);
  return there ? &machine_.accounts_[number] : nullptr;
}

absl::Status ImageReader::State::ReadTakings(const TakingsRow& row) {
  Receipts& receipts = machine_.receipts_;
  if (last_receipt_ == kNoRow || !Receipts::Takes(receipts[last_receipt_].kind) ||
      row.count > kMaxLotsPerAccount || receipts.takings().room() < row.count || row.count == 0) {
    return Wrong("what a redemption took is not behind its receipt");
  }
  Receipt& receipt = receipts[last_receipt_];
  const auto* lots = reinterpret_cast<const LotRow*>(&row + 1);
  Points points = 0;
  for (size_t i = 0; i < row.count; ++i) {
    if (!IsLot(lots[i]) || AddOverflows(points, lots[i].remaining)) {
      return Wrong(absl::StrCat("what the redemption of position ", receipt.position, " took"));
    }
    points += lots[i].remaining;
  }
  if (receipts.ReturnedOf(receipt).amount > points) {
    return Wrong(absl::StrCat("what was reversed of position ", receipt.position));
  }
  TakingQueue& queue = last_queue_->takings;
  for (size_t i = 0; i < row.count; ++i) {
    const LotRow& lot = lots[i];
    const uint32_t number = queue.end;
    Taking& taking = receipts.takings().Append(queue, i > 0);
    taking = {lot.position, lot.activates_at, lot.expires_at, lot.original, 0, kNoRow, kUnknownRow};
    taking.SetPoints(lot.remaining);
    if (i == 0) receipts.SetLink(receipt, number);
    digest_ += RowHash::OfTaking(receipt, i, taking);
  }
  return absl::OkStatus();
}

absl::Status ImageReader::State::ReadStanding(const StandingRow& row) {
  Account* account = AccountAt(row.account);
  if (account == nullptr || row.status == AccountStatus::kActive ||
      row.status > AccountStatus::kClosed) {
    return Wrong(absl::StrCat("the status of account ", row.account));
  }
  AccountExtra& extra = machine_.holds_.MakeExtra(*account, row.account);
  if (extra.status != AccountStatus::kActive) {
    return Wrong(absl::StrCat("account ", row.account, " has two statuses"));
  }
  extra.status = row.status;
  digest_ += RowHash::OfStatus(*account, row.status);
  return absl::OkStatus();
}

absl::Status ImageReader::State::ReadHold(const HoldRow& row) {
  Account* account = AccountAt(row.account);
  const auto wrong = [&] { return Wrong(absl::StrCat("a hold of account ", row.account)); };
  const bool on_its_way = version_ >= 3 && row.times_out_at == kNever;
  const Instant log_time = machine_.log_time_;
  if (account == nullptr || row.position == 0 || row.position > position_ || row.count == 0 ||
      row.times_out_at <= 0 || (!on_its_way && row.times_out_at > log_time + kLongestHold) ||
      row.count > missing_[row.account].lots || machine_.holds_.full()) {
    return wrong();
  }
  AccountExtra& extra = machine_.holds_.MakeExtra(*account, row.account);
  if (extra.hold_count == kMaxHoldsPerAccount) return wrong();
  Totals::Sum on_their_way = 0;  // of the account
  for (uint32_t other = extra.first_hold; other != kNoRow; other = machine_.holds_[other].next) {
    if (machine_.holds_[other].times_out_at == kNever)
      on_their_way += machine_.holds_[other].points;
  }
  const uint32_t at = machine_.holds_.Allocate();
  Hold& hold = machine_.holds_[at];
  hold = {row.position, row.times_out_at, 0, LotList(), kNoRow, kNoRow, kNoRow};
  const auto* lots = reinterpret_cast<const LotRow*>(&row + 1);
  for (size_t i = 0; i < row.count; ++i) {
    const LotRow& from = lots[i];
    // What it gives back must find room in the balance.
    const Totals::Sum owned = Totals::Sum{extra.held} + on_their_way +
                              (on_its_way ? hold.points : 0) + from.remaining + account->pending +
                              std::max<Points>(account->available, 0);
    if (!IsLot(from) || machine_.lots_.full() || owned > std::numeric_limits<Points>::max()) {
      return wrong();
    }
    const uint32_t before = hold.lots.last;
    const uint32_t piece = MakeLot(from, /*pending=*/false, /*held=*/true);
    const Lot& lot = machine_.lots_[piece];
    if (before != kNoRow && !SpentBefore(machine_.lots_[before], lot)) return wrong();
    machine_.lots_.Append(hold.lots, piece);
    hold.points += from.remaining;
    if (!on_its_way) extra.held += from.remaining;
    held_at_.push_back({row.account, from.position, piece});
    digest_ += RowHash::OfHeld(hold.position, lot);
  }
  machine_.holds_.Link(extra, at);
  holds_at_.push_back({row.account, row.position, at});
  digest_ += RowHash::OfHold(*account, hold.position, hold.times_out_at, hold.points);
  account->lot_count += row.count;
  account->next_due = std::min(account->next_due, row.times_out_at);
  missing_[row.account].lots -= row.count;
  lots_read_ += row.count;
  if (on_its_way) last_hold_ = at;
  return absl::OkStatus();
}

absl::Status ImageReader::State::ReadTransit(const TransitRow& row) {
  const auto wrong = [&] {
    return Wrong(absl::StrCat("a transfer on its way from account ", row.account));
  };
  Account* account = AccountAt(row.account);
  if (account == nullptr) return wrong();
  const AccountExtra* extra = machine_.holds_.ExtraOf(*account, row.account);
  Hold& hold = machine_.holds_[last_hold_];
  uint32_t at = extra == nullptr ? kNoRow : extra->first_hold;
  while (at != kNoRow && at != last_hold_) at = machine_.holds_[at].next;
  if (at == kNoRow || IsZero(row.id) || IsZero(row.to) || row.to == account->member ||
      row.sent_at <= 0 || row.sent_at > machine_.log_time_ || row.base > row.sent_at ||
      row.base <= 0 || row.version == 0 || transits_.size() == kMaxTransits) {
    return wrong();
  }
  const Transit transit = {
      row.id,      row.to,     row.base, row.sent_at, row.user_data,
      row.account, last_hold_, kNoRow,   kNoRow,      static_cast<uint16_t>(row.version - 1),
      {}};
  transits_.emplace_back(hold.position, transit);
  digest_ += RowHash::OfTransit(hold.position, transit);
  last_hold_ = kNoRow;
  return absl::OkStatus();
}

absl::Status ImageReader::State::ReadArrivals(const ArrivalsRow& row) {
  const auto wrong = [&] { return Wrong(absl::StrCat("what came from shard ", row.shard)); };
  Arrivals& arrivals = machine_.ArrivalsOf(row.shard);
  const auto* positions = reinterpret_cast<const Position*>(&row + 1);
  const bool first = arrivals.empty();
  if ((row.newest | row.delivered) == 0 || row.count > kArrivalsPerRow ||
      row.open_from > row.newest ||
      (!first && (row.open_from != arrivals.open_from() || row.newest != arrivals.newest() ||
                  row.delivered != arrivals.delivered()))) {
    return wrong();
  }
  if (first) arrivals.Settle(row.open_from);
  for (uint32_t i = 0; i < row.count; ++i) {
    const Position before = arrivals.begin() == arrivals.end() ? 0 : arrivals.end()[-1];
    if (positions[i] <= before || positions[i] < row.open_from || positions[i] > row.newest ||
        !arrivals.HasRoom(row.open_from)) {
      return wrong();
    }
    arrivals.Add(positions[i]);
  }
  arrivals.SetNewest(row.newest);
  arrivals.Delivered(row.delivered);
  return absl::OkStatus();
}

ImageReader::ImageReader(StateMachine& machine) : state_(std::make_unique<State>(machine)) {}
ImageReader::~ImageReader() = default;

absl::Status ImageReader::Read(absl::Span<const std::byte> part) { return state_->Read(part); }
absl::Status ImageReader::Finish() { return state_->Finish(); }
Position ImageReader::position() const { return state_->position(); }

}  // namespace tallystick::ledger
