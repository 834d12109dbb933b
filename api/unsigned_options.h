// One check for the command lines of all programs.

#ifndef TALLYSTICK_API_UNSIGNED_OPTIONS_H_
#define TALLYSTICK_API_UNSIGNED_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <string>

namespace tallystick {

// Lets all options that are unsigned numbers, of all subcommands too, refuse a minus sign, with
// which CLI11 counts down from the greatest number. Call it when all are declared.
inline void RefuseMinusSigns(CLI::App& app) {
  const auto check = [](const std::string& text) {
    return std::string(text.find('-') == text.npos ? "" : text + " is negative");
  };
  for (CLI::Option* option : app.get_options()) {
    if (option->get_type_name().rfind("UINT", 0) == 0) option->check(check);
  }
  for (CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    RefuseMinusSigns(*command);
  }
}

}  // namespace tallystick

#endif  // TALLYSTICK_API_UNSIGNED_OPTIONS_H_
