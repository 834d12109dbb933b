// tally log: a ledger's log, without its server; but follow.

#include "api/tally/command.h"
#include "api/tally/log_commands.h"

namespace tallystick::tally {

void AddDirectory(CLI::App* command, std::string* directory) {
  command->add_option("directory", *directory, "The ledger's data directory")
      ->required()
      ->check(NotEmpty());
}

void AddLogCommands(CLI::App& app, const Server& server) {
  CLI::App* log = app.add_subcommand("log", "Read and repair a ledger's log, without its server");
  log->require_subcommand(1);
  AddLogVerifyCommand(log);
  AddLogDumpCommand(log);
  AddLogReplayCommand(log);
  AddLogDiffCommand(log);
  AddLogStatCommand(log);
  AddLogCutCommand(log);
  AddLogExportCommand(*log);
  AddLogFollowCommand(log, server);
}

}  // namespace tallystick::tally
