#include "api/tally/restored_ledger.h"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "api/logged_unit.h"
#include "api/replay_block.h"
#include "api/tally/progress.h"
#include "api/tally/replay_start.h"
#include "api/tally/snapshot_check.h"
#include "api/tally/transfer_check.h"
#include "wal/log_copy.h"
#include "wal/snapshot_files.h"
#include "wal/snapshot_reader.h"

namespace tallystick::tally {
namespace {

// A snapshot's bytes at a time.
constexpr size_t kPieceBytes = size_t{1} << 20;

// How many slots of the block a replay up to `last` comes to: records with what settling wrote for
// them and with their details, wholly or not at all. `log_time`: before the block.
uint32_t SlotsUpTo(const wal::BlockView& block, Instant log_time, Position last) {
  const Position first = block.header->first_position;
  if (last >= first + block.header->count - 1) return block.header->count;
  size_t end = 0;
  for (const LoggedUnit& unit : UnitsOf(block, log_time, /*divide_chains=*/true)) {
    if (unit.closed_by > last) break;
    end = unit.position - first + unit.slots.size();
  }
  return static_cast<uint32_t>(end);
}

// A start or witness block.
struct SmallBlock {
  wal::BlockHeader header;
  wal::Slot slot;
  uint64_t segment;
  uint64_t offset;
};

class ShardRestorer {
 public:
  ShardRestorer(wal::Io& io, const wal::LogFolders& folders, const std::string& into,
                const wal::LogIdentity& identity)
      : io_(io),
        shard_(identity.shard),
        folders_(folders),
        from_(folders_.log),
        into_(ShardDirectory(into, identity.shard)),
        identity_(identity) {}

  // The original's last position, as far as it was read.
  absl::StatusOr<Position> CopyLog(const LogPoint& to);
  absl::Status ReadBack(RestoredLedger& result);
  absl::Status CopySnapshots(RestoredLedger& result);
  // What the copy cannot be read without, where the original's first segments are gone.
  absl::Status CopyBeginning(RestoredLedger& result);
  Position end() const { return end_; }

 private:
  absl::Status CopyBlock(const wal::BlockView& block, Position last, wal::LogCopy& copy);
  absl::Status CopyBytes(wal::Handle source, wal::Handle target, uint64_t size, bool& readable);
  absl::Status CopySnapshot(Position position, RestoredLedger& result);
  absl::Status CheckSnapshotCopy(Position position);

