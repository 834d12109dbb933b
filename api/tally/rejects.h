// The file of import --rejects: which lines were skipped and which orders refused, and why.

#ifndef TALLYSTICK_API_TALLY_REJECTS_H_
#define TALLYSTICK_API_TALLY_REJECTS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "api/tally/output_file.h"

namespace tallystick::tally {

class RejectsFile {
 public:
  // Errors: those of OutputFile.
  absl::Status Open(const std::string& path);
  // Does nothing unless it is open.
  void Add(absl::string_view file, int64_t line, absl::string_view order, absl::string_view reason);
  // Puts it in its place; without, nothing is left of it. OK when it was not opened.
  absl::Status Close();

 private:
  std::unique_ptr<OutputFile> file_;
  absl::Status written_;
};

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_REJECTS_H_
