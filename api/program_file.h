// Program files: a program's rules as JSON of ledger/program.fbs, with comments. What is wrong
// in one is said with file, line and field: "seed.json:4: earn.per_spend is 0, but must be at least
// 1".

#ifndef TALLYSTICK_API_PROGRAM_FILE_H_
#define TALLYSTICK_API_PROGRAM_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "api/json_lines.h"
#include "ledger/program_generated.h"

namespace tallystick {

class ProgramFile {
 public:
  // Fields that the schema does not know, and those that only a writer resolves, are refused, and
  // so is what ledger::CheckProgram finds. Time zone and effective time are resolved later, where
  // the program is put.
  static absl::StatusOr<ProgramFile> Read(const std::string& path);
  static absl::StatusOr<ProgramFile> Parse(absl::string_view json, const std::string& name);

  // A finished tallystick.Program.
  const std::vector<uint8_t>& bytes() const { return bytes_; }
  const Program& program() const { return *flatbuffers::GetRoot<Program>(bytes_.data()); }

  // "seed.json:4: earn.per_spend message". The line is that of the field, or of the nearest one
  // around it.
  std::string Sentence(absl::string_view field, absl::string_view message) const;

 private:
  ProgramFile(std::string name, JsonValue json) : name_(std::move(name)), json_(std::move(json)) {}

  std::string name_;
  JsonValue json_;
  std::vector<uint8_t> bytes_;
};

// As a program file; resolved fields are left out.
std::string ProgramToJson(const Program& program);

}  // namespace tallystick

#endif  // TALLYSTICK_API_PROGRAM_FILE_H_
