// A snapshot's image into a state machine.

#ifndef TALLYSTICK_API_LOAD_IMAGE_H_
#define TALLYSTICK_API_LOAD_IMAGE_H_

#include <functional>

#include "absl/status/status.h"
#include "ledger/state_machine.h"
#include "wal/snapshot_reader.h"

namespace tallystick {

// Fills the empty `machine` with what the snapshot has; `progress` is called now and then.
// DataLoss: it is damaged; says where. After an error the machine is good for nothing.
absl::Status LoadImage(wal::SnapshotReader& snapshot, ledger::StateMachine& machine,
                       const std::function<void()>& progress);

}  // namespace tallystick

#endif  // TALLYSTICK_API_LOAD_IMAGE_H_
