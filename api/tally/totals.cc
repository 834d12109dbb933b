// tally totals: what a program has issued, taken back, and owes.

#include "api/tally/totals.h"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "api/tally/command.h"

namespace tallystick::tally {
namespace {

struct Options {
  uint16_t program = 0;
  bool json = false;
};

// Of all shards: the sum of their positions, which grows with any of them, and the latest log time.
ShardTime Extent(const TotalsAnswer& totals) {
  ShardTime extent;
  extent.time = std::numeric_limits<int64_t>::min();
  for (const ShardTime& shard : totals.shards) {
    extent.position += shard.position;
    extent.time = std::max(extent.time, shard.time);
  }
  return extent;
}

nlohmann::ordered_json ToJson(uint16_t program, const TotalsAnswer& totals) {
  const ShardTime extent = Extent(totals);
  auto shards = nlohmann::ordered_json::array();
  for (const ShardTime& shard : totals.shards) {
    shards.push_back({{"position", shard.position}, {"time", InstantJson(shard.time)}});
  }
  return {{"program", program},
          {"shards", shards},
          {"position", extent.position},
          {"time", InstantJson(extent.time)},
          {"members", totals.members},
          {"issued", totals.issued},
          {"redeemed", totals.redeemed},
          {"expired", totals.expired},
          {"clawed_back", totals.clawed_back},
          {"written_off", totals.written_off},
          {"adjusted", totals.adjusted},
          {"reinstated", totals.reinstated},
          {"forgiven", totals.forgiven},
          {"forfeited", totals.forfeited},
          {"closed_out", totals.closed_out},
          {"sent", totals.sent},
          {"received", totals.received},
          {"outstanding",
           {{"pending", totals.pending},
            {"available", totals.available},
            {"held", totals.held},
            {"in_transit", totals.sent - totals.received},
            {"debt", totals.debt}}},
          {"balanced", Balanced(totals)}};
}

// As a point of the log is written: the position, or each shard's.
std::string PointText(const TotalsAnswer& totals) {
  if (totals.shards.size() == 1) return absl::StrCat(totals.shards[0].position);
  std::string text;
  for (size_t shard = 0; shard < totals.shards.size(); ++shard) {
    absl::StrAppend(&text, shard == 0 ? "" : ",", shard, ":", totals.shards[shard].position);
  }
  return text;
}

void PrintText(uint16_t program, const TotalsAnswer& totals) {
  std::printf("Program %d at position %s, %s: %ld members\n", program, PointText(totals).c_str(),
              InstantText(Extent(totals).time).c_str(), totals.members);
  const auto line = [](const char* sign, const char* name, Points points) {
    std::printf("  %s %-12s %18ld\n", sign, name, points);
  };
  line("+", "issued", totals.issued);
  line("+", "adjusted", totals.adjusted);
  line("+", "reinstated", totals.reinstated);
  line("+", "forgiven", totals.forgiven);
  line("-", "redeemed", totals.redeemed);
  line("-", "expired", totals.expired);
  std::printf(
      "      of it %ld forfeited (reversed after their date), %ld closed out (of accounts "
      "that were closed)\n",
      totals.forfeited, totals.closed_out);
  line("-", "clawed back", totals.clawed_back);
  std::printf("  outstanding\n");
  line("=", "pending", totals.pending);
  line("+", "available", totals.available);
  line("+", "held", totals.held);
  line("+", "in transit", totals.sent - totals.received);
  line("-", "debt", totals.debt);
  std::printf("  written off      %18ld\n", totals.written_off);
  if (Balanced(totals)) std::printf("  The totals balance.\n");
}

int Run(const Server& server, const Options& options) {
  auto client = server.Connect();
  if (!client.ok()) return Fail(client.status());
  const auto totals = (*client)->Totals(options.program);
  if (!totals.ok()) return Fail(totals.status());
  if (totals->outcome != Outcome::Ok) return Refuse(totals->outcome);
  if (options.json) {
    PrintJson(ToJson(options.program, *totals));
  } else {
    PrintText(options.program, *totals);
  }
  if (Balanced(*totals)) return 0;
  return Fail(absl::DataLossError(
      "the totals don't balance: stop the server, keep its log, and run tally log verify on it"));
}

}  // namespace

bool Balanced(const TotalsAnswer& t) {
  using Wide = __int128;
  return Wide{t.issued} + t.reinstated + t.adjusted + t.forgiven - t.redeemed - t.expired -
             t.clawed_back ==
         Wide{t.pending} + t.available + t.held - t.debt;
}

void AddTotalsCommand(CLI::App& app, const Server& server) {
  CLI::App* command = app.add_subcommand("totals", "What a program has issued and owes");
  auto options = std::make_shared<Options>();
  AddProgramOption(command, &options->program);
  AddJsonFlag(command, &options->json);
  OnRun(command, [&server, options] { return Run(server, *options); });
}

}  // namespace tallystick::tally
