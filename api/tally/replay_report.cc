#include "api/tally/replay_report.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "api/ids.h"
#include "api/replay_block.h"
#include "api/tally/command.h"

namespace tallystick::tally {
namespace {

nlohmann::ordered_json EndJson(const ShardLog& log) {
  nlohmann::ordered_json json = {{"shard", log.shard},
                                 {"blocks", log.blocks},
                                 {"records", log.records},
                                 {"first_position", log.first_position},
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
  if (log.first_position > 1) {
    absl::StrAppend(&text, ", behind the snapshot of position ", log.first_position - 1);
  }
  if (!log.whole()) return absl::StrCat(text, " of ", log.tail.next_position - 1);
  if (log.tail.torn) {
    absl::StrAppend(&text, "; a torn tail of ", log.tail.cut_bytes, " bytes behind segment ",
                    log.tail.segment, " offset ", log.tail.offset,
                    ", never acknowledged: ", log.tail.cut_reason);
  }
  return text;
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
      sums.programs[id] += *machine->TotalsOf(id);
    }
  }
  return sums;
}

}  // namespace

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
      {"forgiven", t.forgiven},
      {"forfeited", t.forfeited},
      {"closed_out", t.closed_out},
      {"sent", t.sent},
      {"received", t.received},
      {"outstanding",
       {{"pending", t.pending}, {"available", t.available}, {"held", t.held}, {"debt", t.debt}}}};
}

absl::StatusOr<std::vector<ShardLog>> ReplayMachinesTo(OfflineLedger& ledger, const LogPoint& to,
                                                       Machines& machines) {
  LedgerReplay replay;
  replay.on_begin = [&](uint16_t shard, ReplayStart& start) {
    machines[shard] = std::move(start.machine);
    return absl::OkStatus();
  };
  replay.on_block = [&](uint16_t shard, const wal::BlockView& block,
                        Position last) -> absl::Status {
    if (last < block.header->first_position) return absl::OkStatus();
    return ReplayBlock(block, ledger.ShardPath(shard), *machines[shard], last);
  };
  return ReplayLedgerTo(ledger, to, replay);
}

ledger::StateMachine& MachineOf(Machines& machines, uint16_t shard) {
  auto& machine = machines[shard];
  if (machine == nullptr) {
    machine = std::make_unique<ledger::StateMachine>(ledger::Limits{}, RandomId().low());
  }
  return *machine;
}

nlohmann::ordered_json ReplayJson(const std::vector<ShardLog>& logs, const Machines& machines) {
  const Sums sums = SumUp(machines);
  nlohmann::ordered_json json = {{"digest", absl::StrFormat("%016x", sums.digest)},
                                 {"time", InstantJson(sums.time)}};
  json["shards"] = nlohmann::ordered_json::array();
  for (const ShardLog& log : logs) json["shards"].push_back(EndJson(log));
  json["programs"] = nlohmann::ordered_json::array();
  for (const auto& [id, totals] : sums.programs) json["programs"].push_back(TotalsJson(id, totals));
  return json;
}

void PrintReplay(const std::vector<ShardLog>& logs, const Machines& machines) {
  const Sums sums = SumUp(machines);
  for (const ShardLog& log : logs) std::printf("%s\n", EndText(log).c_str());
  for (const auto& [id, t] : sums.programs) {
    std::printf(
        "program %u: %ld members; issued %ld, redeemed %ld, expired %ld, clawed back %ld, written "
        "off %ld, adjusted %ld, reinstated %ld, forgiven %ld; pending %ld, available %ld, held "
        "%ld, in transit %ld, debt %ld\n",
        id, t.members, t.issued, t.redeemed, t.expired, t.clawed_back, t.written_off, t.adjusted,
        t.reinstated, t.forgiven, t.pending, t.available, t.held, t.sent - t.received, t.debt);
  }
  std::printf("digest %016lx at %s\n", sums.digest, InstantText(sums.time).c_str());
}

}  // namespace tallystick::tally
