// Where a replay of one shard's log begins.

#ifndef TALLYSTICK_API_TALLY_REPLAY_START_H_
#define TALLYSTICK_API_TALLY_REPLAY_START_H_

#include <memory>

#include "absl/status/statusor.h"
#include "ledger/state_machine.h"
#include "wal/io.h"
#include "wal/log_reader.h"
#include "wal/segment_files.h"

namespace tallystick::tally {

struct ReplayStart {
  // At the log's first block, with an empty state; or, where the first segments are gone, behind
  // the block at which the oldest sound snapshot was taken, with its state.
  std::unique_ptr<wal::LogReader> reader;
  std::unique_ptr<ledger::StateMachine> machine;
  wal::Id128 last_hash = {};  // of the header of the block before

  // The last one that the state has; 0: it is empty.
  Position position() const { return reader->first_position() - 1; }
};

// Errors: those of LogReader. DataLoss: no sound snapshot takes the place of what is gone.
absl::StatusOr<ReplayStart> BeginReplay(wal::Io& io, const wal::LogFolders& folders,
                                        const wal::LogIdentity& identity);

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_REPLAY_START_H_
