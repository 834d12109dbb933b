// Reads one sealed segment by itself: its end is known from the segment behind it.

#ifndef TALLYSTICK_WAL_SEGMENT_READER_H_
#define TALLYSTICK_WAL_SEGMENT_READER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "wal/format.h"
#include "wal/io.h"
#include "wal/log_reader.h"
#include "wal/segment_files.h"

namespace tallystick::wal {

// Where a sealed segment ends: what the start block behind it says.
struct SegmentEnd {
  uint64_t segment = 0;
  uint64_t offset = 0;         // behind its last block
  uint64_t next_position = 0;  // behind its last slot
  Id128 last_hash;             // of its last block's header
};

// Reads the start block of segment `following`, which must continue another: so that one is sealed.
// DataLoss: it does not begin with a sound start block. InvalidArgument: of another log.
// FailedPrecondition: it is the log's first.
absl::StatusOr<SegmentEnd> ReadSegmentEnd(Io& io, const LogFolders& folders, uint64_t following,
                                          const LogIdentity& identity);

class SegmentReader {
 public:
  // Blocks, as Next does. NotFound: no such file.
  static absl::StatusOr<std::unique_ptr<SegmentReader>> Open(Io& io, const LogFolders& folders,
                                                             const LogIdentity& identity,
                                                             const SegmentEnd& end);
  ~SegmentReader();

  // True: *block is the next one, of whatever type, checked as a reader of the whole log does.
  // False: that was the last, and it is the one that the end names. DataLoss: a block is damaged;
  // says where.
  absl::StatusOr<bool> Next(BlockView* block);

 private:
  struct State;
  explicit SegmentReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_SEGMENT_READER_H_
