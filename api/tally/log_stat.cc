// tally log stat: what a ledger's logs hold, in figures.

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "api/tally/command.h"
#include "api/tally/log_commands.h"
#include "api/tally/log_stats.h"
#include "api/tally/output_file.h"

namespace tallystick::tally {
namespace {

struct Options {
  std::string directory;
  std::string html;
  bool json = false;
};

void PrintSpan(const char* name, const Span& span) {
  if (span.empty()) return;
  std::printf("%s from %s to %s\n", name, InstantText(span.first).c_str(),
              InstantText(span.last).c_str());
}

// `when`: words behind the first.
void PrintRates(const RateSeries& rates, const char* when, bool with_bytes) {
  if (rates.buckets().empty()) return;
  std::printf("each %s%s, from\n", rates.step_name().c_str(), when);
  for (const auto& [begin, bucket] : rates.buckets()) {
    std::printf("  %s %12lu records", InstantText(begin).c_str(), bucket.records);
    if (with_bytes) std::printf(" %14lu bytes", bucket.bytes);
    std::printf("\n");
  }
}

void PrintSegment(const SegmentStats& segment) {
  std::printf("shard %u segment %lu: from position %lu, %lu records, %lu %s %lu bytes\n",
              segment.shard, segment.number, segment.first_position, segment.records,
              segment.used_bytes, segment.archived ? "bytes, archived in" : "of",
              segment.size_bytes);
}

void PrintText(const LogStats& stats) {
  std::printf("%u shards, %lu segments, %lu blocks, %lu records, %lu bytes\n", stats.shards,
              stats.segments.size(), stats.blocks, stats.records, stats.bytes);
  if (stats.torn_bytes > 0) std::printf("torn tails of %lu bytes\n", stats.torn_bytes);
  PrintSpan("written", stats.written);
  PrintSpan("occurred", stats.occurred);
  std::printf("%lu members seen\n", stats.members.size());
  for (const auto& [program, records] : stats.programs) {
    std::printf("program %u: %lu records\n", program, records);
  }
  for (const auto& [kind, of_kind] : stats.kinds) {
    std::printf("%-12s %12lu records %+18ld points\n", kind.c_str(), of_kind.records,
                of_kind.points);
  }
  for (const auto& [outcome, records] : stats.outcomes) {
    std::printf("outcome %s: %lu records\n", outcome.c_str(), records);
  }
  for (size_t i = 0; i < stats.block_sizes.size(); ++i) {
    if (stats.block_sizes[i] == 0) continue;
    std::printf("blocks of %lu to %lu records: %lu\n", 1ul << i, (2ul << i) - 1,
                stats.block_sizes[i]);
  }
  PrintRates(stats.rates, " by when it was written", /*with_bytes=*/true);
  PrintRates(stats.occurred_rates, " by when it occurred", /*with_bytes=*/false);
  for (const Gap& gap : stats.gaps) {
    std::printf("shard %u: nothing for %.3f s from %s\n", gap.shard,
                static_cast<double>(gap.to - gap.from) / 1e6, InstantText(gap.from).c_str());
  }
  for (const SegmentStats& segment : stats.segments) PrintSegment(segment);
  for (const SnapshotStats& snapshot : stats.snapshots) {
    std::printf("shard %u snapshot of position %lu: %lu bytes, taken %s\n", snapshot.shard,
                snapshot.position, snapshot.size_bytes, InstantText(snapshot.taken_at).c_str());
  }
}

int Run(const Options& options) {
  const auto ledger = OfflineLedger::OpenToRead(options.directory);
  if (!ledger.ok()) return Fail(ledger.status());
  // Before all the reading: it would be a pity afterwards.
  std::unique_ptr<OutputFile> page;
  if (!options.html.empty()) {
    auto created = OutputFile::Create(options.html, ledger->get());
    if (!created.ok()) return Fail(created.status());
    page = *std::move(created);
  }
  const absl::StatusOr<LogStats> stats = CollectLogStats(**ledger);
  if (!stats.ok()) return Fail(stats.status());
  if (page != nullptr) {
    page->buffer() = LogStatsPage(options.directory, *stats);
    if (absl::Status s = page->Publish(); !s.ok()) return Fail(s);
  }
  if (options.json) {
    PrintJson(LogStatsJson(*stats));
  } else {
    PrintText(*stats);
  }
  return 0;
}

}  // namespace

void AddLogStatCommand(CLI::App* log) {
  CLI::App* command = log->add_subcommand("stat", "Print rates, sizes, kinds, members and gaps");
  const auto options = std::make_shared<Options>();
  AddDirectory(command, &options->directory);
  AddJsonFlag(command, &options->json);
  command->add_option("--html", options->html, "A new file that a page with plots is written to")
      ->check(NotEmpty());
  OnRun(command, [options] { return Run(*options); });
}

}  // namespace tallystick::tally
