// tally balance, tally schedule: what a member has, and what will become of it.

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "api/ids.h"
#include "api/instants.h"
#include "api/outcomes.h"
#include "api/tally/command.h"

namespace tallystick::tally {
namespace {

struct Options {
  AccountOptions account;
  std::string as_of;
};

const char* WillText(Kind kind) {
  switch (kind) {
    case Kind::Activation:
      return "become available";
    case Kind::HoldTimeout:
      return "come back from a hold, if it is neither captured nor released";
    default:
      return "expire";
  }
}

void PrintText(const Options& options, const Id& member, const BalanceAnswer& balance) {
  std::printf("Member %s in program %d, as of %s\n", FormatId(member).c_str(),
              options.account.program, InstantText(balance.as_of).c_str());
  std::printf("  available        %14ld\n", balance.available);
  std::printf("  pending          %14ld\n", balance.pending);
  std::printf("  held             %14ld\n", balance.held);
  std::printf("  debt             %14ld\n", balance.debt);
  std::printf("  earned in all    %14ld\n", balance.lifetime_earned);
  std::printf("  status           %14s\n", std::string(StatusName(balance.status)).c_str());
  for (const BalanceEvent& event : balance.events) {
    std::printf("  %s %14ld will %s\n", InstantText(event.at).c_str(), event.points,
                WillText(event.kind));
  }
  if (balance.events.size() == kMaxBalanceEvents) {
    std::printf("  No more than %zu events are shown, the next ones: tally schedule shows all.\n",
                kMaxBalanceEvents);
  }
}

void PrintSchedule(const Options& options, const Id& member, const BalanceAnswer& balance) {
  std::printf("Member %s in program %d, as of %s: %zu events, if nothing else happens\n",
              FormatId(member).c_str(), options.account.program, InstantText(balance.as_of).c_str(),
              balance.events.size());
  for (const BalanceEvent& event : balance.events) {
    std::printf("  %s %14ld will %s\n", InstantText(event.at).c_str(), event.points,
                WillText(event.kind));
  }
}

nlohmann::ordered_json ToJson(const Options& options, const Id& member,
                              const BalanceAnswer& balance) {
  auto events = nlohmann::ordered_json::array();
  for (const BalanceEvent& event : balance.events) {
    events.push_back({{"at", InstantJson(event.at)},
                      {"kind", std::string(KindName(event.kind))},
                      {"points", event.points}});
  }
  return {{"member", FormatId(member)},
          {"program", options.account.program},
          {"as_of", InstantJson(balance.as_of)},
          {"position", balance.position},
          {"pending", balance.pending},
          {"available", balance.available},
          {"held", balance.held},
          {"debt", balance.debt},
          {"lifetime_earned", balance.lifetime_earned},
          {"status", std::string(StatusName(balance.status))},
          {"events", events}};
}

// What of the answer is for people.
enum class Tells { kBalance, kSchedule };

int Run(const Server& server, const Options& options, Tells tells) {
  const auto member = RequireId(options.account.member, "member");
  if (!member.ok()) return Fail(member.status());
  absl::StatusOr<Instant> as_of = 0;
  if (!options.as_of.empty()) as_of = ParseInstant(options.as_of);
  if (!as_of.ok()) return Fail(as_of.status());
  auto client = server.Connect();
  if (!client.ok()) return Fail(client.status());
  const uint16_t program = options.account.program;
  const auto balance = tells == Tells::kSchedule ? (*client)->Schedule(program, *member, *as_of)
                                                 : (*client)->Balance(program, *member, *as_of);
  if (!balance.ok()) return Fail(balance.status());
  if (balance->outcome != Outcome::Ok) return Refuse(balance->outcome);
  if (*as_of != 0 && balance->as_of > *as_of) {
    return Fail(absl::InvalidArgumentError(absl::StrCat(
        "--as-of ", options.as_of, " is past: the ledger's time is ", InstantText(balance->as_of),
        ", and a balance is told as of then or later; tally statement tells what was")));
  }
  if (options.account.json) {
    PrintJson(ToJson(options, *member, *balance));
  } else if (tells == Tells::kSchedule) {
    PrintSchedule(options, *member, *balance);
  } else {
    PrintText(options, *member, *balance);
  }
  return 0;
}

void AddCommand(CLI::App& app, const Server& server, const char* name, const char* help,
                Tells tells) {
  CLI::App* command = app.add_subcommand(name, help);
  auto options = std::make_shared<Options>();
  AddAccountOptions(command, &options->account);
  command
      ->add_option("--as-of", options->as_of,
                   "At a later time: what will have activated and expired by then")
      ->check(NotEmpty());
  OnRun(command, [&server, options, tells] { return Run(server, *options, tells); });
}

}  // namespace

void AddBalanceCommand(CLI::App& app, const Server& server) {
  AddCommand(app, server, "balance", "A member's balance", Tells::kBalance);
}

void AddScheduleCommand(CLI::App& app, const Server& server) {
  AddCommand(app, server, "schedule",
             "All activations, expiries and timeouts that a member's points have before them",
             Tells::kSchedule);
}

}  // namespace tallystick::tally
