// The subcommands of `tally log`, one a file. docs/tools.md says what each does.

#ifndef TALLYSTICK_API_TALLY_LOG_COMMANDS_H_
#define TALLYSTICK_API_TALLY_LOG_COMMANDS_H_

#include <CLI/CLI.hpp>
#include <string>

#include "api/tally/command.h"

namespace tallystick::tally {

void AddLogVerifyCommand(CLI::App* log);
void AddLogDumpCommand(CLI::App* log);
void AddLogReplayCommand(CLI::App* log);
void AddLogDiffCommand(CLI::App* log);
void AddLogStatCommand(CLI::App* log);
void AddLogCutCommand(CLI::App* log);
void AddLogFollowCommand(CLI::App* log, const Server& server);
// Also one of `tally snapshot`.
void AddSnapshotDiffCommand(CLI::App* snapshot);

// The ledger's data directory.
void AddDirectory(CLI::App* command, std::string* directory);

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_LOG_COMMANDS_H_
