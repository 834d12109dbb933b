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
#include "api/tally/movement_detail.h"
#include "api/tally/movement_json.h"

namespace tallystick::tally {
namespace {

struct Options {
  AccountOptions account;
  uint64_t limit = 0;  // 0: all
};

// As a member would say it.
const char* WordsOf(Kind kind) {
  switch (kind) {
    case Kind::Enrol:
      return "enrolled";
    case Kind::Accrue:
      return "points credited";
    case Kind::Purchase:
      return "earned by a purchase";
    case Kind::Return:
      return "purchase returned";
    case Kind::Redeem:
      return "spent";
    case Kind::Adjust:
      return "corrected";
    case Kind::Hold:
      return "held for a sale";
    case Kind::Capture:
      return "spent from a hold";
    case Kind::Release:
      return "hold released";
    case Kind::ReverseRedemption:
      return "spending reversed";
    case Kind::Activate:
      return "made available early";
    case Kind::Cancel:
      return "pending cancelled";
    case Kind::Freeze:
      return "account frozen";
    case Kind::Unfreeze:
      return "account unfrozen";
    case Kind::Close:
      return "account closed";
    case Kind::Extend:
      return "expiry extended";
    case Kind::Transfer:
      return "sent to a member";
    case Kind::TransferIn:
      return "received";
    case Kind::TransferDone:
      return "has arrived";
    case Kind::TransferBack:
      return "came back";
    case Kind::Activation:
      return "became available";
    case Kind::Expiry:
      return "expired";
    case Kind::HoldTimeout:
      return "hold timed out";
    default:
      return "something else";
  }
}

// What it is about, and what became of its points.
std::string TransactionText(const MovementAnswer& movement) {
  const Operation& operation = movement.operation;
  if (operation.kind() == Kind::HoldTimeout) {
    return absl::StrCat("hold of position ", operation.related().low());
  }
  if (IsDerived(operation.kind())) {
    return absl::StrCat("points of position ", operation.related().low());
  }
  std::string text = FormatId(operation.id());
  if (const char* other = OtherMemberName(operation.kind())) {
    absl::StrAppend(&text, " ", other, " ", FormatId(operation.related()));
  } else if (!IsZero(operation.related())) {
    absl::StrAppend(&text, " of ", FormatId(operation.related()));
  }
  if (operation.kind() == Kind::Extend) {
    absl::StrAppend(&text, " (to ", InstantText(operation.expires_at()), ")");
  }
  if (operation.kind() == Kind::TransferBack) {
    absl::StrAppend(&text, " (", OutcomeName(static_cast<Outcome>(operation.category())), ")");
  }
  const std::string detail = DetailText(operation.kind(), movement.detail);
  if (!detail.empty()) absl::StrAppend(&text, " (", detail, ")");
  return text;
}

// These change no sum: what they move between pending, available and held is in parentheses.
bool OnlyMoves(Kind kind) {
  return kind == Kind::Activation || kind == Kind::Hold || kind == Kind::HoldTimeout;
}

void PrintText(const MovementAnswer& movement) {
  const Operation& operation = movement.operation;
  const Result& result = movement.result;
  const std::string points = OnlyMoves(operation.kind())
                                 ? absl::StrFormat("(%d)", operation.amount())
                                 : absl::StrFormat("%+d", result.points());
  std::printf("%s  %-20s %12s %12ld %12ld  %s\n", InstantText(operation.occurred_at()).c_str(),
              WordsOf(operation.kind()), points.c_str(), result.available(), result.pending(),
              TransactionText(movement).c_str());
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
  std::printf("%-27s  %-20s %12s %12s %12s  %s\n", "occurred", "what", "points", "available",
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
