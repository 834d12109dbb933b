// A record as the log has it, and as its readers are told of it.

#ifndef TALLYSTICK_API_CHAIN_RECORDS_H_
#define TALLYSTICK_API_CHAIN_RECORDS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "api/messages.h"
#include "ledger/types.h"
#include "wal/log_reader.h"

namespace tallystick {

// REQUIRES: the block holds the position, which is a record's.
const Record& RecordAt(const wal::BlockView& block, Position position);
MovementAnswer MovementAt(const wal::BlockView& block, Position position);
// What the detail slot behind a record says, if it has one that does. `behind`: the slots that
// follow it.
MovementDetail DetailOf(const Record& record, absl::Span<const wal::Slot> behind);

inline bool IsOf(const Record& record, uint16_t program, const Id& member) {
  return record.operation.member() == member && record.operation.program() == program;
}

// What is wrong with a history chain.
absl::Status NotOfChain(Position position);
absl::Status LeadsForward(Position position);

}  // namespace tallystick

#endif  // TALLYSTICK_API_CHAIN_RECORDS_H_
