// tally upgrade: brings a ledger's files to the formats of this program.
//
// There is one version of each format so far, so nothing has to be done. A version that comes later
// adds its step here: what it does to a file of the version before it.

#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/tally/command.h"
#include "api/tally/format_survey.h"
#include "api/tally/log_commands.h"
#include "api/tally/offline_ledger.h"

namespace tallystick::tally {
namespace {

struct Options {
  std::string directory;
  bool json = false;
};

absl::Status RefuseNewer(const std::vector<FileFormat>& files) {
  for (const FileFormat& file : files) {
    if (file.newest == 0 || file.version <= file.newest) continue;
    return absl::FailedPreconditionError(
        absl::StrCat(file.path, " (", file.what, ") is of format version ", file.version,
                     ", this program knows ", file.newest, ": use the newer program"));
  }
  return absl::OkStatus();
}

std::string VersionText(uint16_t version) {
  return version == 0 ? "says no version" : absl::StrCat("version ", version);
}

void Print(const std::vector<FileFormat>& files) {
  std::map<std::pair<std::string, uint16_t>, size_t> counts;
  for (const FileFormat& file : files) ++counts[{file.what, file.version}];
  for (const auto& [format, count] : counts) {
    std::printf("%s: %zu, %s\n", format.first.c_str(), count, VersionText(format.second).c_str());
  }
  std::printf("nothing is to be done: every file is of the newest version that there is\n");
}

void PrintAsJson(const std::vector<FileFormat>& files) {
  nlohmann::ordered_json json = {{"upgraded", 0}};
  json["files"] = nlohmann::ordered_json::array();
  for (const FileFormat& file : files) {
    nlohmann::ordered_json one = {{"path", file.path}, {"what", file.what}};
    if (file.version > 0) one["version"] = file.version;
    json["files"].push_back(std::move(one));
  }
  PrintJson(json);
}

int Run(const Options& options) {
  const auto ledger = OfflineLedger::OpenToRead(options.directory);
  if (!ledger.ok()) return Fail(ledger.status());
  const auto files = SurveyFormats(**ledger);
  if (!files.ok()) return Fail(files.status());
  if (absl::Status s = RefuseNewer(*files); !s.ok()) return Fail(s);
  if (options.json) {
    PrintAsJson(*files);
  } else {
    Print(*files);
  }
  return 0;
}

}  // namespace

void AddUpgradeCommand(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "upgrade", "Say which formats a ledger's files have, and bring them up to date");
  const auto options = std::make_shared<Options>();
  AddDirectory(command, &options->directory);
  AddJsonFlag(command, &options->json);
  OnRun(command, [options] { return Run(*options); });
}

}  // namespace tallystick::tally
