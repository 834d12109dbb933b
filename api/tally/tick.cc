// tally tick: moves the log time of a ledger with an import clock.

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "api/ids.h"
#include "api/instants.h"
#include "api/outcomes.h"
#include "api/tally/command.h"
#include "api/tally/log_time.h"

namespace tallystick::tally {
namespace {

struct Options {
  std::string to;
  bool jump = false;
  bool json = false;
};

int Run(const Server& server, const Options& options) {
  const auto to = ParseInstant(options.to);
  if (!to.ok()) return Fail(to.status());
  auto client = server.Connect();
  if (!client.ok()) return Fail(client.status());
  const absl::Status may = options.jump ? absl::OkStatus() : CheckStep(**client, *to);
  if (!may.ok()) return Fail(may);
  const auto answer = (*client)->Tick(RandomId(), *to);
  if (!answer.ok()) return Fail(answer.status());
  if (options.json) {
    PrintJson({{"outcome", std::string(OutcomeName(answer->outcome))},
               {"time", InstantJson(answer->time)}});
  }
  if (answer->outcome == Outcome::NotPermitted) {
    return Fail(
        absl::FailedPreconditionError("the server's clock is the wall clock: only a server started "
                                      "with --clock import can be told the time"));
  }
  if (answer->outcome != Outcome::Ok) return Refuse(answer->outcome);
  if (!options.json) std::printf("Log time is %s now.\n", InstantText(answer->time).c_str());
  return 0;
}

}  // namespace

void AddTickCommand(CLI::App& app, const Server& server) {
  CLI::App* command = app.add_subcommand("tick", "Move log time on (import clock only)");
  auto options = std::make_shared<Options>();
  command->add_option("--to", options->to, "RFC 3339, or \"2026-01-31 10:00\" UTC")->required();
  command->add_flag("--jump", options->jump, "Move it on by more than 366 days");
  AddJsonFlag(command, &options->json);
  OnRun(command, [&server, options] { return Run(server, *options); });
}

}  // namespace tallystick::tally
