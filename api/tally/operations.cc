// tally enrol|accrue|purchase|redeem|return|adjust: one operation.

#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "api/ids.h"
#include "api/instants.h"
#include "api/outcomes.h"
#include "api/tally/command.h"
#include "api/tally/log_time.h"

namespace tallystick::tally {
namespace {

struct Options {
  AccountOptions account;
  std::string amount = "0";
  std::string id;
  std::string original;
  std::string at;
  std::string expires;
  uint16_t reason = 0;
  bool jump = false;
  int64_t patience_s = 10;
};

absl::StatusOr<Instant> InstantOr(const std::string& text, Instant otherwise) {
  if (text.empty()) return otherwise;
  return ParseInstant(text);
}

absl::StatusOr<Operation> MakeOperation(Kind kind, const Options& options) {
  const auto member = RequireId(options.account.member, "member");
  if (!member.ok()) return member.status();
  const auto id = options.id.empty() ? RandomId() : RequireId(options.id, "transaction id");
  if (!id.ok()) return id.status();
  const auto original =
      options.original.empty() ? Id(0, 0) : RequireId(options.original, "transaction id");
  if (!original.ok()) return original.status();
  const auto at = InstantOr(options.at, ToInstant(absl::Now()));
  if (!at.ok()) return at.status();
  const auto expires = InstantOr(options.expires, 0);
  if (!expires.ok()) return expires.status();
  int64_t amount = 0;
  if (!absl::SimpleAtoi(options.amount, &amount)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", options.amount,
        "\" is no amount: write a whole number of points in the program's smallest unit, or of "
        "money in the currency's (9500 for $95.00)"));
  }
  return Operation(*id, *member, *original, amount, *at, *expires, /*user_data=*/0,
                   options.account.program, options.reason, kind, /*flags=*/0, /*reserved=*/0);
}

// With these, the same command is the same operation.
std::string RepeatOptions(const Operation& operation) {
  return absl::StrCat("--id ", FormatId(operation.id()), " --at ",
                      FormatInstant(operation.occurred_at()));
}

// Client::Apply, but only for so long.
absl::StatusOr<Result> Apply(Client& client, const Operation& operation, int64_t patience_s) {
  using Clock = std::chrono::steady_clock;
  const auto answer = std::make_shared<std::optional<absl::StatusOr<Result>>>();
  client.Submit({&operation, 1}, [answer](absl::StatusOr<absl::Span<const Result>> results) {
    *answer = results.ok() ? absl::StatusOr<Result>(results->front()) : results.status();
  });
  const Clock::time_point end = Clock::now() + std::chrono::seconds(patience_s);
  while (!answer->has_value()) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    if (left.count() <= 0) {
      return absl::DeadlineExceededError(
          absl::StrCat("the server has not answered for ", patience_s, " s"));
    }
    client.Poll(left.count()).IgnoreError();  // a failure is an answer too
  }
  return **answer;
}

// What a return wrote off, of which its result says only whether; nothing where the ledger cannot
// tell.
std::optional<Points> WrittenOff(Client& client, const Operation& operation, const Result& result) {
  if ((result.flags() & kWrittenOff) == 0) return 0;
  const auto answer = client.Transaction(operation.program(), operation.member(), operation.id());
  if (!answer.ok() || answer->outcome != Outcome::Ok) return std::nullopt;
  return answer->movement.detail.written_off;
}

void Print(const Operation& operation, const Result& result, std::optional<Points> written_off,
           bool json) {
  const bool replayed = (result.flags() & kReplayed) != 0;
  if (json) {
    PrintJson({{"outcome", std::string(OutcomeName(result.outcome()))},
               {"replayed", replayed},
               {"enrolled", (result.flags() & kEnrolled) != 0},
               {"written_off", (result.flags() & kWrittenOff) != 0},
               {"written_off_points",
                written_off.has_value() ? nlohmann::ordered_json(*written_off) : nullptr},
               {"field", std::string(FieldName(result.field()))},
               {"kind", std::string(KindName(operation.kind()))},
               {"program", operation.program()},
               {"member", FormatId(operation.member())},
               {"id", FormatId(operation.id())},
               {"occurred_at", InstantJson(operation.occurred_at())},
               {"amount", operation.amount()},
               {"points", result.points()},
               {"available", result.available()},
               {"pending", result.pending()},
               {"position", result.position()}});
    return;
  }
  if (result.outcome() != Outcome::Ok) return;
  std::printf("%s %s of member %s: %+ld points; available %ld, pending %ld.\n",
              replayed ? "Done before:" : "Done:", std::string(KindName(operation.kind())).c_str(),
              FormatId(operation.member()).c_str(), result.points(), result.available(),
              result.pending());
  if ((result.flags() & kWrittenOff) != 0) {
    const std::string what =
        written_off.has_value() ? absl::StrCat(*written_off, " points") : "Part";
    std::printf(
        "%s of what was due written off: the member's points and the debt that the program "
        "allows do not cover it.\n",
        what.c_str());
  }
  if (operation.kind() == Kind::Return && IsZero(operation.related())) {
    std::printf("No --original was given: the newest points were taken, at today's rate.\n");
  }
  std::printf("To repeat it safely: %s\n", RepeatOptions(operation).c_str());
}

