// tally log verify|dump|replay: a ledger's log without its server.

#include <algorithm>
#include <cstdio>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "api/ids.h"
#include "api/ledger_files.h"
#include "api/outcomes.h"
#include "api/replay_block.h"
#include "api/tally/command.h"
#include "api/tally/ledger_log.h"

namespace tallystick::tally {
namespace {

struct Options {
  std::string directory;
  bool json = false;
  Position from = 1;
  Position to = std::numeric_limits<Position>::max();
};

nlohmann::ordered_json EndJson(const ShardLog& log) {
  nlohmann::ordered_json json = {{"shard", log.shard},
                                 {"blocks", log.blocks},
                                 {"records", log.records},
                                 {"position", log.position}};
  if (!log.whole()) return json;
  json["segment"] = log.tail.segment;
  json["offset"] = log.tail.offset;
  json["torn_bytes"] = log.tail.torn ? log.tail.cut_bytes : 0;
  if (log.tail.torn) json["torn_because"] = log.tail.cut_reason;
  return json;
}

std::string EndText(const ShardLog& log) {
  std::string text = absl::StrCat("shard ", log.shard, ": ", log.blocks, " blocks, ", log.records,
                                  " records, position ", log.position);
  if (!log.whole()) return absl::StrCat(text, " of ", log.tail.next_position - 1);
  if (log.tail.torn) {
    absl::StrAppend(&text, "; a torn tail of ", log.tail.cut_bytes, " bytes behind segment ",
                    log.tail.segment, " offset ", log.tail.offset,
                    ", never acknowledged: ", log.tail.cut_reason);
  }
  return text;
}

// ---- replay and verify ----

using Machines = std::map<uint16_t, std::unique_ptr<ledger::StateMachine>>;

absl::StatusOr<std::vector<ShardLog>> ReplayLedger(const Options& options, Machines* machines) {
  return ReadLedger(
      options.directory, options.to, [&](uint16_t shard, const wal::BlockView& block) {
        auto& machine = (*machines)[shard];
        if (machine == nullptr)
          machine = std::make_unique<ledger::StateMachine>(ledger::Limits{}, RandomId().low());
        return ReplayBlock(block, ShardDirectory(options.directory, shard), *machine, options.to);
      });
}

struct Sums {
  std::map<uint16_t, ledger::Totals> programs;
  uint64_t digest = 0;
  Instant time = 0;
};

Sums SumUp(const Machines& machines) {
  Sums sums;
  for (const auto& [shard, machine] : machines) {
    sums.digest += machine->Digest();
    sums.time = std::max(sums.time, machine->log_time());
    for (const uint16_t id : machine->Programs()) {
      const ledger::Totals& from = *machine->TotalsOf(id);
      ledger::Totals& to = sums.programs[id];
      to.members += from.members;
      to.issued += from.issued;
      to.redeemed += from.redeemed;
      to.expired += from.expired;
      to.clawed_back += from.clawed_back;
      to.written_off += from.written_off;
      to.adjusted += from.adjusted;
      to.reinstated += from.reinstated;
      to.forgiven += from.forgiven;
      to.pending += from.pending;
      to.available += from.available;
      to.held += from.held;
      to.debt += from.debt;
    }
  }
  return sums;
}

nlohmann::ordered_json TotalsJson(uint16_t program, const ledger::Totals& t) {
  return {
      {"program", program},
      {"members", t.members},
      {"issued", t.issued},
      {"redeemed", t.redeemed},
      {"expired", t.expired},
      {"clawed_back", t.clawed_back},
      {"written_off", t.written_off},
      {"adjusted", t.adjusted},
      {"reinstated", t.reinstated},
      {"outstanding",
       {{"pending", t.pending}, {"available", t.available}, {"held", t.held}, {"debt", t.debt}}}};
}

int PrintReplay(const Options& options, const std::vector<ShardLog>& logs,
                const Machines& machines) {
  const Sums sums = SumUp(machines);
  const std::string digest = absl::StrFormat("%016x", sums.digest);
  if (options.json) {
    nlohmann::ordered_json json = {{"digest", digest}, {"time", InstantJson(sums.time)}};
    json["shards"] = nlohmann::ordered_json::array();
    for (const ShardLog& log : logs) json["shards"].push_back(EndJson(log));
    json["programs"] = nlohmann::ordered_json::array();
    for (const auto& [id, totals] : sums.programs)
      json["programs"].push_back(TotalsJson(id, totals));
    PrintJson(json);
    return 0;
  }
  for (const ShardLog& log : logs) std::printf("%s\n", EndText(log).c_str());
  for (const auto& [id, t] : sums.programs) {
    std::printf(
        "program %u: %ld members; issued %ld, redeemed %ld, expired %ld, clawed back %ld, written "
        "off %ld, adjusted %ld; pending %ld, available %ld, debt %ld\n",
        id, t.members, t.issued, t.redeemed, t.expired, t.clawed_back, t.written_off, t.adjusted,
        t.pending, t.available, t.debt);
  }
  std::printf("digest %s at %s\n", digest.c_str(), InstantText(sums.time).c_str());
  return 0;
}

int RunReplay(const Options& options) {
  Machines machines;
  const auto logs = ReplayLedger(options, &machines);
  if (!logs.ok()) return Fail(logs.status());
  return PrintReplay(options, *logs, machines);
}

// Every byte, chain and record; then the state that they give.
int RunVerify(const Options& options) {
  Machines machines;
  const auto logs = ReplayLedger(options, &machines);
  if (!logs.ok()) return Fail(logs.status());
  for (const auto& [shard, machine] : machines) {
    if (absl::Status s = machine->CheckInvariants(); !s.ok()) {
      return Fail(absl::DataLossError(absl::StrCat("shard ", shard, ": ", s.message())));
    }
  }
  const int status = PrintReplay(options, *logs, machines);
  if (!options.json) std::printf("verified: every block, record and balance follows\n");
  return status;
}

// ---- dump ----

nlohmann::ordered_json RecordJson(uint16_t shard, Position position, const Record& record) {
  const Operation& op = record.operation;
  const Result& result = record.result;
  nlohmann::ordered_json json = {{"shard", shard},
                                 {"position", position},
                                 {"kind", std::string(KindName(op.kind()))},
                                 {"program", op.program()}};
  if (!IsZero(op.id())) json["id"] = FormatId(op.id());
  if (!IsZero(op.member())) json["member"] = FormatId(op.member());
  if (IsDerived(op.kind())) {
    json["origin"] = op.related().low();
  } else if (!IsZero(op.related())) {
    json["related"] = FormatId(op.related());
  }
  json["amount"] = op.amount();
  json["occurred_at"] = InstantJson(op.occurred_at());
  if (op.expires_at() != 0) json["expires_at"] = InstantJson(op.expires_at());
  if (op.user_data() != 0) json["user_data"] = op.user_data();
  if (op.category() != 0) json["category"] = op.category();
  json["points"] = result.points();
  json["available"] = result.available();
  json["pending"] = result.pending();
  json["previous"] = result.position();
  if (result.flags() != 0) json["flags"] = result.flags();
  if (result.details() != 0) json["details"] = result.details();
  return json;
}

void PrintRecord(const Options& options, uint16_t shard, Position position, const Record& record) {
  if (options.json) {
    PrintJson(RecordJson(shard, position, record));
    return;
  }
  const Operation& op = record.operation;
  std::printf(
      "%u/%lu  %s  %-11s program %u  member %s  amount %ld  points %+ld  available %ld  pending "
      "%ld  id %s\n",
      shard, position, InstantText(op.occurred_at()).c_str(),
      std::string(KindName(op.kind())).c_str(), op.program(), FormatId(op.member()).c_str(),
      op.amount(), record.result.points(), record.result.available(), record.result.pending(),
      FormatId(op.id()).c_str());
}

int RunDump(const Options& options) {
  const auto logs =
      ReadLedger(options.directory, options.to, [&](uint16_t shard, const wal::BlockView& block) {
        return EachRecord(
            block, [&](Position position, const Record& record, absl::Span<const wal::Slot>) {
              if (position >= options.from && position <= options.to) {
                PrintRecord(options, shard, position, record);
              }
              return absl::OkStatus();
            });
      });
  return logs.ok() ? 0 : Fail(logs.status());
}

CLI::App* AddCommand(CLI::App* log, const std::string& name, const std::string& what,
                     const std::shared_ptr<Options>& options, int (*run)(const Options&)) {
  CLI::App* command = log->add_subcommand(name, what);
  command->add_option("directory", options->directory, "The ledger's data directory")->required();
  AddJsonFlag(command, &options->json);
  OnRun(command, [options, run] { return run(*options); });
  return command;
}

}  // namespace

void AddLogCommands(CLI::App& app) {
  CLI::App* log = app.add_subcommand("log", "Read a ledger's log, without its server");
  log->require_subcommand(1);
  const auto options = std::make_shared<Options>();
  AddCommand(log, "verify", "Check every block and record, and replay them", options, RunVerify);
  CLI::App* dump = AddCommand(log, "dump", "Print the records", options, RunDump);
  dump->add_option("--from", options->from, "First position, each shard's own");
  dump->add_option("--to", options->to, "Last position, each shard's own");
  CLI::App* replay =
      AddCommand(log, "replay", "Replay, and print the digest and totals", options, RunReplay);
  replay->add_option("--to", options->to,
                     "Last position, each shard's own: as in the shards of tally totals --json");
  AddLogExportCommand(*log);
}

}  // namespace tallystick::tally
