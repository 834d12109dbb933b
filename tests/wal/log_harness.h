// Drives a log writer over the simulated disk and keeps account of what it was promised.

#ifndef TALLYSTICK_TESTS_WAL_LOG_HARNESS_H_
#define TALLYSTICK_TESTS_WAL_LOG_HARNESS_H_

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/sim/sim_io.h"
#include "wal/log_reader.h"
#include "wal/log_writer.h"

namespace tallystick::wal {

inline constexpr char kLogDirectory[] = "/data/shard-0";
inline constexpr LogIdentity kIdentity = {
    .ledger_id = {.low = 0x1122334455667788, .high = 0x99aabbccddeeff00},
    .shard = 3,
    .shard_count = 8};

// One block as it was written or read.
struct BlockCopy {
  BlockHeader header;
  std::vector<Slot> slots;
  uint64_t segment = 0;
  uint64_t offset = 0;

  uint64_t end_position() const { return header.first_position + header.count; }
};

// A log read to its end, or to where it is refused.
struct LogCopy {
  absl::Status status;
  std::vector<BlockCopy> blocks;
  LogTail tail;  // if status is OK
};

LogCopy ReadLog(Io& io, const std::string& directory = kLogDirectory);

// What the layer above cares for: its own slots and where they are.
struct Written {
  uint64_t first_position = 0;
  int64_t timestamp_us = 0;
  std::vector<uint64_t> seeds;  // one a slot
};

// Slots whose every byte follows from a seed.
Slot MakeSlot(uint64_t seed);
bool Equal(const Slot& a, const Slot& b);
bool Matches(const BlockCopy& block, const Written& written);

// Blocks of records only.
std::vector<BlockCopy> Records(const LogCopy& log);

LogWriterOptions SmallOptions(Durability durability = Durability::kOpenDsync);

// A writer and its memory: `history` is every block of records, across openings, that the log holds
// or may hold; `acknowledged` how far it must hold them.
struct LogSession {
  LogSession(sim::SimIo& io, const LogWriterOptions& options) : io(io), options(options) {}

  // Reads the log, compares it with the history, forgets what was cut, and opens a writer.
  // What the comparison finds wrong is in `mismatch`.
  absl::Status Open();
  absl::Status OpenAt(LogTail tail);
  // Appends a block of that many slots if there is room now; false: there is not.
  bool Append(size_t slots);
  // One turn of the event loop.
  void Turn();
  // Turns until everything sealed is durable, or the log has failed, or `turns` are over.
  bool Settle(int turns = 10'000);
  // Writes `blocks` blocks of random sizes with random turns in between. False: the log failed.
  bool Run(int blocks, std::mt19937_64& random);
  // The log as it can be read now, against the history. Empty: all is as promised.
  std::string Compare(const LogCopy& log) const;

  sim::SimIo& io;
  LogWriterOptions options;
  std::unique_ptr<LogWriter> writer;
  std::vector<Written> history;
  uint64_t acknowledged = 1;
  uint64_t next_seed = 1;
  std::string mismatch;
  LogTail last_tail;  // of the reading in Open
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_TESTS_WAL_LOG_HARNESS_H_
