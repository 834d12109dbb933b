// The file of import --rejects: which lines were skipped and which orders refused, and why.

#ifndef TALLYSTICK_API_TALLY_REJECTS_H_
#define TALLYSTICK_API_TALLY_REJECTS_H_

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace tallystick::tally {

// Written beside its place, as PATH.tmp, and moved there by Close: under its own name there is only
// ever a whole file. What is no regular file (a pipe, /dev/stderr) is written in place.
class RejectsFile {
 public:
  // Closes without putting anything in place.
  ~RejectsFile();

  // InvalidArgument when it would overwrite one of `inputs`, under whatever name.
  absl::Status Open(const std::string& path, const std::vector<std::string>& inputs);
  // Does nothing unless it is open.
  void Add(absl::string_view file, int64_t line, absl::string_view order, absl::string_view reason);
  // OK when it was not opened.
  absl::Status Close();

 private:
  std::string path_;       // where it will be
  std::string temporary_;  // where it is written; path_ itself for what is no regular file
  std::ofstream out_;
};

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_REJECTS_H_
