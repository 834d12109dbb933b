#include "api/tally/transfer_check.h"

#include <algorithm>
#include <tuple>

#include "api/shard_of.h"

namespace tallystick::tally {
namespace {

// Of what the Transfer and the TransferIn have in common.
uint64_t HashOf(const Operation& operation, const Id& from, const Id& to) {
  return absl::HashOf(operation.id().low(), operation.id().high(), from.low(), from.high(),
                      to.low(), to.high(), operation.amount(), operation.program(),
                      operation.user_data());
}

}  // namespace

void TransferCheck::Add(uint16_t shard, Position position, const Record& record,
                        absl::Span<const wal::Slot> details) {
  const Operation& op = record.operation;
  if (op.kind() == Kind::Transfer) {
    Entry& entry = entries_[{shard, position}];
    entry.sent = true;
    entry.receiver = ShardOf(op.related(), static_cast<uint16_t>(shards_.size()));
    entry.points = op.amount();
    entry.sent_as = HashOf(op, op.member(), op.related());
    return;
  }
  if (!IsBetweenShards(op.kind()) || (op.kind() == Kind::TransferIn && details.empty())) return;
  Key key{shard, op.user_data()};
  if (op.kind() == Kind::TransferIn) {
    const auto detail = DetailIn<TransferDetail>(details[0]);
    key = {detail.shard, detail.position};
  }
  Entry& entry = entries_[key];
  if (op.kind() == Kind::TransferIn) {
    entry.receiver = shard;
    entry.points = op.amount();
    entry.received_at = position;
    entry.received_as = HashOf(op, op.related(), op.member());
  } else {
    entry.settled_at = position;
    entry.came_back = op.kind() == Kind::TransferBack;
  }
  const bool is_done = entry.sent && entry.received_at != 0 && entry.settled_at != 0 &&
                       !entry.came_back && entry.sent_as == entry.received_as;
  if (is_done) entries_.erase(key);
}

void TransferCheck::End(uint16_t shard, Position first, Position last, bool whole) {
  shards_[shard] = {first, last, whole};
}

bool TransferCheck::Find(const Key& key, const Entry& entry, TransferFinding* finding) const {
  using What = TransferFinding::What;
  const auto& [sender, sent_at] = key;
  *finding = {What::kNotSent,    sender,           entry.receiver, sent_at,
              entry.received_at, entry.settled_at, entry.points};
  const bool received = entry.received_at != 0;
  if (!entry.sent) {
    // Of a shard that the ledger does not have.
    if (sender >= shards_.size()) return received;
    return received && shards_[sender].whole && sent_at >= shards_[sender].first;
  }
  if (received && entry.sent_as != entry.received_as) {
    finding->what = What::kOther;
    return true;
  }
  if (received && entry.came_back) {
    finding->what = What::kCameBack;
    return true;
  }
  const Shard& receiver = shards_[entry.receiver];
  finding->what = What::kNotReceived;
  return !received && entry.settled_at != 0 && !entry.came_back && receiver.whole &&
         receiver.first == 1;
}

std::vector<TransferFinding> TransferCheck::Findings() const {
  std::vector<TransferFinding> findings;
  TransferFinding finding;
  for (const auto& [key, entry] : entries_) {
    if (Find(key, entry, &finding)) findings.push_back(finding);
  }
  std::sort(findings.begin(), findings.end(), [](const auto& a, const auto& b) {
    return std::tie(a.sender, a.sent_at) < std::tie(b.sender, b.sent_at);
  });
  return findings;
}

}  // namespace tallystick::tally
