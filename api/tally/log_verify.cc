// tally log verify: all that is wrong with a ledger's files.

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "api/tally/command.h"
#include "api/tally/ledger_check.h"
#include "api/tally/log_commands.h"

namespace tallystick::tally {
namespace {

struct Options {
  std::string directory;
  bool json = false;
};

nlohmann::ordered_json ProblemJson(const Problem& problem) {
  nlohmann::ordered_json json;
  if (problem.shard >= 0) json["shard"] = problem.shard;
  json["path"] = problem.path;
  if (problem.segment > 0) {
    json["segment"] = problem.segment;
    json["offset"] = problem.offset;
  }
  if (problem.first > 0) {
    json["first_position"] = problem.first;
    json["last_position"] = problem.last;
  }
  json["cause"] = problem.cause;
  json["to_do"] = problem.to_do;
  return json;
}

int Run(const Options& options) {
  const auto ledger = OfflineLedger::OpenToRead(options.directory);
  if (!ledger.ok()) return Fail(ledger.status());
  const LedgerCheck check = CheckLedger(**ledger);
  const bool sound = check.problems.empty();
  if (options.json) {
    nlohmann::ordered_json json = ReplayJson(check.logs, check.machines);
    json["sound_snapshots"] = check.snapshots;
    json["notes"] = check.notes;
    json["problems"] = nlohmann::ordered_json::array();
    for (const Problem& problem : check.problems) json["problems"].push_back(ProblemJson(problem));
    json["verified"] = sound;
    PrintJson(json);
  } else {
    PrintReplay(check.logs, check.machines);
    for (const std::string& note : check.notes) std::printf("%s\n", note.c_str());
    if (check.snapshots > 0) std::printf("%lu sound snapshots\n", check.snapshots);
    if (sound) std::printf("verified: every block, record and balance follows\n");
  }
  for (const Problem& problem : check.problems) Fail(absl::DataLossError(ProblemText(problem)));
  if (sound) return 0;
  return Fail(absl::DataLossError(absl::StrCat("problems found: ", check.problems.size())));
}

}  // namespace

void AddLogVerifyCommand(CLI::App* log) {
  CLI::App* command =
      log->add_subcommand("verify",
                          "Check every file, block, record and snapshot; say all that is "
                          "wrong");
  const auto options = std::make_shared<Options>();
  AddDirectory(command, &options->directory);
  AddJsonFlag(command, &options->json);
  OnRun(command, [options] { return Run(*options); });
}

}  // namespace tallystick::tally
