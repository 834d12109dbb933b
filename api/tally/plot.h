// Plots as SVG, and pages of HTML that need nothing else: no script, no font, no network.

#ifndef TALLYSTICK_API_TALLY_PLOT_H_
#define TALLYSTICK_API_TALLY_PLOT_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace tallystick::tally {

struct Axis {
  std::string label;
  bool logarithmic = false;  // values below the smallest tick lie on it
  // Where gridlines are, with what they are called; empty: chosen from the values.
  std::vector<std::pair<double, std::string>> ticks;
};

struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points;  // in the order of x
};

struct Plot {
  std::string title;
  Axis x;
  Axis y;  // from 0, unless it is logarithmic
  std::vector<Series> series;
  // Vertical lines, with what happened there: shown when pointed at.
  std::vector<std::pair<double, std::string>> marks;
};

std::string Svg(const Plot& plot);

// Text for HTML and SVG.
std::string Escaped(absl::string_view text);
// A whole page; `body` is HTML.
std::string Page(absl::string_view title, absl::string_view body);

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_PLOT_H_