int Run(const Server& server, Kind kind, const Options& options) {
  const auto operation = MakeOperation(kind, options);
  if (!operation.ok()) return Fail(operation.status());
  ClientOptions client_options;
  client_options.reconnect_ms = options.patience_s * 1000;
  auto client = server.Connect(client_options);
  if (!client.ok()) return Fail(client.status());
  absl::Status may;
  if (options.at.empty()) {
    may = CheckNow(**client, "Say when it occurred, with --at");
  } else if (!options.jump) {
    may = CheckStep(**client, operation->occurred_at());
  }
  if (!may.ok()) return Fail(may);
  const auto result = Apply(**client, *operation, options.patience_s);
  if (!result.ok()) {
    Fail(result.status());
    std::fprintf(
        stderr,
        "tally: it is not known whether the operation was applied: repeat the same command "
        "with %s, which applies it once\n",
        RepeatOptions(*operation).c_str());
    return 1;
  }
  Print(*operation, *result, WrittenOff(**client, *operation, *result), options.account.json);
  if (result->outcome() == Outcome::Ok) {
    if (FlushOutput().ok()) return 0;
    std::fprintf(stderr, "tally: the operation was applied; to repeat it safely: %s\n",
                 RepeatOptions(*operation).c_str());
    return 1;
  }
  if (result->outcome() == Outcome::InsufficientPoints) {
    std::fprintf(stderr, "tally: %ld points are available\n", result->available());
  }
  const int status = Refuse(result->outcome(), result->field());
  if (result->outcome() == Outcome::IdConflict && options.at.empty()) {
    std::fputs(
        "tally: the time is a part of the content, and --at defaults to now: to repeat an "
        "operation, give the same --at as was printed the first time\n",
        stderr);
  }
  return status;
}

struct Verb {
  Kind kind;
  const char* name;
  const char* help;
  const char* amount;  // nullptr: it has none
  bool may_expire;
};

constexpr Verb kVerbs[] = {
    {Kind::Enrol, "enrol", "Make a member's account", nullptr, false},
    {Kind::Accrue, "accrue", "Credit points", "Points, in the program's smallest unit", true},
    {Kind::Purchase, "purchase", "Credit what a purchase earns",
     "What was spent, in the currency's minor unit", true},
    {Kind::Redeem, "redeem", "Spend points", "Points, in the program's smallest unit", false},
    {Kind::Return, "return", "Take back what a purchase earned",
     "What was given back, in the currency's minor unit", false},
    {Kind::Adjust, "adjust", "Correct a balance, up or down",
     "Points, in the program's smallest unit; negative: taken away", true},
};

}  // namespace

void AddOperationCommands(CLI::App& app, const Server& server) {
  for (const Verb& verb : kVerbs) {
    CLI::App* command = app.add_subcommand(verb.name, verb.help);
    auto options = std::make_shared<Options>();
    AddAccountOptions(command, &options->account);
    if (verb.amount != nullptr) {
      command->add_option("amount", options->amount, verb.amount)->required();
    }
    command->add_option("--id", options->id, "Transaction id; default: a random one, printed")
        ->check(NotEmpty());
    command
        ->add_option("--at", options->at,
                     "When it occurred: RFC 3339, or \"2026-01-31 10:00\" UTC; default: now, which "
                     "on the import clock must be near log time")
        ->check(NotEmpty());
    command->add_flag("--jump", options->jump,
                      "On the import clock: move log time on by more than 366 days, to --at");
    if (verb.kind == Kind::Return) {
      command->add_option("--original", options->original, "Transaction id of the purchase")
          ->check(NotEmpty());
    }
    if (verb.may_expire) {
      command->add_option("--expires", options->expires, "When the points expire, as --at")
          ->check(NotEmpty());
    }
    if (verb.kind == Kind::Adjust) {
      command->add_option("--reason", options->reason, "The reason's code, 0 to 65535");
    }
    command->add_option("--patience", options->patience_s, "Seconds to wait for the answer")
        ->check(CLI::Range(1, 86'400))
        ->capture_default_str();
    OnRun(command, [&server, kind = verb.kind, options] { return Run(server, kind, *options); });
  }
}

}  // namespace tallystick::tally
