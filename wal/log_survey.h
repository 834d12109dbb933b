// All that is wrong with one shard's log: where the reader refuses to go on, the survey does.

#ifndef TALLYSTICK_WAL_LOG_SURVEY_H_
#define TALLYSTICK_WAL_LOG_SURVEY_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "wal/format.h"
#include "wal/io.h"
#include "wal/log_reader.h"
#include "wal/segment_files.h"

namespace tallystick::wal {

// So many places are told of; a log with more is not to be understood by reading a list.
inline constexpr size_t kMaxLogDamages = 1'000;

// A place where the next block of the chain should be, and is not.
struct LogDamage {
  uint64_t segment = 0;  // 0: no segment begins the log
  uint64_t offset = 0;
  // Positions that cannot be read. last_position = first_position - 1: none is missing, but what
  // follows does not follow from what is before.
  uint64_t first_position = 1;
  uint64_t last_position = 0;
  // Where the next sound block is; 0: there is none.
  uint64_t next_segment = 0;
  uint64_t next_offset = 0;
  std::string cause;  // a phrase
};

struct LogSurvey {
  // Of the oldest block: greater than 1 when the first segments are gone, which is no damage here.
  uint64_t first_position = 1;
  uint64_t gone_segment = 0;       // the last of them; 0: none is
  std::vector<LogDamage> damages;  // in the order of the chain; empty: the log is sound
  bool complete = true;            // false: there are more than kMaxLogDamages
  LogPlace end;                    // behind the last sound block
  // Every position below is known to have been durable.
  uint64_t durable_before = 1;
  // What lies behind the end of a sound log, was never acknowledged, and is no block.
  uint64_t torn_bytes = 0;
  std::string torn_cause;
};

// The place behind a block.
LogPlace PlaceBehind(const BlockView& block);

// Reads the log from its oldest block to its end. Behind a damaged place it looks at each sector
// for the next sound block and goes on from there: what follows is checked for itself and as a
// chain. `on_block` gets every sound block in order, with how many damages lie before it. The rule
// is the reader's (docs/log-format.md): there is no damage where LogReader reads to the end, and
// the first is where it refuses. Errors: those of LogReader::Open. A file that cannot be read is a
// damage. Costs one reading of the log, and two of what follows the first damage.
absl::StatusOr<LogSurvey> SurveyLog(
    Io& io, const LogFolders& folders, const LogIdentity& identity,
    const std::function<void(const BlockView& block, size_t damages)>& on_block);

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_LOG_SURVEY_H_
