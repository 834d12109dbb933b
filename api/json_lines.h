// JSON that knows on which line each value stands, so that what is wrong with it
// can be said precisely. RFC 8259, and // and /* */ comments.

#ifndef TALLYSTICK_API_JSON_LINES_H_
#define TALLYSTICK_API_JSON_LINES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tallystick {

struct JsonValue {
  enum class Type { kNull, kBool, kNumber, kString, kArray, kObject };
  Type type = Type::kNull;
  int line = 0;
  std::string
      text;  // of a number or bool as it is written; of a string without quotes, escapes kept
  std::string name;                 // of an object's member
  std::vector<JsonValue> children;  // of an array or object

  // The member of this name; nullptr: none.
  const JsonValue* Find(absl::string_view member) const;
};

// Reads one value and nothing behind it. Errors begin with the line, "4: a comma or } was
// expected".
absl::StatusOr<JsonValue> ReadJsonLines(absl::string_view text);

}  // namespace tallystick

#endif  // TALLYSTICK_API_JSON_LINES_H_
