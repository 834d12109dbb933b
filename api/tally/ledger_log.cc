#include "api/tally/ledger_log.h"

#include <cstdio>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tallystick::tally {
namespace {

using OnBlock = std::function<absl::Status(uint16_t, const wal::BlockView&, Position)>;

absl::StatusOr<ShardLog> ReadShard(wal::LogReader& reader, uint16_t shard, const std::string& path,
                                   PointFollower follower, const OnBlock& on_block) {
  ShardLog log;
  log.shard = shard;
  log.first_position = reader.first_position();
  log.position = log.first_position - 1;
  wal::BlockView block;
  while (true) {
    const absl::StatusOr<bool> more = reader.Next(&block);
    if (!more.ok()) return more.status();
    if (!*more) break;
    const Position last = follower.LastIn(block);
    if (last >= block.header->first_position) {
      ++log.blocks;
      log.position = last;
      if (block.header->type == wal::BlockType::kRecords) {
        log.records += last - block.header->first_position + 1;
      }
    }
    if (absl::Status s = on_block(shard, block, last); !s.ok()) return s;
  }
  log.tail = reader.TakeTail();
  if (log.tail.segment == 0) {
    return absl::DataLossError(absl::StrCat(path, ": the log of this shard is missing"));
  }
  return log;
}

}  // namespace

absl::StatusOr<std::vector<ShardLog>> ReplayLedgerTo(OfflineLedger& ledger, const LogPoint& to,
                                                     const LedgerReplay& replay) {
  if (absl::Status s = to.Check(ledger.shard_count()); !s.ok()) return s;
  std::vector<ShardLog> logs;
  std::map<uint16_t, Position> ends;
  for (uint16_t shard = 0; shard < ledger.shard_count(); ++shard) {
    auto start = BeginReplay(ledger.io(), ledger.FoldersOf(shard), ledger.LogOf(shard));
    if (!start.ok()) return start.status();
    const Instant log_time = start->machine->log_time();
    absl::Status status = to.CheckBeginning(shard, start->position(), log_time);
    if (status.ok()) status = replay.on_begin(shard, *start);
    if (!status.ok()) return status;
    auto log = ReadShard(*start->reader, shard, ledger.ShardPath(shard),
                         PointFollower(to, shard, log_time), replay.on_block);
    if (!log.ok()) return log.status();
    ends[shard] = log->tail.next_position - 1;
    logs.push_back(*std::move(log));
  }
  if (absl::Status s = to.CheckEnds(ends); !s.ok()) return s;
  return logs;
}

absl::StatusOr<std::vector<ShardLog>> ReadLedger(
    OfflineLedger& ledger, Position to,
    const std::function<absl::Status(uint16_t, const wal::BlockView&)>& on_block) {
  const auto any_last = [&](uint16_t shard, const wal::BlockView& block, Position) {
    return on_block(shard, block);
  };
  std::vector<ShardLog> logs;
  for (uint16_t shard = 0; shard < ledger.shard_count(); ++shard) {
    const auto reader =
        wal::LogReader::OpenOldest(ledger.io(), ledger.FoldersOf(shard), ledger.LogOf(shard));
    if (!reader.ok()) return reader.status();
    auto log = ReadShard(**reader, shard, ledger.ShardPath(shard),
                         PointFollower(LogPoint(to), shard), any_last);
    if (!log.ok()) return log.status();
    logs.push_back(*std::move(log));
  }
  return logs;
}

void TellBeginnings(const std::vector<ShardLog>& logs) {
  for (const ShardLog& log : logs) {
    if (log.first_position == 1) continue;
    std::fprintf(stderr, "shard %u: the log begins at position %lu: older segments are gone\n",
                 log.shard, log.first_position);
  }
}

absl::Status EachRecord(const wal::BlockView& block,
                        const std::function<absl::Status(Position, const Record&,
                                                         absl::Span<const wal::Slot>)>& on_record) {
  if (block.header->type != wal::BlockType::kRecords) return absl::OkStatus();
  size_t i = 0;
  while (i < block.slots.size()) {
    const auto& record = reinterpret_cast<const Record&>(block.slots[i]);
    const size_t details = IsDerived(record.operation.kind()) ? 0 : record.result.details();
    if (details > block.slots.size() - i - 1) {
      return absl::DataLossError(absl::StrCat(
          "segment ", block.segment, " offset ", block.offset, ": the details of position ",
          block.header->first_position + i, " reach beyond its block"));
    }
    absl::Status s =
        on_record(block.header->first_position + i, record, block.slots.subspan(i + 1, details));
    if (!s.ok()) return s;
    i += 1 + details;
  }
  return absl::OkStatus();
}

}  // namespace tallystick::tally
