// tally restore: a ledger's past, as a ledger.

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "api/new_ledger.h"
#include "api/tally/command.h"
#include "api/tally/log_commands.h"
#include "api/tally/log_point.h"
#include "api/tally/offline_ledger.h"
#include "api/tally/replay_report.h"
#include "api/tally/restored_ledger.h"

namespace tallystick::tally {
namespace {

struct Options {
  std::string directory;
  std::string to;
  std::string into;
  bool json = false;
};

std::string InsideText(uint16_t shard, Position asked, Position end) {
  return absl::StrCat("shard ", shard, ": position ", asked,
                      " lies inside a record with its settling and details, which ",
                      end < asked ? "does not belong to the copy: it ends before, with "
                                  : "belongs to the copy as a whole: it ends behind, with ",
                      end);
}

void Print(const RestoredLedger& restored, const std::string& directory) {
  PrintReplay(restored.logs, restored.machines);
  for (const auto& [shard, asked] : restored.asked) {
    std::printf("%s\n", InsideText(shard, asked, restored.logs[shard].position).c_str());
  }
  for (const std::string& sentence : restored.left_out) std::printf("%s\n", sentence.c_str());
  std::printf(
      "restored into %s, with %lu snapshots: the same digest as the original has there. It is the "
      "same ledger's past: never serve both\n",
      directory.c_str(), restored.snapshots);
}

void PrintAsJson(const RestoredLedger& restored, const std::string& directory) {
  nlohmann::ordered_json json = ReplayJson(restored.logs, restored.machines);
  for (const auto& [shard, asked] : restored.asked) json["shards"][shard]["asked"] = asked;
  json["into"] = directory;
  json["snapshots"] = restored.snapshots;
  json["left_out"] = restored.left_out;
  PrintJson(json);
}

int Run(const Options& options) {
  const absl::StatusOr<LogPoint> to = LogPoint::Parse(options.to);
  if (!to.ok()) return Fail(to.status());
  const auto ledger = OfflineLedger::OpenToRead(options.directory);
  if (!ledger.ok()) return Fail(ledger.status());
  wal::Io& io = (*ledger)->io();
  const auto made = NewLedger::Begin(io, options.directory, (*ledger)->identity(), options.into);
  if (!made.ok()) return Fail(made.status());
  const LedgerIdentity& identity = (*ledger)->identity();
  const auto restored = RestoreLedger(io, options.directory, identity, *to, (*made)->unfinished());
  if (!restored.ok()) return Fail(restored.status());
  if (absl::Status s = (*made)->Publish(identity); !s.ok()) return Fail(s);
  if (options.json) {
    PrintAsJson(*restored, (*made)->directory());
  } else {
    Print(*restored, (*made)->directory());
  }
  return 0;
}

}  // namespace

void AddRestoreCommand(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("restore", "Write a new directory with a ledger's logs up to a point");
  const auto options = std::make_shared<Options>();
  AddDirectory(command, &options->directory);
  command
      ->add_option("--to", options->to,
                   "The last position of each shard's own log (1234), or one for each shard "
                   "(0:1234,1:567), or an instant of log time (a date is its 00:00 UTC)")
      ->required()
      ->check(NotEmpty());
  command->add_option("--into", options->into, "The new directory: missing or empty")
      ->required()
      ->check(NotEmpty());
  AddJsonFlag(command, &options->json);
  OnRun(command, [options] { return Run(*options); });
}

}  // namespace tallystick::tally
