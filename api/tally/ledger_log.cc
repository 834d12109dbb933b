#include "api/tally/ledger_log.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "api/ledger_files.h"
#include "api/tally/command.h"
#include "wal/posix_io.h"

namespace tallystick::tally {
namespace {

using OnBlock = std::function<absl::Status(const wal::BlockView&)>;

absl::StatusOr<ShardLog> ReadShard(wal::Io& io, const std::string& directory,
                                   const LedgerIdentity& identity, uint16_t shard, Position to,
                                   const OnBlock& on_block) {
  const std::string path = ShardDirectory(directory, shard);
  auto reader =
      wal::LogReader::Open(io, ShardFolders(directory, identity, shard),
                           wal::LogIdentity{identity.ledger_id, shard, identity.shard_count});
  if (!reader.ok()) return reader.status();
  ShardLog log;
  log.shard = shard;
  wal::BlockView block;
  while (true) {
    const absl::StatusOr<bool> more = (*reader)->Next(&block);
    if (!more.ok()) return more.status();
    if (!*more) break;
    if (block.header->first_position <= to) {
      ++log.blocks;
      if (block.header->type == wal::BlockType::kRecords) {
        log.records += std::min(block.slots.size(), to - block.header->first_position + 1);
      }
    }
    if (absl::Status s = on_block(block); !s.ok()) return s;
  }
  log.tail = (*reader)->TakeTail();
  if (log.tail.segment == 0) {
    return absl::DataLossError(absl::StrCat(path, ": the log of this shard is missing"));
  }
  log.position = std::min(to, log.tail.next_position - 1);
  return log;
}

}  // namespace

absl::StatusOr<std::vector<ShardLog>> ReadLedger(
    const std::string& directory, Position to,
    const std::function<absl::Status(uint16_t, const wal::BlockView&)>& on_block) {
  auto io = wal::PosixIo::Create();
  if (!io.ok()) return io.status();
  const auto identity = RequireLedger(**io, directory);
  if (!identity.ok()) return identity.status();
  // What a server is writing looks like damage. A copy that must not be written to has no server.
  const auto lock = LockLedger(**io, directory);
  if (absl::IsFailedPrecondition(lock.status())) {
    return absl::FailedPreconditionError(absl::StrCat(
        directory, " is in use: stop its tallyd first, or copy the directory and read the copy"));
  }
  const absl::Cleanup unlock = [&] {
    if (lock.ok()) (*io)->Close(*lock);
  };
  std::vector<ShardLog> logs;
  for (uint16_t shard = 0; shard < identity->shard_count; ++shard) {
    auto log = ReadShard(**io, directory, *identity, shard, to,
                         [&](const wal::BlockView& block) { return on_block(shard, block); });
    if (!log.ok()) return log.status();
    logs.push_back(*std::move(log));
  }
  return logs;
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
