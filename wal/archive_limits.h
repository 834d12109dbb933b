// Removes the oldest segments of an archive that has limits, and never in silence.

#ifndef TALLYSTICK_WAL_ARCHIVE_LIMITS_H_
#define TALLYSTICK_WAL_ARCHIVE_LIMITS_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "wal/archive_format.h"
#include "wal/io.h"

namespace tallystick::wal {

// 0: for ever.
struct ArchiveLimits {
  int64_t keep_us = 0;  // from when a segment was archived, by the wall clock
  uint64_t keep_bytes = 0;

  bool any() const { return keep_us != 0 || keep_bytes != 0; }
};

class ArchiveTrimmer {
 public:
  // `directory`: of the archives. `report`: gets a sentence before each removal; `removed`: is
  // called behind it.
  ArchiveTrimmer(Io& io, std::string directory, const ArchiveLimits& limits,
                 std::function<void(const std::string&)> report,
                 std::function<void(uint64_t segment, uint64_t next_position)> removed);

  // Looks at what was archived since the last time.
  absl::Status Look();
  // A piece of work: reads some heads, or removes the oldest segment if it is below `first_needed`
  // and beyond a limit. False: there is nothing to do now.
  absl::StatusOr<bool> Step(uint64_t first_needed);

 private:
  // Heads that one step reads.
  static constexpr size_t kHeadsAtOnce = 64;

  struct Entry {
    uint64_t segment = 0;
    bool damaged = false;  // nothing else is known
    uint64_t first_position = 0;
    uint64_t next_position = 0;
    int64_t first_timestamp_us = 0;
    int64_t last_timestamp_us = 0;
    int64_t archived_us = 0;
    uint64_t file_bytes = 0;
  };
  absl::Status ReadHeads();
  // Why the oldest that is sound has to go, as a phrase; empty: it has not.
  std::string Reason(const Entry& oldest) const;

  Io& io_;
  const std::string directory_;
  const ArchiveLimits limits_;
  const std::function<void(const std::string&)> report_;
  const std::function<void(uint64_t segment, uint64_t next_position)> removed_;
  std::deque<uint64_t> unread_;  // segments, ascending
  std::deque<Entry> archives_;   // ascending
  uint64_t last_seen_ = 0;
  uint64_t bytes_ = 0;  // of archives_
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_ARCHIVE_LIMITS_H_
