#include "api/tally/json_diff.h"

#include <cstdio>
#include <nlohmann/json.hpp>

namespace tallystick::tally {

nlohmann::ordered_json DifferingFields(const nlohmann::ordered_json& first,
                                       const nlohmann::ordered_json& second) {
  nlohmann::ordered_json fields = nlohmann::ordered_json::array();
  for (const auto& [key, value] : first.items()) {
    const nlohmann::ordered_json other = second.value(key, nlohmann::ordered_json());
    if (value != other) fields.push_back({{"field", key}, {"first", value}, {"second", other}});
  }
  for (const auto& [key, value] : second.items()) {
    if (!first.contains(key)) {
      fields.push_back({{"field", key}, {"first", nullptr}, {"second", value}});
    }
  }
  return fields;
}

void PrintFields(const nlohmann::ordered_json& fields, const std::string& prefix) {
  for (const auto& field : fields) {
    std::printf("%s%s: %s in the first, %s in the second\n", prefix.c_str(),
                field["field"].get<std::string>().c_str(), field["first"].dump().c_str(),
                field["second"].dump().c_str());
  }
}

}  // namespace tallystick::tally
