#include "api/reshard.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/ids.h"
#include "api/old_shard.h"
#include "api/reshard_check.h"
#include "api/reshard_shard.h"
#include "api/reshard_transfers.h"
#include "api/shard_of.h"

namespace tallystick {
namespace {

class Resharder {
 public:
  Resharder(wal::Io& io, const ReshardOptions& options)
      : io_(io),
        options_(options),
        segment_bytes_(options.identity.segment_bytes != 0 ? options.identity.segment_bytes
                                                           : kDefaultSegmentBytes) {}

  absl::StatusOr<ReshardReport> Run();

 private:
  using Turn = std::pair<Instant, uint16_t>;      // log time, old shard
  using Version = std::pair<uint16_t, uint16_t>;  // program, number

  absl::Status OpenAll();
  absl::Status Merge();
  absl::Status Take(OldShard& old);
  absl::Status PutNext();
  absl::Status Advance(OldShard& old);
  void Wait(const OldShard& old);
  absl::Status AddUnit(OldShard& old);
  void Release(const std::optional<ReshardNeed>& need);
  bool ReleaseSettlement();
  absl::Status NeverSent() const;
  absl::Status Close();
  void ShowProgress();

  static Version VersionOf(const LoggedUnit& put) {
    return {put.program(), put.slots[0].operation.category()};
  }

