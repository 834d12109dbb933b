// Behind the last row of an image: lots into the order of their lists, receipts to their lots and
// holds, and whether all of it is there and adds up.

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ledger/image_reader_state.h"
#include "ledger/row_hash.h"

namespace tallystick::ledger {

absl::Status ImageReader::State::LinkHolds() {
  std::sort(holds_at_.begin(), holds_at_.end());
  std::sort(held_at_.begin(), held_at_.end());
  const auto same =
      std::adjacent_find(holds_at_.begin(), holds_at_.end(), [](const RowAt& a, const RowAt& b) {
        return a.account == b.account && a.position == b.position;
      });
  return same == holds_at_.end() ? absl::OkStatus() : Wrong("two holds are of one position");
}

absl::Status ImageReader::State::LinkTransits() {
  std::sort(transits_.begin(), transits_.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [position, transit] : transits_) {
    const ProgramState* program = Find(machine_.accounts_[transit.account].program);
    if (program == nullptr || transit.version >= program->versions.size()) {
      return Wrong(absl::StrCat("a transfer on its way from account ", transit.account));
    }
    machine_.holds_[transit.hold].transit = machine_.transits_.Append(transit);
  }
  return absl::OkStatus();
}

void ImageReader::State::LinkLots() {
  Lots& lots = machine_.lots_;
  std::sort(many_lots_.begin(), many_lots_.end(), [&](const auto& a, const auto& b) {
    if (a.first != b.first) return a.first < b.first;
    const Lot& x = lots[a.second];
    const Lot& y = lots[b.second];
    if (x.pending != y.pending) return y.pending;
    return x.pending ? HappensBefore(x, y) : SpentBefore(x, y);
  });
  for (const auto& [number, row] : many_lots_) {
    Account& account = machine_.accounts_[number];
    lots.Link(account, row);
    ++account.lot_count;
    lots_at_.push_back({number, lots[row].position, row});
  }
  std::sort(lots_at_.begin(), lots_at_.end());
}

uint32_t ImageReader::State::LotAt(uint32_t number, Position position) const {
  const Lots& lots = machine_.lots_;
  const Account& account = machine_.accounts_[number];
  if (account.lot_count <= kFewLots) {
    for (const LotList& list : {account.available_lots, account.pending_lots}) {
      for (uint32_t row = lots.First(list); row != kNoRow; row = lots.Next(list, row)) {
        if (lots[row].position == position) return row;
      }
    }
    return kNoRow;
  }
  const auto found = FindAt(lots_at_, number, position);
  return found == lots_at_.end() ? kNoRow : found->row;
}

// A purchase and its lot, if both are there, know of each other.
absl::Status ImageReader::State::LinkReceipts(ProgramState& program) {
  absl::Status status;
  const auto link = [&](uint32_t row) -> absl::Status {
    Receipt& receipt = machine_.receipts_[row];
    const Account& account = machine_.accounts_[receipt.account];
    if (account.program != program.id) {
      return Wrong(absl::StrCat("the receipt of position ", receipt.position, " is another's"));
    }
    digest_ += RowHash::OfReceipt(program.id, account.member, receipt,
                                  machine_.receipts_.ReturnedOf(receipt));
    // Of transfers that came back: their ids were free, and may be another's.
    if (receipt.kind == Kind::Transfer && machine_.receipts_.ReturnedOf(receipt).amount > 0 &&
        machine_.receipts_.IsOvertaken(receipt)) {
      machine_.receipts_.Supersede(row);
    }
    if (receipt.kind == Kind::Hold || receipt.kind == Kind::Transfer) {
      const auto hold = FindAt(holds_at_, receipt.account, receipt.position);
      if (hold == holds_at_.end()) return absl::OkStatus();
      machine_.receipts_.SetLink(receipt, hold->row);
      machine_.holds_[hold->row].receipt = row;
      return absl::OkStatus();
    }
    if (!ProgramState::Earns(receipt.kind)) return absl::OkStatus();
    for (auto held = FindAt(held_at_, receipt.account, receipt.position);
         held != held_at_.end() && held->account == receipt.account &&
         held->position == receipt.position;
         ++held) {
      machine_.lots_[held->row].receipt = row;
    }
    const uint32_t lot = LotAt(receipt.account, receipt.position);
    if (lot == kNoRow) return absl::OkStatus();
    machine_.receipts_.SetLink(receipt, lot);
    machine_.lots_[lot].receipt = row;
    return absl::OkStatus();
  };
  for (ReceiptQueue& queue : program.queues) {
    if (Receipts::empty(queue)) continue;
    Receipts::Place place = Receipts::FirstPlace(queue);
    Position before = 0;
    for (uint32_t row = machine_.receipts_.RowAt(queue, place); row != kNoRow;
         row = machine_.receipts_.RowAt(queue, place)) {
      if (const Receipt* later = machine_.receipts_.Behind(queue, place, 2 * kAhead)) {
        machine_.accounts_.Prefetch(later->account);
      }
      if (const Receipt* later = machine_.receipts_.Behind(queue, place, kAhead)) {
        machine_.lots_.Prefetch(machine_.accounts_[later->account].available_lots.last);
        machine_.lots_.Prefetch(machine_.accounts_[later->account].pending_lots.last);
      }
      if (machine_.receipts_[row].position <= before) return Wrong("receipts are out of order");
      before = machine_.receipts_[row].position;
      if (status = link(row); !status.ok()) return status;
      ++place.offset;
    }
  }
  return absl::OkStatus();
}

absl::Status ImageReader::State::CheckAccounts() const {
  for (uint32_t row = 0; row < accounts_; ++row) {
    if (missing_[row].lots != 0) {
      return Wrong(absl::StrCat("lots of account ", row, " are missing"));
    }
    if (missing_[row].available != 0 || missing_[row].pending != 0) {
      return Wrong(absl::StrCat("the lots of account ", row, " are not its balance"));
    }
  }
  return absl::OkStatus();
}

absl::Status ImageReader::State::CheckTotals() const {
  std::vector<Totals> sums(machine_.programs_.size());
  for (uint32_t row = 0; row < accounts_; ++row) {
    const Account& account = machine_.accounts_[row];
    const uint16_t slot = machine_.program_slots_[account.program];
    if (slot == 0) return Wrong(absl::StrCat("account ", row, " is of no program"));
    Totals& sum = sums[slot - 1];
    ++sum.members;
    // What is written is checked against what they come to: an overflow comes to something else.
    sum.pending = static_cast<Points>(static_cast<uint64_t>(sum.pending) +
                                      static_cast<uint64_t>(account.pending));
    Points& owed = account.available < 0 ? sum.debt : sum.available;
    const uint64_t size = account.available < 0 ? -static_cast<uint64_t>(account.available)
                                                : static_cast<uint64_t>(account.available);
    owed = static_cast<Points>(static_cast<uint64_t>(owed) + size);
    if (const AccountExtra* extra = machine_.holds_.ExtraOf(account, row)) {
      for (uint32_t at = extra->first_hold; at != kNoRow; at = machine_.holds_[at].next) {
        if (machine_.holds_[at].transit == kNoRow) continue;
        sum.sent = static_cast<Points>(static_cast<uint64_t>(sum.sent) +
                                       static_cast<uint64_t>(machine_.holds_[at].points));
      }
      sum.held =
          static_cast<Points>(static_cast<uint64_t>(sum.held) + static_cast<uint64_t>(extra->held));
    }
  }
  for (size_t i = 0; i < sums.size(); ++i) {
    const Totals& totals = machine_.programs_[i]->totals;
    // They are bounded by what was credited, as everything is.
    for (const Points moved : {totals.sent, totals.received}) {
      if (moved < sums[i].sent || moved > totals.credited) {
        return Wrong(absl::StrCat("what members of program ", machine_.programs_[i]->id,
                                  " sent each other"));
      }
      sums[i].sent = 0;  // on its way
    }
    if (totals.members != sums[i].members || totals.pending != sums[i].pending ||
        totals.available != sums[i].available || totals.held != sums[i].held ||
        totals.debt != sums[i].debt || !totals.Balanced()) {
      return Wrong(absl::StrCat("the totals of program ", machine_.programs_[i]->id,
                                " are not those of its members"));
    }
  }
  return absl::OkStatus();
}

absl::Status ImageReader::State::Finish() {
  if (!ended_) return Wrong("its end is missing");
  if (accounts_read_ != accounts_ || machine_.programs_.size() != programs_ ||
      lots_read_ != end_.lots || machine_.receipts_.size() != end_.receipts) {
    return Wrong("rows are missing");
  }
  if (absl::Status accounts = CheckAccounts(); !accounts.ok()) return accounts;
  LinkLots();
  if (absl::Status holds = LinkHolds(); !holds.ok()) return holds;
  if (absl::Status transits = LinkTransits(); !transits.ok()) return transits;
  for (size_t shard = 0; shard < machine_.arrivals_.size(); ++shard) {
    digest_ += RowHash::OfArrivals(static_cast<uint16_t>(shard), machine_.arrivals_[shard]);
  }
  machine_.RebuildSchedule(machine_.log_time_);
  for (size_t i = 0; i < machine_.programs_.size(); ++i) {
    ProgramState& program = *machine_.programs_[i];
    if (program.versions.size() != versions_[i]) return Wrong("a version is missing");
    digest_ += RowHash::OfTotals(program.id, program.totals, program.versions.back().bound_before);
    if (absl::Status linked = LinkReceipts(program); !linked.ok()) return linked;
  }
  if (absl::Status totals = CheckTotals(); !totals.ok()) return totals;
  return digest_ == end_.digest ? absl::OkStatus() : Wrong("its digest is another");
}

}  // namespace tallystick::ledger
