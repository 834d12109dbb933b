#include "api/chain_records.h"

#include <cstring>

#include "absl/strings/str_cat.h"

namespace tallystick {
namespace {

// Points that a return wrote off, from the detail slot behind its record.
Points WrittenOff(const Record& record, absl::Span<const wal::Slot> behind) {
  if ((record.result.flags() & kWrittenOff) == 0 || behind.empty()) return 0;
  ReturnDetail detail;
  std::memcpy(&detail, &behind[0], sizeof(detail));
  return detail.written_off;
}

}  // namespace

const Record& RecordAt(const wal::BlockView& block, Position position) {
  return reinterpret_cast<const Record&>(block.slots[position - block.header->first_position]);
}

MovementAnswer MovementAt(const wal::BlockView& block, Position position) {
  const Record& record = RecordAt(block, position);
  const size_t place = position - block.header->first_position;
  MovementAnswer movement{record.operation, record.result,
                          WrittenOff(record, block.slots.subspan(place + 1))};
  movement.result.mutate_position(position);
  return movement;
}

absl::Status NotOfChain(Position position) {
  return absl::DataLossError(absl::StrCat("position ", position,
                                          " is not a record of the member whose history chain "
                                          "leads to it: verify the log"));
}

absl::Status LeadsForward(Position position) {
  return absl::DataLossError(
      absl::StrCat("the history chain at position ", position, " leads forward: verify the log"));
}

}  // namespace tallystick
