// What replayed logs have come to, for the tools that print it.

#ifndef TALLYSTICK_API_TALLY_REPLAY_REPORT_H_
#define TALLYSTICK_API_TALLY_REPLAY_REPORT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "absl/status/statusor.h"
#include "api/tally/ledger_log.h"
#include "ledger/state_machine.h"

namespace tallystick::tally {

// The state of each shard.
using Machines = std::map<uint16_t, std::unique_ptr<ledger::StateMachine>>;

// The shard's; a new one if it has none yet.
ledger::StateMachine& MachineOf(Machines& machines, uint16_t shard);

// Replays a ledger's logs to a point, as ReplayLedgerTo does; `machines` gets their states.
absl::StatusOr<std::vector<ShardLog>> ReplayMachinesTo(OfflineLedger& ledger, const LogPoint& to,
                                                       Machines& machines);

// The totals of a program.
nlohmann::ordered_json TotalsJson(uint16_t program, const ledger::Totals& totals);
// digest and time of all, what was read of each shard, and the totals of each program.
nlohmann::ordered_json ReplayJson(const std::vector<ShardLog>& logs, const Machines& machines);
// The same for people, on stdout.
void PrintReplay(const std::vector<ShardLog>& logs, const Machines& machines);

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_REPLAY_REPORT_H_
