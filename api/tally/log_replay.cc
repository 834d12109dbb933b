// tally log replay: the state that a ledger's logs come to, at their end or at a point before.

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "api/replay_block.h"
#include "api/tally/command.h"
#include "api/tally/ledger_log.h"
#include "api/tally/log_commands.h"
#include "api/tally/log_point.h"
#include "api/tally/replay_report.h"

namespace tallystick::tally {
namespace {

struct Options {
  std::string directory;
  std::string to;
  bool json = false;
};

int Run(const Options& options) {
  LogPoint to;
  if (!options.to.empty()) {
    const absl::StatusOr<LogPoint> point = LogPoint::Parse(options.to);
    if (!point.ok()) return Fail(point.status());
    to = *point;
  }
  const auto ledger = OfflineLedger::OpenToRead(options.directory);
  if (!ledger.ok()) return Fail(ledger.status());
  Machines machines;
  const auto logs = ReplayMachinesTo(**ledger, to, machines);
  if (!logs.ok()) return Fail(logs.status());
  if (options.json) {
    PrintJson(ReplayJson(*logs, machines));
  } else {
    PrintReplay(*logs, machines);
  }
  return 0;
}

}  // namespace

void AddLogReplayCommand(CLI::App* log) {
  CLI::App* command = log->add_subcommand("replay", "Replay, and print the digest and totals");
  const auto options = std::make_shared<Options>();
  AddDirectory(command, &options->directory);
  command
      ->add_option("--to", options->to,
                   "The last position of each shard's own log (1234), or one for each shard "
                   "(0:1234,1:567), as in the shards of tally totals --json; or an instant of log "
                   "time (a date is its 00:00 UTC)")
      ->check(NotEmpty());
  AddJsonFlag(command, &options->json);
  OnRun(command, [options] { return Run(*options); });
}

}  // namespace tallystick::tally
