// Writes a ledger anew with another number of shards: the same operations, at the same log times,
// with the same results, as a new ledger.
//
// The old shards' logs are replayed and merged by log time; each shard keeps its own order, equal
// times go by shard. A program's put is on every old shard, at moments that differ a little: what
// came before it there comes before it here, and what came after comes after. Log time then stands
// still for as long as the moments differ.
//
// What a member received comes behind what the other sent, and the settlement behind that. What is
// on its way stays so: it is resumed when the new ledger is opened.

#ifndef TALLYSTICK_API_RESHARD_H_
#define TALLYSTICK_API_RESHARD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/ledger_files.h"
#include "ledger/totals.h"
#include "wal/io.h"

namespace tallystick {

struct ReshardOptions {
  std::string from;         // the old ledger's directory; locked by the caller, only read
  LedgerIdentity identity;  // the old one's
  std::string into;         // where the new shards' folders are made
  uint16_t shards = 1;      // 1 to kMaxShards
  // Of the old logs, read, and of the new ones' first segments, made.
  std::function<void(uint64_t bytes, uint64_t of_bytes)> progress = nullptr;
};

struct ReshardReport {
  LedgerIdentity identity;  // the new one's, to be published
  uint64_t records_read = 0;
  uint64_t records_written = 0;
  std::vector<uint64_t> records;  // of each new shard
  Instant time = 0;               // log time at the end
  // Operations that stand at a later log time than they had, around puts; their results are the
  // same.
  uint64_t delayed = 0;
  Instant longest_delay_us = 0;
  uint64_t accounts = 0;
  std::map<uint16_t, ledger::Totals> programs;  // the same in both
};

// When it returns, logs are closed and durable, and totals, accounts and lots of both ledgers are
// the same, and add up. Memory: the states of both ledgers, some 10 MiB an old shard, and a new
// one 11 MiB and three of the largest blocks. Disk: a segment each at least. DataLoss: an old log
// is damaged, or what is recorded in it comes to something else in the new one. ResourceExhausted:
// the disk is full.
absl::StatusOr<ReshardReport> Reshard(wal::Io& io, const ReshardOptions& options);

}  // namespace tallystick

#endif  // TALLYSTICK_API_RESHARD_H_
