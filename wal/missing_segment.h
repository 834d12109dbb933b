// Why a log's older part is not there: the archive's limits have removed it, or it is lost.

#ifndef TALLYSTICK_WAL_MISSING_SEGMENT_H_
#define TALLYSTICK_WAL_MISSING_SEGMENT_H_

#include <cstdint>

#include "absl/status/status.h"
#include "wal/io.h"
#include "wal/segment_files.h"

namespace tallystick::wal {

// Of a segment of which there is no file. NotFound: the limits removed it, says with which position
// the log begins now. DataLoss: it is lost, says which files could bring it back. Others: that
// cannot be seen. Lists the folders and reads a block, while the caller waits.
absl::Status MissingSegment(Io& io, const LogFolders& folders, uint64_t segment);

// The same, of what lies before a segment that is there.
absl::Status MissingBefore(Io& io, const LogFolders& folders, uint64_t segment);

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_MISSING_SEGMENT_H_
