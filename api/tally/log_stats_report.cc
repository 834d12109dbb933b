// A log's figures as JSON, and as a page with plots.

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "api/instants.h"
#include "api/tally/command.h"
#include "api/tally/log_stats.h"
#include "api/tally/plot.h"

namespace tallystick::tally {
namespace {

using Json = nlohmann::ordered_json;

Json SpanJson(const Span& span) {
  if (span.empty()) return nullptr;
  return {{"first", InstantJson(span.first)}, {"last", InstantJson(span.last)}};
}

Json RatesJson(const RateSeries& rates) {
  Json json = {{"step_seconds", rates.step_us() / kMicrosPerSecond}, {"steps", Json::array()}};
  for (const auto& [begin, bucket] : rates.buckets()) {
    json["steps"].push_back(
        {{"from", InstantJson(begin)}, {"records", bucket.records}, {"bytes", bucket.bytes}});
  }
  return json;
}

Json FilesJson(const LogStats& stats) {
  Json json = {{"segments", Json::array()}, {"snapshots", Json::array()}};
  for (const SegmentStats& segment : stats.segments) {
    json["segments"].push_back({{"shard", segment.shard},
                                {"segment", segment.number},
                                {"first_position", segment.first_position},
                                {"blocks", segment.blocks},
                                {"records", segment.records},
                                {"used_bytes", segment.used_bytes},
                                {"size_bytes", segment.size_bytes},
                                {"archived", segment.archived},
                                {"written", SpanJson(segment.written)}});
  }
  for (const SnapshotStats& snapshot : stats.snapshots) {
    json["snapshots"].push_back({{"shard", snapshot.shard},
                                 {"position", snapshot.position},
                                 {"size_bytes", snapshot.size_bytes},
                                 {"taken_at", InstantJson(snapshot.taken_at)}});
  }
  return json;
}

// ---- plots ----

// As much of an instant as tells the ticks of such a span apart; a longer text would be cut off at
// the right.
std::string TickText(Instant at, Instant span) {
  const std::string text = FormatInstant(at);  // 2026-01-31T09:00:00.500000Z
  if (span > 300 * kMicrosPerDay) return text.substr(0, 7);
  if (span > 3 * kMicrosPerDay) return text.substr(5, 5);
  if (span > kMicrosPerDay) return absl::StrCat(text.substr(8, 2), ". ", text.substr(11, 5));
  return text.substr(11, span > kMicrosPerDay / 12 ? 5 : 8);
}

// At most six, none nearer to another than a step.
std::vector<std::pair<double, std::string>> TimeTicks(Instant from, Instant to, Instant step) {
  const Instant steps = (to - from) / step;
  const Instant stride = step * ((steps + 4) / 5);
  std::vector<std::pair<double, std::string>> ticks;
  for (Instant at = from; at <= to; at += stride) {
    ticks.emplace_back(static_cast<double>(at), TickText(at, to - from));
  }
  return ticks;
}

constexpr char kWritten[] = "when it was written, UTC";

// A second's worth of what each bucket has; none where nothing happened is 0.
Plot Rate(const RateSeries& rates, const std::string& title, const std::string& unit,
          const std::string& when, uint64_t RateSeries::Bucket::*field) {
  const auto& buckets = rates.buckets();
  Plot plot;
  plot.title = absl::StrCat(title, ", in steps of ", rates.step_name());
  plot.y.label = unit;
  Series series;
  if (!buckets.empty()) {
    const Instant step = rates.step_us();
    const Instant first = buckets.begin()->first;
    const Instant end = buckets.rbegin()->first + step;
    const double seconds = static_cast<double>(step) / 1e6;
    for (Instant at = first; at < end; at += step) {
      const auto bucket = buckets.find(at);
      const double value =
          bucket == buckets.end() ? 0 : static_cast<double>(bucket->second.*field) / seconds;
      series.points.emplace_back(static_cast<double>(at), value);
      series.points.emplace_back(static_cast<double>(at + step), value);
    }
    plot.x = {.label = absl::StrCat(when, ": from ", InstantText(first).substr(0, 19), " to ",
                                    InstantText(end).substr(0, 19)),
              .logarithmic = false,
              .ticks = TimeTicks(first, end, step)};
  }
  plot.series.push_back(std::move(series));
  return plot;
}

// A step as wide for each power of two.
Plot BlockSizes(const LogStats& stats) {
  Plot plot;
  plot.title = "Records in a block";
  plot.x.label = "records, to the next power of two";
  plot.y.label = "blocks";
  size_t classes = 1;
  for (size_t i = 0; i < stats.block_sizes.size(); ++i) {
    if (stats.block_sizes[i] > 0) classes = i + 1;
  }
  Series series;
  series.points.emplace_back(0, 0);
  for (size_t i = 0; i < classes; ++i) {
    const auto count = static_cast<double>(stats.block_sizes[i]);
    const auto left = static_cast<double>(i);
    series.points.emplace_back(left, count);
    series.points.emplace_back(left + 1, count);
    series.points.emplace_back(left + 1, 0);
    plot.x.ticks.emplace_back(left, absl::StrCat(1ul << i));
  }
  plot.x.ticks.emplace_back(static_cast<double>(classes), absl::StrCat(1ul << classes));
  plot.series.push_back(std::move(series));
  return plot;
}

// ---- tables ----

std::string Table(const std::vector<std::string>& heads,
                  const std::vector<std::vector<std::string>>& rows) {
  std::string html = "<table>\n<tr>";
  for (const std::string& head : heads) absl::StrAppend(&html, "<th>", Escaped(head), "</th>");
  absl::StrAppend(&html, "</tr>\n");
  for (const auto& row : rows) {
    absl::StrAppend(&html, "<tr>");
    for (size_t i = 0; i < row.size(); ++i) {
      absl::StrAppend(&html, i == 0 ? "<td>" : "<td class=\"figure\">", Escaped(row[i]), "</td>");
    }
    absl::StrAppend(&html, "</tr>\n");
  }
  return html + "</table>\n";
}

std::string SpanText(const Span& span) {
  if (span.empty()) return "none";
  return absl::StrCat(InstantText(span.first), " to ", InstantText(span.last));
}

std::string MegaBytes(uint64_t bytes) {
  return absl::StrFormat("%.2f MB", static_cast<double>(bytes) / 1e6);
}

std::string Summary(const LogStats& stats) {
  std::vector<std::vector<std::string>> rows = {
      {"shards", absl::StrCat(stats.shards)},
      {"records", absl::StrCat(stats.records)},
      {"blocks", absl::StrCat(stats.blocks)},
      {"size of the blocks", MegaBytes(stats.bytes)},
      {"members seen", absl::StrCat(stats.members.size())},
      {"written", SpanText(stats.written)},
      {"occurred", SpanText(stats.occurred)}};
  if (stats.torn_bytes > 0)
    rows.push_back({"torn tails", absl::StrCat(stats.torn_bytes, " bytes")});
  for (const auto& [program, records] : stats.programs) {
    rows.push_back({absl::StrCat("program ", program), absl::StrCat(records, " records")});
  }
  return Table({"", ""}, rows);
}

std::string Kinds(const LogStats& stats) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& [kind, of_kind] : stats.kinds) {
    rows.push_back({kind, absl::StrCat(of_kind.records), absl::StrFormat("%+d", of_kind.points)});
  }
  return Table({"kind", "records", "points"}, rows);
}

