// Records of a log as JSON and as lines for people, and what their detail slots say.

#ifndef TALLYSTICK_API_TALLY_RECORD_JSON_H_
#define TALLYSTICK_API_TALLY_RECORD_JSON_H_

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/types/span.h"
#include "ledger/program_generated.h"
#include "ledger/types.h"
#include "wal/format.h"

namespace tallystick::tally {

// The program that a record puts, in its details; null: it puts none, or one that cannot be read.
const Program* CarriedProgram(const Operation& op, absl::Span<const wal::Slot> details);

// Fields that say nothing are left out. `written_at`: the stamp of its block. docs/tools.md lists
// the fields.
nlohmann::ordered_json RecordJson(uint16_t shard, Instant written_at, Position position,
                                  const Record& record, absl::Span<const wal::Slot> details);

std::string RecordText(uint16_t shard, Position position, const Record& record,
                       absl::Span<const wal::Slot> details);

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_RECORD_JSON_H_
