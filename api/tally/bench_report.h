// A benchmark's figures as a page with plots.

#ifndef TALLYSTICK_API_TALLY_BENCH_REPORT_H_
#define TALLYSTICK_API_TALLY_BENCH_REPORT_H_

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "api/tally/timeline.h"

namespace tallystick::tally {

// `figures`: what --json prints; becomes a table.
std::string BenchReport(const nlohmann::ordered_json& figures, const Timeline& timeline);

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_BENCH_REPORT_H_
