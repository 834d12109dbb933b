// tally statement: every movement of a member, newest first.

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "api/ids.h"
#include "api/outcomes.h"
#include "api/tally/command.h"
#include "api/tally/movement_json.h"

namespace tallystick::tally {
namespace {

struct Options {
  AccountOptions account;
  uint64_t limit = 0;  // 0: all
};

void PrintText(const MovementAnswer& movement) {
  const Operation& operation = movement.operation;
  const Result& result = movement.result;
  const bool derived = IsDerived(operation.kind());
  // An activation changes no sum: what it moves from pending to available is shown in parentheses.
  const std::string points = operation.kind() == Kind::Activation
                                 ? absl::StrFormat("(%d)", operation.amount())
                                 : absl::StrFormat("%+d", result.points());
  const std::string id = derived ? absl::StrCat("points of position ", operation.related().low())
                                 : FormatId(operation.id());
  std::printf("%s  %-10s %12s %12ld %12ld  %s\n", InstantText(operation.occurred_at()).c_str(),
              std::string(KindName(operation.kind())).c_str(), points.c_str(), result.available(),
              result.pending(), id.c_str());
}

// From where on, to the past, the history is not there.
struct Missing {
  Position position = 0;
  absl::Status why;  // OK: nothing is missing
};

nlohmann::ordered_json MissingJson(const Missing& missing) {
  return {{"position", missing.position},
          {"removed", absl::IsNotFound(missing.why)},
          {"why", std::string(missing.why.message())}};
}

// What the archive's limits have removed is as it should be.
int Status(const Missing& missing) {
  if (missing.why.ok()) return 0;
  const int failed = Fail(absl::Status(
      missing.why.code(), absl::StrCat("the history is not there from position ", missing.position,
                                       " back: ", missing.why.message())));
  return absl::IsNotFound(missing.why) ? 0 : failed;
}

int Run(const Server& server, const Options& options) {
  const auto member = RequireId(options.account.member, "member");
  if (!member.ok()) return Fail(member.status());
  auto client = server.Connect();
  if (!client.ok()) return Fail(client.status());
  std::vector<MovementAnswer> movements;
  Position before = 0;
  Missing missing;
  bool more = true;
  while (more) {
    const uint64_t wanted =
        options.limit == 0
            ? kMaxStatementMovements
            : std::min<uint64_t>(kMaxStatementMovements, options.limit - movements.size());
    const auto answer = (*client)->Statement(options.account.program, *member, before,
                                             static_cast<uint32_t>(wanted));
    if (before != 0 && (absl::IsNotFound(answer.status()) || absl::IsDataLoss(answer.status()))) {
      missing = {before - 1, answer.status()};
      break;
    }
    if (!answer.ok()) return Fail(answer.status());
    if (answer->outcome != Outcome::Ok) return Refuse(answer->outcome);
    movements.insert(movements.end(), answer->movements.begin(), answer->movements.end());
    before = answer->next;
    more = before != 0 && (options.limit == 0 || movements.size() < options.limit);
  }
  if (options.account.json) {
    auto list = nlohmann::ordered_json::array();
    for (const MovementAnswer& movement : movements) list.push_back(MovementJson(movement));
    nlohmann::ordered_json json = {{"member", FormatId(*member)},
                                   {"program", options.account.program},
                                   {"complete", before == 0},
                                   {"movements", list}};
    if (!missing.why.ok()) json["missing"] = MissingJson(missing);
    PrintJson(json);
    return Status(missing);
  }
  std::printf("Member %s in program %d, newest first\n", FormatId(*member).c_str(),
              options.account.program);
  std::printf("%-27s  %-10s %12s %12s %12s  %s\n", "occurred", "what", "points", "available",
              "pending", "transaction");
  for (const MovementAnswer& movement : movements) PrintText(movement);
  if (before != 0 && missing.why.ok()) std::printf("There is more: say --limit 0.\n");
  return Status(missing);
}

}  // namespace

void AddStatementCommand(CLI::App& app, const Server& server) {
  CLI::App* command = app.add_subcommand("statement", "Every movement of a member, newest first");
  auto options = std::make_shared<Options>();
  AddAccountOptions(command, &options->account);
  command->add_option("--limit", options->limit, "Print at most so many; default 0: all");
  OnRun(command, [&server, options] { return Run(server, *options); });
}

}  // namespace tallystick::tally
