#include "api/tally/command.h"

#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "api/ids.h"
#include "api/instants.h"
#include "api/outcomes.h"

namespace tallystick::tally {
namespace {

// By the one command that this process runs.
struct WhatWasTold {
  bool object = false;  // of JSON
  std::string failure;  // the first
};
WhatWasTold& Told() {
  static WhatWasTold told;
  return told;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> Server::Connect(ClientOptions options) const {
  if (address.empty()) {
    return absl::InvalidArgumentError(
        "which server? Say --connect unix:PATH or --connect tcp:127.0.0.1:PORT");
  }
  options.name = "tally";
  return Client::Connect(address, options);
}

int Fail(const absl::Status& status) {
  const std::string message(status.message());
  std::fprintf(stderr, "tally: %s\n", message.c_str());
  if (Told().failure.empty()) Told().failure = message;
  return 1;
}

int Refuse(Outcome outcome, Field field) {
  return Fail(absl::FailedPreconditionError(
      absl::StrCat("refused, ", OutcomeName(outcome), ": ", ExplainOutcome(outcome, field))));
}

void PrintFailure(JsonOutput output) {
  const bool told = Told().object && output == JsonOutput::kObject;
  if (!told && !Told().failure.empty()) PrintJson({{"error", Told().failure}});
}

absl::Status FlushOutput() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return absl::OkStatus();
  return absl::UnavailableError(
      "cannot write all of standard output: is there space left? What the command did is done");
}

void PrintJson(const nlohmann::ordered_json& json) {
  using Json = nlohmann::ordered_json;
  Told().object = true;
  std::printf("%s\n", json.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
}

nlohmann::ordered_json InstantJson(Instant instant) {
  if (instant == kNever || instant == std::numeric_limits<int64_t>::min()) return nullptr;
  return FormatInstant(instant);
}

std::string InstantText(Instant instant) {
  if (instant == kNever) return "never";
  if (instant == std::numeric_limits<int64_t>::min()) return "before all";
  return FormatInstant(instant);
}

CLI::Validator NotEmpty() {
  return CLI::Validator(
      [](const std::string& text) {
        return std::string(text.empty() ? "is empty: give it a value, or leave it out" : "");
      },
      "");
}

CLI::Option* AddProgramOption(CLI::App* command, uint16_t* program) {
  return command->add_option("--program", *program, "The program's id")
      ->required()
      ->check(CLI::Range(1, 65'535));
}

void AddJsonFlag(CLI::App* command, bool* json) {
  command->add_flag("--json", *json, "Print one JSON object");
}

void AddAccountOptions(CLI::App* command, AccountOptions* options) {
  command
      ->add_option("member", options->member,
                   "The member: a decimal number, a UUID, or any other text, which is hashed")
      ->required();
  AddProgramOption(command, &options->program);
  AddJsonFlag(command, &options->json);
}

absl::StatusOr<Id> RequireId(absl::string_view text, absl::string_view what) {
  const auto id = ParseId(text);
  if (id.has_value()) return *id;
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is no ", what, ": neither empty nor 0 names one"));
}

absl::StatusOr<LedgerIdentity> RequireLedger(wal::Io& io, const std::string& directory) {
  absl::StatusOr<LedgerIdentity> identity = ReadIdentity(io, directory);
  if (absl::IsNotFound(identity.status())) {
    return absl::NotFoundError(absl::StrCat(directory, " holds no ledger",
                                            io.Exists(directory) ? "" : ", for it does not exist",
                                            ": name what tallyd was given as --data"));
  }
  return identity;
}

}  // namespace tallystick::tally
