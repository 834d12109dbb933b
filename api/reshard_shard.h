// One shard of a ledger that is written anew: it takes the units of other logs in the order of log
// time, applies them, and holds what they come to against what they came to then.

#ifndef TALLYSTICK_API_RESHARD_SHARD_H_
#define TALLYSTICK_API_RESHARD_SHARD_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/logged_unit.h"
#include "api/reshard_transfers.h"
#include "ledger/state_machine.h"
#include "wal/io.h"
#include "wal/log_writer.h"

namespace tallystick {

// Units wait until they fill a block, or the next one cannot stand in the same: under the wall
// clock a block has one log time, under the import clock none of its operations may be dated behind
// the log time that it had. Holds its state, and three of the largest blocks that a segment takes.
class ReshardShard {
 public:
  // `directory` is missing; its log's segments are of `segment_bytes`. The first is written at
  // once, full of zeros. `transfers` outlives it.
  static absl::StatusOr<std::unique_ptr<ReshardShard>> Create(wal::Io& io,
                                                              const std::string& directory,
                                                              const wal::LogIdentity& identity,
                                                              uint64_t segment_bytes,
                                                              ReshardTransfers& transfers);

  // Takes a copy. `from`: the unit's old shard, for errors. Units other than ticks; log time stands
  // still where one comes too late. DataLoss: a unit that waited comes to another result than it
  // had. ResourceExhausted: the disk is full. Other errors: the disk's.
  absl::Status Add(const LoggedUnit& unit, uint16_t from);
  // Log time goes on to `to`, under the import clock, if it is not there yet: a tick is written.
  absl::Status Raise(Instant to, const Id& id);
  // Applies what waits: transfers are told of their positions.
  absl::Status Flush();
  // The same, and closes the log, durably.
  absl::Status Finish();

  const ledger::StateMachine& machine() const { return machine_; }
  Instant time() const { return time_; }
  // Slots written, but for start and witness blocks.
  uint64_t records() const { return records_; }
  // Units that came too late, and by how much at most.
  uint64_t delayed() const { return delayed_; }
  Instant longest_delay() const { return longest_delay_; }

 private:
  struct Waiting {
    LoggedUnit::Type type;
    size_t begin;  // in slots_
    size_t count;
    uint16_t from;
    Position position;  // there
  };

  ReshardShard(wal::Io& io, std::unique_ptr<wal::LogWriter> writer, ReshardTransfers& transfers);
  absl::Status MakeRoom(bool import_clock, Instant end, bool dated_behind, size_t slots);
  size_t RoomFor(const Waiting& unit) const;
  absl::Status OpenBlock(size_t least);
  void SealBlock();
  absl::Status Apply(const Waiting& unit);
  absl::Status ApplyOperations(const Waiting& unit);
  bool ApplyOne(absl::Span<const Record> slots, const OldTransfer& place, Result& result);
  absl::Status Put(const Waiting& unit);
  absl::Status Compare(const Waiting& unit, size_t begin) const;
  absl::Status Differs(const Waiting& unit, absl::string_view how) const;
  absl::Span<const Record> SlotsOfUnit(const Waiting& unit) const {
    return absl::MakeConstSpan(slots_).subspan(unit.begin, unit.count);
  }

  wal::Io& io_;
  const std::unique_ptr<wal::LogWriter> writer_;
  ReshardTransfers& transfers_;
  ledger::StateMachine machine_;
  Instant time_ = 0;  // log time behind all that waits

  std::vector<Waiting> waiting_;
  std::vector<Record> slots_;
  // Of the block that they will be in.
  bool import_clock_ = false;
  Instant stamp_ = 0;
  bool stamp_is_final_ = false;

  bool block_open_ = false;
  ledger::RecordSink sink_;

  uint64_t records_ = 0;
  uint64_t delayed_ = 0;
  Instant longest_delay_ = 0;
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_RESHARD_SHARD_H_
