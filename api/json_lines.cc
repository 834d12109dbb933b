#include "api/json_lines.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace tallystick {
namespace {

// Deeper than any file of this project, and far from the end of the stack.
constexpr int kMaxDepth = 32;

class Reader {
 public:
  explicit Reader(absl::string_view text) : text_(text) {}

  absl::StatusOr<JsonValue> ReadAll() {
    JsonValue value;
    if (absl::Status status = ReadValue(&value, 0); !status.ok()) return status;
    if (absl::Status status = SkipSpace(); !status.ok()) return status;
    if (!text_.empty()) return Error("nothing more was expected behind the end of the value");
    return value;
  }

 private:
  absl::Status Error(absl::string_view message) const {
    return absl::InvalidArgumentError(absl::StrCat(line_, ": ", message));
  }

  char Take() {
    const char c = text_.front();
    if (c == '\n') ++line_;
    text_.remove_prefix(1);
    return c;
  }
  bool At(char c) const { return !text_.empty() && text_.front() == c; }
  bool TakeIf(char c) { return At(c) && Take() == c; }

  // White space and comments.
  absl::Status SkipSpace() {
    while (!text_.empty()) {
      if (absl::StartsWith(text_, "//")) {
        while (!text_.empty() && !At('\n')) Take();
      } else if (absl::StartsWith(text_, "/*")) {
        const int start = line_;
        text_.remove_prefix(2);
        while (!text_.empty() && !absl::StartsWith(text_, "*/")) Take();
        if (text_.empty()) {
          line_ = start;
          return Error("this comment is not closed: */ is missing");
        }
        text_.remove_prefix(2);
      } else if (At(' ') || At('\t') || At('\r') || At('\n')) {
        Take();
      } else {
        break;
      }
    }
    return absl::OkStatus();
  }

  absl::Status ReadString(std::string* out) {
    if (!TakeIf('"')) return Error("a quoted text was expected");
    for (;;) {
      if (text_.empty() || static_cast<unsigned char>(text_.front()) < ' ') {
        return Error("this text is not closed: \" is missing");
      }
      const char c = Take();
      if (c == '"') return absl::OkStatus();
      out->push_back(c);
      if (c == '\\' && !text_.empty()) out->push_back(Take());
    }
  }

  absl::Status ReadChildren(JsonValue* value, char close, int depth) {
    const bool object = close == '}';
    if (absl::Status status = SkipSpace(); !status.ok()) return status;
    if (TakeIf(close)) return absl::OkStatus();
    for (;;) {
      JsonValue child;
      if (object) {
        if (absl::Status status = SkipSpace(); !status.ok()) return status;
        if (absl::Status status = ReadString(&child.name); !status.ok()) return status;
        if (const JsonValue* first = value->Find(child.name); first != nullptr) {
          return Error(absl::StrCat(child.name, " is given twice, first on line ", first->line));
        }
        if (absl::Status status = SkipSpace(); !status.ok()) return status;
        if (!TakeIf(':')) return Error(absl::StrCat("a colon was expected behind ", child.name));
      }
      if (absl::Status status = ReadValue(&child, depth + 1); !status.ok()) return status;
      value->children.push_back(std::move(child));
      if (absl::Status status = SkipSpace(); !status.ok()) return status;
      if (TakeIf(close)) return absl::OkStatus();
      if (!TakeIf(','))
        return Error(absl::StrCat("a comma or ", std::string(1, close), " was expected"));
    }
  }

  absl::Status ReadNumber(JsonValue* value) {
    const absl::string_view start = text_;
    const auto digits = [this] {
      bool any = false;
      while (!text_.empty() && absl::ascii_isdigit(static_cast<unsigned char>(text_.front()))) {
        Take();
        any = true;
      }
      return any;
    };
    TakeIf('-');
    bool valid = TakeIf('0') || digits();
    if (valid && TakeIf('.')) valid = digits();
    if (valid && (At('e') || At('E'))) {
      Take();
      if (At('+') || At('-')) Take();
      valid = digits();
    }
    if (!valid) return Error("a value was expected: a number, a quoted text, true, false or {");
    value->type = JsonValue::Type::kNumber;
    value->text = std::string(start.substr(0, start.size() - text_.size()));
    return absl::OkStatus();
  }

  absl::Status ReadValue(JsonValue* value, int depth) {
    if (depth > kMaxDepth) return Error("values are nested too deeply");
    if (absl::Status status = SkipSpace(); !status.ok()) return status;
    value->line = line_;
    if (text_.empty()) return Error("the text ends where a value was expected");
    if (TakeIf('{')) {
      value->type = JsonValue::Type::kObject;
      return ReadChildren(value, '}', depth);
    }
    if (TakeIf('[')) {
      value->type = JsonValue::Type::kArray;
      return ReadChildren(value, ']', depth);
    }
    if (At('"')) {
      value->type = JsonValue::Type::kString;
      return ReadString(&value->text);
    }
    for (const absl::string_view word : {"true", "false", "null"}) {
      if (!absl::StartsWith(text_, word)) continue;
      text_.remove_prefix(word.size());
      value->type = word == "null" ? JsonValue::Type::kNull : JsonValue::Type::kBool;
      value->text = std::string(word);
      return absl::OkStatus();
    }
    return ReadNumber(value);
  }

  absl::string_view text_;
  int line_ = 1;
};

}  // namespace

const JsonValue* JsonValue::Find(absl::string_view member) const {
  for (const JsonValue& child : children) {
    if (child.name == member) return &child;
  }
  return nullptr;
}

absl::StatusOr<JsonValue> ReadJsonLines(absl::string_view text) { return Reader(text).ReadAll(); }

}  // namespace tallystick