  wal::Io& io_;
  const ReshardOptions& options_;
  const uint64_t segment_bytes_;
  ReshardReport report_;
  std::vector<std::unique_ptr<OldShard>> old_;
  std::vector<std::unique_ptr<ReshardShard>> new_;
  std::priority_queue<Turn, std::vector<Turn>, std::greater<>> turns_;
  ReshardTransfers transfers_;
  std::map<ReshardNeed, uint16_t> at_transfers_;  // old shards that wait for another's record
  std::vector<Record> translated_;
  std::set<uint16_t> at_puts_;  // old shards that wait with a put that is not made yet
  std::set<Version> made_;
  uint64_t units_ = 0;
};

absl::Status Resharder::OpenAll() {
  for (uint16_t shard = 0; shard < options_.identity.shard_count; ++shard) {
    auto old = OldShard::Open(io_, ShardFolders(options_.from, options_.identity, shard),
                              {options_.identity.ledger_id, shard, options_.identity.shard_count});
    if (!old.ok()) return old.status();
    old_.push_back(*std::move(old));
  }
  const Id id = RandomId();
  report_.identity = options_.identity;
  report_.identity.ledger_id = {id.low(), id.high()};
  report_.identity.shard_count = options_.shards;
  for (uint16_t shard = 0; shard < options_.shards; ++shard) {
    auto made =
        ReshardShard::Create(io_, ShardDirectory(options_.into, shard),
                             {report_.identity.ledger_id, shard, report_.identity.shard_count},
                             segment_bytes_, transfers_);
    if (!made.ok()) return made.status();
    new_.push_back(*std::move(made));
    ShowProgress();
  }
  return absl::OkStatus();
}

// Where the shard's head comes in.
void Resharder::Wait(const OldShard& old) {
  const LoggedUnit* head = old.head();
  if (head == nullptr) return;
  const bool is_new_put =
      head->type == LoggedUnit::Type::kProgram && made_.count(VersionOf(*head)) == 0;
  if (is_new_put) {
    at_puts_.insert(old.number());
  } else if (const auto need = transfers_.NeedOf(*head, old.number())) {
    at_transfers_.emplace(*need, old.number());
  } else {
    turns_.emplace(head->time, old.number());
  }
}

absl::Status Resharder::Advance(OldShard& old) {
  if (absl::Status s = old.Advance(); !s.ok()) return s;
  Wait(old);
  constexpr uint64_t kUnitsBetween = 1024;
  if (++units_ % kUnitsBetween == 0) ShowProgress();
  return absl::OkStatus();
}

// The first segments of many shards may take longer than all that goes into them.
void Resharder::ShowProgress() {
  if (options_.progress == nullptr) return;
  uint64_t done = new_.size() * segment_bytes_;
  uint64_t total = options_.shards * segment_bytes_;
  for (const auto& old : old_) {
    done += old->bytes_read();
    total += old->bytes_total();
  }
  options_.progress(done, total);
}

absl::Status Resharder::Merge() {
  for (const auto& old : old_) Wait(*old);
  while (!turns_.empty() || !at_puts_.empty() || !at_transfers_.empty()) {
    if (turns_.empty() && ReleaseSettlement()) continue;
    if (turns_.empty() && at_puts_.empty()) return NeverSent();
    if (turns_.empty()) {
      if (absl::Status s = PutNext(); !s.ok()) return s;
      continue;
    }
    OldShard& old = *old_[turns_.top().second];
    turns_.pop();
    if (absl::Status s = Take(old); !s.ok()) return s;
    if (absl::Status s = Advance(old); !s.ok()) return s;
  }
  return absl::OkStatus();
}

// Who waited for this may go on.
void Resharder::Release(const std::optional<ReshardNeed>& need) {
  if (!need.has_value()) return;
  const auto waiting = at_transfers_.find(*need);
  if (waiting == at_transfers_.end()) return;
  const uint16_t shard = waiting->second;
  at_transfers_.erase(waiting);
  turns_.emplace(old_[shard]->head()->time, shard);
}

// Where a put lies in between, a settlement need not wait: it changes nothing at the receiver's.
bool Resharder::ReleaseSettlement() {
  for (const auto& [need, shard] : at_transfers_) {
    if (!need.received) continue;
    Release(ReshardNeed(need));
    return true;
  }
  return false;
}

absl::Status Resharder::NeverSent() const {
  const auto& [need, shard] = *at_transfers_.begin();
  return absl::DataLossError(absl::StrCat(
      "shard ", shard, ", position ", old_[shard]->head()->position,
      ": it has received what shard ", need.transfer.shard, " sent at position ",
      need.transfer.position,
      ", and no such transfer is in that shard's log: the shards' folders are not of one moment. "
      "Restore all of them from one backup. No new ledger was made"));
}

absl::Status Resharder::AddUnit(OldShard& old) {
  LoggedUnit unit = *old.head();
  const uint16_t from = old.number();
  if (const auto shard = transfers_.UnknownShardOf(unit, from)) {
    if (absl::Status s = new_[*shard]->Flush(); !s.ok()) return s;
  }
  const uint16_t to = ShardOf(unit.member(), options_.shards);
  std::optional<ReshardNeed> done = transfers_.Translate(unit, from, translated_);
  if (!done.has_value()) done = transfers_.Sent(unit, from, to, options_.shards);
  if (absl::Status s = new_[to]->Add(unit, from); !s.ok()) return s;
  Release(done);
  return absl::OkStatus();
}

absl::Status Resharder::Take(OldShard& old) {
  const LoggedUnit& unit = *old.head();
  switch (unit.type) {
    case LoggedUnit::Type::kProgram:  // made when another shard came to it
      return absl::OkStatus();
    case LoggedUnit::Type::kTick:
      // It was meant for all shards; each old one has it.
      for (const auto& shard : new_) {
        absl::Status s = shard->Raise(unit.time, unit.slots[0].operation.id());
        if (!s.ok()) return s;
      }
      return absl::OkStatus();
    case LoggedUnit::Type::kOperations:
    case LoggedUnit::Type::kSettling:
      return AddUnit(old);
  }
  return absl::OkStatus();
}

// Every old shard has come to a put, or to its end. All have the same one, as a rule; where a crash
// has changed their order, that of the first shard is made.
absl::Status Resharder::PutNext() {
  LoggedUnit put = *old_[*at_puts_.begin()]->head();
  const uint16_t from = *at_puts_.begin();
  const Version version = VersionOf(put);
  std::vector<uint16_t> there;
  for (const uint16_t shard : at_puts_) {
    const LoggedUnit& head = *old_[shard]->head();
    if (VersionOf(head) != version) continue;
    put.time = std::min(put.time, head.time);
    there.push_back(shard);
  }
  put.end_time = put.time;
  for (const auto& shard : new_) {
    if (absl::Status s = shard->Add(put, from); !s.ok()) return s;
  }
  made_.insert(version);
  for (const uint16_t shard : there) {
    at_puts_.erase(shard);
    if (absl::Status s = Advance(*old_[shard]); !s.ok()) return s;
  }
  return absl::OkStatus();
}

// Under the import clock every shard ends at the old ledger's log time.
absl::Status Resharder::Close() {
  for (const auto& old : old_) report_.time = std::max(report_.time, old->machine().log_time());
  for (const auto& shard : new_) {
    if (options_.identity.clock == ClockMode::kImport) {
      if (absl::Status s = shard->Raise(report_.time, Id()); !s.ok()) return s;
    }
    if (absl::Status s = shard->Finish(); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::StatusOr<ReshardReport> Resharder::Run() {
  if (absl::Status s = OpenAll(); !s.ok()) return s;
  if (absl::Status s = Merge(); !s.ok()) return s;
  if (absl::Status s = Close(); !s.ok()) return s;
  std::vector<const ledger::StateMachine*> before;
  std::vector<const ledger::StateMachine*> after;
  for (const auto& old : old_) {
    before.push_back(&old->machine());
    report_.records_read += old->records();
  }
  for (const auto& shard : new_) {
    after.push_back(&shard->machine());
    report_.records.push_back(shard->records());
    report_.records_written += shard->records();
    report_.delayed += shard->delayed();
    report_.longest_delay_us = std::max(report_.longest_delay_us, shard->longest_delay());
  }
  const absl::StatusOr<uint64_t> accounts = CompareLedgers(before, after);
  if (!accounts.ok()) return accounts.status();
  report_.accounts = *accounts;
  report_.programs = SumTotals(after);
  return std::move(report_);
}

}  // namespace

absl::StatusOr<ReshardReport> Reshard(wal::Io& io, const ReshardOptions& options) {
  if (options.shards < 1 || options.shards > kMaxShards) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.shards, " shards: choose 1 to ", kMaxShards));
  }
  return Resharder(io, options).Run();
}

}  // namespace tallystick
