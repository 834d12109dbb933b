// The explicit repair of a damaged log: it is made to end before the damage, and nothing is thrown
// away.

#ifndef TALLYSTICK_WAL_LOG_CUT_H_
#define TALLYSTICK_WAL_LOG_CUT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "wal/format.h"
#include "wal/io.h"
#include "wal/segment_files.h"

namespace tallystick::wal {

// What a cut has changed; names are of files in the log's directory.
struct LogCut {
  std::string aside;               // the folder in it that keeps the originals
  std::vector<std::string> moved;  // into it: segments behind the cut, and snapshots of positions
                                   // that are no more
  std::string copied;              // into it, and then cut short; empty: nothing had to be
  uint64_t given_back_bytes = 0;   // by what was cut short
};

// OK, or FailedPrecondition: the place lies in the archive, or before what is archived; that is
// history which no start needs, and is not cut. Changes nothing.
absl::Status CheckCuttable(Io& io, const LogFolders& folders, const LogPlace& place);

// Ends the log of `folders` behind the block that `place` names. What lies behind it, and the
// snapshots of positions behind it, go into DIRECTORY/aside-N, N from 1; the segment that holds the
// block is copied there before it is cut short. A file NUMBER.cut without content stays where the
// highest segment was, so that no segment number and no epoch is given again.
//
// All is durable when it returns. After a crash, at any step: the log reads as before the cut, or
// as behind it, or is refused as damaged; cutting again at the same place completes it, in the same
// folder. docs/tools.md has the steps.
//
// Errors, with nothing changed: FailedPrecondition: a writer has the log, or an archived segment
// would have to be cut; DataLoss: no such block
// is there. Other errors may come in the middle of it: cut again. REQUIRES: the blocks up to there
// are a sound log.
absl::StatusOr<LogCut> CutLog(Io& io, const LogFolders& folders, const LogIdentity& identity,
                              const LogPlace& place);

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_LOG_CUT_H_
