// tally transaction: one transaction of a member, of whatever age.

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "api/ids.h"
#include "api/outcomes.h"
#include "api/tally/command.h"
#include "api/tally/movement_detail.h"
#include "api/tally/movement_json.h"

namespace tallystick::tally {
namespace {

struct Options {
  AccountOptions account;
  std::string id;
};

void PrintText(const TransactionAnswer& answer) {
  const Operation& operation = answer.movement.operation;
  const Result& result = answer.movement.result;
  std::printf("%s %s: %+ld points\n", std::string(KindName(operation.kind())).c_str(),
              FormatId(operation.id()).c_str(), result.points());
  std::printf("%-12s %s\n", "occurred", InstantText(operation.occurred_at()).c_str());
  std::printf("%-12s %s\n", "booked", InstantText(answer.time).c_str());
  std::printf("%-12s %lu\n", "position", result.position());
  std::printf("%-12s %ld\n", "amount", operation.amount());
  if (const char* other = OtherMemberName(operation.kind())) {
    std::printf("%-12s %s\n", other, FormatId(operation.related()).c_str());
  }
  std::printf("%-12s %ld\n", "available", result.available());
  std::printf("%-12s %ld\n", "pending", result.pending());
  const std::string detail = DetailText(operation.kind(), answer.movement.detail);
  if (!detail.empty()) std::printf("%-12s %s\n", "detail", detail.c_str());
}

int Run(const Server& server, const Options& options) {
  const auto member = RequireId(options.account.member, "member");
  if (!member.ok()) return Fail(member.status());
  const auto id = RequireId(options.id, "transaction id");
  if (!id.ok()) return Fail(id.status());
  auto client = server.Connect();
  if (!client.ok()) return Fail(client.status());
  const auto answer = (*client)->Transaction(options.account.program, *member, *id);
  if (!answer.ok()) return Fail(answer.status());
  if (answer->outcome == Outcome::UnknownOriginal) {
    return Fail(absl::NotFoundError(
        absl::StrCat("member ", options.account.member, " has no transaction ", options.id,
                     " in program ", options.account.program, ", or none that is kept")));
  }
  if (answer->outcome != Outcome::Ok) return Refuse(answer->outcome);
  if (!options.account.json) {
    PrintText(*answer);
    return 0;
  }
  nlohmann::ordered_json json = {{"member", FormatId(*member)},
                                 {"program", options.account.program},
                                 {"time", InstantJson(answer->time)}};
  json.update(MovementJson(answer->movement));
  PrintJson(json);
  return 0;
}

}  // namespace

void AddTransactionCommand(CLI::App& app, const Server& server) {
  CLI::App* command =
      app.add_subcommand("transaction", "One transaction of a member, of whatever age");
  auto options = std::make_shared<Options>();
  command->add_option("id", options->id, "Its id")->required();
  command->add_option("--member", options->account.member, "Whose it is")->required();
  AddProgramOption(command, &options->account.program);
  AddJsonFlag(command, &options->account.json);
  OnRun(command, [&server, options] { return Run(server, *options); });
}

}  // namespace tallystick::tally
