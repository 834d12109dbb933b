// Reads one shard's log from its first block, or a known one, to where it ends, checking
// everything.

#ifndef TALLYSTICK_WAL_LOG_READER_H_
#define TALLYSTICK_WAL_LOG_READER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "wal/format.h"
#include "wal/io.h"
#include "wal/log_index.h"
#include "wal/segment_files.h"

namespace tallystick::wal {

// Where and how the log ends; what a writer needs to go on.
struct LogTail {
  LogIdentity identity;
  uint32_t epoch = 0;    // of the last block
  uint64_t segment = 0;  // that holds the end; 0: the log is empty
  uint64_t offset = 0;   // first byte behind the last valid block
  uint64_t next_position = 1;
  int64_t timestamp_us = 0;      // of the last block
  uint64_t durable_before = 1;   // what the last block knows to be durable
  Id128 last_hash;               // of the last block's header
  uint64_t highest_segment = 0;  // whose file exists, be it valid, empty or set aside as "*.cut"
  bool torn = false;  // something that is not a valid block, and not zeros, lies behind the end
  uint64_t cut_bytes = 0;  // how much of it (up to the last non-zero byte, over all segments)
  std::string cut_reason;  // what is wrong with the first invalid block, as a sentence
  LogIndex index;
};

struct BlockView {
  const BlockHeader* header = nullptr;  // both valid until the next call
  absl::Span<const Slot> slots;
  uint64_t segment = 0;
  uint64_t offset = 0;
};

class LogReader {
 public:
  // Reads the first block of each segment, plain or archived; changes nothing. Of a segment that is
  // both, the plain file rules while it is sound. `identity`: whose log it must be; absent (offline
  // tools): the first block says. NotFound: no directory. FailedPrecondition: another ledger's,
  // shard's or format version's log: says which.
  static absl::StatusOr<std::unique_ptr<LogReader>> Open(Io& io, const LogFolders& folders,
                                                         std::optional<LogIdentity> identity);
  // The same, from the oldest segment that there is, where others before it are gone.
  static absl::StatusOr<std::unique_ptr<LogReader>> OpenOldest(
      Io& io, const LogFolders& folders, const std::optional<LogIdentity>& identity);
  // The same, to read on from `from`. Blocks before it are not looked at; tail().index finds them
  // all the same, as far back as there are segments. DataLoss: the log has no such place.
  static absl::StatusOr<std::unique_ptr<LogReader>> OpenAt(Io& io, const LogFolders& folders,
                                                           const LogIdentity& identity,
                                                           const LogPlace& from);
  // For surveys of a damaged log: as OpenOldest or, behind a block that was found sound, as OpenAt,
  // though the block's segment may have lost its start. Where no valid block follows, Next returns
  // OutOfRange with the bare cause, be it an end or damage; DataLoss where it can only be damage.
  static absl::StatusOr<std::unique_ptr<LogReader>> OpenForSurvey(
      Io& io, const LogFolders& folders, const LogIdentity& identity,
      const std::optional<LogPlace>& from);
  ~LogReader();

  // Of the first block that Next is to give. Greater than 1 behind OpenOldest: what is before is
  // gone.
  uint64_t first_position() const;

  // Behind OpenAt: whether the segments before are all there, as SegmentCatalog::CheckBeginning
  // says.
  const absl::Status& beginning() const;

  // True: *block is the next one, of whatever type. False: the log ends here, by the rule of
  // docs/log-format.md; see tail().
  // DataLoss: a block that a later one knows to be durable is damaged, or an archive is; names
  // file, segment, offset and cause; or the oldest segments are gone, so that the log can be read
  // from a snapshot's place only. FailedPrecondition: the archive is ahead of the log. Other
  // errors: the file could not be read; never taken for an end of the log.
  absl::StatusOr<bool> Next(BlockView* block);

  // Valid when Next has returned false.
  const LogTail& tail() const;
  LogTail TakeTail();

  // Bytes of segments read so far, and in all; for progress.
  uint64_t bytes_read() const;
  uint64_t bytes_total() const;

 private:
  struct State;
  explicit LogReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_LOG_READER_H_