  wal::Io& io_;
  const uint16_t shard_;
  const wal::LogFolders folders_;
  const std::string& from_;  // without the archive
  const std::string into_;
  const wal::LogIdentity identity_;
  std::unique_ptr<ledger::StateMachine> original_;
  Position begin_ = 0;                    // of the snapshot that a replay begins with, if any
  Position end_ = 0;                      // of the copy
  std::vector<SmallBlock> between_;       // not copied yet
  std::map<Position, uint64_t> digests_;  // at the snapshots' positions
};

absl::StatusOr<Position> ShardRestorer::CopyLog(const LogPoint& to) {
  auto start = BeginReplay(io_, folders_, identity_);
  if (!start.ok()) return start.status();
  original_ = std::move(start->machine);
  begin_ = start->position();
  absl::Status reaches = to.CheckBeginning(shard_, begin_, original_->log_time());
  if (!reaches.ok()) return reaches;
  if (begin_ > 0) digests_[begin_] = original_->Digest();
  const auto reader = wal::LogReader::OpenOldest(io_, folders_, identity_);
  if (!reader.ok()) return reader.status();
  Progress progress(absl::StrCat("restoring shard ", shard_),
                    static_cast<int64_t>((*reader)->bytes_total()));
  wal::LogCopy copy(io_, into_);
  PointFollower follower(to, shard_, original_->log_time());
  wal::BlockView block;
  Position seen = 0;
  while (true) {
    const absl::StatusOr<bool> more = (*reader)->Next(&block);
    if (!more.ok()) return more.status();
    if (!*more) break;
    progress.Update(static_cast<int64_t>((*reader)->bytes_read()));
    seen = block.header->first_position + block.header->count - 1;
    if (seen <= begin_) {
      if (absl::Status s = copy.Append(block); !s.ok()) return s;
      end_ = seen;
      continue;
    }
    const Position last = follower.LastIn(block);
    if (absl::Status s = CopyBlock(block, last, copy); !s.ok()) return s;
    // What lies behind is not looked at.
    const bool is_small = block.header->type != wal::BlockType::kRecords;
    if (to.time().has_value() ? last < seen && !is_small : to.PositionOf(shard_) <= seen) break;
  }
  if (end_ == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(from_, ": nothing of this log lies before that point: name a later one"));
  }
  if (absl::Status s = copy.Finish(); !s.ok()) return s;
  return seen;
}

absl::Status ShardRestorer::CopyBlock(const wal::BlockView& block, Position last,
                                      wal::LogCopy& copy) {
  const wal::BlockHeader& header = *block.header;
  if (last < header.first_position) {
    // Under the import clock its stamp says nothing: it belongs to the point if records behind it
    // do.
    if (header.type != wal::BlockType::kRecords) {
      between_.push_back({header, block.slots[0], block.segment, block.offset});
    }
    return absl::OkStatus();
  }
  const Instant log_time = original_->log_time();
  if (absl::Status s = ReplayBlock(block, from_, *original_, last); !s.ok()) return s;
  const uint32_t count = SlotsUpTo(block, log_time, last);
  if (count == 0) return absl::OkStatus();
  for (const SmallBlock& small : between_) {
    absl::Status s = copy.Append({.header = &small.header,
                                  .slots = absl::MakeConstSpan(&small.slot, 1),
                                  .segment = small.segment,
                                  .offset = small.offset});
    if (!s.ok()) return s;
  }
  between_.clear();
  end_ = header.first_position + count - 1;
  if (count == header.count) return copy.Append(block);
  const auto flags = static_cast<uint8_t>(header.flags & ~kBlockDigest);
  return copy.AppendPart(block, count, flags);
}

absl::Status ShardRestorer::ReadBack(RestoredLedger& result) {
  const absl::StatusOr<std::vector<uint64_t>> listed = wal::ListSnapshots(io_, from_);
  if (!listed.ok()) return listed.status();
  const std::set<Position> wanted(listed->begin(), listed->end());
  auto start = BeginReplay(io_, into_, identity_);
  if (!start.ok()) return start.status();
  result.machines[shard_] = std::move(start->machine);
  ledger::StateMachine& machine = *result.machines[shard_];
  wal::LogReader& reader = *start->reader;
  ShardLog log;
  log.shard = shard_;
  log.first_position = reader.first_position();
  log.position = start->position();
  wal::BlockView block;
  while (true) {
    const absl::StatusOr<bool> more = reader.Next(&block);
    if (!more.ok()) return more.status();
    if (!*more) break;
    if (absl::Status s = ReplayBlock(block, into_, machine); !s.ok()) return s;
    ++log.blocks;
    log.position = block.header->first_position + block.header->count - 1;
    if (block.header->type == wal::BlockType::kRecords) log.records += block.header->count;
    if (wanted.count(log.position) > 0) digests_[log.position] = machine.Digest();
  }
  log.tail = reader.TakeTail();
  if (log.position != end_ || log.tail.torn || machine.Digest() != original_->Digest() ||
      machine.log_time() != original_->log_time()) {
    return absl::DataLossError(absl::StrCat(into_, ": what was written ends with position ",
                                            log.position,
                                            " and gives another state than the original at ", end_,
                                            ": is the disk sound? Nothing was restored"));
  }
  result.logs.push_back(std::move(log));
  return absl::OkStatus();
}

absl::Status ShardRestorer::CopyBeginning(RestoredLedger& result) {
  if (begin_ == 0) return absl::OkStatus();
  const absl::StatusOr<uint64_t> gone = wal::LastGone(io_, folders_);
  if (!gone.ok()) return gone.status();
  if (*gone > 0) {
    if (absl::Status s = wal::MarkGone(io_, into_, *gone); !s.ok()) return s;
  }
  return CopySnapshot(begin_, result);
}

absl::Status ShardRestorer::CopySnapshots(RestoredLedger& result) {
  for (const auto& [position, digest] : digests_) {
    if (position == begin_) continue;
    if (absl::Status s = CopySnapshot(position, result); !s.ok()) return s;
  }
  return io_.SyncDirectory(into_);
}

absl::Status ShardRestorer::CopySnapshot(Position position, RestoredLedger& result) {
  const auto leave_out = [&](const absl::Status& why) {
    result.left_out.push_back(absl::StrCat("shard ", shard_, ": the snapshot of position ",
                                           position, " is left out: ", why.message()));
  };
  const absl::StatusOr<wal::Handle> source = io_.Open(wal::SnapshotPath(from_, position), {});
  if (!source.ok()) {
    leave_out(source.status());
    return absl::OkStatus();
  }
  const auto close_source = absl::MakeCleanup([&] { io_.Close(*source); });
  const absl::StatusOr<uint64_t> size = io_.Size(*source);
  if (!size.ok()) return size.status();
  const std::string path = wal::SnapshotPath(into_, position);
  const absl::StatusOr<wal::Handle> target = io_.Open(path, {.write = true, .create = true});
  if (!target.ok()) return target.status();
  bool readable = true;
  absl::Status status = CopyBytes(*source, *target, *size, readable);
  if (status.ok()) status = io_.Sync(*target);
  io_.Close(*target);
  if (!status.ok() && readable) return status;
  if (status.ok()) status = CheckSnapshotCopy(position);
  if (status.ok()) {
    ++result.snapshots;
    return status;
  }
  leave_out(status);
  return io_.Remove(path);
}

absl::Status ShardRestorer::CopyBytes(wal::Handle source, wal::Handle target, uint64_t size,
                                      bool& readable) {
  std::vector<std::byte> piece(std::min<uint64_t>(size, kPieceBytes));
  for (uint64_t done = 0; done < size;) {
    const absl::StatusOr<size_t> read = io_.ReadAt(source, done, piece.data(), piece.size());
    readable = read.ok();
    if (!read.ok()) return read.status();
    if (*read == 0) break;
    if (absl::Status s = io_.WriteAt(target, done, piece.data(), *read); !s.ok()) return s;
    done += *read;
  }
  return absl::OkStatus();
}

absl::Status ShardRestorer::CheckSnapshotCopy(Position position) {
  const auto reader = wal::SnapshotReader::Open(io_, into_, position, identity_);
  if (!reader.ok()) return reader.status();
  const auto checked = CheckSnapshot(io_, into_, **reader);
  if (!checked.ok()) return checked.status();
  return CompareDigests(**reader, checked->digest, digests_[position]);
}

// ---- what the copies would say of each other ----

// One shard's records up to the point, without replaying them.
absl::Status AddUpTo(wal::Io& io, const wal::LogFolders& folders, const wal::LogIdentity& identity,
                     const LogPoint& to, TransferCheck& transfers) {
  const uint16_t shard = identity.shard;
  auto start = BeginReplay(io, folders, identity);
  if (!start.ok()) return start.status();
  Instant log_time = start->machine->log_time();
  PointFollower follower(to, shard, log_time);
  wal::LogReader& reader = *start->reader;
  Progress progress(absl::StrCat("looking at shard ", shard),
                    static_cast<int64_t>(reader.bytes_total()));
  wal::BlockView block;
  Position end = start->position();
  while (end < to.PositionOf(shard)) {
    const absl::StatusOr<bool> more = reader.Next(&block);
    if (!more.ok()) return more.status();
    if (!*more) break;
    progress.Update(static_cast<int64_t>(reader.bytes_read()));
    const Position first = block.header->first_position;
    const Position last = follower.LastIn(block);
    const uint32_t count = last < first ? 0 : SlotsUpTo(block, log_time, last);
    if (count > 0) end = first + count - 1;
    absl::Status status = EachRecord(
        block, [&](Position position, const Record& record, absl::Span<const wal::Slot> details) {
          if (position < first + count) transfers.Add(shard, position, record, details);
          return absl::OkStatus();
        });
    if (!status.ok()) return status;
    if (count < block.header->count && block.header->type == wal::BlockType::kRecords) break;
    UnitsOf(block, log_time);
  }
  transfers.End(shard, start->position() + 1, end, /*whole=*/true);
  return absl::OkStatus();
}

absl::Status Contradiction(const TransferFinding& finding, const LogPoint& to,
                           const TransferCheck& transfers) {
  using What = TransferFinding::What;
  const auto [what, sender, receiver, sent_at, received_at, settled_at, points] = finding;
  const std::string name_others =
      to.time().has_value() ? "name another instant, or a position of each shard (0:1234,1:567)"
                            : "";
  if (what == What::kNotSent && sent_at > transfers.LastOf(sender)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the copy could not be opened: shard ", receiver, " has received by then, at position ",
        received_at, ", what shard ", sender, " sent at position ", sent_at,
        ", and the copy of shard ", sender, " would end at position ", transfers.LastOf(sender),
        ": ",
        name_others.empty() ? absl::StrCat("name at least ", sent_at, " for shard ", sender,
                                           ", or less than ", received_at, " for shard ", receiver)
                            : name_others));
  }
  if (what == What::kNotReceived) {
    return absl::InvalidArgumentError(absl::StrCat(
        points, " points would be nobody's in the copy: shard ", sender,
        " says by then, at position ", settled_at, ", that shard ", receiver,
        " has received what it sent at position ", sent_at, ", and the copy of shard ", receiver,
        " would end before that, at position ", transfers.LastOf(receiver), ": ",
        name_others.empty() ? absl::StrCat("name more for shard ", receiver, ", or less than ",
                                           settled_at, " for shard ", sender)
                            : name_others));
  }
  return absl::DataLossError(absl::StrCat(
      "shard ", receiver, ", position ", received_at, ": what it received is not what shard ",
      sender, " sent at position ", sent_at, ": tally log verify lists all that is wrong"));
}

