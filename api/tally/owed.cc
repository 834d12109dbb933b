// tally owed: what a program owes, by the month in which it expires; of a ledger that is served, or
// of a directory.

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "api/instants.h"
#include "api/owed.h"
#include "api/replay_block.h"
#include "api/tally/command.h"
#include "api/tally/ledger_log.h"
#include "api/tally/log_commands.h"
#include "api/tally/replay_report.h"

namespace tallystick::tally {
namespace {

struct Options {
  std::string directory;  // empty: ask the server
  uint16_t program = 0;
  std::string as_of;
  std::string to;
  bool json = false;
};

// ---- of a directory ----

absl::StatusOr<Machines> ReplayTo(OfflineLedger& ledger, const LogPoint& to,
                                  std::map<uint16_t, Position>* positions) {
  Machines machines;
  const auto logs = ReplayMachinesTo(ledger, to, machines);
  if (!logs.ok()) return logs.status();
  for (const ShardLog& log : *logs) (*positions)[log.shard] = log.position;
  return machines;
}

// All shards settled to one instant: `as_of`, or if that is 0 the latest of their log times.
absl::StatusOr<OwedAnswer> ReadOwed(const Options& options, Instant as_of) {
  LogPoint to;
  if (!options.to.empty()) {
    const absl::StatusOr<LogPoint> point = LogPoint::Parse(options.to);
    if (!point.ok()) return point.status();
    to = *point;
    if (as_of == 0) as_of = to.time().value_or(0);
  }
  const auto ledger = OfflineLedger::OpenToRead(options.directory);
  if (!ledger.ok()) return ledger.status();
  std::map<uint16_t, Position> positions;
  auto machines = ReplayTo(**ledger, to, &positions);
  if (!machines.ok()) return machines.status();
  Instant log_time = 0;
  for (const auto& [shard, machine] : *machines) {
    log_time = std::max(log_time, machine->log_time());
  }
  if (as_of != 0 && as_of < log_time) {
    return absl::InvalidArgumentError(
        absl::StrCat("--as-of ", options.as_of, " is past: the log goes to ", InstantText(log_time),
                     ". Give that instant as --to as well"));
  }
  if (as_of == 0) as_of = log_time;
  OwedAnswer sum;
  for (const auto& [shard, machine] : *machines) {
    OwedAnswer part;
    if (machine->BeginOwed(options.program, as_of)) {
      while (!machine->ContinueOwed(SIZE_MAX / 2)) {
      }
      part = TellOwed(*machine, options.program, as_of, machine->EndOwed());
    } else {
      part.outcome = Outcome::UnknownProgram;
    }
    AddOwed(part, sum);
    sum.shards.push_back({positions[shard], machine->log_time()});
  }
  return sum;
}

// ---- of a server ----

absl::StatusOr<OwedAnswer> AskOwed(const Server& server, const Options& options, Instant as_of) {
  if (!options.to.empty()) {
    return absl::InvalidArgumentError(
        "--to is a point of a log: name the ledger's directory, which no server may have in use");
  }
  auto client = server.Connect();
  if (!client.ok()) return client.status();
  auto owed = (*client)->Owed(options.program, as_of);
  if (owed.ok() && owed->outcome == Outcome::Ok && as_of != 0 && owed->as_of > as_of) {
    return absl::InvalidArgumentError(
        absl::StrCat("--as-of ", options.as_of, " is past: the ledger's time is ",
                     InstantText(owed->as_of), "; tally owed DIR --to tells what was"));
  }
  return owed;
}

// ---- what is printed ----

OwedMonth SumOf(const OwedAnswer& owed) {
  OwedMonth sum;
  const auto add = [&](const OwedMonth& month) {
    sum.pending += month.pending;
    sum.available += month.available;
    sum.held += month.held;
  };
  for (const OwedMonth& month : owed.months) add(month);
  add(owed.later);
  add(owed.never);
  return sum;
}

bool Equal(const OwedAnswer& owed) {
  const OwedMonth sum = SumOf(owed);
  return sum.pending == owed.pending && sum.available == owed.available && sum.held == owed.held &&
         owed.counted_debt == owed.debt;
}

// In all.
Points Owed(const OwedAnswer& owed) {
  return owed.pending + owed.available + owed.held + owed.in_transit - owed.debt;
}

bool Empty(const OwedMonth& month) { return (month.pending | month.available | month.held) == 0; }

std::string MonthText(int32_t month) {
  const int32_t year = 1970 + (month >= 0 ? month / 12 : (month - 11) / 12);
  return absl::StrFormat("%04d-%02d", year, month - (year - 1970) * 12 + 1);
}

nlohmann::ordered_json PointsJson(const OwedMonth& month) {
  return {{"pending", month.pending},
          {"available", month.available},
          {"held", month.held},
          {"points", month.pending + month.available + month.held}};
}

nlohmann::ordered_json ToJson(const Options& options, const OwedAnswer& owed) {
  nlohmann::ordered_json json = {{"program", options.program},
                                 {"as_of", InstantJson(owed.as_of)},
                                 {"time_zone", owed.time_zone}};
  json["shards"] = nlohmann::ordered_json::array();
  for (const ShardTime& shard : owed.shards) {
    json["shards"].push_back({{"position", shard.position}, {"time", InstantJson(shard.time)}});
  }
  json["members"] = owed.members;
  json["months"] = nlohmann::ordered_json::array();
  for (const OwedMonth& month : owed.months) {
    nlohmann::ordered_json one = {{"month", MonthText(month.month)}};
    one.update(PointsJson(month));
    json["months"].push_back(std::move(one));
  }
  json["later"] = PointsJson(owed.later);
  json["never"] = PointsJson(owed.never);
  json["outstanding"] = {{"pending", owed.pending},
                         {"available", owed.available},
                         {"held", owed.held},
                         {"in_transit", owed.in_transit},
                         {"debt", owed.debt}};
  json["owed"] = Owed(owed);
  json["expired"] = {{"in_all", owed.expired},
                     {"by_date", owed.expired - owed.forfeited - owed.closed_out},
                     {"forfeited", owed.forfeited},
                     {"closed_out", owed.closed_out}};
  json["equal"] = Equal(owed);
  return json;
}

void PrintLine(const std::string& name, const OwedMonth& month) {
  std::printf("%-12s %18ld %18ld %18ld %18ld\n", name.c_str(), month.pending, month.available,
              month.held, month.pending + month.available + month.held);
}

void PrintText(const Options& options, const OwedAnswer& owed) {
  std::printf("Program %u as of %s: %ld members; by the last month in which points are good, %s\n",
              options.program, InstantText(owed.as_of).c_str(), owed.members,
              owed.time_zone.c_str());
  std::printf("%-12s %18s %18s %18s %18s\n", "expires", "pending", "available", "held", "points");
  for (const OwedMonth& month : owed.months) PrintLine(MonthText(month.month), month);
  if (!Empty(owed.later)) PrintLine("3000 on", owed.later);
  PrintLine("never", owed.never);
  PrintLine("in all", SumOf(owed));
  std::printf("%-12s %75ld\n", "in transit", owed.in_transit);
  std::printf("%-12s %75ld\n", "less debt", owed.debt);
  std::printf("%-12s %75ld\n", "owed", Owed(owed));
  std::printf(
      "Expired so far: %ld; of it %ld by their date, %ld forfeited (reversed after their date), "
      "%ld "
      "closed out (of accounts that were closed)\n",
      owed.expired, owed.expired - owed.forfeited - owed.closed_out, owed.forfeited,
      owed.closed_out);
  if (Equal(owed)) std::printf("The sums are the totals.\n");
}

int Run(const Server& server, const Options& options) {
  absl::StatusOr<Instant> as_of = 0;
  if (!options.as_of.empty()) as_of = ParseInstant(options.as_of);
  if (!as_of.ok()) return Fail(as_of.status());
  const auto owed =
      options.directory.empty() ? AskOwed(server, options, *as_of) : ReadOwed(options, *as_of);
  if (!owed.ok()) return Fail(owed.status());
  if (owed->outcome != Outcome::Ok) return Refuse(owed->outcome);
  if (options.json) {
    PrintJson(ToJson(options, *owed));
  } else {
    PrintText(options, *owed);
  }
  if (Equal(*owed)) return 0;
  return Fail(absl::DataLossError(
      "what members have does not sum up to the totals: stop the server, keep its log, and run "
      "tally log verify on it"));
}

}  // namespace

void AddOwedCommand(CLI::App& app, const Server& server) {
  CLI::App* command =
      app.add_subcommand("owed", "What a program owes, by the month in which it expires");
  const auto options = std::make_shared<Options>();
  command
      ->add_option("directory", options->directory,
                   "A ledger that nobody serves; default: the one that the server has")
      ->check(NotEmpty());
  AddProgramOption(command, &options->program);
  command
      ->add_option("--as-of", options->as_of,
                   "At a later time: what will have activated and expired by then")
      ->check(NotEmpty());
  command
      ->add_option("--to", options->to,
                   "Of a directory: as its logs were at this point, as of tally log replay")
      ->check(NotEmpty());
  AddJsonFlag(command, &options->json);
  OnRun(command, [&server, options] { return Run(server, *options); });
}

}  // namespace tallystick::tally
