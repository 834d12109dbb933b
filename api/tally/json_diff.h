// Two flat JSON objects, field by field.

#ifndef TALLYSTICK_API_TALLY_JSON_DIFF_H_
#define TALLYSTICK_API_TALLY_JSON_DIFF_H_

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace tallystick::tally {

// [{"field": …, "first": …, "second": …}] of what is not the same; null where one has no such
// field.
nlohmann::ordered_json DifferingFields(const nlohmann::ordered_json& first,
                                       const nlohmann::ordered_json& second);

// One a line on stdout, each behind `prefix`: "amount: 5 in the first, 7 in the second".
void PrintFields(const nlohmann::ordered_json& fields, const std::string& prefix);

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_JSON_DIFF_H_
