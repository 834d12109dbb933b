// By which keys the history is searched, and the index of a sealed segment.

#ifndef TALLYSTICK_API_HISTORY_KEYS_H_
#define TALLYSTICK_API_HISTORY_KEYS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ledger/types.h"
#include "wal/io.h"
#include "wal/key_index_writer.h"
#include "wal/log_reader.h"
#include "wal/segment_files.h"
#include "wal/segment_reader.h"

namespace tallystick {

// The families of the index. A transaction is found by its id alone: of those that programs and
// members share, the records say whose they are.
inline constexpr size_t kTransactionKeys = 0;
inline constexpr size_t kMemberKeys = 1;

inline wal::Id128 HistoryKey(const Id& id) { return {.low = id.low(), .high = id.high()}; }

// Calls `visit` for each record of a block with its position; detail slots, start and witness
// blocks have none. DataLoss: a record's details go beyond the block.
absl::Status VisitRecords(const wal::BlockView& block,
                          absl::FunctionRef<void(Position, const Record&)> visit);

// Adds a block and the keys of its records: the transaction id, which derived records do not have,
// and the member, which programs do not have.
absl::Status AddHistoryKeys(const wal::BlockView& block, wal::KeyIndexWriter& index);

// Builds the index of one sealed segment, plain or archived, in the directory of its log: a piece
// at a time, on any thread with its own Io. Errors, of Begin and Step: DataLoss: the segment is
// damaged; NotFound: it is not there; ResourceExhausted: the disk is full; OutOfRange: it is too
// large for an index. Nothing is left half done under the index's name.
class HistoryIndexBuild {
 public:
  static absl::StatusOr<std::unique_ptr<HistoryIndexBuild>> Begin(wal::Io& io,
                                                                  const wal::LogFolders& folders,
                                                                  const wal::LogIdentity& identity,
                                                                  const wal::SegmentEnd& end);

  // Reads and verifies some MiB of the segment; behind the last, sorts and writes the index (40 ms
  // for a segment of 64 MiB, two seconds for the largest). True: it is durable. Blocks.
  absl::StatusOr<bool> Step();

  // Of the file. Valid when Step has returned true.
  uint64_t size_bytes() const { return index_.size_bytes(); }

 private:
  HistoryIndexBuild(wal::Io& io, std::string directory, std::unique_ptr<wal::SegmentReader> segment,
                    const wal::LogIdentity& identity, uint64_t number)
      : io_(io),
        directory_(std::move(directory)),
        segment_(std::move(segment)),
        index_(identity, number) {}

  wal::Io& io_;
  const std::string directory_;
  const std::unique_ptr<wal::SegmentReader> segment_;
  wal::KeyIndexWriter index_;
};

// All of it at once. Returns the index's size in bytes.
absl::StatusOr<uint64_t> BuildHistoryIndex(wal::Io& io, const wal::LogFolders& folders,
                                           const wal::LogIdentity& identity,
                                           const wal::SegmentEnd& end);

}  // namespace tallystick

#endif  // TALLYSTICK_API_HISTORY_KEYS_H_