// Before anything is written.
absl::Status CheckPoint(wal::Io& io, const std::string& from, const LedgerIdentity& identity,
                        const LogPoint& to) {
  TransferCheck transfers(identity.shard_count);
  for (uint16_t shard = 0; shard < identity.shard_count; ++shard) {
    absl::Status status = AddUpTo(io, ShardFolders(from, identity, shard),
                                  {identity.ledger_id, shard, identity.shard_count}, to, transfers);
    if (!status.ok()) return status;
  }
  const std::vector<TransferFinding> findings = transfers.Findings();
  return findings.empty() ? absl::OkStatus() : Contradiction(findings.front(), to, transfers);
}

}  // namespace

absl::StatusOr<RestoredLedger> RestoreLedger(wal::Io& io, const std::string& from,
                                             const LedgerIdentity& identity, const LogPoint& to,
                                             const std::string& into) {
  if (absl::Status s = to.Check(identity.shard_count); !s.ok()) return s;
  if (absl::Status s = CheckPoint(io, from, identity, to); !s.ok()) return s;
  RestoredLedger result;
  std::map<uint16_t, Position> ends;
  for (uint16_t shard = 0; shard < identity.shard_count; ++shard) {
    ShardRestorer restorer(io, ShardFolders(from, identity, shard), into,
                           {identity.ledger_id, shard, identity.shard_count});
    const absl::StatusOr<Position> seen = restorer.CopyLog(to);
    if (!seen.ok()) return seen.status();
    ends[shard] = *seen;
    const bool is_inside = !to.time().has_value() && to.PositionOf(shard) <= *seen &&
                           to.PositionOf(shard) != restorer.end();
    if (is_inside) result.asked[shard] = to.PositionOf(shard);
    absl::Status status = restorer.CopyBeginning(result);
    if (status.ok()) status = restorer.ReadBack(result);
    if (status.ok()) status = restorer.CopySnapshots(result);
    if (!status.ok()) return status;
  }
  if (absl::Status s = to.CheckEnds(ends); !s.ok()) return s;
  return result;
}

}  // namespace tallystick::tally
