#include "api/old_shard.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "api/ids.h"
#include "api/replay_block.h"

namespace tallystick {

OldShard::OldShard(std::string directory, const wal::LogIdentity& identity,
                   std::unique_ptr<wal::LogReader> reader)
    : directory_(std::move(directory)),
      number_(identity.shard),
      reader_(std::move(reader)),
      machine_(ledger::Limits{}, RandomId().low()) {}

absl::StatusOr<std::unique_ptr<OldShard>> OldShard::Open(wal::Io& io,
                                                         const wal::LogFolders& folders,
                                                         const wal::LogIdentity& identity) {
  auto reader = wal::LogReader::Open(io, folders, identity);
  if (!reader.ok()) return reader.status();
  std::unique_ptr<OldShard> shard(new OldShard(folders.log, identity, *std::move(reader)));
  if (absl::Status s = shard->ReadOn(); !s.ok()) return s;
  return shard;
}

absl::Status OldShard::Advance() { return ++next_ < units_.size() ? absl::OkStatus() : ReadOn(); }

absl::Status OldShard::ReadOn() {
  next_ = 0;
  units_.clear();
  wal::BlockView block;
  while (units_.empty()) {
    const absl::StatusOr<bool> more = reader_->Next(&block);
    if (!more.ok()) return more.status();
    if (!*more) break;
    if (absl::Status s = ReplayBlock(block, directory_, machine_); !s.ok()) return s;
    units_ = UnitsOf(block, log_time_);
    if (!units_.empty()) records_ += block.header->count;
  }
  if (!units_.empty() || reader_->tail().segment != 0) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(directory_, ": the log of this shard is missing"));
}

}  // namespace tallystick