std::string Files(const LogStats& stats) {
  std::vector<std::vector<std::string>> gaps;
  for (const Gap& gap : stats.gaps) {
    gaps.push_back({absl::StrCat(gap.shard), InstantText(gap.from),
                    absl::StrFormat("%.3f s", static_cast<double>(gap.to - gap.from) / 1e6)});
  }
  std::vector<std::vector<std::string>> segments;
  for (const SegmentStats& segment : stats.segments) {
    segments.push_back({absl::StrCat(segment.shard), absl::StrCat(segment.number),
                        absl::StrCat(segment.first_position), absl::StrCat(segment.records),
                        MegaBytes(segment.used_bytes), MegaBytes(segment.size_bytes)});
  }
  std::vector<std::vector<std::string>> snapshots;
  for (const SnapshotStats& snapshot : stats.snapshots) {
    snapshots.push_back({absl::StrCat(snapshot.shard), absl::StrCat(snapshot.position),
                         MegaBytes(snapshot.size_bytes), InstantText(snapshot.taken_at)});
  }
  std::string html;
  if (!gaps.empty()) {
    html += "<h2>Longest times without a record</h2>\n" + Table({"shard", "from", "for"}, gaps);
  }
  html += "<h2>Segments</h2>\n" +
          Table({"shard", "segment", "from position", "records", "used", "size"}, segments);
  if (!snapshots.empty()) {
    html += "<h2>Snapshots</h2>\n" + Table({"shard", "position", "size", "taken"}, snapshots);
  }
  return html;
}

}  // namespace

Json LogStatsJson(const LogStats& stats) {
  Json json = {{"shards", stats.shards},
               {"records", stats.records},
               {"blocks", stats.blocks},
               {"bytes", stats.bytes},
               {"torn_bytes", stats.torn_bytes},
               {"members", stats.members.size()},
               {"written", SpanJson(stats.written)},
               {"occurred", SpanJson(stats.occurred)}};
  json["programs"] = Json::array();
  for (const auto& [program, records] : stats.programs) {
    json["programs"].push_back({{"program", program}, {"records", records}});
  }
  json["kinds"] = Json::object();
  for (const auto& [kind, of_kind] : stats.kinds) {
    json["kinds"][kind] = {{"records", of_kind.records}, {"points", of_kind.points}};
  }
  json["outcomes"] = stats.outcomes;
  json["blocks_by_records"] = Json::array();
  for (size_t i = 0; i < stats.block_sizes.size(); ++i) {
    if (stats.block_sizes[i] == 0) continue;
    json["blocks_by_records"].push_back(
        {{"from", 1ul << i}, {"to", (2ul << i) - 1}, {"blocks", stats.block_sizes[i]}});
  }
  json["rates"] = RatesJson(stats.rates);
  json["occurred_rates"] = RatesJson(stats.occurred_rates);
  json["gaps"] = Json::array();
  for (const Gap& gap : stats.gaps) {
    json["gaps"].push_back({{"shard", gap.shard},
                            {"from", InstantJson(gap.from)},
                            {"seconds", static_cast<double>(gap.to - gap.from) / 1e6}});
  }
  json.update(FilesJson(stats));
  return json;
}

std::string LogStatsPage(const std::string& directory, const LogStats& stats) {
  return Page(
      absl::StrCat("The log of ", directory),
      absl::StrCat(
          Summary(stats),
          Svg(Rate(stats.rates, "Records a second", "records/s", kWritten,
                   &RateSeries::Bucket::records)),
          Svg(Rate(stats.rates, "Bytes a second", "bytes/s", kWritten, &RateSeries::Bucket::bytes)),
          Svg(Rate(stats.occurred_rates, "Records a second, as they occurred", "records/s",
                   "when it occurred, UTC", &RateSeries::Bucket::records)),
          Svg(BlockSizes(stats)), "<h2>Kinds</h2>\n", Kinds(stats), Files(stats)));
}

}  // namespace tallystick::tally
