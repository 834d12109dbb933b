// One shard of a ledger that is read to be written anew: its log, replayed, unit by unit.

#ifndef TALLYSTICK_API_OLD_SHARD_H_
#define TALLYSTICK_API_OLD_SHARD_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/logged_unit.h"
#include "ledger/state_machine.h"
#include "wal/io.h"
#include "wal/log_reader.h"
#include "wal/segment_files.h"

namespace tallystick {

// Holds the state behind the current block, and some 10 MiB for reading.
class OldShard {
 public:
  // At its first unit. Errors: the log's, or that it does not follow from itself.
  static absl::StatusOr<std::unique_ptr<OldShard>> Open(wal::Io& io, const wal::LogFolders& folders,
                                                        const wal::LogIdentity& identity);

  uint16_t number() const { return number_; }
  // Null at the end; else valid until Advance.
  const LoggedUnit* head() const { return next_ < units_.size() ? &units_[next_] : nullptr; }
  absl::Status Advance();

  const ledger::StateMachine& machine() const { return machine_; }
  uint64_t records() const { return records_; }
  uint64_t bytes_read() const { return reader_->bytes_read(); }
  uint64_t bytes_total() const { return reader_->bytes_total(); }

 private:
  OldShard(std::string directory, const wal::LogIdentity& identity,
           std::unique_ptr<wal::LogReader> reader);
  // To the next block that has records, or the end.
  absl::Status ReadOn();

  const std::string directory_;
  const uint16_t number_;
  const std::unique_ptr<wal::LogReader> reader_;
  ledger::StateMachine machine_;
  Instant log_time_ = 0;
  uint64_t records_ = 0;
  std::vector<LoggedUnit> units_;
  size_t next_ = 0;
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_OLD_SHARD_H_
