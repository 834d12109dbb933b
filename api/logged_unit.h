// What a log's records were written by: one step of the state machine after the other.

#ifndef TALLYSTICK_API_LOGGED_UNIT_H_
#define TALLYSTICK_API_LOGGED_UNIT_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "ledger/types.h"
#include "wal/log_reader.h"

namespace tallystick {

// Records of one account that belong together, or what belongs to no account.
// An operation's lot may expire at once: that record stands behind it, and belongs to it.
struct LoggedUnit {
  enum class Type : uint8_t {
    kOperations,  // one operation or a chain, each behind what settling its account wrote; what is
                  // of a transfer is one by itself
    kSettling,    // of an account that was due
    kTick,        // the operation
    kProgram,     // a version's put
  };
  Type type = Type::kOperations;
  bool import_clock = false;
  // Whether log time, when it was applied, was already behind what the operation alone gives.
  bool late = false;
  // Log time when it began, and behind it: they differ for a chain of the import clock only.
  Instant time = 0;
  Instant end_time = 0;
  Position position = 0;           // of the first slot
  Position closed_by = 0;          // of the last operation, or the last record of a settling
  absl::Span<const Record> slots;  // detail slots included

  uint16_t program() const { return slots[0].operation.program(); }
  const Id& member() const { return slots[0].operation.member(); }
};

// Cuts a block into its units, which refer to it; none for a block without records. `log_time`:
// that of the shard before the block, and then behind it. The last unit may be broken off where the
// block is not whole: replay the block first.
// `divide_chains`: each link is a unit.
std::vector<LoggedUnit> UnitsOf(const wal::BlockView& block, Instant& log_time,
                                bool divide_chains = false);

}  // namespace tallystick

#endif  // TALLYSTICK_API_LOGGED_UNIT_H_
