// What tallyd and tally say of a command line that they cannot understand.

#ifndef TALLYSTICK_API_TALLY_USAGE_ERROR_H_
#define TALLYSTICK_API_TALLY_USAGE_ERROR_H_

#include <CLI/CLI.hpp>
#include <string>

namespace tallystick {

// A sentence without the program's name in front: the unknown word comes before all else that is
// missing because of it, with the name that was meant if one is near; and whose --help tells more.
// `app` has just thrown `error`, whose exit code is not 0.
std::string ExplainUsage(const CLI::App& app, const CLI::ParseError& error);

}  // namespace tallystick

#endif  // TALLYSTICK_API_TALLY_USAGE_ERROR_H_
