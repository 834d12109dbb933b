#include "api/tally/plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace tallystick::tally {
namespace {

// In pixels; the drawing scales with the page.
constexpr double kWidth = 900;
constexpr double kHeight = 320;
constexpr double kLeft = 76;
constexpr double kRight = 28;  // half of a tick's name
constexpr double kTop = 34;
constexpr double kBottom = 46;
constexpr int kTicks = 6;

constexpr std::array<const char*, 4> kColours = {"#2563a8", "#c8611a", "#3c8d40", "#8a3ffc"};

// 1234567 as "1.23M".
std::string Short(double value) {
  constexpr std::array<std::pair<double, const char*>, 3> kUnits = {
      {{1e9, "G"}, {1e6, "M"}, {1e3, "k"}}};
  for (const auto& [size, name] : kUnits) {
    if (value >= size) return absl::StrFormat("%.3g%s", value / size, name);
  }
  return absl::StrFormat("%.3g", value);
}

// Maps values of an axis to pixels.
class Scale {
 public:
  Scale(const Axis& axis, double smallest, double largest, double from, double to)
      : logarithmic_(axis.logarithmic), from_(from), to_(to), ticks_(axis.ticks) {
    if (ticks_.empty()) ChooseTicks(smallest, largest);
    low_ = Position(std::min(smallest, ticks_.front().first));
    high_ = Position(std::max(largest, ticks_.back().first));
    if (logarithmic_) low_ = Position(ticks_.front().first);
    if (high_ <= low_) high_ = low_ + 1;
  }

  double operator()(double value) const {
    const double share = (std::max(Position(value), low_) - low_) / (high_ - low_);
    return from_ + share * (to_ - from_);
  }
  const std::vector<std::pair<double, std::string>>& ticks() const { return ticks_; }

 private:
  double Position(double value) const {
    return logarithmic_ ? std::log10(std::max(value, 1e-12)) : value;
  }

  void ChooseTicks(double smallest, double largest) {
    if (logarithmic_) {
      const auto last = static_cast<int>(std::ceil(Position(largest)));
      for (auto power = static_cast<int>(std::floor(Position(smallest))); power <= last; ++power) {
        ticks_.emplace_back(std::pow(10, power), Short(std::pow(10, power)));
      }
      return;
    }
    // 1, 2 or 5 times a power of ten.
    const double rough = std::max(largest - smallest, 1e-9) / kTicks;
    const double power = std::pow(10, std::floor(std::log10(rough)));
    const double digit = rough / power;
    const double step = power * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10);
    const auto count = static_cast<int>(std::ceil((largest - smallest) / step));
    for (int i = 0; i <= count; ++i) {
      ticks_.emplace_back(smallest + i * step, Short(smallest + i * step));
    }
  }

  bool logarithmic_;
  double from_;
  double to_;
  double low_ = 0;
  double high_ = 1;
  std::vector<std::pair<double, std::string>> ticks_;
};

struct Extent {
  double smallest = std::numeric_limits<double>::max();
  double largest = std::numeric_limits<double>::lowest();

  void Add(double value) {
    smallest = std::min(smallest, value);
    largest = std::max(largest, value);
  }
};

void Text(std::string& svg, double x, double y, absl::string_view anchor, absl::string_view text,
          absl::string_view more = "") {
  absl::StrAppendFormat(&svg, R"(<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>)", x, y,
                        std::string(anchor), std::string(more), Escaped(text));
}

void Grid(std::string& svg, const Scale& x, const Scale& y) {
  constexpr char kLine[] = R"(<line class="grid" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>)";
  for (const auto& [value, name] : x.ticks()) {
    absl::StrAppendFormat(&svg, kLine, x(value), kTop, x(value), kHeight - kBottom);
    Text(svg, x(value), kHeight - kBottom + 16, "middle", name);
  }
  for (const auto& [value, name] : y.ticks()) {
    absl::StrAppendFormat(&svg, kLine, kLeft, y(value), kWidth - kRight, y(value));
    Text(svg, kLeft - 8, y(value) + 4, "end", name);
  }
}

}  // namespace

std::string Svg(const Plot& plot) {
  Extent extent_x;
  Extent extent_y;
  if (!plot.y.logarithmic) extent_y.Add(0);
  for (const Series& series : plot.series) {
    for (const auto& [x, y] : series.points) {
      extent_x.Add(x);
      extent_y.Add(y);
    }
  }
  if (extent_x.smallest > extent_x.largest) {
    extent_x.Add(1);
    extent_y.Add(1);
  }
  const Scale x(plot.x, extent_x.smallest, extent_x.largest, kLeft, kWidth - kRight);
  const Scale y(plot.y, extent_y.smallest, extent_y.largest, kHeight - kBottom, kTop);

  std::string svg = absl::StrFormat(R"(<svg viewBox="0 0 %.0f %.0f" role="img" aria-label="%s">)",
                                    kWidth, kHeight, Escaped(plot.title));
  Text(svg, kLeft, 16, "start", plot.title, R"( class="title")");
  Grid(svg, x, y);
  Text(svg, (kLeft + kWidth - kRight) / 2, kHeight - 8, "middle", plot.x.label);
  Text(svg, 0, 0, "middle", plot.y.label,
       absl::StrFormat(R"x( transform="translate(14 %.0f) rotate(-90)")x",
                       (kTop + kHeight - kBottom) / 2));
  for (const auto& [at, text] : plot.marks) {
    absl::StrAppendFormat(
        &svg,
        R"(<line class="mark" x1="%.1f" y1="%.0f" x2="%.1f" y2="%.0f"><title>%s</title></line>)",
        x(at), kTop, x(at), kHeight - kBottom, Escaped(text));
  }
  double legend = kWidth - kRight;
  for (size_t i = plot.series.size(); i-- > 0;) {
    const Series& series = plot.series[i];
    const char* colour = kColours[i % kColours.size()];
    absl::StrAppendFormat(&svg, R"(<polyline stroke="%s" points=")", colour);
    for (const auto& [at, value] : series.points) {
      absl::StrAppendFormat(&svg, "%.1f,%.1f ", x(at), y(value));
    }
    absl::StrAppend(&svg, "\"/>");
    Text(svg, legend, 16, "end", series.name, absl::StrFormat(R"( fill="%s")", colour));
    legend -= 16 + 8 * static_cast<double>(series.name.size());
  }
  absl::StrAppend(&svg, "</svg>\n");
  return svg;
}

std::string Escaped(absl::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string Page(absl::string_view title, absl::string_view body) {
  return absl::StrCat(R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>)",
                      Escaped(title), R"(</title>
<style>
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 960px; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; margin: 1em 0; }
td, th { border-bottom: 1px solid #8884; padding: .25em 1em .25em 0; text-align: left; vertical-align: top; }
td.figure { text-align: right; font-variant-numeric: tabular-nums; }
svg { width: 100%; margin: 1em 0; }
svg text { font: 12px system-ui, sans-serif; }
svg text:not([fill]) { fill: currentColor; }
svg .title { font-weight: 600; }
svg .grid { stroke: #8884; }
svg .mark { stroke: #d11; stroke-dasharray: 3 3; stroke-width: 1.5; }
svg polyline { fill: none; stroke-width: 1.5; stroke-linejoin: round; }
</style></head><body>
<h1>)",
                      Escaped(title), "</h1>\n", body, "</body></html>\n");
}

}  // namespace tallystick::tally
