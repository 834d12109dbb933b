// tally: everything about a ledger but serving it.

#include <functional>
#include <utility>

#include "api/tally/command.h"

namespace tallystick::tally {
namespace {

std::function<int()>& ChosenRun() {
  static std::function<int()> run;
  return run;
}

int Main(int argc, char** argv) {
  CLI::App app("tally: the command line of Tallystick, a ledger for loyalty points", "tally");
  Server server;
  app.require_subcommand(1);
  // So that --connect is understood behind the subcommand too.
  app.fallthrough();
  app.add_option("--connect", server.address, "The server: unix:PATH or tcp:127.0.0.1:PORT")
      ->envname("TALLY_CONNECT");

  AddProgramCommands(app, server);
  AddImportCommand(app, server);
  AddOperationCommands(app, server);
  AddBalanceCommand(app, server);
  AddLotsCommand(app, server);
  AddStatementCommand(app, server);
  AddTotalsCommand(app, server);
  AddTickCommand(app, server);
  AddLogCommands(app);
  AddBenchCommand(app, server);
  AddSampleOrdersCommand(app);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // --help is an "error" of status 0.
    if (app.exit(error) != 0) return 2;
    ChosenRun() = [] { return 0; };
  }
  const int status = ChosenRun()();
  const absl::Status written = FlushOutput();
  return written.ok() ? status : Fail(written);
}

}  // namespace

void OnRun(CLI::App* command, std::function<int()> run) {
  command->callback([run = std::move(run)] { ChosenRun() = run; });
}

}  // namespace tallystick::tally

int main(int argc, char** argv) { return tallystick::tally::Main(argc, argv); }
