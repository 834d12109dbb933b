#include "api/tally/log_stats.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/outcomes.h"
#include "api/tally/ledger_log.h"
#include "wal/segment_files.h"
#include "wal/snapshot_files.h"
#include "wal/snapshot_reader.h"

namespace tallystick::tally {
namespace {

class Collector {
 public:
  absl::Status AddBlock(uint16_t shard, const wal::BlockView& block);
  absl::Status AddFiles(OfflineLedger& ledger);
  LogStats Take() { return std::move(stats_); }
  LogStats& stats() { return stats_; }

 private:
  void AddRecord(const Record& record);
  void AddGap(const Gap& gap);

  LogStats stats_;
  std::map<uint16_t, Instant> last_written_;  // by shard
};

absl::Status Collector::AddBlock(uint16_t shard, const wal::BlockView& block) {
  const wal::BlockHeader& header = *block.header;
  if (stats_.segments.empty() || stats_.segments.back().shard != shard ||
      stats_.segments.back().number != block.segment) {
    stats_.segments.push_back(
        {.shard = shard, .number = block.segment, .first_position = header.first_position});
  }
  SegmentStats& segment = stats_.segments.back();
  ++segment.blocks;
  segment.used_bytes += header.bytes;
  ++stats_.blocks;
  stats_.bytes += header.bytes;
  if (header.type != wal::BlockType::kRecords) return absl::OkStatus();
  uint64_t records = 0;
  absl::Status status =
      EachRecord(block, [&](Position, const Record& record, absl::Span<const wal::Slot>) {
        ++records;
        AddRecord(record);
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  const Instant written = header.timestamp_us;
  segment.records += records;
  segment.written.Add(written);
  stats_.records += records;
  stats_.written.Add(written);
  stats_.rates.Add(written, records, header.bytes);
  const auto size_class = static_cast<size_t>(std::bit_width(records) - 1);
  ++stats_.block_sizes[std::min(size_class, LogStats::kBlockClasses - 1)];
  const auto [last, is_first] = last_written_.try_emplace(shard, written);
  if (!is_first) AddGap({.shard = shard, .from = last->second, .to = written});
  last->second = written;
  return absl::OkStatus();
}

void Collector::AddRecord(const Record& record) {
  const Operation& op = record.operation;
  KindStats& kind = stats_.kinds[std::string(KindName(op.kind()))];
  ++kind.records;
  kind.points += record.result.points();
  ++stats_.outcomes[std::string(OutcomeName(record.result.outcome()))];
  ++stats_.programs[op.program()];
  if (!IsZero(op.member())) stats_.members.emplace(op.member().low(), op.member().high());
  if (op.kind() == Kind::ProgramPut) return;
  stats_.occurred.Add(op.occurred_at());
  stats_.occurred_rates.Add(op.occurred_at(), 1, sizeof(Record));
}

void Collector::AddGap(const Gap& gap) {
  const auto longer = [](const Gap& a, const Gap& b) { return a.to - a.from > b.to - b.from; };
  stats_.gaps.insert(std::upper_bound(stats_.gaps.begin(), stats_.gaps.end(), gap, longer), gap);
  if (stats_.gaps.size() > LogStats::kGapsKept) stats_.gaps.pop_back();
}

absl::Status Collector::AddFiles(OfflineLedger& ledger) {
  stats_.shards = ledger.shard_count();
  for (SegmentStats& segment : stats_.segments) {
    const wal::LogFolders folders = ledger.FoldersOf(segment.shard);
    std::string path = wal::FilePath(folders.log, segment.number, wal::FileKind::kSegment);
    segment.archived = !ledger.io().Exists(path);
    if (segment.archived) {
      path = wal::FilePath(folders.archive, segment.number, wal::FileKind::kArchive);
    }
    const auto handle = ledger.io().Open(path, {});
    if (!handle.ok()) return handle.status();
    const absl::StatusOr<uint64_t> size = ledger.io().Size(*handle);
    ledger.io().Close(*handle);
    if (!size.ok()) return size.status();
    segment.size_bytes = *size;
  }
  for (uint16_t shard = 0; shard < ledger.shard_count(); ++shard) {
    const std::string folder = ledger.ShardPath(shard);
    const auto positions = wal::ListSnapshots(ledger.io(), folder);
    if (!positions.ok()) return positions.status();
    for (const Position position : *positions) {
      const auto reader =
          wal::SnapshotReader::Open(ledger.io(), folder, position, ledger.LogOf(shard));
      if (!reader.ok()) return reader.status();
      stats_.snapshots.push_back({.shard = shard,
                                  .position = position,
                                  .size_bytes = (*reader)->bytes_total(),
                                  .taken_at = (*reader)->taken_us()});
    }
  }
  return absl::OkStatus();
}

}  // namespace

void Span::Add(Instant time) {
  first = std::min(first, time);
  last = std::max(last, time);
}

absl::StatusOr<LogStats> CollectLogStats(OfflineLedger& ledger) {
  Collector collector;
  const auto logs = ReadLedger(ledger, std::numeric_limits<Position>::max(),
                               [&](uint16_t shard, const wal::BlockView& block) {
                                 return collector.AddBlock(shard, block);
                               });
  if (!logs.ok()) return logs.status();
  TellBeginnings(*logs);
  for (const ShardLog& log : *logs) {
    if (log.tail.torn) collector.stats().torn_bytes += log.tail.cut_bytes;
  }
  if (absl::Status s = collector.AddFiles(ledger); !s.ok()) return s;
  return collector.Take();
}

}  // namespace tallystick::tally
