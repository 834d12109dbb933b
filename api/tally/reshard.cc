// tally reshard: a ledger written anew, with another number of shards.

#include "api/reshard.h"

#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "api/ids.h"
#include "api/new_ledger.h"
#include "api/tally/command.h"
#include "api/tally/log_commands.h"
#include "api/tally/offline_ledger.h"
#include "api/tally/progress.h"
#include "api/tally/replay_report.h"

namespace tallystick::tally {
namespace {

struct Options {
  std::string directory;
  uint16_t shards = 0;
  std::string into;
  bool json = false;
};

std::string LedgerText(const LedgerIdentity& identity) {
  return FormatId(Id(identity.ledger_id.low, identity.ledger_id.high));
}

void PrintAsJson(const ReshardReport& report, const std::string& directory, double per_second) {
  nlohmann::ordered_json json = {{"into", directory},
                                 {"ledger", LedgerText(report.identity)},
                                 {"time", InstantJson(report.time)},
                                 {"records_read", report.records_read},
                                 {"records_written", report.records_written},
                                 {"records_per_second", static_cast<int64_t>(per_second)},
                                 {"accounts", report.accounts},
                                 {"delayed", report.delayed},
                                 {"longest_delay_us", report.longest_delay_us}};
  json["shards"] = nlohmann::ordered_json::array();
  for (size_t shard = 0; shard < report.records.size(); ++shard) {
    json["shards"].push_back({{"shard", shard}, {"records", report.records[shard]}});
  }
  json["programs"] = nlohmann::ordered_json::array();
  for (const auto& [id, totals] : report.programs)
    json["programs"].push_back(TotalsJson(id, totals));
  PrintJson(json);
}

void Print(const ReshardReport& report, const std::string& directory, double per_second) {
  for (size_t shard = 0; shard < report.records.size(); ++shard) {
    std::printf("shard %zu: %lu records\n", shard, report.records[shard]);
  }
  for (const auto& [id, t] : report.programs) {
    std::printf(
        "program %u: %ld members; issued %ld, redeemed %ld, expired %ld, clawed back %ld, written "
        "off %ld, adjusted %ld, reinstated %ld, forgiven %ld; pending %ld, available %ld, held "
        "%ld, in transit %ld, debt %ld: the same, and conserved\n",
        id, t.members, t.issued, t.redeemed, t.expired, t.clawed_back, t.written_off, t.adjusted,
        t.reinstated, t.forgiven, t.pending, t.available, t.held, t.sent - t.received, t.debt);
  }
  if (report.delayed > 0) {
    std::printf("%lu records have a later log time than they had, by at most %ld us\n",
                report.delayed, report.longest_delay_us);
  }
  std::printf(
      "%lu accounts have the same balances and lots. %lu records read, %lu written, %.0f a second\n"
      "ledger %s in %s, at %s. Its positions are others: keep the old directory for what names "
      "those, and do not serve it again\n",
      report.accounts, report.records_read, report.records_written, per_second,
      LedgerText(report.identity).c_str(), directory.c_str(), InstantText(report.time).c_str());
}

int Run(const Options& options) {
  const auto ledger = OfflineLedger::OpenToRead(options.directory);
  if (!ledger.ok()) return Fail(ledger.status());
  wal::Io& io = (*ledger)->io();
  const auto made = NewLedger::Begin(io, options.directory, (*ledger)->identity(), options.into);
  if (!made.ok()) return Fail(made.status());
  const auto begin = std::chrono::steady_clock::now();
  std::unique_ptr<Progress> progress;
  const auto report = Reshard(io, {.from = options.directory,
                                   .identity = (*ledger)->identity(),
                                   .into = (*made)->unfinished(),
                                   .shards = options.shards,
                                   .progress = [&](uint64_t bytes, uint64_t of_bytes) {
                                     if (progress == nullptr) {
                                       progress = std::make_unique<Progress>(
                                           "resharding", static_cast<int64_t>(of_bytes));
                                     }
                                     progress->Update(static_cast<int64_t>(bytes));
                                   }});
  progress.reset();
  if (!report.ok()) return Fail(report.status());
  if (absl::Status s = (*made)->Publish(report->identity); !s.ok()) return Fail(s);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  const double per_second = static_cast<double>(report->records_read) / took.count();
  if (options.json) {
    PrintAsJson(*report, (*made)->directory(), per_second);
  } else {
    Print(*report, (*made)->directory(), per_second);
  }
  return 0;
}

}  // namespace

void AddReshardCommand(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "reshard", "Write a ledger anew, with the same balances and another number of shards");
  const auto options = std::make_shared<Options>();
  AddDirectory(command, &options->directory);
  command->add_option("--shards", options->shards, "How many shards the new ledger has")
      ->required()
      ->check(CLI::Range(1, int{kMaxShards}));
  command->add_option("--into", options->into, "The new directory: missing or empty")
      ->required()
      ->check(NotEmpty());
  AddJsonFlag(command, &options->json);
  OnRun(command, [options] { return Run(*options); });
}

}  // namespace tallystick::tally
