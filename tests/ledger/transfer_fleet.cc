#include "tests/ledger/transfer_fleet.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>

namespace tallystick::ledger {
namespace {

// Of any parcel, and of what its account settles: these ledgers are small.
constexpr size_t kRoom = 2'000;

}  // namespace

TransferFleet::TransferFleet(size_t shards, uint64_t members_of_shard)
    : members_of_shard_(members_of_shard), shards_(shards) {
  for (Shard& shard : shards_) {
    shard.pair = std::make_unique<LedgerPair>();
    Remember(shard);
    shard.durable = shard.last;
  }
}

size_t TransferFleet::ShardOf(const model::Id& member) const {
  return (member.low - 1) / members_of_shard_ % shards_.size();
}

void TransferFleet::Remember(Shard& shard) {
  shard.last = shard.pair->Remember();
  shard.sequences[shard.last] = shard.pair->last_sequence();
}

void TransferFleet::BeginBlock(size_t shard, const BlockTime& time, size_t capacity,
                               bool take_image) {
  Shard& s = shards_[shard];
  NoteTransfers(shard);
  Remember(s);
  s.time = time;
  s.pair->BeginBlock(time, capacity, take_image);
}

void TransferFleet::NeedRoom(size_t shard, size_t slots) {
  Shard& s = shards_[shard];
  if (s.pair->room() < slots) BeginBlock(shard, s.time, 2 * slots);
}

size_t TransferFleet::BlocksNotDurable(size_t shard) const {
  return shards_[shard].last - shards_[shard].durable;
}

void TransferFleet::MakeDurable(size_t shard, size_t blocks) {
  Shard& s = shards_[shard];
  s.durable += std::min(blocks, s.last - s.durable);
  ForgetDurable(s);
}

void TransferFleet::ForgetDurable(Shard& s) {
  s.pair->Forget(s.durable);
  s.sequences.erase(s.sequences.begin(), s.sequences.lower_bound(s.durable));
  const Sequence durable = s.sequences.at(s.durable);
  std::erase_if(s.settled, [&](const auto& settled) {
    if (settled.second > durable) return false;
    s.unsettled.erase(settled.first);
    return true;
  });
}

void TransferFleet::NoteTransfers(size_t shard) {
  Shard& s = shards_[shard];
  for (const model::OpenTransfer& open : s.pair->OpenTransfers()) {
    s.unsettled.emplace(open.sequence, ShardOf(open.to));
  }
}

std::vector<model::OpenTransfer> TransferFleet::Unsent(size_t shard) {
  const Shard& s = shards_[shard];
  const Sequence durable = s.sequences.at(s.durable);
  std::vector<model::OpenTransfer> unsent;
  for (const model::OpenTransfer& open : s.pair->OpenTransfers()) {
    const bool is_sent = std::any_of(parcels_.begin(), parcels_.end(), [&](const Parcel& parcel) {
      return parcel.from == shard && parcel.transfer == open;
    });
    const bool is_answered = std::any_of(
        answers_.begin(), answers_.end(),
        [&](const Answer& answer) { return answer.to == shard && answer.transfer == open; });
    if (open.sequence <= durable && !is_sent && !is_answered) unsent.push_back(open);
  }
  return unsent;
}

void TransferFleet::SendParcel(size_t shard, const model::OpenTransfer& transfer) {
  NoteTransfers(shard);
  Shard& s = shards_[shard];
  const size_t to = ShardOf(transfer.to);
  Sequence open_from = transfer.sequence;
  for (const auto& [sequence, to_shard] : s.unsettled) {
    if (to_shard == to) open_from = std::min(open_from, sequence);
  }
  parcels_.push_back({shard, to, transfer,
                      s.pair->WriteParcel(transfer, static_cast<uint16_t>(shard), open_from)});
}

void TransferFleet::Deliver(size_t index) {
  const Parcel parcel = parcels_[index];
  parcels_.erase(parcels_.begin() + static_cast<std::ptrdiff_t>(index));
  NeedRoom(parcel.to, kRoom);
  Shard& to = shards_[parcel.to];
  const model::Result result = to.pair->Receive(parcel.sent);
  replayed_ += result.replayed ? 1 : 0;
  answers_.push_back(
      {parcel.to, parcel.from, parcel.transfer, result.outcome, to.pair->last_sequence()});
}

bool TransferFleet::MayLeave(size_t answer) const {
  const Shard& from = shards_[answers_[answer].from];
  return from.sequences.at(from.durable) >= answers_[answer].behind;
}

void TransferFleet::DeliverAnswer(size_t index) {
  const Answer answer = answers_[index];
  answers_.erase(answers_.begin() + static_cast<std::ptrdiff_t>(index));
  const bool is_ok = answer.outcome == model::Outcome::kOk;
  const auto is_of_it = [&](const auto& other) { return other.transfer == answer.transfer; };
  const bool another_is_under_way =
      std::any_of(
          parcels_.begin(), parcels_.end(),
          [&](const Parcel& parcel) { return parcel.from == answer.to && is_of_it(parcel); }) ||
      std::any_of(answers_.begin(), answers_.end(),
                  [&](const Answer& other) { return other.to == answer.to && is_of_it(other); });
  if (!is_ok && another_is_under_way) return;

  NeedRoom(answer.to, kRoom);
  Shard& to = shards_[answer.to];
  const std::vector<model::OpenTransfer> open = to.pair->OpenTransfers();
  const bool is_open = std::find(open.begin(), open.end(), answer.transfer) != open.end();
  to.pair->Finish(answer.transfer, answer.outcome);
  if (!is_open) return;
  to.settled[answer.transfer.sequence] = to.pair->last_sequence();
  ++(is_ok ? done_ : back_);
}

void TransferFleet::Crash(size_t shard, size_t kept) {
  ++crashes_;
  Shard& s = shards_[shard];
  std::erase_if(parcels_, [&](const Parcel& p) { return p.from == shard || p.to == shard; });
  const Sequence durable = s.sequences.at(s.durable);
  std::erase_if(answers_, [&](const Answer& answer) {
    return answer.to == shard || (answer.from == shard && answer.behind > durable);
  });
  s.last = s.durable + std::min(kept, s.last - s.durable);
  s.pair->Crash(s.last);
  s.sequences.erase(s.sequences.upper_bound(s.last), s.sequences.end());
  const Sequence end = s.sequences.at(s.last);
  std::erase_if(s.unsettled, [&](const auto& sent) { return sent.first > end; });
  std::erase_if(s.settled, [&](const auto& settled) { return settled.second > end; });
  // What it comes back with is what its disk has.
  s.durable = s.last;
  ForgetDurable(s);
  s.pair->BeginBlock(s.time, kRoom);
}

void TransferFleet::CheckConservation(const std::vector<uint16_t>& programs) {
  for (const uint16_t program : programs) {
    __int128 sent = 0;
    for (const Shard& shard : shards_) {
      const Totals* totals = shard.pair->machine().TotalsOf(program);
      if (totals == nullptr) continue;
      EXPECT_TRUE(totals->Balanced());
      sent += static_cast<__int128>(totals->sent) - totals->received;
    }
    __int128 on_their_way = 0;
    for (size_t i = 0; i < shards_.size(); ++i) {
      for (const model::OpenTransfer& open : shards_[i].pair->OpenTransfers()) {
        const LedgerPair& to = *shards_[ShardOf(open.to)].pair;
        if (open.program != program) continue;
        if (to.naive().HasReceived(static_cast<uint16_t>(i), open.sequence)) continue;
        on_their_way += shards_[i].pair->naive().ParcelOf(open, 0, 0).operation.amount;
      }
    }
    EXPECT_TRUE(sent == on_their_way)
        << "program " << program << ": " << static_cast<int64_t>(sent) << " sent, "
        << static_cast<int64_t>(on_their_way) << " on their way";
  }
}

bool TransferFleet::Quiet() {
  return std::all_of(shards_.begin(), shards_.end(),
                     [](const Shard& shard) { return shard.pair->OpenTransfers().empty(); });
}

void TransferFleet::Complete() {
  // Each round settles all that the one before it has sent.
  for (int round = 0; round < 8; ++round) {
    for (size_t i = 0; i < size(); ++i) {
      BeginBlock(i, shards_[i].time, kRoom);
      MakeDurable(i, SIZE_MAX);
      for (const model::OpenTransfer& transfer : Unsent(i)) SendParcel(i, transfer);
    }
    while (parcels() > 0 && !testing::Test::HasFailure()) Deliver(0);
    for (size_t i = 0; i < size(); ++i) {
      BeginBlock(i, shards_[i].time, kRoom);
      MakeDurable(i, SIZE_MAX);
    }
    while (answers() > 0 && !testing::Test::HasFailure()) DeliverAnswer(0);
    if (Quiet()) break;
  }
  EXPECT_TRUE(Quiet()) << "a transfer is stranded";
}

}  // namespace tallystick::ledger
