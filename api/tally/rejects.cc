#include "api/tally/rejects.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "api/csv.h"

namespace tallystick::tally {
namespace {

namespace fs = std::filesystem;

absl::Status Failure(const std::string& path, int error) {
  return absl::UnavailableError(absl::StrCat("cannot write ", path, ": ", std::strerror(error)));
}

}  // namespace

RejectsFile::~RejectsFile() {
  if (!out_.is_open() || temporary_ == path_) return;
  std::error_code ignored;
  fs::remove(temporary_, ignored);
}

absl::Status RejectsFile::Open(const std::string& path, const std::vector<std::string>& inputs) {
  std::error_code ignored;
  const bool regular = fs::is_regular_file(path, ignored);
  // A link stays one: what it leads to is replaced.
  path_ = regular ? fs::canonical(path, ignored).string() : path;
  temporary_ = regular || !fs::exists(path, ignored) ? path_ + ".tmp" : path_;
  for (const std::string& input : inputs) {
    for (const std::string& written : {path_, temporary_}) {
      if (!fs::equivalent(written, input, ignored)) continue;
      return absl::InvalidArgumentError(absl::StrCat("--rejects ", path, " would overwrite ", input,
                                                     ", which is imported: name another file"));
    }
  }
  out_.open(temporary_, std::ios::binary | std::ios::trunc);
  if (!out_) return Failure(temporary_, errno);
  out_ << CsvLine({"file", "line", "order", "reason"});
  return absl::OkStatus();
}

void RejectsFile::Add(absl::string_view file, int64_t line, absl::string_view order,
                      absl::string_view reason) {
  if (out_.is_open()) out_ << CsvLine({file, absl::StrCat(line), order, reason});
}

absl::Status RejectsFile::Close() {
  if (!out_.is_open()) return absl::OkStatus();
  out_.close();
  if (!out_) {
    return absl::UnavailableError(
        absl::StrCat("cannot write all of ", temporary_, ": is there space left?"));
  }
  if (temporary_ != path_ && std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    return Failure(path_, errno);
  }
  return absl::OkStatus();
}

}  // namespace tallystick::tally
