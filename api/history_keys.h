// By which keys the history is searched, and the index of a sealed segment.

#ifndef TALLYSTICK_API_HISTORY_KEYS_H_
#define TALLYSTICK_API_HISTORY_KEYS_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ledger/types.h"
#include "wal/key_index_writer.h"
#include "wal/log_reader.h"
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

// Reads a sealed segment, verifying it, and writes its index: durable when it returns. Blocks; may
// be called on any thread with its own Io. Returns the index's size in bytes. DataLoss: the segment
// is damaged; ResourceExhausted: the disk is full; OutOfRange: the segment is too large for an
// index.
absl::StatusOr<uint64_t> BuildHistoryIndex(wal::Io& io, const std::string& directory,
                                           const wal::LogIdentity& identity,
                                           const wal::SegmentEnd& end);

}  // namespace tallystick

#endif  // TALLYSTICK_API_HISTORY_KEYS_H_
