// From a block of the log to the state machine: what its header's fields mean to the ledger.

#ifndef TALLYSTICK_API_REPLAY_BLOCK_H_
#define TALLYSTICK_API_REPLAY_BLOCK_H_

#include <cstdint>
#include <limits>
#include <string>

#include "absl/status/status.h"
#include "ledger/state_machine.h"
#include "wal/log_reader.h"

namespace tallystick {

// BlockHeader::flags of a records block.
inline constexpr uint8_t kBlockImportClock = 1;  // log time follows occurred_at
inline constexpr uint8_t kBlockDigest =
    2;  // the header has the digest of the state behind the block

// Applies a block to the state that those before it gave, and compares records and digest; blocks
// without records do nothing. Records behind position `last` are left out, and then the digest is
// not compared. Errors name `directory`, segment and offset: DataLoss when the log does not follow
// from itself, FailedPrecondition when a newer engine wrote it.
absl::Status ReplayBlock(const wal::BlockView& block, const std::string& directory,
                         ledger::StateMachine& machine,
                         Position last = std::numeric_limits<Position>::max());

}  // namespace tallystick

#endif  // TALLYSTICK_API_REPLAY_BLOCK_H_
