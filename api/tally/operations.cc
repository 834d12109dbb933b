// tally enrol, purchase, hold, capture and all other verbs: one operation each.

#include <chrono>
#include <cstdio>
#include <memory>
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
#include "api/tally/operation_report.h"

namespace tallystick::tally {
namespace {

struct Options {
  AccountOptions account;
  std::string amount = "0";
  std::string id;
  std::string related;
  std::string at;
  std::string expires;
  uint16_t reason = 0;
  bool expire_rest = false;
  bool jump = false;
  bool dry_run = false;
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
  const auto related =
      options.related.empty()
          ? Id(0, 0)
          : RequireId(options.related, kind == Kind::Transfer ? "member" : "transaction id");
  if (!related.ok()) return related.status();
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
  const uint8_t flags = options.expire_rest ? kExpireRest : 0;
  return Operation(*id, *member, *related, amount, *at, *expires, /*user_data=*/0,
                   options.account.program, options.reason, kind, flags, /*reserved=*/0);
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

// What is told of an operation that the ledger has refused, or would refuse; the exit status.
int TellRefused(const Operation& operation, const Result& result, const Options& options) {
  // What a hold or a purchase has left is another matter.
  const bool of_account = IsZero(operation.related()) || operation.kind() == Kind::Transfer;
  if (result.outcome() == Outcome::InsufficientPoints && of_account) {
    std::fprintf(stderr, "tally: %ld points are available\n", result.available());
  }
  const int status = Refuse(result.outcome(), result.field());
  if (result.outcome() == Outcome::IdConflict && options.at.empty()) {
    std::fputs(
        "tally: the time is a part of the content, and --at defaults to now: to repeat an "
        "operation, give the same --at as was printed the first time\n",
        stderr);
  }
  return status;
}

int RunDry(Client& client, const Operation& operation, const Options& options) {
  const auto answer = client.DryRun({&operation, 1});
  if (!answer.ok()) {
    const int status = Fail(answer.status());
    if (absl::IsInvalidArgument(answer.status())) {
      std::fputs(
          "tally: nothing was applied; a server of an earlier version knows no dry runs: start a "
          "newer one\n",
          stderr);
    }
    return status;
  }
  if (answer->steps.size() != 1) {
    return Fail(absl::InternalError("the server's dry run has no result of the operation"));
  }
  PrintDryRun(client, operation, *answer, options.account.json);
  const Result& result = answer->steps.front().result;
  return result.outcome() == Outcome::Ok ? 0 : TellRefused(operation, result, options);
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
  } else if (!options.jump && !options.dry_run) {
    may = CheckStep(**client, operation->occurred_at());
  }
  if (!may.ok()) return Fail(may);
  if (options.dry_run) return RunDry(**client, *operation, options);
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
  PrintOperation(*operation, *result, AskStory(**client, *operation, *result),
                 options.account.json);
  if (result->outcome() == Outcome::Ok) {
    if (FlushOutput().ok()) return 0;
    std::fprintf(stderr, "tally: the operation was applied; to repeat it safely: %s\n",
                 RepeatOptions(*operation).c_str());
    return 1;
  }
  return TellRefused(*operation, *result, options);
}

// An option of a verb, beside those that all have; without a name: it has none.
struct VerbOption {
  const char* name = nullptr;
  const char* help = nullptr;
  bool required = false;
};

struct Verb {
  Kind kind;
  const char* name;
  const char* help;
  VerbOption amount = {};   // the number behind the member
  VerbOption related = {};  // names another transaction
  VerbOption expires = {};  // an instant
};

constexpr VerbOption kPoints = {"amount", "Points, in the program's smallest unit", true};
constexpr VerbOption kSomePoints = {"amount",
                                    "Points, in the program's smallest unit; default: all"};
constexpr VerbOption kExpires = {"--expires", "When the points expire, as --at"};
constexpr VerbOption kHold = {"--hold", "Transaction id of the hold", true};
constexpr VerbOption kPurchase = {"--purchase", "Transaction id of the purchase or accrual", true};

constexpr Verb kVerbs[] = {
    {.kind = Kind::Enrol, .name = "enrol", .help = "Make a member's account"},
    {.kind = Kind::Accrue,
     .name = "accrue",
     .help = "Credit points",
     .amount = kPoints,
     .expires = kExpires},
    {.kind = Kind::Purchase,
     .name = "purchase",
     .help = "Credit what a purchase earns",
     .amount = {"amount", "What was spent, in the currency's minor unit", true},
     .expires = kExpires},
    {.kind = Kind::Redeem, .name = "redeem", .help = "Spend points", .amount = kPoints},
    {.kind = Kind::Hold,
     .name = "hold",
     .help = "Pin points for a sale that is going on: capture or release them",
     .amount = kPoints,
     .expires = {"--until",
                 "When it times out, as --at, at most 30 days ahead; default: as the "
                 "program says"}},
    {.kind = Kind::Capture,
     .name = "capture",
     .help = "Spend what a hold has, all or a part; the rest is given back",
     .amount = kSomePoints,
     .related = kHold},
    {.kind = Kind::Release,
     .name = "release",
     .help = "Give back what a hold has",
     .related = kHold},
    {.kind = Kind::ReverseRedemption,
     .name = "reverse",
     .help = "Give back points that were redeemed or captured",
     .amount = kPoints,
     .related = {"--redemption", "Transaction id of the redemption or capture", true}},
    {.kind = Kind::Return,
     .name = "return",
     .help = "Take back what a purchase earned",
     .amount = {"amount", "What was given back, in the currency's minor unit", true},
     .related = {"--original", "Transaction id of the purchase"}},
    {.kind = Kind::Adjust,
     .name = "adjust",
     .help = "Correct a balance, up or down",
     .amount = {"amount", "Points, in the program's smallest unit; negative: taken away", true},
     .expires = kExpires},
    {.kind = Kind::Activate,
     .name = "activate",
     .help = "Make a purchase's pending points available now",
     .related = kPurchase},
    {.kind = Kind::Cancel,
     .name = "cancel",
     .help = "Take a purchase's pending points away",
     .amount = kSomePoints,
     .related = kPurchase},
    {.kind = Kind::Extend,
     .name = "extend",
     .help = "Give all points of a member that expire earlier a new date",
     .expires = {"--to", "The date, as --at", true}},
    {.kind = Kind::Transfer,
     .name = "transfer",
     .help = "Send points to another member",
     .amount = kPoints,
     .related = {"--to", "Id of the member who receives them", true}},
    {.kind = Kind::Freeze,
     .name = "freeze",
     .help = "Stop a member's redeeming, holding and sending"},
    {.kind = Kind::Unfreeze,
     .name = "unfreeze",
     .help = "Let a member redeem, hold and send again"},
    {.kind = Kind::Close, .name = "close", .help = "End a member's account, for ever"},
};

CLI::Option* AddText(CLI::App* command, const VerbOption& option, std::string* text) {
  return command->add_option(option.name, *text, option.help)->required(option.required);
}

}  // namespace

void AddOperationCommands(CLI::App& app, const Server& server) {
  for (const Verb& verb : kVerbs) {
    CLI::App* command = app.add_subcommand(verb.name, verb.help);
    auto options = std::make_shared<Options>();
    AddAccountOptions(command, &options->account);
    if (verb.amount.name != nullptr) AddText(command, verb.amount, &options->amount);
    command->add_option("--id", options->id, "Transaction id; default: a random one, printed")
        ->check(NotEmpty());
    command
        ->add_option("--at", options->at,
                     "When it occurred: RFC 3339, or \"2026-01-31 10:00\" UTC; default: now, which "
                     "on the import clock must be near log time")
        ->check(NotEmpty());
    command->add_flag("--jump", options->jump,
                      "On the import clock: move log time on by more than 366 days, to --at");
    if (verb.related.name != nullptr) {
      AddText(command, verb.related, &options->related)->check(NotEmpty());
    }
    if (verb.expires.name != nullptr) {
      AddText(command, verb.expires, &options->expires)->check(NotEmpty());
    }
    if (verb.kind == Kind::Close) {
      command->add_flag("--expire-rest", options->expire_rest,
                        "What is left expires with it, and a debt is forgiven");
    }
    if (verb.kind == Kind::Adjust) {
      command->add_option("--reason", options->reason, "The reason's code, 0 to 65535");
    }
    command->add_flag("--dry-run", options->dry_run,
                      "Only say what it would do now: nothing is recorded");
    command->add_option("--patience", options->patience_s, "Seconds to wait for the answer")
        ->check(CLI::Range(1, 86'400))
        ->capture_default_str();
    OnRun(command, [&server, kind = verb.kind, options] { return Run(server, kind, *options); });
  }
}

}  // namespace tallystick::tally
