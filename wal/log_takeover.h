// What a writer does to a log directory before it appends: it makes what was read its own.

#ifndef TALLYSTICK_WAL_LOG_TAKEOVER_H_
#define TALLYSTICK_WAL_LOG_TAKEOVER_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "wal/io.h"
#include "wal/log_reader.h"

namespace tallystick::wal {

// Makes the directory if it is missing and locks it. FailedPrecondition: another writer has it.
absl::StatusOr<Handle> LockLog(Io& io, const std::string& directory);

// Prepares a log that ends at `tail` for its next epoch, so that everything up to there is durable
// and nothing behind it can be mistaken for its continuation:
//   1. checks that the log still ends there (FailedPrecondition: it was written since it was read);
//   2. syncs the segments that may hold blocks that were read but never synced;
//   3. gives back the unwritten rest of the last segment, if nothing was torn;
//   4. renames the segments that lie wholly behind the end to "*.cut".
// A crash in between leaves a log that reads the same. REQUIRES: the directory is locked.
absl::Status TakeOverLog(Io& io, const std::string& directory, const LogTail& tail);

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_LOG_TAKEOVER_H_
