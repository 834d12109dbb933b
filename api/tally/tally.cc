// tally: everything about a ledger but serving it.

#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "api/tally/command.h"

namespace tallystick::tally {
namespace {

std::function<int()>& ChosenRun() {
  static std::function<int()> run;
  return run;
}

// What CLI11 calls a missing subcommand: the word where one was expected; empty: it is another
// error.
std::string UnknownCommand(const CLI::App& app) {
  const CLI::App* chosen = &app;
  while (!chosen->get_subcommands().empty()) chosen = chosen->get_subcommands().front();
  const bool has_commands = !chosen->get_subcommands([](const CLI::App*) { return true; }).empty();
  const std::vector<std::string> rest = app.remaining(/*recurse=*/true);
  return has_commands && !rest.empty() ? rest.front() : "";
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
  AddLotsCommand(app, server);
  AddStatementCommand(app, server);
  AddTransactionCommand(app, server);
  AddTotalsCommand(app, server);
  AddTickCommand(app, server);
  AddLogCommands(app, server);
  AddAuditCommand(app);
  AddSnapshotCommands(app, server);
  AddRestoreCommand(app);
  AddReshardCommand(app);
  AddUpgradeCommand(app);
  AddBenchCommand(app, server);
  AddSampleOrdersCommand(app);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (const std::string word = UnknownCommand(app); !word.empty()) {
      std::fprintf(stderr, "tally: there is no %s \"%s\": see tally --help\n",
                   word[0] == '-' ? "option" : "command", word.c_str());
      return 2;
    }
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
