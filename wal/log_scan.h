// What lies behind the place where a log seems to end: leftovers, or proof of damage.

#ifndef TALLYSTICK_WAL_LOG_SCAN_H_
#define TALLYSTICK_WAL_LOG_SCAN_H_

#include <cstdint>

#include "absl/status/status.h"
#include "wal/log_reader.h"
#include "wal/segment_window.h"

namespace tallystick::wal {

struct ScanResult {
  // Of all headers found, the one that knows the most positions to be durable.
  uint64_t durable_before = 0;
  uint64_t witness_segment = 0;
  uint64_t witness_offset = 0;
  // Bytes from where each scan began to its last byte that is not zero.
  uint64_t leftover_bytes = 0;
};

// Looks at each sector of segment `number` from `offset` (a multiple of kSectorBytes) on for a
// header of this log and this segment, and adds what it finds to `result`. Bodies are not checked:
// a header whose checksum is right was written by a writer who knew what it says. Headers are not
// used to jump over bodies either: that one of a thousand sectors is believed must never hide
// another one.
absl::Status ScanSegment(SegmentWindow& window, const LogIdentity& identity, uint64_t number,
                         uint64_t offset, ScanResult& result);

// Whether the header was written for this ledger, shard and shard count.
bool BelongsTo(const BlockHeader& header, const LogIdentity& identity);

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_LOG_SCAN_H_
