// The parts of `tally` that its subcommands share. Each subcommand adds itself to the command line,
// and says what it does when it is the chosen one.
//
// Exit status: 0 when all is well, 1 when something failed or was refused (stderr has the
// sentence), 2 for a command line that cannot be understood.

#ifndef TALLYSTICK_API_TALLY_COMMAND_H_
#define TALLYSTICK_API_TALLY_COMMAND_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "api/client.h"
#include "api/ledger_files.h"
#include "ledger/types.h"

namespace tallystick::tally {

// The server that --connect names.
struct Server {
  std::string address;

  absl::StatusOr<std::unique_ptr<Client>> Connect(ClientOptions options = {}) const;
};

// What a command prints with --json: one object, or one a line.
enum class JsonOutput { kObject, kLines };
// Makes `run` what the program does when `command` is chosen; it returns the exit status. With
// --json, one that fails prints its sentence as the object, if it has printed none, or as the last
// line.
void OnRun(CLI::App* command, std::function<int()> run, JsonOutput output = JsonOutput::kObject);

// "tally: sentence" on stderr; returns the exit status of a failure.
int Fail(const absl::Status& status);
// The same for an operation or a question that the ledger refused.
int Refuse(Outcome outcome, Field field = Field::None);

// {"error": the first sentence that Fail or Refuse has told}, if any; and none if it is told in an
// object that was printed.
void PrintFailure(JsonOutput output);

// Not OK when standard output has not taken all that was printed.
absl::Status FlushOutput();
// One JSON object on stdout.
void PrintJson(const nlohmann::ordered_json& json);
// "2026-01-31T09:00:00.000000Z"; null for never and for the time before all operations.
nlohmann::ordered_json InstantJson(Instant instant);
// The same for people.
std::string InstantText(Instant instant);

// For options whose absence means something: an empty text, as of an unset variable, is an error.
CLI::Validator NotEmpty();

// What most subcommands are about.
struct AccountOptions {
  std::string member;
  uint16_t program = 0;
  bool json = false;
};
CLI::Option* AddProgramOption(CLI::App* command, uint16_t* program);
void AddJsonFlag(CLI::App* command, bool* json);
void AddAccountOptions(CLI::App* command, AccountOptions* options);
// `what` names the text in the error: "member".
absl::StatusOr<Id> RequireId(absl::string_view text, absl::string_view what);

// The ledger in a directory that was named on the command line.
absl::StatusOr<LedgerIdentity> RequireLedger(wal::Io& io, const std::string& directory);

// ---- one a file ----
void AddProgramCommands(CLI::App& app, const Server& server);
void AddImportCommand(CLI::App& app, const Server& server);
// enrol, purchase, hold and whatever else is one operation
void AddOperationCommands(CLI::App& app, const Server& server);
void AddBalanceCommand(CLI::App& app, const Server& server);
// Of the file of balance.
void AddScheduleCommand(CLI::App& app, const Server& server);
void AddLotsCommand(CLI::App& app, const Server& server);
void AddStatementCommand(CLI::App& app, const Server& server);
void AddTransactionCommand(CLI::App& app, const Server& server);
void AddTotalsCommand(CLI::App& app, const Server& server);
// of the server, or offline
void AddOwedCommand(CLI::App& app, const Server& server);
void AddTickCommand(CLI::App& app, const Server& server);
// offline; follow needs the server
void AddLogCommands(CLI::App& app, const Server& server);
// Of `tally log`.
void AddLogExportCommand(CLI::App& log);
// Offline.
void AddAuditCommand(CLI::App& app);
// take; list, verify: offline
void AddSnapshotCommands(CLI::App& app, const Server& server);
// offline, into a new directory
void AddRestoreCommand(CLI::App& app);
void AddReshardCommand(CLI::App& app);
// offline
void AddUpgradeCommand(CLI::App& app);
void AddBenchCommand(CLI::App& app, const Server& server);
void AddSampleOrdersCommand(CLI::App& app);

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_COMMAND_H_
