// What a ledger's logs hold, in figures.

#ifndef TALLYSTICK_API_TALLY_LOG_STATS_H_
#define TALLYSTICK_API_TALLY_LOG_STATS_H_

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "api/tally/offline_ledger.h"
#include "api/tally/rate_series.h"
#include "ledger/types.h"
#include "wal/log_reader.h"

namespace tallystick::tally {

struct Span {
  Instant first = std::numeric_limits<Instant>::max();
  Instant last = std::numeric_limits<Instant>::min();

  bool empty() const { return first > last; }
  void Add(Instant time);
};

struct SegmentStats {
  uint16_t shard = 0;
  uint64_t number = 0;
  uint64_t size_bytes = 0;  // of its file
  bool archived = false;
  uint64_t used_bytes = 0;  // by blocks
  uint64_t blocks = 0;
  uint64_t records = 0;
  Position first_position = 0;
  Span written = {};
};

struct SnapshotStats {
  uint16_t shard = 0;
  Position position = 0;
  uint64_t size_bytes = 0;
  Instant taken_at = 0;
};

// Between two blocks of records that follow each other in a shard.
struct Gap {
  uint16_t shard = 0;
  Instant from = 0;
  Instant to = 0;
};

struct KindStats {
  uint64_t records = 0;
  Points points = 0;  // net
};

struct LogStats {
  // A block of records has at least 2^i of them, and less than 2^(i+1).
  static constexpr size_t kBlockClasses = 16;
  static constexpr size_t kGapsKept = 5;  // the longest

  uint16_t shards = 0;
  uint64_t blocks = 0;   // of all types
  uint64_t records = 0;  // details not counted
  uint64_t bytes = 0;    // of blocks
  uint64_t torn_bytes = 0;
  Span written;               // stamps of blocks of records
  Span occurred;              // of operations
  RateSeries rates;           // by the stamps of blocks
  RateSeries occurred_rates;  // records by occurred_at; bytes: of records
  std::array<uint64_t, kBlockClasses> block_sizes{};
  std::map<std::string, KindStats> kinds;
  std::map<std::string, uint64_t> outcomes;
  std::map<uint16_t, uint64_t> programs;  // records of each
  absl::flat_hash_set<std::pair<uint64_t, uint64_t>> members;
  std::vector<Gap> gaps;  // longest first
  std::vector<SegmentStats> segments;
  std::vector<SnapshotStats> snapshots;
};

// Reads it all. Costs 16 bytes and more for each member seen. Errors: those of ReadLedger.
absl::StatusOr<LogStats> CollectLogStats(OfflineLedger& ledger);

nlohmann::ordered_json LogStatsJson(const LogStats& stats);
// A page with plots.
std::string LogStatsPage(const std::string& directory, const LogStats& stats);

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_LOG_STATS_H_
