// tally: everything about a ledger but serving it.

#include <csignal>
#include <cstdio>
#include <functional>
#include <string>
#include <utility>

#include "api/tally/command.h"
#include "api/tally/usage_error.h"
#include "api/unsigned_options.h"

namespace tallystick::tally {
namespace {

std::function<int()>& ChosenRun() {
  static std::function<int()> run;
  return run;
}

int Main(int argc, char** argv) {
  CLI::App app("tally: the command line of Tallystick, a ledger for loyalty points", "tally");
  Server server;
  app.set_version_flag("--version", "tally " TALLYSTICK_VERSION);
  app.require_subcommand(1);
  // So that --connect is understood behind the subcommand too.
  app.fallthrough();
  app.add_option("--connect", server.address, "The server: unix:PATH or tcp:127.0.0.1:PORT")
      ->envname("TALLY_CONNECT");

  AddProgramCommands(app, server);
  AddImportCommand(app, server);
  AddOperationCommands(app, server);
  AddBalanceCommand(app, server);
  AddScheduleCommand(app, server);
  AddLotsCommand(app, server);
  AddStatementCommand(app, server);
  AddTransactionCommand(app, server);
  AddTotalsCommand(app, server);
  AddOwedCommand(app, server);
  AddTickCommand(app, server);
  AddLogCommands(app, server);
  AddAuditCommand(app);
  AddSnapshotCommands(app, server);
  AddRestoreCommand(app);
  AddReshardCommand(app);
  AddUpgradeCommand(app);
  AddBenchCommand(app, server);
  AddSampleOrdersCommand(app);
  RefuseMinusSigns(app);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // --help is an "error" of status 0.
    if (error.get_exit_code() != 0) {
      std::fprintf(stderr, "tally: %s\n", ExplainUsage(app, error).c_str());
      return 2;
    }
    app.exit(error);
    ChosenRun() = [] { return 0; };
  }
  const int status = ChosenRun()();
  const absl::Status written = FlushOutput();
  return written.ok() ? status : Fail(written);
}

}  // namespace

void OnRun(CLI::App* command, std::function<int()> run, JsonOutput output) {
  command->callback([command, run = std::move(run), output] {
    ChosenRun() = [command, run, output] {
      const int status = run();
      const CLI::Option* json = command->get_option_no_throw("--json");
      if (status != 0 && json != nullptr && json->count() > 0) PrintFailure(output);
      return status;
    };
  });
}

}  // namespace tallystick::tally

int main(int argc, char** argv) {
  // A limit of file sizes is reported as a full disk is.
  std::signal(SIGXFSZ, SIG_IGN);
  return tallystick::tally::Main(argc, argv);
}
