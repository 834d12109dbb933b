#include "api/tally/bench_report.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "api/tally/plot.h"

namespace tallystick::tally {
namespace {

constexpr double kMicro = 1e-3;  // of a nanosecond
constexpr double kSecond = 1e-9;

// Rows of "name", "figure"; objects inside are written out.
void AppendRows(const std::string& prefix, const nlohmann::ordered_json& json, std::string& html) {
  for (const auto& [key, value] : json.items()) {
    const std::string name = prefix.empty() ? key : absl::StrCat(prefix, " ", key);
    if (value.is_object() || value.is_array()) {
      AppendRows(name, value, html);
      continue;
    }
    const std::string text = value.is_string() ? value.get<std::string>()
                             : value.is_number_float()
                                 ? absl::StrFormat("%.6g", value.get<double>())
                                 : value.dump();
    absl::StrAppend(&html, "<tr><td>", Escaped(name), "</td><td class=\"figure\">", Escaped(text),
                    "</td></tr>\n");
  }
}

// Each further nine of the percentage is as wide as the one before.
Plot Distribution(const Histogram& latency_ns) {
  Plot plot;
  plot.title = "Latency of a request";
  plot.x = {.label = "percentile",
            .logarithmic = true,
            .ticks = {{1, "0"},
                      {2, "50"},
                      {10, "90"},
                      {100, "99"},
                      {1e3, "99.9"},
                      {1e4, "99.99"},
                      {1e5, "99.999"}}};
  plot.y = {.label = "µs", .logarithmic = true, .ticks = {}};
  Series series;
  constexpr int kPointsPerNine = 50;
  for (int i = 0; i <= 5 * kPointsPerNine; ++i) {
    const double nines = static_cast<double>(i) / kPointsPerNine;
    const double percent = 100 - 100 * std::pow(10, -nines);
    series.points.emplace_back(std::pow(10, nines),
                               static_cast<double>(latency_ns.Percentile(percent)) * kMicro);
  }
  plot.series.push_back(std::move(series));
  return plot;
}

std::vector<std::pair<double, std::string>> Marks(const Timeline& timeline) {
  std::vector<std::pair<double, std::string>> marks;
  for (const Timeline::Event& event : timeline.events()) {
    marks.emplace_back(static_cast<double>(event.at_ns) * kSecond, event.text);
  }
  return marks;
}

Plot Throughput(const Timeline& timeline) {
  Plot plot;
  plot.title = "Operations a second";
  plot.x.label = "seconds; dashed: a segment begins";
  plot.y.label = "operations/s";
  Series series;
  const double seconds = static_cast<double>(timeline.interval_ns()) * kSecond;
  double at = 0;
  for (const Timeline::Interval& interval : timeline.intervals()) {
    series.points.emplace_back(at, static_cast<double>(interval.operations) / seconds);
    at += seconds;
  }
  // The last interval is rarely a whole one.
  if (series.points.size() > 1) series.points.pop_back();
  plot.series.push_back(std::move(series));
  plot.marks = Marks(timeline);
  return plot;
}

Plot LatencyOverTime(const Timeline& timeline) {
  Plot plot;
  plot.title = "Latency over time";
  plot.x.label = "seconds; dashed: a segment begins";
  plot.y = {.label = "µs", .logarithmic = true, .ticks = {}};
  const std::vector<std::pair<std::string, int64_t Timeline::Interval::*>> kinds = {
      {"p50", &Timeline::Interval::p50_ns},
      {"p99", &Timeline::Interval::p99_ns},
      {"max", &Timeline::Interval::max_ns}};
  for (const auto& [name, field] : kinds) {
    Series series{.name = name, .points = {}};
    double at = 0;
    for (const Timeline::Interval& interval : timeline.intervals()) {
      if (interval.max_ns != 0) {
        series.points.emplace_back(at, static_cast<double>(interval.*field) * kMicro);
      }
      at += static_cast<double>(timeline.interval_ns()) * kSecond;
    }
    plot.series.push_back(std::move(series));
  }
  plot.marks = Marks(timeline);
  return plot;
}

}  // namespace

std::string BenchReport(const nlohmann::ordered_json& figures, const Timeline& timeline) {
  std::string body = Svg(Throughput(timeline)) + Svg(LatencyOverTime(timeline)) +
                     Svg(Distribution(timeline.latency_ns())) + "<table>\n";
  AppendRows("", figures, body);
  body += "</table>\n";
  return Page("Tallystick benchmark", body);
}

}  // namespace tallystick::tally
