#include "api/chain_records.h"

#include "absl/strings/str_cat.h"

namespace tallystick {
const Record& RecordAt(const wal::BlockView& block, Position position) {
  return reinterpret_cast<const Record&>(block.slots[position - block.header->first_position]);
}

MovementDetail DetailOf(const Record& record, absl::Span<const wal::Slot> behind) {
  const Kind kind = record.operation.kind();
  MovementDetail detail;
  if ((record.result.flags() & (kWrittenOff | kDetailed)) == 0 || behind.empty()) return detail;
  if (kind == Kind::Return) {
    const auto slot = DetailIn<ReturnDetail>(behind[0]);
    detail.claim = slot.claim;
    detail.from_pending = slot.from_pending;
    detail.from_available = slot.from_available;
    detail.to_debt = slot.to_debt;
    detail.written_off = slot.written_off;
  } else if (kind == Kind::Capture) {
    const auto slot = DetailIn<CaptureDetail>(behind[0]);
    detail.captured = slot.captured;
    detail.given_back = slot.given_back;
    detail.forgiven = slot.forgiven;
  } else if (kind == Kind::ReverseRedemption) {
    const auto slot = DetailIn<ReversalDetail>(behind[0]);
    detail.reinstated = slot.reinstated;
    detail.repaid = slot.repaid;
    detail.forfeited = slot.forfeited;
  } else if (kind == Kind::Close) {
    const auto slot = DetailIn<CloseDetail>(behind[0]);
    detail.from_pending = slot.pending;
    detail.from_available = slot.available;
    detail.forgiven = slot.forgiven;
  }
  return detail;
}

MovementAnswer MovementAt(const wal::BlockView& block, Position position) {
  const Record& record = RecordAt(block, position);
  const size_t place = position - block.header->first_position;
  MovementAnswer movement{record.operation, record.result,
                          DetailOf(record, block.slots.subspan(place + 1))};
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
